//! RTP and RTCP, G.711, prompts and their pace, who may be believed, and the relay between legs.

pub mod g711;
pub mod player;
pub mod prompt;
pub mod quality;
pub mod relay;
pub mod replay;
pub mod reporter;
pub mod rtcp;
pub mod rtp;
pub mod sender;
pub mod source;
