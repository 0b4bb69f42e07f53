//! The last seconds of what a peer has said, and a little of what it says next: the audio around a
//! key press, as evidence.
//!
//! ```text
//!        |<------- before -------->|<--- after --->|
//!  - - - - - - - - - - - - - - - - mark - - - - - -
//!  a ring: the oldest octets make room             then it is full, and nothing is added
//! ```
//!
//! The octets are those that came, G.711, on the sender's clock: what was lost or not said is
//! silence, and a packet that comes late is put in its place. All memory is taken when the clip is
//! made; a packet costs a copy of its payload. Deliberately absent: codecs other than G.711, and
//! what we sent to the peer, which is known by the prompt's hash.

use std::time::Duration;

use super::g711;
use super::rtp::RtpTimestamp;
use crate::model::Codec;

/// G.711's samples in a second, an octet each.
const RATE_HZ: usize = 8000;

/// Longest time before and after the mark, each. Our choice: what a person says around a key is
/// said in seconds, and 240 kB a call are kept for both.
pub const SIDE_MAX: Duration = Duration::from_secs(30);

/// How much earlier than the end a packet may come late, in octets. Our choice: a second is far more
/// than a network holds one packet back; what is earlier still is another clock.
const LATE_MAX: usize = RATE_HZ;

/// What is around the octets in a WAV file that is not linear: RIFF, `fmt ` of 18, `fact`, `data`.
const WAV_HEADER_LEN: usize = 58;

/// Audio on its way into evidence.
#[derive(Clone)]
pub struct Clip {
    codec: Codec,
    ring: Box<[u8]>,
    /// Where the next octet goes.
    end: usize,
    /// Octets that were written, up to the whole ring.
    len: usize,
    /// The timestamp behind the last octet.
    next: Option<RtpTimestamp>,
    /// Octets that are still to come; nothing before the mark.
    left: Option<usize>,
    after: usize,
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { codec, len, left, .. } = self;
        f.debug_struct("Clip").field("codec", codec).field("len", len).field("left", left).finish()
    }
}

impl Clip {
    /// An empty clip for so much audio before and after the mark, [`SIDE_MAX`] each at most.
    pub fn new(before: Duration, after: Duration) -> Self {
        let (before, after) = (octets_in(before), octets_in(after));
        Self {
            codec: Codec::Pcma,
            ring: vec![0; before + after].into(),
            end: 0,
            len: 0,
            next: None,
            left: None,
            after,
        }
    }

    /// Takes the audio of a believed packet, whose first octet was said at `timestamp`.
    pub fn hear(&mut self, codec: Codec, timestamp: RtpTimestamp, payload: &[u8]) {
        if self.len == 0 {
            self.codec = codec;
        }
        let gap = self.next.map_or(0, |next| timestamp.since(next));
        let back = gap.unsigned_abs() as usize;
        if gap < 0 && back <= LATE_MAX {
            return self.put_late(codec, back, payload);
        }
        // Too far off is another clock, which nothing says the distance to.
        let silence = usize::try_from(gap).ok().filter(|gap| *gap <= self.ring.len());
        self.push_silence(silence.unwrap_or_default());
        for octet in payload {
            let octet = self.recoded(codec, *octet);
            self.push(octet);
        }
        self.next = Some(timestamp.plus(i32::try_from(payload.len()).unwrap_or_default()));
    }

    /// From here on only so much is added as was asked for after the mark.
    pub fn mark(&mut self) {
        self.left.get_or_insert(self.after);
    }

    /// How much is added behind the mark at most.
    pub fn after(&self) -> Duration {
        duration_of(self.after)
    }

    /// Whether it was marked.
    pub const fn is_marked(&self) -> bool {
        self.left.is_some()
    }

    /// How much it holds.
    pub fn duration(&self) -> Duration {
        duration_of(self.len)
    }

    /// How much of it is before the mark; all of it without one.
    pub fn before_mark(&self) -> Duration {
        let after = self.left.map_or(0, |left| self.after - left);
        duration_of(self.len.saturating_sub(after))
    }

    /// The clip as a WAV file: one channel, 8000 Hz, G.711 under its format tag (6 or 7, RFC 2361).
    pub fn to_wav(&self) -> Vec<u8> {
        let len = u32::try_from(self.len).unwrap_or(u32::MAX);
        let tag: u16 = match self.codec {
            Codec::Pcma => 6,
            Codec::Pcmu => 7,
        };
        let rate = (RATE_HZ as u32).to_le_bytes();
        let pad = len % 2;
        let mut wav = Vec::with_capacity(WAV_HEADER_LEN + self.len + 1);
        wav.extend_from_slice(b"RIFF");
        wav.extend_from_slice(&(WAV_HEADER_LEN as u32 - 8 + len + pad).to_le_bytes());
        wav.extend_from_slice(b"WAVEfmt ");
        wav.extend_from_slice(&18_u32.to_le_bytes());
        wav.extend_from_slice(&tag.to_le_bytes());
        wav.extend_from_slice(&1_u16.to_le_bytes()); // Channels.
        wav.extend_from_slice(&rate);
        wav.extend_from_slice(&rate); // Octets in a second.
        wav.extend_from_slice(&1_u16.to_le_bytes()); // Octets in a sample.
        wav.extend_from_slice(&8_u16.to_le_bytes()); // Bits in a sample.
        wav.extend_from_slice(&0_u16.to_le_bytes()); // Nothing more to say of the format.
        wav.extend_from_slice(b"fact");
        wav.extend_from_slice(&4_u32.to_le_bytes());
        wav.extend_from_slice(&len.to_le_bytes());
        wav.extend_from_slice(b"data");
        wav.extend_from_slice(&len.to_le_bytes());
        let begin = (self.end + self.ring.len() - self.len).checked_rem(self.ring.len());
        let octets = self.ring.iter().cycle().skip(begin.unwrap_or_default()).take(self.len);
        wav.extend(octets);
        wav.extend(std::iter::repeat_n(0, pad as usize));
        wav
    }

    fn push(&mut self, octet: u8) {
        match &mut self.left {
            Some(0) => return,
            Some(left) => *left -= 1,
            None => {}
        }
        let Some(place) = self.ring.get_mut(self.end) else { return };
        *place = octet;
        self.end = (self.end + 1) % self.ring.len();
        self.len = (self.len + 1).min(self.ring.len());
    }

    /// Adds so many octets of silence, as many as the ring has at most: as slices, since a peer says
    /// how many, and the media thread has other calls.
    fn push_silence(&mut self, count: usize) {
        let count = count.min(self.left.unwrap_or(count)).min(self.ring.len());
        if let Some(left) = &mut self.left {
            *left -= count;
        }
        let (silence, end) = (silence_of(self.codec), self.end);
        let ahead = count.min(self.ring.len() - end);
        self.ring[end..end + ahead].fill(silence);
        self.ring[..count - ahead].fill(silence);
        self.end = (end + count).checked_rem(self.ring.len()).unwrap_or_default();
        self.len = (self.len + count).min(self.ring.len());
    }

    /// Puts a packet in its place, `back` octets before the end. What is before the first octet that
    /// is kept has none.
    fn put_late(&mut self, codec: Codec, back: usize, payload: &[u8]) {
        // What came behind the last octet that was asked for has moved nothing.
        if self.left == Some(0) {
            return;
        }
        let before = back.saturating_sub(self.len);
        let begin = self.end + self.ring.len() - back.min(self.len);
        let kept = payload.get(before..).unwrap_or_default();
        for (index, octet) in kept.iter().enumerate().take(back - before) {
            let octet = self.recoded(codec, *octet);
            let at = (begin + index) % self.ring.len();
            if let Some(place) = self.ring.get_mut(at) {
                *place = octet;
            }
        }
    }

    fn recoded(&self, from: Codec, octet: u8) -> u8 {
        let mut octets = [octet];
        g711::recode(from, self.codec, &mut octets);
        octets[0]
    }
}

/// The octet of both codecs that stands for the smallest level.
const fn silence_of(codec: Codec) -> u8 {
    match codec {
        Codec::Pcma => 0xd5,
        Codec::Pcmu => 0xff,
    }
}

fn octets_in(duration: Duration) -> usize {
    let millis = duration.min(SIDE_MAX).as_millis();
    usize::try_from(millis).unwrap_or_default() * RATE_HZ / 1000
}

fn duration_of(octets: usize) -> Duration {
    Duration::from_micros(octets as u64 * 1_000_000 / RATE_HZ as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Plays packets into a clip of 4 ms before and 2 ms after, 8 octets a packet of one ms each:
    /// `timestamp:octet` in milliseconds, `mark`; and tells the octets that it then holds, one for
    /// each millisecond, `_` for silence.
    fn play(packets: &str) -> String {
        let mut clip = Clip::new(4 * MS, 2 * MS);
        for packet in packets.split_whitespace() {
            let Some((at, octet)) = packet.split_once(':') else {
                clip.mark();
                continue;
            };
            let at: i32 = at.parse().expect("a packet has a time");
            let octet = octet.as_bytes().first().copied().expect("a packet has an octet");
            // Close to where the clock of a sender turns over.
            clip.hear(Codec::Pcmu, RtpTimestamp(u32::MAX - 11).plus(8 * at), &[octet; 8]);
        }
        let wav = clip.to_wav();
        assert_eq!(wav.len(), WAV_HEADER_LEN + clip.len, "{packets}");
        let letter = |octets: &[u8]| {
            assert!(octets.iter().all(|octet| *octet == octets[0]), "{packets}");
            if octets[0] == 0xff { '_' } else { char::from(octets[0]) }
        };
        wav[WAV_HEADER_LEN..].chunks(8).map(letter).collect()
    }

    #[test]
    fn a_clip_holds_what_was_said_around_its_mark() {
        #[rustfmt::skip]
        let cases = [
            ("nothing was said",                    "",                                 ""),
            ("in order",                            "0:a 1:b 2:c",                      "abc"),
            ("the oldest makes room",               "0:a 1:b 2:c 3:d 4:e 5:f 6:g",      "bcdefg"),
            ("after the mark, so much and no more", "0:a 1:b mark 2:c 3:d 4:e 5:f",     "abcd"),
            ("a full ring and a mark",              "0:a 1:b 2:c 3:d 4:e 5:f mark 6:g 7:h 8:i", "cdefgh"),
            ("only the first mark counts",          "0:a mark 1:b mark 2:c 3:d",        "abc"),
            ("what was lost is silence",            "0:a 3:d",                          "a__d"),
            ("what comes late has its place",       "0:a 2:c 1:b 3:d",                  "abcd"),
            ("too late is nowhere",                 "0:a 1:b mark 2:c 3:d 4:e 2:x",     "abcd"),
            ("silence over the end of the ring",    "0:a 1:b 2:c 3:d 4:e 7:h",          "cde__h"),
            ("silence as long as the ring",         "0:a 6:g",                          "_____g"),
            ("earlier than the first is nowhere",   "1:b 0:a 2:c 3:d",                  "bcd"),
            ("another clock follows at once",       "0:a 500:b 501:c",                  "abc"),
            ("so does one that is behind",          "2000:a 500:b 501:c",               "abc"),
            ("silence fills the time after",        "0:a mark 5:b",                     "a__"),
        ];
        for (name, packets, want) in cases {
            assert_eq!(play(packets), want, "{name}: {packets}");
        }
    }

    #[test]
    fn its_lengths_are_told() {
        let mut clip = Clip::new(4 * MS, 2 * MS);
        clip.hear(Codec::Pcma, RtpTimestamp(0), &[1; 24]);
        assert_eq!((clip.duration(), clip.before_mark()), (3 * MS, 3 * MS));
        clip.mark();
        clip.hear(Codec::Pcma, RtpTimestamp(24), &[1; 8]);
        assert_eq!((clip.duration(), clip.before_mark()), (4 * MS, 3 * MS));
        clip.hear(Codec::Pcma, RtpTimestamp(32), &[1; 80]);
        assert_eq!((clip.duration(), clip.before_mark()), (5 * MS, 3 * MS));
        let largest = Clip::new(Duration::MAX, Duration::MAX);
        assert_eq!(largest.ring.len(), 480_000);
        let mut none = Clip::new(Duration::ZERO, Duration::ZERO);
        none.hear(Codec::Pcma, RtpTimestamp(0), &[1; 8]);
        assert_eq!(none.to_wav().len(), WAV_HEADER_LEN);
    }

    #[test]
    fn the_other_codec_is_recoded_into_that_of_the_first_packet() {
        let mut clip = Clip::new(4 * MS, Duration::ZERO);
        clip.hear(Codec::Pcma, RtpTimestamp(0), &[0xd5; 8]);
        clip.hear(Codec::Pcmu, RtpTimestamp(8), &[0xff; 8]);
        let wav = clip.to_wav();
        assert_eq!(&wav[20..22], [6, 0], "A-law");
        assert_eq!(&wav[WAV_HEADER_LEN..], [0xd5; 16]);
    }
}
