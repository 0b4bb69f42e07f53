//! A store for a test, with its own database or with one on a server; and the same tests on both.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use super::clock;
use super::cluster::Cluster;
use super::cluster::TestDatabase;
use super::settings;
use crate::model::UnixMicros;
use crate::store::Archive;
use crate::store::Examined;
use crate::store::NumberChoice;
use crate::store::Recovered;
use crate::store::Settings;
use crate::store::Store;
use crate::store::Target;
use crate::store::database::tables;
use crate::store::examine;
use crate::store::examine_shared;
use crate::store::postgres;
use crate::suppression::Ack;

/// Makes two tests of each function that takes a [`Stand`]: one on SQLite, one on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(&$crate::store::tests::stand::Stand::sqlite()) })*
        }
        mod on_postgres {
            $(#[test] fn $name() { super::$name(&$crate::store::tests::stand::Stand::postgres()) })*
        }
    };
}
pub(super) use on_both;

/// A store's folder, and its database.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(super) dir: tempfile::TempDir,
    pub(super) target: Target,
    /// How it keeps numbers.
    pub(super) numbers: NumberChoice,
    /// The database, where it is on a server.
    pub(super) server: Option<TestDatabase>,
}

impl Stand {
    /// With the embedded database.
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        Self { dir, target: Target::Sqlite, numbers: NumberChoice::Plain, server: None }
    }

    /// With a new database on a server.
    pub(crate) fn postgres() -> Self {
        Self::on_server(Cluster::shared().database())
    }

    /// With a database of a server.
    pub(crate) fn on_server(database: TestDatabase) -> Self {
        let target = target_of(&database.url());
        Self { target, server: Some(database), ..Self::sqlite() }
    }

    /// The same, with numbers hashed under a secret in its folder.
    pub(crate) fn keyed(self) -> Self {
        Self { numbers: NumberChoice::Keyed { key: None }, ..self }
    }

    /// Another folder; with the same database where that is on a server.
    pub(crate) fn another_node(&self) -> Self {
        self.server.clone().map_or_else(Self::sqlite, Self::on_server)
    }

    /// Another folder with another database, of the same kind.
    pub(crate) fn anew(&self) -> Self {
        if self.server.is_some() { Self::postgres() } else { Self::sqlite() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn settings(&self) -> Settings {
        let (target, numbers) = (self.target.clone(), self.numbers.clone());
        Settings { target, numbers, ..settings(self.path()) }
    }

    pub(crate) fn open(&self) -> (Store, Recovered, Receiver<Ack>) {
        open_with(self.settings())
    }

    pub(crate) fn archive(&self) -> (Archive, Recovered) {
        Archive::open(self.path(), &self.target, &self.numbers, &clock())
            .unwrap_or_else(|error| panic!("the store opens: {error}"))
    }

    /// What an examination finds; nobody has a folder with its own database open.
    pub(crate) fn examined(&self) -> Examined {
        let examined = match &self.target {
            Target::Sqlite => examine(self.path(), None, &[]),
            Target::Postgres(server) => examine_shared(self.path(), server, &clock(), None, &[]),
        };
        examined.unwrap_or_else(|error| panic!("it can be examined: {error}"))
    }

    /// Loses the database, which is closed.
    pub(crate) fn lose_database(&self) {
        match &self.server {
            None => {
                for name in ["bajavoz.sqlite", "bajavoz.sqlite-wal", "bajavoz.sqlite-shm"] {
                    // Those that are there.
                    let _ = std::fs::remove_file(self.path().join(name));
                }
            }
            Some(server) => {
                server.psql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
            }
        }
    }
}

pub(crate) fn open_with(settings: Settings) -> (Store, Recovered, Receiver<Ack>) {
    let (acks, received) = channel();
    let opened = Store::open(settings, move |ack| {
        // A test that is over listens no more.
        let _ = acks.send(ack);
    });
    let (store, recovered) = opened.unwrap_or_else(|error| panic!("the store opens: {error}"));
    (store, recovered, received)
}

/// The wall clock, for tests that wait for other threads.
#[expect(clippy::disallowed_methods, reason = "the time that passes is what is waited for")]
pub(crate) fn wall_clock() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the epoch is over");
    UnixMicros(i64::try_from(since.as_micros()).expect("it is not that late"))
}

/// Any moment: only distances are looked at.
#[expect(clippy::disallowed_methods, reason = "any moment will do")]
pub(crate) fn any_moment() -> Instant {
    Instant::now()
}

/// The server at `url`.
pub(crate) fn target_of(url: &str) -> Target {
    let settings = postgres::Settings::new(url, None);
    Target::Postgres(Box::new(settings.unwrap_or_else(|error| panic!("{error}"))))
}

/// Keeps a copy of every row of `database` under the name `kept`.
pub(crate) fn keep(database: &TestDatabase, kept: &str) {
    let copy = |name: &str| format!("CREATE TABLE {kept}.{name} AS TABLE public.{name};");
    database.psql(&format!("CREATE SCHEMA {kept}; {}", of_all(copy)));
}

/// What has every row be as it was when it was kept so.
pub(crate) fn back_to(kept: &str) -> String {
    of_all(|name: &str| format!("DELETE FROM {name}; INSERT INTO {name} TABLE {kept}.{name};"))
}

/// What `of` says for each table that there is.
fn of_all(of: impl Fn(&str) -> String) -> String {
    let names = tables::ALL.iter().map(|table| table.name).chain(["refinery_schema_history"]);
    names.map(of).collect()
}
