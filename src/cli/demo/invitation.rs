//! What the user can try once he has seen the demo.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

/// What to try after an engine that has ended.
pub(super) const AFTERWARDS: &str = "\
All as it must be. What to try next:
  bajavoz demo                         the same, and the engine stays up for calls of your own
  bajavoz check --config config        the shipped configuration, checked
  bajavoz run --config config          an engine for your own dialer";

/// Where the engine that stays up can be tried.
#[derive(Debug, Serialize)]
pub(super) struct Invitation {
    /// Where it receives SIP.
    pub(super) sip: SocketAddr,
    /// Health and metrics.
    pub(super) http: SocketAddr,
    /// Its configuration, which names its store.
    pub(super) config: PathBuf,
}

impl Invitation {
    /// In words, with commands that work as they stand.
    pub(super) fn text(&self) -> String {
        let Self { sip, http, config } = self;
        let config = config.display();
        let program = std::env::args().next().unwrap_or_else(|| "bajavoz".to_owned());
        format!(
            "\
All as it must be. The engine and its carrier stay up until Ctrl-C. Try them from this machine:
  sip:+34600000009@{sip}
      Call this with a SIP telephone (UDP, PCMU or PCMA), listen, press 9; then call again.
      With the header `X-Campaign-ID: demo-bridge` the carrier answers, and its person presses 9.
  {program} status --config {config}
  {program} explain +34600000001 --campaign demo-ivr --config {config}
  {program} optout add +34600000010 --list comercial --config {config}
  {program} optout export --config {config}
  {program} reload --config {config}
      Change {config}/bajavoz.toml first.
  curl http://{http}/metrics"
        )
    }
}
