//! Any file: read as each shape of an import; the first octet says which.
#![no_main]

use std::io;

use bajavoz::model::Number;
use bajavoz::model::NumberReader;
use bajavoz::suppression::import::Exported;
use bajavoz::suppression::import::Rejected;
use bajavoz::suppression::import::Settings;
use bajavoz::suppression::import::Shape;
use bajavoz::suppression::import::Sink;
use bajavoz::suppression::import::read;
use libfuzzer_sys::fuzz_target;

/// Counts what it hears.
#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn listed(&mut self, _number: Number) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn taken_off(&mut self, _number: Number) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn exported(&mut self, _exported: &Exported) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn rejected(&mut self, _rejected: &Rejected<'_>) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let shape = Shape::ALL.get(usize::from(*first)).copied();
    let numbers = NumberReader::new("ES").expect("the plans know Spain");
    let mut count = Count::default();
    let settings = Settings { shape, ..Settings::new(numbers) };
    if let Ok((_shape, tally)) = read(text, settings, &mut count) {
        // Ranges are in the tally alone.
        assert!(tally.read >= count.0, "each line once");
        assert!(tally.read == count.0 || !tally.ranges.is_empty(), "each line at all");
    }
});
