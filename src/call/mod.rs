//! The call itself: the only pure room that knows both wire and domain.
//!
//! A shard holds its [`Calls`]: SIP datagrams, voice events and acknowledgements of the ledger go
//! in, [`Output`]s come out. The media of each call is a [`Voice`], which runs on a media thread
//! and speaks with its call by [`VoiceCommand`] and [`VoiceEvent`] alone.
//!
//! Deliberately absent: originating calls, transfer, and carrier failover.

mod audio;
mod bridge;
mod calls;
mod cdr;
mod commit;
mod dispatch;
mod ending;
mod gate;
mod ivr;
mod judgement;
mod machine;
mod occupancy;
pub mod outcome;
mod output;
mod reoffer;
pub mod rules;
#[cfg(test)]
mod tests;
mod voice;

pub use calls::Calls;
pub use commit::Acknowledgement;
pub use judgement::{Checks, Moment, Numbers, Objection};
pub use output::LiveCall;
pub use output::Measure;
pub use output::Output;
pub use rules::Rules;
pub use voice::{
    Ear, Hearing, LegReport, OpenedVoice, Played, Voice, VoiceCommand, VoiceEvent, VoiceId,
    VoiceOut, VoiceReport, VoiceSettings,
};
