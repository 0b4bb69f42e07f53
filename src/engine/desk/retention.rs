//! What is past its time: evidence is named on record first, and destroyed then; call records go.

use super::Books;
use super::Desk;
use super::DeskError;
use crate::model::NodeName;
use crate::model::UnixMicros;
use crate::net::clock;
use crate::store::Ageing;
use crate::store::Expired;
use crate::store::Store;
use crate::store::StoreError;
use crate::suppression::Erasure;
use crate::suppression::Fact;
use crate::suppression::Retention;
use crate::suppression::Watchman;
use crate::suppression::retention::Doubt;
use crate::suppression::retention::Judged;

/// Numbers whose erasures share their syncs. Our choice: few enough to be over soon when the engine
/// is to end.
const GROUP_LEN: usize = 64;

/// What one step has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Numbers whose evidence is gone.
    pub numbers: u64,
    /// Their opt-outs and reversals.
    pub records: u64,
    /// Files of audio.
    pub audio: u64,
    /// Call records.
    pub calls: u64,
    /// Whether there is more to be deleted now.
    pub is_more: bool,
    /// Why the clock is not believed, where it is not.
    pub doubt: Option<Doubt>,
    /// When the newest record was written of the number whose evidence goes next.
    pub oldest: Option<UnixMicros>,
}

impl Desk {
    /// What `retention` would delete now, or else what the configuration in force would. Reads the
    /// journal.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn ageing(&self, retention: Option<Retention>) -> Result<Ageing, DeskError> {
        let checked = self.checked.load();
        let retention = retention.unwrap_or(checked.retention);
        Ok(self.reader()?.ageing(&retention, clock::unix_now(), &checked.node.name)?)
    }

    /// Deletes what is past its time, as much as one step does. A crash at any moment leaves what the
    /// next start makes good.
    ///
    /// - `watchman`: whoever believes the clock; made at the first step.
    /// - `is_day_seen`: as for [`Watchman::judge`].
    /// - `is_over`: whether nobody wants more of it.
    ///
    /// What was deleted, and what kept it from deleting more.
    pub fn retain(
        &self,
        watchman: &mut Option<Watchman>,
        is_day_seen: bool,
        is_over: &dyn Fn() -> bool,
    ) -> (Retained, Result<(), DeskError>) {
        let mut done = Retained::default();
        let result = self.retain_into(&mut done, watchman, is_day_seen, is_over);
        (done, result)
    }

    fn retain_into(
        &self,
        done: &mut Retained,
        watchman: &mut Option<Watchman>,
        is_day_seen: bool,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), DeskError> {
        let Books::Open(store) = &self.books else { return Err(DeskError::ReadOnly) };
        let checked = self.checked.load();
        let (retention, node) = (checked.retention, &checked.node.name);
        let now = clock::unix_now();
        let _look = store.look();
        let ages = store.ages()?;
        let known = store.believed_time();
        let watchman = watchman.get_or_insert_with(|| Watchman::new(known, ages.newest(), now));
        let Judged { today, doubt } = watchman.judge(now, is_day_seen);
        (done.doubt, done.oldest) = (doubt, ages.oldest());
        // What records alone say of the time is not believed for ever: one may be of years ahead.
        let is_known = known.is_some() || doubt != Some(Doubt::Behind);
        if is_known && known != Some(watchman.believed()) {
            store.note_believed_time(watchman.believed())?;
        }
        let Some(today) = today else { return Ok(()) };
        if let Some(limit) = retention.evidence_limit(today) {
            let found = store.past(&ages, limit)?;
            done.is_more = found.is_more && !found.expired.is_empty();
            for group in found.expired.chunks(GROUP_LEN) {
                if is_over() {
                    break;
                }
                self.expire(store, group, node, now, done)?;
            }
        }
        if !is_over() {
            let (calls, is_more) = store.forget_calls(node, retention.calls_limit(today))?;
            done.calls = calls;
            done.is_more |= is_more;
        }
        Ok(())
    }

    /// Deletes the evidence of some numbers: durable on record before the first key is destroyed.
    fn expire(
        &self,
        store: &Store,
        group: &[Expired],
        node: &NodeName,
        now: UnixMicros,
        done: &mut Retained,
    ) -> Result<(), DeskError> {
        let erasures: Vec<Erasure> =
            group.iter().flat_map(|expired| expired.erasures(node, now)).collect();
        let mut submitted = Vec::with_capacity(erasures.len());
        for erasure in &erasures {
            submitted.push(self.submit(Fact::Erasure(Box::new(erasure.clone())))?);
        }
        for submitted in submitted {
            self.settled(submitted)?;
        }
        // The database is to know by then; where it is away it learns of it later.
        match store.flush() {
            Ok(()) | Err(StoreError::Behind) => {}
            Err(error) => return Err(error.into()),
        }
        for erasure in &erasures {
            store.destroy(erasure)?;
            done.numbers += erasure.slots.len() as u64;
            done.records += erasure.records.len() as u64;
            done.audio += erasure.audio.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::engine::desk::stand::desk;
    use crate::model::Number;
    use crate::store::Settings;
    use crate::suppression::FactLedger;
    use crate::suppression::OptOut;
    use crate::suppression::Origin;

    fn optout(at: UnixMicros) -> OptOut {
        OptOut {
            digits: "9".parse().expect("9 is a key"),
            sip_call_id: Some("dialog-1@pbx".to_owned()),
            ..OptOut::new(
                Number::from_e164("+34600123456").expect("it is E.164"),
                vec!["global".into()],
                Origin::DialledCode,
                "test".into(),
                at,
            )
        }
    }

    #[test]
    fn what_was_deleted_before_something_failed_is_told_and_the_time_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let now = clock::unix_now();
        let ago = UnixMicros(now.0 - 6 * 366 * 86_400_000_000);
        let settings = Settings::new(dir.path().join("data"), Arc::new(move || ago));
        let (store, _recovered) = Store::open(settings, |_ack| {}).unwrap();
        store.submit(1, Fact::OptOut(Box::new(optout(ago)))).unwrap();
        store.flush().unwrap();
        store.close().unwrap();

        let desk = desk(dir.path(), &Arc::default(), &Arc::default());
        let Books::Open(store) = &desk.books else { panic!("it is open") };
        let asked = Cell::new(0);
        // Behind the numbers, and before the call records, the database's thread is gone.
        let is_over = || {
            asked.set(asked.get() + 1);
            if asked.get() == 2 {
                store.break_down("projection");
            }
            false
        };
        let mut watchman = Some(Watchman::new(Some(now), None, now));
        let (done, result) = desk.retain(&mut watchman, false, &is_over);
        assert!(result.is_err(), "{result:?}");
        assert_eq!((done.numbers, done.records, done.calls), (1, 1, 0));
        assert_eq!(store.believed_time(), watchman.map(|watchman| watchman.believed()));
    }
}
