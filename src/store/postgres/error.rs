//! What a PostgreSQL server answers in place of what was asked, or that it does not answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::settings::SettingsError;

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// There is no connection.
    #[error("PostgreSQL cannot be reached")]
    Away(#[source] Box<dyn Error + Send + Sync>),
    /// There was none a moment ago, and it is not yet time to try again.
    #[error("PostgreSQL could not be reached, and is tried again soon")]
    Later,
    /// It took too long.
    #[error("PostgreSQL has not answered within {} s", limit.as_secs_f32())]
    Silent {
        /// How long it was waited for.
        limit: Duration,
    },
    /// It refused.
    #[error("PostgreSQL refused: {message} ({code})")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// What it said; never the values.
        message: String,
    },
    /// The tables are older than this program, which may not change them.
    #[error(
        "the tables are of version {found}, and this program needs version {needed}: have their \
         owner run `bajavoz store migrate`"
    )]
    Tables {
        /// Their version, 0 when there are none.
        found: i32,
        /// Ours.
        needed: i32,
        /// Why they cannot be brought up to date.
        source: Box<refinery::Error>,
    },
    /// The tables are not those that this program reads, and whoever asks changes nothing.
    #[error(
        "the tables are of version {found}, and this program reads version {needed}: {}",
        tables_hint(*found, *needed)
    )]
    Version {
        /// Their version, 0 when there are none.
        found: i32,
        /// Ours.
        needed: i32,
    },
    /// A database in which not every name and word can be kept.
    #[error(
        "the database's encoding is {found}, and every name must fit it: make the database anew \
         with ENCODING 'UTF8'"
    )]
    Encoding {
        /// As the server calls it.
        found: String,
    },
    /// The role is not let do what an engine does.
    #[error(
        "the role `{role}` may not {right} in the table `{table}`, which engines need: have the \
         tables' owner run `bajavoz store migrate --engine-role {role}`"
    )]
    Right {
        /// Ours.
        role: String,
        /// The table.
        table: String,
        /// What it may not do, by the name that SQL has for it.
        right: String,
    },
    /// A role's name that is none.
    #[error("expected a role of a-z, 0-9 and `_`, at most 63 of them")]
    Role,
    /// It cannot be reached as it is said to be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The connection has been given up.
    #[error("the connection to PostgreSQL is closed")]
    Closed,
    /// No runtime for a connection.
    #[error("cannot prepare a connection to PostgreSQL")]
    Runtime(#[source] io::Error),
    /// A column of a kind that no table of ours has.
    #[error("PostgreSQL answers with a column of a kind that is not ours")]
    Kind,
}

impl ServerError {
    /// Whether it refused what was to be kept itself, now and for ever: SQLSTATE class 22.
    pub fn is_of_data(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.starts_with("22"))
    }

    /// Whether what stands there is not what we have made: a table or a column is not there or of
    /// another kind (SQLSTATE 42P01, 42703), or its file is damaged (class XX).
    pub fn is_of_tables(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                ["42P01", "42703", "XX"].iter().any(|class| code.starts_with(class))
            }
            Self::Kind => true,
            _ => false,
        }
    }

    /// Whether it may do what it was asked later, as it stands.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Away(_) | Self::Later | Self::Silent { .. } | Self::Closed => true,
            // Class 08: whoever is between has lost the server; 40: rolled back for the sake of
            // others; 53: too little of something; 57: stopped, shut down, or not yet up; 58: its
            // disk; 25006: a standby now; 25P03 and 25P04: it took too long.
            Self::Refused { code, .. } => {
                let is_of = |class: &&str| code.starts_with(class);
                ["08", "40", "53", "57", "58", "25006", "25P03", "25P04"].iter().any(is_of)
            }
            _ => false,
        }
    }
}

impl From<tokio_postgres::Error> for ServerError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(told) => Self::Refused {
                code: told.code().code().to_owned(),
                message: told.message().to_owned(),
            },
            None => Self::Away(Box::new(error)),
        }
    }
}

const fn tables_hint(found: i32, needed: i32) -> &'static str {
    match found {
        0 => "no engine has made any in this database yet",
        _ if found < needed => "have their owner run `bajavoz store migrate`",
        _ => "use the one of the engines that have brought them up to date",
    }
}
