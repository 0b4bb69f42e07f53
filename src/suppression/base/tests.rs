//! Bases against a map that cannot be wrong, and the edges of pages and groups.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::convert::Infallible;

use super::*;
use crate::model::WriterId;
use crate::model::token::Seed;
use crate::model::token::TokenSource;

/// The largest number of E.164.
const LAST: u64 = 999_999_999_999_999;

fn layer(place: usize) -> Layer {
    Layer {
        list: format!("list-{place}").as_str().into(),
        account: None,
        campaign: None,
        topic: None,
        record: RecordId { writer: WriterId(1), seq: place as u64 + 1 },
        segment: [place as u8; 32],
    }
}

fn number(digits: u64) -> Number {
    Number::from_key(digits).expect("the test's numbers are some")
}

fn short_code(region: &str, digits: &str) -> u64 {
    Number::short_code(region, digits).expect("it is one").digits()
}

/// The base of `layers`, each of ascending digits.
pub(super) fn base(layers: &[Vec<u64>]) -> Base {
    let sources = layers.iter().enumerate().map(|(place, digits)| Source {
        layer: layer(place),
        numbers: digits.iter().map(|&digits| Ok::<_, Infallible>(number(digits))),
    });
    Base::build(sources).expect("the layers are sorted")
}

fn find(base: &Base, digits: u64) -> Vec<u16> {
    let Some(number) = Number::from_key(digits) else { return Vec::new() };
    let set = base.find(number);
    assert_eq!(base.contains(number), set.is_some(), "{digits}");
    set.map(|set| base.layers_of(set).to_vec()).unwrap_or_default()
}

/// Holds `base` against a map of `layers`: at every member, beside every member, and at `others`.
pub(super) fn check_all(name: &str, base: &Base, layers: &[Vec<u64>], others: &[u64]) {
    let mut map: BTreeMap<u64, BTreeSet<u16>> = BTreeMap::new();
    for (place, digits) in layers.iter().enumerate() {
        for &digits in digits {
            map.entry(digits).or_default().insert(place as u16);
        }
    }
    assert_eq!(base.len(), map.len() as u64, "{name}: numbers");
    let beside = map.keys().flat_map(|&digits| [digits - 1, digits, digits + 1]);
    let far = map.keys().flat_map(|&digits| [digits ^ (1 << 16), digits ^ (1 << 32)]);
    for digits in beside.chain(far).chain(others.iter().copied()) {
        let want: Vec<u16> = map.get(&digits).into_iter().flatten().copied().collect();
        assert_eq!(find(base, digits), want, "{name}: {digits}");
    }
}

fn check(name: &str, layers: &[Vec<u64>]) {
    check_all(name, &base(layers), layers, &[1, 65_535, 65_536, 1 << 32, LAST]);
}

fn range(from: u64, len: usize) -> Vec<u64> {
    (from..from + len as u64).collect()
}

#[test]
fn edges_of_pages_and_groups_are_kept_apart() {
    let page = 34_600 << 16;
    let group = 7 << 32;
    let all = |places: &[u64]| places.to_vec();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<Vec<u64>>)> = vec![
        ("nothing",                             vec![]),
        ("a layer without numbers",             vec![vec![]]),
        ("the first number and the last",       vec![all(&[1, LAST])]),
        ("short codes behind the last",         vec![all(&[LAST, short_code("AA", "0"), short_code("ES", "1004"), short_code("ZZ", "999999")])]),
        ("both sides of a page",                vec![all(&[page - 1, page, page + 65_535, page + 65_536])]),
        ("both sides of a group",               vec![all(&[group - 1, group])]),
        ("one page, full",                      vec![range(page, 65_536)]),
        ("full but for its ends",               vec![range(page + 1, 65_534)]),
        ("three pages, full",                   vec![range(page, 3 * 65_536)]),
        ("a group as large as it has no pages", vec![range(page, FEW_MAX)]),
        ("a group one larger",                  vec![range(page, FEW_MAX + 1)]),
        ("that over two pages",                 vec![range(page + 65_536 - 5, FEW_MAX + 1)]),
        ("a page one short of a bitmap",        vec![[range(page, FEW_MAX), range(page + (5 << 16), BITMAP_MIN - 1)].concat()]),
        ("a page just a bitmap",                vec![[range(page, FEW_MAX), range(page + (5 << 16), BITMAP_MIN)].concat()]),
        ("short codes beside numbers",          vec![all(&[112, 28_000, 116_111, 34_600_123_456])]),
        ("the same number twice in a layer",    vec![all(&[5, 5, 5])]),
        ("two layers of the same",              vec![range(page, 10_000), range(page, 10_000)]),
        ("two layers apart",                    vec![range(page, 10_000), range(page + 10_000, 10_000)]),
        ("two that overlap in the middle",      vec![range(page, 40_000), range(page + 30_000, 40_000)]),
        ("two that overlap without pages",      vec![range(page, 400), range(page + 300, 400)]),
        ("a full page in every other place",    vec![range(page, 65_536), (0..32_768).map(|n| page + 2 * n).collect()]),
        ("the last of the plan, with pages",    vec![range(LAST - 9_999, 10_000)]),
    ];
    for (name, layers) in cases {
        check(name, &layers);
    }
}

#[test]
fn a_crowd_knows_its_full_pages_its_thin_ones_and_those_it_has_not() {
    let group = 7 << 32;
    let full = (0..16).flat_map(|n| range(group + ((3 + 2 * n) << 16), 65_536));
    let thin = (0..20_000).map(|n| group + ((70 + 3 * n) << 16) + n % 1_000);
    let all: Vec<u64> = full.chain(thin).collect();
    let len = CROWD_MIN as usize;
    for (len, is_crowd) in [(len - 1, false), (len, true), (all.len(), true)] {
        let numbers = &all[..len];
        let layers = [numbers.to_vec(), range(8 << 32, FEW_MAX + 1)];
        let base = base(&layers);
        assert_eq!(base.crowds.len(), if is_crowd { PAGES } else { 0 }, "{len}");
        let beside =
            numbers.iter().step_by(61).flat_map(|&digits| [digits - 1, digits, digits + 1]);
        let far = numbers.iter().step_by(997).flat_map(|&digits| {
            [digits ^ 1 << 16, digits ^ 1 << 20, digits ^ 1 << 31, digits ^ 15 << 32]
        });
        for digits in beside.chain(far).chain([group, group + u64::from(u32::MAX)]) {
            let want = layers.iter().position(|layer| layer.binary_search(&digits).is_ok());
            let want: Vec<u16> = want.map(|place| place as u16).into_iter().collect();
            assert_eq!(find(&base, digits), want, "{len}: {digits}");
        }
    }
}

#[test]
fn a_number_can_be_in_64_layers_and_each_set_is_its_own() {
    // Bit n of the number's place says whether layer n has it; the first number is in all 64.
    let mut layers: Vec<Vec<u64>> = vec![vec![1_000_000]; 64];
    for place in 0..20_000_u64 {
        let pattern = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for (bit, layer) in layers.iter_mut().enumerate() {
            if pattern >> bit & 1 == 1 {
                layer.push(1_000_001 + place);
            }
        }
    }
    let base = base(&layers);
    assert_eq!(find(&base, 1_000_000).len(), 64);
    assert!(
        base.set_ids().len() > 10_000,
        "codes of two octets are met: {} sets",
        base.set_ids().len()
    );
    check_all("64 layers", &base, &layers, &[]);
}

#[test]
fn no_set_is_kept_that_no_number_is_in() {
    let layers = vec![vec![7]; 100];
    assert_eq!(base(&layers).set_ids().len(), 2, "the empty one, and that of all layers");
    let pages: Vec<u64> = (1..=20_000).map(|n| n * 40).collect();
    let layers = vec![pages.clone(), pages.clone(), pages];
    assert_eq!(base(&layers).set_ids().len(), 2, "on pages, too");
    check("three layers of the same", &layers);
}

#[test]
fn random_bases_say_what_a_map_says() {
    for seed in 0..40 {
        let mut random = TokenSource::new(Seed(seed, 7));
        let layers = random_layers(&mut random);
        let others: Vec<u64> = (0..2_000).map(|_| random.next_u64() % LAST).collect();
        let name = format!("seed {seed}, {} layers", layers.len());
        check_all(&name, &base(&layers), &layers, &others);
    }
}

/// Layers of every shape: dense ranges, a thin country, a few numbers of the whole world.
pub(super) fn random_layers(random: &mut TokenSource) -> Vec<Vec<u64>> {
    let count = 1 + random.next_u64() % 12;
    let countries: Vec<u64> = (0..3).map(|_| 1 + random.next_u64() % (LAST / 2)).collect();
    let mut layers: Vec<Vec<u64>> = Vec::new();
    for _ in 0..count {
        let country = countries[(random.next_u64() % 3) as usize];
        let (from, width) = match random.next_u64() % 4 {
            0 => (1, LAST),
            1 => (country, 100_000),
            2 => (country, 1 << 22),
            _ => (country, 1 << 33),
        };
        let len = random.next_u64() % 12_000;
        let mut layer: Vec<u64> = (0..len).map(|_| from + random.next_u64() % width).collect();
        layer.sort_unstable();
        layers.push(layer);
    }
    layers
}

#[test]
fn numbers_that_cannot_be_read_make_no_base() {
    let source = |place, numbers: Vec<Result<Number, &'static str>>| Source {
        layer: layer(place),
        numbers: numbers.into_iter(),
    };
    let (five, nine) = (Ok(number(5)), Ok(number(9)));
    let cases = [
        ("sorted", vec![five, nine], None),
        ("not sorted", vec![nine, five], Some(BuildError::Order { layer: 1 })),
        (
            "not sorted over pages",
            vec![Ok(number(1 << 20)), five],
            Some(BuildError::Order { layer: 1 }),
        ),
        ("cut short", vec![five, Err("cut")], Some(BuildError::Source { layer: 1, source: "cut" })),
        ("cut at once", vec![Err("cut")], Some(BuildError::Source { layer: 1, source: "cut" })),
    ];
    for (name, numbers, want) in cases {
        let built = Base::build([source(0, vec![five]), source(1, numbers)]);
        assert_eq!(built.err(), want, "{name}");
    }
}

#[test]
fn what_takers_take_off_is_gone_from_the_layers_they_name_and_no_others() {
    let mut tokens = TokenSource::new(Seed(9, 9));
    // Few numbers, so that most are in several layers; some on pages of their own.
    let mut drawn = |count: u64| -> Vec<u64> {
        let mut numbers: Vec<u64> = (0..count)
            .map(|_| 34_600_000_000 + tokens.next_u64() % 20_000 + ((tokens.next_u64() % 3) << 17))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    for case in 0..20_u64 {
        let mut layers: Vec<Vec<u64>> = (0..4).map(|_| drawn(9_000)).collect();
        layers.push(vec![5, 1 << 33]);
        let takers: Vec<(Vec<usize>, Vec<u64>)> = (0..5_u64)
            .map(|place| {
                let from = (0..6).filter(|layer| (case + place) >> (layer % 3) & 1 == 1).collect();
                (from, drawn(4_000 * place))
            })
            .chain([(vec![4], vec![1 << 33, LAST]), (vec![3, 2], layers[3].clone())])
            .collect();
        let source = |digits: &Vec<u64>| {
            let numbers: Vec<_> =
                digits.iter().map(|&it| Ok::<_, Infallible>(number(it))).collect();
            numbers.into_iter()
        };
        let sources = layers.iter().enumerate();
        let sources =
            sources.map(|(place, digits)| Source { layer: layer(place), numbers: source(digits) });
        let taken = takers
            .iter()
            .map(|(from, digits)| Taker { from: from.clone(), numbers: source(digits) });
        let base = Base::build_less(sources, taken).expect("all are sorted");
        for (from, digits) in &takers {
            let taken: BTreeSet<u64> = digits.iter().copied().collect();
            for &place in from {
                if let Some(layer) = layers.get_mut(place) {
                    layer.retain(|digits| !taken.contains(digits));
                }
            }
        }
        check_all(&format!("case {case}"), &base, &layers, &[1, LAST]);
    }
    let unsorted = Taker { from: vec![0], numbers: vec![Ok(number(9)), Ok(number(5))].into_iter() };
    let one = Source { layer: layer(0), numbers: vec![Ok::<_, &str>(number(5))].into_iter() };
    let error = Base::build_less([one], [unsorted]).err();
    assert_eq!(error, Some(BuildError::Order { layer: 1 }), "behind the layers");
}

#[test]
fn a_base_has_no_more_layers_than_it_can_tell_apart() {
    for (count, want) in [(Base::LAYERS_MAX, None), (Base::LAYERS_MAX + 1, Some(65_536))] {
        let sources = (0..count).map(|place| Source {
            layer: layer(place),
            numbers: std::iter::once(Ok::<_, Infallible>(number(7 + place as u64))),
        });
        let error = Base::build(sources).err();
        assert_eq!(error, want.map(|found| BuildError::Layers { found }), "{count} layers");
    }
}

#[test]
fn columns_that_do_not_fit_make_no_base() {
    // Numbers 5 and 9 in layer 0, and 2^32 + 7 and 2^32 + 8, of which only one is in layer 1.
    let whole = Columns {
        groups: vec![0, 1],
        group_lasts: vec![1, 1],
        few_marks: vec![1, CODED],
        suffixes: vec![5, 9, 7, 8],
        coded_dictionaries: vec![0],
        codes: vec![0, 1],
        dictionary_ends: vec![2],
        dictionary_sets: vec![1, 2],
        set_ends: vec![0, 1, 3],
        set_layers: vec![0, 0, 1],
        ..Columns::default()
    };
    let assemble = |columns| Base::assemble(vec![layer(0), layer(1)], columns);
    check_all(
        "as it should be",
        &assemble(whole.clone()).expect("it fits"),
        &[vec![5, 9, (1 << 32) + 7, (1 << 32) + 8], vec![(1 << 32) + 8]],
        &[],
    );
    type Change = fn(&mut Columns);
    #[rustfmt::skip]
    let cases: [(&str, Change, &str); 20] = [
        ("groups in the wrong order",      |c| c.groups = vec![1, 0],            "groups"),
        ("the same group twice",           |c| c.groups = vec![1, 1],            "groups"),
        ("a group beyond all numbers",     |c| c.groups = vec![0, GROUPS_MAX],   "groups"),
        ("a group beyond all",             |c| c.groups = vec![0, u32::MAX],     "groups"),
        ("a group without a size",         |c| c.group_lasts = vec![1],          "groups"),
        ("a size without a group",         |c| c.group_lasts.push(1),            "groups"),
        ("a group without marks",          |c| c.few_marks = vec![1],            "groups"),
        ("a number too few",               |c| c.suffixes = vec![5, 9, 7],       "suffixes"),
        ("a number too many",              |c| c.suffixes.push(9),               "suffixes"),
        ("a group that should have pages", |c| c.group_lasts = vec![1, 9_000],   "bitmaps"),
        ("a page without a group",         |c| c.page_lasts.push(1),             "pages"),
        ("a bitmap without a page",        |c| c.words.push(1),                  "bitmaps"),
        ("marks of no set",                |c| c.few_marks = vec![3, CODED],     "marks"),
        ("marks of the empty set",         |c| c.few_marks = vec![0, CODED],     "marks"),
        ("codes of another page",          |c| c.few_marks = vec![1, CODED | 1], "marks"),
        ("a code beyond its dictionary",   |c| c.codes = vec![0, 2],             "codes"),
        ("a code too few",                 |c| c.codes = vec![0],                "codes"),
        ("a dictionary that is not there", |c| c.coded_dictionaries = vec![1],   "dictionaries"),
        ("a dictionary of no set",         |c| c.dictionary_sets = vec![1, 3],   "dictionaries"),
        ("a set of no layer",              |c| c.set_layers = vec![0, 0, 2],     "sets of layers"),
    ];
    for (name, change, part) in cases {
        let mut columns = whole.clone();
        change(&mut columns);
        assert_eq!(assemble(columns).err(), Some(LayoutError { part }), "{name}");
    }
}

#[test]
fn strewn_numbers_stay_compact() {
    let strewn = |step: u64, len: u64| vec![(1..=len).map(|n| n * step).collect::<Vec<u64>>()];
    #[rustfmt::skip]
    let cases = [
        ("dense as a registry",      strewn(11, 1_000_000),            1.5),
        ("every page a thin one",    strewn(10_000, 1_000_000),        4.5),
        ("one number a page",        strewn(65_537, 1_000_000),        14.5),
        ("groups just with pages",   strewn((1 << 32) / 8_200, 1_000_000), 17.0),
        ("groups just without",      strewn((1 << 32) / 8_100, 1_000_000), 4.1),
    ];
    for (name, layers, want) in cases {
        let base = base(&layers);
        let bytes = base.bytes() as f64 / base.len() as f64;
        assert!(bytes < want, "{name}: {bytes:.2} B a number, at most {want}");
    }
}
