//! Verbs about the database behind the journal.

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

/// The verbs about the database.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum StoreVerb {
    /// Bring the server's tables up to date, as the role that owns them.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(Migrate),
    /// Copy everything from the file to the server, or back, and compare; no engine may run.
    #[command(after_help = COPY_EXAMPLES)]
    Copy(Copy),
}

/// What `store migrate` takes.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Migrate {
    /// A role of the server that engines use: it gets what an engine needs, and no more.
    #[arg(long, value_name = "ROLE")]
    pub(in crate::cli) engine_role: Option<String>,
}

const MIGRATE_EXAMPLES: &str = "\
Examples:
  bajavoz store migrate                                 engines do it themselves where they may
  BAJAVOZ_DATABASE_URL=postgresql://owner@db/bajavoz \\
    bajavoz store migrate --engine-role bajavoz_engine  where they may not

The engine's role may then read and add rows, say how far each stream has been taken in, and delete
rows of two tables: `evidence` and `call_record`, which are kept for as long as [store] says. It may
change and delete nothing else. Exits with 3 when the server cannot be reached, and with 4 when it
refuses; what was done by then is said.";

/// What `store copy` takes.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Copy {
    /// Where everything is.
    #[arg(long)]
    pub(in crate::cli) from: Base,
    /// Where it is to be.
    #[arg(long)]
    pub(in crate::cli) to: Base,
}

/// A database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Base {
    /// The file in the folder of [store] path.
    Sqlite,
    /// The server of [store] url.
    Postgres,
}

impl Base {
    /// Whether it is the server.
    pub(in crate::cli) fn is_server(self) -> bool {
        self == Self::Postgres
    }
}

const COPY_EXAMPLES: &str = "\
Examples:
  bajavoz store copy --from sqlite --to postgres
  bajavoz store copy --from postgres --to sqlite

[store] must name the server (database = \"postgres\", url) and the folder (path). What is there
already is not sent again: a copy that was cut off goes on where it was. Each row is read back and
compared. Exits with 1 when one differs, or when the database that is copied to has records of this
node that the other lacks, as it does where --from and --to are the wrong way round; 3 when the
server cannot be reached.";
