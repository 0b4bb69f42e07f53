//! TOML files, checked whole, into each room's settings.
//!
//! ```text
//! folder -> Source -> draft (shape by keys.rs, then serde) -> check -> Checked
//!                       |                                       |
//!                       +------------- Diagnostics -------------+
//! ```
//!
//! All files are read and every fault of all of them is reported at once; nothing is bound, opened
//! or changed before. [`Checked`] is all or nothing, so that a reload is too.

mod check;
mod checked;
mod diagnostic;
mod draft;
mod file;
mod folder;
mod keys;
mod reference;
mod scalar;
mod shape;
mod source;
#[cfg(test)]
mod tests;
mod value;

pub use check::{Rooms, check};
pub use checked::{
    AudioSpan, Checked, Dialer, Evidence, Http, Inband, Limits, List, ListKind, Listener,
    LogFormat, Media, Node, Refusal, RegistryRule, Scope, Secret, Server, Store, Telemetry, Trunk,
};
pub use diagnostic::{Diagnostic, Severity};
pub use folder::load;
pub use reference::reference;
pub use source::{Place, Source};
pub use value::nearest;
