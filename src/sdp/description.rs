//! What a session description says, as far as we ask: its streams, their addresses and formats.
//!
//! The only file that knows the parser's types.
#![deny(clippy::indexing_slicing)]

use std::borrow::Cow;
use std::net::IpAddr;

use sdp_types::Attribute;
use sdp_types::Connection;
use sdp_types::Media;
use sdp_types::ParserError;
use sdp_types::Session;

use super::direction::Direction;
use super::error::SdpError;
use crate::model::Codec;

/// Longest body, in octets. Our choice: a browser's offer with twenty codecs and its candidates
/// stays below 8 KiB; a carrier's is 300 octets.
pub const BODY_LEN_MAX: usize = 16 * 1024;

/// Most `m=` lines. Our choice: audio, video, text, image and application, three times over.
pub const MEDIA_MAX: usize = 16;

/// Most formats in one `m=` line: more than the dynamic payload types there are (RFC 3551
/// section 3 has 32, and 32 to 34 static ones are in use).
pub const FORMATS_MAX: usize = 64;

/// The streams of a description, in their order.
#[derive(Clone, Debug)]
pub(super) struct Description {
    /// The `m=` lines.
    pub(super) media: Vec<MediaLine>,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaLine {
    /// `audio`, `video`, ..
    pub(super) kind: String,
    /// Where RTP is wanted; 0 switches the stream off.
    pub(super) port: u16,
    /// `RTP/AVP`, ..
    pub(super) profile: String,
    /// Formats in the order of preference.
    pub(super) formats: Vec<String>,
    /// Where to send, by the stream's own `c=` line or the session's.
    pub(super) address: Address,
    /// `a=rtcp` (RFC 3605): a port, and an address if it differs.
    pub(super) rtcp: Option<(u16, Option<IpAddr>)>,
    /// `a=ptime`: how much audio a packet should hold.
    pub(super) ptime_ms: Option<u8>,
    /// The stream's own direction, or the session's.
    pub(super) direction: Direction,
    mappings: Vec<Mapping>,
}

/// What a `c=` line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// There is no such line.
    Missing,
    /// A name, or an address of another network.
    HostName,
    /// An address; unspecified (`0.0.0.0`) for hold as in RFC 2543.
    Ip(IpAddr),
}

/// One `a=rtpmap` line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapping {
    payload_type: u8,
    name: String,
    clock_hz: u32,
    channels: u32,
}

impl Description {
    pub(super) fn parse(body: &[u8]) -> Result<Self, SdpError> {
        if body.len() > BODY_LEN_MAX {
            return Err(SdpError::BodyLen { found: body.len() });
        }
        let session = Session::parse(&readable(body)).map_err(|error| fault(&error))?;
        if session.medias.len() > MEDIA_MAX {
            return Err(SdpError::MediaCount { found: session.medias.len() });
        }
        let address = session.connection.as_ref().map_or(Address::Missing, address_of);
        let direction = direction_of(&session.attributes).unwrap_or_default();
        let media = session.medias.iter().map(|media| MediaLine::read(media, address, direction));
        Ok(Self { media: media.collect::<Result<_, _>>()? })
    }
}

impl MediaLine {
    fn read(media: &Media, address: Address, direction: Direction) -> Result<Self, SdpError> {
        if !(media.media.is_ascii() && media.proto.is_ascii() && media.fmt.is_ascii()) {
            return Err(SdpError::Syntax { line: 0, fault: "an m= line that is not ASCII" });
        }
        let formats: Vec<String> = media.fmt.split_ascii_whitespace().map(str::to_owned).collect();
        if formats.len() > FORMATS_MAX {
            return Err(SdpError::FormatCount { found: formats.len() });
        }
        if formats.is_empty() {
            return Err(SdpError::Syntax { line: 0, fault: "an m= line without a format" });
        }
        Ok(Self {
            kind: media.media.clone(),
            port: media.port,
            profile: media.proto.clone(),
            formats,
            address: media.connections.first().map_or(address, address_of),
            rtcp: values(&media.attributes, "rtcp").find_map(read_rtcp),
            ptime_ms: values(&media.attributes, "ptime").find_map(read_ptime),
            direction: direction_of(&media.attributes).unwrap_or(direction),
            mappings: values(&media.attributes, "rtpmap").filter_map(read_mapping).collect(),
        })
    }

    /// The payload types of the formats, in their order; what is no payload type is left out.
    fn payload_types(&self) -> impl Iterator<Item = u8> + '_ {
        self.formats.iter().filter_map(|format| format.parse().ok()).filter(|&number| number < 128)
    }

    /// The codecs that the stream offers, each with its payload type, in its order of preference.
    pub(super) fn codecs(&self) -> impl Iterator<Item = (u8, Codec)> + '_ {
        self.payload_types()
            .filter_map(|payload_type| Some((payload_type, self.codec(payload_type)?)))
    }

    /// The payload type of telephone-events whose clock is `clock_hz` (RFC 4733 section 2.1: that
    /// of the audio they stand in for).
    pub(super) fn events(&self, clock_hz: u32) -> Option<u8> {
        self.payload_types().find(|&payload_type| {
            self.mapping(payload_type).is_some_and(|mapping| {
                mapping.name.eq_ignore_ascii_case("telephone-event") && mapping.clock_hz == clock_hz
            })
        })
    }

    fn codec(&self, payload_type: u8) -> Option<Codec> {
        let Some(mapping) = self.mapping(payload_type) else {
            return Codec::from_payload_type(payload_type);
        };
        let codec = Codec::from_name(&mapping.name)?;
        (mapping.clock_hz == codec.clock_hz() && mapping.channels == 1).then_some(codec)
    }

    fn mapping(&self, payload_type: u8) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.payload_type == payload_type)
    }
}

/// The body as the parser can read it: octets above 127 that are no UTF-8 become question marks,
/// save in the lines whose meaning they would change. Session names in Latin-1 are common.
fn readable(body: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(body).is_ok() {
        return Cow::Borrowed(body);
    }
    let mut repaired = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        let is_kept = matches!(line, [b'm' | b'c', b'=', ..]);
        let repair = |&octet: &u8| if octet.is_ascii() || is_kept { octet } else { b'?' };
        repaired.extend(line.iter().map(repair));
    }
    Cow::Owned(repaired)
}

fn fault(error: &ParserError) -> SdpError {
    let (line, fault) = match *error {
        ParserError::InvalidLineFormat(line, fault)
        | ParserError::InvalidFieldEncoding(line, fault)
        | ParserError::InvalidFieldFormat(line, fault)
        | ParserError::MissingField(line, fault)
        | ParserError::FieldTrailingData(line, fault) => (line, fault),
        ParserError::InvalidVersion(line, _) => (line, "a version that is not 0"),
        ParserError::NoVersion => (0, "no v= line"),
        ParserError::MultipleVersions(line)
        | ParserError::MultipleOrigins(line)
        | ParserError::MultipleSessionNames(line)
        | ParserError::MultipleSessionDescription(line)
        | ParserError::MultipleUris(line)
        | ParserError::MultipleConnections(line)
        | ParserError::MultipleTimeZones(line)
        | ParserError::MultipleMediaTitles(line)
        | ParserError::MultipleKeys(line) => (line, "a line that may stand only once"),
        ParserError::RepeatWithoutTime(line) => (line, "an r= line without a t= line"),
        // What remains are variants that the parser no longer gives.
        _ => (0, "a line that cannot stand here"),
    };
    SdpError::Syntax { line, fault }
}

fn address_of(connection: &Connection) -> Address {
    let text = connection.connection_address.split('/').next().unwrap_or_default();
    text.parse().map_or(Address::HostName, Address::Ip)
}

fn values<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |attribute| attribute.attribute.eq_ignore_ascii_case(name))
        .filter_map(|attribute| attribute.value.as_deref())
}

fn direction_of(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| Direction::from_name(&attribute.attribute))
}

/// `53020 IN IP4 192.0.2.4`, the address being optional (RFC 3605 section 2.1).
fn read_rtcp(value: &str) -> Option<(u16, Option<IpAddr>)> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok().filter(|&port| port != 0)?;
    Some((port, words.nth(2).and_then(|address| address.parse().ok())))
}

fn read_ptime(value: &str) -> Option<u8> {
    // Some write fractions, such as 20.0; the milliseconds are what counts.
    value.trim().split('.').next()?.parse().ok().filter(|&ptime_ms| ptime_ms != 0)
}

/// `101 telephone-event/8000` or `0 PCMU/8000/1` (RFC 8866 section 6.6).
fn read_mapping(value: &str) -> Option<Mapping> {
    let (payload_type, encoding) = value.trim().split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    Some(Mapping {
        payload_type: payload_type.parse().ok()?,
        name: parts.next()?.to_owned(),
        clock_hz: parts.next()?.parse().ok()?,
        channels: parts.next().map_or(Some(1), |channels| channels.parse().ok())?,
    })
}
