//! `src/model/number/plans.tsv` holds the numbering plans of the library that this build uses.
//!
//! The library keeps its metadata to itself, so that the byte path of `model/number` has the part
//! that it needs in a file of its own: for each region its calling code and the patterns of its
//! numbers. The test makes that file anew from the metadata in the library's own source, as Cargo
//! finds it, and compares. When the library was updated, `BAJAVOZ_WRITE=1 cargo test --test plans`
//! writes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

const HEAD: &str = "\
# The numbering plans of rlibphonenumber (Google's libphonenumber, Apache-2.0), one region a line:
# calling code, region, what leads its numbers, national prefix, whether that is replaced rather
# than stripped, prefix abroad, all its numbers, and each kind of them; numbers are their lengths,
# a space and a pattern. Regions of one code stand in the order in which they are asked. Made by
# `BAJAVOZ_WRITE=1 cargo test --test plans`, which also says what is wrong with it.
";

fn repository() -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    folder.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The library's metadata, from the source that Cargo compiles.
fn metadata() -> Vec<u8> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&cargo.stderr);
    let found: serde_json::Value = serde_json::from_slice(&cargo.stdout).expect(&errors);
    let packages = found["packages"].as_array().expect("cargo lists packages");
    let library = packages.iter().find(|package| package["name"] == "rlibphonenumber");
    let manifest = library.expect("the library is a dependency")["manifest_path"].as_str();
    let folder = Path::new(manifest.expect("a path")).parent().expect("a folder");
    let file = folder.join("src/generated/metadata/metadata.bin");
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The fields of a protobuf message: numbers and octets by their tags.
#[derive(Default)]
struct Fields<'a> {
    numbers: BTreeMap<u64, Vec<u64>>,
    octets: BTreeMap<u64, Vec<&'a [u8]>>,
}

impl<'a> Fields<'a> {
    fn of(mut message: &'a [u8]) -> Self {
        let mut fields = Self::default();
        while !message.is_empty() {
            let key = varint(&mut message);
            let value = varint(&mut message);
            match key & 7 {
                0 => fields.numbers.entry(key >> 3).or_default().push(value),
                2 => {
                    let (octets, rest) = message.split_at(value.try_into().expect("a length"));
                    message = rest;
                    fields.octets.entry(key >> 3).or_default().push(octets);
                }
                kind => panic!("the metadata has fields of the kind {kind} now"),
            }
        }
        fields
    }

    fn number(&self, tag: u64) -> u64 {
        self.numbers.get(&tag).map_or(0, |numbers| numbers[0])
    }

    fn messages(&self, tag: u64) -> impl Iterator<Item = &'a [u8]> {
        self.octets.get(&tag).into_iter().flatten().copied()
    }

    fn text(&self, tag: u64) -> &'a str {
        std::str::from_utf8(self.messages(tag).next().unwrap_or_default()).expect("UTF-8")
    }

    /// A pattern without the anchors that the library keeps it in; `-` where there is none.
    fn pattern(&self, tag: u64) -> &'a str {
        let text = self.text(tag);
        let inside = text.strip_prefix("^(?:").and_then(|text| text.strip_suffix(")$"));
        if text.is_empty() { "-" } else { inside.expect("a pattern with anchors") }
    }
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = message.split_first().expect("a whole number");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// Lengths and pattern of one kind of numbers; nothing where there are none.
fn kind(region: &Fields<'_>, tag: u64) -> Option<String> {
    let desc = Fields::of(region.messages(tag).next()?);
    let lengths = desc.numbers.get(&9).cloned().unwrap_or_default();
    // A kind without numbers has the length -1.
    let lengths: Vec<String> =
        lengths.into_iter().filter(|&len| len < 32).map(|len| len.to_string()).collect();
    let pattern = desc.pattern(2);
    (pattern != "-").then(|| format!("{} {pattern}", lengths.join(",")))
}

fn line(region: &Fields<'_>) -> String {
    // Tags as the library's phonemetadata.proto has them; the mobile numbers are not looked at
    // where they are those of the fixed lines.
    const GENERAL: u64 = 1;
    const KINDS: [u64; 9] = [2, 4, 5, 6, 7, 8, 21, 25, 28];
    const MOBILE: u64 = 3;
    let has_mobile = region.number(18) == 0;
    let kinds = KINDS.into_iter().chain(has_mobile.then_some(MOBILE));
    let mut columns = vec![
        region.number(10).to_string(),
        region.text(9).to_owned(),
        region.pattern(23).to_owned(),
        region.pattern(15).to_owned(),
        if region.text(16).is_empty() { "stripped" } else { "replaced" }.to_owned(),
        region.pattern(11).to_owned(),
        kind(region, GENERAL).expect("a region has numbers"),
    ];
    columns.extend(kinds.filter_map(|tag| kind(region, tag)));
    columns.join("\t") + "\n"
}

/// The whole file.
fn plans(metadata: &[u8]) -> String {
    let mut by_code: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for region in Fields::of(metadata).messages(1).map(Fields::of) {
        let lines = by_code.entry(region.number(10)).or_default();
        let is_main = region.number(22) == 1;
        lines.insert(if is_main { 0 } else { lines.len() }, line(&region));
    }
    HEAD.to_owned() + &by_code.into_values().flatten().collect::<String>()
}

#[test]
fn the_plans_are_those_of_the_library() {
    let want = plans(&metadata());
    let file = repository().join("src/model/number/plans.tsv");
    if std::env::var_os("BAJAVOZ_WRITE").is_some() {
        fs::write(&file, &want).expect("the file is written");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == want, "{} is not made of this library", file.display());
    assert!(want.lines().count() > 240, "the regions of the world");
}
