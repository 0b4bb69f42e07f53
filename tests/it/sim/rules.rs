//! The rules under which one simulated engine runs, built as the configuration would build them.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use bajavoz::call::Checks;
use bajavoz::call::Rules;
use bajavoz::call::rules::AudioSpan;
use bajavoz::call::rules::Compiled;
use bajavoz::call::rules::Dialer;
use bajavoz::call::rules::Limits;
use bajavoz::call::rules::Refusal;
use bajavoz::call::rules::Trunk;
use bajavoz::campaign::Campaign;
use bajavoz::campaign::Campaigns;
use bajavoz::campaign::CodePrompts;
use bajavoz::campaign::Confirm;
use bajavoz::campaign::Greeting;
use bajavoz::campaign::Listening;
use bajavoz::campaign::Match;
use bajavoz::campaign::Mode;
use bajavoz::campaign::OnStale;
use bajavoz::campaign::OnUnconfirmed;
use bajavoz::campaign::Origin;
use bajavoz::campaign::PromptName;
use bajavoz::campaign::ResponseCode;
use bajavoz::campaign::Subject;
use bajavoz::campaign::Then;
use bajavoz::media::prompt::Prompt;
use bajavoz::menu;
use bajavoz::menu::Code;
use bajavoz::menu::CodeBook;
use bajavoz::model::Codec;
use bajavoz::model::ListName;
use bajavoz::model::number::NumberReader;
use bajavoz::sip::ListenerId;
use bajavoz::suppression::Index;
use bajavoz::suppression::List;
use bajavoz::suppression::Scope;

use super::dice::Dice;
use super::network::CARRIER;

/// The codes of every campaign, sorted as the configuration sorts them; one begins another.
pub(super) const CODES: [&str; 3] = ["*9", "9", "99"];

/// The campaigns of every simulated configuration, by the header that names them.
pub(super) const CAMPAIGNS: [(&str, Mode, Subject); 4] = [
    ("ivr-called", Mode::Ivr, Subject::Called),
    ("ivr-calling", Mode::Ivr, Subject::Calling),
    ("bridge-called", Mode::Bridge, Subject::Called),
    ("bridge-calling", Mode::Bridge, Subject::Calling),
];

/// The lists of every simulated configuration.
pub(super) fn lists() -> Vec<List> {
    let list = |name: &str, scope| List { name: name.into(), title: String::new(), scope };
    vec![list("all", Scope::Global), list("own", Scope::Account)]
}

/// What the chance of a campaign decided about its rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) confirm: Confirm,
    pub(super) then: Then,
    pub(super) on_unconfirmed: OnUnconfirmed,
    pub(super) greets: bool,
    pub(super) rounds: u32,
    pub(super) digit_gap_max: Duration,
    pub(super) first_key_max: Duration,
    pub(super) call_max: Duration,
    pub(super) channels_max: usize,
}

impl Style {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let is_again = dice.chance(300);
        Self {
            confirm: if is_again { Confirm::PressAgain } else { Confirm::None },
            then: if dice.chance(300) { Then::Continue } else { Then::Hangup },
            on_unconfirmed: dice.pick(&[
                OnUnconfirmed::Block,
                OnUnconfirmed::Block,
                OnUnconfirmed::Ignore,
            ]),
            greets: dice.chance(700),
            rounds: 1 + dice.below(2) as u32,
            digit_gap_max: dice.millis(500, 900),
            first_key_max: dice.millis(1500, 4000),
            call_max: if dice.chance(100) {
                dice.millis(1000, 4000)
            } else {
                dice.millis(60_000, 61_000)
            },
            channels_max: if dice.chance(100) { 1 } else { 100 },
        }
    }
}

/// How long the second press of a code is waited for.
pub(super) const CONFIRM_MAX: Duration = Duration::from_secs(2);

/// The rules of `style`, in the bits of `index`.
pub(super) fn build(style: &Style, index: &Index) -> Rules {
    let campaigns: Vec<Campaign> = CAMPAIGNS
        .into_iter()
        .map(|(name, mode, subject)| campaign(style, name, mode, subject))
        .collect();
    let compiled = campaigns
        .iter()
        .map(|campaign| (campaign.name.clone(), compile(style, campaign, index)))
        .collect();
    let trunk = Trunk {
        name: "carrier".into(),
        remote: CARRIER,
        listener: ListenerId(0),
        channels_max: style.channels_max,
        codecs: vec![Codec::Pcmu],
        caller_ids: Vec::new(),
    };
    let dialer = Dialer {
        name: "dialer".into(),
        allow: vec!["10.1.0.0/16".parse().expect("it is a range")],
        channels_max: 100,
        numbers: NumberReader::new("ES").expect("Spain has a numbering plan"),
        refusal: Refusal::default(),
        outcome_header: "X-Bajavoz-Outcome".to_owned(),
    };
    Rules {
        node: "sim".into(),
        campaigns: Arc::new(Campaigns::new(campaigns).expect("each has its own header value")),
        compiled,
        dialers: vec![Arc::new(dialer)],
        trunks: BTreeMap::from([("carrier".into(), Arc::new(trunk))]),
        prompts: PROMPTS.clone(),
        audio: Some(AudioSpan {
            before: Duration::from_millis(200),
            after: Duration::from_millis(300),
        }),
        limits: Limits {
            calls_max: 100,
            call_max: Duration::from_secs(7200),
            linger: Duration::from_millis(500),
            commit_max: Duration::from_secs(2),
        },
        config_hash: "sim".into(),
    }
}

fn campaign(style: &Style, name: &str, mode: Mode, subject: Subject) -> Campaign {
    let origin = || Origin { file: "sim".into(), line: 1 };
    let code = |digits: &str| ResponseCode {
        digits: digits.parse().expect("it is a code"),
        add_to: vec![if digits == "*9" { "all".into() } else { "own".into() }],
        confirm: style.confirm,
        then: style.then,
        prompts: CodePrompts {
            ask: prompt_name("ask"),
            done: prompt_name("done"),
            already: prompt_name("already"),
            failed: prompt_name("failed"),
        },
        origin: origin(),
    };
    let greets = style.greets && mode == Mode::Ivr;
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
        check: vec!["all".into(), "own".into()],
        codes: CODES.iter().map(|digits| code(digits)).collect(),
        listening: Listening {
            first_key_max: style.first_key_max,
            digit_gap_max: style.digit_gap_max,
            confirm_max: CONFIRM_MAX,
        },
        on_unconfirmed: style.on_unconfirmed,
        on_stale: OnStale::Refuse,
        topic: None,
        other_way: None,
        greeting: Greeting {
            play: if greets { vec![prompt_name("greeting")] } else { Vec::new() },
            rounds: style.rounds,
        },
        route: if mode == Mode::Bridge { vec!["carrier".into()] } else { Vec::new() },
        caller_id: None,
        channels_max: None,
        ring_max: Duration::from_secs(5),
        call_max: style.call_max,
        origin: origin(),
    }
}

fn compile(style: &Style, campaign: &Campaign, index: &Index) -> Compiled {
    let codes = campaign.codes.iter().map(|code| Code {
        digits: code.digits,
        confirm: match code.confirm {
            Confirm::None => menu::Confirm::Never,
            Confirm::PressAgain => menu::Confirm::Again,
        },
    });
    let is_ivr = campaign.mode == Mode::Ivr;
    let names: Vec<ListName> = lists().into_iter().map(|list| list.name).collect();
    Compiled {
        book: Some(Arc::new(CodeBook::new(codes).expect("the codes differ"))),
        listening: menu::Settings {
            first_key_max: is_ivr.then_some(style.first_key_max),
            digit_gap_max: style.digit_gap_max,
            confirm_max: CONFIRM_MAX,
        },
        checks: Checks {
            called: index.mask(&names).expect("two lists fit"),
            calling: index.mask(&names).expect("two lists fit"),
            registries: Vec::new(),
        },
    }
}

/// The name of a prompt as the simulated campaigns have it.
fn prompt_name(name: &str) -> PromptName {
    PromptName::new("en", name)
}

/// Only what tells of a durable opt-out is loud enough for a phone to count as heard.
static PROMPTS: LazyLock<BTreeMap<PromptName, Arc<Prompt>>> = LazyLock::new(|| {
    let quiet = 60;
    let prompts = [
        ("greeting", 400, quiet),
        ("ask", 160, quiet),
        ("done", 240, 9_000),
        ("already", 240, 9_000),
        ("failed", 240, quiet),
    ];
    prompts
        .into_iter()
        .map(|(name, ms, amplitude)| (prompt_name(name), Arc::new(prompt(name, ms, amplitude))))
        .collect()
});

fn prompt(name: &str, ms: usize, amplitude: i16) -> Prompt {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("memory takes a header");
    for n in 0..ms * 8 {
        // A square wave of 500 Hz, which is no key.
        let sample = if n / 8 % 2 == 0 { amplitude } else { -amplitude };
        writer.write_sample(sample).expect("memory takes a sample");
    }
    writer.finalize().expect("memory takes the lengths");
    Prompt::from_wav(&format!("en/{name}"), file.get_ref()).expect("it is what we take")
}
