//! TOML files, checked whole, into each room's settings.

mod checked;

pub use checked::{
    Checked, Codec, Dialer, Http, Inband, Limits, List, Listener, LogFormat, Media, Network, Node,
    Refusal, Scope, Store, Telemetry, Trunk,
};
