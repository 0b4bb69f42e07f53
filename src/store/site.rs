//! Where a store is: its folder on this node, and its database, which may be elsewhere.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::UnixMicros;
use crate::suppression::NumberStorage;

use super::Clock;
use super::StoreError;
use super::audio::fresh::Fresh;
use super::database::Database;
use super::numbers::NumberChoice;
use super::postgres;
use super::postgres::Postgres;
use super::postgres::Use;
use super::reader::Reader;
use super::segments::Segments;
use super::sqlite::Sqlite;

/// The database that the journal is forwarded to, and that questions go to.
#[derive(Clone, Debug, Default)]
pub enum Target {
    /// A file in the store's folder, which this node alone writes.
    #[default]
    Sqlite,
    /// A server that nodes share.
    Postgres(Box<postgres::Settings>),
}

/// A store's folder with its database.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) dir: PathBuf,
    target: Target,
    clock: Clock,
    /// How numbers are to be kept.
    pub(super) choice: NumberChoice,
    /// How they are, once the store has been opened.
    pub(super) numbers: NumberStorage,
    /// Files of audio that must not be removed now.
    pub(super) fresh: Arc<Fresh>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Site");
        told.field("dir", &self.dir).field("target", &self.target).finish_non_exhaustive()
    }
}

impl Site {
    /// The store in the folder `dir` with `target`; `clock` times the tries to reach a server.
    pub(super) fn new(dir: &Path, target: Target, choice: NumberChoice, clock: Clock) -> Self {
        let numbers = NumberStorage::default();
        let (dir, fresh) = (dir.to_owned(), Arc::default());
        Self { dir, target, clock, choice, numbers, fresh }
    }

    /// The store in the folder `dir` with its own database.
    pub(super) fn embedded(dir: &Path) -> Self {
        Self::new(dir, Target::Sqlite, NumberChoice::AsMade, Arc::new(|| UnixMicros(0)))
    }

    /// What the wall clock shows.
    pub(super) fn wall(&self) -> UnixMicros {
        (self.clock)()
    }

    /// Whether the database has to be made from the journal.
    pub(super) fn lacks_database(&self) -> bool {
        match self.target {
            Target::Sqlite => !database_path(&self.dir).exists(),
            Target::Postgres(_) => false,
        }
    }

    /// Whether other nodes have the database too.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self.target, Target::Postgres(_))
    }

    /// The database for writing; a server is connected to when it is first asked.
    pub(super) fn database(&self) -> Result<Database, StoreError> {
        let segments = Segments::of(&self.dir);
        Ok(match &self.target {
            Target::Sqlite => Database::new(Sqlite::open(&database_path(&self.dir))?, segments),
            Target::Postgres(settings) => {
                Database::new(self.server(settings, Use::Writing), segments)
            }
        })
    }

    /// A database that is emptied when it is opened for writing, for what it knows before that.
    pub(super) fn outdated_database(&self) -> Result<Option<Database>, StoreError> {
        let outdated = match self.target {
            Target::Sqlite => Sqlite::open_outdated(&database_path(&self.dir))?,
            Target::Postgres(_) => None,
        };
        Ok(outdated.map(|database| Database::new(database, Segments::of(&self.dir))))
    }

    /// A connection for questions; that to a server is made with the first of them.
    pub(super) fn reader(&self) -> Result<Reader, StoreError> {
        let numbers = self.numbers.clone();
        match &self.target {
            Target::Sqlite => {
                let path = database_path(&self.dir);
                let place = format!("the database `{}`", path.display());
                Ok(Reader::new(Sqlite::open_read_only(&path)?, &self.dir, place, numbers))
            }
            Target::Postgres(settings) => {
                let (server, place) = (self.server(settings, Use::Reading), settings.place());
                Ok(Reader::new(server, &self.dir, place, numbers))
            }
        }
    }

    fn server(&self, settings: &postgres::Settings, purpose: Use) -> Postgres {
        Postgres::new(settings.clone(), purpose, Arc::clone(&self.clock))
    }
}

/// The file of the embedded database of the store in the folder `dir`.
pub(super) fn database_path(dir: &Path) -> PathBuf {
    dir.join("bajavoz.sqlite")
}
