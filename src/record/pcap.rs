//! Captures: the frames of a pcap or pcapng file, from its bytes.
//!
//! ```text
//! pcap     header (24 octets), then per frame: seconds, fraction, captured, original, octets
//! pcapng   blocks: type, length, body, length; of them section headers, interfaces and packets
//! ```
//!
//! A capture is often cut off, or written while it is read: what is whole is given, and
//! [`Capture::end`] says how the reading ended. Sources: draft-ietf-opsawg-pcap and
//! draft-ietf-opsawg-pcapng. Deliberately absent: name resolution, options of packets, and any
//! frame but those that [`datagram`] opens.

#![deny(clippy::indexing_slicing)]

use crate::model::UnixMicros;

pub mod datagram;
mod octets;

pub use datagram::Datagram;

use octets::Endian;

/// Longest frame that is believed: beyond this a length is damage. A jumbo frame has 9000 octets,
/// and tcpdump never writes more than this.
pub const FRAME_LEN_MAX: usize = 262_144;

/// Most interfaces in one section of a pcapng file; our choice, far above any machine's.
const INTERFACES_MAX: usize = 1_024;

const PCAP_MICROS: u32 = 0xA1B2_C3D4;
const PCAP_NANOS: u32 = 0xA1B2_3C4D;
const NG_SECTION: u32 = 0x0A0D_0D0A;
const NG_ORDER: u32 = 0x1A2B_3C4D;
const NG_INTERFACE: u32 = 1;
const NG_SIMPLE: u32 = 3;
const NG_ENHANCED: u32 = 6;

/// `if_tsresol`: the resolution of an interface's times.
const NG_RESOLUTION: u16 = 9;

/// Why bytes are no capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PcapError {
    /// They begin like neither format.
    #[error("expected a pcap or pcapng file, found {found:#010x} at its beginning")]
    Magic {
        /// The first four octets, read with the most significant first.
        found: u32,
    },
    /// They end within the file's header.
    #[error("expected a capture's header, found {found} octets")]
    Short {
        /// How many there are.
        found: usize,
    },
}

/// How the reading of a capture ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Not yet.
    #[default]
    Reading,
    /// With the last frame's last octet.
    Whole,
    /// Within a frame: the file is cut off.
    CutOff,
    /// At a length that cannot be: the file is damaged from there on.
    Damaged,
}

/// One frame as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When; zero where the format does not say.
    pub at: UnixMicros,
    /// The link type of its interface, as `LINKTYPE_` numbers it.
    pub link: u32,
    /// What was captured of it, which may be less than it had.
    pub bytes: &'a [u8],
}

/// A capture that is read frame by frame.
#[derive(Debug)]
pub struct Capture<'a> {
    rest: &'a [u8],
    form: Form,
    end: End,
}

#[derive(Debug)]
enum Form {
    Pcap { endian: Endian, ticks_per_second: u64, link: u32 },
    Ng { endian: Endian, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    snap_len: u32,
    ticks_per_second: u64,
}

/// What came of reading one piece of the file.
enum Step<'a> {
    Frame(Frame<'a>),
    /// A block that holds no frame.
    Nothing,
    End(End),
}

impl<'a> Capture<'a> {
    /// Reads the file's header.
    ///
    /// # Errors
    ///
    /// [`PcapError`] when the bytes are no capture.
    pub fn open(bytes: &'a [u8]) -> Result<Self, PcapError> {
        let short = PcapError::Short { found: bytes.len() };
        let big = Endian::Big.u32_at(bytes, 0).ok_or(short)?;
        let little = Endian::Little.u32_at(bytes, 0).ok_or(short)?;
        if big == NG_SECTION {
            let form = Form::Ng { endian: Endian::Little, interfaces: Vec::new() };
            return Ok(Self { rest: bytes, form, end: End::Reading });
        }
        let (endian, ticks_per_second) = match (big, little) {
            (PCAP_MICROS, _) => (Endian::Big, 1_000_000),
            (PCAP_NANOS, _) => (Endian::Big, 1_000_000_000),
            (_, PCAP_MICROS) => (Endian::Little, 1_000_000),
            (_, PCAP_NANOS) => (Endian::Little, 1_000_000_000),
            _ => return Err(PcapError::Magic { found: big }),
        };
        // The upper bits say whether frames end with a checksum, which nobody here looks at.
        let link = endian.u32_at(bytes, 20).ok_or(short)? & 0xFFFF;
        let rest = bytes.get(24..).ok_or(short)?;
        Ok(Self { rest, form: Form::Pcap { endian, ticks_per_second, link }, end: End::Reading })
    }

    /// How the reading ended; [`End::Reading`] before it has.
    pub const fn end(&self) -> End {
        self.end
    }

    fn step(&mut self) -> Step<'a> {
        if self.rest.is_empty() {
            return Step::End(End::Whole);
        }
        match &mut self.form {
            Form::Pcap { endian, ticks_per_second, link } => {
                pcap_frame(&mut self.rest, *endian, *ticks_per_second, *link)
            }
            Form::Ng { endian, interfaces } => ng_block(&mut self.rest, endian, interfaces),
        }
    }
}

impl<'a> Iterator for Capture<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        while self.end == End::Reading {
            match self.step() {
                Step::Frame(frame) => return Some(frame),
                Step::Nothing => {}
                Step::End(end) => self.end = end,
            }
        }
        None
    }
}

/// The next record of a pcap file: `ts_sec, ts_frac, captured, original`, 4 octets each.
fn pcap_frame<'a>(rest: &mut &'a [u8], endian: Endian, ticks: u64, link: u32) -> Step<'a> {
    let field = |at| endian.u32_at(rest, at);
    let (Some(seconds), Some(fraction), Some(len)) = (field(0), field(4), field(8)) else {
        return Step::End(End::CutOff);
    };
    let len = len as usize;
    if len > FRAME_LEN_MAX {
        return Step::End(End::Damaged);
    }
    let Some(bytes) = rest.get(16..16 + len) else { return Step::End(End::CutOff) };
    *rest = rest.get(16 + len..).unwrap_or_default();
    let at = wall(u64::from(seconds).saturating_mul(ticks) + u64::from(fraction), ticks);
    Step::Frame(Frame { at, link, bytes })
}

/// The next block of a pcapng file: `type, length, body, length`.
fn ng_block<'a>(
    rest: &mut &'a [u8],
    endian: &mut Endian,
    interfaces: &mut Vec<Interface>,
) -> Step<'a> {
    let Some(kind) = endian.u32_at(rest, 0) else { return Step::End(End::CutOff) };
    if kind == NG_SECTION {
        match Endian::Big.u32_at(rest, 8) {
            Some(NG_ORDER) => *endian = Endian::Big,
            Some(_) => *endian = Endian::Little,
            None => return Step::End(End::CutOff),
        }
        interfaces.clear();
    }
    let Some(len) = endian.u32_at(rest, 4) else { return Step::End(End::CutOff) };
    let len = len as usize;
    if len < 12 || !len.is_multiple_of(4) || len > FRAME_LEN_MAX + 4_096 {
        return Step::End(End::Damaged);
    }
    let Some(body) = rest.get(8..len - 4) else { return Step::End(End::CutOff) };
    if rest.len() < len {
        return Step::End(End::CutOff);
    }
    *rest = rest.get(len..).unwrap_or_default();
    match kind {
        NG_INTERFACE => match interface(body, *endian) {
            Some(interface) if interfaces.len() < INTERFACES_MAX => {
                interfaces.push(interface);
                Step::Nothing
            }
            _ => Step::End(End::Damaged),
        },
        NG_ENHANCED => enhanced(body, *endian, interfaces),
        NG_SIMPLE => simple(body, *endian, interfaces),
        _ => Step::Nothing,
    }
}

/// `linktype (2), reserved (2), snaplen (4), options`.
fn interface(body: &[u8], endian: Endian) -> Option<Interface> {
    let link = u32::from(endian.u16_at(body, 0)?);
    let snap_len = endian.u32_at(body, 4)?;
    let mut ticks_per_second = 1_000_000;
    let mut options = body.get(8..).unwrap_or_default();
    while let (Some(code), Some(len)) = (endian.u16_at(options, 0), endian.u16_at(options, 2)) {
        let len = usize::from(len);
        if code == 0 {
            break;
        }
        if let (NG_RESOLUTION, Some(&resolution)) = (code, options.get(4)) {
            ticks_per_second = resolution_of(resolution)?;
        }
        options = options.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Interface { link, snap_len, ticks_per_second })
}

/// The ticks of a second: a power of ten, or of two when the upper bit is set.
fn resolution_of(octet: u8) -> Option<u64> {
    let power = u32::from(octet & 0x7F);
    let base: u64 = if octet & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(power)
}

/// `interface, time high, time low, captured, original`, 4 octets each, then the frame.
fn enhanced<'a>(body: &'a [u8], endian: Endian, interfaces: &[Interface]) -> Step<'a> {
    let field = |at| endian.u32_at(body, at);
    let (Some(interface), Some(high), Some(low), Some(len)) =
        (field(0), field(4), field(8), field(12))
    else {
        return Step::End(End::Damaged);
    };
    let interface = interfaces.get(interface as usize);
    let (Some(interface), Some(bytes)) = (interface, body.get(20..20 + len as usize)) else {
        return Step::End(End::Damaged);
    };
    let ticks = u64::from(high) << 32 | u64::from(low);
    let at = wall(ticks, interface.ticks_per_second);
    Step::Frame(Frame { at, link: interface.link, bytes })
}

/// `original`, 4 octets, then the frame as far as the interface captures; it has no time.
fn simple<'a>(body: &'a [u8], endian: Endian, interfaces: &[Interface]) -> Step<'a> {
    let (Some(original), Some(interface)) = (endian.u32_at(body, 0), interfaces.first()) else {
        return Step::End(End::Damaged);
    };
    let snap_len = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
    let len = original.min(snap_len) as usize;
    match body.get(4..).and_then(|frame| frame.get(..len)) {
        Some(bytes) => {
            Step::Frame(Frame { at: UnixMicros::default(), link: interface.link, bytes })
        }
        None => Step::End(End::Damaged),
    }
}

/// `ticks` since 1970, of which a second has `per_second`, at least one.
fn wall(ticks: u64, per_second: u64) -> UnixMicros {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(per_second.max(1));
    UnixMicros(i64::try_from(micros).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
