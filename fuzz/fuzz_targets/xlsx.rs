//! Any file that begins as a spreadsheet does: read as an import.
#![no_main]

use std::io::Write;

use bajavoz::model::NumberReader;
use bajavoz::store::import::Order;
use bajavoz::store::import::prepare;
use bajavoz::suppression::import::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
    file.write_all(b"PK\x03\x04").and_then(|()| file.write_all(data)).expect("it is written");
    let numbers = NumberReader::new("ES").expect("the plans know Spain");
    let order = Order { run_numbers: 64, ..Order::new(file.path().to_owned(), Settings::new(numbers)) };
    if let Ok(prepared) = prepare(&order, &mut |_progress| {}) {
        // No number comes from nowhere.
        let placed: u64 = prepared.placed().iter().map(|placed| placed.count).sum();
        assert!(prepared.listed + placed <= prepared.tally.listed);
    }
});
