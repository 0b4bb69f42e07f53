#!/usr/bin/env bash
# The slow suites, which the gate runs in small: tests/long.sh [PART..], all parts by default.
#
# A part is a function `part_NAME` below with one line that says what it shows. Each prints the
# runner's own closing lines; the first that fails ends the run.
set -euo pipefail
cd "$(dirname "$0")/.."

# A million seeded mutations of the torture messages and of a carrier's INVITE: no panic.
part_mutations() {
    BAJAVOZ_MUTATIONS=1000000 cargo test --locked --release --lib no_mutation
}

# Whole calls on virtual time: 100,000 campaigns, with the assertions that a release leaves out.
part_calls() {
    BAJAVOZ_CAMPAIGNS="${BAJAVOZ_CAMPAIGNS:-100000}" cargo test --locked --test it sim
}

# Two hundred engines killed at any moment under load, on one store: no promise is lost.
part_kill() {
    BAJAVOZ_KILL_ROUNDS="${BAJAVOZ_KILL_ROUNDS:-200}" cargo test --locked --test it kill::
}

# Twenty thousand calls by SIPp at 50 a second, keys by three methods: each is on record, once.
part_sipp_soak() {
    BAJAVOZ_SIPP_CALLS="${BAJAVOZ_SIPP_CALLS:-20000}" cargo test --locked --test it sipp::every
}

parts() { declare -F | sed -n 's/^declare -f part_//p'; }

main() {
    local part
    for part in "$@"; do
        if ! declare -F "part_$part" >/dev/null; then
            echo "tests/long.sh: no part $part; there are: $(parts | tr '\n' ' ')" >&2
            exit 2
        fi
    done
    [ $# -gt 0 ] || mapfile -t all < <(parts)
    for part in "${@:-${all[@]}}"; do
        echo "== $part"
        "part_$part"
    done
}

main "$@"
