//! A running engine: started from a checked configuration, reloaded, drained, stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tokio::sync::watch;

use super::Rooms;
use super::admin::Answer;
use super::admin::Refusal;
use super::admin::Reloaded;
use super::admin::Status;
use super::admin::Steer;
use super::control::Command;
use super::desk::Desk;
use super::desk::Herald;
use super::desk::Receipts;
use super::error::EngineError;
use super::evidence::Evidence;
use super::figures::Figures;
use super::finding::Finding;
use super::inbox::Inbox;
use super::inbox::InboxSender;
use super::inbox::ShardInput;
use super::inbox::inbox;
use super::live::LiveCalls;
use super::media::MediaHandle;
use super::reach::Reach;
use super::registries;
use super::registries::REMIND_EVERY;
use super::registries::RegistryStanding;
use super::registries::Reminder;
use super::registries::standings;
use super::rooms::target;
use super::rules;
use super::shard::Line;
use super::shard::Shard;
use super::vital::Life;
use super::vital::Vital;
use crate::api;
use crate::call::Acknowledgement;
use crate::call::Calls;
use crate::call::LiveCall;
use crate::call::Rules;
use crate::config;
use crate::config::Checked;
use crate::model::RecordId;
use crate::model::hex;
use crate::model::token::TokenSource;
use crate::net::PortPool;
use crate::net::SendQueue;
use crate::net::SignallingSocket;
use crate::net::clock;
use crate::net::random;
use crate::sip;
use crate::store;
use crate::store::Following;
use crate::store::OnEvent;
use crate::store::OnNumber;
use crate::store::Store;
use crate::store::StoreEvent;
use crate::suppression::Ack;
use crate::suppression::Index;
use crate::suppression::OptOut;
use crate::telemetry::Metrics;

/// What the shard's thread is called when it dies.
const SHARD: &str = "signalling";

/// What we call ourselves in SIP.
const USER_AGENT: &str = concat!("Bajavoz/", env!("CARGO_PKG_VERSION"));

/// A running engine. Dropping it stops it as [`Self::stop`] does.
pub struct Engine {
    core: Arc<Core>,
    shard: Option<JoinHandle<()>>,
    store: Option<Arc<Store>>,
    desk: Arc<Desk>,
    sip: Vec<SocketAddr>,
}

/// What steers a running engine; the admin socket and the signals share it.
struct Core {
    inbox: InboxSender,
    index: Arc<Index>,
    figures: Arc<Figures>,
    live: Arc<LiveCalls>,
    checked: Arc<ArcSwap<Checked>>,
    /// Where the configuration is read from again.
    folder: PathBuf,
    /// Says when the engine has ended, and why.
    life: watch::Receiver<Life>,
}

impl Engine {
    /// Starts an engine: takes hold of the store, fills the index from it, and only then opens
    /// the signalling sockets. `folder` is where `checked` was read, for a reload.
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing is left running then.
    pub fn start(checked: Checked, folder: &Path) -> Result<Self, EngineError> {
        let (inbox_sender, inbox_receiver) = inbox();
        let index = Arc::new(Index::default());
        rules::configure(&index, &checked)?;
        let receipts = Receipts::default();
        let (vital, life) = Vital::new();
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        metrics.config_loaded(clock::unix_now());
        let figures = Arc::new(Figures::new(metrics));
        let on_ack = answer(inbox_sender.clone(), receipts.clone());
        let far_inbox = inbox_sender.clone();
        let on_number = Arc::new(move |number| {
            far_inbox.send(ShardInput::Command(Command::OptedOut(number)));
        });
        let on_event = hear(vital.clone(), &figures, &index);
        // On a thread of its own, since the way to a server is a small runtime that blocks, and we
        // may be called by another.
        let open = || open_store(&checked, &index, on_ack, on_event, on_number);
        let opened = std::thread::scope(|scope| scope.spawn(open).join());
        let store = opened.map_err(|_panic| EngineError::Down)??;
        let store = Arc::new(store);
        let rules = Arc::new(rules::rules(&checked, &index)?);
        let live = Arc::new(LiveCalls::default());
        let parts = Parts {
            checked: checked.clone(),
            rules,
            index: Arc::clone(&index),
            store: Arc::clone(&store),
            figures: Arc::clone(&figures),
            live: Arc::clone(&live),
            inbox: inbox_receiver,
            sender: inbox_sender.clone(),
            vital,
        };
        let (shard, sip) = start_shard(parts)?;
        let checked = Arc::new(ArcSwap::from_pointee(checked));
        let shard_inbox = inbox_sender.clone();
        let herald = Herald::new(move |number| {
            shard_inbox.send(ShardInput::Command(Command::OptedOut(number)));
        });
        let desk = Desk::new(
            Arc::clone(&store),
            Arc::clone(&index),
            Arc::clone(&checked),
            receipts,
            herald,
        );
        let folder = folder.to_owned();
        let core = Core { inbox: inbox_sender, index, figures, live, checked, folder, life };
        let core = Arc::new(core);
        Ok(Self { core, shard: Some(shard), store: Some(store), desk: Arc::new(desk), sip })
    }

    /// Where SIP is received, in the order of the configuration, with the ports that the system
    /// chose.
    pub fn sip_addresses(&self) -> &[SocketAddr] {
        &self.sip
    }

    /// Where lists and opt-outs are asked after.
    pub const fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// The store; nothing once the engine has stopped.
    pub const fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// What the admin socket and the signals steer.
    pub fn steer(&self) -> Arc<dyn Steer> {
        Arc::<Core>::clone(&self.core)
    }

    /// Tells the log of registries that are too old or soon will be, once a day and at each change;
    /// never ends by itself.
    pub(super) async fn remind(&self) {
        let Core { index, checked, .. } = &*self.core;
        let mut reminder = Reminder::default();
        loop {
            for standing in reminder.due(standings(&checked.load(), index), clock::now()) {
                registries::tell(&standing);
            }
            tokio::time::sleep(REMIND_EVERY).await;
        }
    }

    /// What the health and metrics page asks.
    pub fn control(&self) -> Arc<dyn api::Control> {
        let Core { figures, index, checked, .. } = &*self.core;
        let (figures, index, checked) =
            (Arc::clone(figures), Arc::clone(index), Arc::clone(checked));
        Arc::new(Page { figures, index, checked, store: self.store.clone() })
    }

    /// Completes when no call is taken or running any more, after a drain, or when the engine
    /// cannot go on.
    ///
    /// # Errors
    ///
    /// [`EngineError::Died`] as soon as one of its threads has.
    pub async fn ended(&self) -> Result<(), EngineError> {
        let mut life = self.core.life.clone();
        match life.wait_for(|life| *life != Life::Running).await.map(|life| *life) {
            Ok(Life::Died(thread)) => Err(EngineError::Died { thread }),
            Ok(Life::Running | Life::Ended) => Ok(()),
            // Every thread is gone and none said why.
            Err(_closed) => Err(EngineError::Died { thread: SHARD }),
        }
    }

    /// Has `thread` panic outside of any call's step.
    #[cfg(test)]
    pub(super) fn break_down(&self, thread: &'static str) {
        match &self.store {
            Some(store) if matches!(thread, "commit" | "projection") => store.break_down(thread),
            _ => self.core.inbox.send(ShardInput::Command(Command::Panic { thread })),
        }
    }

    /// Stops at once: every leg is hung up, no answer to that is waited for, and the store is closed.
    pub fn stop(&mut self) {
        self.core.inbox.send(ShardInput::Command(Command::Stop));
        if let Some(shard) = self.shard.take() {
            // A panic of the thread is its own; what it had made durable is safe.
            let _ = shard.join();
        }
        // The threads of the store end with its last holder, everything submitted settled.
        self.store = None;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Core {
    /// Decides calls that begin from now on by `checked`. Running calls keep what they have.
    fn take_over(&self, checked: Checked) -> Result<(), EngineError> {
        needs_restart(&self.checked.load(), &checked)?;
        let rules = Arc::new(rules::rules(&checked, &self.index)?);
        rules::configure(&self.index, &checked)?;
        self.inbox.send(ShardInput::Command(Command::Reload(rules)));
        self.checked.store(Arc::new(checked));
        self.figures.metrics.config_loaded(clock::unix_now());
        Ok(())
    }
}

impl Steer for Core {
    fn status(&self) -> Answer<'_, Status> {
        Box::pin(async {
            let (reply, answer) = oneshot::channel();
            self.inbox.send(ShardInput::Command(Command::Status(reply)));
            answer.await.map_err(|_| Refusal::because(EngineError::Down))
        })
    }

    fn calls(&self) -> Vec<LiveCall> {
        self.live.list()
    }

    fn drain(&self, patience: Option<Duration>) -> Answer<'_, ()> {
        Box::pin(async move {
            self.figures.begin_drain();
            let patience = patience.unwrap_or(self.checked.load().limits.drain_max);
            let (done, drained) = oneshot::channel();
            self.inbox.send(ShardInput::Command(Command::Drain { patience, done }));
            // A shard that ended without an answer has no call left either.
            let _ = drained.await;
            Ok(())
        })
    }

    fn reload(&self) -> Answer<'_, Reloaded> {
        Box::pin(async {
            let checked = config::load(&self.folder, &Rooms).map_err(|faults| Refusal {
                why: "the configuration has errors; the old one stays in force".to_owned(),
                findings: faults.iter().map(|fault| Finding::new(fault, false)).collect(),
            })?;
            let narrowed = Reach::of(&self.checked.load()).narrowed_by(&checked);
            let warnings = checked.warnings.iter().map(|fault| Finding::new(fault, false));
            let warnings = warnings.chain(narrowed.iter().cloned()).collect();
            let reloaded = Reloaded { config: hex(&checked.hash), warnings };
            self.take_over(checked).map_err(Refusal::because)?;
            for finding in narrowed {
                let Finding { file, line, message, .. } = finding;
                tracing::warn!(file, line, "{message}");
            }
            Ok(reloaded)
        })
    }
}

/// What the health and metrics page reads.
struct Page {
    figures: Arc<Figures>,
    index: Arc<Index>,
    checked: Arc<ArcSwap<Checked>>,
    store: Option<Arc<Store>>,
}

impl Page {
    /// Whether opt-outs cannot be made durable, or some were not and only this process knows them,
    /// or the database was to have some and does not.
    fn is_alarmed(&self) -> bool {
        let is_failing = |store: &Arc<Store>| {
            let is_unwritten = store.counters().optouts_unwritten > 0;
            store.failure().is_some() || is_unwritten || store.is_behind()
        };
        self.figures.is_alarmed() || self.store.as_ref().is_none_or(is_failing)
    }
}

impl api::Control for Page {
    fn ready(&self) -> api::Readiness {
        let mut reasons = Vec::new();
        if self.figures.is_draining() {
            reasons.push(api::NotReady::Draining);
        }
        if self.is_alarmed() {
            reasons.push(api::NotReady::StoreAlarm);
        }
        if self.index.is_stale(clock::now()) {
            reasons.push(api::NotReady::Stale);
        }
        api::Readiness { reasons }
    }

    fn metrics(&self) -> String {
        self.figures.metrics.store_alarm(self.is_alarmed());
        if let Some(store) = &self.store {
            let counters = store.counters();
            let is_away = self.figures.is_database_down() || store.is_behind();
            self.figures.metrics.database(is_away, counters.facts_waiting);
            self.figures.note_store(&counters, self.index.reversals_waiting());
        }
        if let Some(followed) = self.store.as_ref().and_then(|store| store.followed()) {
            self.figures.note_feed(&followed);
        }
        let all = standings(&self.checked.load(), &self.index);
        for RegistryStanding { list, age_days, max_age_days, .. } in all {
            self.figures.metrics.registry_age(&list, age_days, max_age_days);
        }
        self.figures.metrics.render()
    }
}

/// Passes the ledger's answers on to whoever had asked.
fn answer(inbox: InboxSender, receipts: Receipts) -> impl Fn(Ack) + Send + Sync + 'static {
    move |ack| {
        if receipts.deliver(&ack) {
            return;
        }
        let ack = Acknowledgement { token: ack.token, durable: ack.result.ok() };
        inbox.send(ShardInput::Acknowledgement(ack));
    }
}

/// Turns what the store tells unasked into alarms and the engine's end.
fn hear(vital: Vital, figures: &Arc<Figures>, index: &Arc<Index>) -> OnEvent {
    let (figures, index) = (Arc::clone(figures), Arc::clone(index));
    Arc::new(move |event| match event {
        StoreEvent::DatabaseBack => figures.note_database(false),
        StoreEvent::DatabaseFailed => figures.note_database(true),
        StoreEvent::Died(thread) => vital.died(thread),
        StoreEvent::JournalBack => figures.note_journal(false),
        StoreEvent::JournalFailed(_) => figures.note_journal(true),
        // Its call may be gone, so the record is named here.
        StoreEvent::WrittenLate { optout, record } => {
            settle(&index, &optout, record);
            figures.note_durable();
        }
    })
}

fn settle(index: &Index, optout: &OptOut, record: RecordId) {
    if let Err(error) = index.settle_optout(optout, record) {
        tracing::warn!(%record, %error, "the opt-out is on disk, but the index has no room for it");
    }
}

fn open_store(
    checked: &Checked,
    index: &Arc<Index>,
    on_ack: impl Fn(Ack) + Send + Sync + 'static,
    on_event: OnEvent,
    on_number: OnNumber,
) -> Result<Store, EngineError> {
    let is_shared = checked.store.server.is_some();
    let following = is_shared.then(|| Following {
        index: Arc::clone(index),
        now: Arc::new(clock::now),
        stale_after: checked.store.stale_after,
        on_number,
    });
    let settings = store::Settings {
        on_event,
        target: target(&checked.store)?,
        following,
        ack: checked.store.ack,
        ..store::Settings::new(&checked.store.path, Arc::new(clock::unix_now))
    };
    let (store, recovered) = Store::open(settings, on_ack)?;
    // What others have written is the follower's to read; until it has, the index is stale.
    let (reasons, left_out) = match is_shared {
        true => (recovered.filled, recovered.left_out),
        false => store.reader()?.fill(index)?,
    };
    tracing::info!(
        facts = recovered.facts,
        rebuilt = recovered.rebuilt,
        away = recovered.is_away,
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
    live: Arc<LiveCalls>,
    inbox: Inbox,
    sender: InboxSender,
    vital: Vital,
}

/// Starts the thread and returns once its sockets are bound.
fn start_shard(parts: Parts) -> Result<(JoinHandle<()>, Vec<SocketAddr>), EngineError> {
    let (bound, answer) = mpsc::sync_channel(1);
    let vital = parts.vital.clone();
    let body = move || {
        let _watch = vital.watch(SHARD);
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
                    vital.ended();
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
    let Parts { checked, rules, index, store, figures, live, inbox, sender, vital } = parts;
    let mut tokens = TokenSource::new(random::seed().map_err(EngineError::Random)?);
    let (lines, pools, listeners) = bind(&checked, &mut tokens)?;
    let addresses = listeners.iter().map(|listener| listener.local).collect();
    let calls_max = checked.limits.calls_max as usize;
    let settings = sip::Settings {
        listeners,
        // Two for each call, and half as many again that only wait for what their BYE overtook.
        sessions_max: calls_max.saturating_mul(3).max(64),
        ..sip::Settings::new(USER_AGENT)
    };
    let endpoint = sip::Endpoint::new(settings, tokens.next_seed());
    let calls = Calls::new(rules, index, endpoint, clock::wall_anchor(), tokens.next_seed());
    let voice = rules::voice_settings(&checked);
    let pairs_max = calls_max.saturating_mul(2);
    let media = MediaHandle::start(voice, checked.media.tick, pairs_max, sender, vital)?;
    let evidence = Evidence::start(Arc::clone(&store))?;
    let shard = Shard {
        calls,
        lines,
        turn: 0,
        inbox,
        media: vec![media],
        pools,
        store,
        evidence,
        tokens,
        figures,
        totals: Default::default(),
        active: Default::default(),
        live,
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
        "the store section"
    } else if old.http != new.http {
        "http.bind"
    } else if old.limits.calls_max != new.limits.calls_max {
        "limits.calls-max"
    } else {
        return Ok(());
    };
    Err(EngineError::NeedsRestart { what })
}
