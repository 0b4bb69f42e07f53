//! Prompts: WAV files, read once and held as G.711 octets that any number of calls can send.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use hound::SampleFormat;
use hound::WavReader;
use hound::WavSpec;
use sha2::Digest;
use sha2::Sha256;

use super::g711;
use super::g711::FRAME_SAMPLES;
use crate::model::Codec;

/// The only rate a prompt may have: that of G.711, so that nothing resamples.
const RATE_HZ: u32 = 8000;

/// Longest prompt. Our choice: five minutes is longer than anybody listens, and both codecs of it
/// take 4.8 MB.
pub const DURATION_MAX: Duration = Duration::from_secs(300);

/// Samples of the longest prompt.
const SAMPLES_MAX: u32 = 300 * RATE_HZ;

/// Largest file: the longest prompt at 16 bits and 1 MiB of other chunks around it.
pub const FILE_LEN_MAX: usize = SAMPLES_MAX as usize * 2 + (1 << 20);

/// Why a WAV file cannot be a prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The file is larger than any prompt.
    #[error("expected at most {FILE_LEN_MAX} octets, found {found}")]
    Large {
        /// Octets in the file.
        found: usize,
    },
    /// No RIFF/WAVE file, or one whose headers contradict each other.
    #[error("expected a RIFF/WAVE file, found one with a fault: {fault}")]
    Wave {
        /// What the reader stumbled over.
        fault: &'static str,
    },
    /// The file ends before its header says.
    #[error("expected {expected} samples as the header says, found {found}")]
    Truncated {
        /// Samples that the header announces.
        expected: u32,
        /// Samples that are there.
        found: u32,
    },
    /// Compressed, or of a format tag that is not PCM.
    #[error("expected linear PCM, found a compressed or unknown format")]
    Compressed,
    /// Another sampling rate, channel count or sample width.
    #[error("expected 8000 Hz, 1 channel, 16 bits integer, found {rate_hz} Hz, {channels} channel(s), {bits} bits {}", if *.float { "float" } else { "integer" })]
    Format {
        /// Sampling rate found.
        rate_hz: u32,
        /// Channels found.
        channels: u16,
        /// Bits in a sample found.
        bits: u16,
        /// Whether the samples are floating point.
        float: bool,
    },
    /// Longer than [`DURATION_MAX`].
    #[error("expected at most {} s, found {} ms", DURATION_MAX.as_secs(), .found.as_millis())]
    Long {
        /// The duration found.
        found: Duration,
    },
    /// No sample at all.
    #[error("expected at least one sample, found none")]
    Empty,
}

/// A prompt, ready to be sent under either codec. Cloning shares the octets.
#[derive(Clone, Debug)]
pub struct Prompt {
    name: Arc<str>,
    duration: Duration,
    sha256: [u8; 32],
    pcmu: Arc<[u8]>,
    pcma: Arc<[u8]>,
}

impl Prompt {
    /// Reads a WAV file of 8000 Hz, one channel, 16 bits linear PCM.
    ///
    /// The last frame is filled up with silence, so that a prompt is a whole number of 20 ms
    /// frames.
    ///
    /// # Errors
    ///
    /// [`PromptError`] says what was found and what is expected.
    pub fn from_wav(name: &str, file: &[u8]) -> Result<Self, PromptError> {
        if file.len() > FILE_LEN_MAX {
            return Err(PromptError::Large { found: file.len() });
        }
        let reader = WavReader::new(Cursor::new(file)).map_err(|error| fault(&error))?;
        let expected = check(reader.spec(), reader.len())?;
        let samples = read(reader, expected)?;
        Ok(Self {
            name: name.into(),
            duration: duration_of(expected),
            sha256: Sha256::digest(file).into(),
            pcmu: frames(Codec::Pcmu, &samples),
            pcma: frames(Codec::Pcma, &samples),
        })
    }

    /// The name that the configuration gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the recording is, without the silence that fills its last frame.
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// SHA-256 of the whole file, as kept with an opt-out record.
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The prompt's octets: a whole number of 160-octet frames.
    pub const fn octets(&self, codec: Codec) -> &Arc<[u8]> {
        match codec {
            Codec::Pcmu => &self.pcmu,
            Codec::Pcma => &self.pcma,
        }
    }
}

fn fault(error: &hound::Error) -> PromptError {
    match *error {
        hound::Error::FormatError(fault) => PromptError::Wave { fault },
        hound::Error::Unsupported | hound::Error::InvalidSampleFormat => PromptError::Compressed,
        hound::Error::IoError(_) => PromptError::Wave { fault: "the file ends within its headers" },
        hound::Error::TooWide => PromptError::Wave { fault: "a sample exceeds the stated width" },
        hound::Error::UnfinishedSample => PromptError::Wave { fault: "half a sample" },
    }
}

/// The number of samples that the header announces, if they are of the one format.
fn check(spec: WavSpec, samples: u32) -> Result<u32, PromptError> {
    let float = spec.sample_format == SampleFormat::Float;
    if (spec.sample_rate, spec.channels, spec.bits_per_sample, float) != (RATE_HZ, 1, 16, false) {
        return Err(PromptError::Format {
            rate_hz: spec.sample_rate,
            channels: spec.channels,
            bits: spec.bits_per_sample,
            float,
        });
    }
    match samples {
        0 => Err(PromptError::Empty),
        1..=SAMPLES_MAX => Ok(samples),
        _ => Err(PromptError::Long { found: duration_of(samples) }),
    }
}

fn read(mut reader: WavReader<Cursor<&[u8]>>, expected: u32) -> Result<Vec<i16>, PromptError> {
    let samples: Vec<i16> = reader.samples::<i16>().map_while(Result::ok).collect();
    let found = samples.len() as u32; // At most what the header announced, which is a u32.
    if found == expected { Ok(samples) } else { Err(PromptError::Truncated { expected, found }) }
}

fn frames(codec: Codec, samples: &[i16]) -> Arc<[u8]> {
    let len = samples.len().next_multiple_of(FRAME_SAMPLES);
    let mut octets: Vec<u8> = samples.iter().map(|&sample| g711::encode(codec, sample)).collect();
    octets.resize(len, g711::silence(codec));
    octets.into()
}

fn duration_of(samples: u32) -> Duration {
    Duration::from_micros(u64::from(samples) * 1_000_000 / u64::from(RATE_HZ))
}

/// WAV files are put together here octet by octet, after the RIFF/WAVE description of 1991, and
/// not by the library that reads them.
#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A format chunk's fields: tag, channels, rate, bits.
    type Format = (u16, u16, u32, u16);

    const RIGHT: Format = (1, 1, 8000, 16);

    fn wav((tag, channels, rate, bits): Format, data_len: u32, data: &[u8]) -> Vec<u8> {
        let block = channels * bits / 8;
        let mut file = b"RIFF".to_vec();
        file.extend((36 + data_len).to_le_bytes());
        file.extend(b"WAVEfmt ");
        file.extend(16_u32.to_le_bytes());
        file.extend(tag.to_le_bytes());
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend((rate * u32::from(block)).to_le_bytes());
        file.extend(block.to_le_bytes());
        file.extend(bits.to_le_bytes());
        file.extend(b"data");
        file.extend(data_len.to_le_bytes());
        file.extend(data);
        file
    }

    fn pcm(samples: &[i16]) -> Vec<u8> {
        let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        wav(RIGHT, data.len() as u32, &data)
    }

    /// A prompt of `len` equal samples.
    pub(in crate::media) fn prompt_of(sample: i16, len: usize) -> Prompt {
        Prompt::from_wav("constant", &pcm(&vec![sample; len])).expect("the file is well formed")
    }

    #[test]
    fn a_recording_becomes_whole_frames_of_both_codecs() {
        let prompt = Prompt::from_wav("welcome", &pcm(&[0, 32_124, -32_124])).unwrap();
        assert_eq!(prompt.name(), "welcome");
        assert_eq!(prompt.duration(), Duration::from_micros(375));
        let (pcmu, pcma) = (prompt.octets(Codec::Pcmu), prompt.octets(Codec::Pcma));
        // ITU-T G.711 tables 2a and 2b: +-8031 (times 4) is the last code of each polarity.
        assert_eq!((pcmu.len(), &pcmu[..4]), (160, &[0xFF, 0x80, 0x00, 0xFF][..]));
        assert_eq!((pcma.len(), pcma[0], pcma[159]), (160, 0xD5, 0xD5));
        assert!(
            Prompt::from_wav("one frame", &pcm(&[0; 160])).unwrap().octets(Codec::Pcmu).len()
                == 160
        );
        assert!(
            Prompt::from_wav("and one more", &pcm(&[0; 161])).unwrap().octets(Codec::Pcmu).len()
                == 320
        );
    }

    #[test]
    fn the_hash_is_that_of_the_file() {
        // sha256sum of the 46 octets, computed with coreutils.
        let prompt = Prompt::from_wav("", &pcm(&[0])).unwrap();
        let hex: String = prompt.sha256().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, "4aebda3a657a0d8f532d11ceacb1679081d7bdf7d7d301a53f1096af3580be91");
    }

    #[test]
    fn a_wrong_file_is_refused_with_what_was_found() {
        let format =
            |rate_hz, channels, bits, float| PromptError::Format { rate_hz, channels, bits, float };
        let cases = [
            ("44.1 kHz", wav((1, 1, 44_100, 16), 2, &[0; 2]), format(44_100, 1, 16, false)),
            ("stereo", wav((1, 2, 8000, 16), 4, &[0; 4]), format(8000, 2, 16, false)),
            ("8 bits", wav((1, 1, 8000, 8), 2, &[0; 2]), format(8000, 1, 8, false)),
            ("24 bits", wav((1, 1, 8000, 24), 3, &[0; 3]), format(8000, 1, 24, false)),
            ("floats", wav((3, 1, 8000, 32), 4, &[0; 4]), format(8000, 1, 32, true)),
            ("mu-law in a WAV", wav((7, 1, 8000, 8), 2, &[0; 2]), PromptError::Compressed),
            ("ADPCM", wav((2, 1, 8000, 16), 2, &[0; 2]), PromptError::Compressed),
            ("no sample", pcm(&[]), PromptError::Empty),
            (
                "a header that promises more than the file holds",
                wav(RIGHT, 2000, &[0; 2]),
                PromptError::Truncated { expected: 1000, found: 1 },
            ),
            (
                "a header that promises four gigabytes",
                wav(RIGHT, 0xFFFF_FFD0, &[0; 2]),
                PromptError::Long { found: duration_of(0x7FFF_FFE8) },
            ),
            (
                "half a sample",
                wav(RIGHT, 3, &[0; 3]),
                PromptError::Wave { fault: "data chunk length is not a multiple of sample size" },
            ),
            (
                "text",
                b"this is no WAV file at all".to_vec(),
                PromptError::Wave { fault: "no RIFF tag found" },
            ),
            (
                "nothing",
                Vec::new(),
                PromptError::Wave { fault: "the file ends within its headers" },
            ),
        ];
        for (name, file, want) in cases {
            assert_eq!(Prompt::from_wav("p", &file).map(|_| ()), Err(want), "{name}");
        }
    }

    #[test]
    fn the_longest_prompt_is_five_minutes() {
        let data = vec![0; SAMPLES_MAX as usize * 2 + 2];
        let (at, above) = (SAMPLES_MAX * 2, SAMPLES_MAX * 2 + 2);
        let longest = Prompt::from_wav("p", &wav(RIGHT, at, &data[..at as usize])).unwrap();
        assert_eq!(longest.duration(), DURATION_MAX);
        let error = Prompt::from_wav("p", &wav(RIGHT, above, &data)).map(|_| ()).unwrap_err();
        assert_eq!(error, PromptError::Long { found: Duration::from_micros(300_000_125) });
        assert_eq!(error.to_string(), "expected at most 300 s, found 300000 ms");
        let error = Prompt::from_wav("p", &vec![0; FILE_LEN_MAX + 1]).map(|_| ()).unwrap_err();
        assert_eq!(error, PromptError::Large { found: FILE_LEN_MAX + 1 });
    }

    #[test]
    fn a_file_cut_or_changed_at_any_octet_never_panics() {
        let whole = pcm(&[1; 4]);
        for len in 0..whole.len() {
            assert!(Prompt::from_wav("p", &whole[..len]).is_err(), "{len} octets");
        }
        for at in 0..44 {
            for octet in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut changed = whole.clone();
                changed[at] = octet;
                // Any answer will do; the point is that there is one.
                let _ = Prompt::from_wav("p", &changed);
            }
        }
    }
}
