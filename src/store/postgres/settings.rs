//! Where the server is and how it is reached.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding;
use tokio_postgres::config::Host;
use tokio_postgres::config::SslMode;
use tokio_postgres::config::TargetSessionAttrs;

use super::tls::Connector;
use super::tls::TlsError;

/// How long a server is waited for when it is connected to, each of its addresses: a healthy one
/// answers within a round trip or two, and one behind a partition never does.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long an answer is waited for. A group of facts takes some milliseconds; a server that is
/// slower than this is taken for gone, and what it was sent is sent anew.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How many times as long as for another answer is waited for one for which every row may have to be
/// looked at: two minutes, some ten million opt-outs from a disk.
const SEARCH_FACTOR: u32 = 12;
/// How long a connection may stand idle before the system asks whether its other end lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Between two such questions.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// After how many that stayed without an answer the connection is given up.
const KEEPALIVE_RETRIES: u32 = 3;

/// Who is believed to be the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Whoever answers, in clear: for a server on this machine.
    Off,
    /// Whose certificate names the host, signed by an authority in `ca`, or one that the system
    /// trusts.
    VerifyFull {
        /// A file of certificates in PEM.
        ca: Option<PathBuf>,
    },
}

/// Why a server cannot be named so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// It is no address of a server.
    #[error("expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE")]
    Url(#[source] tokio_postgres::Error),
    /// A part is missing.
    #[error("expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, found no {0}")]
    Lacks(&'static str),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// People's numbers would cross a network in clear.
    #[error("expected TLS to a server that is not on this machine")]
    Clear,
}

/// Where the server is and how it is reached.
#[derive(Clone)]
pub struct Settings {
    pub(super) config: Config,
    pub(super) connector: Connector,
    /// How long an answer is waited for.
    pub(super) answer_max: Duration,
    /// The longest pause between two tries to connect.
    pub(super) retry_max: Duration,
    is_tls: bool,
}

impl Settings {
    /// The server at `url` (`postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, or words of the kind
    /// `host=/run/postgresql`), with TLS as `tls` says: without, off for a server on this machine
    /// and verified for any other. Several hosts may be named: the first that takes writes is used.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]; the text of the URL, which holds a password, is in none of them.
    pub fn new(url: &str, tls: Option<Tls>) -> Result<Self, SettingsError> {
        let mut config: Config = url.parse().map_err(SettingsError::Url)?;
        if config.get_hosts().is_empty() {
            return Err(SettingsError::Lacks("host"));
        }
        if config.get_user().is_none() {
            return Err(SettingsError::Lacks("user"));
        }
        if config.get_dbname().is_none() {
            return Err(SettingsError::Lacks("database"));
        }
        let is_here = is_here(&config);
        let tls = tls.unwrap_or(if is_here { Tls::Off } else { Tls::VerifyFull { ca: None } });
        let connector = match &tls {
            Tls::Off if !is_here => return Err(SettingsError::Clear),
            Tls::Off => Connector::none(),
            Tls::VerifyFull { ca } => Connector::verifying(ca.as_deref())?,
        };
        let is_tls = tls != Tls::Off;
        config
            .ssl_mode(if is_tls { SslMode::Require } else { SslMode::Disable })
            .channel_binding(ChannelBinding::Disable)
            .application_name("bajavoz")
            .connect_timeout(CONNECT_MAX)
            .tcp_user_timeout(ANSWER_MAX)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_EVERY)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        let (answer_max, retry_max) = (ANSWER_MAX, super::RETRY_MAX);
        Ok(Self { config, connector, answer_max, retry_max, is_tls })
    }

    /// The same with other patience: an answer has to come within `answer_max`, and a server that
    /// was not reached is tried again after `retry_max` at the latest. Tests cannot wait as long as
    /// an engine may.
    #[must_use]
    pub fn with_patience(mut self, answer_max: Duration, retry_max: Duration) -> Self {
        self.config.connect_timeout(answer_max);
        Self { answer_max, retry_max, ..self }
    }

    /// How long an answer is waited for, for which every row may have to be looked at.
    pub(super) fn search_max(&self) -> Duration {
        self.answer_max * SEARCH_FACTOR
    }

    /// Where the server is, for people: without user and password.
    pub fn place(&self) -> String {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("PostgreSQL at {}, database {database}", hosts.join(", "))
    }

    /// How long a server is tried at most: all its addresses, and then an answer.
    pub(super) fn connect_max(&self) -> Duration {
        let hosts = u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX);
        let each = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_MAX);
        each.saturating_mul(hosts).saturating_add(self.answer_max)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Settings");
        told.field("place", &self.place()).field("is_tls", &self.is_tls).finish_non_exhaustive()
    }
}

/// Whether every host is this machine.
fn is_here(config: &Config) -> bool {
    let is_loopback = |address: &IpAddr| address.is_loopback();
    let is_named = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name.parse().ok();
            name == "localhost" || address.as_ref().is_some_and(is_loopback)
        }
    };
    config.get_hosts().iter().all(is_named) && config.get_hostaddrs().iter().all(is_loopback)
}
