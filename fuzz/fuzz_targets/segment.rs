//! Any file: read as a segment of an import, whole and for one number.
#![no_main]

use std::io::Cursor;

use bajavoz::model::Number;
use bajavoz::suppression::segment::SegmentName;
use bajavoz::suppression::segment::SegmentReader;
use bajavoz::suppression::segment::find;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(reader) = SegmentReader::open(data, SegmentName([0; 32])) {
        // No input is known whose SHA-256 is all zeros.
        assert!(reader.verify().is_err());
    }
    let number = Number::from_e164_digits(34_600_123_456).expect("it is E.164");
    let _found = find(Cursor::new(data), number);
});
