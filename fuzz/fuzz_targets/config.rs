//! Any text: checked as a configuration. Files are divided by a zero octet: the first is
//! bajavoz.toml, the others are campaigns. Seeds: `config`, `config/campaigns`.
#![no_main]

use std::path::Path;

use bajavoz::config;
use bajavoz::config::Severity;
use bajavoz::config::Source;
use bajavoz::engine::Rooms;
use libfuzzer_sys::fuzz_target;

/// The folder beside which the prompts are looked for.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config");

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let name = |place| match place {
        0 => "bajavoz.toml".to_owned(),
        place => format!("campaigns/{place}.toml"),
    };
    let sources: Vec<_> = text
        .split('\0')
        .zip(0..)
        .map(|(text, place)| Source::new(&name(place), text.to_owned()))
        .collect();
    let findings = match config::check(&sources, Path::new(FOLDER), &Rooms) {
        Ok(checked) => checked.warnings,
        Err(findings) => {
            let is_error = findings.iter().any(|finding| finding.severity() == Severity::Error);
            assert!(is_error, "a configuration is refused for a reason");
            findings
        }
    };
    for finding in findings {
        assert!(!finding.render(false).is_empty());
    }
});
