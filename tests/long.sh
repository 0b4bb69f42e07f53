#!/usr/bin/env bash
# The slow suites, which the gate runs in small: tests/long.sh [PART..], all parts by default.
#
# A part is a function `part_NAME` below; the line above it says what it shows, and
# `tests/long.sh --list` prints them. Each prints the runner's own closing lines; the first that
# fails ends the run. What a part counts stands beside its name and can be made another number,
# as in `BAJAVOZ_KILL_ROUNDS=20 tests/long.sh kill`.
set -euo pipefail
cd "$(dirname "$0")/.."

# A million seeded mutations of the torture messages and of a carrier's INVITE: no panic.
part_mutations() {
    BAJAVOZ_MUTATIONS="${BAJAVOZ_MUTATIONS:-1000000}" cargo test --locked --release --lib no_mutation
}

# A hundred thousand seeded mutants of spreadsheets: each is read as a table or refused in our words.
part_workbooks() {
    BAJAVOZ_WORKBOOKS="${BAJAVOZ_WORKBOOKS:-100000}" cargo test --locked --lib no_mutant_of_a_workbook
}

# Whole calls on virtual time: 100,000 campaigns, with the assertions that a release leaves out.
part_calls() {
    BAJAVOZ_CAMPAIGNS="${BAJAVOZ_CAMPAIGNS:-100000}" cargo test --locked --test it sim
}

# Every step of every write path fails in every way, and the power goes after each: no promise is lost.
part_crash() {
    BAJAVOZ_STEPS_ALL="${BAJAVOZ_STEPS_ALL-1}" BAJAVOZ_IMAGES_ALL="${BAJAVOZ_IMAGES_ALL-1}" \
        cargo test --locked --test crash -- --nocapture
}

# Two hundred engines killed at any moment under load, on SQLite and on PostgreSQL: no promise is lost.
part_kill() {
    BAJAVOZ_KILL_ROUNDS="${BAJAVOZ_KILL_ROUNDS:-200}" cargo test --locked --test it kill::
}

# Twenty power cuts in mid-write, with SQLite and with PostgreSQL on the disk: every promise is there.
part_power() {
    BAJAVOZ_POWER_ROUNDS="${BAJAVOZ_POWER_ROUNDS:-20}" cargo test --locked --test it power::
}

# A registry of 250 million made-up numbers, imported beside calls; memory and restart are told.
part_registry() {
    BAJAVOZ_REGISTRY_NUMBERS="${BAJAVOZ_REGISTRY_NUMBERS:-250000000}" \
        cargo test --locked --release --test it registry:: -- --nocapture
}

# Ten million numbers of every region in every spelling: the byte path answers as the library does.
part_numbers() {
    BAJAVOZ_NUMBERS="${BAJAVOZ_NUMBERS:-10000000}" cargo test --locked --release --lib answered_at_once -- --nocapture
}

# Every bit of a bundle, and of a store's journal, rows and keys: each that is flipped is named.
part_flips() {
    BAJAVOZ_FLIP_STEP="${BAJAVOZ_FLIP_STEP:-1}" cargo test --locked --release --lib flipped_bit
}

# A hundred thousand opt-outs at three engines on one PostgreSQL, while everything fails.
part_nodes() {
    BAJAVOZ_NODES_OPTOUTS="${BAJAVOZ_NODES_OPTOUTS:-100000}" \
        cargo test --locked --test it nodes:: -- --nocapture
}

# Twenty thousand calls by SIPp at 50 a second, keys by three methods: each is on record, once.
part_sipp_soak() {
    BAJAVOZ_SIPP_CALLS="${BAJAVOZ_SIPP_CALLS:-20000}" cargo test --locked --test it sipp::every
}

# In the order in which they stand above.
parts() { sed -n 's/^part_\([a-z_]*\)().*/\1/p' tests/long.sh; }

list() { sed -n '/^# /{h;n;/^part_/{s/^part_\([a-z_]*\)().*/\1/;G;s/\n# /\t/;p}}' tests/long.sh; }

main() {
    local part
    if [ "${1:-}" = --list ]; then
        list
        return
    fi
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
