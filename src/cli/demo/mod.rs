//! `bajavoz demo`: the main job in one process, on loopback, with nothing to install.
//!
//! The engine runs as it does in production, on free ports and a store in a temporary folder. A
//! dialer and a carrier with phones, which share no code with it, place calls: three people press
//! 9 in an IVR, each by another method, and one in a bridged call. Then the same numbers are
//! called again, and must be refused. Unless it is to end there, the engine and the carrier stay
//! up for the user's own calls.

mod document;
mod invitation;
mod ladder;
mod setting;
mod stage;
mod teller;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::ensure;

use self::document::Document;
use self::invitation::Invitation;
use self::setting::Setting;
use self::stage::Played;
use self::stage::Stage;
use self::teller::Teller;
use super::args::Common;
use super::args::Demo;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use super::phones::PressMethod;
use super::phones::Script;
use crate::engine;
use crate::engine::Engine;
use crate::suppression::export::Entry;

/// A call of the demo.
#[derive(Clone, Copy, Debug)]
struct Scene {
    /// The number called.
    number: &'static str,
    campaign: &'static str,
    title: &'static str,
    /// How the person presses 9.
    method: PressMethod,
}

/// The campaign whose person is behind the carrier.
const BRIDGE: &str = "demo-bridge";

const SCENES: [Scene; 4] = [
    Scene {
        number: "+34600000001",
        campaign: "demo-ivr",
        title: "IVR, 9 by telephone-event",
        method: PressMethod::Event,
    },
    Scene {
        number: "+34600000002",
        campaign: "demo-ivr",
        title: "IVR, 9 by tones in the audio",
        method: PressMethod::Tone,
    },
    Scene {
        number: "+34600000003",
        campaign: "demo-ivr",
        title: "IVR, 9 by SIP INFO",
        method: PressMethod::Info,
    },
    Scene {
        number: "+34600000004",
        campaign: BRIDGE,
        title: "bridged to a carrier, 9 by telephone-event",
        method: PressMethod::Event,
    },
];

/// When the key is pressed, counted from the answer: while the greeting is being played.
const PRESS_AT: Duration = Duration::from_millis(1_200);

/// When the carrier's person presses 9 in a call of the user: time enough to hear it ring and talk.
const PRESS_AT_IN_YOURS: Duration = Duration::from_secs(8);

/// Shows the demo, and stays up for the user's own calls unless it is to end there.
pub(super) fn demo(common: &Common, demo: &Demo, page: &mut Page) -> Result<Code, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure { code: Code::Internal, error: error.into() })?;
    let mut teller = Teller::new(page, common.json);
    match runtime.block_on(perform(demo.once, &mut teller)) {
        Ok(()) => Ok(Code::Yes),
        Err(error) => Err(Failure { code: Code::No, error: error.context("demo failed") }),
    }
}

async fn perform(once: bool, teller: &mut Teller<'_>) -> Result<()> {
    let folder = tempfile::tempdir().context("a temporary folder for configuration and store")?;
    let mut stage = Stage::new().await?;
    let setting = setting::write(folder.path(), stage.carrier_address())?;
    let engine = Engine::start(setting.checked.clone(), &setting.config)?;
    let sip = *engine.sip_addresses().first().context("the demo's engine has one listener")?;
    let mut document = Document::new(sip, stage.carrier_address());
    if let Err(error) = play(&mut stage, &engine, sip, &mut document, teller).await {
        document.fail(&error);
        teller.document(&document)?;
        return Err(error);
    }
    if !once {
        return stay(&mut stage, &engine, sip, &setting, document, teller).await;
    }
    let patience = Some(Duration::from_secs(5));
    engine.steer().drain(patience).await.map_err(|refusal| anyhow!(refusal.why))?;
    teller.document(&document)?;
    teller.say(invitation::AFTERWARDS)?;
    Ok(())
}

/// Both rounds of calls.
async fn play(
    stage: &mut Stage,
    engine: &Engine,
    sip: SocketAddr,
    document: &mut Document,
    teller: &mut Teller<'_>,
) -> Result<()> {
    let carrier = stage.carrier_address();
    teller.say(&format!("Bajavoz listens on udp {sip}; a carrier on udp {carrier}.\n"))?;
    let first = call_all(stage, sip, true).await?;
    document.records = entries(engine)?;
    show_first(&first, document, teller)?;
    let invites = stage.carrier_invites();
    let second = call_all(stage, sip, false).await?;
    document.carrier_invites = stage.carrier_invites() - invites;
    show_second(&second, document, teller)?;
    ensure!(
        document.carrier_invites == 0,
        "the carrier received an INVITE for a number that had opted out"
    );
    teller.say("  and the carrier received no INVITE at all.\n")?;
    Ok(())
}

/// Keeps engine and carrier up until a signal, or `bajavoz drain`, has drained the engine.
async fn stay(
    stage: &mut Stage,
    engine: &Engine,
    sip: SocketAddr,
    setting: &Setting,
    mut document: Document,
    teller: &mut Teller<'_>,
) -> Result<()> {
    let checked = &setting.checked;
    let started = |http| {
        let invitation = Invitation { sip, http, config: setting.config.clone() };
        // Whoever started us may not read it.
        let _ = teller.say(&invitation.text());
        document.stays = Some(invitation);
        let _ = teller.document(&document);
    };
    let person = Script::pressing('9', PRESS_AT_IN_YOURS, PressMethod::Event);
    tokio::select! {
        served = engine::serve(engine, checked.http.bind, &checked.store.path, started) => {
            Ok(served?)
        }
        error = stage.stay(person) => Err(error),
    }
}

/// Calls every number at once; in the first round the people press 9.
async fn call_all(stage: &mut Stage, engine: SocketAddr, first_round: bool) -> Result<Vec<Played>> {
    let scripts = SCENES.map(|scene| {
        let pressing = Script::pressing('9', PRESS_AT, scene.method);
        // In a bridged call the person is behind the carrier.
        let is_pressed_here = first_round && scene.campaign != BRIDGE;
        let script = if is_pressed_here { pressing } else { Script::default() };
        (scene.number, scene.campaign, script)
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

fn show_first(calls: &[Played], document: &mut Document, teller: &mut Teller<'_>) -> Result<()> {
    for (call, scene) in calls.iter().zip(SCENES) {
        let number = scene.number;
        let entry = document.records.iter().find(|entry| entry.optout.number.reveal() == number);
        let entry = entry.with_context(|| format!("no opt-out was recorded for {number}"))?;
        let title = scene.title;
        teller.say(&format!("{title}: {number}\n{}", ladder::draw(call, entry)))?;
        document.calls.push(document::Call::of(scene, call, entry));
        check_first(call, entry).with_context(|| format!("call to {number}"))?;
    }
    let (count, wanted) = (document.records.len(), SCENES.len());
    ensure!(count == wanted, "expected {wanted} opt-outs, found {count}");
    let records: Vec<String> = document.records.iter().map(ladder::summary).collect();
    let records = records.join("\n  ");
    teller.say(&format!("The records, as `bajavoz optout export` writes them:\n  {records}\n"))?;
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

fn show_second(calls: &[Played], document: &mut Document, teller: &mut Teller<'_>) -> Result<()> {
    teller.say("The same numbers, called again:")?;
    for (call, Scene { number, .. }) in calls.iter().zip(SCENES) {
        let status = call.dialer.status.unwrap_or_default();
        let told = call.dialer.outcome.as_deref().unwrap_or("nothing");
        teller.say(&format!("  {number}: {status}, {told}"))?;
        document.refusals.push(document::Refusal { number, status, outcome: told.to_owned() });
        ensure!(status == 603, "{number} was answered {status}, not 603");
        ensure!(told.starts_with("suppressed;list="), "{number}: the dialer was told {told}");
    }
    Ok(())
}
