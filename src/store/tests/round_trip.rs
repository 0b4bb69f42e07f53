//! What is exported imports again to the same state: a store of opt-outs, imports and reversals, of
//! numbers, short codes and ranges, exported list by list, refuses the same numbers for the same accounts and campaigns when the
//! files are imported into a store that has nothing.

use std::fs;
use std::path::Path;

use super::*;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::NumberReader;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::store::import::Order;
use crate::store::import::Placed;
use crate::store::import::Title;
use crate::store::import::prepare;
use crate::store::import::write_placed;
use crate::suppression::Authority;
use crate::suppression::Cancelled;
use crate::suppression::List;
use crate::suppression::Reversal;
use crate::suppression::Scope;
use crate::suppression::export::CsvExport;
use crate::suppression::export::write_json_line;
use crate::suppression::import;
use crate::suppression::import::Import;
use crate::suppression::import::Shape;
use crate::suppression::import::Tally;

const CASES: u64 = 32;
const NUMBERS: u64 = 5;
const LISTS: [(&str, Scope); 5] = [
    ("global", Scope::Global),
    ("own", Scope::Account),
    ("spring", Scope::Campaign),
    ("themes", Scope::Topic),
    ("ftc", Scope::Global),
];
const ACCOUNTS: [&str; 2] = ["acme", "rival"];
const CAMPAIGNS: [&str; 2] = ["promo", "other"];
/// What each of them is about today; on the day of an opt-out it may have been another.
const TOPICS: [&str; 2] = ["gas", "energy"];

/// The last two of them are short codes.
fn number(n: u64) -> Number {
    let code = |region| Number::short_code(region, "1004").expect("it is one");
    match n {
        3 => code("ES"),
        4 => code("MX"),
        _ => super::number(n),
    }
}

struct Dice(TokenSource);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }

    fn name<'a>(&mut self, of: &[&'a str]) -> Option<&'a str> {
        of.get(self.below(of.len() + 1)).copied()
    }

    fn lists(&mut self) -> Vec<ListName> {
        let first = self.below(LISTS.len());
        let is_in = |at: &usize| *at == first || self.below(4) == 0;
        (0..LISTS.len()).filter(is_in).map(|at| LISTS[at].0.into()).collect()
    }

    fn optout(&mut self) -> Fact {
        let n = self.below(NUMBERS as usize) as u64;
        Fact::OptOut(Box::new(OptOut {
            number: number(n),
            lists: self.lists(),
            account: self.name(&ACCOUNTS).map(AccountName::from),
            campaign: self.name(&CAMPAIGNS).map(CampaignName::from),
            topic: self.name(&TOPICS).map(TopicName::from),
            reason: Some("=a \"reason\",\nof two lines".to_owned()),
            ..optout(n)
        }))
    }

    /// What cancels some of what `facts` say, on some of their lists.
    fn reversal(&mut self, facts: &[(RecordId, Fact)]) -> Option<Fact> {
        let (record, fact) = facts.get(self.below(facts.len() + 1))?;
        let number = match fact {
            Fact::OptOut(optout) => optout.number,
            _ => number(self.below(NUMBERS as usize) as u64),
        };
        Some(Fact::Reversal(Box::new(Reversal {
            number,
            cancels: vec![Cancelled { record: *record, lists: self.lists() }],
            authority: Authority::LocalOperator,
            actor: None,
            reason: "a form".to_owned(),
            node: "madrid-1".into(),
            reversed_at: UnixMicros(7),
        })))
    }
}

/// Who is refused on which list for which account and campaign.
fn state(reader: &Reader) -> Vec<String> {
    let list = |(name, scope): &(&str, Scope)| List {
        name: (*name).into(),
        title: String::new(),
        scope: *scope,
    };
    let index = Index::new(&LISTS.iter().map(list).collect::<Vec<_>>()).unwrap();
    let topics = CAMPAIGNS.iter().zip(TOPICS);
    index.set_topics(topics.map(|(name, topic)| ((*name).into(), Some(topic.into()))).collect());
    reader.fill(&index).unwrap();
    let mut refused = Vec::new();
    for n in 0..NUMBERS {
        for (list, _scope) in LISTS {
            let mask = index.mask([&ListName::from(list)]).unwrap();
            for account in ACCOUNTS {
                for campaign in CAMPAIGNS {
                    let hit = index.check(number(n), mask, &account.into(), &campaign.into());
                    refused.extend(hit.map(|_hit| format!("{n} {list} {account} {campaign}")));
                }
            }
        }
    }
    refused
}

/// An import that may have ranges too, in which numbers are that others have by themselves.
fn with_ranges(mut fact: Fact, dice: &mut Dice) -> Fact {
    let ranges = ["+3460000000*", "+34600000001-+34600000002", "+34600000000-+34600000000"];
    if let Fact::Import(import) = &mut fact {
        let drawn = ranges.iter().filter(|_range| dice.below(3) == 0);
        import.tally.ranges = drawn.map(|range| range.parse().expect("a range")).collect();
    }
    fact
}

/// Fills a store with what is drawn from `seed`.
fn fill(dir: &Path, seed: u64) -> Store {
    let mut dice = Dice(TokenSource::new(Seed(seed, 6)));
    let (store, _recovered, acks) = open(dir);
    let submit = |fact: &Fact| {
        store.submit(0, fact.clone()).unwrap();
        acks.recv().unwrap().result.unwrap().record
    };
    let mut facts: Vec<(RecordId, Fact)> = Vec::new();
    for _ in 0..1 + dice.below(8) {
        let fact = dice.optout();
        facts.push((submit(&fact), fact));
    }
    for _ in 0..dice.below(3) {
        let first = dice.below(NUMBERS as usize) as u64;
        let numbers = (first..NUMBERS).filter(|_| dice.below(2) == 0);
        let numbers: Vec<Number> = numbers.map(number).collect();
        let part = (!numbers.is_empty())
            .then(|| imports::segment_of(dir, imports::Content::Listed, &numbers));
        let fact = with_ranges(imports::import(part, None), &mut dice);
        facts.push((submit(&fact), fact));
    }
    for _ in 0..dice.below(6) {
        dice.reversal(&facts).as_ref().map(submit);
    }
    store.flush().unwrap();
    store
}

/// What `reader` has on `list`, as a file.
fn export(reader: &Reader, list: &str, is_json: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut lines = Vec::new();
    let mut csv = CsvExport::new(&mut bytes).unwrap();
    let filter = Filter { list: Some(list.into()), ..Filter::default() };
    reader
        .export(&filter, |entry| {
            csv.write(&entry).unwrap();
            write_json_line(&mut lines, &entry).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    reader
        .export_ranges(&filter, |entry| {
            csv.write(&entry).unwrap();
            write_json_line(&mut lines, &entry).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    csv.finish().unwrap();
    // A table of a header alone is an empty file.
    (!lines.is_empty()).then_some(if is_json { lines } else { bytes })
}

/// Imports a file as the command line does, one record for each place.
fn take(dir: &Path, store: &Store, acks: &Receiver<Ack>, file: &[u8]) {
    let path = dir.join("export");
    fs::write(&path, file).unwrap();
    let numbers = NumberReader::new("ES").unwrap();
    let order = Order {
        run_numbers: 3,
        ..Order::new(
            path,
            import::Settings { shape: Some(Shape::Export), ..import::Settings::new(numbers) },
        )
    };
    let mut prepared = prepare(&order, &mut |_| {}).unwrap();
    let title = Title { list: "".into(), source: String::new(), as_of: None };
    let parts = write_placed(&mut prepared, &title, dir, &mut |_| {}).unwrap();
    for (Placed { place, count, ranges, said, .. }, part) in prepared.placed().iter().zip(parts) {
        assert_eq!(part.map_or(0, |part| part.count), *count);
        let list = place.list.clone();
        let import = Import {
            account: place.account.clone(),
            campaign: place.campaign.clone(),
            topic: place.topic.clone(),
            said: Some(*said),
            tally: Tally { ranges: ranges.clone(), ..Tally::default() },
            file_sha256: prepared.file_sha256,
            listed: part,
            ..Import::new(list, Shape::Export, "madrid-2".into(), UnixMicros(8))
        };
        store.submit(1, Fact::Import(Box::new(import))).unwrap();
        acks.recv().unwrap().result.unwrap();
    }
}

#[test]
fn what_is_exported_imports_again_to_the_same_state() {
    for seed in 0..CASES {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let store = fill(&from, seed);
        let reader = store.reader().unwrap();
        let want = state(&reader);
        let (again, _recovered, acks) = open(&to);
        for (list, _scope) in LISTS {
            if let Some(file) = export(&reader, list, seed % 2 == 0) {
                take(&to, &again, &acks, &file);
            }
        }
        again.flush().unwrap();
        assert_eq!(state(&again.reader().unwrap()), want, "seed ({seed}, 6)");
    }
}
