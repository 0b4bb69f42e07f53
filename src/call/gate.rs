//! The gate: who sends this call, for which campaign, about whose number, and may it be made.
//!
//! Everything is decided on the INVITE, before any carrier sees it. What cannot be decided is
//! refused: an unknown sender, a call without a campaign, a number that cannot be read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::ivr::SDP;
use super::judgement;
use super::judgement::Moment;
use super::judgement::Numbers;
use super::judgement::Objection;
use super::outcome::OUTCOME_HEADER;
use super::outcome::Outcome;
use super::rules::Dialer;
use super::rules::Rules;
use crate::campaign::CallFacts;
use crate::campaign::Campaign;
use crate::campaign::Mode;
use crate::campaign::Subject;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::number::Dialled;
use crate::model::number::NumberError;
use crate::record::Disposition;
use crate::sdp::Offer;
use crate::sdp::SdpError;
use crate::sip::Headers;
use crate::sip::Message;
use crate::sip::Scheme;
use crate::sip::StartLine;
use crate::sip::Uri;
use crate::suppression::Hit;
use crate::suppression::Index;
use crate::suppression::Leg;

/// When a dialer may try again whose channels are all in use. Our choice: a short call's length.
const RETRY_AFTER_S: &str = "10";

/// Why a call is refused while this node may have missed an opt-out.
pub(super) const STALE: &str = "stale";

/// When a dialer may try again then. Our choice: stores come back within a restart.
const STALE_RETRY_AFTER_S: &str = "30";

/// A call that may be made: what the INVITE said, read once.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) rules: Arc<Rules>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) campaign: Arc<Campaign>,
    /// The person's number.
    pub(super) number: Number,
    /// The leg on which the person is.
    pub(super) person: Leg,
    /// The number to dial at the trunk; nothing where we answer ourselves.
    pub(super) dialled: Option<Number>,
    /// The user to show as the caller.
    pub(super) caller: String,
    /// The dialer's offer; nothing when its INVITE carried none.
    pub(super) offer: Option<Offer>,
    /// What the trunk's INVITE may still pass (RFC 3261 section 8.1.1.6), one less than ours had.
    pub(super) max_forwards: u8,
    pub(super) sip_call_id: String,
}

impl Admitted {
    /// The numbers that must not stand on a list: the person's, and the one that is dialled.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> + use<> {
        [Some(self.number), self.dialled].into_iter().flatten()
    }

    const fn asked(&self) -> Numbers {
        Numbers { person: self.number, dialled: self.dialled }
    }
}

/// A call that is refused, with what its sender is told.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) phrase: String,
    pub(super) headers: Headers,
    pub(super) outcome: Outcome,
    pub(super) disposition: Disposition,
    pub(super) dialer: Option<Arc<Dialer>>,
    pub(super) campaign: Option<Arc<Campaign>>,
    pub(super) number: Option<Number>,
    pub(super) list: Option<ListName>,
    pub(super) record: Option<RecordId>,
}

impl Refused {
    fn new(status: u16, phrase: &str, why: &'static str) -> Self {
        let outcome = Outcome::Refused(why);
        Self {
            status,
            phrase: phrase.to_owned(),
            headers: Headers::new().with(OUTCOME_HEADER, &outcome.header()),
            outcome,
            disposition: Disposition::Refused,
            dialer: None,
            campaign: None,
            number: None,
            list: None,
            record: None,
        }
    }

    /// All of a cap's channels are in use.
    pub(super) fn full(why: &'static str, admitted: &Admitted) -> Self {
        Self::later(why, RETRY_AFTER_S, admitted)
    }

    /// It cannot be made now; `after_s` seconds later it may.
    fn later(why: &'static str, after_s: &str, admitted: &Admitted) -> Self {
        let mut refused = Self::new(503, "Service Unavailable", why)
            .of(&admitted.dialer, Some(&admitted.campaign));
        refused.headers = refused.headers.with("Retry-After", after_s);
        refused.number = Some(admitted.number);
        refused
    }

    /// A registry is too old: nobody can say whether the number may be called, and it is not the
    /// number's fault.
    fn stale(list: ListName, admitted: &Admitted) -> Self {
        let mut refused = Self::new(503, "Registry Too Old", "stale-registry")
            .of(&admitted.dialer, Some(&admitted.campaign));
        refused.number = Some(admitted.number);
        refused.list = Some(list);
        refused
    }

    fn of(mut self, dialer: &Arc<Dialer>, campaign: Option<&Arc<Campaign>>) -> Self {
        self.headers = Headers::new().with(&dialer.outcome_header, &self.outcome.header());
        self.dialer = Some(Arc::clone(dialer));
        self.campaign = campaign.map(Arc::clone);
        self
    }
}

/// Decides on an INVITE from `source` that came at `now`, which is `today`.
pub(super) fn admit(
    now: Instant,
    today: UnixMicros,
    rules: &Arc<Rules>,
    index: &Index,
    source: SocketAddr,
    message: &Message<'_>,
) -> Result<Box<Admitted>, Box<Refused>> {
    let Some(dialer) = rules.dialer_at(source.ip()) else {
        return Err(Box::new(Refused::new(403, "Forbidden", "unknown-dialer")));
    };
    let admitted = read(rules, dialer, message)?;
    let (campaign, asked) = (&admitted.campaign, admitted.asked());
    let checks = rules.checks(&campaign.name);
    let refused = match checks.objection(index, campaign, asked, Moment { now, today }) {
        None => return Ok(admitted),
        Some(Objection::ShortCode) => return Err(short_code(dialer, campaign)),
        Some(Objection::Suppressed(hit)) => refuse_suppressed(&admitted, hit),
        Some(Objection::Stale) => Refused::later(STALE, STALE_RETRY_AFTER_S, &admitted),
        Some(Objection::StaleRegistry(list)) => Refused::stale(list, &admitted),
    };
    Err(Box::new(refused))
}

/// The first list, in the campaign's order, on which the person's number stands, or the one that
/// is dialled, whoever the person is.
pub(super) fn suppressed(index: &Index, admitted: &Admitted) -> Option<Hit> {
    let campaign = &admitted.campaign;
    admitted.rules.checks(&campaign.name).suppressed(index, campaign, admitted.asked())
}

/// Whether this node may not know that somebody of this call has opted out.
pub(super) fn is_blind(now: Instant, index: &Index, admitted: &Admitted) -> bool {
    judgement::is_blind(now, index, &admitted.campaign)
}

fn refuse_suppressed(admitted: &Admitted, hit: Hit) -> Refused {
    let refusal = &admitted.dialer.refusal;
    let outcome = Outcome::Suppressed { list: hit.list.clone() };
    Refused {
        status: refusal.status,
        phrase: refusal.phrase.clone(),
        headers: refusal_headers(&admitted.dialer, &outcome),
        outcome,
        disposition: Disposition::Suppressed,
        dialer: Some(Arc::clone(&admitted.dialer)),
        campaign: Some(Arc::clone(&admitted.campaign)),
        number: Some(admitted.number),
        list: Some(hit.list),
        record: hit.record,
    }
}

/// The headers of a refusal by the gate.
pub(super) fn refusal_headers(dialer: &Dialer, outcome: &Outcome) -> Headers {
    let headers = Headers::new().with(&dialer.outcome_header, &outcome.header());
    match &dialer.refusal.reason {
        Some(reason) => headers.with("Reason", reason),
        None => headers,
    }
}

/// Reads what the INVITE says: the campaign, the number, the offer.
fn read(
    rules: &Arc<Rules>,
    dialer: &Arc<Dialer>,
    message: &Message<'_>,
) -> Result<Box<Admitted>, Box<Refused>> {
    let request_user = request_user(message);
    let from_user = from_user(message);
    let campaign =
        find_campaign(rules, dialer, message, from_user.as_deref(), request_user.as_deref())
            .ok_or_else(|| {
                let refused = Refused::new(404, "No Campaign Matches", "no-campaign");
                Box::new(refused.of(dialer, None))
            })?;
    let requested = request_user.unwrap_or_default();
    let caller = caller(dialer, &campaign, from_user.as_deref());
    let (subject, person) = subject(&campaign, message, &requested, from_user.as_deref());
    let number = read_person(dialer, &campaign, subject.as_deref().unwrap_or_default())?;
    // What was read and checked is what is dialled, in the one form that every carrier reads.
    let dialled = match (campaign.mode, &campaign.subject) {
        (Mode::Ivr, _) => None,
        (Mode::Bridge, Subject::Called) => Some(number),
        (Mode::Bridge, _) => Some(read_number(dialer, &campaign, &requested)?),
    };
    Ok(Box::new(Admitted {
        rules: Arc::clone(rules),
        dialer: Arc::clone(dialer),
        number,
        person,
        dialled,
        caller,
        offer: read_offer(dialer, &campaign, message)?,
        max_forwards: message.max_forwards().ok().flatten().unwrap_or(70).saturating_sub(1),
        sip_call_id: text(message.call_id().unwrap_or_default()),
        campaign,
    }))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The user of a URI as the number reader takes it: a `tel:` URI whole, since its context counts.
fn user_text(uri: &Uri<'_>, whole: &[u8]) -> Option<String> {
    match uri.scheme {
        Scheme::Tel => Some(text(whole)),
        _ => Some(text(&uri.decoded_user()?)),
    }
}

fn request_user(message: &Message<'_>) -> Option<String> {
    let StartLine::Request { uri: whole, .. } = message.start() else { return None };
    user_text(&message.request_uri().ok()?, whole)
}

fn from_user(message: &Message<'_>) -> Option<String> {
    let from = message.from().ok()?;
    user_text(&from.uri().ok()?, from.address)
}

fn find_campaign(
    rules: &Rules,
    dialer: &Dialer,
    message: &Message<'_>,
    from_user: Option<&str>,
    request_user: Option<&str>,
) -> Option<Arc<Campaign>> {
    rules.campaigns.find(&CallFacts {
        dialer: &dialer.name,
        header: &|name| message.extension(name),
        from_user: from_user.map(str::as_bytes),
        request_user: request_user.map(str::as_bytes),
    })
}

/// Which text is the person's number, and on which leg the person is.
fn subject(
    campaign: &Campaign,
    message: &Message<'_>,
    dialled: &str,
    from_user: Option<&str>,
) -> (Option<String>, Leg) {
    let called_leg = if campaign.mode == Mode::Bridge { Leg::B } else { Leg::A };
    match &campaign.subject {
        Subject::Called => (Some(dialled.to_owned()), called_leg),
        Subject::Calling => (from_user.map(str::to_owned), Leg::A),
        Subject::Header(name) => (message.extension(name).map(text), called_leg),
    }
}

/// The person's number. Who calls may have a short code, which nobody is called by.
fn read_person(
    dialer: &Arc<Dialer>,
    campaign: &Arc<Campaign>,
    subject: &str,
) -> Result<Number, Box<Refused>> {
    match dialer.numbers.dialled(subject) {
        Ok(Dialled::ShortCode(number)) if judgement::takes_short_codes(campaign) => Ok(number),
        read => judged(dialer, campaign, read),
    }
}

fn read_number(
    dialer: &Arc<Dialer>,
    campaign: &Arc<Campaign>,
    subject: &str,
) -> Result<Number, Box<Refused>> {
    judged(dialer, campaign, dialer.numbers.dialled(subject))
}

/// A number that may be called, or the refusal.
fn judged(
    dialer: &Arc<Dialer>,
    campaign: &Arc<Campaign>,
    read: Result<Dialled, NumberError>,
) -> Result<Number, Box<Refused>> {
    match read {
        Ok(Dialled::Number(number)) => Ok(number),
        Ok(Dialled::Emergency | Dialled::ShortCode(_)) => Err(short_code(dialer, campaign)),
        Err(_) => {
            let refused = Refused::new(484, "Number Cannot Be Read", "number");
            Err(Box::new(refused.of(dialer, Some(campaign))))
        }
    }
}

/// The user to show as the caller: the campaign's, or the dialer's where it is a number. Text of
/// others never reaches a header of ours.
fn caller(dialer: &Dialer, campaign: &Campaign, from_user: Option<&str>) -> String {
    if let Some(shown) = &campaign.caller_id {
        return shown.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '+').collect();
    }
    let number = from_user.and_then(|user| dialer.numbers.read(user).ok());
    number.map_or_else(|| "anonymous".to_owned(), Number::reveal)
}

/// Emergency numbers and short codes never leave through a campaign, whatever the subject is.
fn short_code(dialer: &Arc<Dialer>, campaign: &Arc<Campaign>) -> Box<Refused> {
    let refused = Refused::new(403, "Not Through A Campaign", "short-code");
    Box::new(refused.of(dialer, Some(campaign)))
}

/// Whether the body is a session description, as its type says; one without a type is.
pub(super) fn is_sdp(message: &Message<'_>) -> bool {
    message.content_type().is_none_or(|kind| kind.trim_ascii().eq_ignore_ascii_case(SDP.as_bytes()))
}

fn read_offer(
    dialer: &Arc<Dialer>,
    campaign: &Arc<Campaign>,
    message: &Message<'_>,
) -> Result<Option<Offer>, Box<Refused>> {
    if message.body().is_empty() {
        return Ok(None);
    }
    let refuse = |status, phrase| {
        let refused = Refused::new(status, phrase, "media");
        Box::new(refused.of(dialer, Some(campaign)))
    };
    if !is_sdp(message) {
        return Err(refuse(415, "Unsupported Media Type"));
    }
    Offer::parse(message.body()).map(Some).map_err(|error: SdpError| {
        if error.is_unsupported() {
            refuse(488, "Not Acceptable Here")
        } else {
            refuse(400, "Bad SDP")
        }
    })
}
