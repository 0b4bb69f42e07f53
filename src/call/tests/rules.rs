//! The rules of the played calls: one dialer, one carrier, a campaign for each thing to show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::call::Checks;
use crate::call::rules::Compiled;
use crate::call::rules::Dialer;
use crate::call::rules::Limits;
use crate::call::rules::Refusal;
use crate::call::rules::Rules;
use crate::call::rules::Trunk;
use crate::campaign::Campaign;
use crate::campaign::Campaigns;
use crate::campaign::CodePrompts;
use crate::campaign::Confirm;
use crate::campaign::Greeting;
use crate::campaign::Listening;
use crate::campaign::Match;
use crate::campaign::Mode;
use crate::campaign::OnStale;
use crate::campaign::OnUnconfirmed;
use crate::campaign::Origin;
use crate::campaign::PromptName;
use crate::campaign::ResponseCode;
use crate::campaign::Subject;
use crate::campaign::Then;
use crate::media::prompt::Prompt;
use crate::menu;
use crate::menu::Code;
use crate::menu::CodeBook;
use crate::model::Codec;
use crate::model::ListName;
use crate::model::number::NumberReader;
use crate::sip::ListenerId;
use crate::suppression::Index;
use crate::suppression::List;
use crate::suppression::Scope;
use crate::suppression::registry::Registry;

/// The campaigns by their names: the mode, whose number it is, and what the code 9 does.
fn table() -> Vec<(&'static str, Mode, Subject, Option<Then>)> {
    vec![
        ("bridge", Mode::Bridge, Subject::Called, Some(Then::Hangup)),
        ("bridge-on", Mode::Bridge, Subject::Called, Some(Then::Continue)),
        ("bridge-calling", Mode::Bridge, Subject::Calling, Some(Then::Hangup)),
        ("bridge-header", Mode::Bridge, Subject::Header("X-Person".into()), Some(Then::Hangup)),
        ("bridge-stale", Mode::Bridge, Subject::Called, Some(Then::Hangup)),
        ("ivr", Mode::Ivr, Subject::Called, Some(Then::Hangup)),
        ("ivr-on", Mode::Ivr, Subject::Called, Some(Then::Continue)),
        ("ivr-mute", Mode::Ivr, Subject::Called, None),
        ("ivr-registry", Mode::Ivr, Subject::Called, Some(Then::Hangup)),
    ]
}

pub(super) fn index() -> Index {
    let list = |name: &str| List { name: name.into(), title: String::new(), scope: Scope::Global };
    Index::new(&["all", "out", "in"].map(list)).unwrap()
}

pub(super) fn rules(index: &Index) -> Rules {
    let campaigns: Vec<Campaign> = table().into_iter().map(campaign).collect();
    let compiled = campaigns
        .iter()
        .map(|it| (it.name.clone(), compiled(it, index)))
        .collect::<BTreeMap<_, _>>();
    let dialer = Dialer {
        name: "dialer".into(),
        allow: vec!["192.0.2.1/32".parse().unwrap()],
        channels_max: 10,
        numbers: NumberReader::new("ES").unwrap(),
        refusal: Refusal::default(),
        outcome_header: "X-Bajavoz-Outcome".to_owned(),
    };
    let trunk = Trunk {
        name: "carrier".into(),
        remote: "192.0.2.2:5060".parse().unwrap(),
        listener: ListenerId(0),
        channels_max: 10,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        caller_ids: Vec::new(),
    };
    Rules {
        node: "test".into(),
        campaigns: Arc::new(Campaigns::new(campaigns).unwrap()),
        compiled,
        dialers: vec![Arc::new(dialer)],
        trunks: BTreeMap::from([("carrier".into(), Arc::new(trunk))]),
        prompts: prompts(),
        audio: None,
        limits: Limits {
            calls_max: 10,
            call_max: Duration::from_secs(7200),
            linger: Duration::from_millis(500),
            commit_max: Duration::from_secs(2),
        },
        config_hash: "test".into(),
    }
}

fn campaign((name, mode, subject, then): (&str, Mode, Subject, Option<Then>)) -> Campaign {
    let origin = || Origin { file: "test".into(), line: 1 };
    let prompt = |name| PromptName::new("en", name);
    let code = |then| ResponseCode {
        digits: "9".parse().unwrap(),
        add_to: vec!["all".into()],
        confirm: Confirm::None,
        then,
        prompts: CodePrompts {
            ask: prompt("ask"),
            done: prompt("done"),
            already: prompt("already"),
            failed: prompt("failed"),
        },
        origin: origin(),
    };
    let is_bridge = mode == Mode::Bridge;
    Campaign {
        name: name.into(),
        account: "acme".into(),
        title: name.to_owned(),
        mode,
        subject,
        matches: Match {
            headers: vec![("X-Campaign".to_owned(), vec![name.to_owned()])],
            ..Match::default()
        },
        check: vec!["all".into()],
        codes: then.map(code).into_iter().collect(),
        listening: Listening {
            first_key_max: Duration::from_secs(5),
            digit_gap_max: Duration::from_secs(1),
            confirm_max: Duration::from_secs(5),
        },
        on_unconfirmed: OnUnconfirmed::Block,
        on_stale: if name == "bridge-stale" { OnStale::Call } else { OnStale::Refuse },
        topic: None,
        other_way: None,
        greeting: Greeting {
            play: if is_bridge { Vec::new() } else { vec![prompt("greeting")] },
            rounds: 1,
        },
        route: if is_bridge { vec!["carrier".into()] } else { Vec::new() },
        caller_id: None,
        channels_max: None,
        ring_max: Duration::from_secs(30),
        call_max: Duration::from_secs(600),
        origin: origin(),
    }
}

/// The campaign "ivr-registry" is checked against one.
fn registries(campaign: &Campaign) -> Vec<Registry> {
    let registry = Registry { list: "us".into(), max_age_days: None };
    if campaign.name.as_str() == "ivr-registry" { vec![registry] } else { Vec::new() }
}

fn compiled(campaign: &Campaign, index: &Index) -> Compiled {
    let codes = campaign.codes.iter();
    let codes = codes.map(|code| Code { digits: code.digits, confirm: menu::Confirm::Never });
    let mask = |names: [&str; 2]| index.mask(&names.map(ListName::from)).unwrap();
    Compiled {
        book: CodeBook::new(codes).ok().map(Arc::new),
        listening: menu::Settings {
            first_key_max: (campaign.mode == Mode::Ivr).then_some(Duration::from_secs(5)),
            digit_gap_max: Duration::from_secs(1),
            confirm_max: Duration::from_secs(5),
        },
        checks: Checks {
            called: mask(["all", "out"]),
            calling: mask(["all", "in"]),
            registries: registries(campaign),
        },
    }
}

fn prompts() -> BTreeMap<PromptName, Arc<Prompt>> {
    ["greeting", "ask", "done", "already", "failed"]
        .into_iter()
        .map(|name| (PromptName::new("en", name), Arc::new(prompt(name))))
        .collect()
}

/// 20 ms of silence, as a WAV file written by hand.
pub(super) fn prompt(name: &str) -> Prompt {
    let samples = [0_u8; 320];
    let mut file = b"RIFF".to_vec();
    file.extend((36 + samples.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    file.extend((samples.len() as u32).to_le_bytes());
    file.extend(samples);
    Prompt::from_wav(name, &file).unwrap()
}
