//! Arguments of `decode`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `decode`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Decode {
    /// A WAV file (8000 Hz, mono), or a capture (pcap or pcapng).
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// The payload type of telephone-events, where the capture holds no SDP that says it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=127))]
    pub(in crate::cli) event_pt: Option<u8>,
}

pub(super) const DECODE_EXAMPLES: &str = "\
Examples:
  bajavoz decode prompt.wav
  bajavoz decode call.pcap --json | jq -r .digit
  bajavoz decode rtp-only.pcapng --event-pt 101
  bajavoz decode quiet.wav --config config          by the limits of its [media.inband]

A capture may hold SIP: then its SDP says what the payload types are. Without SIP, payload types 0
and 8 are audio, and packets of four bytes of a dynamic type beside audio are telephone-events.
Keys by SIP INFO are listed too, as a stream of their own.";
