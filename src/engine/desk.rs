//! The desk: questions about lists and opt-outs, and entering them by hand.
//!
//! One code serves both: a running engine answers over its admin socket from the store and index
//! that its calls use, and the command line opens the store by itself when no engine has it.
//! Every method blocks on the disk: call it from a thread that may.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Deserialize;
use serde::Serialize;

use super::reach::Reach;
use super::registries::RegistryStanding;
use super::registries::standings;
use super::rooms::target;
use super::rules::configure;
use crate::call::Moment;
use crate::config::Checked;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::model::hex;
use crate::net::clock;
use crate::store::Archive;
use crate::store::Clock;
use crate::store::Reader;
use crate::store::Settings;
use crate::store::Store;
use crate::store::StoreError;
use crate::suppression::Ack;
use crate::suppression::Durable;
use crate::suppression::Fact;
use crate::suppression::FactLedger;
use crate::suppression::Index;
use crate::suppression::Origin;
use crate::suppression::export::CsvExport;
use crate::suppression::export::Entry;
use crate::suppression::export::Filter;
use crate::suppression::export::write_json_line;
use crate::suppression::import::standing;
use crate::suppression::proof::PublicKey;

mod addition;
mod claim;
mod erasure;
mod error;
mod explain;
mod herald;
mod import;
mod names;
mod receipts;
mod repeat;
mod retention;
mod reversal;
#[cfg(test)]
mod stand;
mod withdrawal;

pub use addition::{Added, Addition, NOTE_LEN_MAX, judge};
pub use claim::{Claim, Earlier, ImportDone, ImportPlace, SHRUNK_TO, import_place};
pub use erasure::{Erased, Erasing};
pub use error::DeskError;
pub use explain::{Aside, Cause, Effect, Explanation, Ground, Look, Told, Verdict};
pub use herald::Herald;
pub use receipts::Receipts;
pub use repeat::repeated;
pub use retention::Retained;
pub use reversal::{Reversed, ReversedEntry, Reversing, Still};
pub use withdrawal::{Withdrawing, Withdrawn};

use addition::taken_down;
use error::COMMIT_MAX;
use explain::Question;
use names::campaign_of;
use names::read_number;
use names::unknown;

/// One record of a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The record with its times.
    pub entry: Entry,
    /// Those of its lists that the configuration still has, and on which no reversal has cancelled
    /// it: there it refuses the number.
    pub refuses: Vec<ListName>,
}

/// Which opt-outs are exported, as it was typed; every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Pressed at this time or later.
    pub from: Option<UnixMicros>,
    /// Pressed before this time.
    pub to: Option<UnixMicros>,
    /// In calls of this campaign.
    pub campaign: Option<CampaignName>,
    /// On this list.
    pub list: Option<ListName>,
    /// Of this origin.
    pub origin: Option<Origin>,
    /// Of this number, in any form that the node's default region knows.
    pub number: Option<String>,
    /// Only what still refuses: on `list` where one is given, else on any list.
    #[serde(default)]
    pub is_standing: bool,
    /// Also the numbers of imports where nothing else asks for them.
    #[serde(default)]
    pub with_imports: bool,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One table with a header line.
    #[default]
    Csv,
    /// One JSON object a line, with the evidence of each key.
    Jsonl,
}

/// What a desk is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Questions; nothing is written to the journal.
    Read,
    /// Proofs and erasures too, of a store that is there.
    Sign,
    /// Additions too; makes the store when it is missing.
    Write,
}

/// The store behind a desk.
#[derive(Debug)]
enum Books {
    Open(Arc<Store>),
    /// Held for its lock; the connection within is no thread's to share.
    Read(Box<Mutex<Archive>>),
}

/// A fact that the ledger has taken, and where its answer comes.
struct Submitted {
    token: u64,
    answer: Receiver<Ack>,
}

/// Answers about lists and opt-outs, and takes opt-outs down.
#[derive(Debug)]
pub struct Desk {
    books: Books,
    index: Arc<Index>,
    checked: Arc<ArcSwap<Checked>>,
    receipts: Receipts,
    herald: Herald,
}

impl Desk {
    /// The desk of a running engine. `receipts` is what the store's callback delivers to, `herald`
    /// tells the engine's calls of what is opted out here.
    pub const fn new(
        store: Arc<Store>,
        index: Arc<Index>,
        checked: Arc<ArcSwap<Checked>>,
        receipts: Receipts,
        herald: Herald,
    ) -> Self {
        Self { books: Books::Open(store), index, checked, receipts, herald }
    }

    /// Opens the store by itself, as long as no engine holds it.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoStore`] where there is nothing to read; `StoreError::Held` in
    /// [`DeskError::Store`], with the holder, while another process has the store.
    pub fn open(checked: Checked, access: Access) -> Result<Self, DeskError> {
        let receipts = Receipts::default();
        let path = &checked.store.path;
        let books = match access {
            Access::Read | Access::Sign if !path.is_dir() => {
                return Err(DeskError::NoStore { path: path.clone() });
            }
            Access::Read => {
                let clock: Clock = Arc::new(clock::unix_now);
                let (target, numbers) = (target(&checked.store)?, &checked.store.numbers);
                let (archive, _recovered) = Archive::open(path, &target, numbers, &clock)?;
                Books::Read(Box::new(Mutex::new(archive)))
            }
            Access::Sign | Access::Write => {
                let settings = Settings {
                    target: target(&checked.store)?,
                    numbers: checked.store.numbers.clone(),
                    ack: checked.store.ack,
                    ..Settings::new(path, Arc::new(clock::unix_now))
                };
                let taker = receipts.clone();
                let on_ack = move |ack| {
                    taker.deliver(&ack);
                };
                Books::Open(Arc::new(Store::open(settings, on_ack)?.0))
            }
        };
        let index = Arc::new(Index::default());
        configure(&index, &checked)?;
        let checked = Arc::new(ArcSwap::from_pointee(checked));
        let herald = Herald::none();
        let desk = Self { books, index, checked, receipts, herald };
        desk.fill()?;
        Ok(desk)
    }

    /// Fills the index; where the shared database is away, by what this node knows itself.
    fn fill(&self) -> Result<(), DeskError> {
        let filled = self.reader().and_then(|reader| Ok(reader.fill(&self.index)?));
        match (filled, &self.books) {
            (Err(DeskError::Store(error)), Books::Open(store)) if error.is_passing() => {
                store.fill_from_journal(&self.index)?;
                Ok(())
            }
            (filled, _) => filled.map(drop),
        }
    }

    /// Whether `campaign` may call the number `text` now, and why. The answer is in memory: it comes
    /// without the records where the database is away.
    ///
    /// # Errors
    ///
    /// [`DeskError::Number`], [`DeskError::Unknown`] and those of the store.
    pub fn explain(&self, text: &str, campaign: &CampaignName) -> Result<Explanation, DeskError> {
        let checked = self.checked.load();
        let number = read_number(&checked, text)?;
        let campaign = campaign_of(&checked, campaign)?;
        let at = Moment { now: clock::now(), today: clock::unix_now() };
        let stale_ms = self.stale_ms(at);
        let (entries, unread) = match self.records_unless(stale_ms.is_some(), number) {
            Ok(entries) => (entries, None),
            Err(DeskError::Store(error)) if error.is_passing() => (Vec::new(), Some(error)),
            Err(error) => return Err(error),
        };
        let index = &*self.index;
        let question =
            Question { checked: &checked, index, campaign, number, entries: &entries, at };
        let unread = unread.map(|error| match error {
            // In which everything else is said by whoever tells it.
            StoreError::Away => "the database is away or behind the journal".to_owned(),
            error => error.to_string(),
        });
        Ok(Explanation { stale_ms, unread, ..explain::explain(&question)? })
    }

    /// What is on record of `number`; a database that this node has lost sight of is not asked,
    /// since that takes as long as the network likes.
    fn records_unless(&self, is_lost: bool, number: Number) -> Result<Vec<Entry>, DeskError> {
        if is_lost {
            return Err(StoreError::Away.into());
        }
        self.on_record(number)
    }

    /// Everything on record of `number`, what a registry took off again among it, oldest first.
    fn on_record(&self, number: Number) -> Result<Vec<Entry>, DeskError> {
        let reader = self.reader()?;
        let mut entries = reader.show(number)?;
        entries.extend(reader.taken_off(number)?);
        entries.sort_by_key(|entry| (entry.optout.pressed_at, entry.record));
        Ok(entries)
    }

    /// For how long opt-outs of other nodes may be unknown, where that is longer than is allowed.
    fn stale_ms(&self, at: Moment) -> Option<u64> {
        let Books::Open(store) = &self.books else { return None };
        let followed = store.followed().filter(|_followed| self.index.is_stale(at.now));
        Some(milliseconds(followed?.lag))
    }

    /// Takes an opt-out down: refused by this process at once, and durable when this returns.
    ///
    /// # Errors
    ///
    /// What was typed wrong, before anything is done; [`DeskError::Ledger`] and
    /// [`DeskError::Slow`] when it is not known to be durable.
    pub fn add(&self, addition: Addition) -> Result<Added, DeskError> {
        let Books::Open(_store) = &self.books else { return Err(DeskError::ReadOnly) };
        let optout = taken_down(&self.checked.load(), addition)?;
        let (number, lists) = (optout.number, optout.lists.clone());
        let (account, campaign) = (optout.account.clone(), optout.campaign.clone());
        let (account, campaign) = (account.as_ref(), campaign.as_ref());
        self.index.block_beyond(number, &lists, account, campaign)?;
        self.herald.tell(number);
        let durable = self.commit(Fact::OptOut(Box::new(optout)))?;
        self.index.settle(number, &lists, account, campaign, durable.record)?;
        let (record, durable_at) = (durable.record.to_string(), durable.durable_at);
        Ok(Added { number, lists, record, durable_at, is_pending: durable.is_pending })
    }

    /// Hands a fact to the ledger and waits until it is durable.
    fn commit(&self, fact: Fact) -> Result<Durable, DeskError> {
        let submitted = self.submit(fact)?;
        self.settled(submitted)
    }

    /// Hands a fact to the ledger: what is wrong from here on may have left it on the disk.
    fn submit(&self, fact: Fact) -> Result<Submitted, DeskError> {
        let Books::Open(store) = &self.books else { return Err(DeskError::ReadOnly) };
        let (token, answer) = self.receipts.expect();
        if let Err(error) = store.submit(token, fact) {
            self.receipts.forget(token);
            return Err(error.into());
        }
        Ok(Submitted { token, answer })
    }

    /// Waits until a fact is durable that was handed to the ledger.
    fn settled(&self, submitted: Submitted) -> Result<Durable, DeskError> {
        let Submitted { token, answer } = submitted;
        let answer = answer.recv_timeout(COMMIT_MAX).map_err(|_timeout| {
            self.receipts.forget(token);
            DeskError::Slow
        })?;
        Ok(answer.result?)
    }

    /// Everything on record of the number `text`, oldest first.
    ///
    /// # Errors
    ///
    /// [`DeskError::Number`] and those of the store.
    pub fn show(&self, text: &str) -> Result<Vec<Shown>, DeskError> {
        let checked = self.checked.load();
        let number = read_number(&checked, text)?;
        let entries = self.on_record(number)?;
        let is_known = |list: &&ListName| checked.lists.contains_key(*list);
        let shown = entries.into_iter().map(|entry| Shown {
            refuses: entry.standing().filter(is_known).cloned().collect(),
            entry,
        });
        Ok(shown.collect())
    }

    /// Writes the opt-outs of `selection` to `out`, oldest first, and behind them the numbers and the
    /// ranges of imports, where those are asked for; returns how many rows they were. Memory does
    /// not grow with their number.
    ///
    /// # Errors
    ///
    /// [`DeskError::Output`] as soon as `out` fails, [`DeskError::Number`], and those of the store.
    pub fn export(
        &self,
        selection: &Selection,
        format: Format,
        mut out: &mut dyn io::Write,
    ) -> Result<u64, DeskError> {
        let filter = self.filter(selection)?;
        let reader = self.reader()?;
        self.check_is_known(&filter, &reader)?;
        let mut rows = Rows::default();
        match format {
            Format::Csv => {
                let mut csv = CsvExport::new(out)?;
                reader.export(&filter, |entry| rows.step(|| csv.write(&entry)))?;
                reader.export_ranges(&filter, |entry| rows.step(|| csv.write(&entry)))?;
                csv.finish()?;
            }
            Format::Jsonl => {
                let out = &mut out;
                reader.export(&filter, |entry| rows.step(|| write_json_line(out, &entry)))?;
                reader
                    .export_ranges(&filter, |entry| rows.step(|| write_json_line(out, &entry)))?;
                out.flush()?;
            }
        }
        rows.end()
    }

    /// How many imports an export of `selection` leaves out, though it asks for no origin: their
    /// numbers are refused too, and are not in it.
    ///
    /// # Errors
    ///
    /// As [`Self::export`].
    pub fn imports_left_out(&self, selection: &Selection) -> Result<u64, DeskError> {
        let filter = self.filter(selection)?;
        if !filter.leaves_imports_out() {
            return Ok(0);
        }
        let imports = self.reader()?.imports()?;
        Ok(standing(&imports).filter(|imported| filter.finds(&imported.import)).count() as u64)
    }

    /// The bundle that proves what is on record of the number `text`, as the octets of its file;
    /// nothing when nothing is.
    ///
    /// # Errors
    ///
    /// [`DeskError::Number`] and those of the store.
    pub fn proof(&self, text: &str) -> Result<Option<Vec<u8>>, DeskError> {
        let Books::Open(store) = &self.books else { return Err(DeskError::ReadOnly) };
        let checked = self.checked.load();
        let number = read_number(&checked, text)?;
        Ok(store.prove(number, checked.node.name.clone(), clock::unix_now())?)
    }

    /// Where every stream of the store ends, signed, as one line.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn heads(&self) -> Result<String, DeskError> {
        let Books::Open(store) = &self.books else { return Err(DeskError::ReadOnly) };
        let node = self.checked.load().node.name.clone();
        Ok(store.heads(node, clock::unix_now())?)
    }

    /// The public key that bundles and checkpoints of the store verify by; nothing for a store
    /// that has never been written to since there are any.
    pub fn proof_key(&self) -> Option<PublicKey> {
        match &self.books {
            Books::Open(store) => Some(store.proof_key()),
            Books::Read(archive) => {
                archive.lock().unwrap_or_else(PoisonError::into_inner).proof_key()
            }
        }
    }

    /// How far opt-outs reach by the configuration that decides calls.
    pub fn reach(&self) -> Reach {
        Reach::of(&self.checked.load())
    }

    /// How the store and the index stand.
    pub fn standing(&self) -> Standing {
        let checked = self.checked.load();
        let mut standing = Standing {
            node: checked.node.name.to_string(),
            config: hex(&checked.hash),
            numbers: self.index.len(),
            proof_key: self.proof_key(),
            registries: standings(&checked, &self.index),
            ..Standing::default()
        };
        if let Books::Open(store) = &self.books {
            let counters = store.counters();
            standing.facts = counters.facts;
            let refused = counters.refused + counters.failed;
            standing.facts_lost = refused.saturating_sub(counters.optouts_late);
            standing.optouts_unwritten = counters.optouts_unwritten;
            standing.facts_waiting = counters.facts_waiting;
            standing.calls_lost = counters.calls_lost;
            if let Some(followed) = store.followed() {
                standing.lag_ms = Some(milliseconds(followed.lag));
                standing.import_due_ms = milliseconds(followed.import_due);
            }
            standing.is_stale = self.index.is_stale(clock::now());
            (_, standing.reversals_lost) = self.index.reversals_waiting();
            standing.failure = store.failure().map(|failure| failure.to_string());
        }
        standing
    }

    /// A list or a campaign that the configuration does not have may be one that records still name;
    /// one that none does was typed wrong.
    fn check_is_known(&self, filter: &Filter, reader: &Reader) -> Result<(), DeskError> {
        let checked = self.checked.load();
        if let Some(name) = &filter.campaign
            && let Err(unknown) = campaign_of(&checked, name)
        {
            let of_campaign = Filter { campaign: Some(name.clone()), ..Filter::default() };
            let is_named = reader.count(&of_campaign)? > 0
                || reader.imports()?.iter().any(|it| it.import.campaign.as_ref() == Some(name));
            if !is_named {
                return Err(unknown);
            }
        }
        let Some(list) = filter.list.as_ref().filter(|list| !checked.lists.contains_key(*list))
        else {
            return Ok(());
        };
        let of_list = Filter { list: Some(list.clone()), ..Filter::default() };
        let is_named = reader.count(&of_list)? > 0
            || reader.imports()?.iter().any(|imported| imported.import.list == *list);
        if is_named {
            return Ok(());
        }
        Err(unknown("list", list.as_str(), checked.lists.keys().map(ListName::as_str)))
    }

    fn filter(&self, selection: &Selection) -> Result<Filter, DeskError> {
        let number = selection.number.as_deref();
        let number = number.map(|text| read_number(&self.checked.load(), text)).transpose()?;
        Ok(Filter {
            from: selection.from,
            to: selection.to,
            campaign: selection.campaign.clone(),
            list: selection.list.clone(),
            origin: selection.origin,
            number,
            is_standing: selection.is_standing,
            with_imports: selection.with_imports,
        })
    }

    /// A connection that sees everything submitted before.
    fn reader(&self) -> Result<Reader, DeskError> {
        match &self.books {
            Books::Open(store) => {
                store.flush().map_err(|error| match error {
                    StoreError::Behind => StoreError::Away,
                    error => error,
                })?;
                Ok(store.reader()?)
            }
            Books::Read(archive) => {
                Ok(archive.lock().unwrap_or_else(PoisonError::into_inner).reader()?)
            }
        }
    }
}

/// How a store and its index stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The engine's name on records.
    pub node: String,
    /// The configuration that decides new calls, as call records name it.
    pub config: String,
    /// Numbers that stand on any list.
    pub numbers: usize,
    /// The public key that bundles of the store verify by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_key: Option<PublicKey>,
    /// The registries, and how old they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<RegistryStanding>,
    /// Facts made durable since the start.
    pub facts: u64,
    /// Facts that were not.
    pub facts_lost: u64,
    /// Facts made durable that are not known to be in the database.
    #[serde(default)]
    pub facts_waiting: u64,
    /// Opt-outs that were refused and that only this process knows.
    #[serde(default)]
    pub optouts_unwritten: u64,
    /// How old, in milliseconds, what is known of other nodes is; nothing where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// Whether that is older than is allowed, so that calls are refused.
    #[serde(default)]
    pub is_stale: bool,
    /// For how long, in milliseconds, an import of another node has been known that is not in force.
    #[serde(default)]
    pub import_due_ms: u64,
    /// Reversals that found no room to wait for their records: they hold from the next start on.
    #[serde(default)]
    pub reversals_lost: u64,
    /// Call records lost.
    pub calls_lost: u64,
    /// The error that ended the journal, if one did.
    pub failure: Option<String>,
}

/// How many rows were written, until one could not be.
#[derive(Default)]
struct Rows {
    written: u64,
    failed: Option<io::Error>,
}

impl Rows {
    /// Writes a row, unless one before it could not be.
    fn step(&mut self, write: impl FnOnce() -> io::Result<()>) -> ControlFlow<()> {
        if self.failed.is_none() {
            match write() {
                Ok(()) => self.written += 1,
                Err(error) => self.failed = Some(error),
            }
        }
        if self.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn end(self) -> Result<u64, DeskError> {
        self.failed.map_or(Ok(self.written), |error| Err(error.into()))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
