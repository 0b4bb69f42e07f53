//! The two audio codecs of the telephone network, and which payload type carries what.

use std::fmt;

/// A G.711 codec: one octet a sample, 8000 samples a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// ITU-T G.711 mu-law, static payload type 0.
    Pcmu,
    /// ITU-T G.711 A-law, static payload type 8.
    Pcma,
}

impl Codec {
    /// Both codecs, in the order of their payload types.
    pub const ALL: [Self; 2] = [Self::Pcmu, Self::Pcma];

    /// The static payload type, RFC 3551 table 4.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The codec of a static payload type.
    pub const fn from_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            _ => None,
        }
    }

    /// The encoding name of an `a=rtpmap` line; names are case-insensitive (RFC 4855 section 3).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The codec of an encoding name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Samples, octets and RTP ticks in a second.
    pub const fn clock_hz(self) -> u32 {
        8000
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the payload of an RTP packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// Samples of this codec.
    Audio(Codec),
    /// A telephone-event (RFC 4733).
    Event,
}

/// Which payload types were negotiated for one direction, and what each of them carries.
///
/// Stored in place and read for every packet: a scan over at most [`PayloadMap::LEN_MAX`] entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadMap {
    entries: [Option<(u8, PayloadKind)>; Self::LEN_MAX],
}

impl PayloadMap {
    /// Two codecs and an event format, each under our number and under the peer's.
    pub const LEN_MAX: usize = 6;

    /// Adds a payload type; false, and nothing changes, when it is taken or the map is full.
    pub fn insert(&mut self, payload_type: u8, kind: PayloadKind) -> bool {
        if self.kind(payload_type).is_some() {
            return false;
        }
        let Some(slot) = self.entries.iter_mut().find(|slot| slot.is_none()) else { return false };
        *slot = Some((payload_type, kind));
        true
    }

    /// What `payload_type` carries; `None` when it was not negotiated.
    pub fn kind(&self, payload_type: u8) -> Option<PayloadKind> {
        self.iter().find(|&(known, _)| known == payload_type).map(|(_, kind)| kind)
    }

    /// Every negotiated payload type, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (u8, PayloadKind)> + '_ {
        self.entries.iter().map_while(|entry| *entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_find_their_codec() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_payload_type(codec.payload_type()), Some(codec));
            assert_eq!(Codec::from_name(&codec.name().to_lowercase()), Some(codec));
        }
        assert_eq!((Codec::from_payload_type(9), Codec::from_name("G722")), (None, None));
    }

    #[test]
    fn a_payload_map_keeps_its_first_word_and_its_limit() {
        let mut map = PayloadMap::default();
        assert!(map.insert(0, PayloadKind::Audio(Codec::Pcmu)));
        assert!(!map.insert(0, PayloadKind::Event), "a number has one meaning");
        for payload_type in 96..101 {
            assert!(map.insert(payload_type, PayloadKind::Event));
        }
        assert!(!map.insert(101, PayloadKind::Event), "the seventh finds no room");
        assert_eq!(map.kind(0), Some(PayloadKind::Audio(Codec::Pcmu)));
        assert_eq!(map.kind(101), None);
        assert_eq!(map.iter().count(), PayloadMap::LEN_MAX);
    }
}
