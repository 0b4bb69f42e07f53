//! What may be run: the whole configuration, every value in range and every name defined.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::diagnostic::Diagnostic;
use crate::campaign::{Campaigns, OnStale, Origin, PromptName};
use crate::model::codec::Codec;
use crate::model::{DialerName, ListName, Network, NodeName, TrunkName};
use crate::store::AckPolicy;
use crate::store::NumberChoice;
use crate::store::postgres::Tls;
use crate::suppression::Range;
use crate::suppression::Retention;
use crate::suppression::list::Direction;

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// SHA-256 over the names and bytes of all files, in name order; call records carry it.
    pub hash: [u8; 32],
    /// This engine.
    pub node: Node,
    /// The signalling sockets, by name; never empty.
    pub listeners: Vec<Listener>,
    /// The ways out.
    pub trunks: BTreeMap<TrunkName, Trunk>,
    /// Who may send calls.
    pub dialers: BTreeMap<DialerName, Dialer>,
    /// The suppression lists.
    pub lists: BTreeMap<ListName, List>,
    /// RTP.
    pub media: Media,
    /// Where opt-outs and call records are kept.
    pub store: Store,
    /// How long evidence and call records are kept.
    pub retention: Retention,
    /// What is kept of an opt-out besides the record itself.
    pub evidence: Evidence,
    /// Health and metrics.
    pub http: Http,
    /// Logs.
    pub telemetry: Telemetry,
    /// Caps and deadlines of the whole engine.
    pub limits: Limits,
    /// The campaigns, with the tables by which a call finds its own.
    pub campaigns: Arc<Campaigns>,
    /// Every prompt that a campaign may play, and its file.
    pub prompts: BTreeMap<PromptName, PathBuf>,
    /// What loads but is probably not meant.
    pub warnings: Vec<Diagnostic>,
}

impl Checked {
    /// The dialer that sends from `source`; an IPv4 address in IPv6 clothes counts as IPv4.
    pub fn dialer_at(&self, source: IpAddr) -> Option<&Dialer> {
        // Networks of two dialers never overlap, so that the first is the only one.
        self.dialers.values().find(|dialer| dialer.allow.iter().any(|net| net.contains(source)))
    }
}

/// This engine among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name on records.
    pub name: NodeName,
    /// The region in which national numbers are read, ISO 3166-1 alpha-2.
    pub default_region: String,
    /// The folder of the prompts that a campaign plays unless it names another.
    pub language: String,
}

/// One signalling socket, UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Where it is bound; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The address that peers are told (Via, Contact, SDP): never the unspecified one.
    pub advertise: IpAddr,
    /// Where its table begins.
    pub origin: Origin,
}

/// One way out, to a carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Its name.
    pub name: TrunkName,
    /// Where INVITEs go.
    pub address: SocketAddr,
    /// The index in [`Checked::listeners`] of the socket they leave from, of the same family.
    pub listener: usize,
    /// Most calls at once.
    pub channels_max: u32,
    /// The only caller numbers that this carrier takes, as written; empty takes any.
    pub caller_ids: Vec<String>,
    /// What we offer, the preferred first; never empty.
    pub codecs: Vec<Codec>,
    /// Where its table begins.
    pub origin: Origin,
}

/// Someone who may send calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialer {
    /// Its name.
    pub name: DialerName,
    /// The networks it sends from; never empty.
    pub allow: Vec<Network>,
    /// Most calls at once.
    pub channels_max: u32,
    /// The region in which its national numbers are read.
    pub default_region: String,
    /// How a suppressed number is refused.
    pub refusal: Refusal,
    /// The header that tells it the outcome.
    pub outcome_header: String,
    /// Where its table begins.
    pub origin: Origin,
}

/// How a dialer is told that a number is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The SIP status: 403, 404, 480, 486, 503 or 603.
    pub status: u16,
    /// The cause of `Reason: Q.850`, 1 to 127.
    pub cause: u8,
}

/// A suppression list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its name.
    pub name: ListName,
    /// What people call it.
    pub title: String,
    /// How far an entry reaches.
    pub scope: Scope,
    /// Which calls it counts for.
    pub direction: Direction,
    /// Numbers that stand on it together.
    pub ranges: Vec<Range>,
    /// Set for the list of a registry, which is filled by imports alone.
    pub registry: Option<RegistryRule>,
    /// Where its table begins.
    pub origin: Origin,
}

/// How old a registry may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryRule {
    /// Most days; `None` leaves it to the shape of what is imported.
    pub max_age_days: Option<u16>,
    /// What becomes of calls once it is older.
    pub on_stale: OnStale,
}

/// Whose entries a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// People's own: pressed, entered and imported.
    Own,
    /// Those of a registry that somebody else keeps: imported alone.
    Registry,
}

/// How far an entry on a list reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All campaigns that check the list.
    Global,
    /// Those of the account on whose campaign it was made.
    Account,
    /// Those of the topic of the campaign on which it was made.
    Topic,
    /// The campaign on which it was made.
    Campaign,
}

/// RTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// First port of the pool, even: RTP on even ports, RTCP on the odd one above.
    pub port_min: u16,
    /// Last port of the pool, odd.
    pub port_max: u16,
    /// Whether a peer may send from elsewhere than its SDP says, as behind NAT.
    pub symmetric: bool,
    /// How often the media threads wake; zero is at once.
    pub tick: Duration,
    /// Longest silence of a peer's RTP before the call is ended.
    pub idle_max: Duration,
    /// The in-band detector.
    pub inband: Inband,
}

/// The in-band detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inband {
    /// Whether tones are listened for at all.
    pub listen: bool,
    /// Least level of each tone.
    pub level_min_dbm0: i8,
    /// Most by which the low tone may be the stronger one.
    pub twist_forward_max_db: u8,
    /// Most by which the high tone may be the stronger one.
    pub twist_reverse_max_db: u8,
}

/// Where opt-outs and call records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The folder of the journal, the SQLite file and the admin socket.
    pub path: PathBuf,
    /// The server that the engines share, where it is not the file.
    pub server: Option<Server>,
    /// When an opt-out counts as durable.
    pub ack: AckPolicy,
    /// How long the server may be out of reach before the index counts as stale.
    pub stale_after: Duration,
    /// How numbers are kept.
    pub numbers: NumberChoice,
}

/// A PostgreSQL server, checked to be one that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is, with user and password.
    pub url: Secret,
    /// Who is believed to be it; without, as the address says.
    pub tls: Option<Tls>,
}

/// A text that is printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed.
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is kept of an opt-out besides the record itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How much audio around the press; nothing unless it is wanted.
    pub audio: Option<AudioSpan>,
}

/// How much audio around a press is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpan {
    /// Before the press, 30 s at most.
    pub before: Duration,
    /// Behind it, 30 s at most.
    pub after: Duration,
}

/// Health and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where they are served; port 0 takes a free one.
    pub bind: SocketAddr,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Their form.
    pub log: LogFormat,
    /// Which of them, in the syntax of `RUST_LOG`.
    pub filter: String,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for collectors.
    Json,
    /// Coloured text, for people.
    #[default]
    Pretty,
}

/// Caps and deadlines of the whole engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most calls at once.
    pub calls_max: u32,
    /// Longest call, from answer; what a campaign has unless it says less.
    pub call_max: Duration,
    /// How long running calls may finish after SIGTERM or `drain`.
    pub drain_max: Duration,
}
