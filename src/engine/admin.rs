//! The protocol of the admin socket: one JSON value a line, both ways.
//!
//! ```text
//! {"explain":{"number":"600123456","campaign":"promo"}}  ->
//!                                        <-  {"explained":{..}}     (one)
//! {"export":{"selection":{..},"format":"csv"}}  ->
//!                                        <-  {"text":".."} {"text":".."} .. "end"
//! ```
//!
//! A client may send one request after the other. Each is answered by the lines of [`Reply`] that
//! [`Request`] names, of which [`Reply::Refused`] may take the place at any moment. The socket is
//! at mode 0600: whoever opens it is the engine's user, and is asked for nothing more.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::desk::Addition;
use super::desk::Claim;
use super::desk::Desk;
use super::desk::DeskError;
use super::desk::Erasing;
use super::desk::Format;
use super::desk::Reversing;
use super::desk::Selection;
use super::desk::Withdrawing;
use crate::call::LiveCall;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::net::AdminSocket;
use crate::net::JsonLines;
use crate::suppression::Authority;
use crate::suppression::Retention;

mod message;
mod out;

pub use message::{Refusal, Reloaded, Reply, Report, Request, Status};

use out::Out;

/// The socket's file in the store's folder.
pub const SOCKET_NAME: &str = "admin.sock";

/// How long to wait when a client cannot be accepted, such as for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Answer lines made ahead of the client; a slow client holds the reader back, not the memory.
const LINES_AHEAD_MAX: usize = 16;

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// Who steers the engine behind the admin socket.
pub trait Steer: Send + Sync {
    /// How all shards together stand.
    fn status(&self) -> Answer<'_, Status>;

    /// The calls in progress, the oldest first.
    fn calls(&self) -> Vec<LiveCall>;

    /// Takes no more calls, gives running ones `patience` (or what the configuration gives them),
    /// and answers when no call is left; the engine ends then.
    fn drain(&self, patience: Option<Duration>) -> Answer<'_, ()>;

    /// Reads the configuration anew, and answers when new calls are decided by it.
    fn reload(&self) -> Answer<'_, Reloaded>;
}

/// Serves clients of `socket`; never ends by itself, and ends its clients when it is dropped.
pub async fn serve(socket: AdminSocket, desk: Arc<Desk>, steer: Arc<dyn Steer>) {
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        match socket.accept().await {
            Ok(lines) => {
                let clerk = Clerk { lines, desk: Arc::clone(&desk), steer: Arc::clone(&steer) };
                clients.spawn(clerk.serve());
            }
            Err(error) => {
                tracing::warn!(%error, "admin socket: a client could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Serves one client.
struct Clerk {
    lines: JsonLines,
    desk: Arc<Desk>,
    steer: Arc<dyn Steer>,
}

impl Clerk {
    async fn serve(mut self) {
        loop {
            match self.lines.read().await {
                Ok(Some(request)) => {
                    if let Err(error) = self.answer(request).await {
                        tracing::debug!(%error, "admin socket: an answer was not taken");
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    let why = format!("the request cannot be read: {error}");
                    // The client may be gone, which is all the same now.
                    let _ = self.lines.write(&Reply::refused(why, true)).await;
                    return;
                }
            }
        }
    }

    async fn answer(&mut self, request: Request) -> io::Result<()> {
        match request {
            Request::Status => {
                let reply = self.steer.status().await;
                self.steered(reply.map(|status| self.report(status))).await
            }
            Request::Calls => {
                for call in self.steer.calls() {
                    self.lines.write(&Reply::Call(Box::new(call))).await?;
                }
                self.lines.write(&Reply::End).await
            }
            Request::Drain { patience_ms } => {
                let patience = patience_ms.map(Duration::from_millis);
                tracing::info!(?patience, "draining by the admin socket: no new call is taken");
                let reply = self.steer.drain(patience).await;
                self.steered(reply.map(|()| Reply::Done)).await
            }
            Request::Reload => {
                let reply = self.steer.reload().await;
                tell_reload(reply.as_ref());
                self.steered(reply.map(Reply::Reloaded)).await
            }
            Request::Reach => self.lines.write(&Reply::Reach(self.desk.reach().into())).await,
            Request::Explain { number, campaign } => {
                self.asked(move |desk, out| explain(desk, &number, &campaign, out)).await
            }
            Request::Add(addition) => self.asked(move |desk, out| add(desk, addition, out)).await,
            Request::Reverse(reversing) => {
                self.asked(move |desk, out| reverse(desk, &reversing, out)).await
            }
            Request::Withdraw(withdrawing) => {
                self.asked(move |desk, out| withdraw(desk, &withdrawing, out)).await
            }
            Request::Erase(erasing) => {
                self.asked(move |desk, out| erase(desk, &erasing, out)).await
            }
            Request::Ageing(retention) => {
                self.asked(move |desk, out| ageing(desk, retention, out)).await
            }
            Request::ImportPlace { list, account } => {
                self.asked(move |desk, out| {
                    let place = desk.import_place(list.as_ref(), account.as_ref())?;
                    out.put(Reply::ImportPlace(place))
                })
                .await
            }
            Request::WeighImport(claim) => {
                self.asked(move |desk, out| out.put(Reply::Weighed(desk.weigh(&claim)?))).await
            }
            Request::Import(claims) => self.asked(move |desk, out| import(desk, claims, out)).await,
            Request::Show { number } => self.asked(move |desk, out| show(desk, &number, out)).await,
            Request::Proof { number } => {
                self.asked(move |desk, out| proof(desk, &number, out)).await
            }
            Request::Heads => {
                self.asked(|desk, out| {
                    io::Write::write_all(out, desk.heads()?.as_bytes())?;
                    out.put(Reply::End)
                })
                .await
            }
            Request::Export { selection, format } => {
                self.asked(move |desk, out| export(desk, &selection, format, out)).await
            }
        }
    }

    fn report(&self, status: Status) -> Reply {
        Reply::Status(Box::new(Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            status,
            standing: self.desk.standing(),
        }))
    }

    async fn steered(&mut self, reply: Result<Reply, Refusal>) -> io::Result<()> {
        match reply {
            Ok(reply) => self.lines.write(&reply).await,
            Err(Refusal { why, findings }) => {
                for finding in findings {
                    self.lines.write(&Reply::Finding(Box::new(finding))).await?;
                }
                self.lines.write(&Reply::refused(why, false)).await
            }
        }
    }

    /// Lets the desk answer on a thread that may wait for the disk, and passes its lines on.
    async fn asked(
        &mut self,
        question: impl FnOnce(&Desk, &mut Out) -> Result<(), DeskError> + Send + 'static,
    ) -> io::Result<()> {
        let (sender, mut replies) = mpsc::channel(LINES_AHEAD_MAX);
        let desk = Arc::clone(&self.desk);
        let asking = tokio::task::spawn_blocking(move || {
            let mut out = Out::new(sender);
            if let Err(error) = question(&desk, &mut out) {
                let refused = Reply::Refused {
                    why: error.to_string(),
                    is_usage: error.is_usage(),
                    is_nothing: error.is_nothing(),
                    is_away: error.is_away(),
                };
                // It fails only when the client is gone.
                let _ = out.put(refused);
            }
        });
        while let Some(reply) = replies.recv().await {
            self.lines.write(&reply).await?;
        }
        if asking.await.is_err() {
            let why = "the question failed inside the engine; its log says how".to_owned();
            self.lines.write(&Reply::refused(why, false)).await?;
        }
        Ok(())
    }
}

/// Says in the log what came of reading the configuration anew, whoever asked for it.
pub(super) fn tell_reload(reply: Result<&Reloaded, &Refusal>) {
    match reply {
        Ok(reloaded) => tracing::info!(config = %reloaded.config, "configuration reloaded"),
        Err(refusal) => {
            for finding in &refusal.findings {
                tracing::error!(file = %finding.file, line = finding.line, "{}", finding.message);
            }
            tracing::error!(why = %refusal.why, "configuration not reloaded");
        }
    }
}

fn explain(
    desk: &Desk,
    number: &str,
    campaign: &CampaignName,
    out: &mut Out,
) -> Result<(), DeskError> {
    out.put(Reply::Explained(Box::new(desk.explain(number, campaign)?)))
}

fn add(desk: &Desk, addition: Addition, out: &mut Out) -> Result<(), DeskError> {
    let added = desk.add(addition)?;
    tracing::info!(record = added.record, "an opt-out was entered by the admin socket");
    out.put(Reply::Added(added))
}

fn reverse(desk: &Desk, reversing: &Reversing, out: &mut Out) -> Result<(), DeskError> {
    // Who opened the socket is the engine's own user.
    let reversed = desk.reverse(Authority::LocalOperator, reversing)?;
    if let Some(record) = &reversed.record {
        tracing::info!(record, "records of a number were reversed by the admin socket");
    }
    out.put(Reply::Reversed(reversed))
}

/// Takes an import back to the end, whether or not somebody is still there to hear of it.
fn withdraw(desk: &Desk, withdrawing: &Withdrawing, out: &mut Out) -> Result<(), DeskError> {
    let mut tell = |done, of| {
        // As for an import.
        let _ = out.put(Reply::Progress(done, of));
    };
    // Who opened the socket is the engine's own user.
    let done = desk.withdraw(Authority::LocalOperator, withdrawing, &mut tell)?;
    if let Some(record) = &done.record {
        let (list, import) = (&done.list, &done.import);
        tracing::info!(record, %list, import, "an import was taken back by the admin socket");
    }
    out.put(Reply::Withdrawn(done))
}

fn erase(desk: &Desk, erasing: &Erasing, out: &mut Out) -> Result<(), DeskError> {
    // As for a reversal.
    let erased = desk.erase(Authority::LocalOperator, erasing)?;
    if let Some(record) = &erased.record {
        tracing::info!(record, "a number was erased by the admin socket");
    }
    out.put(Reply::Erased(erased))
}

fn ageing(desk: &Desk, retention: Retention, out: &mut Out) -> Result<(), DeskError> {
    out.put(Reply::Ageing(Box::new(desk.ageing(Some(retention))?)))
}

fn export(
    desk: &Desk,
    selection: &Selection,
    format: Format,
    out: &mut Out,
) -> Result<(), DeskError> {
    desk.export(selection, format, out)?;
    out.put(Reply::LeftOut(desk.imports_left_out(selection)?))?;
    out.put(Reply::End)
}

fn proof(desk: &Desk, number: &str, out: &mut Out) -> Result<(), DeskError> {
    if let Some(bundle) = desk.proof(number)? {
        io::Write::write_all(out, &bundle)?;
    }
    out.put(Reply::End)
}

fn show(desk: &Desk, number: &str, out: &mut Out) -> Result<(), DeskError> {
    for shown in desk.show(number)? {
        out.put(Reply::Record(Box::new(shown)))?;
    }
    out.put(Reply::End)
}

/// Takes imports down to their end, whether or not somebody is still there to hear of it.
fn import(desk: &Desk, claims: Vec<Claim>, out: &mut Out) -> Result<(), DeskError> {
    let mut tell = |done, of| {
        // Who left does not stop it: the record is durable, and its numbers are to be refused.
        let _ = out.put(Reply::Progress(done, of));
    };
    let lists: Vec<ListName> = claims.iter().map(|claim| claim.list.clone()).collect();
    let done = desk.import(claims, &mut tell)?;
    for (list, done) in lists.iter().zip(&done).filter(|(_list, done)| !done.is_earlier) {
        tracing::info!(record = done.record, %list, "a file was imported by the admin socket");
    }
    out.put(Reply::Imported(done))
}
