//! The patterns of numbering plans: the few regular expressions that the library's metadata is
//! written in, as a machine that many of them share.
//!
//! Digits, classes, groups, alternatives and counted repetition are known; what else a pattern
//! might say makes it unreadable, and its country's numbers are then judged by the library alone.

/// Most digits that are ever followed, and so what an open repetition means.
const REPEAT_MAX: usize = 17;

/// What one pattern says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// One of the digits whose bits are set.
    Digit(u16),
    /// The end of the digits, which gives them this mark whatever the pattern would give.
    End(u32),
    /// One after the other.
    Row(Vec<Self>),
    /// Any one of them.
    Either(Vec<Self>),
    /// From so many times to so many.
    Repeat(Box<Self>, usize, usize),
}

/// What `$` within a pattern means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Nothing we know.
    Unknown,
    /// The end of the digits, with this mark.
    Mark(u32),
}

impl Pattern {
    /// What `text` says; `None` where it says more than we know.
    pub(super) fn read(text: &str, ends: Ends) -> Option<Self> {
        let mut rest = text.as_bytes();
        let pattern = either(&mut rest, ends)?;
        rest.is_empty().then_some(pattern)
    }
}

fn either(rest: &mut &[u8], ends: Ends) -> Option<Pattern> {
    let mut ways = vec![row(rest, ends)?];
    while take(rest, b"|") {
        ways.push(row(rest, ends)?);
    }
    if ways.len() == 1 { ways.pop() } else { Some(Pattern::Either(ways)) }
}

fn row(rest: &mut &[u8], ends: Ends) -> Option<Pattern> {
    let mut parts = Vec::new();
    while rest.first().is_some_and(|next| !b"|)".contains(next)) {
        if let Ends::Mark(mark) = ends
            && take(rest, b"$")
        {
            parts.push(Pattern::End(mark));
            continue;
        }
        let part = atom(rest, ends)?;
        parts.push(repeated(part, rest)?);
    }
    Some(Pattern::Row(parts))
}

fn atom(rest: &mut &[u8], ends: Ends) -> Option<Pattern> {
    if take(rest, b"\\d") {
        return Some(Pattern::Digit(0x3ff));
    }
    if take(rest, b"[") {
        return class(rest).map(Pattern::Digit);
    }
    if take(rest, b"(?:") || (rest.get(1) != Some(&b'?') && take(rest, b"(")) {
        let inside = either(rest, ends)?;
        return take(rest, b")").then_some(inside);
    }
    digit(rest).map(|digit| Pattern::Digit(1 << digit))
}

/// The digits of `[..]`, behind its opening.
fn class(rest: &mut &[u8]) -> Option<u16> {
    let mut digits = 0;
    while !take(rest, b"]") {
        let first = digit(rest)?;
        let last = if take(rest, b"-") { digit(rest)? } else { first };
        for digit in first..=last {
            digits |= 1 << digit;
        }
    }
    Some(digits)
}

fn repeated(part: Pattern, rest: &mut &[u8]) -> Option<Pattern> {
    let (min, max) = if take(rest, b"?") {
        (0, 1)
    } else if take(rest, b"*") {
        (0, REPEAT_MAX)
    } else if take(rest, b"+") {
        (1, REPEAT_MAX)
    } else if take(rest, b"{") {
        let min = count(rest)?;
        let max = match take(rest, b",") {
            false => min,
            true if rest.first() == Some(&b'}') => REPEAT_MAX,
            true => count(rest)?,
        };
        (take(rest, b"}") && max <= REPEAT_MAX).then_some((min, max))?
    } else {
        return Some(part);
    };
    Some(Pattern::Repeat(Box::new(part), min, max))
}

fn count(rest: &mut &[u8]) -> Option<usize> {
    let mut value = digit(rest)?;
    while let Some(digit) = digit(rest) {
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(value)
}

fn digit(rest: &mut &[u8]) -> Option<usize> {
    let (first, others) = rest.split_first()?;
    let digit = first.checked_sub(b'0').filter(|digit| *digit <= 9)?;
    *rest = others;
    Some(usize::from(digit))
}

fn take(rest: &mut &[u8], text: &[u8]) -> bool {
    let after = rest.strip_prefix(text);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

/// The place of a step in its [`Steps`].
pub(super) type StepId = u32;

/// What many patterns say at once: each ends in a mark of its own.
#[derive(Debug, Default)]
pub(super) struct Steps(Vec<Step>);

#[derive(Debug)]
enum Step {
    /// On with one of the digits whose bits are set; whether a wanted mark may follow.
    Digit { digits: u16, next: StepId, is_wanted: bool },
    /// On with each of them, without a digit.
    Fork(Vec<StepId>),
    /// On without a digit, but not where none was read yet.
    Moved(StepId),
    /// This mark is reached, here.
    Mark(u32),
    /// This mark is reached, here and with whatever digits follow.
    MarkOn(u32),
}

impl Steps {
    /// The step that reaches `mark` at the end of what was read.
    pub(super) fn mark(&mut self, mark: u32) -> StepId {
        self.push(Step::Mark(mark))
    }

    /// The step that reaches `mark` wherever the rest ends.
    pub(super) fn mark_on(&mut self, mark: u32) -> StepId {
        self.push(Step::MarkOn(mark))
    }

    /// The step to `next`, passed only where a digit was read.
    pub(super) fn moved(&mut self, next: StepId) -> StepId {
        self.push(Step::Moved(next))
    }

    /// `pattern` and then `next`. Where no step that is wanted is left, nothing is looked at any
    /// more, so that what only excludes is not wanted.
    pub(super) fn then(&mut self, pattern: &Pattern, next: StepId, is_wanted: bool) -> StepId {
        match pattern {
            Pattern::Digit(digits) => self.push(Step::Digit { digits: *digits, next, is_wanted }),
            Pattern::End(mark) => self.mark(*mark),
            Pattern::Row(parts) => {
                parts.iter().rev().fold(next, |next, part| self.then(part, next, is_wanted))
            }
            Pattern::Either(ways) => {
                let ways = ways.iter().map(|way| self.then(way, next, is_wanted)).collect();
                self.push(Step::Fork(ways))
            }
            Pattern::Repeat(part, min, max) => {
                let mut begin = next;
                for _ in *min..*max {
                    let once_more = self.then(part, begin, is_wanted);
                    begin = self.push(Step::Fork(vec![once_more, next]));
                }
                (0..*min).fold(begin, |next, _| self.then(part, next, is_wanted))
            }
        }
    }

    fn push(&mut self, step: Step) -> StepId {
        self.0.push(step);
        (self.0.len() - 1) as StepId
    }

    /// Where `begin` leads without a digit.
    pub(super) fn begin(&self, begin: &[StepId]) -> Places {
        let mut places = Places::default();
        for &step in begin {
            self.enter(step, false, &mut places);
        }
        places.sort();
        places
    }

    /// Where `places` lead with `digit`.
    pub(super) fn advance(&self, places: &Places, digit: usize) -> Places {
        let mut further = Places::default();
        for &place in &places.0 {
            match self.0.get(place as usize) {
                Some(Step::Digit { digits, next, .. }) if digits >> digit & 1 == 1 => {
                    self.enter(*next, true, &mut further);
                }
                Some(Step::MarkOn(_)) => further.0.push(place),
                _ => {}
            }
        }
        further.sort();
        further
    }

    fn enter(&self, step: StepId, has_moved: bool, places: &mut Places) {
        match self.0.get(step as usize) {
            Some(Step::Fork(ways)) => {
                for &way in ways {
                    self.enter(way, has_moved, places);
                }
            }
            Some(Step::Moved(next)) if has_moved => self.enter(*next, has_moved, places),
            Some(Step::Digit { .. } | Step::Mark(_) | Step::MarkOn(_)) => places.0.push(step),
            Some(Step::Moved(_)) | None => {}
        }
    }

    /// The marks that are reached at `places`.
    pub(super) fn marks<'a>(&'a self, places: &'a Places) -> impl Iterator<Item = u32> + 'a {
        places.0.iter().filter_map(|&place| match self.0.get(place as usize) {
            Some(Step::Mark(mark) | Step::MarkOn(mark)) => Some(*mark),
            _ => None,
        })
    }

    /// Whether a digit may lead from `places` towards a wanted mark.
    pub(super) fn goes_on(&self, places: &Places) -> bool {
        places.0.iter().any(|&place| {
            matches!(self.0.get(place as usize), Some(Step::Digit { is_wanted: true, .. }))
        })
    }
}

/// Where several patterns are at once, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Places(Vec<StepId>);

impl Places {
    /// Both at once.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self.sort();
        self
    }

    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }
}
