//! Evidence that was kept long enough: whatever happens while it is deleted, nobody is called again
//! who was refused, and the next try deletes the rest.

use std::path::Path;

use bajavoz::model::UnixMicros;
use bajavoz::suppression::Erasure;
use bajavoz::suppression::Fact;

use crate::files::at_last;
use crate::files::store_before;
use crate::image::Disk;
use crate::story::OptOuts;
use crate::story::Session;
use crate::story::Story;
use crate::story::Told;
use crate::watch::Watch;

/// Opt-outs that are there before: those of [`store_before`].
const BEFORE: u64 = 9;

/// What tells the promises of deletions from those of opt-outs.
const DELETIONS: u64 = 1_000_000;

/// A time at which all of it was kept long enough.
const LATE: UnixMicros = UnixMicros(1_900_000_000_000_000);

/// All evidence of a store, deleted.
pub(crate) struct Deletion;

impl Deletion {
    /// One step, as an engine does it.
    fn step(session: &mut Session, watch: &Watch, round: u64) {
        at_last(watch, || session.store.note_believed_time(LATE));
        let found = at_last(watch, || {
            let ages = session.store.ages()?;
            session.store.past(&ages, LATE)
        });
        let node = "madrid-1".into();
        let erasures: Vec<Erasure> =
            found.expired.iter().flat_map(|expired| expired.erasures(&node, LATE)).collect();
        let first = DELETIONS + round * DELETIONS;
        let facts = (first..).zip(&erasures);
        let facts = facts.map(|(token, it)| (token, Fact::Erasure(Box::new(it.clone()))));
        session.submit_facts(watch, facts);
        let _ = session.store.flush(); // It may be behind.
        for (token, erasure) in (first..).zip(&erasures) {
            let is_durable =
                session.answers.iter().any(|ack| ack.token == token && ack.result.is_ok());
            if is_durable {
                at_last(watch, || session.store.destroy(erasure));
            }
        }
        // What the database cannot do now the next step does.
        let _ = session.store.forget_calls(&node, Some(LATE));
    }
}

impl Story for Deletion {
    fn before(&self) -> Disk {
        store_before()
    }

    fn play(&self, watch: &Watch) {
        let mut session = Session::open_at_last(watch);
        Self::step(&mut session, watch, 0);
        watch.mend();
        Self::step(&mut session, watch, 1);
        session.settle();
        let left = session.store.ages().expect("the journal can be read").oldest();
        assert_eq!(left, None, "what was not deleted at first is deleted then");
        session.close();
    }

    fn check(&self, dir: &Path, told: &Told, name: &str) {
        let is_optout = |n: &&u64| **n < DELETIONS;
        let told = Told {
            asked: told.asked.iter().filter(is_optout).copied().collect(),
            promised: told.promised.iter().filter(is_optout).copied().collect(),
        };
        OptOuts { before: BEFORE, is_short_of_keys: false }.check(dir, &told, name);
    }
}
