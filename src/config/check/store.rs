//! Where opt-outs are kept: a file of this engine's, or a server that engines share.

use std::fs;
use std::time::Duration;

use super::Check;
use crate::config::checked::{Secret, Server, Store};
use crate::config::diagnostic::Diagnostic;
use crate::config::draft::{Draft, Located};
use crate::config::file;
use crate::config::source::Place;
use crate::store::AckPolicy;
use crate::store::NumberChoice;
use crate::store::postgres;
use crate::store::postgres::{SettingsError, Tls};
use crate::suppression::Retention;

/// Longest secret read from a file, in bytes: a longer one is another file.
const SECRET_LEN_MAX: usize = 4096;

/// How long a server may be out of reach where nothing is said: twenty looks of the follower, one
/// every 250 ms.
const STALE_AFTER: Duration = Duration::from_secs(5);

impl Check<'_> {
    /// The store's folder and database.
    pub(super) fn store(&mut self, draft: &Draft) -> Option<Store> {
        let store = draft.store.as_ref()?;
        let is_shared = store.value.database == file::Database::Postgres;
        let server = if is_shared {
            Some(self.server(store)?)
        } else {
            self.is_without_server(store)?;
            None
        };
        let ack = match (store.value.ack, is_shared) {
            (Some(file::Ack::Journal), _) | (None, false) => AckPolicy::Journal,
            (Some(file::Ack::Both), _) | (None, true) => AckPolicy::Both,
            (Some(file::Ack::Store), _) => AckPolicy::Store,
        };
        let path = self.dir.join(&store.value.path);
        let typed = store.value.stale_after.as_ref();
        let stale_after = typed.map_or(STALE_AFTER, |typed| typed.get_ref().0);
        Some(Store { path, server, ack, stale_after, numbers: self.numbers(store)? })
    }

    /// How long what is in the store is kept.
    pub(super) fn retention(draft: &Draft) -> Option<Retention> {
        let store = &draft.store.as_ref()?.value;
        Some(Retention { evidence: store.keep_evidence.0, calls: store.keep_calls.0 })
    }

    /// How numbers are kept; a key's file beside numbers in the clear is meant for something else.
    fn numbers(&mut self, store: &Located<file::Store>) -> Option<NumberChoice> {
        let key = store.value.number_key.as_ref();
        match (store.value.number_storage, key) {
            (file::NumberStorage::Hmac, key) => {
                let key = key.map(|key| self.dir.join(key.get_ref()));
                Some(NumberChoice::Keyed { key })
            }
            (file::NumberStorage::Plain, None) => Some(NumberChoice::Plain),
            (file::NumberStorage::Plain, Some(key)) => {
                let message = "`number-key` is only for hashed numbers".to_owned();
                let fault = Diagnostic::error("E-STORE", message, store.place(key.span()));
                self.report(
                    fault
                        .label("the numbers are kept as they are")
                        .hint("write number-storage = \"hmac\" beside it, or leave it out"),
                );
                None
            }
        }
    }

    /// Keys that only a server has stand beside one alone: whoever wrote them meant one.
    fn is_without_server(&mut self, store: &Located<file::Store>) -> Option<()> {
        let file::Store { url, tls, ca, stale_after, .. } = &store.value;
        let spans = [
            ("url", url.as_ref().map(|url| url.span())),
            ("tls", tls.as_ref().map(|tls| tls.span())),
            ("ca", ca.as_ref().map(|ca| ca.span())),
            ("stale-after", stale_after.as_ref().map(|stale_after| stale_after.span())),
        ];
        let mut is_right = Some(());
        for (key, span) in spans {
            let Some(span) = span else { continue };
            let message = format!("`{key}` is only for a server");
            let fault = Diagnostic::error("E-STORE", message, store.place(span));
            self.report(
                fault
                    .label("the opt-outs are kept in a file")
                    .hint("write database = \"postgres\" beside it, or leave it out"),
            );
            is_right = None;
        }
        is_right
    }

    /// An authority beside a connection that asks for none.
    fn is_without_ca(&mut self, store: &Located<file::Store>) -> Option<()> {
        let Some(ca) = &store.value.ca else { return Some(()) };
        let message = "`ca` is only for TLS".to_owned();
        let fault = Diagnostic::error("E-STORE", message, store.place(ca.span()));
        self.report(
            fault
                .label("nothing would use it beside tls = \"off\"")
                .hint("leave one of the two out"),
        );
        None
    }

    fn server(&mut self, store: &Located<file::Store>) -> Option<Server> {
        let Some(typed) = &store.value.url else {
            if !store.is_whole {
                return None; // What stood there was faulty.
            }
            let message = "[store] needs the key `url`".to_owned();
            let fault = Diagnostic::error("E-KEY-MISSING", message, store.at.clone());
            self.report(
                fault
                    .label("`url` is missing here")
                    .hint("such as: url = { env = \"BAJAVOZ_DATABASE_URL\" }"),
            );
            return None;
        };
        let place = store.place(typed.span());
        let url = self.secret(typed.get_ref(), place.clone())?;
        let ca = store.value.ca.as_ref().map(|ca| self.dir.join(ca.get_ref()));
        let tls = match store.value.tls.as_ref().map(|tls| *tls.get_ref()) {
            Some(file::Tls::Off) => {
                self.is_without_ca(store)?;
                Some(Tls::Off)
            }
            Some(file::Tls::VerifyFull) => Some(Tls::VerifyFull { ca }),
            None if ca.is_some() => Some(Tls::VerifyFull { ca }),
            None => None,
        };
        match postgres::Settings::new(url.reveal(), tls.clone()) {
            Ok(_settings) => Some(Server { url, tls }),
            Err(error) => {
                self.report(refused(store, place, &error));
                None
            }
        }
    }

    /// The text that stands elsewhere.
    fn secret(&mut self, typed: &file::Secret, place: Place) -> Option<Secret> {
        let (what, read) = match typed {
            file::Secret::Env(name) => (
                format!("the environment variable {name}"),
                std::env::var(name).map_err(|_| "is not set"),
            ),
            file::Secret::File(path) => {
                let path = self.dir.join(path);
                (
                    format!("the file {}", path.display()),
                    fs::read_to_string(&path).map_err(|_| "cannot be read"),
                )
            }
        };
        let read = read.and_then(|text| match text.trim() {
            "" => Err("is empty"),
            text if text.len() > SECRET_LEN_MAX => Err("is too long for an address"),
            text => Ok(Secret::new(text.to_owned())),
        });
        match read {
            Ok(secret) => Some(secret),
            Err(why) => {
                let message = "`url` cannot be read".to_owned();
                let fault = Diagnostic::error("E-SECRET", message, place);
                self.report(fault.label(format!("{what} {why}")));
                None
            }
        }
    }
}

/// What is wrong with the server, and where that was typed; never the address itself.
fn refused(store: &Located<file::Store>, url: Place, error: &SettingsError) -> Diagnostic {
    let key = match error {
        SettingsError::Clear => store.value.tls.as_ref().map(|tls| ("tls", tls.span())),
        SettingsError::Tls(_) => store.value.ca.as_ref().map(|ca| ("ca", ca.span())),
        _ => None,
    };
    let (key, place) = key.map_or(("url", url), |(key, span)| (key, store.place(span)));
    let message = format!("`{key}` has a value it cannot have");
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        reason.push_str(&format!(": {deeper}"));
        cause = deeper.source();
    }
    Diagnostic::error("E-STORE", message, place).label(reason)
}
