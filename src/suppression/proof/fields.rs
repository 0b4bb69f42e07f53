//! Which fields of a fact are personal, and the JSON of both kinds.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::AccountName;
use crate::model::CallId;
use crate::model::CampaignName;
use crate::model::DialerName;
use crate::model::Digits;
use crate::model::ListName;
use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::model::TrunkName;
use crate::model::UnixMicros;
use crate::suppression::erasure::Erasure;
use crate::suppression::erasure::ErasureCause;
use crate::suppression::fact::Fact;
use crate::suppression::optout::KeyMethod;
use crate::suppression::optout::Leg;
use crate::suppression::optout::OptOut;
use crate::suppression::optout::Origin;
use crate::suppression::reversal::Authority;
use crate::suppression::reversal::Cancelled;
use crate::suppression::reversal::Reversal;

use super::Hash;
use super::Kind;
use super::RecordError;

/// A personal field; the number is in the record's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Number = 1,
    SipCallId = 2,
    KeyEvents = 3,
    Actor = 4,
    Reason = 5,
}

impl Field {
    /// How many there are.
    pub(super) const COUNT: usize = 5;

    pub(super) const ALL: [Self; Self::COUNT] =
        [Self::Number, Self::SipCallId, Self::KeyEvents, Self::Actor, Self::Reason];

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|field| *field as u8 == code)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// The name that goes into the commitment.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::SipCallId => "sip_call_id",
            Self::KeyEvents => "key_events",
            Self::Actor => "actor",
            Self::Reason => "reason",
        }
    }
}

/// The fields of an opt-out that name nobody.
#[derive(Serialize, Deserialize)]
struct PlainOptOut {
    lists: Vec<ListName>,
    account: Option<AccountName>,
    campaign: Option<CampaignName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<TopicName>,
    dialer: Option<DialerName>,
    trunk: Option<TrunkName>,
    digits: Digits,
    method: Option<KeyMethod>,
    origin: Origin,
    leg: Option<Leg>,
    node: NodeName,
    call: Option<CallId>,
    prompt_sha256: Option<[u8; 32]>,
    pressed_at: UnixMicros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyed: Option<Number>,
}

/// The fields of a reversal that name nobody.
#[derive(Serialize, Deserialize)]
struct PlainReversal {
    cancels: Vec<Cancelled>,
    authority: Authority,
    node: NodeName,
    reversed_at: UnixMicros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyed: Option<Number>,
}

/// The fields of an erasure that name nobody: a number that is kept as it is does.
#[derive(Serialize, Deserialize)]
struct PlainErasure {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<Number>,
    slots: Vec<u32>,
    audio: Vec<Hash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    records: Vec<RecordId>,
    cause: ErasureCause,
    authority: Authority,
    actor: Option<String>,
    reason: Option<String>,
    node: NodeName,
    erased_at: UnixMicros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answers: Option<RecordId>,
}

/// What stands before the keyed number in plain JSON, and nowhere else there: within a text a
/// quotation mark has a backslash before it.
const KEYED: &[u8] = b"\"keyed\":";

/// Personal fields with their JSON values, in field order.
pub(super) type Personal = Vec<(Field, Vec<u8>)>;

/// A fact's kind, plain JSON and personal fields; with the number as it is kept, where that is
/// `keyed`.
pub(super) fn split(
    fact: &Fact,
    keyed: Option<Number>,
) -> Result<(Kind, Vec<u8>, Personal), RecordError> {
    match fact {
        Fact::OptOut(optout) => {
            let plain = json("plain fields", &plain_of(optout, keyed))?;
            Ok((Kind::OptOut, plain, personal_of(optout)?))
        }
        Fact::Confirmed(confirmation) => {
            Ok((Kind::Confirmed, json("plain fields", confirmation)?, Vec::new()))
        }
        Fact::Import(import) => Ok((Kind::Import, json("plain fields", import)?, Vec::new())),
        Fact::Reversal(reversal) => {
            let (plain, personal) = split_reversal(reversal, keyed)?;
            Ok((Kind::Reversal, plain, personal))
        }
        Fact::Erasure(erasure) => {
            let (plain, personal) = split_erasure(erasure)?;
            Ok((Kind::Erasure, plain, personal))
        }
        Fact::Audio(audio) => Ok((Kind::Audio, json("plain fields", audio)?, Vec::new())),
        Fact::Checkpoint(checkpoint) => {
            Ok((Kind::Checkpoint, json("plain fields", checkpoint)?, Vec::new()))
        }
    }
}

/// The reverse of [`split`].
pub(super) fn join(kind: Kind, plain: &[u8], personal: Personal) -> Result<Fact, RecordError> {
    match kind {
        Kind::OptOut => {
            let plain: PlainOptOut = parse("plain fields", plain)?;
            optout_of(plain, personal).map(|optout| Fact::OptOut(Box::new(optout)))
        }
        Kind::Confirmed => parse("plain fields", plain).map(Fact::Confirmed),
        Kind::Import => parse("plain fields", plain).map(Fact::Import),
        Kind::Reversal => reversal_of(parse("plain fields", plain)?, &personal)
            .map(|it| Fact::Reversal(it.into())),
        Kind::Erasure => {
            erasure_of(parse("plain fields", plain)?, &personal).map(|it| Fact::Erasure(it.into()))
        }
        Kind::Audio => parse("plain fields", plain).map(Fact::Audio),
        Kind::Checkpoint => parse("plain fields", plain).map(Fact::Checkpoint),
    }
}

/// The fact by its plain fields alone, under the keyed number that stands in them, or else under the
/// one that was `kept` of it; nothing without either, as in a store that keeps numbers as they are.
pub(super) fn outline(
    kind: Kind,
    plain: &[u8],
    kept: Option<Number>,
) -> Result<Option<Fact>, RecordError> {
    if kept.is_none() && memchr::memmem::find(plain, KEYED).is_none() {
        return Ok(None);
    }
    let part = "keyed number";
    let missing = RecordError::Malformed { part };
    let number = |keyed: Option<Number>| keyed.filter(|keyed| keyed.is_keyed()).or(kept);
    let personal = |number| Ok::<_, RecordError>((Field::Number, json(part, &number)?));
    match kind {
        Kind::OptOut => {
            let plain: PlainOptOut = parse("plain fields", plain)?;
            let number = number(plain.keyed).ok_or(missing)?;
            let optout = optout_of(plain, vec![personal(number)?])?;
            Ok(Some(Fact::OptOut(Box::new(optout))))
        }
        Kind::Reversal => {
            let plain: PlainReversal = parse("plain fields", plain)?;
            let number = number(plain.keyed).ok_or(missing)?;
            let unsaid = (Field::Reason, json("reason", &"")?);
            let reversal = reversal_of(plain, &[personal(number)?, unsaid])?;
            Ok(Some(Fact::Reversal(reversal.into())))
        }
        Kind::Erasure => {
            let Some(kept) = kept else { return Ok(None) };
            let erasure = erasure_of(parse("plain fields", plain)?, &[personal(kept)?])?;
            Ok(Some(Fact::Erasure(erasure.into())))
        }
        Kind::Audio | Kind::Checkpoint | Kind::Confirmed | Kind::Import => Ok(None),
    }
}

fn plain_of(optout: &OptOut, keyed: Option<Number>) -> PlainOptOut {
    PlainOptOut {
        lists: optout.lists.clone(),
        account: optout.account.clone(),
        campaign: optout.campaign.clone(),
        topic: optout.topic.clone(),
        dialer: optout.dialer.clone(),
        trunk: optout.trunk.clone(),
        digits: optout.digits,
        method: optout.method,
        origin: optout.origin,
        leg: optout.leg,
        node: optout.node.clone(),
        call: optout.call,
        prompt_sha256: optout.prompt_sha256,
        pressed_at: optout.pressed_at,
        keyed,
    }
}

fn personal_of(optout: &OptOut) -> Result<Personal, RecordError> {
    let mut personal = vec![(Field::Number, json("number", &optout.number)?)];
    if let Some(sip_call_id) = &optout.sip_call_id {
        personal.push((Field::SipCallId, json("SIP Call-ID", sip_call_id)?));
    }
    if !optout.key_events.is_empty() {
        personal.push((Field::KeyEvents, json("key events", &optout.key_events)?));
    }
    if let Some(actor) = &optout.actor {
        personal.push((Field::Actor, json("actor", actor)?));
    }
    if let Some(reason) = &optout.reason {
        personal.push((Field::Reason, json("reason", reason)?));
    }
    Ok(personal)
}

fn optout_of(plain: PlainOptOut, personal: Personal) -> Result<OptOut, RecordError> {
    let mut number = None;
    let (mut sip_call_id, mut key_events, mut actor, mut reason) = (None, Vec::new(), None, None);
    for (field, value) in personal {
        match field {
            Field::Number => number = Some(parse("number", &value)?),
            Field::SipCallId => sip_call_id = Some(parse("SIP Call-ID", &value)?),
            Field::KeyEvents => key_events = parse("key events", &value)?,
            Field::Actor => actor = Some(parse("actor", &value)?),
            Field::Reason => reason = Some(parse("reason", &value)?),
        }
    }
    Ok(OptOut {
        number: number.ok_or(RecordError::Malformed { part: "number" })?,
        lists: plain.lists,
        account: plain.account,
        campaign: plain.campaign,
        topic: plain.topic,
        dialer: plain.dialer,
        trunk: plain.trunk,
        digits: plain.digits,
        method: plain.method,
        origin: plain.origin,
        sip_call_id,
        leg: plain.leg,
        node: plain.node,
        call: plain.call,
        prompt_sha256: plain.prompt_sha256,
        key_events,
        actor,
        reason,
        pressed_at: plain.pressed_at,
    })
}

fn split_reversal(
    reversal: &Reversal,
    keyed: Option<Number>,
) -> Result<(Vec<u8>, Personal), RecordError> {
    let plain = PlainReversal {
        cancels: reversal.cancels.clone(),
        authority: reversal.authority,
        node: reversal.node.clone(),
        reversed_at: reversal.reversed_at,
        keyed,
    };
    let mut personal = vec![(Field::Number, json("number", &reversal.number)?)];
    if let Some(actor) = &reversal.actor {
        personal.push((Field::Actor, json("actor", actor)?));
    }
    personal.push((Field::Reason, json("reason", &reversal.reason)?));
    Ok((json("plain fields", &plain)?, personal))
}

fn reversal_of(
    plain: PlainReversal,
    personal: &[(Field, Vec<u8>)],
) -> Result<Reversal, RecordError> {
    let value =
        |wanted| personal.iter().find(|(field, _)| *field == wanted).map(|(_, value)| value);
    let number = value(Field::Number).ok_or(RecordError::Malformed { part: "number" })?;
    let reason = value(Field::Reason).ok_or(RecordError::Malformed { part: "reason" })?;
    Ok(Reversal {
        number: parse("number", number)?,
        cancels: plain.cancels,
        authority: plain.authority,
        actor: value(Field::Actor).map(|value| parse("actor", value)).transpose()?,
        reason: parse("reason", reason)?,
        node: plain.node,
        reversed_at: plain.reversed_at,
    })
}

fn split_erasure(erasure: &Erasure) -> Result<(Vec<u8>, Personal), RecordError> {
    let is_keyed = erasure.number.is_keyed();
    let plain = PlainErasure {
        number: is_keyed.then_some(erasure.number),
        slots: erasure.slots.clone(),
        audio: erasure.audio.clone(),
        records: erasure.records.clone(),
        cause: erasure.cause,
        authority: erasure.authority,
        actor: erasure.actor.clone(),
        reason: erasure.reason.clone(),
        node: erasure.node.clone(),
        erased_at: erasure.erased_at,
        answers: erasure.answers,
    };
    let personal = match is_keyed {
        true => Vec::new(),
        false => vec![(Field::Number, json("number", &erasure.number)?)],
    };
    Ok((json("plain fields", &plain)?, personal))
}

fn erasure_of(plain: PlainErasure, personal: &[(Field, Vec<u8>)]) -> Result<Erasure, RecordError> {
    let sealed = personal.iter().find(|(field, _value)| *field == Field::Number);
    let number = match (plain.number, sealed) {
        (Some(number), None) if number.is_keyed() => number,
        (None, Some((_field, value))) => parse("number", value)?,
        _ => return Err(RecordError::Malformed { part: "number" }),
    };
    Ok(Erasure {
        number,
        slots: plain.slots,
        audio: plain.audio,
        records: plain.records,
        cause: plain.cause,
        authority: plain.authority,
        actor: plain.actor,
        reason: plain.reason,
        node: plain.node,
        erased_at: plain.erased_at,
        answers: plain.answers,
    })
}

fn json<T: Serialize>(part: &'static str, value: &T) -> Result<Vec<u8>, RecordError> {
    serde_json::to_vec(value).map_err(|_error| RecordError::Malformed { part })
}

fn parse<T: DeserializeOwned>(part: &'static str, value: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(value).map_err(|_error| RecordError::Malformed { part })
}
