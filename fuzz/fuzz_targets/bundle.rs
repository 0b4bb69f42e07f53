//! Any file: verified as a bundle.
#![no_main]

use bajavoz::suppression::proof::bundle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| drop(bundle::verify(data, None)));
