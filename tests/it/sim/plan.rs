//! What happens in one campaign: who is called when, and what everybody does.

use std::time::Duration;

use bajavoz::campaign::Confirm;
use bajavoz::campaign::Mode;
use bajavoz::campaign::Subject;
use bajavoz::campaign::Then;
use bajavoz::cli::phones::Press;
use bajavoz::cli::phones::PressMethod;
use bajavoz::cli::phones::Script;
use bajavoz::model::Digit;
use bajavoz::model::Number;

use super::dice::Dice;
use super::ledger::Temper;
use super::network::Weather;
use super::rules::CAMPAIGNS;
use super::rules::CODES;
use super::rules::Style;

/// Everything that the seed decides beforehand.
pub(super) struct Plan {
    pub(super) style: Style,
    pub(super) weather: Weather,
    pub(super) temper: Temper,
    pub(super) calls: Vec<CallPlan>,
    pub(super) crash_at: Option<Duration>,
    pub(super) drain_at: Option<Duration>,
    /// Strangers send keys to the engine's ports.
    pub(super) strangers: bool,
}

/// One call that a dialer makes.
#[derive(Clone)]
pub(super) struct CallPlan {
    pub(super) start_at: Duration,
    pub(super) number: Number,
    pub(super) campaign: &'static str,
    pub(super) mode: Mode,
    /// The person is the one who calls.
    pub(super) person_calls: bool,
    pub(super) caller: Script,
    pub(super) called: Script,
    /// The code that the person presses without haste or error, when that is what he does.
    pub(super) wish: Option<Wish>,
}

/// A code, pressed as one should press it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) digits: &'static str,
    pub(super) method: PressMethod,
    /// The last key once more, after the gap and within the time for it.
    pub(super) confirms: bool,
    /// Another code right behind it, while the first is being recorded and told.
    pub(super) and_then: Option<&'static str>,
}

impl Plan {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let style = Style::roll(dice);
        let weather = Weather::roll(dice);
        let temper = Temper::roll(dice);
        let calls_count = 1 + dice.below(4);
        let mut calls: Vec<CallPlan> = Vec::new();
        for n in 0..calls_count {
            let number = number(if dice.chance(100) { 0 } else { n });
            calls.push(CallPlan::roll(dice, &style, number, dice_start(n)));
        }
        for round in 0..calls_count {
            // The second round, to the same numbers; some are still talking.
            let first = calls[round as usize].number;
            let start_at = dice_start(round) + dice.millis(2000, 9000);
            calls.push(CallPlan::roll(dice, &style, first, start_at));
        }
        Self {
            crash_at: dice.chance(150).then(|| dice.millis(100, 12_000)),
            drain_at: dice.chance(50).then(|| dice.millis(100, 12_000)),
            strangers: dice.chance(200),
            style,
            weather,
            temper,
            calls,
        }
    }
}

fn dice_start(n: u64) -> Duration {
    Duration::from_millis(1 + 137 * n)
}

fn number(n: u64) -> Number {
    Number::from_e164_digits(34_600_123_400 + n).expect("a Spanish mobile has eleven digits")
}

impl CallPlan {
    fn roll(dice: &mut Dice, style: &Style, number: Number, start_at: Duration) -> Self {
        let (campaign, mode, subject) =
            CAMPAIGNS[dice.below(CAMPAIGNS.len() as u64) as usize].clone();
        let person_calls = mode == Mode::Ivr || subject == Subject::Calling;
        let (person, wish) = person(dice, style);
        let other = other(dice);
        let (mut caller, mut called) = if person_calls { (person, other) } else { (other, person) };
        if dice.chance(100) {
            caller.cancel_after = Some(dice.millis(0, 700));
        }
        called.ring = dice.millis(0, 600);
        if dice.chance(30) {
            called.ring = dice.millis(4000, 8000);
        }
        if dice.chance(100) {
            called.refuse = Some(dice.pick(&[404, 480, 486, 500, 603]));
        }
        Self { start_at, number, campaign, mode, person_calls, caller, called, wish }
    }
}

/// The side that presses nothing, or what concerns nobody.
fn other(dice: &mut Dice) -> Script {
    let mut script = Script {
        presses: Vec::new(),
        hang_up_after: Some(dice.millis(1500, 9000)),
        talks: false,
        ..Script::default()
    };
    if dice.chance(200) {
        let method = dice.pick(&[PressMethod::Event, PressMethod::Info]);
        script.presses = presses(dice.millis(0, 3000), "9", method, dice);
    }
    script
}

/// The person: what he presses, and when he leaves.
fn person(dice: &mut Dice, style: &Style) -> (Script, Option<Wish>) {
    let method = dice.pick(&[PressMethod::Event, PressMethod::Tone, PressMethod::Info]);
    let from = if dice.chance(150) { Duration::ZERO } else { dice.millis(0, 2500) };
    let kind = dice.below(100);
    let digits = dice.pick(&CODES);
    let (mut script, mut wish) = (Script { talks: false, ..Script::default() }, None);
    match kind {
        0..25 => {}
        25..35 => {
            script.presses = presses(from, dice.pick(&["5", "*", "12", "0", "*5"]), method, dice)
        }
        35..45 => {
            script.presses =
                presses(from, dice.pick(&["59", "99", "9*9", "*99", "5*9"]), method, dice)
        }
        _ => {
            script.presses = presses(from, digits, method, dice);
            let confirms = style.confirm == Confirm::PressAgain && dice.chance(600);
            let goes_on = style.then == Then::Continue && style.confirm == Confirm::None;
            let and_then = (goes_on && dice.chance(500))
                .then(|| dice.pick(&["*9", "99"]))
                .filter(|other| *other != digits);
            wish = Some(Wish { digits, method, confirms, and_then });
            if let Some(other) = and_then {
                // Digits that can grow are decided after the gap.
                let last = script.presses[script.presses.len() - 1];
                let decided = last.at + last.hold + style.digit_gap_max;
                let from = decided + dice.millis(10, 400);
                script.presses.extend(presses(from, other, method, dice));
            }
            if confirms {
                let last = script.presses[script.presses.len() - 1];
                let pause = style.digit_gap_max + dice.millis(250, 900);
                script.presses.push(Press { at: last.at + last.hold + pause, ..last });
            }
        }
    }
    let last = script.presses.last().map_or(from, |press| press.at + press.hold);
    script.hang_up_after = Some(match dice.below(10) {
        0..3 => last + dice.millis(0, 400),
        // In the middle of a key, or before any.
        3 => dice.millis(0, 3000),
        _ => last + dice.millis(1000, 6000),
    });
    (script, wish)
}

/// The keys of `digits`, one after the other at a hand's pace.
fn presses(from: Duration, digits: &str, method: PressMethod, dice: &mut Dice) -> Vec<Press> {
    let mut at = from;
    let mut presses = Vec::new();
    for digit in digits.chars().filter_map(Digit::from_char) {
        let hold = dice.millis(80, 160);
        presses.push(Press { at, digit, method, hold });
        at += hold + dice.millis(100, 250);
    }
    presses
}
