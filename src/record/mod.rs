//! What happened: call records leg by leg, and the captures that others made of calls.

pub mod cdr;
pub mod pcap;

pub use cdr::{CallMode, Cdr, Disposition, KeyCounts, LegRecord};
