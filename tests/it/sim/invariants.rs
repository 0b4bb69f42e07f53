//! What must hold in every campaign, judged when everything is quiet.
//!
//! Each function judges one promise of `ARCHITECTURE.md` and returns what breaks it.

use bajavoz::campaign::Confirm;
use bajavoz::campaign::Mode;
use bajavoz::campaign::OnUnconfirmed;
use bajavoz::campaign::Then;
use bajavoz::cli::phones::PressMethod;
use bajavoz::record::Disposition;
use bajavoz::suppression::Origin;

use super::case::Case;
use super::witness::LegSeen;
use super::witness::Submitted;
use super::world::World;

/// Every broken promise of a campaign that has come to its end.
pub(super) fn broken(world: &World) -> Vec<String> {
    let mut broken = world.witness.faults.clone();
    broken.extend(nothing_leaks(world));
    for n in 0..world.plan.calls.len() {
        let case = Case::new(world, n);
        let judges: [fn(&Case<'_>) -> Vec<String>; 10] = [
            one_record_a_call,
            suppressed_numbers_are_refused,
            who_was_told_is_recorded,
            who_pressed_nothing_has_no_record,
            one_press_counts_once,
            each_telling_is_noted_once,
            what_failed_is_said_to_have_failed,
            the_dialer_leaves_first,
            the_outcome_is_told_to_the_dialer_alone,
            who_pressed_a_code_has_a_record,
        ];
        let found = judges.iter().flat_map(|judge| judge(&case));
        broken.extend(found.map(|text| format!("call {n} ({}): {text}", case.plan.campaign)));
    }
    broken
}

fn nothing_leaks(world: &World) -> Vec<String> {
    let calls = &world.node.calls;
    let endpoint = calls.endpoint();
    let opened_twice = world.witness.closed.values().filter(|closes| **closes > 1).count();
    let left = [
        ("calls", calls.len()),
        ("sessions", endpoint.sessions_len()),
        ("transactions", endpoint.transactions_len()),
        ("voices", world.node.voices.len()),
        ("voices closed twice", opened_twice),
    ];
    left.into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what} are left"))
        .collect()
}

fn one_record_a_call(case: &Case<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for life in 0..=case.world.life {
        let records = case.seen.records.iter().filter(|(of, _)| *of == life).count();
        let invited = usize::from(case.seen.invited.contains_key(&life));
        let is_right = records == invited || (records < invited && !case.is_last_life(life));
        if !is_right {
            broken.push(format!("{records} call records in life {life}, for {invited} calls"));
        }
    }
    broken
}

fn suppressed_numbers_are_refused(case: &Case<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for (life, _) in case.seen.invited.iter().filter(|(_, is_blocked)| **is_blocked) {
        let let_in =
            |(of, what): &&(u64, Disposition)| of == life && *what != Disposition::Suppressed;
        if let Some((_, what)) = case.seen.records.iter().find(let_in) {
            broken.push(format!("a suppressed number was let in, and {what:?}"));
        }
        let Some(caller) = case.caller.as_ref().filter(|_| case.seen.invited.len() == 1) else {
            continue;
        };
        let is_told =
            caller.outcome.as_deref().is_some_and(|it| it.starts_with("suppressed;list="));
        match caller.status {
            Some(603) if is_told => {}
            None => {}
            other => {
                broken.push(format!("a suppressed number got {other:?}, {:?}", caller.outcome))
            }
        }
    }
    broken
}

/// Heard a confirmation, or was hung up with the outcome: then it is on the disk, and right.
fn who_was_told_is_recorded(case: &Case<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let ledger = &case.world.ledger;
    let mut of_number = ledger.opt_outs().filter(|(_, it)| it.number == case.plan.number);
    if let Some((heard_at, _)) = case.person().and_then(|person| person.heard.loud)
        && !of_number.any(|(kept, _)| kept.at <= heard_at)
    {
        broken.push("a confirmation was heard, and nothing was on the disk".to_owned());
    }
    for report in [&case.caller, &case.called].into_iter().flatten() {
        let Some(outcome) = report.outcome.as_deref().filter(|it| it.starts_with("opt-out;"))
        else {
            continue;
        };
        let is_it = |submitted: &&Submitted| {
            let (digits, record) = (submitted.opt_out.digits, submitted.record);
            outcome == format!("opt-out;digits={digits};record={record}")
        };
        let named = case.seen.opt_outs.iter().find(is_it);
        let on_disk =
            named.and_then(|named| ledger.opt_outs().find(|(kept, _)| kept.record == named.record));
        match on_disk {
            None => broken.push(format!("hung up with {outcome}, which is on no disk")),
            Some((_, it)) if !is_right(case, it) => broken.push(format!("it is wrong: {it:?}")),
            Some(_) => {}
        }
    }
    broken
}

fn is_right(case: &Case<'_>, it: &bajavoz::suppression::OptOut) -> bool {
    let list = if it.digits.to_string() == "*9" { "all" } else { "own" };
    let lists: Vec<&str> = it.lists.iter().map(|list| list.as_str()).collect();
    it.number == case.plan.number
        && it.campaign.as_ref().is_some_and(|name| name.as_str() == case.plan.campaign)
        && lists == [list]
}

fn who_pressed_nothing_has_no_record(case: &Case<'_>) -> Vec<String> {
    let pressed: String = case.pressed().into_iter().map(|(_, key)| key).collect();
    let is_lossless = case.world.plan.weather.is_lossless();
    let mut broken = Vec::new();
    for submitted in &case.seen.opt_outs {
        let digits = submitted.opt_out.digits.to_string();
        let mut rest = pressed.chars();
        let is_part = digits.chars().all(|key| rest.any(|pressed| pressed == key));
        if !is_part || (is_lossless && !pressed.contains(&digits)) {
            broken.push(format!("{digits:?} was recorded, {pressed:?} was pressed"));
        }
        if !is_right(case, &submitted.opt_out) {
            broken.push(format!("it is wrong: {:?}", submitted.opt_out));
        }
    }
    broken
}

fn one_press_counts_once(case: &Case<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let keys: usize = case.seen.opt_outs.iter().map(|it| it.opt_out.digits.len()).sum();
    let pressed = case.pressed().len();
    if keys > pressed {
        broken.push(format!("{keys} keys were recorded, {pressed} were pressed"));
    }
    let count = case.seen.opt_outs.len();
    if case.world.plan.style.then == Then::Hangup && count > 1 {
        broken.push(format!("{count} opt-outs in a call that ends with the first"));
    }
    broken
}

fn each_telling_is_noted_once(case: &Case<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for submitted in &case.seen.opt_outs {
        let record = submitted.record;
        let noted = case.seen.confirmations.iter().filter(|it| it.record == record).count();
        let owed = usize::from(Case::is_success(submitted));
        if noted > owed || (noted < owed && case.is_last_life(submitted.life)) {
            broken.push(format!("the telling of {record} is noted {noted} times, not {owed}"));
        }
    }
    broken
}

fn what_failed_is_said_to_have_failed(case: &Case<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for &(life, disposition) in &case.seen.records {
        let mut of_life = case.seen.opt_outs.iter().filter(|it| it.life == life);
        let want = match of_life.clone().next() {
            None => continue,
            Some(_) if of_life.clone().any(|it| !Case::is_success(it)) => Disposition::NotRecorded,
            Some(_) => Disposition::OptedOut,
        };
        if disposition != want {
            broken.push(format!("the call record says {disposition:?} instead of {want:?}"));
        }
        if want == Disposition::NotRecorded
            && of_life.all(|it| !Case::is_success(it))
            && case.seen.told.iter().any(|told| told.life == life && told.name != "en/failed")
        {
            broken.push("a confirmation was played although nothing was durable".to_owned());
        }
    }
    broken
}

/// In a bridged call that ends with the opt-out, the dialer has its BYE when the person is told.
fn the_dialer_leaves_first(case: &Case<'_>) -> Vec<String> {
    if case.plan.mode != Mode::Bridge {
        return Vec::new();
    }
    let mut broken = Vec::new();
    let default = LegSeen::default();
    let leg = case.dialer_leg().unwrap_or(&default);
    let is_caller = !case.plan.person_calls;
    for told in &case.seen.told {
        let is_final = case.world.plan.style.then == Then::Hangup || told.name == "en/failed";
        let bye_out = leg.bye_out.as_ref().map(|(at, _)| *at);
        let has_left = [bye_out, leg.bye_in].into_iter().flatten().any(|at| at <= told.at);
        // Section 15 of RFC 3261: no BYE before the ACK.
        let unacknowledged = is_caller && leg.acknowledged_at.is_none_or(|at| at > told.at);
        // An INVITE repeated to an engine that has started anew: the ACK seen was the old one's.
        let unacknowledged = unacknowledged || (is_caller && case.seen.invited.len() > 1);
        if is_final && !has_left && !unacknowledged {
            broken.push("the person was told while the dialer was still there".to_owned());
        }
    }
    broken
}

/// The BYE of a bridged call that ends with an opt-out tells the outcome to the leg that came to
/// us, and to nobody else.
fn the_outcome_is_told_to_the_dialer_alone(case: &Case<'_>) -> Vec<String> {
    if case.plan.mode != Mode::Bridge {
        return Vec::new();
    }
    let mut broken = Vec::new();
    if let Some((_, outcome)) = case.called_leg.and_then(|leg| leg.bye_out.as_ref())
        && !outcome.is_empty()
    {
        broken.push(format!("the carrier was told {outcome:?}"));
    }
    for submitted in &case.seen.opt_outs {
        if let Some((at, outcome)) = case.caller_leg.and_then(|leg| leg.bye_out.as_ref())
            && submitted.at <= *at
            && case.is_last_life(submitted.life)
        {
            let want = if Case::is_success(submitted) { "opt-out" } else { "not-recorded" };
            let is_other = case.seen.opt_outs.len() > 1 && outcome.contains("recor");
            if !outcome.starts_with(want) && !is_other {
                broken.push(format!("the dialer was told {outcome:?} instead of {want}"));
            }
        }
    }
    broken
}

/// Where nothing is lost, nothing crashes and the disk is well, a code counts.
fn who_pressed_a_code_has_a_record(case: &Case<'_>) -> Vec<String> {
    let plan = &case.world.plan;
    let is_calm = plan.weather.is_lossless()
        && plan.crash_at.is_none()
        && plan.drain_at.is_none()
        && case.world.ledger.is_healthy();
    let (Some(wish), true) = (case.plan.wish, is_calm) else { return Vec::new() };
    let needs_order = wish.method == PressMethod::Tone;
    let is_confirmed = wish.confirms && case.keys_came_through(wish.digits.len() + 1);
    let is_ignored = plan.style.confirm == Confirm::PressAgain
        && plan.style.on_unconfirmed == OnUnconfirmed::Ignore
        && !is_confirmed;
    // The dialer's key that we passed on may come back as an echo, and is taken for one.
    let other = if case.plan.person_calls { &case.plan.called } else { &case.plan.caller };
    let may_echo = needs_order && !other.presses.is_empty();
    if is_ignored
        || may_echo
        || (needs_order && !plan.weather.keeps_frames_in_order())
        || !case.keys_came_through(wish.digits.len())
    {
        return Vec::new();
    }
    let recorded: Vec<_> = case.seen.opt_outs.iter().map(|it| &it.opt_out).collect();
    let of_digits = |digits: &str| recorded.iter().find(|it| it.digits.to_string() == digits);
    let mut broken = match of_digits(wish.digits) {
        None => vec![format!("{wish:?} left no record: {recorded:?}")],
        Some(it) if is_confirmed && it.origin != Origin::DialledCode => {
            vec![format!("{wish:?} was confirmed and recorded as {:?}", it.origin)]
        }
        Some(_) => Vec::new(),
    };
    if let Some(other) = wish.and_then
        && case.keys_came_through(wish.digits.len() + other.len())
        && of_digits(other).is_none()
    {
        broken.push(format!("{wish:?} left no second record: {recorded:?}"));
    }
    broken
}
