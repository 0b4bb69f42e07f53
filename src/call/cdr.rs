//! The record of a call, written when nothing more of it is to come.

use std::time::Instant;

use super::gate::Refused;
use super::machine::Call;
use super::machine::CallLeg;
use super::outcome::Outcome;
use super::rules::Rules;
use super::voice::LegReport;
use crate::campaign::Campaign;
use crate::campaign::Mode;
use crate::model::CallId;
use crate::model::UnixMicros;
use crate::model::time::WallAnchor;
use crate::record::CallMode;
use crate::record::Cdr;
use crate::record::Disposition;
use crate::record::KeyCounts;
use crate::record::LegRecord;
use crate::sip::Message;
use crate::suppression::Leg;

/// The record of an INVITE that the gate refused.
pub(super) fn of_refusal(
    rules: &Rules,
    call: CallId,
    at: UnixMicros,
    message: &Message<'_>,
    refused: &Refused,
) -> Cdr {
    let sip_call_id = String::from_utf8_lossy(message.call_id().unwrap_or_default()).into_owned();
    Cdr {
        call,
        node: rules.node.clone(),
        dialer: refused.dialer.as_ref().map(|dialer| dialer.name.clone()),
        campaign: refused.campaign.as_ref().map(|campaign| campaign.name.clone()),
        account: refused.campaign.as_ref().map(|campaign| campaign.account.clone()),
        trunk: None,
        mode: refused.campaign.as_ref().map(|campaign| mode(campaign)),
        number: refused.number,
        disposition: refused.disposition,
        list: refused.list.clone(),
        record: refused.record,
        sip_status: Some(refused.status),
        reason: Some(refused.outcome.header()),
        started_at: at,
        answered_at: None,
        ended_at: at,
        a: LegRecord { sip_call_id, sip_status: Some(refused.status), ..LegRecord::default() },
        b: None,
        keys: KeyCounts::default(),
    }
}

/// The record of a call that was let in.
pub(super) fn of_call(call: &Call, wall: WallAnchor, now: Instant) -> Cdr {
    let report = call.report.unwrap_or_default();
    let [a_report, b_report] = report.legs;
    let person = match call.person() {
        Leg::A => a_report,
        Leg::B => b_report,
    };
    let [event, tone, info] = person.keys;
    let answered = call.leg(call.person()).and_then(|leg| leg.answered_at);
    let ended = [&call.a].into_iter().chain(&call.b).filter_map(|leg| leg.ended_at).max();
    let campaign = &call.admitted.campaign;
    Cdr {
        call: call.id,
        node: call.admitted.rules.node.clone(),
        dialer: Some(call.admitted.dialer.name.clone()),
        campaign: Some(campaign.name.clone()),
        account: Some(campaign.account.clone()),
        trunk: call.trunk.as_ref().map(|trunk| trunk.name.clone()),
        mode: Some(mode(campaign)),
        number: Some(call.admitted.number),
        disposition: disposition(call, answered),
        list: match &call.outcome {
            Some(Outcome::Suppressed { list }) => Some(list.clone()),
            _ => None,
        },
        record: match &call.outcome {
            Some(Outcome::OptOut { record, .. }) => Some(*record),
            _ => None,
        },
        sip_status: call.sip_status.or_else(|| call.a.answered_at.map(|_| 200)),
        reason: call.outcome.as_ref().map(Outcome::header),
        started_at: wall.wall_at(call.started_at),
        answered_at: answered.map(|at| wall.wall_at(at)),
        ended_at: wall.wall_at(ended.unwrap_or(now)),
        a: leg_record(&call.a, a_report, None, None),
        b: call
            .b
            .as_ref()
            .map(|b| leg_record(b, b_report, call.sip_status, call.sip_reason.clone())),
        keys: KeyCounts { event, tone, info },
    }
}

/// A call that was never answered did not end in conversation, whoever gave it up.
fn disposition(call: &Call, answered: Option<Instant>) -> Disposition {
    match (call.disposition, answered) {
        (Some(Disposition::Answered) | None, None) => Disposition::Cancelled,
        (Some(disposition), _) => disposition,
        (None, Some(_)) => Disposition::Answered,
    }
}

fn mode(campaign: &Campaign) -> CallMode {
    match campaign.mode {
        Mode::Bridge => CallMode::Bridge,
        Mode::Ivr => CallMode::Ivr,
    }
}

fn leg_record(
    leg: &CallLeg,
    report: LegReport,
    sip_status: Option<u16>,
    reason: Option<String>,
) -> LegRecord {
    let talk = leg.answered_at.zip(leg.ended_at);
    let talk_ms = talk.map(|(from, to)| to.saturating_duration_since(from).as_millis());
    LegRecord {
        sip_call_id: leg.sip_call_id.clone(),
        talk_ms: talk_ms.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
        sip_status: sip_status.or_else(|| leg.answered_at.map(|_| 200)),
        reason,
        rtp_received: report.packets_in,
        rtp_sent: report.packets_out,
    }
}
