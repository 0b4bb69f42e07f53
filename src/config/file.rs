//! What may be typed: the tables of the files, as [`shape`](super::shape) completed them.
//!
//! Enums are externally tagged only, and nothing is flattened: both would lose the position of an
//! error.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use toml::Spanned;

use super::checked::{ListKind, LogFormat, Scope};
use super::value::{PortRange, TypedDuration, TypedKeep, TypedNetwork};
use crate::campaign::{Confirm, Mode, OnStale, OnUnconfirmed, Then};
use crate::suppression::Range;
use crate::suppression::list::Direction;

pub(super) type Text = Spanned<String>;

/// `[node]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) default_region: Text,
    pub(super) language: Text,
}

/// `[listen.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Listen {
    pub(super) bind: Spanned<SocketAddr>,
    pub(super) advertise: Option<Spanned<IpAddr>>,
}

/// `[trunks.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Trunk {
    pub(super) host: Spanned<SocketAddr>,
    pub(super) listen: Option<Text>,
    pub(super) max_channels: u32,
    pub(super) caller_id: Vec<String>,
    pub(super) codecs: Vec<String>,
}

/// `[dialers.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Dialer {
    pub(super) allow: Vec<Spanned<TypedNetwork>>,
    pub(super) max_channels: u32,
    pub(super) default_region: Option<Text>,
    pub(super) outcome_header: String,
    pub(super) refusal: Refusal,
}

/// `[dialers.NAME.refusal]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) cause: u8,
}

/// `[lists.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct List {
    pub(super) title: Option<String>,
    pub(super) scope: Scope,
    pub(super) direction: Direction,
    pub(super) ranges: Spanned<Vec<Range>>,
    pub(super) kind: Spanned<ListKind>,
    pub(super) max_age_days: Option<Spanned<u16>>,
    pub(super) on_stale: Option<Spanned<OnStale>>,
}

/// `[media]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Media {
    pub(super) ports: Spanned<PortRange>,
    pub(super) symmetric: bool,
    pub(super) tick: TypedDuration,
    pub(super) idle_timeout: TypedDuration,
    pub(super) inband: Inband,
}

/// `[media.inband]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Inband {
    pub(super) listen: bool,
    pub(super) level_min: i8,
    pub(super) twist_forward_max: u8,
    pub(super) twist_reverse_max: u8,
}

/// `[prompts]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Prompts {
    pub(super) dir: String,
}

/// `[store]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Store {
    pub(super) path: String,
    pub(super) database: Database,
    pub(super) url: Option<Spanned<Secret>>,
    pub(super) tls: Option<Spanned<Tls>>,
    pub(super) ca: Option<Text>,
    pub(super) ack: Option<Ack>,
    pub(super) stale_after: Option<Spanned<TypedDuration>>,
    pub(super) number_storage: NumberStorage,
    pub(super) number_key: Option<Text>,
    pub(super) keep_evidence: TypedKeep,
    pub(super) keep_calls: TypedKeep,
}

/// How numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NumberStorage {
    Plain,
    Hmac,
}

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Database {
    Sqlite,
    Postgres,
}

/// Who is believed to be the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Tls {
    VerifyFull,
    Off,
}

/// When an opt-out counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ack {
    Journal,
    Both,
    Store,
}

/// `{ env = ".." }` or `{ file = ".." }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Secret {
    Env(String),
    File(String),
}

/// `[evidence]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Evidence {
    pub(super) audio: bool,
    pub(super) audio_before: TypedDuration,
    pub(super) audio_after: TypedDuration,
}

/// `[http]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Http {
    pub(super) bind: SocketAddr,
}

/// `[telemetry]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Telemetry {
    pub(super) log: LogFormat,
    pub(super) filter: Text,
}

/// `[limits]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Limits {
    pub(super) calls_max: u32,
    pub(super) call_max: TypedDuration,
    pub(super) drain: TypedDuration,
}

/// `[campaigns.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Campaign {
    pub(super) title: Option<String>,
    pub(super) account: String,
    pub(super) topic: Option<Text>,
    pub(super) mode: Spanned<Mode>,
    pub(super) subject: Subject,
    pub(super) language: Option<Text>,
    pub(super) check: Option<Spanned<Vec<Text>>>,
    pub(super) route: Spanned<Vec<Text>>,
    pub(super) caller_id: Option<Text>,
    pub(super) max_channels: Option<u32>,
    pub(super) ring_max: TypedDuration,
    pub(super) call_max: Option<Spanned<TypedDuration>>,
    pub(super) on_unconfirmed: OnUnconfirmed,
    pub(super) on_stale: Option<Spanned<OnStale>>,
    pub(super) other_way: Option<String>,
    #[serde(rename = "match")]
    pub(super) matches: Match,
    pub(super) greeting: Greeting,
    pub(super) digits: Digits,
    pub(super) codes: BTreeMap<Text, Code>,
}

/// `"called"`, `"calling"` or `{ header = ".." }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    Called,
    Calling,
    Header(String),
}

/// `[campaigns.NAME.match]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Match {
    pub(super) header: BTreeMap<Text, Vec<Text>>,
    pub(super) from_user: Vec<Text>,
    pub(super) request_user: Vec<Text>,
    pub(super) dialer: Vec<Text>,
}

/// `[campaigns.NAME.greeting]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Greeting {
    pub(super) play: Spanned<Vec<Text>>,
    pub(super) rounds: u32,
}

/// `[campaigns.NAME.digits]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Digits {
    pub(super) first_timeout: TypedDuration,
    pub(super) inter_digit: TypedDuration,
    pub(super) confirm_timeout: TypedDuration,
}

/// `[campaigns.NAME.codes.KEYS]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Code {
    pub(super) add_to: Spanned<Vec<Text>>,
    pub(super) confirm: Confirm,
    pub(super) then: Then,
    pub(super) prompts: CodePrompts,
}

/// `[campaigns.NAME.codes.KEYS.prompts]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CodePrompts {
    pub(super) ask: Text,
    pub(super) done: Text,
    pub(super) already: Text,
    pub(super) failed: Text,
}
