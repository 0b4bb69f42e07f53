//! Offers within a call: each leg's media is anchored here, so they are answered here, and the
//! other leg hears nothing of them.
//!
//! | request | offer in it | our answer |
//! |---|---|---|
//! | re-INVITE | yes | 200 with the answer |
//! | re-INVITE | no  | 200 with an offer; the ACK brings the answer (RFC 3261 section 14.2) |
//! | UPDATE    | yes | 200 with the answer (RFC 3311 section 5.2) |
//! | UPDATE    | no  | 200 without a body: it only refreshes the target |
//!
//! A body that is no session description gets 415, as that of a first INVITE does.
//!
//! The codec in which a leg runs is kept where the offer allows it; where it does not, the leg
//! changes to the other one, and what passes between the legs is recoded.

use super::gate::is_sdp;
use super::ivr::SDP;
use super::machine::Call;
use super::machine::LegState;
use super::machine::Step;
use crate::model::Codec;
use crate::sdp::LocalMedia;
use crate::sdp::Negotiated;
use crate::sdp::Offer;
use crate::sdp::SdpError;
use crate::sip::Body;
use crate::sip::Headers;
use crate::sip::Method;
use crate::sip::OwnedMessage;
use crate::sip::TransactionId;
use crate::suppression::Leg;

/// When a dialer may offer anew whose first offer is not answered yet. Our choice, within the
/// 0 to 10 s of RFC 3311 section 5.2: a phone that rings is answered by then, or the next one.
const RETRY_AFTER_S: &str = "5";

impl Call {
    /// A re-INVITE or UPDATE within the session of `leg`.
    pub(super) fn reoffered(
        &mut self,
        step: &mut Step<'_>,
        leg: Leg,
        transaction: TransactionId,
        request: &OwnedMessage,
    ) {
        let message = request.view();
        let is_update = message.method() == Some(Method::Update);
        match (message.body(), is_update) {
            ([], true) => step.endpoint.respond(step.now, transaction, 200, Headers::new(), None),
            ([], false) => self.offer_anew(step, leg, transaction),
            _ if !is_sdp(&message) => {
                step.endpoint.respond(step.now, transaction, 415, Headers::new(), None);
            }
            (offer, _) => self.answer_offer(step, leg, transaction, offer),
        }
    }

    /// The re-INVITE leaves the offer to us: all that the leg can speak, in its own codec first, in
    /// the lines of our last description (RFC 3264 section 8).
    fn offer_anew(&mut self, step: &mut Step<'_>, leg: Leg, transaction: TransactionId) {
        let codecs = self.codecs_of(leg);
        let Some(target) = self.leg_mut(leg) else { return };
        target.local =
            LocalMedia { codecs, version: target.local.version + 1, ..target.local.clone() };
        target.offering = true;
        let sdp = crate::sdp::offer(&target.local);
        respond_with(step, transaction, sdp);
    }

    fn answer_offer(
        &mut self,
        step: &mut Step<'_>,
        leg: Leg,
        transaction: TransactionId,
        offer: &[u8],
    ) {
        let codecs = self.codecs_of(leg);
        let Some(target) = self.leg_mut(leg) else { return };
        if target.state == LegState::Early {
            return refuse_early(step, leg, transaction);
        }
        let local = LocalMedia { version: target.local.version + 1, ..target.local.clone() };
        match answer(&local, &codecs, offer) {
            Ok((negotiated, sdp)) => {
                target.local = local.keeping(&sdp);
                target.negotiated = Some(negotiated);
                respond_with(step, transaction, sdp);
                self.settle_voice(step, leg);
            }
            Err(error) => {
                let status = if error.is_unsupported() { 488 } else { 400 };
                step.endpoint.respond(step.now, transaction, status, Headers::new(), None);
            }
        }
    }

    /// What `leg` can speak, the codec in which it runs first.
    pub(super) fn codecs_of(&self, leg: Leg) -> Vec<Codec> {
        let running = self.leg(leg).and_then(|leg| Some(leg.negotiated.as_ref()?.codec));
        let known: &[Codec] = match (leg, &self.trunk) {
            (Leg::B, Some(trunk)) => &trunk.codecs,
            _ => &Codec::ALL,
        };
        in_order(running, known)
    }
}

/// `first` before the others of `known`.
pub(super) fn in_order(first: Option<Codec>, known: &[Codec]) -> Vec<Codec> {
    let others = known.iter().copied().filter(|codec| Some(*codec) != first);
    first.into_iter().chain(others).collect()
}

/// Answers in the first of `codecs` that the offer has, whatever the offer's own order: a leg that
/// has no need to change its codec does not.
fn answer(
    local: &LocalMedia,
    codecs: &[Codec],
    offer: &[u8],
) -> Result<(Negotiated, String), SdpError> {
    let offer = Offer::parse(offer)?;
    let mut refusal = SdpError::NoAudio;
    for &codec in codecs {
        match offer.answer(&LocalMedia { codecs: vec![codec], ..local.clone() }) {
            Ok(answer) => return Ok(answer),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

fn respond_with(step: &mut Step<'_>, transaction: TransactionId, sdp: String) {
    let body = Body { content_type: SDP.to_owned(), bytes: sdp.into_bytes() };
    step.endpoint.respond(step.now, transaction, 200, Headers::new(), Some(body));
}

/// An UPDATE before the call is answered: our provisional responses are not reliable, so that the
/// INVITE's offer counts as unanswered until the 200 (RFC 3261 section 13.2.1). RFC 3311 section
/// 5.2 refuses a second offer of theirs with 500, and one that meets ours with 491.
fn refuse_early(step: &mut Step<'_>, leg: Leg, transaction: TransactionId) {
    let (status, headers) = match leg {
        Leg::A => (500, Headers::new().with("Retry-After", RETRY_AFTER_S)),
        Leg::B => (491, Headers::new()),
    };
    step.endpoint.respond(step.now, transaction, status, headers, None);
}
