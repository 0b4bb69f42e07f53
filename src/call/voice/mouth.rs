//! What is said on one leg: prompts on the 20 ms slot, and what is passed on from the other leg,
//! in one RTP stream.

use std::sync::Arc;
use std::time::Instant;

use super::Played;
use crate::media::player::Idle;
use crate::media::player::Player;
use crate::media::prompt::Prompt;
use crate::media::relay::Mapped;
use crate::media::relay::Relay;
use crate::media::reporter::Reporter;
use crate::media::rtcp::RTCP_LEN_MAX;
use crate::media::rtp::RtpPacket;
use crate::media::sender::RtpSender;
use crate::model::Codec;
use crate::model::time::WallAnchor;
use crate::model::token::TokenSource;
use crate::sdp::Negotiated;

/// The mouth of one leg.
#[derive(Debug)]
pub(super) struct Mouth {
    sender: RtpSender,
    relay: Relay,
    player: Player,
    payload_type: u8,
    playing: Option<Playing>,
    /// What is told to the peer of both streams, by RTCP.
    pub(super) reporter: Reporter,
    wall: WallAnchor,
    opened_at: Instant,
}

/// A list of prompts that is being played.
#[derive(Debug)]
struct Playing {
    token: u64,
    started_at: Option<Instant>,
    frames: u32,
    /// Frames for which there was nowhere to go.
    missed: u32,
}

impl Mouth {
    pub(super) fn new(now: Instant, wall: WallAnchor, tokens: &mut TokenSource) -> Self {
        Self {
            sender: RtpSender::new(now, tokens),
            relay: Relay::new(),
            player: Player::new(Codec::Pcmu, Idle::Nothing),
            payload_type: Codec::Pcmu.payload_type(),
            playing: None,
            reporter: Reporter::new(now, TokenSource::new(tokens.next_seed())),
            wall,
            opened_at: now,
        }
    }

    /// Follows a negotiation. Prompts that are playing go on only in the same codec.
    pub(super) fn settle(&mut self, media: &Negotiated) -> Option<Played> {
        self.payload_type = media.payload_type;
        if self.player.codec() == media.codec {
            return None;
        }
        let cut = self.stop();
        self.player = Player::new(media.codec, Idle::Nothing);
        cut
    }

    /// Begins to play; what was playing is returned as far as it came.
    pub(super) fn play(&mut self, token: u64, prompts: &[Arc<Prompt>]) -> Option<Played> {
        let before = self.stop();
        self.player.start(prompts.iter().map(AsRef::as_ref));
        self.playing = Some(Playing { token, started_at: None, frames: 0, missed: 0 });
        before
    }

    /// Stops what is playing.
    pub(super) fn stop(&mut self) -> Option<Played> {
        self.player.stop();
        self.finish(false)
    }

    fn finish(&mut self, whole: bool) -> Option<Played> {
        let Playing { token, started_at, frames, .. } = self.playing.take()?;
        // With no frame sent nobody looks at the time.
        let started_at = started_at.unwrap_or(self.opened_at);
        Some(Played { token, started_at, frames, whole })
    }

    /// The next 20 ms of what is playing, written into `buf`; and, with the last of it, how far
    /// it came. A frame for which there is nowhere to go passes unheard, and is not counted.
    pub(super) fn next_frame(
        &mut self,
        now: Instant,
        is_heard: bool,
        buf: &mut [u8],
    ) -> (Option<usize>, Option<Played>) {
        if self.playing.is_none() {
            return (None, None);
        }
        let Some(frame) = self.player.next_frame() else {
            let is_whole = self.playing.as_ref().is_some_and(|playing| playing.missed == 0);
            return (None, self.finish(is_whole));
        };
        if !is_heard {
            if let Some(playing) = &mut self.playing {
                playing.missed += 1;
            }
            return (None, None);
        }
        let begins = frame.begins;
        let len = self.sender.write_frame(now, buf, self.payload_type, begins, frame.octets);
        if let Some(playing) = &mut self.playing {
            playing.started_at.get_or_insert(now);
            playing.frames += 1;
        }
        (len, None)
    }

    /// A packet of the other leg, rewritten for this one.
    pub(super) fn pass_on(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
        mapped: Mapped,
        buf: &mut [u8],
    ) -> Option<usize> {
        if self.playing.is_some() {
            return None; // The person hears the prompt, not both.
        }
        self.relay.forward(now, &mut self.sender, packet, mapped, buf)
    }

    /// Passes the other leg's packets on, or stops doing so.
    pub(super) fn set_relay(&mut self, on: bool) {
        if on {
            self.relay.resume();
        } else {
            self.relay.stop();
        }
    }

    /// An RTCP report, when one is due.
    pub(super) fn report(&mut self, now: Instant, buf: &mut [u8; RTCP_LEN_MAX]) -> Option<usize> {
        self.reporter.handle_timeout(now, self.wall.wall_at(now), &self.sender, buf)
    }

    /// The last RTCP report, which says that we leave.
    pub(super) fn farewell(&mut self, now: Instant, buf: &mut [u8; RTCP_LEN_MAX]) -> usize {
        self.reporter.handle_end(now, self.wall.wall_at(now), &self.sender, buf)
    }

    /// A report of the peer. It informs; nothing in it ends or moves a call.
    pub(super) fn hear_report(&mut self, now: Instant, datagram: &[u8]) {
        let wall = self.wall.wall_at(now);
        // What is no RTCP is counted by the reporter.
        let _ = self.reporter.handle_rtcp(now, wall, self.sender.ssrc(), datagram);
    }

    /// RTP packets sent.
    pub(super) fn packets(&self) -> u64 {
        self.sender.counters().packets
    }
}
