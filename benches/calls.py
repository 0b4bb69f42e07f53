#!/usr/bin/env python3
"""What does a call cost in processor time, and how many a second go through without a fault?

  python3 benches/calls.py [signalling|rate|ivr ...]     all three by default

signalling  `sipp -sn uac` calls a campaign without a greeting, and `sipp -sn uas` in turns with it:
            CPU seconds (user and system, from /proc) of the called process for 1,000 calls, and
            the ratio. SIPp's uas only answers; the engine also looks the number up, opens the
            ports, listens to the media and writes the call record.
rate        The same load at rising rates, until a call fails or a message has to be repeated.
ivr         A prompt, 1.5 s of audio from the caller, the key 9 by telephone-event, the record on
            disk, the confirmation: CPU seconds of the engine for 1,000 calls. SIPp does not listen
            where it says that it hears, and each packet of the engine would come back to it as an
            ICMP error, which no telephone does: sockets of the bench stand there (`ears`). The
            same without them is measured too.

Needs `cargo build --release` before it, SIPp (apt-get install sip-tester), and root or
`setcap cap_net_raw=eip` on sipp for `ivr`. Everything is on loopback; the peers share the machine
with the engine. CALLS, ROUNDS, RATE and RATES in the environment change the size. Each line of
output is one JSON object; nothing is left out.
"""

import csv
import json
import os
import pathlib
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/bajavoz"
SCENARIOS = ROOT / "tests/sipp"
CALLS = int(os.environ.get("CALLS", "5000"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
RATE = int(os.environ.get("RATE", "200"))
# Rates tried one after the other, calls a second; ten seconds each.
RATES = [200, 400, 600, 800, 1000, 1200, 1400, 1600, 2000, 2500, 3000, 4000]
RATES = [int(rate) for rate in os.environ.get("RATES", "").split(",") if rate] or RATES
# The first media port that SIPp names.
MEDIA = 61000
TICKS = os.sysconf("SC_CLK_TCK")

CONFIG = """
[node]
name = "bench"
default-region = "ES"
language = "en"
[listen.main]
bind = "127.0.0.1:{sip}"
[dialers.bench]
allow = ["127.0.0.1/32"]
max-channels = 10000
[lists.comercial]
scope = "account"
[media]
ports = "10000-32767"
[prompts]
dir = "{root}/audio"
[store]
path = "../data"
[http]
bind = "127.0.0.1:{http}"
[limits]
calls-max = 5000
[campaigns.plain]
account = "bench"
mode = "ivr"
match.dialer = ["bench"]
codes."9".add-to = ["comercial"]
[campaigns.promo]
account = "bench"
mode = "ivr"
match.header."X-Campaign-ID" = ["promo"]
greeting.play = ["welcome"]
codes."9".add-to = ["comercial"]
"""


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def cpu_seconds(process):
    """User and system time of a process, its threads included."""
    text = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
    fields = text.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def stop(process, how=signal.SIGTERM):
    process.send_signal(how)
    process.wait(timeout=60)


def tell(**what):
    print(json.dumps(what), flush=True)


class Engine:
    """The release build with a store of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port, self.http = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        (self.folder / "config").mkdir()
        text = CONFIG.format(sip=self.port, http=self.http, root=ROOT)
        (self.folder / "config/bajavoz.toml").write_text(text)
        log = open(self.folder / "log", "wb")
        self.command = [PROGRAM, "run", "--config", self.folder / "config"]
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while not self.is_ready():
            if time.monotonic() > until or self.process.poll() is not None:
                sys.exit((self.folder / "log").read_text())
            time.sleep(0.02)

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/health/ready") as answer:
                return answer.status == 200
        except OSError:
            return False

    def records(self):
        export = [PROGRAM, "optout", "export", "--config", self.folder / "config"]
        return len(subprocess.run(export, capture_output=True, check=True).stdout.splitlines()) - 1


class Uas:
    """SIPp's own answering side, which serves as the measure."""

    def __init__(self, folder):
        self.port = free_port(socket.SOCK_DGRAM)
        command = ["sipp", "-sn", "uas", "-i", "127.0.0.1", "-p", str(self.port), "-mp", "63900",
                   "-cp", str(free_port(socket.SOCK_DGRAM)), "-nostdin"]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        time.sleep(0.5)  # It has no way to say that it listens; the first INVITE is repeated.


def sipp(folder, port, rate, calls, *more, cwd=None):
    """Runs the calling side and returns what it counted."""
    table = pathlib.Path(folder) / f"count-{time.monotonic_ns()}.csv"
    command = ["sipp", f"127.0.0.1:{port}", "-i", "127.0.0.1",
               "-p", str(free_port(socket.SOCK_DGRAM)), "-cp", str(free_port(socket.SOCK_DGRAM)),
               "-mp", str(MEDIA), "-r", str(rate), "-m", str(calls), "-l", "5000", "-nostdin",
               "-trace_stat", "-fd", "1", "-stf", str(table), *more]
    began = time.monotonic()
    subprocess.run(command, cwd=cwd or folder, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False, timeout=600)
    took = time.monotonic() - began
    with open(table, newline="") as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    return {"passed": int(last["SuccessfulCall(C)"]), "failed": int(last["FailedCall(C)"]),
            "repeated": int(last["Retransmissions(C)"]), "seconds": round(took, 2)}


class Ears:
    """Sockets where SIPp names its media ports; what comes is left to the kernel to drop."""

    def __init__(self, calls):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.sockets = []
        for call in range(1, calls):  # The port of the first call is SIPp's own.
            ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ear.bind(("127.0.0.1", MEDIA + 4 * call))
            self.sockets.append(ear)

    def close(self):
        for ear in self.sockets:
            ear.close()


PLAIN = ("-sn", "uac", "-s", "+34600000001")


def plain_calls(folder, peer, rate, calls):
    before = cpu_seconds(peer.process)
    count = sipp(folder, peer.port, rate, calls, *PLAIN)
    return count | {"cpu_per_1000": round((cpu_seconds(peer.process) - before) / calls * 1000, 3)}


def signalling():
    with tempfile.TemporaryDirectory() as folder:
        engine, uas = Engine(folder), Uas(folder)
        figures = {"engine": [], "uas": []}
        for number in range(ROUNDS):
            for name, peer in (("uas", uas), ("engine", engine)):
                count = plain_calls(folder, peer, RATE, CALLS)
                tell(bench="signalling", round=number, called=name, rate=RATE, **count)
                figures[name].append(count["cpu_per_1000"])
        stop(uas.process, signal.SIGKILL)
        stop(engine.process)
    engine, uas = (statistics.median(figures[name]) for name in ("engine", "uas"))
    tell(bench="signalling", engine=engine, uas=uas, ratio=round(engine / uas, 2))


def rate():
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in (("uas", Uas), ("engine", Engine)):
            best = 0
            for rate in RATES:
                with tempfile.TemporaryDirectory() as own:
                    peer = kind(own)
                    count = plain_calls(own, peer, rate, rate * 10)
                    stop(peer.process, signal.SIGKILL)
                tell(bench="rate", called=name, rate=rate, **count)
                if count["failed"] or count["repeated"] or count["passed"] < rate * 10:
                    break
                # SIPp itself may not keep up; what counts is the rate that was reached.
                best = round(count["passed"] / count["seconds"])
            tell(bench="rate", called=name, clean=best)


def ivr_round(calls, rate, has_ears):
    with tempfile.TemporaryDirectory() as folder:
        numbers = pathlib.Path(folder) / "numbers.csv"
        rows = (f"+34600{row:06}" for row in range(1, calls + 1))
        numbers.write_text("SEQUENTIAL\n" + "\n".join(rows) + "\n")
        engine, ears = Engine(folder), Ears(calls if has_ears else 0)
        before = cpu_seconds(engine.process)
        count = sipp(folder, engine.port, rate, calls, "-sf", "uac_ivr_event.xml", "-inf",
                     str(numbers), "-key", "campaign", "promo", cwd=SCENARIOS)
        cpu = round((cpu_seconds(engine.process) - before) / calls * 1000, 2)
        tell(bench="ivr", ears=has_ears, rate=rate, cpu_per_1000=cpu, records=engine.records(),
             **count)
        ears.close()
        stop(engine.process)
    return cpu


def ivr():
    calls, rounds = min(CALLS, 600), min(ROUNDS, 3)
    for rate in (20, 40):
        for has_ears in (True, False):
            figures = [ivr_round(calls, rate, has_ears) for _ in range(rounds)]
            tell(bench="ivr", ears=has_ears, rate=rate, cpu_per_1000=statistics.median(figures))


if __name__ == "__main__":
    known = {"signalling": signalling, "rate": rate, "ivr": ivr}
    for wanted in sys.argv[1:] or known:
        known[wanted]()
