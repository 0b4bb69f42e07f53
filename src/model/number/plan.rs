//! The numbering plans as tables: which numbers the library reads as they stand and calls valid.
//!
//! `plans.tsv` is the part of the library's metadata that says so; `tests/plans.rs` makes it, and
//! holds it against the library that is compiled. Each country's table is made of it when its
//! first number comes.
//!
//! A number is in a table only where nothing that the library does to it could change it: what is
//! left of it behind a national prefix that it might strip would have to be a number too, and
//! the same is true of the country's own code. Everything else is left to the library, and so is a
//! country whose patterns say more than [`Pattern`] knows. The tests hold the answers against the
//! library's.

use std::sync::LazyLock;
use std::sync::OnceLock;

use super::Number;
use super::automaton::Automaton;
use super::automaton::Builder;
use super::automaton::Root;
use super::pattern::Ends;
use super::pattern::Pattern;
use super::pattern::Places;
use super::pattern::StepId;
use super::pattern::Steps;

/// Fewest digits of a national number in the tables: emergency numbers and nearly all short codes
/// have fewer.
const NATIONAL_MIN: usize = 5;

/// Fewest digits of a number without plus and prefix in the tables; short codes have fewer.
const BARE_MIN: usize = super::special::SHORT_DIGITS_MAX + 1;

/// The plans of the library: what a column is says the head of the file.
const PLANS: &str = include_str!("plans.tsv");

/// What the plans say of one region.
#[derive(Debug)]
struct RegionTexts {
    region: &'static str,
    leading: &'static str,
    /// What is stripped from the front of a national number, and whether it is replaced.
    prefix: &'static str,
    is_replaced: bool,
    abroad: &'static str,
    general: &'static str,
    kinds: Vec<&'static str>,
    home: OnceLock<Home>,
}

impl RegionTexts {
    /// The calling code and the texts of a line.
    fn of(line: &'static str) -> Option<(usize, Self)> {
        let mut columns = line.split('\t').map(|column| if column == "-" { "" } else { column });
        let code = columns.next()?.parse().ok()?;
        let texts = Self {
            region: columns.next()?,
            leading: columns.next()?,
            prefix: columns.next()?,
            is_replaced: columns.next()? == "replaced",
            abroad: columns.next()?,
            general: columns.next()?,
            kinds: columns.collect(),
            home: OnceLock::new(),
        };
        Some((code, texts))
    }

    /// The digits that are a whole national prefix by themselves, whatever follows.
    fn trunk_digits(&self) -> Option<Vec<String>> {
        let mut steps = Steps::default();
        let mark = steps.mark(STRIPPED);
        let prefix = steps.then(&Pattern::read(self.prefix, Ends::Mark(STRIPPED))?, mark, true);
        let begin = steps.begin(&[prefix]);
        let is_whole = |digit: &usize| {
            let after = steps.advance(&begin, *digit);
            steps.marks(&after).next().is_some() && !steps.goes_on(&after)
        };
        Some((0..10).filter(is_whole).map(|digit| digit.to_string()).collect())
    }
}

/// One calling code.
#[derive(Debug, Default)]
struct Country {
    /// The regions that share it, in the order in which the library asks them.
    regions: Vec<RegionTexts>,
    plan: OnceLock<Option<Plan>>,
}

/// The countries by calling code; read with the first number.
static COUNTRIES: LazyLock<Vec<Option<Country>>> = LazyLock::new(|| {
    let mut countries: Vec<Option<Country>> = (0..1000).map(|_code| None).collect();
    for line in PLANS.lines().filter(|line| !line.starts_with('#')) {
        if let Some((code, texts)) = RegionTexts::of(line)
            && let Some(country) = countries.get_mut(code)
        {
            country.get_or_insert_default().regions.push(texts);
        }
    }
    countries
});

/// One set of digit strings.
#[derive(Debug)]
struct Plan {
    automaton: Automaton,
    root: Root,
}

impl Plan {
    /// The number of `digits` behind `code`.
    fn read(&self, code: u64, digits: &[u8]) -> Option<Number> {
        Number::from_e164_digits(self.automaton.read(self.root, digits, code)?)
    }
}

/// The number of `digits`, country code first, when the library would take them as they stand
/// behind a plus; `None` leaves the decision to it.
pub(super) fn international(digits: &[u8]) -> Option<Number> {
    let mut code = 0;
    for (at, byte) in digits.iter().enumerate().take(3) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        code = code * 10 + usize::from(digit);
        if code == 0 {
            return None;
        }
        // Calling codes are prefix-free, so that the first that is known is the one.
        if let Some(Some(country)) = COUNTRIES.get(code) {
            let make = || Rules::of(country)?.unchanged(country, code);
            let plan = country.plan.get_or_init(make).as_ref()?;
            let national = digits.get(at + 1..)?;
            return plan.read(code as u64, national).or_else(|| unfold(plan, code, national));
        }
    }
    None
}

/// Mexico's mobile form until 2019, a 1 before the ten digits, as the same number of today.
fn unfold(plan: &Plan, code: usize, national: &[u8]) -> Option<Number> {
    const MEXICO: usize = 52;
    let folded = national.strip_prefix(b"1").filter(|folded| code == MEXICO && folded.len() == 10);
    plan.read(code as u64, folded?)
}

/// How one region writes its own numbers.
#[derive(Debug)]
pub(super) struct Home {
    code: u64,
    ways: Vec<Way>,
}

/// One way to write them.
#[derive(Debug)]
struct Way {
    /// What stands before the national number: nothing, the trunk prefix, or the country's code.
    before: Box<[u8]>,
    plan: Plan,
}

impl Home {
    /// What is known of `region`, ISO 3166-1 alpha-2, whose calling code is `code`; `None` where
    /// the plans do not have it. Made once.
    pub(super) fn of(region: &str, code: u16) -> Option<&'static Self> {
        let country = COUNTRIES.get(usize::from(code))?.as_ref()?;
        let own = country.regions.iter().position(|texts| texts.region == region)?;
        let home = &country.regions.get(own)?.home;
        Some(home.get_or_init(|| {
            let digits = code.to_string();
            let ways = Rules::of(country).and_then(|rules| rules.ways(country, own, &digits));
            Self { code: code.into(), ways: ways.unwrap_or_default() }
        }))
    }

    /// The number of `digits`, without a plus, when the library would take them so.
    pub(super) fn read(&self, digits: &[u8]) -> Option<Number> {
        let read = |way: &Way| way.plan.read(self.code, digits.strip_prefix(&*way.before)?);
        self.ways.iter().find_map(read)
    }
}

/// What is said of the national numbers of a calling code, each rule with a mark.
#[derive(Debug, Default)]
struct Rules {
    steps: Steps,
    begin: Vec<StepId>,
    regions: Vec<RegionRules>,
    /// How many marks regions and kinds have.
    marks: u32,
}

#[derive(Debug)]
struct RegionRules {
    /// Numbers that begin so are the region's, valid or not.
    leading: u32,
    general: Kind,
    kinds: Vec<Kind>,
}

impl RegionRules {
    /// Whether the region has a number that reaches `marks` with `len` digits.
    fn has(&self, marks: &[u32], len: usize) -> bool {
        self.general.is(marks, len) && self.kinds.iter().any(|kind| kind.is(marks, len))
    }
}

/// Numbers of one kind: a mark, and how many digits they may have, as bits; zero is any.
#[derive(Clone, Copy, Debug)]
struct Kind {
    mark: u32,
    lengths: u32,
}

impl Kind {
    fn is(self, marks: &[u32], len: usize) -> bool {
        marks.contains(&self.mark) && (self.lengths == 0 || self.lengths >> len & 1 == 1)
    }
}

/// The mark of national numbers from which the library may strip a prefix.
const STRIPPED: u32 = 0;
/// The mark of what may begin with the prefix abroad.
const ABROAD: u32 = 1;
/// The mark of what looks like a number together with what stands before it.
const WHOLE: u32 = 2;
/// The mark of what begins with the country's own code.
const WITH_CODE: u32 = 3;
/// The marks of regions and kinds are above this.
const FIRST: u32 = 3;

impl Rules {
    fn of(country: &Country) -> Option<Self> {
        let mut rules = Self::default();
        for texts in &country.regions {
            let leading = rules.new_mark();
            if !texts.leading.is_empty() {
                let next = rules.steps.mark_on(leading);
                rules.add(texts.leading, Ends::Unknown, next, false)?;
            }
            let general = rules.kind(texts.general)?;
            let kinds: Option<_> = texts.kinds.iter().map(|text| rules.kind(text)).collect();
            rules.regions.push(RegionRules { leading, general, kinds: kinds? });
        }
        Some(rules)
    }

    const fn new_mark(&mut self) -> u32 {
        self.marks += 1;
        FIRST + self.marks
    }

    /// Lengths and pattern of some numbers.
    fn kind(&mut self, text: &str) -> Option<Kind> {
        let mark = self.new_mark();
        let (lengths, pattern) = text.split_once(' ')?;
        let next = self.steps.mark(mark);
        self.add(pattern, Ends::Unknown, next, true)?;
        Some(Kind { mark, lengths: bits(lengths)? })
    }

    fn add(&mut self, text: &str, ends: Ends, next: StepId, is_wanted: bool) -> Option<()> {
        let begin = self.steps.then(&Pattern::read(text, ends)?, next, is_wanted);
        self.begin.push(begin);
        Some(())
    }

    /// Marks the numbers from which the library may strip what looks like a national prefix.
    fn mark_stripped(&mut self, texts: &RegionTexts) -> Option<()> {
        if texts.prefix.is_empty() {
            return Some(());
        }
        let rest = if texts.is_replaced {
            self.steps.mark_on(STRIPPED)
        } else {
            // It is stripped only where what looks like a number is left.
            let end = self.steps.mark(STRIPPED);
            let (_lengths, general) = texts.general.split_once(' ')?;
            self.steps.then(&Pattern::read(general, Ends::Unknown)?, end, false)
        };
        let rest = self.steps.moved(rest);
        self.add(texts.prefix, Ends::Mark(STRIPPED), rest, false)
    }

    /// As the library judges: by the first region whose number it may be.
    fn is_valid(&self, marks: &[u32], len: usize) -> bool {
        let is_theirs =
            |rules: &&RegionRules| marks.contains(&rules.leading) || rules.has(marks, len);
        match self.regions.as_slice() {
            [only] => only.has(marks, len),
            several => several.iter().find(is_theirs).is_some_and(|rules| rules.has(marks, len)),
        }
    }

    /// The national numbers that are valid behind a plus and the code, as they stand.
    fn unchanged(mut self, country: &Country, code: usize) -> Option<Plan> {
        self.mark_stripped(country.regions.first()?)?;
        self.plan(self.steps.begin(&self.begin), code.to_string().len(), &|marks, len| {
            len >= NATIONAL_MIN && !marks.contains(&STRIPPED)
        })
    }

    /// How a region, the `own`th of its country, writes its numbers without a plus.
    fn ways(mut self, country: &Country, own: usize, code: &str) -> Option<Vec<Way>> {
        let texts = country.regions.get(own)?;
        self.mark_stripped(texts)?;
        let abroad = self.steps.mark_on(ABROAD);
        let abroad =
            self.steps.then(&Pattern::read(texts.abroad, Ends::Mark(ABROAD))?, abroad, false);
        let with_code = self.steps.mark_on(WITH_CODE);
        let with_code = self.steps.then(&Pattern::read(code, Ends::Unknown)?, with_code, false);
        let (_lengths, general) = texts.general.split_once(' ')?;
        let whole = self.steps.mark(WHOLE);
        let whole = self.steps.then(&Pattern::read(general, Ends::Unknown)?, whole, false);
        // What is looked at from the first digit on, before the national number too.
        let around = self.steps.begin(&[abroad, with_code, whole]);

        let rules = self.regions.get(own)?;
        let has_none = |marks: &[u32], of: &[u32]| !of.iter().any(|mark| marks.contains(mark));
        let mut ways = self.way("", code, &around, &|marks, len| {
            len >= BARE_MIN
                && has_none(marks, &[STRIPPED, ABROAD])
                // What begins with the code is left whole where it is a number by itself.
                && (has_none(marks, &[WITH_CODE]) || rules.has(marks, len))
        });
        for trunk in texts.trunk_digits()? {
            ways.extend(self.way(&trunk, code, &around, &|marks, len| {
                len + trunk.len() >= BARE_MIN
                    && has_none(marks, &[ABROAD, WITH_CODE])
                    && rules.general.is(marks, len)
            }));
        }
        if own == 0 {
            ways.extend(self.way(code, code, &around, &|marks, len| {
                len >= NATIONAL_MIN
                    && has_none(marks, &[STRIPPED, ABROAD, WHOLE])
                    && rules.general.is(marks, len)
            }));
        }
        Some(ways)
    }

    /// The numbers for which `is_certain` holds behind `before`.
    fn way(
        &self,
        before: &str,
        code: &str,
        around: &Places,
        is_certain: &dyn Fn(&[u32], usize) -> bool,
    ) -> Vec<Way> {
        let digits = before.bytes().map(|byte| usize::from(byte.wrapping_sub(b'0')));
        let around =
            digits.fold(around.clone(), |places, digit| self.steps.advance(&places, digit));
        let begin = self.steps.begin(&self.begin).and(&around);
        let plan = self.plan(begin, code.len(), is_certain);
        plan.into_iter().map(|plan| Way { before: before.as_bytes().into(), plan }).collect()
    }

    /// The valid numbers behind `begin` for which `is_certain` holds.
    fn plan(
        &self,
        begin: Places,
        code_len: usize,
        is_certain: &dyn Fn(&[u32], usize) -> bool,
    ) -> Option<Plan> {
        let is_in = |marks: &[u32], len: usize| is_certain(marks, len) && self.is_valid(marks, len);
        let len_max = Number::DIGITS_MAX as usize - code_len;
        let (automaton, root) = Builder::new(&self.steps, len_max, &is_in).build(begin)?;
        Some(Plan { automaton, root })
    }
}

/// Lengths with commas between as bits; none is any.
fn bits(lengths: &str) -> Option<u32> {
    let bit = |len: &str| 1_u32.checked_shl(len.parse().ok()?);
    lengths.split(',').filter(|len| !len.is_empty()).try_fold(0, |bits, len| Some(bits | bit(len)?))
}

/// The patterns of each kind of numbers of a region.
#[cfg(test)]
pub(super) fn kinds(code: &str, region: &str) -> impl Iterator<Item = &'static str> {
    let country = COUNTRIES[code.parse::<usize>().expect("a code")].as_ref().expect("a country");
    let own = country.regions.iter().filter(move |texts| texts.region == region);
    own.flat_map(|texts| &texts.kinds).filter_map(|kind| Some(kind.split_once(' ')?.1))
}
