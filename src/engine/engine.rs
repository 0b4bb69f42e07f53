//! A running engine: started from a checked configuration, reloaded, drained, stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::admin::Status;
use super::control::Command;
use super::error::EngineError;
use super::figures::Figures;
use super::inbox::Inbox;
use super::inbox::InboxSender;
use super::inbox::ShardInput;
use super::inbox::inbox;
use super::media::MediaHandle;
use super::rules;
use super::shard::Line;
use super::shard::Shard;
use crate::api;
use crate::call::Acknowledgement;
use crate::call::Calls;
use crate::call::Rules;
use crate::config::Checked;
use crate::model::token::TokenSource;
use crate::net::PortPool;
use crate::net::SendQueue;
use crate::net::SignallingSocket;
use crate::net::clock;
use crate::net::random;
use crate::sip;
use crate::store;
use crate::store::Store;
use crate::suppression::Ack;
use crate::suppression::Index;
use crate::telemetry::Metrics;

/// What we call ourselves in SIP.
const USER_AGENT: &str = concat!("Bajavoz/", env!("CARGO_PKG_VERSION"));

/// A running engine. Dropping it stops it as [`Self::stop`] does.
pub struct Engine {
    inbox: InboxSender,
    shard: Option<JoinHandle<()>>,
    store: Option<Arc<Store>>,
    index: Arc<Index>,
    figures: Arc<Figures>,
    checked: Arc<ArcSwap<Checked>>,
    sip: Vec<SocketAddr>,
}

impl Engine {
    /// Starts an engine: takes hold of the store, fills the index from it, and only then opens
    /// the signalling sockets.
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing is left running then.
    pub fn start(checked: Checked) -> Result<Self, EngineError> {
        let (inbox_sender, inbox_receiver) = inbox();
        let index = Arc::new(Index::new(&rules::lists(&checked))?);
        let store = Arc::new(open_store(&checked, inbox_sender.clone(), &index)?);
        let rules = Arc::new(rules::rules(&checked, &index)?);
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        metrics.config_loaded(clock::unix_now());
        let figures = Arc::new(Figures::new(metrics));
        let parts = Parts {
            checked: checked.clone(),
            rules,
            index: Arc::clone(&index),
            store: Arc::clone(&store),
            figures: Arc::clone(&figures),
            inbox: inbox_receiver,
            sender: inbox_sender.clone(),
        };
        let (shard, sip) = start_shard(parts)?;
        Ok(Self {
            inbox: inbox_sender,
            shard: Some(shard),
            store: Some(store),
            index,
            figures,
            checked: Arc::new(ArcSwap::from_pointee(checked)),
            sip,
        })
    }

    /// Where SIP is received, in the order of the configuration, with the ports that the system
    /// chose.
    pub fn sip_addresses(&self) -> &[SocketAddr] {
        &self.sip
    }

    /// The suppression index.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The store; nothing once the engine has stopped.
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// The configuration in force.
    pub fn checked(&self) -> &Arc<ArcSwap<Checked>> {
        &self.checked
    }

    /// What the health and metrics page asks.
    pub fn control(&self) -> Arc<dyn api::Control> {
        Arc::new(Page { figures: Arc::clone(&self.figures), store: self.store.clone() })
    }

    /// Decides calls that begin from now on by `checked`. Running calls keep what they have.
    ///
    /// # Errors
    ///
    /// [`EngineError::NeedsRestart`] for what is bound or opened at start, and whatever keeps the
    /// new rules from being made; the old ones stay in force then.
    pub fn reload(&self, checked: Checked) -> Result<(), EngineError> {
        needs_restart(&self.checked.load(), &checked)?;
        self.index.configure(&rules::lists(&checked))?;
        let rules = Arc::new(rules::rules(&checked, &self.index)?);
        self.inbox.send(ShardInput::Command(Command::Reload(rules)));
        self.checked.store(Arc::new(checked));
        self.figures.metrics.config_loaded(clock::unix_now());
        Ok(())
    }

    /// How the engine stands.
    ///
    /// # Errors
    ///
    /// [`EngineError::Down`] when it has ended.
    pub async fn status(&self) -> Result<Status, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(ShardInput::Command(Command::Status(reply)));
        answer.await.map_err(|_| EngineError::Down)
    }

    /// Takes no new call, lets running ones end, hangs up what is left after `patience`, and
    /// returns when no call is left.
    pub async fn drain(&self, patience: Duration) {
        self.figures.begin_drain();
        let (done, drained) = oneshot::channel();
        self.inbox.send(ShardInput::Command(Command::Drain { patience, done }));
        // A shard that ended without an answer has no call left either.
        let _ = drained.await;
    }

    /// Stops at once: calls are left as they are, the store is closed.
    pub fn stop(&mut self) {
        self.inbox.send(ShardInput::Command(Command::Stop));
        if let Some(shard) = self.shard.take() {
            // A panic of the thread is its own; what it had made durable is safe.
            let _ = shard.join();
        }
        if let Some(store) = self.store.take()
            && let Ok(store) = Arc::try_unwrap(store)
        {
            // What could not be settled stays in the journal for the next start.
            let _ = store.close();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the health and metrics page reads.
struct Page {
    figures: Arc<Figures>,
    store: Option<Arc<Store>>,
}

impl api::Control for Page {
    fn ready(&self) -> api::Readiness {
        let mut reasons = Vec::new();
        if self.figures.is_draining() {
            reasons.push(api::NotReady::Draining);
        }
        let has_failed = self.store.as_ref().is_none_or(|store| store.failure().is_some());
        if has_failed || self.figures.is_alarmed() {
            reasons.push(api::NotReady::StoreAlarm);
        }
        api::Readiness { reasons }
    }

    fn metrics(&self) -> String {
        self.figures.metrics.render()
    }
}

fn open_store(checked: &Checked, inbox: InboxSender, index: &Index) -> Result<Store, EngineError> {
    let on_ack = move |ack: Ack| {
        let ack = Acknowledgement { token: ack.token, durable: ack.result.ok() };
        inbox.send(ShardInput::Acknowledgement(ack));
    };
    let settings = store::Settings::new(&checked.store.path, Arc::new(clock::unix_now));
    let (store, recovered) = Store::open(settings, on_ack)?;
    let (reasons, left_out) = store.reader()?.fill(index)?;
    tracing::info!(
        facts = recovered.facts,
        rebuilt = recovered.rebuilt,
        torn = recovered.torn.len(),
        reasons,
        left_out,
        "store recovered"
    );
    Ok(store)
}

/// What a shard's thread is started with.
struct Parts {
    checked: Checked,
    rules: Arc<Rules>,
    index: Arc<Index>,
    store: Arc<Store>,
    figures: Arc<Figures>,
    inbox: Inbox,
    sender: InboxSender,
}

/// Starts the thread and returns once its sockets are bound.
fn start_shard(parts: Parts) -> Result<(JoinHandle<()>, Vec<SocketAddr>), EngineError> {
    let (bound, answer) = mpsc::sync_channel(1);
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                // Who asked waits for exactly this answer.
                let _ = bound.send(Err(EngineError::Thread(error)));
                return;
            }
        };
        runtime.block_on(async move {
            match build_shard(parts) {
                Ok((shard, addresses)) => {
                    let _ = bound.send(Ok(addresses)); // As above.
                    shard.run().await;
                }
                Err(error) => {
                    let _ = bound.send(Err(error)); // As above.
                }
            }
        });
    };
    let thread = std::thread::Builder::new()
        .name("shard-0".to_owned())
        .spawn(body)
        .map_err(EngineError::Thread)?;
    let addresses = answer.recv().map_err(|_| EngineError::Down)??;
    Ok((thread, addresses))
}

fn build_shard(parts: Parts) -> Result<(Shard, Vec<SocketAddr>), EngineError> {
    let Parts { checked, rules, index, store, figures, inbox, sender } = parts;
    let mut tokens = TokenSource::new(random::seed().map_err(EngineError::Random)?);
    let (lines, pools, listeners) = bind(&checked, &mut tokens)?;
    let addresses = listeners.iter().map(|listener| listener.local).collect();
    let calls_max = checked.limits.calls_max as usize;
    let settings = sip::Settings {
        listeners,
        sessions_max: calls_max.saturating_mul(2).max(64),
        ..sip::Settings::new(USER_AGENT)
    };
    let endpoint = sip::Endpoint::new(settings, tokens.next_seed());
    let calls = Calls::new(rules, index, endpoint, clock::wall_anchor(), tokens.next_seed());
    let voice = rules::voice_settings(&checked);
    let media = MediaHandle::start(voice, checked.media.tick, calls_max.saturating_mul(2), sender)?;
    let shard = Shard {
        calls,
        lines,
        inbox,
        media: vec![media],
        pools,
        store,
        tokens,
        figures,
        totals: Default::default(),
        active: Default::default(),
        draining: None,
    };
    Ok((shard, addresses))
}

type Bound = (Vec<Line>, Vec<(std::net::IpAddr, PortPool)>, Vec<sip::Listener>);

/// Binds the signalling sockets, and lays out the media ports beside them.
fn bind(checked: &Checked, tokens: &mut TokenSource) -> Result<Bound, EngineError> {
    let mut lines = Vec::new();
    let mut pools: Vec<(std::net::IpAddr, PortPool)> = Vec::new();
    let mut listeners = Vec::new();
    for listener in &checked.listeners {
        let (socket, buffers) = SignallingSocket::bind(listener.bind)?;
        let local = socket.local_addr();
        tracing::info!(
            listener = %listener.name, %local,
            receive_buffer = buffers.receive, asked = buffers.asked,
            "listening"
        );
        if buffers.is_clamped() {
            tracing::warn!(listener = %listener.name, "the kernel granted smaller socket buffers \
                than asked for: raise net.core.rmem_max and net.core.wmem_max");
        }
        let pool = pools.iter().position(|(ip, _)| *ip == local.ip());
        let pool = match pool {
            Some(pool) => pool,
            None => {
                let (from, to) = (checked.media.port_min, checked.media.port_max);
                let ports = PortPool::new(local.ip(), from, to, tokens.next_seed())?;
                pools.push((local.ip(), ports));
                pools.len() - 1
            }
        };
        let advertised = SocketAddr::new(listener.advertise, local.port());
        listeners.push(sip::Listener { local, advertised });
        lines.push(Line {
            socket,
            queue: SendQueue::default(),
            pool,
            media_advertised: listener.advertise,
        });
    }
    Ok((lines, pools, listeners))
}

/// What is bound or opened at start cannot change under running calls.
fn needs_restart(old: &Checked, new: &Checked) -> Result<(), EngineError> {
    let addresses = |checked: &Checked| -> Vec<_> {
        checked.listeners.iter().map(|it| (it.name.clone(), it.bind, it.advertise)).collect()
    };
    let what = if addresses(old) != addresses(new) {
        "a listener's bind or advertise"
    } else if old.media != new.media {
        "the media section"
    } else if old.store != new.store {
        "the store's path"
    } else if old.http != new.http {
        "http.bind"
    } else if old.limits.calls_max != new.limits.calls_max {
        "limits.calls-max"
    } else {
        return Ok(());
    };
    Err(EngineError::NeedsRestart { what })
}
