//! The command line.
//!
//! Each verb answers on standard output, for people or with `--json` for programs, and ends with
//! one of the exit codes of `bajavoz --help`, whose meaning never changes.

use std::ffi::OsString;
use std::io::Write;
use std::panic;
use std::process::ExitCode;

use clap::Parser;

use crate::net;

mod args;
mod backup;
mod check;
mod client;
mod counter;
mod decode;
mod demo;
mod erase;
mod exit;
mod import;
mod login;
mod optout;
mod page;
pub mod phones;
mod proof;
mod retention;
mod run;
mod steer;
mod store;
mod text;
mod time;
mod verify;
mod xlsx;

use args::Cli;
use args::Verb;
use exit::Code;
use exit::Failure;
use page::Page;

/// Does what `args`, the name of the program first, ask for.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // A console that is gone leaves nobody to tell; the exit code says it still.
            let _ = error.print();
            return if error.use_stderr() { Code::Usage.into() } else { Code::Yes.into() };
        }
    };
    // Without it, what needs more files than there are is refused where it happens.
    let _ = net::files::raise_limit();
    let json = cli.common.json;
    let is_engine = matches!(cli.verb, Verb::Run);
    let result = panic::catch_unwind(|| answer(cli));
    match result {
        Ok(Ok(code)) => code.into(),
        Ok(Err(failure)) => {
            if is_engine {
                failure.report_at_last(json)
            } else {
                failure.report(json)
            }
            failure.code.into()
        }
        // The panic's own message stands on standard error already, or in the log.
        Err(_panic) => Code::Internal.into(),
    }
}

fn answer(cli: Cli) -> Result<Code, Failure> {
    let mut page = Page::new();
    let result = verb(cli, &mut page);
    let flushed = page.flush();
    match (result, flushed) {
        (Ok(code), Ok(())) => Ok(code),
        // Whoever reads us has seen enough: that is no fault of anybody's, and no answer changes.
        (Ok(code), Err(_gone)) if page.is_left() => Ok(code),
        (Err(_gone), _) if page.is_left() => Ok(Code::Yes),
        (Ok(_), Err(error)) => Err(error.into()),
        (Err(failure), _) => Err(failure),
    }
}

fn verb(cli: Cli, page: &mut Page) -> Result<Code, Failure> {
    let common = &cli.common;
    match cli.verb {
        Verb::Run => run::run(common, page),
        Verb::Check => check::check(common, page),
        Verb::Explain(what) => optout::explain(common, what, page),
        Verb::Import(what) => import::import(common, what, page),
        Verb::Optout(what) => optout::optout(common, what, page),
        Verb::Erase(what) => erase::erase(common, what, page),
        Verb::Retention => retention::retention(common, page),
        Verb::Demo(what) => demo::demo(common, &what, page),
        Verb::Proof(what) => proof::proof(common, what, page),
        Verb::Verify(what) => verify::verify(common, &what, page),
        Verb::Status(what) => steer::status(common, &what, page),
        Verb::Drain(what) => steer::drain(common, &what, page),
        Verb::Decode(what) => decode::decode(common, &what, page),
        Verb::Reload => steer::reload(common, page),
        Verb::Backup(what) => backup::backup(common, &what, page),
        Verb::Restore(what) => backup::restore(common, &what, page),
        Verb::Store(what) => store::store(common, &what, page),
    }
}
