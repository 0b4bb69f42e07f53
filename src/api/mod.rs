//! HTTP: health and metrics.
//!
//! ```text
//! GET /health/live    200 while the process answers at all
//! GET /health/ready   200, or 503 with the reasons, as JSON {"ready":false,"reasons":["draining"]}
//! GET /metrics        OpenMetrics text
//! ```
//!
//! Nothing here changes anything, reads a body or knows a phone number. The engine stands behind
//! [`Control`]; this room never names it.

mod listener;
pub mod router;

pub use router::{Control, NotReady, Readiness, serve};
