#!/usr/bin/env bash
# Runs every test of this repository, after installing the programs that the tests talk to.
#
# Installed from Debian's packages, each only when it is missing:
#   sip-tester    SIPp, the dialer and the carrier of the load tests
#   baresip-core  a telephone that is not ours
#   tshark        captures the calls and says whether a packet is malformed
#   sox           makes and measures sound
#   libcap2-bin   (not as root) lets SIPp and tshark use raw sockets
#   build-essential  a C compiler, for the embedded SQLite
#   python3       measures the prompts and makes the media of the SIPp scenarios
# Needs cargo, and sudo unless you are root. Asks no questions. Arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "tests/run.sh: not root and no sudo; as root, run: $*" >&2
        exit 1
    fi
}

install_missing() {
    local missing=()
    command -v sipp >/dev/null || missing+=(sip-tester)
    command -v baresip >/dev/null || missing+=(baresip-core)
    command -v tshark >/dev/null || missing+=(tshark)
    command -v sox >/dev/null || missing+=(sox)
    [ "$(id -u)" -eq 0 ] || [ -x /sbin/setcap ] || missing+=(libcap2-bin)
    command -v cc >/dev/null || missing+=(build-essential)
    command -v python3 >/dev/null || missing+=(python3)
    if [ ${#missing[@]} -eq 0 ]; then
        echo "tests/run.sh: nothing to install"
        return
    fi
    if ! command -v apt-get >/dev/null; then
        echo "tests/run.sh: no apt-get here; install these yourself: ${missing[*]}" >&2
        exit 1
    fi
    echo "tests/run.sh: installing ${missing[*]}"
    as_root apt-get -qq update
    as_root apt-get -qq install -y --no-install-recommends "${missing[@]}" </dev/null
}

# Raw sockets take a privilege that Debian gives to root alone: dumpcap captures by them, and SIPp
# plays recorded RTP.
allow_raw_sockets() {
    [ "$(id -u)" -ne 0 ] || return 0
    local program
    for program in dumpcap sipp; do
        program=$(readlink -f "$(command -v "$program")")
        if ! /sbin/getcap "$program" | grep -q cap_net_raw; then
            echo "tests/run.sh: letting $program use raw sockets (setcap cap_net_raw)"
            as_root chmod 755 "$program"
            as_root /sbin/setcap cap_net_raw,cap_net_admin=eip "$program"
        fi
    done
}

install_missing
allow_raw_sockets
command -v cargo >/dev/null || { echo "tests/run.sh: cargo is missing" >&2; exit 1; }
sipp -v 2>&1 | grep -o 'SIPp v[^ ]*' || true
audio/make.sh check
cargo test --locked "$@"
