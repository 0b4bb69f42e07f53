//! `bajavoz demo`: the main job in one process, on loopback, with nothing to install.
//!
//! The engine runs as it does in production, on free ports and a store in a temporary folder. A
//! dialer and a carrier with phones, which share no code with it, place calls: three people press
//! 9 in an IVR, each by another method, and one in a bridged call. Then the same numbers are
//! called again, and must be refused.

mod ladder;
mod setting;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::ensure;

use self::stage::Played;
use self::stage::Stage;
use super::phones::PressMethod;
use super::phones::Script;
use crate::engine::Engine;
use crate::model::Number;
use crate::suppression::export::Entry;

/// The scenes: the number called, the campaign, and how the person presses 9.
const SCENES: [(&str, &str, &str, PressMethod); 4] = [
    ("+34600000001", "demo-ivr", "IVR, 9 by telephone-event", PressMethod::Event),
    ("+34600000002", "demo-ivr", "IVR, 9 by tones in the audio", PressMethod::Tone),
    ("+34600000003", "demo-ivr", "IVR, 9 by SIP INFO", PressMethod::Info),
    (
        "+34600000004",
        "demo-bridge",
        "bridged to a carrier, 9 by telephone-event",
        PressMethod::Event,
    ),
];

/// When the key is pressed, counted from the answer: while the greeting is being played.
const PRESS_AT: Duration = Duration::from_millis(1_200);

/// Runs the demo once and says whether all went as it must.
pub fn run() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<()> {
    let folder = tempfile::tempdir().context("a temporary folder for configuration and store")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stage = Stage::new().await?;
        let checked = setting::write(folder.path(), stage.carrier_address())?;
        let engine = Engine::start(checked, folder.path())?;
        let at = *engine.sip_addresses().first().context("the demo's engine has one listener")?;
        println!("Bajavoz listens on udp {at}; a carrier on udp {}.\n", stage.carrier_address());
        let first = call_all(&mut stage, at, true).await?;
        let entries = entries(&engine)?;
        show_first(&first, &entries)?;
        let invites = stage.carrier_invites();
        let second = call_all(&mut stage, at, false).await?;
        show_second(&second)?;
        ensure!(
            stage.carrier_invites() == invites,
            "the carrier received an INVITE for a number that had opted out"
        );
        println!("  and the carrier received no INVITE at all.\n");
        let patience = Some(Duration::from_secs(5));
        engine.steer().drain(patience).await.map_err(|refusal| anyhow!(refusal.why))?;
        what_next();
        Ok(())
    })
}

/// Calls every number at once; in the first round the people press 9.
async fn call_all(
    stage: &mut Stage,
    engine: std::net::SocketAddr,
    first_round: bool,
) -> Result<Vec<Played>> {
    let scripts = SCENES.map(|(number, campaign, _, method)| {
        let pressing = Script::pressing('9', PRESS_AT, method);
        let is_bridge = campaign == "demo-bridge";
        // In a bridged call the person is behind the carrier.
        let script = if first_round && !is_bridge { pressing } else { Script::default() };
        (number, campaign, script)
    });
    let person = Script::pressing('9', PRESS_AT, PressMethod::Event);
    stage.play(engine, scripts, person).await
}

fn entries(engine: &Engine) -> Result<Vec<Entry>> {
    let store = engine.store().context("the engine runs")?;
    store.flush()?;
    let mut entries = Vec::new();
    store.reader()?.export(&Default::default(), |entry| {
        entries.push(entry);
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(entries)
}

fn show_first(calls: &[Played], entries: &[Entry]) -> Result<()> {
    for (call, (number, _, title, _)) in calls.iter().zip(SCENES) {
        println!("{title}: {number}");
        let entry = entries.iter().find(|entry| entry.optout.number.reveal() == number);
        let entry = entry.with_context(|| format!("no opt-out was recorded for {number}"))?;
        print!("{}", ladder::draw(call, entry));
        check_first(call, entry).with_context(|| format!("call to {number}"))?;
        println!();
    }
    ensure!(
        entries.len() == SCENES.len(),
        "expected {} opt-outs, found {}",
        SCENES.len(),
        entries.len()
    );
    println!("The records, as `bajavoz optout export` writes them:");
    for entry in entries {
        println!("  {}", ladder::summary(entry));
    }
    println!();
    Ok(())
}

/// What must be true of a call in which 9 was pressed.
fn check_first(call: &Played, entry: &Entry) -> Result<()> {
    ensure!(entry.optout.digits.to_string() == "9", "the digits are {}", entry.optout.digits);
    let told = call.dialer.outcome.as_deref().unwrap_or("nothing");
    ensure!(told.starts_with("opt-out;digits=9"), "the dialer was told {told}");
    let person = call.person.as_ref().unwrap_or(&call.dialer);
    ensure!(person.heard.loud_frames > 50, "the person heard no confirmation");
    ensure!(person.ended_at.is_some_and(|(_, by_engine)| by_engine), "the call was not ended");
    ensure!(entry.confirmed_at.is_some(), "the confirmation was not noted");
    Ok(())
}

fn show_second(calls: &[Played]) -> Result<()> {
    println!("The same numbers, called again:");
    for (call, (number, ..)) in calls.iter().zip(SCENES) {
        let status = call.dialer.status.unwrap_or_default();
        let told = call.dialer.outcome.as_deref().unwrap_or("nothing");
        println!("  {number}: {status}, {told}");
        ensure!(status == 603, "{number} was answered {status}, not 603");
        ensure!(told.starts_with("suppressed;list="), "{number}: the dialer was told {told}");
        Number::from_e164(number).context("the demo's numbers are E.164")?;
    }
    Ok(())
}

fn what_next() {
    println!(
        "All as it must be. What to try next:\n  \
         bajavoz check --config config        the shipped configuration, checked\n  \
         bajavoz run --config config          an engine for your own dialer\n  \
         bajavoz explain +34600000001 --campaign promo-otono --config config"
    );
}
