//! ITU-T G.711: companded octets to linear samples and back.
//!
//! Linear samples are 16 bits wide, full scale +-32 768: the standard's 14-bit (mu-law) and 13-bit
//! (A-law) values stand in the upper bits, as in the reference code of ITU-T G.191.

use crate::model::Codec;

/// Samples, octets and RTP ticks of one 20 ms frame.
pub const FRAME_SAMPLES: usize = 160;

/// Linear value of each mu-law octet (ITU-T G.711 table 2a/2b, times 4).
static PCMU_LINEAR: [i16; 256] = table(Codec::Pcmu);
/// Linear value of each A-law octet (ITU-T G.711 table 1a/1b, times 16).
static PCMA_LINEAR: [i16; 256] = table(Codec::Pcma);

/// Decodes `octets` into `samples` and returns how many were decoded: the shorter of the two.
///
/// One table look-up a sample; no allocation.
pub fn decode(codec: Codec, octets: &[u8], samples: &mut [i16]) -> usize {
    let linear = match codec {
        Codec::Pcmu => &PCMU_LINEAR,
        Codec::Pcma => &PCMA_LINEAR,
    };
    for (sample, &octet) in samples.iter_mut().zip(octets) {
        *sample = linear[usize::from(octet)]; // 256 entries: every octet has one.
    }
    octets.len().min(samples.len())
}

/// Encodes one linear sample; what exceeds the codec's range is clipped.
pub const fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcmu => encode_pcmu(sample),
        Codec::Pcma => encode_pcma(sample),
    }
}

/// A-law octet of each mu-law octet, decoded and encoded again.
static PCMU_PCMA: [u8; 256] = recoded(&PCMU_LINEAR, Codec::Pcma);
/// Mu-law octet of each A-law octet, likewise.
static PCMA_PCMU: [u8; 256] = recoded(&PCMA_LINEAR, Codec::Pcmu);

/// Turns octets of one codec into those of the other, in place; of the same one they stay.
///
/// One table look-up a sample; no allocation.
pub fn recode(from: Codec, into: Codec, octets: &mut [u8]) {
    let table = match (from, into) {
        (Codec::Pcmu, Codec::Pcma) => &PCMU_PCMA,
        (Codec::Pcma, Codec::Pcmu) => &PCMA_PCMU,
        (Codec::Pcmu, Codec::Pcmu) | (Codec::Pcma, Codec::Pcma) => return,
    };
    for octet in octets {
        *octet = table[usize::from(*octet)]; // As above.
    }
}

/// The octet that stands for silence: the smallest positive value.
pub const fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0xFF,
        Codec::Pcma => 0xD5,
    }
}

const fn encode_pcmu(sample: i16) -> u8 {
    // Negative values by ones' complement, so that +0 and -0 are mirror images; 33 is the bias
    // that makes every segment start at a power of two.
    let negative = sample < 0;
    let magnitude = ((if negative { !sample } else { sample }) >> 2) as u16 + 33;
    let magnitude = if magnitude > 0x1FFF { 0x1FFF } else { magnitude };
    let segment = 10 - magnitude.leading_zeros() as u16; // 33..=0x1FFF: segment 0..=7
    let step = (magnitude >> (segment + 1)) & 0x0F;
    let code = !((segment << 4) | step) as u8;
    if negative { code & 0x7F } else { code }
}

const fn encode_pcma(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = ((if negative { !sample } else { sample }) >> 4) as u16; // 0..=2047
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = 11 - magnitude.leading_zeros() as u16; // 32..=2047: 1..=6 more than linear
        ((segment + 1) << 4) | ((magnitude >> segment) & 0x0F)
    };
    let code = code as u8 ^ 0x55; // Even bits are inverted on the line (table 1a, note 2).
    if negative { code } else { code | 0x80 }
}

const fn decode_pcmu(octet: u8) -> i16 {
    let code = !octet;
    let magnitude = ((((code & 0x0F) as i16) << 3) + 0x84) << ((code >> 4) & 0x07);
    if code & 0x80 == 0 { magnitude - 0x84 } else { 0x84 - magnitude }
}

const fn decode_pcma(octet: u8) -> i16 {
    let code = octet ^ 0x55;
    let step = ((code & 0x0F) as i16) << 4;
    let magnitude = match (code >> 4) & 0x07 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

const fn table(codec: Codec) -> [i16; 256] {
    let mut linear = [0; 256];
    let mut octet = 0;
    while octet < linear.len() {
        linear[octet] = match codec {
            Codec::Pcmu => decode_pcmu(octet as u8),
            Codec::Pcma => decode_pcma(octet as u8),
        };
        octet += 1;
    }
    linear
}

const fn recoded(linear: &[i16; 256], into: Codec) -> [u8; 256] {
    let mut octets = [0; 256];
    let mut octet = 0;
    while octet < octets.len() {
        octets[octet] = encode(into, linear[octet]);
        octet += 1;
    }
    octets
}

/// The reference is built here from the decision values of the standard's tables, segment by
/// segment, and quantises by searching them; it shares no arithmetic with the code above.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recoding_keeps_what_was_said_and_its_order() {
        for (from, into) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcma, Codec::Pcmu)] {
            let values = |codec, octets: &[u8]| {
                let mut samples = [0; 256];
                decode(codec, octets, &mut samples);
                samples.map(i32::from)
            };
            let octets: Vec<u8> = (0..=255).collect();
            let mut recoded = octets.clone();
            recode(from, into, &mut recoded);
            let mut pairs: Vec<(i32, i32)> =
                values(from, &octets).into_iter().zip(values(into, &recoded)).collect();
            pairs.sort_unstable();
            for (said, heard) in &pairs {
                // Half a step: 8 around zero, and a 32nd of the value in each segment above.
                let (off, half) = ((said - heard).abs(), 8 + said.abs() / 32);
                assert!(off <= half, "{from} {said} became {into} {heard}");
            }
            assert!(
                pairs.is_sorted_by_key(|(_, heard)| *heard),
                "{from} to {into}: louder is louder"
            );
        }
        let mut same = [0x12, 0x34];
        recode(Codec::Pcma, Codec::Pcma, &mut same);
        assert_eq!(same, [0x12, 0x34], "the same codec");
    }

    /// The decision values x(1)..x(n+1) of one polarity: ITU-T G.711 table 1a or 2a, column 3.
    fn decision_values(codec: Codec) -> Vec<i32> {
        // (steps in the segment, size of a step), from the origin outwards, columns 1 and 2.
        let segments: &[(usize, i32)] = match codec {
            // A-law: segment 1 has 32 steps of 2 in units of 4096 full scale.
            Codec::Pcma => &[(32, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128)],
            // mu-law: the first interval is 0..1, then 15 steps of 2, in units of 8159 full scale.
            Codec::Pcmu => &[
                (1, 1),
                (15, 2),
                (16, 4),
                (16, 8),
                (16, 16),
                (16, 32),
                (16, 64),
                (16, 128),
                (16, 256),
            ],
        };
        let mut values = vec![0];
        for &(steps, size) in segments {
            for _ in 0..steps {
                values.push(values.last().unwrap() + size);
            }
        }
        values
    }

    /// The line code of an interval, counted outwards from the origin.
    fn line_code(codec: Codec, interval: usize, negative: bool) -> u8 {
        let interval = u8::try_from(interval).unwrap();
        match codec {
            // Table 2a, column 6: 1111 1111 at the origin, counting down outwards.
            Codec::Pcmu => (if negative { 0x7F } else { 0xFF }) - interval,
            // Table 1a, column 6: 1000 0000 at the origin, even bits inverted on the line.
            Codec::Pcma => ((if negative { 0x00 } else { 0x80 }) + interval) ^ 0x55,
        }
    }

    /// 16-bit linear units per unit of the codec's table.
    fn scale(codec: Codec) -> i32 {
        match codec {
            Codec::Pcmu => 4,
            Codec::Pcma => 8,
        }
    }

    #[test]
    fn the_tables_end_where_the_standard_says() {
        let (pcma, pcmu) = (decision_values(Codec::Pcma), decision_values(Codec::Pcmu));
        assert_eq!((pcma.len(), pcma.last()), (129, Some(&4096)), "128 intervals up to 4096");
        assert_eq!((pcmu.len(), pcmu.last()), (129, Some(&8159)), "128 intervals up to 8159");
    }

    #[test]
    fn every_octet_decodes_to_the_middle_of_its_interval() {
        for codec in Codec::ALL {
            let decisions = decision_values(codec);
            for interval in 0..128 {
                // Column 8: y = (x(n) + x(n+1)) / 2, and 0 for the first mu-law interval.
                let middle = match (codec, interval) {
                    (Codec::Pcmu, 0) => 0,
                    _ => (decisions[interval] + decisions[interval + 1]) * scale(codec) / 2,
                };
                for (negative, want) in [(false, middle), (true, -middle)] {
                    let octet = line_code(codec, interval, negative);
                    let mut got = [0];
                    assert_eq!(decode(codec, &[octet], &mut got), 1);
                    assert_eq!(i32::from(got[0]), want, "{codec} {octet:#04x}");
                }
            }
        }
    }

    #[test]
    fn every_sample_encodes_to_the_interval_that_holds_it() {
        for codec in Codec::ALL {
            let decisions = decision_values(codec);
            for sample in i16::MIN..=i16::MAX {
                let negative = sample < 0;
                let magnitude = i32::from(if negative { !sample } else { sample });
                // mu-law takes 14 bits and A-law 13 (12 of magnitude, in steps of 2): the bits
                // below are cut off first.
                let value = match codec {
                    Codec::Pcmu => magnitude / 4,
                    Codec::Pcma => magnitude / 16 * 2,
                };
                let interval = decisions.partition_point(|&x| x <= value).min(128) - 1;
                let want = line_code(codec, interval, negative);
                assert_eq!(encode(codec, sample), want, "{codec} {sample}");
            }
        }
    }

    #[test]
    fn decoding_and_encoding_again_changes_nothing() {
        for codec in Codec::ALL {
            for octet in 0..=255 {
                let mut sample = [0];
                decode(codec, &[octet], &mut sample);
                // The mu-law negative zero 0x7F decodes to 0, whose code is the positive zero.
                let want = if (codec, octet) == (Codec::Pcmu, 0x7F) { 0xFF } else { octet };
                assert_eq!(encode(codec, sample[0]), want, "{codec} {octet:#04x}");
            }
        }
    }

    #[test]
    fn silence_is_the_smallest_positive_value() {
        for codec in Codec::ALL {
            assert_eq!(silence(codec), encode(codec, 0), "{codec}");
        }
    }

    #[test]
    fn a_short_buffer_takes_what_fits() {
        let mut samples = [7; 2];
        assert_eq!(decode(Codec::Pcmu, &[0xFF; 3], &mut samples), 2);
        assert_eq!(decode(Codec::Pcmu, &[], &mut samples), 0);
    }
}
