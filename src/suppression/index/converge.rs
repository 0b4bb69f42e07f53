//! Any interleaving of adds, imports, change lists, reversals and imports taken back, in any order
//! of arrival and with doubles, gives one state: the one that the set of facts has by definition.
//!
//! The definition is written down once more, naively (`definition`): a number is refused on a list by a
//! record that put it there, alone or by a range; that no reversal of this number, record and list
//! names; and, of an import, that is not taken back, nor was the number taken off from it by a
//! change list that is not taken back itself. 100,000 cases are drawn from their own seeds, played
//! into an index, and asked in the middle and at the end about every number, list, account and
//! campaign there is. Imports go by way of the code that makes the store's base.

use std::convert::Infallible;

use super::*;
use crate::model::RecordId;
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
use definition::Standing;
use definition::TopicsAt;
use definition::is_waiting_certain;
use definition::range_at;
use definition::reaches;
use definition::standing;
use definition::waiting;
use facts::Arrival;
use facts::Dice;
use facts::Fact;
use facts::Of;

mod definition;
mod facts;

const CASES: u64 = 100_000;
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

    /// `known` is every fact that has come, `fact` the last of them, its lists one by one if it comes
    /// `by_rows`.
    fn know(&self, known: &[&Fact], fact: &Fact, by_rows: bool) {
        match fact {
            Fact::Add { record, of, number: digits, lists } => {
                let (account, campaign) = self.names_of(*of);
                let lists = self.lists(lists);
                for lists in lists.chunks(if by_rows { 1 } else { lists.len() }) {
                    let settled =
                        self.index.settle(number(*digits), lists, account, campaign, *record);
                    settled.expect("the lists have their bits");
                }
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
        let (account, campaign) = (account.cloned(), campaign.cloned());
        let name = self.names[list].clone();
        let import = Import::new(name, Shape::FtcChange, "node".into(), UnixMicros(0));
        Import { account, campaign, ..import }
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
            Arrival::Known(at) | Arrival::Rows(at) => {
                if !std::mem::replace(&mut is_known[at], true) {
                    known.push(&facts[at]);
                }
                play.know(&known, &facts[at], matches!(arrival, Arrival::Rows(_)));
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
