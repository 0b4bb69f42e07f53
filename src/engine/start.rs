//! From a checked configuration to threads that run: the store, the signalling shard, its sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::desk::Receipts;
use super::error::EngineError;
use super::evidence::Evidence;
use super::figures::Figures;
use super::inbox::Inbox;
use super::inbox::InboxSender;
use super::inbox::ShardInput;
use super::live::LiveCalls;
use super::media::MediaHandle;
use super::rooms::target;
use super::rules;
use super::shard::Line;
use super::shard::Shard;
use super::vital::Vital;
use crate::call::Acknowledgement;
use crate::call::Calls;
use crate::call::Rules;
use crate::config::Checked;
use crate::model::RecordId;
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
use crate::store::Recovered;
use crate::store::Store;
use crate::store::StoreEvent;
use crate::store::journal::Torn;
use crate::suppression::Ack;
use crate::suppression::Index;
use crate::suppression::OptOut;
use crate::suppression::list::ListTable;

/// What the shard's thread is called when it dies.
pub(super) const SHARD: &str = "signalling";

/// What we call ourselves in SIP.
const USER_AGENT: &str = concat!("Bajavoz/", env!("CARGO_PKG_VERSION"));

/// Passes the ledger's answers on to whoever had asked.
pub(super) fn answer(
    inbox: InboxSender,
    receipts: Receipts,
) -> impl Fn(Ack) + Send + Sync + 'static {
    move |ack| {
        if receipts.deliver(&ack) {
            return;
        }
        let ack = Acknowledgement { token: ack.token, durable: ack.result.ok() };
        inbox.send(ShardInput::Acknowledgement(ack));
    }
}

/// Turns what the store tells unasked into alarms and the engine's end.
pub(super) fn hear(
    vital: Vital,
    figures: &Arc<Figures>,
    index: &Arc<Index>,
    inbox: InboxSender,
) -> OnEvent {
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
            if optout.leg.is_some() {
                inbox.send(ShardInput::WrittenLate(record));
            }
        }
    })
}

fn settle(index: &Index, optout: &OptOut, record: RecordId) {
    if let Err(error) = index.settle_optout(optout, record) {
        tracing::warn!(%record, %error, "the opt-out is on disk, but the index has no room for it");
    }
}

pub(super) fn open_store(
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
        node: checked.node.name.clone(),
    });
    let settings = store::Settings {
        on_event,
        target: target(&checked.store)?,
        numbers: checked.store.numbers.clone(),
        following,
        ack: checked.store.ack,
        ..store::Settings::new(&checked.store.path, Arc::new(clock::unix_now))
    };
    let (store, recovered) = Store::open(settings, on_ack)?;
    // What others have written is the follower's to read; until it has, the index is stale.
    let (entries, without_list) = match is_shared {
        true => (recovered.filled, recovered.left_out),
        false => store.reader()?.fill(index)?,
    };
    tell_opened(&recovered, entries, without_list);
    Ok(store)
}

/// Logs what was found in the store: a line for each thing that is not as usual, then one for people
/// who wait for it to be open.
fn tell_opened(recovered: &Recovered, entries: u64, without_list: u64) {
    if recovered.rebuilt {
        tracing::warn!("the database was missing: it was made anew from the journal");
    }
    if recovered.facts > 0 {
        let records = recovered.facts;
        tracing::info!(records, "the database lacked records of the journal, and has them now");
    }
    if recovered.erased > 0 {
        let records = recovered.erased;
        tracing::info!(records, "of these what was sealed is erased; they refuse by what is left");
    }
    for Torn { segment, offset } in &recovered.torn {
        tracing::warn!(
            %segment,
            offset,
            "a write that was cut short is left out: nothing in it was ever confirmed"
        );
    }
    if without_list > 0 {
        let max = ListTable::LISTS_MAX;
        tracing::error!(
            without_list,
            "these entries name lists beyond the {max} that there is room for, and refuse on the others \
             alone"
        );
    }
    tracing::info!(entries, "the store is open; whoever is on record in it is refused");
}

/// What a shard's thread is started with.
pub(super) struct Parts {
    pub(super) checked: Checked,
    pub(super) rules: Arc<Rules>,
    pub(super) index: Arc<Index>,
    pub(super) store: Arc<Store>,
    pub(super) figures: Arc<Figures>,
    pub(super) live: Arc<LiveCalls>,
    pub(super) inbox: Inbox,
    pub(super) sender: InboxSender,
    pub(super) vital: Vital,
}

/// Starts the thread and returns once its sockets are bound.
pub(super) fn start_shard(parts: Parts) -> Result<(JoinHandle<()>, Vec<SocketAddr>), EngineError> {
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
