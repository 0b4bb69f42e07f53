//! Writing session descriptions: few lines, in the order of RFC 8866 section 5.

use std::fmt::Write;
use std::net::IpAddr;

use super::description::MediaLine;
use super::direction::Direction;
use super::negotiate::LocalMedia;

/// The audio stream of ours that an `m=` line describes.
pub(super) struct AudioLine<'a> {
    /// `RTP/AVP`, or as the offer has it.
    pub(super) profile: &'a str,
    /// Codecs by payload type and encoding name, the preferred one first.
    pub(super) codecs: &'a [(u8, &'static str)],
    /// The payload type of telephone-events.
    pub(super) events: Option<u8>,
    /// As we see it.
    pub(super) direction: Direction,
}

/// The lines above the first `m=` line.
pub(super) fn session(local: &LocalMedia) -> String {
    let (ip, family) = (local.address.ip(), family(local.address.ip()));
    let (id, version) = (local.session_id, local.version);
    format!("v=0\r\no=- {id} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n")
}

/// Appends our audio stream. Events are the sixteen keys, 0 to 15 (RFC 4733 section 2.4.1).
pub(super) fn audio(text: &mut String, local: &LocalMedia, line: &AudioLine<'_>) {
    let mut formats = String::new();
    let mut attributes = String::new();
    for (payload_type, name) in line.codecs {
        push(&mut formats, format_args!(" {payload_type}"));
        push(&mut attributes, format_args!("a=rtpmap:{payload_type} {name}/8000\r\n"));
    }
    if let Some(events) = line.events {
        push(&mut formats, format_args!(" {events}"));
        push(&mut attributes, format_args!("a=rtpmap:{events} telephone-event/8000\r\n"));
        push(&mut attributes, format_args!("a=fmtp:{events} 0-15\r\n"));
    }
    let (port, profile) = (local.address.port(), line.profile);
    let (ptime_ms, direction) = (local.ptime_ms, line.direction.name());
    push(text, format_args!("m=audio {port} {profile}{formats}\r\n{attributes}"));
    push(text, format_args!("a=ptime:{ptime_ms}\r\na={direction}\r\n"));
}

/// Appends a stream of the offer that we turn down: the same line with port 0 (RFC 3264
/// section 6).
pub(super) fn declined(text: &mut String, offered: &MediaLine) {
    let (kind, profile) = (&offered.kind, &offered.profile);
    push(text, format_args!("m={kind} 0 {profile} {}\r\n", offered.formats.join(" ")));
}

const fn family(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String does not fail");
}
