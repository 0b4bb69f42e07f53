//! `check`: everything that is wrong with the configuration, at once; and, where an engine runs,
//! whom the new configuration would let be called that the engine refuses.

use std::io;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::args::Common;
use super::client::Engine;
use super::client::unexpected;
use super::exit::Code;
use super::exit::Failure;
use super::exit::told;
use super::login::is_own;
use super::page::Page;
use super::text::count;
use crate::config;
use crate::config::Checked;
use crate::config::Diagnostic;
use crate::engine::Finding;
use crate::engine::Rooms;
use crate::engine::admin::Reply;
use crate::engine::admin::Request;
use crate::engine::admin::SOCKET_NAME;
use crate::engine::registries::RegistryStanding;
use crate::engine::registries::RegistryState;
use crate::engine::registries::standings_in_store;
use crate::engine::target;
use crate::model::hex;
use crate::store::StoreError;
use crate::store::Target;

/// One line of `--json`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    /// What is wrong.
    Finding(Finding),
    /// How old a registry is, where the store or an engine is at hand.
    Registry(RegistryStanding),
    /// The last line.
    Summary(Summary),
}

#[derive(Serialize)]
struct Summary {
    errors: usize,
    warnings: usize,
    /// What call records would name; nothing when it does not load.
    config: Option<String>,
}

/// Checks the folder.
pub(super) fn check(common: &Common, page: &mut Page) -> Result<Code, Failure> {
    let (checked, findings) = match config::load(common.config(), &Rooms) {
        Ok(checked) => {
            let warnings = checked.warnings.clone();
            (Some(checked), warnings)
        }
        Err(findings) => (None, findings),
    };
    let is_error = |finding: &&Diagnostic| finding.severity() == config::Severity::Error;
    let errors = findings.iter().filter(is_error).count();
    let narrowed = checked.as_ref().map_or_else(Vec::new, |checked| narrowed(common, checked));
    let unusable = checked.as_ref().and_then(unusable);
    let is_usable = unusable.as_ref().is_none_or(|finding| finding.severity != "error");
    let errors = errors + usize::from(!is_usable);
    let own = findings.iter().filter(|it| !is_error(it)).count();
    let warnings = own + narrowed.len() + usize::from(is_usable && unusable.is_some());
    let colour = !common.json && page.is_coloured();
    let own = findings.iter().map(|finding| Finding::new(finding, colour));
    for finding in own.chain(unusable).chain(narrowed) {
        if common.json {
            page.json(&Line::Finding(finding))?;
        } else {
            writeln!(page, "{}\n", finding.text)?;
        }
    }
    let registries = checked.as_ref().map_or(Ok(Vec::new()), |checked| ask(common, checked));
    if common.json {
        for registry in registries.iter().flatten() {
            page.json(&Line::Registry(registry.clone()))?;
        }
        let config = checked.as_ref().map(|checked| hex(&checked.hash));
        page.json(&Line::Summary(Summary { errors, warnings, config }))?;
    } else {
        let dir = common.config().display();
        let (errors, warnings) = (count(errors, "error"), count(warnings, "warning"));
        writeln!(page, "{dir}: {errors}, {warnings}")?;
    }
    if let Some(checked) = &checked {
        if !common.json {
            describe(checked, page)?;
            tell(&registries, page)?;
        }
        return Ok(if is_usable { Code::Yes } else { Code::No });
    }
    let unread = findings.iter().any(|finding| finding.code() == "E-FILE");
    Ok(if unread { Code::Usage } else { Code::No })
}

/// What keeps an engine from opening the store that these files name.
fn unusable(checked: &Checked) -> Option<Finding> {
    let store = &checked.store;
    let judged = target(store).and_then(|_target| store.numbers.check_made(&store.path));
    judged.err().map(|error| of_store(error, is_own))
}

/// Its keys are for the engine's user alone, who is often another than the one who checks: to whom
/// they are denied nothing can be told of the store. Whoever is denied a file of their own, by `is_own`,
/// has an engine that is denied it too.
fn of_store(error: StoreError, is_own: impl Fn(&Path) -> bool) -> Finding {
    let is_denied = match &error {
        StoreError::Io { source, path, .. } => {
            source.kind() == io::ErrorKind::PermissionDenied && !is_own(path)
        }
        _ => false,
    };
    let told = told(&anyhow::Error::new(error));
    if !is_denied {
        return Finding::of_use("E-STORE-UNUSABLE", told);
    }
    let message = format!("the store was not looked at, not being readable for this user: {told}");
    let hint = "check as the user whom the engine runs as";
    Finding::of_no_place("W-STORE-UNREAD", &message, hint)
}

/// Whom a reload would let be called, where an engine runs to compare with.
fn narrowed(common: &Common, checked: &Checked) -> Vec<Finding> {
    let path = common.socket.clone().unwrap_or_else(|| checked.store.path.join(SOCKET_NAME));
    let ask = || {
        let mut engine = Engine::connect(&path).ok().flatten()?;
        engine.send(&Request::Reach).ok()?;
        match engine.next() {
            Ok(Reply::Reach(reach)) => Some(reach.narrowed_by(checked)),
            // An engine of another version: the files are what was asked about.
            Ok(_) | Err(_) => None,
        }
    };
    ask().unwrap_or_default()
}

/// What there is, so that a forgotten file is noticed.
fn describe(checked: &Checked, page: &mut Page) -> Result<(), Failure> {
    let counts = [
        count(checked.listeners.len(), "listener"),
        count(checked.dialers.len(), "dialer"),
        count(checked.trunks.len(), "trunk"),
        count(checked.lists.len(), "list"),
        count(checked.campaigns.len(), "campaign"),
        count(checked.prompts.len(), "prompt"),
    ];
    writeln!(page, "it holds {}", counts.join(", "))?;
    for listener in &checked.listeners {
        writeln!(page, "  listens on {} ({}), {}", listener.bind, listener.name, listener.origin)?;
    }
    for campaign in checked.campaigns.iter() {
        let codes: Vec<String> =
            campaign.codes.iter().map(|code| code.digits.to_string()).collect();
        let codes = if codes.is_empty() { "no code".to_owned() } else { codes.join(" ") };
        let (name, origin) = (&campaign.name, &campaign.origin);
        writeln!(page, "  campaign {name} listens for {codes}, {origin}")?;
    }
    let dir = checked.store.path.display();
    match target(&checked.store) {
        Ok(Target::Postgres(server)) => {
            writeln!(page, "  journal in {dir}, opt-outs on {}", server.place())?;
        }
        Ok(Target::Sqlite) | Err(_) => writeln!(page, "  store in {dir}")?,
    }
    Ok(())
}

/// How old the registries are, by the running engine or by the store; nothing where there is
/// neither, or no registry.
fn ask(common: &Common, checked: &Checked) -> Result<Vec<RegistryStanding>, Failure> {
    let path = &checked.store.path;
    if checked.lists.values().all(|list| list.registry.is_none()) || !path.is_dir() {
        return Ok(Vec::new());
    }
    let socket = common.socket.clone().unwrap_or_else(|| path.join(SOCKET_NAME));
    let Some(mut engine) = Engine::connect(&socket)? else {
        return Ok(standings_in_store(checked)?);
    };
    engine.send(&Request::Status)?;
    match engine.next()? {
        Reply::Status(report) => Ok(report.standing.registries),
        reply => Err(unexpected(&reply)),
    }
}

/// Says how old they are. That it cannot be said is no fault of the configuration.
fn tell(registries: &Result<Vec<RegistryStanding>, Failure>, page: &mut Page) -> io::Result<()> {
    match registries {
        Ok(registries) => registries.iter().try_for_each(|registry| {
            let is_fresh = registry.state == RegistryState::Fresh;
            let mark = if is_fresh { "registry" } else { "ATTENTION, registry" };
            writeln!(page, "  {mark} `{}`: {registry}", registry.list)
        }),
        Err(failure) => {
            writeln!(page, "  how old registries are is not known: {:#}", failure.error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_this_user_may_not_read_is_no_fault_of_the_configuration() {
        let error = |kind: io::ErrorKind| StoreError::Io {
            doing: "open",
            path: "data/keys".into(),
            source: kind.into(),
        };
        let (warning, defect) = (
            "warning[W-STORE-UNREAD]: the store was not looked at",
            "error[E-STORE-UNUSABLE]: cannot open `data/keys`",
        );
        for (kind, is_own, want) in [
            (io::ErrorKind::PermissionDenied, false, warning),
            (io::ErrorKind::PermissionDenied, true, defect),
            (io::ErrorKind::InvalidData, false, defect),
        ] {
            let found = of_store(error(kind), |_path| is_own);
            assert!(found.text.starts_with(want), "{kind}, {is_own}: {}", found.text);
            assert!(want.starts_with(&found.severity), "{kind}: {}", found.severity);
        }
    }
}
