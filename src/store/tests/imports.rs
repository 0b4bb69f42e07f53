//! Imports as facts: what stands, whatever the order in which the database met them.

use std::fs;

use super::*;
use crate::suppression::Authority;
use crate::suppression::Range;
use crate::suppression::import::Import;
use crate::suppression::import::Part;
use crate::suppression::import::Shape;
use crate::suppression::import::TakenOff;
use crate::suppression::import::Withdrawal;
pub(super) use crate::suppression::segment::Content;
use crate::suppression::segment::SegmentHeader;
use crate::suppression::segment::SegmentWriter;

on_both! {
    what_is_taken_off_is_gone_from_the_imports_it_names_and_no_others,
    a_segment_that_is_missing_or_damaged_stops_the_start,
    ranges_of_an_import_are_refused_again_after_a_start,
    an_import_that_is_taken_back_counts_no_more_and_nothing_else_changes,
}

/// Writes a segment into the store's folder.
pub(super) fn segment(dir: &std::path::Path, content: Content, numbers: &[u64]) -> Part {
    segment_of(dir, content, &numbers.iter().map(|n| number(*n)).collect::<Vec<_>>())
}

/// The same, of numbers as they are kept, in whatever order.
pub(super) fn segment_of(dir: &std::path::Path, content: Content, numbers: &[Number]) -> Part {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let count = numbers.len() as u64;
    let header =
        SegmentHeader { content, list: "ftc".into(), source: String::new(), as_of: None, count };
    let mut writer = SegmentWriter::new(Vec::new(), &header).unwrap();
    for number in numbers {
        writer.push(number).unwrap();
    }
    let (bytes, segment) = writer.finish().unwrap();
    let folder = dir.join("segments");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{segment}.seg")), bytes).unwrap();
    Part { segment, count }
}

/// Hands the segments of `fact` to the shared database, as whoever imports does.
pub(super) fn publish(store: &Store, fact: Fact) -> Fact {
    if let Fact::Import(import) = &fact {
        store.publish(import, &mut |_done, _of| {}).unwrap();
    }
    fact
}

pub(super) fn import(listed: Option<Part>, taken_off: Option<TakenOff>) -> Fact {
    let import = Import::new("ftc".into(), Shape::FtcChange, "madrid-1".into(), UnixMicros(1));
    Fact::Import(Box::new(Import { listed, taken_off, ..import }))
}

/// Who of the numbers 0 to 9 is refused, by an index filled from `reader`.
fn refused(reader: &Reader) -> Vec<u64> {
    let index = Index::default();
    reader.fill(&index).unwrap();
    let lists = index.mask([&ListName::from("ftc")]).unwrap();
    let is_on = |n: &u64| index.check(number(*n), lists, &"any".into(), &"any".into()).is_some();
    (0..10).filter(is_on).collect()
}

fn what_is_taken_off_is_gone_from_the_imports_it_names_and_no_others(stand: &Stand) {
    let (store, _recovered, acks) = stand.open();
    let submit = |fact| {
        store.submit(0, fact).unwrap();
        acks.recv().unwrap().result.unwrap().record
    };
    let part = |content, numbers: &[u64]| segment(stand.path(), content, numbers);
    let first = submit(import(Some(part(Content::Listed, &[1, 2, 3])), None));
    submit(import(Some(part(Content::Listed, &[3, 4])), None));
    let off = part(Content::TakenOff, &[2, 3, 4, 7]);
    let taken_off = TakenOff { part: off, from: vec![first] };
    submit(import(Some(part(Content::Listed, &[8])), Some(taken_off)));
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.imports().unwrap().len(), 3);
    assert_eq!(refused(&reader), [1, 3, 4, 8], "2 by none; 3 and 4 by the second");
    let all = Filter { list: Some("ftc".into()), ..Filter::default() };
    let mut exported = Vec::new();
    let visit = |entry: Entry| {
        exported.push(entry.optout.number);
        ControlFlow::Continue(())
    };
    reader.export(&all, visit).unwrap();
    assert_eq!(exported, [1, 3, 4, 8].map(number));
    assert_eq!(reader.show(number(3)).unwrap().len(), 1);
    assert!(reader.show(number(2)).unwrap().is_empty());
    drop(reader);
    store.close().unwrap();
    stand.lose_database();
    let (archive, recovered) = stand.archive();
    assert_eq!(recovered.facts, 3);
    assert_eq!(refused(&archive.reader().unwrap()), [1, 3, 4, 8]);
}

fn ranges_of_an_import_are_refused_again_after_a_start(stand: &Stand) {
    let (store, _recovered, acks) = stand.open();
    let mut fact = import(None, None);
    if let Fact::Import(import) = &mut fact {
        import.tally.ranges = vec![Range::Between(number(3), number(5)), Range::Prefix(number(8))];
    }
    store.submit(0, fact).unwrap();
    let record = acks.recv().unwrap().result.unwrap().record;
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(refused(&reader), [3, 4, 5, 8]);
    let shown = reader.show(number(4)).unwrap();
    assert_eq!(shown.iter().map(|entry| entry.record).collect::<Vec<_>>(), [record]);
    assert!(reader.show(number(9)).unwrap().is_empty());
    drop(reader);
    store.close().unwrap();
    stand.lose_database();
    let (archive, _recovered) = stand.archive();
    assert_eq!(refused(&archive.reader().unwrap()), [3, 4, 5, 8]);
}

fn an_import_that_is_taken_back_counts_no_more_and_nothing_else_changes(stand: &Stand) {
    let (store, _recovered, acks) = stand.open();
    let submit = |fact| {
        store.submit(0, publish(&store, fact)).unwrap();
        acks.recv().unwrap().result.unwrap().record
    };
    let part = |content, numbers: &[u64]| segment(stand.path(), content, numbers);
    let withdrawal = |import| {
        let Fact::Import(mut fact) = self::import(None, None) else { panic!("it is none") };
        let reason = "the wrong file".to_owned();
        fact.withdraws = Some(Withdrawal { import, authority: Authority::LocalOperator, reason });
        Fact::Import(fact)
    };
    let first = submit(import(Some(part(Content::Listed, &[1, 2, 3])), None));
    let mut second = import(Some(part(Content::Listed, &[3, 4])), None);
    if let Fact::Import(import) = &mut second {
        import.tally.ranges = vec![Range::Between(number(8), number(9))];
    }
    let second = submit(second);
    let off = TakenOff { part: part(Content::TakenOff, &[2, 3]), from: vec![first, second] };
    let third = submit(import(Some(part(Content::Listed, &[7])), Some(off)));
    let mut optout = optout(1);
    (optout.number, optout.lists) = (number(1), vec!["ftc".into()]);
    submit(Fact::OptOut(Box::new(optout)));
    let refused_now = || {
        store.flush().unwrap();
        refused(&store.reader().unwrap())
    };
    assert_eq!(refused_now(), [1, 4, 7, 8, 9]);
    submit(withdrawal(third));
    assert_eq!(refused_now(), [1, 2, 3, 4, 8, 9], "what it took off stands again");
    submit(withdrawal(first));
    assert_eq!(refused_now(), [1, 3, 4, 8, 9], "the opt-out stays, and what another import has");
    submit(withdrawal(second));
    submit(withdrawal(second));
    submit(withdrawal(RecordId { seq: 99, ..second }));
    assert_eq!(refused_now(), [1], "twice is once, and of nothing is nothing");
    let shown = store.reader().unwrap().show(number(4)).unwrap();
    assert_eq!((shown.len(), shown[0].standing().count()), (1, 0), "it is told with its end");
    assert_eq!(shown[0].reversed[0].reason, "the wrong file");
    store.close().unwrap();
    stand.lose_database();
    let (archive, _recovered) = stand.archive();
    assert_eq!(refused(&archive.reader().unwrap()), [1], "from the journal too");
}

fn a_segment_that_is_missing_or_damaged_stops_the_start(stand: &Stand) {
    let (store, _recovered, acks) = stand.open();
    let part = segment(stand.path(), Content::Listed, &[1, 2, 3]);
    store.submit(0, publish(&store, import(Some(part), None))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.flush().unwrap();
    let reader = store.reader().unwrap();
    let path = stand.path().join("segments").join(format!("{}.seg", part.segment));
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    #[rustfmt::skip]
    let cases = [("damaged", Some(damaged)), ("cut", Some(whole[..20].to_vec())), ("missing", None)];
    for (name, bytes) in cases {
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let filled = reader.fill(&Index::default());
        if stand.server.is_some() && name == "missing" {
            assert_eq!(filled.unwrap(), (3, 0), "it is fetched");
            continue;
        }
        let error = filled.unwrap_err();
        assert!(matches!(error, StoreError::Segment { .. }), "{name}: {error}");
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(reader.fill(&Index::default()).unwrap(), (3, 0));
    let verify = |list: &str, content, count| {
        let part = Part { count, ..part };
        reader.verify_segment(&part, &list.into(), content).is_ok()
    };
    assert!(verify("ftc", Content::Listed, 3));
    assert!(!verify("other", Content::Listed, 3), "of another list");
    assert!(!verify("ftc", Content::TakenOff, 3), "not taken off");
    assert!(!verify("ftc", Content::Listed, 4), "not so many");
}

#[test]
fn a_snapshot_says_what_the_imports_say_or_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    let submit = |fact| {
        store.submit(0, fact).unwrap();
        let record = acks.recv().unwrap().result.unwrap().record;
        store.flush().unwrap();
        record
    };
    let snapshot = dir.path().join("base.snapshot");
    let part = |content, numbers: &[u64]| segment(dir.path(), content, numbers);
    let first = submit(import(Some(part(Content::Listed, &[1, 2, 3])), None));
    assert_eq!(refused(&store.reader().unwrap()), [1, 2, 3]);
    let of_first = fs::read(&snapshot).unwrap();
    // A change list adds no layer: what tells that the snapshot is old is its cursor.
    let off = TakenOff { part: part(Content::TakenOff, &[2]), from: vec![first] };
    submit(import(None, Some(off)));
    assert_eq!(refused(&store.reader().unwrap()), [1, 3]);
    let of_both = fs::read(&snapshot).unwrap();
    assert!(of_first != of_both, "the new one is kept");
    // One of a store that an old copy brought back knows imports that are not there.
    submit(import(Some(part(Content::Listed, &[5])), None));
    assert_eq!(refused(&store.reader().unwrap()), [1, 3, 5]);
    for old in [&of_first, &of_both] {
        fs::write(&snapshot, old).unwrap();
        assert_eq!(refused(&store.reader().unwrap()), [1, 3, 5]);
    }
    // What the snapshot says is believed while it is current, and found to be there.
    let gone =
        dir.path().join("segments").join(format!("{}.seg", part(Content::Listed, &[5]).segment));
    fs::write(&gone, b"what is in it is asked by who explains, not by the start").unwrap();
    assert_eq!(refused(&store.reader().unwrap()), [1, 3, 5]);
    fs::remove_file(&gone).unwrap();
    let error = store.reader().unwrap().fill(&Index::default()).unwrap_err();
    assert!(matches!(error, StoreError::Segment { .. }), "{error}");
}

#[test]
fn a_backup_holds_the_segments_of_its_imports_and_misses_none() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let (store, _recovered, acks) = open(&from);
    let listed = segment(&from, Content::Listed, &[1, 3, 5]);
    // No fact names it: an import that has not come so far.
    segment(&from, Content::Listed, &[7]);
    for token in 0..2 {
        store.submit(token, import(Some(listed), None)).unwrap();
        acks.recv().unwrap().result.unwrap();
    }
    store.close().unwrap();
    let copy = dir.path().join("backup");
    let manifest = backup(&from, &copy, UnixMicros(1)).unwrap();
    assert_eq!((manifest.segments, manifest.facts), (1, 2));
    let again = dir.path().join("again");
    assert_eq!(restore(&copy, &again, Calls::Keep).unwrap(), manifest);
    let (archive, _recovered) = Archive::open_exclusive(&again).unwrap();
    assert_eq!(refused(&archive.reader().unwrap()), [1, 3, 5]);

    let path = copy.join("segments").join(format!("{}.seg", listed.segment));
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damage in [Some(flipped), Some(whole[..whole.len() - 1].to_vec()), None] {
        match damage {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = verify(&copy, Calls::Keep).unwrap_err();
        assert!(matches!(error, StoreError::Segment { .. }), "{error}");
    }
}

#[test]
fn a_node_fetches_the_segments_of_others_and_believes_only_whole_ones() {
    let one = Stand::postgres();
    let (store, _recovered, acks) = one.open();
    // Three pieces, and one number that the others are told apart by.
    let many: Vec<u64> = (0..1_500_000).map(|n| n * 3).collect();
    let part = segment(one.path(), Content::Listed, &many);
    let mut told = Vec::new();
    let fact = import(Some(part), None);
    if let Fact::Import(import) = &fact {
        store.publish(import, &mut |done, of| told.push((done, of))).unwrap();
    }
    let len =
        fs::metadata(one.path().join(format!("segments/{}.seg", part.segment))).unwrap().len();
    assert_eq!(told.last(), Some(&(len, len)));
    store.submit(0, fact).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.flush().unwrap();
    let server = one.server.as_ref().unwrap();
    let pieces: u32 = server.psql("SELECT COUNT(*) FROM segment_chunk").parse().unwrap();
    assert!(pieces >= 2, "{pieces}");

    let other = one.another_node();
    let (second, ..) = other.open();
    assert_eq!(refused(&second.reader().unwrap()), [0, 3, 6, 9]);
    let name = format!("segments/{}.seg", part.segment);
    let [ours, theirs] = [&one, &other].map(|stand| fs::read(stand.path().join(&name)).unwrap());
    assert!(ours == theirs);

    for damage in [
        "UPDATE segment_chunk SET octets = substr(octets, 2) WHERE ordinal = 1",
        "DELETE FROM segment_chunk WHERE ordinal = 1",
        "DELETE FROM segment_chunk",
    ] {
        server.psql(damage);
        let third = one.another_node();
        let error = third.archive().0.reader().unwrap().fill(&Index::default()).unwrap_err();
        assert!(matches!(error, StoreError::Segment { .. }), "{damage}: {error}");
        let left = fs::read_dir(third.path().join("segments")).unwrap().count();
        assert_eq!(left, 0, "{damage}: nothing is left of it");
    }
    for store in [store, second] {
        store.close().unwrap();
    }
}

#[test]
fn a_segment_that_cannot_be_handed_over_keeps_no_fact_of_the_node_back() {
    let one = Stand::postgres();
    let (store, _recovered, acks) = one.open();
    let part = segment(one.path(), Content::Listed, &[1, 2, 3]);
    let path = one.path().join(format!("segments/{}.seg", part.segment));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let Fact::Import(fact) = import(Some(part), None) else { unreachable!("it is an import") };
    let error = store.publish(&fact, &mut |_done, _of| {}).unwrap_err();
    assert!(matches!(error, StoreError::Segment { .. }), "a damaged one is not: {error}");
    fs::remove_file(&path).unwrap();
    store.submit(0, Fact::Import(fact)).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.submit(1, Fact::OptOut(Box::new(optout(7)))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.flush().expect("neither the import nor what is behind it waits for the segment");
    let server = one.server.as_ref().unwrap();
    assert_eq!(server.psql("SELECT COUNT(*) FROM optout"), "1");
    assert_eq!(server.psql("SELECT COUNT(*) FROM segment_chunk"), "0");
    store.close().unwrap();

    // Once it is here again the next start brings it to the others, in whatever pieces it lacks.
    fs::write(&path, &whole).unwrap();
    let (store, ..) = one.open();
    server::wait_for("the server has the segment", || {
        server.psql("SELECT COUNT(*) FROM segment_chunk") == "1"
    });
    let other = one.another_node();
    let (second, ..) = other.open();
    assert_eq!(refused(&second.reader().unwrap()), [1, 2, 3]);
    for store in [store, second] {
        store.close().unwrap();
    }
}
