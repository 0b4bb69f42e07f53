//! What does it cost, in bytes and in time, to ask whether a number is suppressed, at registry scale?
//!
//! Numbers are US-shaped: 340 area codes of 8 million lines each, of which a random part is
//! suppressed; first on one list, then on eight of which each number is on a random few; then as
//! many keyed numbers, which is how `number-storage = "hmac"` keeps them, on one list. Side by
//! side in one run and by turns of some thousand look-ups, so that all meet the same moods of the
//! machine, over the same random numbers in another order, half of them suppressed:
//!
//! - `contains`: the union alone, through [`Base::contains`];
//! - `find`: with the set of layers;
//! - `check`: the whole index as a call asks it, with later opt-outs beside the base;
//! - `read`: the floor, independent random reads of 8 octets over as much memory as the base has;
//! - `dependent`: the same, each read waiting for the one before.
//!
//! Prints the bytes a number and the median and 10th percentile of the turns in ns a look-up, with
//! the ratio to `read`; and how long building took beside making the numbers up, and writing and
//! loading the snapshot. Only ratios and bytes mean anything on a machine that others use too.
//! `cargo bench --bench index`, a minute; `INDEX_NUMBERS=250000000` (default 10000000)
//! for another size: 250 million take up to 4 GiB of memory and some minutes.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads clocks and prints"
)]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use bajavoz::model::AccountName;
use bajavoz::model::CampaignName;
use bajavoz::model::ListName;
use bajavoz::model::Number;
use bajavoz::model::RecordId;
use bajavoz::model::WriterId;
use bajavoz::store::Snapshot;
use bajavoz::suppression::Index;
use bajavoz::suppression::Layer;
use bajavoz::suppression::List;
use bajavoz::suppression::Scope;
use bajavoz::suppression::base::Base;
use bajavoz::suppression::base::Source;

const AREAS: u64 = 340;
const LINES: u64 = 8_000_000;
const LOOKUPS: usize = 1 << 20;
const TURN: usize = 4096;
/// Opt-outs that came after the imports.
const LATER: u64 = 100_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let count = std::env::var("INDEX_NUMBERS").ok().map(|text| text.parse()).transpose()?;
    let count = count.unwrap_or(10_000_000);
    measure(count, 1, Storage::Plain)?;
    measure(count, 8, Storage::Plain)?;
    measure(count, 1, Storage::Keyed)
}

/// How the numbers are kept.
#[derive(Clone, Copy, Debug)]
enum Storage {
    Plain,
    Keyed,
}

impl Storage {
    /// Any number, suppressed or not.
    fn any(self, random: &mut Random) -> Number {
        match self {
            Self::Plain => number(random.below(AREAS * LINES)),
            Self::Keyed => Number::keyed(random.next()),
        }
    }

    /// Some `count` numbers at random distances, ascending.
    fn ascending(
        self,
        seed: u64,
        count: u64,
    ) -> Box<dyn Iterator<Item = Result<Number, Infallible>>> {
        match self {
            Self::Plain => Box::new(numbers(seed, count)),
            Self::Keyed => Box::new(keyed_numbers(seed, count)),
        }
    }
}

/// SplitMix64: quick, and random enough for places in memory.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    const fn below(&mut self, limit: u64) -> u64 {
        ((self.next() >> 32) * limit) >> 32
    }
}

/// The line `slot` of all lines, as a number of the North American plan.
fn number(slot: u64) -> Number {
    let (area, line) = (200 + 2 * (slot / LINES), slot % LINES);
    let digits = 10_000_000_000 + area * 10_000_000 + 2_000_000 + line;
    Number::from_e164_digits(digits).expect("eleven digits are E.164")
}

/// Some `count` numbers at random distances.
fn numbers(seed: u64, count: u64) -> impl Iterator<Item = Result<Number, Infallible>> {
    let mut random = Random(seed);
    let span = 2 * AREAS * LINES / count - 1;
    let mut slot = 0;
    std::iter::from_fn(move || {
        slot += 1 + random.below(span);
        (slot < AREAS * LINES).then(|| Ok(number(slot)))
    })
}

/// Some `count` keyed numbers, as far apart as hashes are.
fn keyed_numbers(seed: u64, count: u64) -> impl Iterator<Item = Result<Number, Infallible>> {
    let mut random = Random(seed);
    let end = 1_u64 << Number::KEYED_BITS;
    let mean = end as f64 / count as f64;
    let mut hash = 0_u64;
    std::iter::from_fn(move || {
        let even = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        hash += 1 + (-mean * (1.0 - even).ln()) as u64;
        (hash < end).then(|| Ok(Number::keyed(hash)))
    })
}

fn layer(place: u64) -> Layer {
    Layer {
        list: format!("registry-{place}").as_str().into(),
        account: None,
        campaign: None,
        topic: None,
        record: RecordId { writer: WriterId(1), seq: place + 1 },
        segment: [0; 32],
    }
}

fn measure(count: u64, lists: u64, storage: Storage) -> Outcome<()> {
    let each = count / lists;
    let begin = Instant::now();
    let made_up = (0..lists).flat_map(|place| storage.ascending(place, each)).flatten();
    black_box(made_up.fold(0, |sum, number| sum ^ number.digits()));
    let making = begin.elapsed();
    let begin = Instant::now();
    let sources = (0..lists)
        .map(|place| Source { layer: layer(place), numbers: storage.ascending(place, each) });
    let base = Base::build(sources)?;
    let building = begin.elapsed();
    let per_number = base.bytes() as f64 / base.len() as f64;
    println!(
        "{} numbers ({storage:?}) on {lists} lists: {} MiB, {per_number:.3} B a number; built in {building:.2?}, \
         of which making the numbers up takes {making:.2?}",
        base.len(),
        base.bytes() >> 20,
    );
    snapshot(&base)?;
    lookups(base, lists, storage, each)
}

fn snapshot(base: &Base) -> Outcome<()> {
    let dir = tempfile::tempdir_in(".")?;
    let mut snapshot = Snapshot::of_store(dir.path());
    let begin = Instant::now();
    snapshot.save(base, &[])?;
    let saving = begin.elapsed();
    let mut loading = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        black_box(snapshot.load()?);
        loading.push(begin.elapsed());
    }
    loading.sort_unstable();
    let at = |place: usize| loading.get(place).copied().unwrap_or_default();
    let (least, median): (Duration, Duration) = (at(0), at(2));
    println!(
        "  snapshot saved in {saving:.2?}; loaded in {least:.2?} at least, {median:.2?} median"
    );
    Ok(())
}

/// Numbers to ask for in random order, half of them on the first list and half in no place of
/// `base`. A list has `each` numbers.
fn asked(base: &Base, storage: Storage, each: u64) -> Vec<Number> {
    let mut random = Random(99);
    let step = (each / (LOOKUPS as u64 / 2)).max(1) as usize;
    let mut asked: Vec<Number> =
        storage.ascending(0, each).flatten().step_by(step).take(LOOKUPS / 2).collect();
    while asked.len() < LOOKUPS {
        let number = storage.any(&mut random);
        if !base.contains(number) {
            asked.push(number);
        }
    }
    for last in (1..asked.len()).rev() {
        let other = random.below(last as u64 + 1) as usize;
        asked.swap(last, other);
    }
    asked
}

/// The index of `base` and later opt-outs, and the mask of all its lists.
fn lookups(base: Base, lists: u64, storage: Storage, each: u64) -> Outcome<()> {
    let asked = asked(&base, storage, each);
    let words: Vec<u64> = (0..base.bytes() as u64 / 8).map(|place| place ^ 7).collect();
    let mut random = Random(5);
    let places: Vec<usize> =
        (0..LOOKUPS).map(|_| random.below(words.len() as u64) as usize).collect();
    // One base serves both: it is looked into directly before the index takes it over.
    let mut alone = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for (turn, (numbers, places)) in asked.chunks(TURN).zip(places.chunks(TURN)).enumerate() {
        let others = turn_of(&asked, turn + 100);
        let [contains, find, read, dependent] = &mut alone;
        time(contains, numbers, |number| u64::from(base.contains(*number)));
        time(read, places, |place| words[*place]);
        time(find, others, |number| base.find(*number).map_or(0, |set| set.place() as u64));
        let mut before = 0;
        time(dependent, turn_of(&asked, turn + 50), |number| {
            before = words[((number.digits() ^ before) % words.len() as u64) as usize];
            before
        });
    }
    let [contains, find, read, dependent] = alone;
    let floor = report("read", read, None);
    report("dependent", dependent, Some(floor));
    report("contains", contains, Some(floor));
    report("find", find, Some(floor));
    check(base, (lists, storage), &asked, floor, (&words, &places))
}

fn check(
    base: Base,
    (lists, storage): (u64, Storage),
    asked: &[Number],
    floor: f64,
    (words, places): (&[u64], &[usize]),
) -> Outcome<()> {
    let names: Vec<ListName> = (0..lists).map(|place| layer(place).list).collect();
    let list =
        |name: &ListName| List { name: name.clone(), title: String::new(), scope: Scope::Global };
    let index = Index::new(&names.iter().map(list).collect::<Vec<_>>())?;
    let mask = index.mask(&names)?;
    let begin = Instant::now();
    index.mount(base);
    let mounting = begin.elapsed();
    let (account, campaign) = (AccountName::from("acme"), CampaignName::from("spring"));
    let mut random = Random(11);
    let own: Vec<ListName> = names.into_iter().take(1).collect();
    for _ in 0..LATER {
        index.block(storage.any(&mut random), &own, &account, &campaign)?;
    }
    let (mut checks, mut reads) = (Vec::new(), Vec::new());
    for (numbers, places) in asked.chunks(TURN).zip(places.chunks(TURN)) {
        time(&mut checks, numbers, |number| {
            u64::from(index.check(*number, mask, &account, &campaign).is_some())
        });
        time(&mut reads, places, |place| words[*place]);
    }
    report("read", reads, Some(floor));
    report("check", checks, Some(floor));
    println!("  mounted in {mounting:.2?}");
    Ok(())
}

/// The numbers of another turn, which the turn before has not brought near.
fn turn_of(asked: &[Number], turn: usize) -> &[Number] {
    let from = turn * TURN % asked.len();
    &asked[from..from + TURN]
}

/// One turn: ns for each of `items`.
fn time<T>(times: &mut Vec<f64>, items: &[T], mut look: impl FnMut(&T) -> u64) {
    let begin = Instant::now();
    black_box(items.iter().fold(0_u64, |sum, item| sum.wrapping_add(look(item))));
    times.push(begin.elapsed().as_nanos() as f64 / items.len() as f64);
}

/// Prints a row and returns its median.
fn report(name: &str, mut times: Vec<f64>, floor: Option<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    let ratio = at(50) / floor.unwrap_or_else(|| at(50));
    println!(
        "  {name:<10} median {:6.1} ns, 10th percentile {:6.1} ns, {ratio:.2} times the read",
        at(50),
        at(10)
    );
    at(50)
}
