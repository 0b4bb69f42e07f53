//! Any interleaving of adds, imports and reversals, in any order of arrival and with doubles,
//! gives one state: the one that the set of facts has by definition.
//!
//! The definition is written down here once more, naively: a number is refused on a list by a
//! record that put it there and that no reversal of this number, record and list names. 100,000
//! cases are drawn from their own seeds, played into an index, and asked in the middle and at the
//! end about every number, list, account and campaign there is.

use std::convert::Infallible;

use super::*;
use crate::model::WriterId;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::suppression::base::Layer;
use crate::suppression::base::Source;
use crate::suppression::list::Scope;

const CASES: u64 = 100_000;
const FACTS_MAX: u64 = 10;
const NUMBERS: [u64; 3] = [34_600_000_001, 34_600_000_002, 12_015_550_100];
const LISTS: [(&str, Scope); 4] = [
    ("global", Scope::Global),
    ("own", Scope::Account),
    ("spring", Scope::Campaign),
    ("ftc", Scope::Global),
];
const ACCOUNTS: [&str; 2] = ["acme", "rival"];
const CAMPAIGNS: [&str; 2] = ["promo", "other"];

#[derive(Clone, Debug)]
enum Fact {
    /// Somebody's own record.
    Add { record: RecordId, of: Of, number: u64, lists: Vec<usize> },
    /// A file.
    Import { record: RecordId, of: Of, numbers: Vec<u64>, list: usize },
    /// Both of the above are cancelled by this.
    Reversal { number: u64, cancels: Vec<(RecordId, Vec<usize>)> },
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
            facts.push(match self.below(8) {
                0..4 => Fact::Add { record, of, number, lists: self.some(LISTS.len()) },
                4 => {
                    let numbers = self.some(NUMBERS.len()).iter().map(|&at| NUMBERS[at]).collect();
                    Fact::Import { record, of, numbers, list: self.below(4) as usize }
                }
                _ => self.reversal(number, &facts),
            });
        }
        facts
    }

    fn reversal(&mut self, number: u64, before: &[Fact]) -> Fact {
        let mut cancels = Vec::new();
        for _ in 0..1 + self.below(3) {
            let unknown = RecordId { writer: WriterId(3), seq: self.below(3) };
            let record = match before.get(self.below(before.len() as u64 + 1) as usize) {
                Some(Fact::Add { record, .. } | Fact::Import { record, .. }) => *record,
                Some(Fact::Reversal { .. }) | None => unknown,
            };
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

/// The definition: what refuses `number`, each record with each list.
fn standing(facts: &[&Fact], number: u64) -> Vec<(RecordId, usize, Of)> {
    let mut all = Vec::new();
    for fact in facts {
        match fact {
            Fact::Add { record, of, number: its, lists } if *its == number => {
                all.extend(lists.iter().map(|&list| (*record, list, *of)));
            }
            Fact::Import { record, of, numbers, list } if numbers.contains(&number) => {
                all.push((*record, *list, *of));
            }
            _ => {}
        }
    }
    all.retain(|(record, list, _of)| {
        !facts.iter().any(|fact| match fact {
            Fact::Reversal { number: its, cancels } => {
                let names =
                    |(it, lists): &(RecordId, Vec<usize>)| it == record && lists.contains(list);
                *its == number && cancels.iter().any(names)
            }
            _ => false,
        })
    });
    all.sort_by_key(|(record, list, _of)| (*record, *list));
    all
}

/// Whether an entry of `of` on `list` concerns calls of this account and campaign.
fn reaches(list: usize, of: Of, account: usize, campaign: usize) -> bool {
    match LISTS[list].1 {
        // No campaign has a topic here, so that each may have had any.
        Scope::Global | Scope::Topic => true,
        Scope::Account => of.account.is_none_or(|its| its == account),
        Scope::Campaign => of.campaign.is_none_or(|its| its == campaign),
    }
}

/// Reversals of a number's record that has not come.
fn waiting(facts: &[&Fact]) -> usize {
    let has = |wanted: RecordId, wanted_number: u64| {
        facts.iter().any(|fact| match fact {
            Fact::Add { record, number, .. } => (*record, *number) == (wanted, wanted_number),
            Fact::Import { record, numbers, .. } => {
                *record == wanted && numbers.contains(&wanted_number)
            }
            Fact::Reversal { .. } => false,
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

fn name(list: usize) -> ListName {
    LISTS[list].0.into()
}

fn number(digits: u64) -> Number {
    Number::from_e164_digits(digits).expect("the test's numbers are E.164")
}

/// The index under test, with what it was told.
struct Play {
    index: Index,
    names: Vec<ListName>,
    accounts: Vec<AccountName>,
    campaigns: Vec<CampaignName>,
}

impl Play {
    fn new() -> Self {
        let list = |(name, scope): &(&str, Scope)| List {
            name: (*name).into(),
            title: String::new(),
            scope: *scope,
        };
        let lists: Vec<List> = LISTS.iter().map(list).collect();
        Self {
            index: Index::new(&lists).expect("four lists fit"),
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
            Fact::Import { .. } => self.mount(known),
            Fact::Reversal { number: digits, cancels } => {
                for (record, lists) in cancels {
                    self.index.reverse(number(*digits), *record, &self.lists(lists));
                }
            }
        }
    }

    fn mount(&self, known: &[&Fact]) {
        let mut sources = Vec::new();
        for fact in known {
            if let Fact::Import { record, of, numbers, list } = fact {
                let (account, campaign) = self.names_of(*of);
                let layer = Layer {
                    list: self.names[*list].clone(),
                    account: account.cloned(),
                    campaign: campaign.cloned(),
                    record: *record,
                    segment: [record.seq as u8; 32],
                };
                let mut numbers = numbers.clone();
                numbers.sort_unstable();
                let numbers = numbers.into_iter().map(|n| Ok::<_, Infallible>(number(n)));
                sources.push(Source { layer, numbers });
            }
        }
        let base = Base::build(sources).expect("the numbers are sorted");
        assert_eq!(self.index.mount(base), 0, "every list has its bit");
    }

    /// Asks the index everything and holds it against the definition.
    fn judge(&self, known: &[&Fact]) -> Result<(), String> {
        let mut len = 0;
        for digits in NUMBERS {
            let want = standing(known, digits);
            len += usize::from(!want.is_empty());
            self.judge_number(digits, &want)?;
        }
        let found = (self.index.len(), self.index.reversals_waiting());
        let want = (len, (waiting(known), 0));
        if found == want { Ok(()) } else { Err(format!("expected {want:?}, found {found:?}")) }
    }

    fn judge_number(&self, digits: u64, want: &[(RecordId, usize, Of)]) -> Result<(), String> {
        let hits = self.index.explain(number(digits));
        let mut found: Vec<_> = hits.iter().map(|hit| (hit.record, hit.list.as_str())).collect();
        found.sort_by_key(|(record, list)| (*record, LISTS.iter().position(|it| it.0 == *list)));
        let expected: Vec<_> =
            want.iter().map(|(record, list, _of)| (Some(*record), LISTS[*list].0)).collect();
        if found != expected {
            return Err(format!("{digits}: expected {expected:?}, found {found:?}"));
        }
        for (at, list) in self.names.iter().enumerate() {
            let mask = self.index.mask([list]).map_err(|error| error.to_string())?;
            for (account, account_name) in self.accounts.iter().enumerate() {
                for (campaign, campaign_name) in self.campaigns.iter().enumerate() {
                    let refuses = |(_record, list, of): &&(RecordId, usize, Of)| {
                        *list == at && reaches(*list, *of, account, campaign)
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
    let play = Play::new();
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
