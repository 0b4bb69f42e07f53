"""Measures telephone prompts and fails when one is not fit to be played: level.py FILE.wav..

The level is the active speech level of ITU-T P.56 method B, in dBm0. In G.711 a sine of full
scale is +3.14 dBm0 (A-law) or +3.17 dBm0 (mu-law); +3.14 is taken here, so that 0 dBm0 stands
6.15 dB under the RMS of full scale.
"""

import array
import math
import sys
import wave

RATE = 8000
FULL_SCALE = 32768.0
DBM0_OF_FULL_SCALE_RMS = 3.14 + 10 * math.log10(2)
# P.56: two time constants of 30 ms, 200 ms of hangover, 15.9 dB between level and threshold.
SMOOTHING = math.exp(-1 / (RATE * 0.03))
HANGOVER = int(0.2 * RATE)
MARGIN_DB = 15.9

WANTED_DBM0 = (-16.5, -15.5)
EDGE_SILENCE_MAX_S = 0.1


def active_dbm0(samples):
    """Active speech level of 16-bit samples at 8 kHz."""
    thresholds = [2.0 ** -step for step in range(1, 16)]
    active = [0] * len(thresholds)
    hang = [HANGOVER] * len(thresholds)
    smooth = envelope = energy = 0.0
    for sample in samples:
        value = sample / FULL_SCALE
        energy += value * value
        smooth = SMOOTHING * smooth + (1 - SMOOTHING) * abs(value)
        envelope = SMOOTHING * envelope + (1 - SMOOTHING) * smooth
        for index, threshold in enumerate(thresholds):
            if envelope >= threshold:
                active[index] += 1
                hang[index] = 0
            elif hang[index] < HANGOVER:
                active[index] += 1
                hang[index] += 1
    before = None
    for threshold, count in zip(thresholds, active):
        if count == 0:
            continue
        level_db = 10 * math.log10(energy / count)
        excess = level_db - 20 * math.log10(threshold) - MARGIN_DB
        if excess >= 0:
            if before is None:
                return level_db + DBM0_OF_FULL_SCALE_RMS
            # Between the two thresholds, as P.56 draws the line.
            share = before[1] / (before[1] - excess)
            return before[0] + share * (level_db - before[0]) + DBM0_OF_FULL_SCALE_RMS
        before = (level_db, excess)
    return -math.inf


def edge_silence_s(samples):
    """The longer of the silences at the two ends, 50 dB under full scale."""
    loud = [index for index, sample in enumerate(samples) if abs(sample) > 100]
    if not loud:
        return len(samples) / RATE
    return max(loud[0], len(samples) - 1 - loud[-1]) / RATE


def faults(shape, samples):
    """What is wrong with a prompt, in words."""
    if shape != (1, 2, RATE):
        return [f"is {shape}, not 1 channel of 2 octets at {RATE} Hz"]
    found = []
    level = active_dbm0(samples)
    if not WANTED_DBM0[0] <= level <= WANTED_DBM0[1]:
        found.append(f"active level {level:.1f} dBm0")
    if max(map(abs, samples)) >= 32_000:
        found.append("clips")
    if edge_silence_s(samples) > EDGE_SILENCE_MAX_S:
        found.append(f"{edge_silence_s(samples):.2f} s of silence at an end")
    return found


def main(paths):
    bad = 0
    print("file seconds active_dbm0 peak_dbfs edge_silence_s")
    for path in paths:
        with wave.open(path) as sound:
            shape = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            samples = array.array("h", sound.readframes(sound.getnframes()))
        peak = 20 * math.log10(max(map(abs, samples)) / FULL_SCALE)
        print(f"{path} {len(samples) / RATE:.2f} {active_dbm0(samples):.1f} {peak:.1f} "
              f"{edge_silence_s(samples):.2f}")
        for fault in faults(shape, samples):
            print(f"{path}: {fault}", file=sys.stderr)
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
