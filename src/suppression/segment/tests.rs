//! Segments against sets of numbers, and against every way a file can be damaged.

use std::collections::BTreeSet;
use std::io::Cursor;

use super::*;
use crate::model::Number;
use crate::model::token::Seed;
use crate::model::token::TokenSource;

fn header(count: u64) -> SegmentHeader {
    SegmentHeader {
        content: Content::Listed,
        list: "ftc".into(),
        source: "a!".to_owned(),
        as_of: Some(UnixMicros(1_795_305_600_000_000)),
        count,
    }
}

fn number(digits: u64) -> Number {
    Number::from_key(digits).expect("the test's numbers are some")
}

fn written(numbers: &BTreeSet<u64>) -> (Vec<u8>, SegmentName) {
    let mut writer = SegmentWriter::new(Vec::new(), &header(numbers.len() as u64)).unwrap();
    for &digits in numbers {
        writer.push(number(digits)).unwrap();
    }
    writer.finish().unwrap()
}

/// All of a segment, or the error that stopped it.
fn read(bytes: &[u8], name: SegmentName) -> Result<BTreeSet<u64>, SegmentError> {
    SegmentReader::open(bytes, name)?.map(|number| number.map(Number::digits)).collect()
}

/// `count` numbers below `span` behind `base`, the same for each seed.
fn strewn(tokens: &mut TokenSource, base: u64, span: u64, count: usize) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    while numbers.len() < count {
        numbers.insert(base + tokens.next_u64() % span);
    }
    numbers
}

#[test]
fn the_form_is_that_of_an_independent_writer() {
    // Written by forty lines of Python with its own zlib and hashlib.
    let want = "424a56534547010100036674630002612101000660d2288d20000000000000000003d37510bc\
                0003000600000002ccc7551400aaceb28c54277d3b82";
    let (bytes, name) = written(&[12_025_550_100, 12_025_550_101, 34_600_123_456].into());
    let hex: String = bytes.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(hex, want);
    assert_eq!(
        name.to_string(),
        "0744c943c2307418f624727b0ae4e53edc0844183a2f198bcbaa8298ccaf3987"
    );
    assert_eq!(name.to_string().parse(), Ok(name));
    assert!("0".repeat(63).parse::<SegmentName>().is_err());
    assert!("+0".repeat(32).parse::<SegmentName>().is_err());
}

#[test]
fn what_was_written_is_read_again_and_found() {
    let mut tokens = TokenSource::new(Seed(31, 7));
    // numbers, and how far they are strewn behind the first
    #[rustfmt::skip]
    let cases = [
        ("none",                         0,     1),
        ("one",                          1,     1),
        ("each of a range",              5_000, 5_000),
        ("a block less one",             8_191, 100_000),
        ("a whole block",                8_192, 100_000),
        ("a block and one",              8_193, 100_000),
        ("some blocks, dense",           40_000, 400_000),
        ("some blocks, over the world",  40_000, 900_000_000_000_000),
    ];
    for (name, count, span) in cases {
        let numbers = strewn(&mut tokens, 1, span, count);
        let (bytes, hash) = written(&numbers);
        assert!(read(&bytes, hash).unwrap() == numbers, "{name}");
        let found = SegmentReader::open(&bytes[..], hash).unwrap().verify().unwrap();
        assert_eq!(found, header(count as u64), "{name}");
        let ascending: Vec<u64> = numbers.iter().copied().collect();
        let near = numbers.iter().take(500).flat_map(|&digits| [digits - 1, digits, digits + 1]);
        let ends = [1, 10_u64.pow(15) - 1].into_iter().chain(numbers.last().copied());
        for digits in near.chain(ends).filter(|&digits| digits > 0) {
            let got = find(Cursor::new(&bytes), number(digits)).unwrap();
            let place = ascending.binary_search(&digits).ok().map(|place| place as u64);
            assert_eq!(got, place, "{name}: {digits}");
        }
    }
}

#[test]
fn short_codes_stand_behind_the_numbers() {
    let code = |region, digits| Number::short_code(region, digits).expect("it is one").digits();
    let codes = [code("AA", "0"), code("ES", "1004"), code("ES", "01004"), code("ZZ", "999999")];
    let numbers: BTreeSet<u64> = codes.into_iter().chain([1, 10_u64.pow(15) - 1]).collect();
    let (bytes, name) = written(&numbers);
    assert_eq!(read(&bytes, name).unwrap(), numbers);
    for (place, key) in (0_u64..).zip(&numbers) {
        assert_eq!(find(Cursor::new(&bytes), number(*key)).unwrap(), Some(place));
    }
    assert_eq!(find(Cursor::new(&bytes), number(code("ES", "1005"))).unwrap(), None);
}

#[test]
fn no_flipped_bit_and_no_cut_goes_unnoticed() {
    let mut tokens = TokenSource::new(Seed(2, 3));
    let numbers = strewn(&mut tokens, 34_600_000_000, 90_000, 8_300);
    let (bytes, name) = written(&numbers);
    for cut in 0..bytes.len() {
        let error = read(&bytes[..cut], name).expect_err("it is cut");
        let SegmentError::Truncated { offset, .. } = error else { panic!("cut {cut}: {error}") };
        assert_eq!(offset, cut as u64);
    }
    // Each bit of header, heads and checksums, and one in 61 of the others.
    let second = bytes.len() - 200;
    for bit in (0..8 * bytes.len()).filter(|bit| {
        let at = bit / 8;
        at < 80 || at > second || bit % 61 == 0
    }) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = read(&flipped, name).expect_err("a bit is another");
        let text = error.to_string();
        assert!(text.contains("segment"), "bit {bit}: {text}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let error = read(&longer, name).expect_err("it is longer");
    let is_there =
        matches!(error, SegmentError::Trailing { offset } if offset == bytes.len() as u64);
    assert!(is_there, "{error}");
    let error = read(&bytes, SegmentName([7; 32])).expect_err("it is another");
    assert!(matches!(error, SegmentError::Name { found, .. } if found == name), "{error}");
}

#[test]
fn a_damaged_block_is_named() {
    let mut tokens = TokenSource::new(Seed(5, 5));
    let numbers = strewn(&mut tokens, 34_600_000_000, 8_192 * 3, 8_192 * 3);
    let (bytes, name) = written(&numbers);
    // Each number of the range: a gap is one octet, so that all blocks are as long.
    let block_len = HEAD_LEN + 8_191 + 4;
    let begin = bytes.len() - 3 * block_len;
    let mut damaged = bytes.clone();
    damaged[begin + block_len + 100] ^= 0x10;
    let error = read(&damaged, name).expect_err("it is damaged");
    let want = format!(
        "the segment is damaged in block 1 at octet {}: its checksum is another",
        begin + block_len
    );
    assert_eq!(error.to_string(), want);
    let last = *numbers.last().unwrap();
    let found = find(Cursor::new(&damaged), number(last)).unwrap();
    assert_eq!(found, Some(8_192 * 3 - 1), "another block is whole");
    assert!(find(Cursor::new(&damaged), number(34_600_000_000 + 8_200)).is_err());
    let mut swapped = bytes.clone();
    swapped[begin..begin + block_len].copy_from_slice(&bytes[begin + block_len..][..block_len]);
    swapped[begin + block_len..][..block_len].copy_from_slice(&bytes[begin..begin + block_len]);
    let error = read(&swapped, name).expect_err("two blocks changed places");
    assert!(matches!(error, SegmentError::Block { block: 0, .. }), "{error}");
}

#[test]
fn what_is_no_segment_is_not_written() {
    let start = |count| SegmentWriter::new(Vec::new(), &header(count)).unwrap();
    let mut writer = start(3);
    writer.push(number(7)).unwrap();
    let error = writer.push(number(7)).expect_err("it comes twice");
    assert!(matches!(error, SegmentError::Order { position: 1 }), "{error}");
    let error = writer.push(number(6)).expect_err("it descends");
    assert!(matches!(error, SegmentError::Order { position: 1 }), "{error}");
    let error = writer.finish().expect_err("two are missing");
    assert_eq!(error.to_string(), "expected 3 numbers in the segment, found 1");
    let long = SegmentHeader { source: "x".repeat(TEXT_LEN_MAX + 1), ..header(0) };
    let error = SegmentWriter::new(Vec::new(), &long).expect_err("it is too long");
    assert!(matches!(error, SegmentError::Long { found: 1025 }), "{error}");
    let longest = SegmentHeader { source: "x".repeat(TEXT_LEN_MAX), ..header(0) };
    let (bytes, name) = SegmentWriter::new(Vec::new(), &longest).unwrap().finish().unwrap();
    assert_eq!(SegmentReader::open(&bytes[..], name).unwrap().verify().unwrap(), longest);
    let mut later = bytes;
    later[6] = 2;
    let error = read(&later, name).expect_err("a later program wrote it");
    assert!(matches!(error, SegmentError::Version { found: 2 }), "{error}");
}

#[test]
fn a_number_takes_as_many_octets_as_stated() {
    let mut tokens = TokenSource::new(Seed(11, 13));
    #[rustfmt::skip]
    let cases = [
        ("one number in ten",      10,            1.01),
        ("one in a thousand",      1_000,         2.01),
        ("ten million on earth's", 100_000_000,   4.10),
    ];
    for (name, spacing, want_max) in cases {
        let count = 100_000;
        let numbers = strewn(&mut tokens, 1, spacing * count, count as usize);
        let per_number = written(&numbers).0.len() as f64 / count as f64;
        assert!(per_number < want_max, "{name}: {per_number:.3} octets a number");
    }
}
