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

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::desk::Added;
use super::desk::Addition;
use super::desk::Claim;
use super::desk::Desk;
use super::desk::DeskError;
use super::desk::Earlier;
use super::desk::Explanation;
use super::desk::Format;
use super::desk::ImportDone;
use super::desk::ImportPlace;
use super::desk::Reversed;
use super::desk::Reversing;
use super::desk::Selection;
use super::desk::Shown;
use super::desk::Standing;
use super::finding::Finding;
use super::reach::Reach;
use crate::call::LiveCall;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::net::AdminSocket;
use crate::net::JsonLines;
use crate::suppression::Authority;

/// The socket's file in the store's folder.
pub const SOCKET_NAME: &str = "admin.sock";

/// How long to wait when a client cannot be accepted, such as for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Answer lines made ahead of the client; a slow client holds the reader back, not the memory.
const LINES_AHEAD_MAX: usize = 16;

/// Bytes of an export in one line: with every byte escaped (six for one) the line still fits.
const CHUNK_LEN: usize = 8 * 1024;

/// What may be asked of a running engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How it stands: [`Reply::Status`].
    Status,
    /// The calls in progress, the oldest first: [`Reply::Call`]s and [`Reply::End`].
    Calls,
    /// Take no more calls and end: [`Reply::Done`] once no call is left.
    Drain {
        /// How long running calls may go on; nothing is `limits.drain` of the configuration.
        patience_ms: Option<u64>,
    },
    /// [`Desk::reach`]: [`Reply::Reach`].
    Reach,
    /// Read the configuration anew: [`Reply::Reloaded`], or [`Reply::Finding`]s and
    /// [`Reply::Refused`].
    Reload,
    /// [`Desk::explain`]: [`Reply::Explained`].
    Explain {
        /// The number as typed.
        number: String,
        /// The campaign.
        campaign: CampaignName,
    },
    /// [`Desk::add`]: [`Reply::Added`].
    Add(Addition),
    /// [`Desk::reverse`]: [`Reply::Reversed`].
    Reverse(Reversing),
    /// [`Desk::import_place`]: [`Reply::ImportPlace`].
    ImportPlace {
        /// The list; nothing for an export of ours, whose rows say theirs.
        list: Option<ListName>,
        /// For whose calls.
        account: Option<AccountName>,
    },
    /// [`Desk::weigh`]: [`Reply::Weighed`].
    WeighImport(Box<Claim>),
    /// [`Desk::import`]: [`Reply::Progress`]es and [`Reply::Imported`].
    Import(Vec<Claim>),
    /// [`Desk::show`]: [`Reply::Record`]s and [`Reply::End`].
    Show {
        /// The number as typed.
        number: String,
    },
    /// [`Desk::proof`]: [`Reply::Text`]s and [`Reply::End`]; no text when nothing is on record.
    Proof {
        /// The number as typed.
        number: String,
    },
    /// [`Desk::heads`]: [`Reply::Text`]s and [`Reply::End`].
    Heads,
    /// [`Desk::export`]: [`Reply::Text`]s and [`Reply::End`].
    Export {
        /// Which opt-outs.
        selection: Selection,
        /// In which form.
        format: Format,
    },
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Of [`Request::Status`].
    Status(Box<Report>),
    /// Of [`Request::Calls`]: one of them.
    Call(Box<LiveCall>),
    /// Of [`Request::Drain`]: no call is left.
    Done,
    /// Of [`Request::Reach`].
    Reach(Box<Reach>),
    /// Of [`Request::Reload`]: new calls are decided by the new configuration.
    Reloaded(Reloaded),
    /// Of [`Request::Reload`]: one of the reasons why not, or a warning.
    Finding(Box<Finding>),
    /// Of [`Request::Explain`].
    Explained(Box<Explanation>),
    /// Of [`Request::Add`].
    Added(Added),
    /// Of [`Request::Reverse`].
    Reversed(Reversed),
    /// Of [`Request::ImportPlace`].
    ImportPlace(ImportPlace),
    /// Of [`Request::WeighImport`].
    Weighed(Option<Earlier>),
    /// Of [`Request::Import`]: so many of so many numbers are refused.
    Progress(u64, u64),
    /// Of [`Request::Import`].
    Imported(Vec<ImportDone>),
    /// Of [`Request::Show`].
    Record(Box<Shown>),
    /// Of [`Request::Export`], [`Request::Heads`] and [`Request::Proof`]: the next piece of it.
    Text(String),
    /// All lines of the answer have come.
    End,
    /// It is not done.
    Refused {
        /// Why not.
        why: String,
        /// Whether the request itself was at fault, so that asking again helps nobody.
        is_usage: bool,
    },
}

/// How a shard stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Calls in progress, those among them that only wait for their record.
    pub calls: usize,
    /// RTP port pairs in use.
    pub ports_in_use: usize,
    /// RTP port pairs there are; nothing when the system chooses them.
    pub ports_size: Option<usize>,
    /// Whether no new call is taken.
    pub is_draining: bool,
    /// Whether the database cannot be written, or lacks a fact that was answered without it.
    #[serde(default)]
    pub is_database_away: bool,
}

/// How a running engine stands, as its operator sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Calls and ports.
    #[serde(flatten)]
    pub status: Status,
    /// Store and index.
    #[serde(flatten)]
    pub standing: Standing,
}

/// A configuration that was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The new configuration, as call records name it.
    pub config: String,
    /// What loads but is probably not meant.
    pub warnings: Vec<Finding>,
}

/// Why an engine does not do what it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// In one line.
    pub why: String,
    /// What is wrong with the files, when it is they.
    pub findings: Vec<Finding>,
}

impl Refusal {
    /// For this reason, which no file is to blame for.
    pub fn because(why: impl ToString) -> Self {
        Self { why: why.to_string(), findings: Vec::new() }
    }
}

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
                    let _ = self.lines.write(&Reply::Refused { why, is_usage: true }).await;
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
                let reply = self.steer.drain(patience).await;
                self.steered(reply.map(|()| Reply::Done)).await
            }
            Request::Reload => {
                let reply = self.steer.reload().await;
                self.steered(reply.map(Reply::Reloaded)).await
            }
            Request::Reach => {
                let reach = self.desk.reach();
                self.lines.write(&Reply::Reach(Box::new(reach))).await
            }
            Request::Explain { number, campaign } => {
                self.asked(move |desk, out| {
                    let explained = desk.explain(&number, &campaign)?;
                    out.put(Reply::Explained(Box::new(explained)))
                })
                .await
            }
            Request::Add(addition) => {
                self.asked(move |desk, out| out.put(Reply::Added(desk.add(addition)?))).await
            }
            Request::Reverse(reversing) => {
                self.asked(move |desk, out| reverse(desk, &reversing, out)).await
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
                self.asked(move |desk, out| {
                    desk.export(&selection, format, out)?;
                    out.put(Reply::End)
                })
                .await
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
                self.lines.write(&Reply::Refused { why, is_usage: false }).await
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
            let mut out = Out { sender, text: Vec::new() };
            if let Err(error) = question(&desk, &mut out) {
                let is_usage = error.is_usage();
                let refused = Reply::Refused { why: error.to_string(), is_usage };
                // It fails only when the client is gone.
                let _ = out.put(refused);
            }
        });
        while let Some(reply) = replies.recv().await {
            self.lines.write(&reply).await?;
        }
        if asking.await.is_err() {
            let why = "the question failed inside the engine; its log says how".to_owned();
            self.lines.write(&Reply::Refused { why, is_usage: false }).await?;
        }
        Ok(())
    }
}

fn reverse(desk: &Desk, reversing: &Reversing, out: &mut Out) -> Result<(), DeskError> {
    // Who opened the socket is the engine's own user.
    out.put(Reply::Reversed(desk.reverse(Authority::LocalOperator, reversing)?))
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
    let done = desk.import(claims, &mut tell)?;
    out.put(Reply::Imported(done))
}

/// Where a desk's answer goes: lines towards the client, and text cut into lines.
struct Out {
    sender: mpsc::Sender<Reply>,
    text: Vec<u8>,
}

impl Out {
    fn put(&mut self, reply: Reply) -> Result<(), DeskError> {
        io::Write::flush(self)?;
        self.send(reply)?;
        Ok(())
    }

    fn send(&self, reply: Reply) -> io::Result<()> {
        self.sender.blocking_send(reply).map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }

    /// Sends what has gathered, but not the beginning of a character.
    fn send_text(&mut self) -> io::Result<()> {
        let whole = match std::str::from_utf8(&self.text) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let rest = self.text.split_off(whole);
        let text = std::mem::replace(&mut self.text, rest);
        if text.is_empty() {
            return Ok(());
        }
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        self.send(Reply::Text(text))
    }
}

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_LEN.saturating_sub(self.text.len()).max(1);
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.text.extend_from_slice(taken);
        if self.text.len() >= CHUNK_LEN {
            self.send_text()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_text()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_export_is_cut_into_lines_between_characters_and_none_is_lost() {
        let whole = "ñandú \"9\"\n\u{1}".repeat(4_000);
        let (sender, mut replies) = mpsc::channel(100);
        let mut out = Out { sender, text: Vec::new() };
        // Pieces of 7 bytes end within characters.
        for piece in whole.as_bytes().chunks(7) {
            out.write_all(piece).expect("the client is there");
        }
        out.put(Reply::End).expect("the client is there");
        let mut text = String::new();
        while let Ok(Reply::Text(piece)) = replies.try_recv() {
            let line = serde_json::to_vec(&Reply::Text(piece.clone())).expect("it is text");
            assert!(line.len() < crate::net::lines::LINE_BYTES_MAX, "{}", line.len());
            text.push_str(&piece);
        }
        assert!(text == whole);
        drop(replies);
        let gone = out.put(Reply::End);
        assert!(matches!(gone, Err(DeskError::Output(_))), "{gone:?}");
    }

    #[test]
    fn requests_are_written_as_the_module_says() {
        let explain = Request::Explain { number: "600123456".to_owned(), campaign: "promo".into() };
        let cases = [
            (r#""status""#, Request::Status),
            (r#""calls""#, Request::Calls),
            (r#"{"drain":{"patience_ms":null}}"#, Request::Drain { patience_ms: None }),
            (r#"{"explain":{"number":"600123456","campaign":"promo"}}"#, explain),
        ];
        for (text, request) in cases {
            assert_eq!(serde_json::to_string(&request).expect("it is plain"), text);
            assert_eq!(serde_json::from_str::<Request>(text).expect("it is ours"), request);
        }
    }
}
