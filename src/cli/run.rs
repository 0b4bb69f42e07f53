//! `bajavoz run`: the engine in the foreground, as an init system starts it.

use std::io;
use std::io::Write;

use super::args::Common;
use super::check;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use crate::config;
use crate::config::Checked;
use crate::config::LogFormat;
use crate::engine;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::Rooms;
use crate::net::NetError;
use crate::telemetry::Format;
use crate::telemetry::TelemetryError;
use crate::telemetry::log;
use crate::telemetry::log::Log;

/// Runs until a signal or `bajavoz drain` has drained it.
pub(super) fn run(common: &Common, page: &mut Page) -> Result<Code, Failure> {
    let Ok(checked) = config::load(common.config(), &Rooms) else {
        return check::check(common, page); // Which says why not, whole.
    };
    let _log = start_log(&checked)?;
    for warning in &checked.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure { code: Code::Internal, error: error.into() })?;
    let json = common.json;
    let started = |engine: &Engine| {
        tracing::info!(addresses = ?engine.sip_addresses(), "ready");
        // Whoever started us may not read it.
        let _ = announce(engine, json, page);
    };
    runtime
        .block_on(engine::run(checked, common.config(), started))
        .map(|()| Code::Yes)
        .map_err(failure)
}

fn start_log(checked: &Checked) -> Result<Log, Failure> {
    let format = match checked.telemetry.log {
        LogFormat::Json => Format::Json,
        LogFormat::Pretty => Format::Pretty,
    };
    log::init(format, &checked.telemetry.filter).map_err(|error| {
        let code = match &error {
            TelemetryError::Thread(_) => Code::Internal,
            _ => Code::Usage,
        };
        Failure { code, error: error.into() }
    })
}

/// One line once everything is open, for whoever waits for it.
fn announce(engine: &Engine, json: bool, page: &mut Page) -> io::Result<()> {
    let sip: Vec<String> = engine.sip_addresses().iter().map(ToString::to_string).collect();
    if json {
        page.json(&serde_json::json!({ "ready": true, "sip": sip }))?;
    } else {
        writeln!(page, "ready: SIP on udp {}", sip.join(", "))?;
    }
    page.flush()
}

fn failure(error: EngineError) -> Failure {
    let code = match &error {
        EngineError::Store(error) => Code::of_store(error),
        EngineError::Net(NetError::AdminTaken(_)) => Code::Refused,
        EngineError::Died { .. } | EngineError::Random(_) | EngineError::Thread(_) => {
            Code::Internal
        }
        _ => Code::Usage,
    };
    Failure { code, error: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_died_is_a_defect_of_ours_and_names_the_thread() {
        let failure = failure(EngineError::Died { thread: "media" });
        assert_eq!(failure.code, Code::Internal);
        assert!(failure.error.to_string().contains("the media thread died"), "{}", failure.error);
    }
}
