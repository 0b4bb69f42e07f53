//! What other nodes have erased is destroyed here too, by a record of this node's own that answers
//! theirs.
//!
//! ```text
//! their erasure comes in, or is found at the start ──► answered already? ──► journal: our keys of it
//! nothing more is sealed under them ──► our erasure, durable ──► audio removed ──► slots zeroed
//! ```
//!
//! What was answered once is never done again, whatever the clocks of two nodes say: who opts out
//! later does so anew. So an answer is written where there was nothing to destroy, too. Of one that
//! this node has not heard of while it came, the keys go that were first used at its time or before.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::thread::JoinHandle;

use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::store::StoreError;
use crate::store::audio::AudioLook;
use crate::store::keys::KeyFile;
use crate::store::ledger::Pen;
use crate::store::site::Site;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;

use super::Asked;
use super::Readable;
use super::Surveyed;
use super::destroy;
use super::finish;
use super::is_due;
use super::survey;

/// Rounds of the follower after which what could not be destroyed is tried again: five seconds.
const PAUSE_ROUNDS: u32 = 20;

/// An erasure of another node.
#[derive(Clone, Debug)]
struct Due {
    record: RecordId,
    erasure: Erasure,
    /// Here go the keys that were first used then or before.
    until: UnixMicros,
}

/// Where it is done, by whom, and how it gets on record.
#[derive(Clone, Debug)]
struct Place {
    site: Site,
    node: NodeName,
    pen: Pen,
}

impl Place {
    /// Destroys here what other nodes have erased; how many keys that were.
    fn follow(&self, due: &[Due]) -> Result<u64, StoreError> {
        let _look = AudioLook::begin(&self.site.fresh);
        let numbers: BTreeSet<Number> = due.iter().map(|due| due.erasure.number).collect();
        let is_asked = |number| numbers.contains(&number);
        let Surveyed { found, erasures } = self.survey(&is_asked, None)?;
        let mut known: HashSet<RecordId> = erasures.iter().map(|(record, _own)| *record).collect();
        known.extend(erasures.iter().filter_map(|(_record, own)| own.answers));
        self.complete(&erasures)?;
        let due: Vec<&Due> = due.iter().filter(|due| known.insert(due.record)).collect();
        let mut found = self.for_good(&due, found)?;
        let mut destroyed = 0;
        for Due { record, erasure, until } in due {
            let is_before = |it: &Readable| it.written.is_none_or(|(first, _last)| first <= *until);
            let is_meant = found.get(&erasure.number).is_some_and(is_before);
            let found = if is_meant { found.remove(&erasure.number) } else { None };
            let Readable { slots, audio, records, .. } = found.unwrap_or_default();
            destroyed += slots.len() as u64;
            let (node, erased_at, answers) = (self.node.clone(), self.site.wall(), Some(*record));
            let own =
                Erasure { slots, audio, records, node, erased_at, answers, ..erasure.clone() };
            for part in own.parts() {
                self.pen.write(part.clone())?;
                destroy(&self.site.dir, &self.site.fresh, &part.slots, &part.audio, None)?;
            }
        }
        Ok(destroyed)
    }

    fn survey(
        &self,
        is_asked: &dyn Fn(Number) -> bool,
        slots: Option<HashSet<u32>>,
    ) -> Result<Surveyed, StoreError> {
        survey(&self.site.dir, Asked { is_asked, slots })
    }

    /// Of what was `found`, what is meant by any that is `due`, once nothing more is sealed under its
    /// keys.
    fn for_good(
        &self,
        due: &[&Due],
        mut found: BTreeMap<Number, Readable>,
    ) -> Result<BTreeMap<Number, Readable>, StoreError> {
        let mut until: HashMap<Number, UnixMicros> = HashMap::new();
        for due in due {
            let known = until.entry(due.erasure.number).or_insert(due.until);
            *known = due.until.max(*known);
        }
        found.retain(|number, found| {
            let is_before =
                |until: &UnixMicros| found.written.is_none_or(|(first, _last)| first <= *until);
            until.get(number).is_some_and(is_before)
        });
        let slots: HashSet<u32> = found.values().flat_map(|found| found.slots.clone()).collect();
        if slots.is_empty() {
            return Ok(found);
        }
        self.pen.retire(slots.iter().copied().collect())?;
        let is_asked = |number| found.contains_key(&number);
        Ok(self.survey(&is_asked, Some(slots))?.found)
    }

    /// Does to their end those of our own that an error of the disk has cut short.
    fn complete(&self, own: &[(RecordId, Erasure)]) -> Result<(), StoreError> {
        let Site { dir, fresh, .. } = &self.site;
        let path = dir.join("keys");
        let keys = KeyFile::open_read_only(&path).map_err(StoreError::io("open", &path))?;
        let mut due = Vec::new();
        for (_record, erasure) in own.iter().filter(|(_record, own)| own.answers.is_some()) {
            if is_due(&keys, erasure)? {
                due.push(erasure.clone());
            }
        }
        finish(dir, fresh, &keys, &due)
    }
}

/// Why it was not done, and what is to be done again.
type Undone = (StoreError, Vec<Due>);

/// Destroys here what other nodes have erased, on a thread of its own, since the journal is read for
/// it.
pub(in crate::store) struct Erasures {
    place: Place,
    due: Vec<Due>,
    thread: Option<JoinHandle<Result<u64, Undone>>>,
    /// Rounds to wait after a failure.
    pause: u32,
}

impl Erasures {
    /// None yet, in the store at `site` of the engine `node`; `pen` puts our own on record.
    pub(in crate::store) const fn new(site: Site, node: NodeName, pen: Pen) -> Self {
        let place = Place { site, node, pen };
        Self { place, due: Vec::new(), thread: None, pause: 0 }
    }

    /// Another node has erased a number, by its `record`: here go the keys that were first used at
    /// `until` or before; without a time, whatever there is now. What it has kept long enough is its
    /// own to destroy, and what it has done by another's is for that one to ask of us.
    pub(in crate::store) fn are_due(
        &mut self,
        record: RecordId,
        erasure: &Erasure,
        until: Option<UnixMicros>,
    ) {
        if erasure.cause == ErasureCause::Request && erasure.answers.is_none() {
            let until = until.unwrap_or(UnixMicros(i64::MAX));
            self.due.push(Due { record, erasure: erasure.clone(), until });
        }
    }

    /// Begins what is due, and looks after what was begun.
    pub(in crate::store) fn look_after(&mut self) {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(Ok(done)) = self.thread.take().map(JoinHandle::join)
        {
            match done {
                Ok(keys) => tracing::info!(keys, "what other nodes have erased is erased here"),
                Err((error, due)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "what other nodes have erased is not erased here yet");
                    self.due.extend(due);
                    self.pause = PAUSE_ROUNDS;
                }
            }
        }
        self.pause = self.pause.saturating_sub(1);
        if self.due.is_empty() || self.pause > 0 || self.thread.is_some() {
            return;
        }
        let (place, due) = (self.place.clone(), std::mem::take(&mut self.due));
        let again = due.clone();
        let work = move || place.follow(&due).map_err(|error| (error, due));
        match std::thread::Builder::new().name("erase".to_owned()).spawn(work) {
            Ok(thread) => self.thread = Some(thread),
            Err(_no_thread) => self.due = again,
        }
    }
}
