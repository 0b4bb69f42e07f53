//! An import that is ended, at whatever point, comes to what one without an end comes to, and says
//! where it went on. A process that is killed is one that unwinds: nothing is tidied up on the way.

use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use super::*;
use crate::model::UnixMicros;
use crate::store::import::xlsx::tests::workbook;
use crate::store::import::xlsx::tests::zip;
use crate::suppression::NumberSecret;

/// When the first try is begun; each later one is a second later.
const BEGUN: i64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// What an import comes to.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    tally: Tally,
    counts: (u64, u64, u64),
    file_sha256: [u8; 32],
    parts: Vec<Option<Part>>,
    placed: Vec<Placed>,
    rejects: String,
}

/// One file, in a folder of its own.
struct Case {
    place: Place,
    order: Order,
}

impl Case {
    fn new(bytes: &[u8], shape: Option<Shape>, numbers: NumberStorage) -> Self {
        let place = Place::new();
        let order = place.order(bytes, shape, 7);
        let is_one_list = shape != Some(Shape::Export);
        let order = Order { is_one_list, numbers, ..order };
        Self { place, order }
    }

    fn at(&self, now: i64) -> Order {
        let keeping = Keeping { store: self.place.store(), now: UnixMicros(now) };
        Order { keeping: Some(keeping), ..self.order.clone() }
    }

    /// Tries it at `now`; ended when it has kept how far it is for the `end`-th time.
    fn try_at(&self, now: i64, end: usize) -> Option<Prepared> {
        let (order, mut kept) = (self.at(now), 0);
        let mut tell = |progress| {
            kept += usize::from(matches!(progress, Progress::Read { .. }));
            if kept == end {
                panic::resume_unwind(Box::new("killed"));
            }
        };
        let tried = panic::catch_unwind(AssertUnwindSafe(|| prepare(&order, &mut tell)));
        tried.ok().map(Result::unwrap)
    }

    fn came(&self, mut prepared: Prepared) -> Came {
        let counts = (prepared.listed, prepared.taken_off, prepared.duplicates());
        let store = self.place.store();
        let parts = if prepared.placed().is_empty() {
            let (listed, off) = write(&mut prepared, &title(), &store, &mut |_| {}).unwrap();
            vec![listed, off]
        } else {
            write_placed(&mut prepared, &title(), &store, &mut |_| {}).unwrap()
        };
        prepared.done();
        assert_eq!(self.left(), Vec::<PathBuf>::new(), "what is done is not kept");
        Came {
            tally: prepared.tally.clone(),
            counts,
            file_sha256: prepared.file_sha256,
            parts,
            placed: prepared.placed().to_vec(),
            rejects: fs::read_to_string(self.order.rejects.as_ref().unwrap()).unwrap(),
        }
    }

    /// What it comes to without an end.
    fn whole(&self) -> Came {
        let prepared = prepare(&self.order, &mut |_| {}).unwrap();
        self.came(prepared)
    }

    /// Folders of imports that are kept.
    fn left(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.place.store().join("importing"));
        folders.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }
}

/// Numbers in no order, some twice, and lines that are none.
fn numbers(count: u64) -> Vec<String> {
    let mut tokens = TokenSource::new(Seed(19, 5));
    let line = |n| match n % 9 {
        4 => format!("nobody {n}"),
        7 => "+34600000007".to_owned(),
        _ => format!("+34{}", 600_000_000 + tokens.next_u64() % 1_000),
    };
    (0..count).map(line).collect()
}

/// Rows with quoted line ends, quotes that nobody closes, and a header.
fn table() -> String {
    let row = |(n, number): (usize, String)| match n % 5 {
        0 => format!("\"a\nb\nc\",{number},x\n"),
        3 => format!("\"open,{number},x\n"),
        _ => format!("plain,{number},x\n"),
    };
    let rows: String = numbers(60).into_iter().enumerate().map(row).collect();
    format!("\u{feff}\n\nname,phone,note\n{rows}\",+34600000001,x\n")
}

/// As `optout export` writes it: two lists, one account, and a range.
fn export() -> String {
    let row = |(n, number): (usize, String)| {
        let list = if n % 3 == 0 { "acme" } else { "global" };
        let account = if n % 3 == 0 { "acme" } else { "" };
        let number = if n == 20 { "'+34800*".to_owned() } else { number };
        format!("2026-11-22T18:00:{:02}.000000Z,{number},{list},{account},\n", n % 60)
    };
    let rows: String = numbers(50).into_iter().enumerate().map(row).collect();
    format!("pressed_at,number,standing_lists,account,campaign\n{rows}")
}

/// Of two sheets, with rows that are missing and rows that are none.
fn spreadsheet() -> Vec<u8> {
    let row = |(n, number): (usize, String)| {
        let row = 2 * n + 2;
        format!("<row r=\"{row}\"><c r=\"B{row}\" t=\"str\"><v>{number}</v></c></row>")
    };
    let rows: String = numbers(30).into_iter().enumerate().map(row).collect();
    let header = "<row r=\"1\"><c t=\"str\"><v>name</v></c><c t=\"str\"><v>phone</v></c></row>";
    let sheet = format!("<worksheet>{header}{rows}</worksheet>");
    zip(&workbook("<sst/>", &[("One", &sheet), ("Two", &sheet)]), true)
}

fn changes() -> String {
    let line =
        |n: u64| format!("201,555{:04},{}\n", n * 37 % 60, if n % 4 == 1 { 'D' } else { 'A' });
    (0..70).map(line).collect::<String>() + "201,555,A\n"
}

fn cases() -> Vec<(&'static str, Case)> {
    let keyed = || NumberStorage::Keyed(NumberSecret::new(&[5; 32]));
    let lines = numbers(60).join("\n") + "\n";
    let case = |bytes: &[u8], shape, numbers| Case::new(bytes, shape, numbers);
    vec![
        ("numbers", case(lines.as_bytes(), None, NumberStorage::Plain)),
        ("hashed", case(lines.as_bytes(), None, keyed())),
        ("gz", case(&gz(lines.as_bytes()), None, NumberStorage::Plain)),
        ("a table", case(table().as_bytes(), None, NumberStorage::Plain)),
        ("a change list", case(changes().as_bytes(), Some(Shape::FtcChange), NumberStorage::Plain)),
        ("a spreadsheet", case(&spreadsheet(), None, NumberStorage::Plain)),
        ("an export", case(export().as_bytes(), Some(Shape::Export), NumberStorage::Plain)),
    ]
}

#[test]
fn an_import_that_is_ended_goes_on_and_comes_to_the_same() {
    for (name, case) in cases() {
        let want = case.whole();
        let mut ended = 0;
        loop {
            let first = case.try_at(BEGUN, ended + 1);
            if let Some(prepared) = first {
                assert_eq!(prepared.resumed, None, "{name}");
                assert_eq!(case.came(prepared), want, "{name}, not ended");
                break;
            }
            ended += 1;
            let again = case.try_at(BEGUN + 1_000_000, usize::MAX).expect("nobody ends it");
            let resumed = again.resumed.expect("it was kept");
            assert_eq!(resumed.begun_at, UnixMicros(BEGUN), "{name}");
            assert!(resumed.lines > 0, "{name}");
            assert_eq!(case.came(again), want, "{name}, ended {ended}");
        }
        assert!(ended > 3, "{name}: {ended} boundaries");
    }
}

#[test]
fn an_import_that_is_ended_again_and_again_comes_to_the_same() {
    for (name, case) in cases() {
        let want = case.whole();
        let mut tries = 0;
        let prepared = loop {
            tries += 1;
            if let Some(prepared) = case.try_at(BEGUN + tries, 1) {
                break prepared;
            }
        };
        let resumed = prepared.resumed.expect("it was kept");
        assert!(tries > 3, "{name}: {tries} tries");
        // Once it is read whole, nothing of it is read again.
        drop(prepared);
        let prepared = case.try_at(BEGUN + 100, 1).expect("nothing is read");
        assert!(prepared.resumed.unwrap().lines >= resumed.lines, "{name}");
        assert_eq!(prepared.resumed.unwrap().begun_at, UnixMicros(BEGUN + 1), "{name}");
        assert_eq!(case.came(prepared), want, "{name}");
    }
}

/// Every file in `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_was_kept_and_is_not_sound_is_begun_anew() {
    let lines = numbers(60).join("\n") + "\n";
    let case = Case::new(lines.as_bytes(), None, NumberStorage::Plain);
    let want = case.whole();
    let spoil = |name: &str, spoil: &dyn Fn(&Path)| {
        assert!(case.try_at(BEGUN, 3).is_none());
        let left = case.left();
        spoil(&left[0]);
        let prepared = case.try_at(BEGUN + 1, usize::MAX).expect("nobody ends it");
        let resumed = prepared.resumed;
        assert_eq!(case.came(prepared), want, "{name}");
        resumed
    };
    assert!(spoil("nothing", &|_folder| {}).is_some());
    // What a later step had begun and not named is nothing.
    let unfinished = |folder: &Path| {
        fs::write(folder.join("3.run"), [9; 99]).unwrap();
        fs::write(folder.join("manifest.new"), "{").unwrap();
        let rejects = case.order.rejects.as_ref().unwrap();
        let mut file = OpenOptions::new().append(true).open(rejects).unwrap();
        file.write_all(b"99,character,half a li").unwrap();
    };
    assert!(spoil("unfinished", &unfinished).is_some());
    for at in 0..3 {
        let file = |folder: &Path| folder.join(["manifest", "0.run", "2.run"][at]);
        let octets = |folder: &Path| fs::read(file(folder)).unwrap();
        let len = {
            assert!(case.try_at(BEGUN, 3).is_none());
            octets(&case.left()[0]).len()
        };
        for place in (0..len).step_by(if at == 0 { 23 } else { 3 }) {
            let flip = |folder: &Path| {
                let mut octets = octets(folder);
                octets[place] ^= 4;
                fs::write(file(folder), octets).unwrap();
            };
            assert_eq!(spoil("a flipped bit", &flip), None, "{at}, {place}");
        }
        let cut = |folder: &Path| fs::write(file(folder), &octets(folder)[..len - 1]).unwrap();
        assert_eq!(spoil("a cut file", &cut), None);
        assert_eq!(spoil("a missing file", &|folder| fs::remove_file(file(folder)).unwrap()), None);
    }
    let rejects = case.order.rejects.as_ref().unwrap();
    assert_eq!(spoil("no rejects", &|_| fs::write(rejects, "").unwrap()), None);
    let others = [&b"line,reason,why,text\n"[..], &[b'x'; 4096]].concat();
    assert_eq!(spoil("other rejects", &|_| fs::write(rejects, &others).unwrap()), None);
}

#[test]
fn another_file_or_another_way_to_read_it_is_begun_anew() {
    // Longer than the beginning and the end that its name is made of.
    let mut lines = numbers(200_000).join("\n") + "\n";
    let case = Case::new(lines.as_bytes(), None, NumberStorage::Plain);
    let order = Order { run_numbers: 30_000, ..case.order.clone() };
    let case = Case { order, ..case };
    let want = case.whole();
    let same = |case: &Case, name: &str| {
        assert!(case.try_at(BEGUN, 3).is_none(), "{name}");
        let mut prepared = case.try_at(BEGUN + 1, usize::MAX).expect("nobody ends it");
        prepared.done();
        prepared.resumed.is_some()
    };
    assert!(same(&case, "the same"));
    let modified = fs::metadata(&case.order.file).unwrap().modified().unwrap();
    // In its middle, which its name says nothing of, before what was read of it.
    let at = lines.len() / 2 - lines.len() / 32;
    let at = at + lines[at..].find("\n+34600").unwrap();
    lines.replace_range(at + 1..at + 7, "+34699");
    assert!(case.try_at(BEGUN, 5).is_none());
    fs::write(&case.order.file, &lines).unwrap();
    File::options().append(true).open(&case.order.file).unwrap().set_modified(modified).unwrap();
    let prepared = case.try_at(BEGUN + 1, usize::MAX).expect("nobody ends it");
    assert_eq!(
        (prepared.resumed, case.left().len()),
        (None, 1),
        "known by its name, and not the same"
    );
    let came = case.came(prepared);
    assert_ne!(came, want);
    assert_eq!(came, case.whole());
    // Read otherwise, it is another import.
    assert!(case.try_at(BEGUN, 3).is_none());
    let other =
        Order { rejects: Some(case.place.dir.path().join("others.csv")), ..case.order.clone() };
    let other = Case { order: other, place: case.place };
    let prepared = other.try_at(BEGUN + 1, usize::MAX).expect("nobody ends it");
    assert_eq!((prepared.resumed, other.left().len()), (None, 2));
}

#[test]
fn what_was_read_by_earlier_rules_is_begun_anew() {
    let lines = numbers(60).join("\n") + "\n";
    let case = Case::new(lines.as_bytes(), None, NumberStorage::Plain);
    let want = case.whole();
    let tried = |form: Option<&str>| {
        assert!(case.try_at(BEGUN, 3).is_none());
        if let Some(form) = form {
            let named = kept::name(form, &case.order).unwrap();
            fs::rename(&case.left()[0], case.place.store().join("importing").join(named)).unwrap();
        }
        let prepared = case.try_at(BEGUN + 1, usize::MAX).expect("nobody ends it");
        let (resumed, left) = (prepared.resumed, case.left());
        drop(prepared);
        left.iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
        (resumed.is_some(), left.len())
    };
    assert_eq!(tried(None), (true, 1), "by the rules of today");
    let before = concat!("1 ", env!("CARGO_PKG_VERSION"));
    assert_eq!(tried(Some(before)), (false, 2), "as columns and decimals were read before");
    let prepared = case.try_at(BEGUN, usize::MAX).expect("nobody ends it");
    assert_eq!(case.came(prepared), want);
}

#[test]
fn what_is_left_is_bounded_and_goes_after_a_week() {
    let case = Case::new(b"+34600000001\n", None, NumberStorage::Plain);
    let all = case.place.store().join("importing");
    let old = |name: &str, day: i64| {
        let folder = all.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0.run"), "numbers").unwrap();
        fs::write(folder.join("lock"), "").unwrap();
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400 * day as u64);
        File::open(&folder).unwrap().set_modified(at).unwrap();
        folder
    };
    let import = |day: i64| drop(prepare(&case.at(day * DAY), &mut |_| {}).unwrap());
    let names = || {
        let mut names: Vec<String> = files(&all)
            .iter()
            .map(|it| it.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.join(" ")
    };
    for (name, day) in [("a", 10), ("b", 11), ("c", 12), ("d", 13), ("e", 14)] {
        old(name, day);
    }
    let held = File::open(all.join("a/lock")).unwrap();
    held.lock().unwrap();
    import(15);
    assert_eq!(names(), "a c d e", "the youngest three, and one that somebody is at");
    import(20);
    assert_eq!(names(), "a d e", "a week later");
    drop(held);
    import(30);
    assert_eq!(names(), "");
}

#[test]
fn a_small_file_is_not_kept_and_two_tries_at_once_are_no_hindrance() {
    let lines = numbers(60).join("\n") + "\n";
    let case = Case::new(lines.as_bytes(), None, NumberStorage::Plain);
    let small =
        Case { order: Order { run_numbers: 1_000, ..case.order.clone() }, place: Place::new() };
    drop(small.try_at(BEGUN, 1).expect("it ends by itself"));
    assert_eq!(small.left(), Vec::<PathBuf>::new());
    let want = case.whole();
    // Whoever begins while another is at it keeps nothing, and disturbs nobody.
    let mut second = None;
    let mut tell = |progress| {
        if matches!(progress, Progress::Read { .. }) && second.is_none() {
            second = Some(case.try_at(BEGUN + 1, usize::MAX).expect("nobody ends it"));
        }
    };
    let first = prepare(&case.at(BEGUN), &mut tell).unwrap();
    let second = second.expect("it was kept in between");
    assert_eq!((second.resumed, second.listed), (None, first.listed));
    drop(second);
    assert_eq!(case.left().len(), 1, "the first one's");
    assert_eq!(case.came(first).counts, want.counts);
}

#[test]
fn a_file_that_is_at_fault_is_not_kept_and_hashes_are_all_that_is() {
    let keyed = NumberStorage::Keyed(NumberSecret::new(&[5; 32]));
    let lines = numbers(60).join("\n") + "\n+3460000";
    let case = Case::new(lines.as_bytes(), None, keyed.clone());
    let error = prepare(&case.at(BEGUN), &mut |_| {}).unwrap_err();
    assert!(matches!(error, PrepareError::Content { .. }), "{error}");
    assert_eq!(case.left(), Vec::<PathBuf>::new());
    let lines = numbers(60).join("\n") + "\n";
    let case = Case::new(lines.as_bytes(), None, keyed);
    assert!(case.try_at(BEGUN, 4).is_none());
    for path in files(&case.left()[0]) {
        let octets = fs::read(&path).unwrap();
        for line in lines.lines().filter_map(|line| line.strip_prefix('+')) {
            let number: u64 = line.parse().unwrap();
            let forms = [line.as_bytes().to_vec(), number.to_le_bytes().to_vec()];
            for form in forms {
                let is_in = octets.windows(form.len()).any(|part| part == form);
                assert!(!is_in, "{} in {}", line, path.display());
            }
        }
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_packed_file_that_is_damaged_at_its_end_is_not_kept() {
    let lines = numbers(60).join("\n") + "\n";
    let mut packed = gz(lines.as_bytes());
    // Its checksum is the first of the last eight octets, RFC 1952 section 2.3.1.
    let at = packed.len() - 8;
    packed[at] ^= 1;
    let case = Case::new(&packed, None, NumberStorage::Plain);
    let mut kept = 0;
    let mut count = |progress| kept += usize::from(matches!(progress, Progress::Read { .. }));
    let error = prepare(&case.at(BEGUN), &mut count).unwrap_err();
    assert!(kept > 3 && matches!(error, PrepareError::Content { .. }), "{kept}: {error}");
    assert_eq!(case.left(), Vec::<PathBuf>::new(), "fetched again, it is another file");
}

#[test]
fn a_file_that_was_read_whole_is_still_the_same_or_read_anew() {
    // Longer than the beginning and the end that its name is made of.
    let mut lines = numbers(200_000).join("\n") + "\n";
    let case = Case::new(lines.as_bytes(), None, NumberStorage::Plain);
    let order = Order { run_numbers: 30_000, ..case.order.clone() };
    let case = Case { order, ..case };
    drop(case.try_at(BEGUN, usize::MAX).expect("nobody ends it"));
    let resumed = |at| case.try_at(at, usize::MAX).expect("nobody ends it").resumed;
    assert!(resumed(BEGUN + 1).is_some(), "the same");
    let modified = fs::metadata(&case.order.file).unwrap().modified().unwrap();
    let at = lines.len() / 2;
    let at = at + lines[at..].find("\n+34600").unwrap();
    lines.replace_range(at + 1..at + 7, "+34699");
    fs::write(&case.order.file, &lines).unwrap();
    File::options().append(true).open(&case.order.file).unwrap().set_modified(modified).unwrap();
    let prepared = case.try_at(BEGUN + 2, usize::MAX).expect("nobody ends it");
    assert_eq!((prepared.resumed, case.left().len()), (None, 1), "known by its name alone");
    assert_eq!(case.came(prepared), case.whole());
}
