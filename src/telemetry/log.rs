//! Logs: tracing events and spans as lines on standard error, for people or for machines.
//!
//! Phone numbers redact themselves (`model::Number` displays as `+1415***2671`), so that nothing
//! here has to look for them.

use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::telemetry::TelemetryError;
use crate::telemetry::lines::Lines;

/// How long the last lines are waited for at the end. Our choice: somebody who reads has them at once.
const END_WAIT: Duration = Duration::from_secs(1);

/// How long a panic's line is waited for. Our choice: a shard stands still meanwhile.
const PANIC_WAIT: Duration = Duration::from_millis(100);

/// The lines of this process, as its subscriber is that of the process.
static LINES: OnceLock<Arc<Lines>> = OnceLock::new();

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people: one line an event, coloured on a terminal.
    #[default]
    Pretty,
    /// For machines: one JSON object an event, the fields of its spans within.
    Json,
}

/// The logs of this process, until it is dropped, which waits for the last lines: a second at most.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct Log(Arc<Lines>);

impl Drop for Log {
    fn drop(&mut self) {
        // A reader that has stopped does not get the last lines.
        let _ = self.0.flush_for(END_WAIT);
    }
}

/// Sends the logs of this process to standard error, and what a panic says with them. `filter` is a level (`error`, `warn`,
/// `info`, `debug`, `trace`, `off`) or a list of `target=level`. Whoever logs never waits for who reads:
/// lines that find no room are dropped and counted, see [`lines_lost`].
///
/// # Errors
///
/// [`TelemetryError::Filter`] when the filter cannot be read, [`TelemetryError::AlreadySet`] on a
/// second call, [`TelemetryError::Thread`] when there is no thread to be had.
pub fn init(format: Format, filter: &str) -> Result<Log, TelemetryError> {
    let is_coloured = io::stderr().is_terminal();
    let lines = Lines::start(io::stderr()).map_err(TelemetryError::Thread)?;
    subscriber(format, filter, is_coloured, Arc::clone(&lines))?
        .try_init()
        .map_err(|_| TelemetryError::AlreadySet)?;
    std::panic::set_hook(Box::new(note_panic));
    Ok(Log(Arc::clone(LINES.get_or_init(|| lines))))
}

/// A panic as a line of the log, whatever its filter: on standard error itself its thread would wait for
/// who reads, with all calls that it serves. Where the process is aborted next, the line is out by then.
fn note_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    let what = panic.payload_as_str().unwrap_or_default();
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(at, thread = std::thread::current().name(), "a defect of ours: {what}");
    } else if let Some(mut lines) = LINES.get().map(Arc::as_ref) {
        let at = at.unwrap_or_default();
        let _ = lines.write_all(format!("a defect of ours: {what}, at {at}\n").as_bytes());
    }
    if let Some(lines) = LINES.get() {
        let _ = lines.flush_for(PANIC_WAIT);
    }
}

/// Lines of the log of this process that were dropped since its start: more than 4 MiB of them waited
/// for who reads standard error, or it could not be written.
pub fn lines_lost() -> u64 {
    LINES.get().map_or(0, |lines| lines.lost())
}

/// The same logs into another writer, for tests that read them and for [`init`].
///
/// # Errors
///
/// [`TelemetryError::Filter`].
pub fn subscriber<W>(
    format: Format,
    filter: &str,
    is_coloured: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder =
        tracing_subscriber::fmt().with_env_filter(read_filter(filter)?).with_writer(writer);
    Ok(match format {
        Format::Pretty => Box::new(builder.with_ansi(is_coloured).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

fn read_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let refused = |reason: String| TelemetryError::Filter { filter: filter.to_owned(), reason };
    if filter.trim().is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    EnvFilter::builder().parse(filter).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::page::Page;

    fn written(format: Format, filter: &str) -> String {
        let page = Page::default();
        let writer = page.clone();
        let logs =
            subscriber(format, filter, false, move || writer.clone()).expect("a good filter");
        tracing::subscriber::with_default(logs, || {
            let _span = tracing::info_span!("call", call = 7).entered();
            tracing::info!(key = "9", "key heard");
            tracing::debug!("detail");
        });
        page.text()
    }

    #[test]
    fn lines_by_the_thread_are_the_same() {
        let page = Page::default();
        let lines = Lines::start(page.clone()).unwrap();
        let logs = subscriber(Format::Json, "info", false, Arc::clone(&lines)).unwrap();
        tracing::subscriber::with_default(logs, || {
            tracing::info!("one");
            tracing::info!("two");
        });
        assert!(lines.flush_for(Duration::from_secs(60)));
        let text = page.text();
        let read = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let told: Vec<_> = text.lines().map(read).map(|line| line["message"].clone()).collect();
        assert_eq!(told, ["one", "two"]);
    }

    #[test]
    fn a_panic_is_a_line_that_says_where_and_what() {
        let page = Page::default();
        let writer = page.clone();
        let logs = subscriber(Format::Json, "info", false, move || writer.clone()).unwrap();
        let before = Arc::new(std::panic::take_hook());
        let (others, own) = (Arc::clone(&before), std::thread::current().id());
        // Other tests may panic meanwhile.
        std::panic::set_hook(Box::new(move |panic| match std::thread::current().id() {
            id if id == own => note_panic(panic),
            _ => others(panic),
        }));
        let panicked = tracing::subscriber::with_default(logs, || {
            std::panic::catch_unwind(|| assert_eq!(1, 2, "the sum"))
        });
        std::panic::set_hook(Box::new(move |panic| before(panic)));
        assert!(panicked.is_err());
        let line: serde_json::Value = serde_json::from_str(page.text().trim()).unwrap();
        let told = line["message"].as_str().unwrap();
        assert!(told.starts_with("a defect of ours: ") && told.contains("the sum"), "{line}");
        assert!(line["at"].as_str().unwrap().contains("log.rs:"), "{line}");
    }

    #[test]
    fn json_lines_hold_event_and_span() {
        let text = written(Format::Json, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "key heard");
        assert_eq!(line["key"], "9");
        assert_eq!(line["span"]["call"], 7);
    }

    #[test]
    fn pretty_lines_read_as_text() {
        let text = written(Format::Pretty, "debug");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("key heard") && text.contains("call=7"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours: {text}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        for filter in ["", "  ", "bajavoz=loud", "a=b=c=d", "info,[unclosed=debug"] {
            assert!(matches!(read_filter(filter), Err(TelemetryError::Filter { .. })), "{filter}");
        }
        for filter in ["info", "off", "warn,bajavoz::sip=debug"] {
            assert!(read_filter(filter).is_ok(), "{filter}");
        }
    }
}
