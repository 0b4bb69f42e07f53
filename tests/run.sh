#!/usr/bin/env bash
# Runs every test of this repository, after installing the programs that the tests talk to.
#
# Installed from Debian's packages, each only when it is missing:
#   sip-tester    SIPp, the dialer and the carrier of the load tests
#   baresip-core  a telephone that is not ours
#   tshark        captures the calls and says whether a packet is malformed
#   sox           makes and measures sound
#   postgresql    the shared database; the tests start clusters of their own
#   openssl       the certificates of those
#   libcap2-bin   (not as root) lets SIPp and tshark use raw sockets
#   e2fsprogs     a disk whose power is cut; mounting it takes root, too
#   build-essential  a C compiler, for the embedded SQLite
#   python3       measures the prompts and makes the media of the SIPp scenarios
# Needs cargo, and root or sudo where something is missing; who has neither is told every command
# that root has to run. Asks no questions; sudo may, on a terminal. Arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."

# setcap is not on everybody's path.
PATH=$PATH:/usr/sbin:/sbin

# Packages still to be installed, and what else root has to do then, one command a line.
missing=()
find_missing() {
    command -v sipp >/dev/null || missing+=(sip-tester)
    command -v baresip >/dev/null || missing+=(baresip-core)
    command -v tshark >/dev/null || missing+=(tshark)
    command -v sox >/dev/null || missing+=(sox)
    command -v psql >/dev/null || missing+=(postgresql)
    command -v openssl >/dev/null || missing+=(openssl)
    [ "$(id -u)" -eq 0 ] || command -v setcap >/dev/null || missing+=(libcap2-bin)
    command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
    command -v cc >/dev/null || missing+=(build-essential)
    command -v python3 >/dev/null || missing+=(python3)
}

# Raw sockets take a privilege that Debian gives to root alone: dumpcap captures by them, and SIPp
# plays recorded RTP.
may_use_raw_sockets() {
    [ "$(id -u)" -ne 0 ] || return 0
    local path
    path=$(command -v "$1") || return 1
    getcap "$(readlink -f "$path")" 2>/dev/null | grep -q cap_net_raw
}

# What root has to do, as a script: everything at once, so that one refusal tells all of it.
root_script() {
    local program
    if [ ${#missing[@]} -gt 0 ]; then
        echo "apt-get -qq -o DPkg::Lock::Timeout=300 update"
        # No cluster of Debian's own is wanted, and none is made where this says so beforehand.
        case " ${missing[*]} " in *" postgresql "*)
            echo "mkdir -p /etc/postgresql-common/createcluster.d"
            echo "echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/tests.conf" ;;
        esac
        echo "apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends ${missing[*]}"
    fi
    for program in dumpcap sipp; do
        if ! may_use_raw_sockets "$program"; then
            echo "chmod 755 \$(readlink -f \$(command -v $program))"
            echo "setcap cap_net_raw,cap_net_admin=eip \$(readlink -f \$(command -v $program))"
        fi
    done
}

run_as_root() {
    local script="set -e; export DEBIAN_FRONTEND=noninteractive PATH=\$PATH:/usr/sbin:/sbin
$1"
    if [ "$(id -u)" -eq 0 ]; then
        sh -c "$script" </dev/null
        return
    fi
    local why="you are not root and there is no sudo"
    if command -v sudo >/dev/null; then
        # Where nobody can be asked for a password, sudo must not need one.
        if [ -t 0 ] || sudo -n true 2>/dev/null; then
            sudo sh -c "$script"
            return
        fi
        why="sudo wants a password and there is no terminal to ask on"
    fi
    echo "tests/run.sh: $why; have root do the above once, then start again" >&2
    exit 1
}

prepare() {
    local script
    find_missing
    script=$(root_script)
    if [ -z "$script" ]; then
        echo "tests/run.sh: nothing to install"
        return
    fi
    if [ ${#missing[@]} -gt 0 ] && ! command -v apt-get >/dev/null; then
        echo "tests/run.sh: no apt-get here; install these yourself: ${missing[*]}" >&2
        exit 1
    fi
    echo "tests/run.sh: root has to do this:"
    printf '%s\n' "$script" | sed 's/^/  /'
    run_as_root "$script"
    hash -r
}

command -v cargo >/dev/null || { echo "tests/run.sh: cargo is missing; install Rust first" >&2; exit 1; }
prepare
sipp -v 2>&1 | grep -o 'SIPp v[^ ]*' || true
audio/make.sh check
cargo test --locked "$@"
