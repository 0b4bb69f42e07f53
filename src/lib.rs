//! Bajavoz: a telephony opt-out engine that speaks SIP and RTP.
//!
//! Voice campaign dialers route their calls through it. It gates every INVITE against the
//! suppression lists, listens for the person's keys from answer to hang-up, makes an opt-out
//! durable, and only then confirms it. `ARCHITECTURE.md` draws the house; the order of the
//! modules below is the order of its rooms: pure ones first, then drivers, then wiring.

// Pure rooms: no socket, clock, thread, file, randomness or async.
pub mod model;

pub mod dtmf;
pub mod media;
pub mod sdp;
pub mod sip;

pub mod campaign;
pub mod menu;
pub mod record;
pub mod suppression;

pub mod call;

// Drivers: each owns one outside thing.
pub mod api;
pub mod net;
pub mod store;
pub mod telemetry;

// Wiring.
pub mod cli;
pub mod config;
pub mod engine;
