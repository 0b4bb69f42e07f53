//! What the configuration check asks of the other rooms.

use crate::campaign::PromptName;
use crate::config;
use crate::media::prompt::Prompt;
use crate::model::number::NumberReader;

/// The rooms as the configuration check sees them: whether a prompt can be played, a region read,
/// a log filter understood.
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
        crate::telemetry::log::check_filter(filter).map_err(|error| error.to_string())
    }
}
