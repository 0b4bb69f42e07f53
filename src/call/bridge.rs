//! The calls that go on to a carrier: both legs anchored here, the person heard all along.

use std::sync::Arc;

use super::gate;
use super::ivr::SDP;
use super::machine::Call;
use super::machine::CallLeg;
use super::machine::LegState;
use super::machine::Phase;
use super::machine::Step;
use super::outcome::Outcome;
use super::voice::VoiceCommand;
use crate::model::Codec;
use crate::record::Disposition;
use crate::sdp::LocalMedia;
use crate::sip::Body;
use crate::sip::Headers;
use crate::sip::Invite;
use crate::sip::OwnedMessage;
use crate::sip::StartLine;
use crate::suppression::Hit;
use crate::suppression::Leg;

impl Call {
    /// Asks the carrier: an INVITE built by us, with our own media in it.
    pub(super) fn dial_trunk(&mut self, step: &mut Step<'_>, local_b: LocalMedia) {
        let Some(trunk) = self.trunk.clone() else { return };
        let codecs = self.codecs_for(&trunk.codecs);
        if codecs.is_empty() {
            self.refuse_a(step, 488, "Not Acceptable Here", "media", Disposition::Refused);
            return;
        }
        if !trunk.takes_caller(&self.admitted.caller) {
            return self.refuse_a(step, 403, "Caller Not Allowed", "caller", Disposition::Refused);
        }
        // The last look before an INVITE leaves: an opt-out may have come since admission.
        if let Some(hit) = gate::suppressed(step.index, &self.admitted) {
            self.refuse_suppressed(step, hit);
            return;
        }
        if gate::is_blind(step.now, step.index, &self.admitted) {
            let phrase = "Service Unavailable";
            return self.refuse_a(step, 503, phrase, gate::STALE, Disposition::Refused);
        }
        let local = LocalMedia { codecs, ..local_b };
        let invite = self.trunk_invite(&trunk, &local);
        let sip_call_id = invite.call_id.clone().unwrap_or_default();
        match step.endpoint.invite(step.now, invite) {
            Ok(session) => {
                self.phase = Phase::Ringing;
                self.b = Some(CallLeg {
                    session,
                    state: LegState::Early,
                    local,
                    negotiated: None,
                    offering: false,
                    answer: None,
                    signalling: trunk.remote.ip(),
                    sip_call_id,
                    answered_at: None,
                    ended_at: None,
                });
            }
            Err(_) => self.refuse_a(step, 503, "Service Unavailable", "busy", Disposition::Refused),
        }
    }

    /// What both the dialer and the trunk speak, in the trunk's order: nothing is recoded where the
    /// carrier keeps to it.
    fn codecs_for(&self, trunk: &[Codec]) -> Vec<Codec> {
        let offered = self.admitted.offer.as_ref().map(crate::sdp::Offer::codecs);
        trunk
            .iter()
            .copied()
            .filter(|codec| offered.as_ref().is_none_or(|offered| offered.contains(codec)))
            .collect()
    }

    fn trunk_invite(&self, trunk: &super::rules::Trunk, local: &LocalMedia) -> Invite {
        let user = self.admitted.dialled.unwrap_or(self.admitted.number).reveal();
        let uri = format!("sip:{user}@{}", trunk.remote);
        let caller = &self.admitted.caller;
        let host = local.address.ip();
        let host = if host.is_ipv6() { format!("[{host}]") } else { host.to_string() };
        Invite {
            listener: trunk.listener,
            to: trunk.remote,
            request_uri: uri.clone(),
            from: format!("<sip:{caller}@{host}>"),
            to_header: format!("<{uri}>"),
            call_id: Some(format!("{}-b", self.id)),
            // The name under which sngrep and Homer draw both legs as one call.
            max_forwards: self.admitted.max_forwards,
            headers: Headers::new().with("X-CID", &self.a.sip_call_id),
            body: Some(Body {
                content_type: SDP.to_owned(),
                bytes: crate::sdp::offer(local).into_bytes(),
            }),
            ring_max: self.admitted.campaign.ring_max,
        }
    }

    /// The carrier reports progress: the dialer hears of it, with the carrier's early media.
    pub(super) fn progress(&mut self, step: &mut Step<'_>, response: &OwnedMessage) {
        let message = response.view();
        let StartLine::Response { status, .. } = message.start() else { return };
        if self.a.state != LegState::Early || status == 100 {
            return;
        }
        let body = self.early_media(step, message.body());
        let status = if body.is_some() { 183 } else { status.clamp(180, 183) };
        step.endpoint.ring(step.now, self.a.session, status, Headers::new(), body);
    }

    /// The early answer of the carrier, turned into ours towards the dialer. The first early
    /// dialog with media is the one that is heard.
    fn early_media(&mut self, step: &mut Step<'_>, sdp: &[u8]) -> Option<Body> {
        let b = self.b.as_mut()?;
        if sdp.is_empty() || b.negotiated.is_some() {
            return None;
        }
        b.negotiated = Some(crate::sdp::accept(&b.local, sdp).ok()?);
        self.settle_voice(step, Leg::B);
        // An offer of ours may stand only in a reliable response (RFC 3261 section 13.2.1), and
        // the first of those is the 200.
        self.admitted.offer.as_ref()?;
        let body = self.describe_a()?;
        self.settle_voice(step, Leg::A);
        self.tell_voice(step, VoiceCommand::Relay { on: true });
        Some(body)
    }

    /// Our side of the media towards the dialer: one answer to its offer, in the codec that the
    /// carrier chose first. What a 183 has said the 200 repeats, octet for octet (RFC 3261 section
    /// 13.2.1), whatever the carrier's own 200 says; should it change the codec, what passes
    /// between the legs is recoded. Without an offer of the dialer's it is our offer.
    fn describe_a(&mut self) -> Option<Body> {
        let codec = self.b.as_ref()?.negotiated.as_ref()?.codec;
        let sdp = match (&self.a.answer, &self.admitted.offer) {
            (Some(given), _) => given.clone(),
            (None, Some(offer)) => {
                self.a.local.codecs = vec![codec];
                let (negotiated, sdp) = offer.answer(&self.a.local).ok()?;
                self.a.negotiated = Some(negotiated);
                self.a.local = self.a.local.clone().keeping(&sdp);
                self.a.answer.insert(sdp).clone()
            }
            (None, None) => {
                self.a.local.codecs = super::reoffer::in_order(Some(codec), &Codec::ALL);
                self.a.offering = true;
                crate::sdp::offer(&self.a.local)
            }
        };
        Some(Body { content_type: SDP.to_owned(), bytes: sdp.into_bytes() })
    }

    /// The person (or their machine) answered.
    pub(super) fn answered(&mut self, step: &mut Step<'_>, response: &OwnedMessage) {
        let Some(b) = self.b.as_mut() else { return };
        b.state = LegState::Up;
        b.answered_at = Some(step.now);
        self.sip_status = Some(200);
        let message = response.view();
        if !message.body().is_empty() {
            // The 200 of the fork that won counts, whatever another promised early.
            b.negotiated = crate::sdp::accept(&b.local, message.body()).ok();
        }
        if self.a.state != LegState::Early {
            return self.end(step, &Outcome::Ended("gone"));
        }
        let Some(body) = self.describe_a() else {
            let (status, phrase) = (488, "Not Acceptable Here");
            return self.refuse_a(step, status, phrase, "media", Disposition::Refused);
        };
        step.endpoint.answer(step.now, self.a.session, Headers::new(), Some(body));
        self.a.state = LegState::Answered;
        self.a.answered_at = Some(step.now);
        self.hang_up_at = step.now + self.call_max;
        tracing::debug!("answered by the person's side");
        self.phase = Phase::Up;
        self.settle_voice(step, Leg::B);
        self.settle_voice(step, Leg::A);
        self.tell_voice(step, VoiceCommand::Relay { on: true });
    }

    /// The carrier refused, or never answered.
    pub(super) fn refused(
        &mut self,
        step: &mut Step<'_>,
        status: u16,
        response: Option<&OwnedMessage>,
    ) {
        self.leg_gone(step, Leg::B);
        if self.a.state != LegState::Early {
            return; // Our own CANCEL or BYE was answered; the call has its outcome.
        }
        self.sip_status = Some(status);
        let phrase = response.and_then(|response| {
            let StartLine::Response { reason, .. } = response.view().start() else { return None };
            let reason = String::from_utf8_lossy(reason).into_owned();
            (!reason.is_empty()).then_some(reason)
        });
        let reason_header = response.and_then(|response| {
            Some(
                String::from_utf8_lossy(response.view().header(crate::sip::HeaderName::Reason)?)
                    .into_owned(),
            )
        });
        self.sip_reason = reason_header.or_else(|| phrase.clone());
        self.disposition.get_or_insert_with(|| refusal_disposition(status));
        // A challenge is between the carrier and us: the dialer is told that the way is closed.
        let status = match status {
            401 | 407 | 300..=399 => 502,
            status => status,
        };
        // An empty phrase is the status's own.
        let phrase = phrase.filter(|_| status != 502).unwrap_or_default();
        self.refuse_a_with(step, status, &phrase, Outcome::Refused("carrier"));
    }

    /// Refuses the dialer's leg where it still waits, and ends the call.
    pub(super) fn refuse_a(
        &mut self,
        step: &mut Step<'_>,
        status: u16,
        phrase: &str,
        why: &'static str,
        disposition: Disposition,
    ) {
        self.disposition.get_or_insert(disposition);
        self.sip_status.get_or_insert(status);
        self.refuse_a_with(step, status, phrase, Outcome::Refused(why));
    }

    fn refuse_a_with(&mut self, step: &mut Step<'_>, status: u16, phrase: &str, outcome: Outcome) {
        if self.a.state == LegState::Early {
            let headers = Headers::new().with(self.outcome_header(), &outcome.header());
            step.endpoint.reject(step.now, self.a.session, status, phrase, headers);
            self.a.state = LegState::Gone;
            self.a.ended_at = Some(step.now);
        }
        self.end(step, &outcome);
    }

    /// A number of this call was opted out elsewhere while the carrier rings for it.
    pub(super) fn opted_out_elsewhere(&mut self, step: &mut Step<'_>) {
        if let Some(hit) =
            gate::suppressed(step.index, &self.admitted).filter(|_| self.is_ringing())
        {
            self.refuse_suppressed(step, hit);
        }
    }

    /// The number was put on a list between admission and the answer.
    fn refuse_suppressed(&mut self, step: &mut Step<'_>, hit: Hit) {
        let refusal = self.admitted.dialer.refusal.clone();
        self.disposition.get_or_insert(Disposition::Suppressed);
        self.sip_status = Some(refusal.status);
        let outcome = Outcome::Suppressed { list: hit.list };
        if self.a.state == LegState::Early {
            let headers = gate::refusal_headers(&self.admitted.dialer, &outcome);
            step.endpoint.reject(
                step.now,
                self.a.session,
                refusal.status,
                &refusal.phrase,
                headers,
            );
            self.a.state = LegState::Gone;
            self.a.ended_at = Some(step.now);
        }
        self.end(step, &outcome);
    }

    /// A trunk with a free channel, in the order of the campaign's route.
    pub(super) fn choose_trunk<'r>(
        rules: &'r super::rules::Rules,
        route: &[crate::model::TrunkName],
        in_use: impl Fn(&crate::model::TrunkName) -> usize,
    ) -> Option<&'r Arc<super::rules::Trunk>> {
        route
            .iter()
            .filter_map(|name| rules.trunks.get(name))
            .find(|trunk| in_use(&trunk.name) < trunk.channels_max)
    }
}

/// What a carrier's refusal means in a report.
const fn refusal_disposition(status: u16) -> Disposition {
    match status {
        486 | 600 => Disposition::Busy,
        408 | 480 | 487 => Disposition::NoAnswer,
        _ => Disposition::Failed,
    }
}
