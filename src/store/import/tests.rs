//! Files of every kind become the segments that they should, in runs of any size.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;
use crate::model::NumberReader;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::suppression::import::Part;
use crate::suppression::segment::SegmentReader;

mod resume;

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("numbers");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn order(&self, bytes: &[u8], shape: Option<Shape>, run_numbers: usize) -> Order {
        let numbers = NumberReader::new("ES").unwrap();
        Order {
            rejects: Some(self.dir.path().join("rejects.csv")),
            run_numbers,
            is_one_list: true,
            ..Order::new(
                self.file(bytes),
                import::Settings { shape, ..import::Settings::new(numbers) },
            )
        }
    }

    fn store(&self) -> PathBuf {
        let store = self.dir.path().join("store");
        fs::create_dir_all(&store).unwrap();
        store
    }

    fn numbers(&self, part: Option<Part>) -> BTreeSet<u64> {
        let Some(part) = part else { return BTreeSet::new() };
        let path = self.store().join("segments").join(format!("{}.seg", part.segment));
        let reader = SegmentReader::open(File::open(path).unwrap(), part.segment).unwrap();
        let numbers: Vec<u64> = reader.map(|number| number.unwrap().digits()).collect();
        assert_eq!(numbers.len() as u64, part.count);
        numbers.into_iter().collect()
    }
}

fn title() -> Title {
    Title { list: "robinson".into(), source: "a test".to_owned(), as_of: None }
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn any_order_and_any_size_of_run_gives_the_same_segment() {
    let place = Place::new();
    let mut tokens = TokenSource::new(Seed(4, 4));
    let numbers: Vec<u64> =
        (0..5_000).map(|_| 34_600_000_000 + tokens.next_u64() % 9_000).collect();
    let text: String = numbers.iter().map(|number| format!("+{number}\n")).collect();
    let want: BTreeSet<u64> = numbers.iter().copied().collect();
    let mut names = BTreeSet::new();
    for run_numbers in [1, 7, 1_000, 5_000, 100_000] {
        let order = place.order(text.as_bytes(), None, run_numbers);
        let mut told = Vec::new();
        let mut prepared = prepare(&order, &mut |progress| told.push(progress)).unwrap();
        assert_eq!(prepared.listed, want.len() as u64);
        assert_eq!(prepared.duplicates(), 5_000 - want.len() as u64);
        let (listed, taken_off) =
            write(&mut prepared, &title(), &place.store(), &mut |_| {}).unwrap();
        assert!(place.numbers(listed) == want && taken_off.is_none(), "runs of {run_numbers}");
        names.insert(listed.unwrap().segment);
    }
    assert_eq!(names.len(), 1, "the same numbers are the same file");
    let left = fs::read_dir(place.store().join("segments")).unwrap().count();
    assert_eq!(left, 2, "the segment and the lock");
}

#[test]
fn gz_is_read_by_what_it_is_and_a_cut_one_changes_nothing() {
    let place = Place::new();
    let text: String = (0..3_000).map(|n| format!("+34600{:06}\n", n * 7)).collect();
    let halves = [gz(&text.as_bytes()[..1_000]), gz(&text.as_bytes()[1_000..])].concat();
    let whole = gz(text.as_bytes());
    for bytes in [&whole, &halves] {
        let prepared = prepare(&place.order(bytes, None, 100), &mut |_| {}).unwrap();
        assert_eq!(prepared.listed, 3_000);
        let want: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(
            <sha2::Sha256 as sha2::Digest>::new(),
            bytes,
        ))
        .into();
        assert_eq!(prepared.file_sha256, want, "of the file as it came");
    }
    for cut in [3, 12, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        let error = prepare(&place.order(&whole[..cut], None, 100), &mut |_| {}).unwrap_err();
        assert!(matches!(error, PrepareError::GzCut { .. }), "cut at {cut}: {error}");
    }
    let behind = [whole.as_slice(), b"more"].concat();
    assert!(prepare(&place.order(&behind, None, 100), &mut |_| {}).is_err());
    let missing = Order { file: place.dir.path().join("none"), ..place.order(b"", None, 1) };
    assert!(matches!(prepare(&missing, &mut |_| {}), Err(PrepareError::Io { .. })));
    assert!(!place.dir.path().join("store").exists(), "no store was touched");
}

#[test]
fn a_change_list_takes_off_what_it_does_not_list_too() {
    let place = Place::new();
    let text = b"201,5550101,A\n201,5550102,D\n201,5550103,D\n201,5550103,A\n201,5550102,D\n";
    let mut prepared = prepare(&place.order(text, Some(Shape::FtcChange), 1), &mut |_| {}).unwrap();
    assert_eq!((prepared.listed, prepared.taken_off, prepared.duplicates()), (2, 1, 2));
    let mut last = None;
    let (listed, taken_off) =
        write(&mut prepared, &title(), &place.store(), &mut |told| last = Some(told)).unwrap();
    assert_eq!(place.numbers(listed), [12_015_550_101, 12_015_550_103].into());
    assert_eq!(place.numbers(taken_off), [12_015_550_102].into());
    assert_eq!(last, Some(Progress::Written { numbers: 2, of: 3 }));
}

#[test]
fn rejected_lines_are_kept_with_place_reason_and_text() {
    let place = Place::new();
    let order = place.order(b"600123456\n=1+1\n12\n+346001\n\"x\ny", Some(Shape::Txt), 10);
    let _cut = prepare(&order, &mut |_| {}).unwrap_err();
    let order = place.order(b"600123456\n=1+1\n12\n+346001\n\xff,\n", Some(Shape::Txt), 10);
    prepare(&order, &mut |_| {}).unwrap();
    let path = order.rejects.unwrap();
    let rejects = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = rejects.lines().collect();
    assert_eq!(lines[0], "line,reason,why,text");
    assert!(lines[1].starts_with("2,character,") && lines[1].ends_with(",'=1+1"), "{}", lines[1]);
    assert!(lines[2].starts_with("3,short_code,"), "{}", lines[2]);
    assert!(lines[3].ends_with(",+346001"), "what looks like a number stays one: {}", lines[3]);
    assert!(lines[4].starts_with("5,"), "{}", lines[4]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn rejected_lines_are_written_over_nothing_but_those_of_an_earlier_import() {
    let place = Place::new();
    let text = b"600123456\n12\n";
    let order = place.order(text, Some(Shape::Txt), 10);
    let rejects = order.rejects.clone().unwrap();
    let link = place.dir.path().join("link");
    std::os::unix::fs::symlink(&order.file, &link).unwrap();
    let try_at = |path: &Path, what: &[u8]| {
        fs::write(path, what).unwrap();
        let order = Order { rejects: Some(path.to_owned()), ..order.clone() };
        let came = prepare(&order, &mut |_| {}).map(drop).map_err(|error| error.to_string());
        (came, fs::read(path).unwrap())
    };
    let sheets = &b"sheet,row,reason,why,text\nSheet1,2,x,x,x\n"[..];
    for (name, path, what, want) in [
        ("the file itself", &order.file, &text[..], Err("is the file that is imported")),
        ("a link to it", &link, &text[..], Err("is the file that is imported")),
        ("another's", &rejects, &b"[node]\n"[..], Err("no file of rejected lines")),
        ("one that is shorter", &rejects, &b"line"[..], Err("no file of rejected lines")),
        ("an empty one", &rejects, &b""[..], Ok(())),
        ("of an earlier import", &rejects, &b"line,reason,why,text\n9,x,x,x\n"[..], Ok(())),
        ("of an earlier one of a spreadsheet", &rejects, sheets, Ok(())),
    ] {
        let (came, left) = try_at(path, what);
        match want {
            Ok(()) => {
                assert_eq!(came, Ok(()), "{name}");
                assert!(left.starts_with(b"line,reason,why,text\n2,short_code,"), "{name}");
            }
            Err(want) => {
                assert!(came.is_err_and(|error| error.contains(want)), "{name}");
                assert_eq!(left, what, "{name}: it is as it was");
            }
        }
    }
}

#[test]
fn two_imports_do_not_write_at_once_and_what_a_crash_left_is_no_hindrance() {
    let place = Place::new();
    let mut prepared = prepare(&place.order(b"600123456\n", None, 10), &mut |_| {}).unwrap();
    let segments = place.store().join("segments");
    fs::create_dir_all(&segments).unwrap();
    fs::write(segments.join("unfinished"), b"half a segment").unwrap();
    let lock = segments.join("lock");
    let other = OpenOptions::new().create(true).append(true).open(&lock).unwrap();
    other.lock().unwrap();
    let error = write(&mut prepared, &title(), &place.store(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, PrepareError::Busy { .. }), "{error}");
    drop(other);
    let (listed, _none) = write(&mut prepared, &title(), &place.store(), &mut |_| {}).unwrap();
    assert_eq!(place.numbers(listed), [34_600_123_456].into());
    assert!(!segments.join("unfinished").exists());
}
