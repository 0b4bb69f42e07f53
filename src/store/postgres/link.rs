//! One connection: every step of it has a deadline of ours, so that nobody hangs on a server that
//! is silent.
//!
//! The keepalives of the system find out about a server that is gone; a proxy that takes what it is
//! sent and hands nothing on looks alive to them. So each answer is waited for with a clock of our
//! own, on a small runtime that runs only while its thread waits here.

use std::collections::HashMap;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;
use tokio_postgres::Client;
use tokio_postgres::RowStream;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::ServerError;
use super::Settings;
use super::tls::Connector;

/// Statements that are kept prepared at most; the store has some forty.
const PREPARED_MAX: usize = 128;

/// What nodes tell each other when they have written something, and nothing more. A server that
/// knows no notices is asked as often without them.
const NOTIFY: &str = "NOTIFY bajavoz";
const LISTEN: &str = "LISTEN bajavoz";

/// The encoding in which there is every character, as the server names it.
const ENCODING: &str = "UTF8";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Use {
    /// Short transactions: the server ends one that takes longer than we wait.
    Writing,
    /// Questions, whose answers may take long as a whole.
    Reading,
    /// Questions that are all answered as of one moment, that of the first.
    Examining,
}

/// What such questions stand behind: a transaction in which nothing can be changed.
const SNAPSHOT: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// How long is tried to tell the server that nobody waits for an answer any more.
const CANCEL_MAX: Duration = Duration::from_secs(1);

/// A value of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A connection.
pub(super) struct Link {
    client: Client,
    connector: Connector,
    prepared: HashMap<String, Statement>,
    answer_max: Duration,
    /// Told by each notice.
    noticed: Arc<Notify>,
    is_listening: bool,
    /// Runs while somebody waits. In an option, since its end must not wait for anything.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("prepared", &self.prepared.len()).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects.
    pub(super) fn open(settings: &Settings, purpose: Use) -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServerError::Runtime)?;
        let connecting = settings.config.connect(settings.connector.clone());
        let limit = settings.connect_max();
        let (client, mut connection) = match wait(&runtime, limit, connecting) {
            Ok(connected) => connected,
            Err(error) => {
                // Not even for a name that is being looked up, which has its own idea of patience.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        // A pooler may keep to itself what the server is.
        if let Some(found) = connection.parameter("server_encoding").filter(|it| *it != ENCODING) {
            return Err(ServerError::Encoding { found: found.to_owned() });
        }
        let noticed = Arc::new(Notify::new());
        let notice = Arc::clone(&noticed);
        runtime.spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                match message {
                    AsyncMessage::Notice(notice) => {
                        tracing::debug!(code = notice.code().code(), "the server says something");
                    }
                    AsyncMessage::Notification(_) => notice.notify_one(),
                    _ => {}
                }
            }
        });
        let answer_max = settings.answer_max;
        let (prepared, runtime) = (HashMap::new(), Some(runtime));
        let connector = settings.connector.clone();
        let is_listening = false;
        let link = Self { client, connector, prepared, answer_max, noticed, is_listening, runtime };
        let limit_ms = match purpose {
            Use::Writing => answer_max.as_millis(),
            Use::Reading | Use::Examining => 0,
        };
        // Locks of a transaction whose client is gone would stand in the way of its next try; one that
        // examines holds none, and reads a journal between two questions.
        let idle_ms = match purpose {
            Use::Writing | Use::Reading => answer_max.as_millis(),
            Use::Examining => 0,
        };
        link.batch(&format!(
            "SET statement_timeout = {limit_ms}; \
             SET idle_in_transaction_session_timeout = {idle_ms}"
        ))?;
        Ok(link)
    }

    /// Has everything answered as of one moment from here on, that of the first question.
    pub(super) fn begin_snapshot(&self) -> Result<(), ServerError> {
        self.batch(SNAPSHOT)
    }

    fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, ServerError> {
        let Some(runtime) = &self.runtime else { return Err(ServerError::Closed) };
        wait(runtime, self.answer_max, work)
    }

    /// Runs statements without parameters.
    pub(super) fn batch(&self, sql: &str) -> Result<(), ServerError> {
        self.wait(self.client.batch_execute(sql))
    }

    /// The prepared form of `sql`.
    pub(super) fn prepare(&mut self, sql: &str) -> Result<Statement, ServerError> {
        #[cfg(test)]
        crate::store::tests::portable::note(sql);
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait_or_cancel(self.answer_max, self.client.prepare(sql))?;
        if self.prepared.len() >= PREPARED_MAX {
            self.prepared.clear();
        }
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Prepares every statement anew from here on: one that was refused may be one that whoever is
    /// between has forgotten, or that was prepared for tables which are no more.
    pub(super) fn forget_statements(&mut self) {
        self.prepared.clear();
    }

    /// Asks, and returns once the first rows are on their way; they are waited for as long as
    /// `limit`, and then the question is taken back.
    pub(super) fn query(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
        limit: Duration,
    ) -> Result<RowStream, ServerError> {
        self.wait_or_cancel(limit, self.client.query_raw(statement, parameters.iter().copied()))
    }

    fn wait_or_cancel<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, ServerError> {
        let Some(runtime) = &self.runtime else { return Err(ServerError::Closed) };
        let done = wait(runtime, limit, work);
        if matches!(done, Err(ServerError::Silent { .. })) {
            // A server notices that nobody listens only when it answers, and may be long about it.
            let token = self.client.cancel_token();
            let cancelling = token.cancel_query(self.connector.clone());
            if let Err(error) = wait(runtime, CANCEL_MAX, cancelling) {
                tracing::debug!(%error, "the server is not told that nobody waits any more");
            }
        }
        done
    }

    /// The next rows of an answer, `len_max` at most; fewer are the last. As [`Self::query`].
    pub(super) fn rows(
        &self,
        stream: &mut Pin<Box<RowStream>>,
        len_max: usize,
        limit: Duration,
    ) -> Result<Vec<tokio_postgres::Row>, ServerError> {
        self.wait_or_cancel(limit, async {
            let mut rows = Vec::new();
            while rows.len() < len_max
                && let Some(row) = stream.next().await
            {
                rows.push(row?);
            }
            Ok(rows)
        })
    }

    /// Waits for a notice, for `limit` at most. What was told since it was last waited for counts.
    pub(super) fn wait_for_notice(&mut self, limit: Duration) -> Result<(), ServerError> {
        if !std::mem::replace(&mut self.is_listening, true)
            && let Err(error) = self.batch(LISTEN)
        {
            // Looking now and then is enough by itself.
            tracing::debug!(%error, "the server gives no notices");
        }
        let Some(runtime) = &self.runtime else { return Err(ServerError::Closed) };
        let noticed = self.noticed.notified();
        // Whether it came or the time is over does not matter.
        let _ = runtime.block_on(async { tokio::time::timeout(limit, noticed).await });
        if self.client.is_closed() { Err(ServerError::Closed) } else { Ok(()) }
    }

    /// Runs `statements` in one transaction, all of them on their way before the first is answered,
    /// and gives notice behind it if `wakes`; how many rows each of them has touched.
    pub(super) fn transaction(
        &self,
        statements: &[(&Statement, Vec<Parameter<'_>>)],
        wakes: bool,
    ) -> Result<Vec<u64>, ServerError> {
        let client = &self.client;
        let mut steps: Vec<Step<'_>> = Vec::with_capacity(statements.len() + 2);
        let run = async |sql| client.batch_execute(sql).await.map(|()| 0);
        steps.push(Box::pin(run("BEGIN")));
        for (statement, parameters) in statements {
            steps.push(Box::pin(async move {
                client.execute_raw(*statement, parameters.iter().copied()).await
            }));
        }
        steps.push(Box::pin(run("COMMIT")));
        if wakes {
            // Without it the others look all the same, a little later.
            steps.push(Box::pin(async { run(NOTIFY).await.or(Ok(0)) }));
        }
        let counts = self.wait(all(steps))?;
        // That of BEGIN stands before them.
        Ok(counts.into_iter().skip(1).take(statements.len()).collect())
    }

    /// Hands the client to `work`, which may take `limit`.
    pub(super) fn with_client<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Client) -> T,
    ) -> Result<T, ServerError> {
        let Some(runtime) = &self.runtime else { return Err(ServerError::Closed) };
        let client = &mut self.client;
        wait(runtime, limit, async { Ok(work(client).await) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It has no work that must come to its end.
            runtime.shutdown_background();
        }
    }
}

/// A statement; how many rows it touches.
type Step<'a> = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + 'a>>;

/// Drives all `steps` at once, begun in their order; the first error in that order is the answer.
async fn all(steps: Vec<Step<'_>>) -> Result<Vec<u64>, tokio_postgres::Error> {
    let mut waiting: Vec<Option<Step<'_>>> = steps.into_iter().map(Some).collect();
    let mut results: Vec<Result<u64, tokio_postgres::Error>> = Vec::new();
    results.resize_with(waiting.len(), || Ok(0));
    poll_fn(|context| {
        for (step, result) in waiting.iter_mut().zip(&mut results) {
            let Some(future) = step else { continue };
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                (*step, *result) = (None, done);
            }
        }
        if waiting.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().collect()
}

/// Runs `work` to its end, for `limit` at most.
fn wait<T>(
    runtime: &Runtime,
    limit: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, ServerError> {
    let done = runtime.block_on(async { tokio::time::timeout(limit, work).await });
    done.map_err(|_elapsed| ServerError::Silent { limit })?.map_err(ServerError::from)
}
