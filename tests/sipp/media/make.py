"""Makes the RTP that the SIPp scenarios play: python3 tests/sipp/media/make.py [FOLDER].

Each file is one RTP stream (one SSRC, sequence and timestamps without a gap) of a person who
listens in a quiet room, presses 9 after 1.5 s, and goes on listening:

  quiet_pcmu.pcap        noise at -55 dBm0 for 6 s, no key
  key9_event_pcmu.pcap   the key as RFC 4733 telephone-event, payload type 101: 8 packets 20 ms
                         apart, the first with the marker, then the end packet three times
  key9_inband_pcmu.pcap  the key as tones (852 and 1477 Hz, 100 ms, -10 dBm0 each), mu-law
  key9_inband_pcma.pcap  the same in A-law

Only Python's own library is used, and the noise is seeded: the same files come out each time.
"""

import math
import pathlib
import random
import struct
import sys

FRAME = 160  # samples in 20 ms
BEFORE = 75  # frames of 20 ms before the key
AFTER = 225
EVENT_PACKETS = 8
END_PACKETS = 3
EVENT_PAYLOAD_TYPE = 101
DIGIT = 9
DIGIT_HZ = (852, 1477)  # ITU-T Q.23
SSRC = 0x00BA7A09
# A full-scale sine is +3.14 dBm0 in A-law and +3.17 in mu-law.
FULL_SCALE_DBM0 = 3.17


def amplitude(dbm0):
    """Peak of a sine of that level, in 16-bit steps."""
    return 32124 * 10 ** ((dbm0 - FULL_SCALE_DBM0) / 20)


def ulaw(sample):
    """ITU-T G.711 mu-law of one 16-bit sample."""
    sign = 0x80 if sample < 0 else 0
    value = min(abs(sample), 32635) + 132
    exponent = value.bit_length() - 8
    return ~(sign | exponent << 4 | (value >> (exponent + 3)) & 0x0F) & 0xFF


def alaw(sample):
    """ITU-T G.711 A-law of one 16-bit sample."""
    sign = 0x80 if sample >= 0 else 0
    value = min(abs(sample) if sample >= 0 else -sample - 1, 32767) >> 3
    exponent = max(value.bit_length() - 5, 0)
    mantissa = value >> 1 if exponent == 0 else value >> exponent
    return (sign | exponent << 4 | mantissa & 0x0F) ^ 0x55


def noise(source):
    """One frame of Gaussian noise whose RMS is that of a sine of -55 dBm0."""
    deviation = amplitude(-55) / math.sqrt(2)
    return [round(source.gauss(0, deviation)) for _ in range(FRAME)]


def tones(frame):
    """One frame of the key's two tones, in phase with the frame before."""
    each = amplitude(-10)
    return [
        round(sum(each * math.sin(2 * math.pi * hz * (frame * FRAME + sample) / 8000)
                  for hz in DIGIT_HZ))
        for sample in range(FRAME)
    ]


class Stream:
    """Packets with their times, in RTP that never breaks off."""

    def __init__(self, payload_type, encode):
        self.payload_type = payload_type
        self.encode = encode
        self.packets = []
        self.sequence = 1000
        self.timestamp = 160_000
        self.clock_us = 0

    def push(self, payload_type, marker, timestamp, payload):
        head = struct.pack("!BBHII", 0x80, marker << 7 | payload_type, self.sequence & 0xFFFF,
                           timestamp, SSRC)
        self.packets.append((self.clock_us, head + payload))
        self.sequence += 1
        self.clock_us += 20_000

    def audio(self, samples):
        payload = bytes(map(self.encode, samples))
        self.push(self.payload_type, not self.packets, self.timestamp, payload)
        self.timestamp += FRAME

    def event(self):
        """RFC 4733 section 2.5: one timestamp for the event, growing durations, three ends."""
        duration = 0
        for number in range(EVENT_PACKETS + END_PACKETS):
            is_end = number >= EVENT_PACKETS
            duration += 0 if is_end else FRAME
            payload = struct.pack("!BBH", DIGIT, is_end << 7 | 10, duration)
            self.push(EVENT_PAYLOAD_TYPE, number == 0, self.timestamp, payload)
        self.timestamp += FRAME * (EVENT_PACKETS + END_PACKETS)

    def pcap(self):
        """Classic pcap of Ethernet, IPv4 and UDP; SIPp puts its own addresses in."""
        out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
        for clock_us, rtp in self.packets:
            udp = struct.pack("!HHHH", 6000, 6000, 8 + len(rtp), 0) + rtp
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                             bytes([127, 0, 0, 1]), bytes([127, 0, 0, 1]))
            frame = bytes(12) + b"\x08\x00" + ip + udp
            out += struct.pack("<IIII", clock_us // 1_000_000, clock_us % 1_000_000, len(frame),
                               len(frame)) + frame
        return out


def play(payload_type, encode, key):
    """A stream of quiet, the key and quiet again."""
    source = random.Random(4733)
    stream = Stream(payload_type, encode)
    for _ in range(BEFORE):
        stream.audio(noise(source))
    if key == "event":
        stream.event()
    elif key == "tones":
        for frame in range(5):
            stream.audio(tones(frame))
    for _ in range(AFTER):
        stream.audio(noise(source))
    return stream


def main(folder):
    for name, payload_type, encode, key in [
        ("quiet_pcmu", 0, ulaw, "none"),
        ("key9_event_pcmu", 0, ulaw, "event"),
        ("key9_inband_pcmu", 0, ulaw, "tones"),
        ("key9_inband_pcma", 8, alaw, "tones"),
    ]:
        (folder / f"{name}.pcap").write_bytes(play(payload_type, encode, key).pcap())


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
