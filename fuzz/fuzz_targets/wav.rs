//! Any file: read as a prompt.
#![no_main]

use bajavoz::media::prompt::Prompt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| drop(Prompt::from_wav("prompt", data)));
