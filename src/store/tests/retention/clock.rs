//! How old evidence is, whatever the clock says: one that is set back, is ahead or leaps from day to day
//! makes nothing older than what was written before it, and nothing younger than the policy is ever
//! touched.
//!
//! What is deleted is held against [`newest_of`], a definition of its own.

use super::*;
use crate::model::token::Seed;
use crate::model::token::TokenSource;

#[test]
fn what_was_written_while_the_clock_was_wrong_is_no_older_than_what_stands_before_it() {
    for is_new_stream in [false, true] {
        let stand = Stand::sqlite();
        let (mut store, mut acks, mut now) = open_at(&stand, 0);
        add(&store, &acks, telling(1));
        // The battery is empty: it is 1970, until the time server answers.
        now.store(0, Ordering::SeqCst);
        if is_new_stream {
            store.close().unwrap();
            (store, acks, now) = open_at(&stand, -START / DAY);
        }
        add(&store, &acks, telling(2));
        now.store(START + 2 * DAY, Ordering::SeqCst);
        assert_eq!(expire(&store, &acks, 2), 0, "another stream: {is_new_stream}");
        assert_eq!(store.ages().unwrap().oldest().map(|at| at.0 / DAY), Some(START / DAY));
        // Nor is it any younger.
        now.store(START + 1_831 * DAY, Ordering::SeqCst);
        assert_eq!(expire(&store, &acks, 1_831), 2, "another stream: {is_new_stream}");
    }
}

#[test]
fn what_is_written_after_a_time_that_was_believed_is_no_older_than_that() {
    let stand = Stand::sqlite();
    let (store, acks, now) = open_at(&stand, 0);
    store.note_believed_time(UnixMicros(START)).unwrap();
    now.store(0, Ordering::SeqCst);
    add(&store, &acks, telling(1));
    store.close().unwrap();
    let (store, acks, now) = open_at(&stand, -START / DAY);
    add(&store, &acks, telling(2));
    now.store(START + 2 * DAY, Ordering::SeqCst);
    assert_eq!(expire(&store, &acks, 2), 0);
    store.flush().unwrap();
    let (shown, at) = (store.reader().unwrap().show(number(2)).unwrap(), UnixMicros(START));
    assert_eq!(shown[0].written_at, at, "as it is told");
}

#[test]
fn a_record_of_a_clock_that_was_ahead_makes_nothing_younger_that_comes_after_it() {
    let stand = Stand::sqlite();
    let (store, acks, now) = open_at(&stand, 3_650);
    add(&store, &acks, telling(1));
    now.store(START, Ordering::SeqCst);
    add(&store, &acks, telling(2));
    now.store(START + 1_831 * DAY, Ordering::SeqCst);
    assert_eq!(expire(&store, &acks, 1_831), 1);
    let gone = store.reader().unwrap().show(number(2)).unwrap();
    assert!(gone[0].evidence_deleted.is_some());
}

/// The day of the newest evidence of each number, by what was `written`: none is older than what was
/// written before it, as far as that is not of a day that is still to come `today`.
fn newest_of(written: &[(i64, Option<u64>)], today: i64) -> [Option<i64>; 10] {
    let (mut newest, mut known) = ([None; 10], i64::MIN);
    for (day, of) in written {
        known = known.max(Some(*day).filter(|day| *day <= today).unwrap_or(known));
        if let Some(n) = of {
            let newest: &mut Option<i64> = &mut newest[*n as usize];
            *newest = (*newest).max(Some(known.max(*day)));
        }
    }
    newest
}

#[test]
fn nothing_younger_than_the_policy_is_ever_touched() {
    for seed in 0..24_u64 {
        let mut tokens = TokenSource::new(Seed(seed, 8));
        let mut draw = |below: u64| tokens.next_u64() % below;
        let stand = if seed % 2 == 0 { Stand::sqlite() } else { Stand::sqlite().keyed() };
        let (clock, now) = set_clock(0);
        // Nothing is signed by itself, as of a time that the test has set for what comes next.
        let checkpoint_every = Duration::from_secs(36_500 * 86_400);
        let (store, _recovered, acks) =
            open_with(Settings { clock, checkpoint_every, ..stand.settings() });
        // What was written, in order: on which day of its clock, and of whom there is evidence.
        let mut written: Vec<(i64, Option<u64>)> = Vec::new();
        let (mut named, mut today) = ([false; 10], 0);
        for round in 0..30 {
            let n = 1 + draw(9);
            today = draw(4_000).cast_signed();
            // Of what is written on a day, the later is later.
            now.store(START + today * DAY + round * 1_000_000, Ordering::SeqCst);
            if draw(6) == 0 {
                let past =
                    newest_of(&written, today).map(|day| day.filter(|it| *it < today - 1_830));
                let is_past = |n: &u64| past[*n as usize].is_some();
                let count = (1..=9).filter(is_past).count();
                assert_eq!(expire(&store, &acks, today), count, "seed {seed}");
                written.iter_mut().for_each(|(_day, of)| *of = of.filter(|n| !is_past(n)));
                // That it is gone is on record too.
                written.extend((count > 0).then_some((today, None)));
                continue;
            }
            let record = add(&store, &acks, telling(n));
            if draw(3) == 0 {
                add(&store, &acks, reversal(n, record));
            }
            written.push((today, Some(n)));
            named[n as usize] = true;
        }
        store.flush().unwrap();
        let newest = newest_of(&written, today);
        let live = store.ages().unwrap();
        let expected = newest.iter().filter(|at| at.is_some()).count();
        let reader = store.reader().unwrap();
        let ageing = reader.ageing(&Retention::default(), UnixMicros(0), &"madrid-1".into());
        assert_eq!(ageing.unwrap().numbers as usize, expected, "seed {seed}");
        let oldest = newest.iter().flatten().min().map(|day| START + day * DAY);
        let is_close = |(a, b): (UnixMicros, i64)| (a.0 - b).abs() < DAY;
        assert!(live.oldest().zip(oldest).is_none_or(is_close), "seed {seed}");
        let is_plain = stand.numbers == NumberChoice::Plain;
        for n in 1..=9 {
            let shown = reader.show(number(n)).unwrap();
            assert_eq!(!shown.is_empty(), named[n as usize], "seed {seed}: {n}");
            let has_evidence = shown.iter().any(|it| it.evidence_deleted.is_none());
            assert_eq!(has_evidence, newest[n as usize].is_some(), "seed {seed}: {n}");
            let is_read = |it: &Entry| it.optout.reason.is_some() == it.evidence_deleted.is_none();
            assert!(!is_plain || shown.iter().all(is_read), "seed {seed}: {n}");
        }
        drop(reader);
        store.close().unwrap();
        assert_eq!(stand.examined().faults, [], "seed {seed}");
    }
}
