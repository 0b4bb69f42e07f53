//! One call of a campaign, with everything that phones and bystander know of it.

use std::time::Duration;
use std::time::Instant;

use bajavoz::cli::phones::Phone;
use bajavoz::cli::phones::PhoneReport;
use bajavoz::cli::phones::PressMethod;

use super::plan::CallPlan;
use super::witness::LegSeen;
use super::witness::Seen;
use super::witness::Submitted;
use super::world::World;

/// How long an engine waits for its ledger before it says so; a later answer is no success.
const COMMIT_MAX: Duration = Duration::from_secs(2);

/// One call with everything that is known of it.
pub(super) struct Case<'a> {
    pub(super) world: &'a World,
    pub(super) plan: &'a CallPlan,
    pub(super) seen: &'a Seen,
    pub(super) caller: Option<PhoneReport>,
    pub(super) called: Option<PhoneReport>,
    pub(super) caller_leg: Option<&'a LegSeen>,
    pub(super) called_leg: Option<&'a LegSeen>,
}

impl<'a> Case<'a> {
    pub(super) fn new(world: &'a World, n: usize) -> Self {
        let seen = &world.witness.calls[n];
        let caller = world.callers[n].as_ref();
        let called_id = seen.carrier_call_id.as_deref().unwrap_or_default();
        let called = world.carrier.phones().find(|phone| phone.call_id() == called_id);
        let leg = |call_id: &str| world.witness.legs.get(call_id);
        Self {
            world,
            plan: &world.plan.calls[n],
            seen,
            caller: caller.map(Phone::report),
            called: called.map(Phone::report),
            caller_leg: caller.and_then(|phone| leg(phone.call_id())),
            called_leg: leg(called_id),
        }
    }

    pub(super) fn person(&self) -> Option<&PhoneReport> {
        if self.plan.person_calls { self.caller.as_ref() } else { self.called.as_ref() }
    }

    pub(super) fn person_leg(&self) -> Option<&LegSeen> {
        if self.plan.person_calls { self.caller_leg } else { self.called_leg }
    }

    pub(super) fn dialer_leg(&self) -> Option<&LegSeen> {
        if self.plan.person_calls { self.called_leg } else { self.caller_leg }
    }

    /// The keys that the person pressed, with the moments.
    pub(super) fn pressed(&self) -> Vec<(Instant, char)> {
        let trace = self.person().map(|person| person.trace.as_slice()).unwrap_or_default();
        let keys = trace.iter().filter_map(|line| {
            let key = line.label.strip_prefix("key ")?.chars().next()?;
            Some((line.at, key))
        });
        keys.collect()
    }

    /// Whether an opt-out was durable in time for its person to be told so.
    pub(super) fn is_success(submitted: &Submitted) -> bool {
        matches!(submitted.fate.answered_after, Some((after, true)) if after < COMMIT_MAX)
    }

    pub(super) fn is_last_life(&self, life: u64) -> bool {
        life == self.world.life
    }

    /// Whether the first `count` keys of the person reached the engine while the call was up, whole
    /// and in order, as far as the phones and the network can tell.
    pub(super) fn keys_came_through(&self, count: usize) -> bool {
        let plan = &self.world.plan;
        let way = plan.weather.delay + Duration::from_millis(plan.weather.jitter_ms);
        let jitter = Duration::from_millis(plan.weather.jitter_ms + 1);
        let (Some(person), Some(leg)) = (self.person(), self.person_leg()) else { return false };
        let script = if self.plan.person_calls { &self.plan.caller } else { &self.plan.called };
        let (pressed, answered_at) = (self.pressed(), person.answered_at);
        let (Some(last), Some(first)) =
            (count.checked_sub(1).and_then(|at| pressed.get(at)), pressed.first())
        else {
            return false;
        };
        let hold = script.presses.get(count - 1).map_or(Duration::ZERO, |press| press.hold);
        let is_info = script.presses.first().is_some_and(|press| press.method == PressMethod::Info);
        // The answer of a phone that is called must not be overtaken by its own first key.
        let is_after_answer =
            self.plan.person_calls || answered_at.is_some_and(|at| first.0 >= at + jitter);
        // An INFO is whole at once, and may be overtaken by the BYE behind it.
        let done = last.0 + if is_info { Duration::ZERO } else { hold + Duration::from_millis(40) };
        let was_there = person.ended_at.is_none_or(|(at, _)| at >= done);
        let reached = done + way + Duration::from_millis(40);
        let ends =
            [leg.bye_out.as_ref().map(|(at, _)| *at), self.dialer_leg().and_then(|leg| leg.bye_in)];
        is_after_answer && was_there && ends.into_iter().flatten().all(|at| at >= reached)
    }
}
