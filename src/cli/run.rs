//! `bajavoz run`: the engine in the foreground, as an init system starts it.

use super::args::Common;
use super::check;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use crate::config;
use crate::config::Checked;
use crate::config::LogFormat;
use crate::engine;
use crate::engine::Rooms;
use crate::telemetry::Format;
use crate::telemetry::log;

/// Runs until a signal or `bajavoz drain` has drained it.
pub(super) fn run(common: &Common, page: &mut Page) -> Result<Code, Failure> {
    let Ok(checked) = config::load(&common.config, &Rooms) else {
        return check::check(common, page); // Which says why not, whole.
    };
    start_log(&checked)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = |engine: &engine::Engine| {
        tracing::info!(addresses = ?engine.sip_addresses(), "ready");
    };
    runtime
        .block_on(engine::run(checked, &common.config, started))
        .map(|()| Code::Yes)
        .map_err(|error| Failure::new(Code::Refused, error.to_string()))
}

fn start_log(checked: &Checked) -> Result<(), Failure> {
    let format = match checked.telemetry.log {
        LogFormat::Json => Format::Json,
        LogFormat::Pretty => Format::Pretty,
    };
    log::init(format, &checked.telemetry.filter)
        .map_err(|error| Failure::new(Code::Usage, error.to_string()))
}
