//! Any interleaving of adds, imports, change lists, reversals and imports taken back, in any order
//! of arrival and with doubles, gives one state: the one that the set of facts has by definition.
//!
//! The definition is written down here once more, naively: a number is refused on a list by a
//! record that put it there, alone or by a range; that no reversal of this number, record and list
//! names; and, of an import, that is not taken back, nor was the number taken off from it by a
//! change list that is not taken back itself. 100,000 cases are drawn from their own seeds, played
//! into an index, and asked in the middle and at the end about every number, list, account and
//! campaign there is. Imports go by way of the code that makes the store's base.

use std::convert::Infallible;

use super::*;
use crate::model::WriterId;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::suppression::Authority;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
use crate::suppression::import::Shape;
use crate::suppression::import::TakenOff;
use crate::suppression::import::Tally;
use crate::suppression::import::Withdrawal;
use crate::suppression::import::base_of;
use crate::suppression::list::Scope;
use crate::suppression::segment::SegmentName;

const CASES: u64 = 100_000;
const FACTS_MAX: u64 = 10;
const NUMBERS: [u64; 3] = [34_600_000_001, 34_600_000_002, 12_015_550_100];
const RANGES: [&str; 3] = ["+346*", "+34600000002-+34600000009", "+1201555*"];
const LISTS: [(&str, Scope); 5] = [
    ("global", Scope::Global),
    ("own", Scope::Account),
    ("spring", Scope::Campaign),
    ("ftc", Scope::Global),
    ("topical", Scope::Topic),
];
const ACCOUNTS: [&str; 2] = ["acme", "rival"];
const CAMPAIGNS: [&str; 2] = ["promo", "other"];
const TOPICS: [Option<&str>; 3] = [None, Some("sales"), Some("surveys")];

#[derive(Clone, Debug)]
enum Fact {
    /// Somebody's own record.
    Add { record: RecordId, of: Of, number: u64, lists: Vec<usize> },
    /// A file.
    Import(File),
    /// The import of this record is taken back.
    Withdrawal { record: RecordId, import: RecordId },
    /// Adds, and single numbers of imports, are cancelled by this.
    Reversal { number: u64, cancels: Vec<(RecordId, Vec<usize>)> },
}

/// What a file says.
#[derive(Clone, Debug)]
struct File {
    record: RecordId,
    of: Of,
    list: usize,
    /// Ascending.
    numbers: Vec<u64>,
    /// Places in [`RANGES`].
    ranges: Vec<usize>,
    /// Numbers, ascending, and the imports that they are taken off from.
    taken_off: Option<(Vec<u64>, Vec<RecordId>)>,
}

/// For which account and campaign; nothing reaches all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Of {
    account: Option<usize>,
    campaign: Option<usize>,
}

/// What comes to the index.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    /// The number of this add is blocked, before its record is durable.
    Block(usize),
    /// This fact is known.
    Known(usize),
}

struct Dice(TokenSource);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn some(&mut self, end: usize) -> Vec<usize> {
        let first = self.below(end as u64) as usize;
        (0..end).filter(|&one| one == first || self.below(4) == 0).collect()
    }

    fn of(&mut self) -> Of {
        let known = [None, Some(0), Some(1)];
        Of { account: self.one(&known), campaign: self.one(&known) }
    }

    /// What happened, each fact knowing those before it and some that nobody ever sees.
    fn facts(&mut self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = Vec::new();
        for seq in 1..=1 + self.below(FACTS_MAX) {
            let record = RecordId { writer: WriterId(1 + self.below(2)), seq };
            let (of, number) = (self.of(), self.one(&NUMBERS));
            facts.push(match self.below(10) {
                0..4 => Fact::Add { record, of, number, lists: self.some(LISTS.len()) },
                4..6 => Fact::Import(self.file(record, of, &facts)),
                6 => Fact::Withdrawal { record, import: self.record_of(&facts) },
                _ => self.reversal(number, &facts),
            });
        }
        facts
    }

    fn numbers(&mut self) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            self.some(NUMBERS.len()).iter().map(|&at| NUMBERS[at]).collect();
        numbers.sort_unstable();
        numbers
    }

    fn file(&mut self, record: RecordId, of: Of, before: &[Fact]) -> File {
        let ranges = if self.below(3) == 0 { self.some(RANGES.len()) } else { Vec::new() };
        let from: Vec<RecordId> = (0..self.below(4)).map(|_| self.record_of(before)).collect();
        let taken_off = (!from.is_empty()).then(|| (self.numbers(), from));
        let list = self.below(LISTS.len() as u64) as usize;
        File { record, of, list, numbers: self.numbers(), ranges, taken_off }
    }

    /// The record of one of `before`, or one that nobody ever sees.
    fn record_of(&mut self, before: &[Fact]) -> RecordId {
        match before.get(self.below(before.len() as u64 + 1) as usize) {
            Some(
                Fact::Add { record, .. }
                | Fact::Import(File { record, .. })
                | Fact::Withdrawal { record, .. },
            ) => *record,
            Some(Fact::Reversal { .. }) | None => {
                RecordId { writer: WriterId(3), seq: self.below(3) }
            }
        }
    }

    fn reversal(&mut self, number: u64, before: &[Fact]) -> Fact {
        let mut cancels = Vec::new();
        for _ in 0..1 + self.below(3) {
            let record = self.record_of(before);
            cancels.push((record, self.some(LISTS.len())));
        }
        Fact::Reversal { number, cancels }
    }

    /// Every fact once or twice, in any order, and some adds blocked before they are known.
    fn arrivals(&mut self, facts: &[Fact]) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for at in 0..facts.len() {
            for _ in 0..=self.below(2) {
                let place = self.below(arrivals.len() as u64 + 1) as usize;
                arrivals.insert(place, Arrival::Known(at));
            }
        }
        for (at, fact) in facts.iter().enumerate() {
            if matches!(fact, Fact::Add { .. }) && self.below(2) == 0 {
                let is_first =
                    |arrival: &Arrival| matches!(arrival, Arrival::Known(it) if *it == at);
                let first = arrivals.iter().position(is_first).unwrap_or_default();
                let place = self.below(first as u64 + 1) as usize;
                arrivals.insert(place, Arrival::Block(at));
            }
        }
        arrivals
    }
}

/// What refuses a number: a record, on a list, for whom, and whether by a range.
type Standing = (RecordId, usize, Of, bool);

/// The definition: what refuses `number`, each record with each list.
fn standing(facts: &[&Fact], number: u64) -> Vec<Standing> {
    let mut all = Vec::new();
    for fact in facts {
        match fact {
            Fact::Add { record, of, number: its, lists } if *its == number => {
                all.extend(lists.iter().map(|&list| (*record, list, *of, false)));
            }
            Fact::Import(file) if !is_withdrawn(facts, file.record) => {
                let one = |is_range| (file.record, file.list, file.of, is_range);
                if file.numbers.contains(&number) && !is_taken_off(facts, file.record, number) {
                    all.push(one(false));
                }
                let is_in = |range: &&usize| range_at(**range).contains(self::number(number));
                all.extend(file.ranges.iter().filter(is_in).map(|_range| one(true)));
            }
            _ => {}
        }
    }
    all.retain(|(record, list, ..)| {
        !facts.iter().any(|fact| match fact {
            Fact::Reversal { number: its, cancels } => {
                let names =
                    |(it, lists): &(RecordId, Vec<usize>)| it == record && lists.contains(list);
                *its == number && cancels.iter().any(names)
            }
            _ => false,
        })
    });
    all.sort_by_key(|(record, list, ..)| (*record, *list));
    all
}

fn is_withdrawn(facts: &[&Fact], record: RecordId) -> bool {
    let is_it = |fact: &&Fact| matches!(fact, Fact::Withdrawal { import, .. } if *import == record);
    facts.iter().any(is_it)
}

fn is_taken_off(facts: &[&Fact], record: RecordId, number: u64) -> bool {
    facts.iter().any(|fact| match fact {
        Fact::Import(File { record: by, taken_off: Some((numbers, from)), .. }) => {
            numbers.contains(&number) && from.contains(&record) && !is_withdrawn(facts, *by)
        }
        _ => false,
    })
}

fn range_at(place: usize) -> Range {
    RANGES[place].parse().expect("the test's ranges are ranges")
}

/// The topic of each campaign.
type TopicsAt = [Option<&'static str>; CAMPAIGNS.len()];

/// Whether an entry of `of` on `list` concerns calls of this account and campaign.
fn reaches(list: usize, of: Of, account: usize, campaign: usize, topics: TopicsAt) -> bool {
    match LISTS[list].1 {
        Scope::Global => true,
        Scope::Account => of.account.is_none_or(|its| its == account),
        Scope::Campaign => of.campaign.is_none_or(|its| its == campaign),
        Scope::Topic => of.campaign.is_none_or(|its| {
            let both = topics[its].zip(topics[campaign]);
            its == campaign || both.is_none_or(|(one, other)| one == other)
        }),
    }
}

/// Reversals of a number's record that has not come.
fn waiting(facts: &[&Fact]) -> usize {
    let has = |wanted: RecordId, wanted_number: u64| {
        facts.iter().any(|fact| match fact {
            Fact::Add { record, number, .. } => (*record, *number) == (wanted, wanted_number),
            Fact::Import(File { record, numbers, ranges, .. }) => {
                let is_in = |range: &usize| range_at(*range).contains(number(wanted_number));
                *record == wanted && (numbers.contains(&wanted_number) || ranges.iter().any(is_in))
            }
            Fact::Reversal { .. } | Fact::Withdrawal { .. } => false,
        })
    };
    let mut unseen = Vec::new();
    for fact in facts {
        if let Fact::Reversal { number, cancels } = fact {
            unseen.extend(cancels.iter().map(|(record, _lists)| (*record, *number)));
        }
    }
    unseen.retain(|(record, number)| !has(*record, *number));
    unseen.sort_unstable();
    unseen.dedup();
    unseen.len()
}

/// Some of the numbers of an import, named by its record.
fn part(record: RecordId, kind: u8, numbers: &[u64]) -> Part {
    let mut segment = [kind; 32];
    segment[..8].copy_from_slice(&record.writer.0.to_be_bytes());
    segment[8..16].copy_from_slice(&record.seq.to_be_bytes());
    Part { segment: SegmentName(segment), count: numbers.len() as u64 }
}

fn name(list: usize) -> ListName {
    LISTS[list].0.into()
}

fn number(digits: u64) -> Number {
    Number::from_e164_digits(digits).expect("the test's numbers are E.164")
}

/// Whether which reversals wait follows from the set of facts: one that came while an import had
/// the number has found it, though a change list or its end takes it away later.
fn is_waiting_certain(facts: &[&Fact]) -> bool {
    !facts.iter().any(|fact| match fact {
        Fact::Import(file) => file.taken_off.is_some(),
        Fact::Withdrawal { .. } => true,
        Fact::Add { .. } | Fact::Reversal { .. } => false,
    })
}

/// The index under test, with what it was told.
struct Play {
    index: Index,
    topics: TopicsAt,
    names: Vec<ListName>,
    accounts: Vec<AccountName>,
    campaigns: Vec<CampaignName>,
}

impl Play {
    fn new(topics: TopicsAt) -> Self {
        let list = |(name, scope): &(&str, Scope)| List {
            name: (*name).into(),
            title: String::new(),
            scope: *scope,
        };
        let lists: Vec<List> = LISTS.iter().map(list).collect();
        let index = Index::new(&lists).expect("five lists fit");
        let of_campaign = CAMPAIGNS.iter().zip(topics);
        let of_campaign = of_campaign.map(|(name, topic)| ((*name).into(), topic.map(Into::into)));
        index.set_topics(of_campaign.collect());
        Self {
            index,
            topics,
            names: (0..LISTS.len()).map(name).collect(),
            accounts: ACCOUNTS.iter().map(|name| (*name).into()).collect(),
            campaigns: CAMPAIGNS.iter().map(|name| (*name).into()).collect(),
        }
    }

    fn names_of(&self, of: Of) -> (Option<&AccountName>, Option<&CampaignName>) {
        (of.account.map(|at| &self.accounts[at]), of.campaign.map(|at| &self.campaigns[at]))
    }

    fn lists(&self, lists: &[usize]) -> Vec<ListName> {
        lists.iter().map(|&list| self.names[list].clone()).collect()
    }

    fn block(&self, fact: &Fact) {
        if let Fact::Add { of, number: digits, lists, .. } = fact {
            let (account, campaign) = self.names_of(*of);
            let blocked =
                self.index.block_beyond(number(*digits), &self.lists(lists), account, campaign);
            blocked.expect("the lists have their bits");
        }
    }

    /// `known` is every fact that has come, `fact` the last of them.
    fn know(&self, known: &[&Fact], fact: &Fact) {
        match fact {
            Fact::Add { record, of, number: digits, lists } => {
                let (account, campaign) = self.names_of(*of);
                let lists = self.lists(lists);
                let settled =
                    self.index.settle(number(*digits), &lists, account, campaign, *record);
                settled.expect("the lists have their bits");
            }
            Fact::Import(_) | Fact::Withdrawal { .. } => self.mount(known),
            Fact::Reversal { number: digits, cancels } => {
                for (record, lists) in cancels {
                    self.index.reverse(number(*digits), *record, &self.lists(lists));
                }
            }
        }
    }

    fn mount(&self, known: &[&Fact]) {
        let mut numbers: BTreeMap<SegmentName, &[u64]> = BTreeMap::new();
        let mut imports = Vec::new();
        for fact in known {
            match fact {
                Fact::Import(file) => {
                    let mut part = |kind, of| {
                        let part = part(file.record, kind, of);
                        numbers.insert(part.segment, of);
                        part
                    };
                    let listed = Some(part(1, &file.numbers));
                    let taken_off = file
                        .taken_off
                        .as_ref()
                        .map(|(of, from)| TakenOff { part: part(2, of), from: from.clone() });
                    let ranges = file.ranges.iter().map(|&at| range_at(at)).collect();
                    let tally = Tally { ranges, ..Tally::default() };
                    let import = self.import(file.list, file.of);
                    let import = Import { listed, taken_off, tally, ..import };
                    imports.push((file.record, import));
                }
                Fact::Withdrawal { record, import } => {
                    let withdrawal = Withdrawal {
                        import: *import,
                        authority: Authority::LocalOperator,
                        reason: String::new(),
                    };
                    let of = Of { account: None, campaign: None };
                    let import = Import { withdraws: Some(withdrawal), ..self.import(0, of) };
                    imports.push((*record, import));
                }
                Fact::Add { .. } | Fact::Reversal { .. } => {}
            }
        }
        let imported = |(record, import)| Imported { record, written_at: UnixMicros(0), import };
        let imports: Vec<Imported> = imports.into_iter().map(imported).collect();
        let base = base_of(&imports, |part| {
            let of = numbers.get(&part.segment).copied().unwrap_or_default();
            Ok::<_, Infallible>(of.iter().map(|&digits| Ok::<_, Infallible>(number(digits))))
        });
        let base = base.expect("the numbers are sorted");
        assert_eq!(self.index.mount(base), 0, "every list has its bit");
        assert_eq!(self.index.take_imports(&imports), 0, "ranges too");
    }

    /// An import that says nothing yet.
    fn import(&self, list: usize, of: Of) -> Import {
        let (account, campaign) = self.names_of(of);
        Import {
            list: self.names[list].clone(),
            account: account.cloned(),
            campaign: campaign.cloned(),
            said: None,
            source: String::new(),
            as_of: None,
            shape: Shape::FtcChange,
            tally: Tally::default(),
            file_sha256: [0; 32],
            listed: None,
            taken_off: None,
            withdraws: None,
            node: "node".into(),
            actor: None,
            imported_at: UnixMicros(0),
        }
    }

    /// Asks the index everything and holds it against the definition.
    fn judge(&self, known: &[&Fact]) -> Result<(), String> {
        let mut len = 0;
        for digits in NUMBERS {
            let want = standing(known, digits);
            len += usize::from(want.iter().any(|(.., is_range)| !is_range));
            self.judge_number(digits, &want)?;
        }
        let (mut found, overflowed) = self.index.reversals_waiting();
        if !is_waiting_certain(known) {
            found = waiting(known);
        }
        let found = (self.index.len(), (found, overflowed));
        let want = (len, (waiting(known), 0));
        if found == want { Ok(()) } else { Err(format!("expected {want:?}, found {found:?}")) }
    }

    fn judge_number(&self, digits: u64, want: &[Standing]) -> Result<(), String> {
        let hits = self.index.explain(number(digits));
        let mut found: Vec<_> = hits.iter().map(|hit| (hit.record, hit.list.as_str())).collect();
        found.sort_by_key(|(record, list)| (*record, LISTS.iter().position(|it| it.0 == *list)));
        let expected: Vec<_> =
            want.iter().map(|(record, list, ..)| (Some(*record), LISTS[*list].0)).collect();
        if found != expected {
            return Err(format!("{digits}: expected {expected:?}, found {found:?}"));
        }
        for (at, list) in self.names.iter().enumerate() {
            let mask = self.index.mask([list]).map_err(|error| error.to_string())?;
            for (account, account_name) in self.accounts.iter().enumerate() {
                for (campaign, campaign_name) in self.campaigns.iter().enumerate() {
                    let refuses = |(_record, list, of, _by): &&Standing| {
                        *list == at && reaches(*list, *of, account, campaign, self.topics)
                    };
                    let want = want.iter().any(|one| refuses(&one));
                    let hit = self.index.check(number(digits), mask, account_name, campaign_name);
                    if hit.is_some() != want {
                        return Err(format!(
                            "{digits} on {list} for {account_name}/{campaign_name}: expected \
                             {want}, found {hit:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

fn play(case: u64) -> Result<(), String> {
    let mut dice = Dice(TokenSource::new(Seed(case, 3)));
    let facts = dice.facts();
    let arrivals = dice.arrivals(&facts);
    let middle = dice.below(arrivals.len() as u64) as usize;
    let play = Play::new([dice.one(&TOPICS), dice.one(&TOPICS)]);
    let (mut known, mut blocked): (Vec<&Fact>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut is_known = vec![false; facts.len()];
    for (turn, arrival) in arrivals.iter().enumerate() {
        match *arrival {
            Arrival::Block(at) => {
                play.block(&facts[at]);
                blocked.push(at);
            }
            Arrival::Known(at) => {
                if !std::mem::replace(&mut is_known[at], true) {
                    known.push(&facts[at]);
                }
                play.know(&known, &facts[at]);
            }
        }
        let is_settled = blocked.iter().all(|&at| is_known[at]);
        if (turn == middle && is_settled) || turn + 1 == arrivals.len() {
            let told = |why| format!("after {arrivals:?}\nof {facts:#?}\n{why}");
            play.judge(&known).map_err(told)?;
        }
    }
    Ok(())
}

#[test]
fn whatever_the_order_of_arrival_the_state_is_that_of_the_set_of_facts() {
    for case in 0..CASES {
        play(case).unwrap_or_else(|why| panic!("seed ({case}, 3): {why}"));
    }
}
