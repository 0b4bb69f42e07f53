//! Call records: what happened on each call, leg by leg.

pub mod cdr;

pub use cdr::{CallMode, Cdr, Disposition, KeyCounts, LegRecord};
