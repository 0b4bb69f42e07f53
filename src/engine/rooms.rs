//! What the rooms say to the values of a configuration: judged by the very code that uses them.

use std::io;

use crate::campaign::PromptName;
use crate::config;
use crate::media::prompt::Prompt;
use crate::model::NumberReader;
use crate::store::StoreError;
use crate::store::Target;
use crate::store::postgres;
use crate::telemetry::Format;
use crate::telemetry::TelemetryError;
use crate::telemetry::log;

/// The rooms of this engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rooms;

impl config::Rooms for Rooms {
    fn prompt(&self, name: &PromptName, wav: &[u8]) -> Result<(), String> {
        Prompt::from_wav(name.as_str(), wav).map(drop).map_err(|error| error.to_string())
    }

    fn is_region(&self, region: &str) -> bool {
        NumberReader::new(region).is_ok()
    }

    fn log_filter(&self, filter: &str) -> Result<(), String> {
        match log::subscriber(Format::Pretty, filter, false, io::sink) {
            Ok(_subscriber) => Ok(()),
            Err(TelemetryError::Filter { reason, .. }) => Err(reason),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The database that the configuration names.
///
/// # Errors
///
/// [`StoreError::Server`] when the server's certificates were taken away since the check.
pub fn target(store: &config::Store) -> Result<Target, StoreError> {
    let Some(server) = &store.server else { return Ok(Target::Sqlite) };
    let settings = postgres::Settings::new(server.url.reveal(), server.tls.clone());
    let settings = settings.map_err(postgres::ServerError::from)?;
    Ok(Target::Postgres(Box::new(settings)))
}

/// The configuration `text`, in which `AUDIO` stands for the folder of the prompts that we ship.
#[cfg(test)]
pub(super) fn checked_from(text: &str) -> config::Checked {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = text.replace("AUDIO", &root.join("audio").display().to_string());
    let sources = [config::Source::new("a.toml", text)];
    config::check(&sources, std::path::Path::new("/"), &Rooms)
        .unwrap_or_else(|faults| panic!("{faults:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rooms as _;

    #[test]
    fn the_rooms_judge_what_they_will_use() {
        assert!(Rooms.is_region("ES") && Rooms.is_region("mx") && !Rooms.is_region("Spain"));
        assert_eq!(Rooms.log_filter("info,bajavoz::sip=debug"), Ok(()));
        assert!(Rooms.log_filter("bajavoz=loud").is_err());
        let name = PromptName::new("es", "welcome");
        let refused = Rooms.prompt(&name, b"RIFF").unwrap_err();
        assert!(!refused.contains('\n'), "one line: {refused}");
    }
}
