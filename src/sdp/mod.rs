//! Session descriptions (RFC 8866) and the offer/answer model (RFC 3264).
//!
//! One audio stream of G.711 with telephone-events (RFC 4733) is what we offer and what we take;
//! every other stream of an offer is answered with port 0. The room is stateless: a refusal is a
//! typed [`SdpError`], which whoever holds the call counts and turns into a status.
//!
//! Deliberately absent: multiplexing RTP and RTCP, ICE, SRTP profiles, transcoding, host names.

mod description;
mod direction;
mod error;
mod lines;
mod negotiate;
mod write;

pub use description::{BODY_LEN_MAX, FORMATS_MAX, MEDIA_MAX};
pub use direction::Direction;
pub use error::SdpError;
pub use lines::Lines;
pub use negotiate::{EventFormat, LocalMedia, Negotiated, Offer, accept, offer};
