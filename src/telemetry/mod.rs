//! Logs and metrics.
//!
//! [`log`] sets up tracing on standard error; [`metrics`] holds the Prometheus families that the
//! engine counts in, and [`totals`] those that mirror the counters of the pure rooms.

pub mod error;
mod lines;
pub mod log;
pub mod metrics;
#[cfg(test)]
pub(crate) mod page;
mod retention;
pub mod totals;

pub use error::TelemetryError;
pub use log::Format;
pub use metrics::{ActiveCall, Metrics, StoreFigures};
pub use retention::RetentionFigures;
pub use totals::{Side, Snapshot};
