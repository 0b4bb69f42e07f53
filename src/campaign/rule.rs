//! A campaign's rule: whose number, which lists, which codes, which way the call goes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::{AccountName, CampaignName, DialerName, Digits, ListName, TopicName, TrunkName};

/// One campaign, checked: every name in it is defined and every number within its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its name, unique in the whole configuration.
    pub name: CampaignName,
    /// Whose campaign it is; lists of scope `account` are read and written for this account.
    pub account: AccountName,
    /// What it is about; entries of lists of scope `topic` are shared by the campaigns of one.
    pub topic: Option<TopicName>,
    /// What people call it; reports print it.
    pub title: String,
    /// Whether we answer its calls ourselves or dial a carrier.
    pub mode: Mode,
    /// Which number is the person's.
    pub subject: Subject,
    /// Which calls belong to it.
    pub matches: Match,
    /// The lists a number must not be on, in the order in which they are looked at.
    pub check: Vec<ListName>,
    /// What the person may press, sorted by digits; no two are equal.
    pub codes: Vec<ResponseCode>,
    /// How long keys are waited for.
    pub listening: Listening,
    /// What a code means whose confirmation press never came.
    pub on_unconfirmed: OnUnconfirmed,
    /// What becomes of a call while this node cannot know every opt-out.
    pub on_stale: OnStale,
    /// How a person opts out where no code is listened for, in the operator's words; reports and
    /// `explain` print it. Always there when `codes` is empty.
    pub other_way: Option<String>,
    /// What the person hears first; only `ivr` plays it.
    pub greeting: Greeting,
    /// The trunks to try, in order; never empty for `bridge`, always for `ivr`.
    pub route: Vec<TrunkName>,
    /// The number shown to the person, as written; `None` passes the dialer's on. Only `bridge`.
    pub caller_id: Option<String>,
    /// Most calls of this campaign at once; `None` leaves it to the dialer's cap.
    pub channels_max: Option<u32>,
    /// Longest ringing before the trunk's leg is cancelled.
    pub ring_max: Duration,
    /// Longest call from answer to our BYE.
    pub call_max: Duration,
    /// Where its table begins.
    pub origin: Origin,
}

impl Campaign {
    /// Every prompt that a call of this campaign may play, in no particular order, perhaps twice.
    pub fn prompts(&self) -> impl Iterator<Item = &PromptName> {
        let of_codes = self.codes.iter().flat_map(|code| {
            let CodePrompts { ask, done, already, failed } = &code.prompts;
            let ask = (code.confirm == Confirm::PressAgain).then_some(ask);
            [done, already, failed].into_iter().chain(ask)
        });
        self.greeting.play.iter().chain(of_codes)
    }

    /// Whether the person calls, so that lists that count for inbound calls do.
    pub fn is_inbound(&self) -> bool {
        self.subject == Subject::Calling
    }

    /// The code whose keys are exactly `digits`.
    pub fn code(&self, digits: Digits) -> Option<&ResponseCode> {
        self.codes.iter().find(|code| code.digits == digits)
    }
}

/// What becomes of a call that belongs to a campaign and passes the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// We answer, play the greeting and listen.
    Ivr,
    /// We dial a trunk and relay between dialer and person, listening on the person's leg.
    Bridge,
}

/// Which number of the dialer's INVITE is the person's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// The user of the request URI: the campaign called the person.
    #[default]
    Called,
    /// The user of From: the person called in.
    Calling,
    /// The number in this header, by its text name.
    Header(String),
}

/// Which calls belong to a campaign: any of these values on the INVITE.
///
/// All values are compared byte for byte, header names without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Header names with the values that name this campaign.
    pub headers: Vec<(String, Vec<String>)>,
    /// User parts of the From URI.
    pub from_users: Vec<String>,
    /// User parts of the request URI.
    pub request_users: Vec<String>,
    /// Dialers all of whose otherwise unnamed calls belong here.
    pub dialers: Vec<DialerName>,
}

/// What one string of keys does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseCode {
    /// The keys, 1 to 16.
    pub digits: Digits,
    /// The lists the person's number is added to; never empty.
    pub add_to: Vec<ListName>,
    /// Whether the keys must be pressed a second time.
    pub confirm: Confirm,
    /// What follows the confirmation prompt.
    pub then: Then,
    /// What the person hears.
    pub prompts: CodePrompts,
    /// Where the code's table begins.
    pub origin: Origin,
}

/// Whether a code must be pressed again before it counts as confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirm {
    /// Once is enough.
    #[default]
    None,
    /// The `ask` prompt is played and the same keys must follow.
    PressAgain,
}

/// What follows the confirmation prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The call ends.
    #[default]
    Hangup,
    /// The call goes on as it was.
    Continue,
}

/// What a code means that was pressed but whose confirmation press never came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnconfirmed {
    /// The opt-out counts, recorded as `dialled-unconfirmed`.
    #[default]
    Block,
    /// The press is forgotten.
    Ignore,
}

/// What becomes of a call while the shared store has been out of reach for too long, so that an
/// opt-out elsewhere may be unknown here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStale {
    /// It is refused: who cannot know does not dial.
    #[default]
    Refuse,
    /// It is made by what is known here.
    Call,
}

/// How long keys are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// From the end of the greeting to the first key.
    pub first_key_max: Duration,
    /// From one key to the next of the same code; zero decides at once.
    pub digit_gap_max: Duration,
    /// From the start of the `ask` prompt to the keys pressed again.
    pub confirm_max: Duration,
}

/// What an `ivr` campaign plays after it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The prompts, one after the other; empty is silence.
    pub play: Vec<PromptName>,
    /// How often the whole row is played, a first-key timeout between two rounds; 1 to 10.
    pub rounds: u32,
}

/// What the person hears around one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodePrompts {
    /// Asks for the second press; only played with [`Confirm::PressAgain`].
    pub ask: PromptName,
    /// The opt-out is durable.
    pub done: PromptName,
    /// The number was on the lists already.
    pub already: PromptName,
    /// The opt-out could not be made durable.
    pub failed: PromptName,
}

/// A prompt by language folder and file name without its ending, such as `es/welcome`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PromptName(Arc<str>);

impl PromptName {
    /// The prompt `name` as spoken in `language`.
    pub fn new(language: &str, name: &str) -> Self {
        Self(format!("{language}/{name}").into())
    }

    /// Language and name with a slash between.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PromptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in the configuration, so that a decision can name the line that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, as the person who started us would name it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
