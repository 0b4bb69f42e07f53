//! A desk for tests, with a store of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

use super::Desk;
use super::Herald;
use super::Receipts;
use crate::config;
use crate::engine::Rooms;
use crate::engine::rules::lists;
use crate::model::Number;
use crate::net::clock;
use crate::store::Settings;
use crate::store::Store;
use crate::suppression::Ack;
use crate::suppression::Durable;
use crate::suppression::Index;
use crate::suppression::LedgerError;

/// What the ledger says of a fact.
type Answer = Result<Durable, LedgerError>;

/// A desk whose store answers with an error while `is_failing`, and that notes how many
/// entries refuse the number at the moment of each answer.
pub(super) fn desk(
    dir: &Path,
    is_failing: &Arc<AtomicBool>,
    seen: &Arc<Mutex<Vec<usize>>>,
) -> Desk {
    let (is_failing, seen) = (Arc::clone(is_failing), Arc::clone(seen));
    desk_that_answers(dir, |index| {
        let asked = Arc::clone(index);
        move |answer: Answer| {
            let number = Number::from_e164("+34600123456").expect("it is E.164");
            seen.lock().expect("no test panics here").push(asked.explain(number).len());
            let failed = is_failing.load(Ordering::Relaxed).then_some(Err(LedgerError::Closed));
            failed.unwrap_or(answer)
        }
    })
}

/// A desk whose store has every fact, and answers as after a database that has not.
pub(super) fn desk_that_is_pending(dir: &Path) -> Desk {
    desk_that_answers(dir, |_index| {
        |answer: Answer| answer.map(|durable| Durable { is_pending: true, ..durable })
    })
}

/// A desk whose store answers while `is_late` as one whose database has not had the fact in time.
pub(super) fn desk_whose_database_is_late(dir: &Path, is_late: &Arc<AtomicBool>) -> Desk {
    let is_late = Arc::clone(is_late);
    desk_that_answers(dir, |_index| {
        move |answer: Answer| match answer {
            Ok(Durable { record, .. }) if is_late.load(Ordering::Relaxed) => {
                Err(LedgerError::Unstored { record })
            }
            answer => answer,
        }
    })
}

/// A desk to which the store's answers come as what `answer` makes for its index makes of them.
fn desk_that_answers<F>(dir: &Path, answer: impl FnOnce(&Arc<Index>) -> F) -> Desk
where
    F: Fn(Answer) -> Answer + Send + Sync + 'static,
{
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut checked = config::load(&folder, &Rooms).expect("what we ship is without fault");
    dir.join("data").clone_into(&mut checked.store.path);
    let index = Arc::new(Index::new(&lists(&checked)).expect("so many lists fit"));
    let receipts = Receipts::default();
    let taker = receipts.clone();
    let answer = answer(&index);
    let on_ack = move |ack: Ack| {
        let Ack { token, result } = ack;
        taker.deliver(&Ack { token, result: answer(result) });
    };
    let settings = Settings::new(&checked.store.path, Arc::new(clock::unix_now));
    let (store, _recovered) = Store::open(settings, on_ack).expect("it is new");
    let checked = Arc::new(ArcSwap::from_pointee(checked));
    Desk::new(Arc::new(store), index, checked, receipts, Herald::none())
}
