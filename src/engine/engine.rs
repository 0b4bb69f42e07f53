//! A running engine: started from a checked configuration, reloaded, drained, stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
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
use super::figures::Figures;
use super::finding::Finding;
use super::inbox::InboxSender;
use super::inbox::ShardInput;
use super::inbox::inbox;
use super::keeper::Keeper;
use super::live::LiveCalls;
use super::page::Page;
use super::reach::Reach;
use super::registries;
use super::registries::REMIND_EVERY;
use super::registries::Reminder;
use super::registries::standings;
use super::rules;
use super::start::Parts;
use super::start::SHARD;
use super::start::answer;
use super::start::hear;
use super::start::open_store;
use super::start::start_shard;
use super::vital::Life;
use super::vital::Vital;
use crate::api;
use crate::call::LiveCall;
use crate::config;
use crate::config::Checked;
use crate::model::hex;
use crate::net::clock;
use crate::store::Store;
use crate::suppression::Index;
use crate::telemetry::Metrics;

/// A running engine. Dropping it stops it as [`Self::stop`] does.
pub struct Engine {
    core: Arc<Core>,
    shard: Option<JoinHandle<()>>,
    keeper: Option<Keeper>,
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
    /// Not held by it: who steers an engine that has ended holds no store.
    desk: Weak<Desk>,
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
        let on_event = hear(vital.clone(), &figures, &index, inbox_sender.clone());
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
        let desk = Arc::new(desk);
        let core = Core {
            inbox: inbox_sender,
            index,
            figures,
            live,
            checked,
            folder,
            life,
            desk: Arc::downgrade(&desk),
        };
        let core = Arc::new(core);
        let (shard, store) = (Some(shard), Some(store));
        let mut engine = Self { core, shard, keeper: None, store, desk, sip };
        let figures = Arc::clone(&engine.core.figures);
        engine.keeper = Some(Keeper::start(Arc::clone(&engine.desk), figures)?);
        Ok(engine)
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
        self.keeper = None;
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

impl Core {
    /// What `newer` deletes that was to be kept for longer: a warning, with how much that is.
    async fn shortened_by(&self, newer: &Checked) -> Option<Finding> {
        let retention = newer.retention;
        if !self.checked.load().retention.is_shortened_by(&retention) {
            return None;
        }
        let desk = self.desk.upgrade()?;
        let asked = tokio::task::spawn_blocking(move || desk.ageing(Some(retention))).await;
        let what = match asked {
            Ok(Ok(ageing)) => ageing.to_string(),
            Ok(Err(_)) | Err(_) => "more than can be told now".to_owned(),
        };
        let message = format!("less is kept than before: by now it deletes {what}");
        let hint = "within a day, for ever; `bajavoz retention` says of which months. Nobody is \
                    called who is refused now";
        Some(Finding::of_no_place("W-RETENTION-SHORTER", &message, hint))
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
            let mut narrowed = Reach::of(&self.checked.load()).narrowed_by(&checked);
            narrowed.extend(self.shortened_by(&checked).await);
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
