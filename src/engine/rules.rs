//! From a checked configuration to what decides calls: the rules, and each room's settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::EngineError;
use super::registries::registry;
use crate::call::Checks;
use crate::call::Rules;
use crate::call::VoiceSettings;
use crate::call::rules::AudioSpan;
use crate::call::rules::Compiled;
use crate::call::rules::Dialer;
use crate::call::rules::Limits;
use crate::call::rules::Refusal;
use crate::call::rules::Trunk;
use crate::campaign::Campaign;
use crate::campaign::Confirm;
use crate::campaign::Mode;
use crate::campaign::OnStale;
use crate::campaign::PromptName;
use crate::config::Checked;
use crate::dtmf::tone;
use crate::media::prompt::Prompt;
use crate::menu;
use crate::menu::Code;
use crate::menu::CodeBook;
use crate::model::ListName;
use crate::model::hex;
use crate::model::number::NumberReader;
use crate::sip::ListenerId;
use crate::suppression::Index;
use crate::suppression::List;
use crate::suppression::Scope;
use crate::suppression::list::ListLimitError;
use crate::suppression::policy::checked_lists;
use crate::suppression::registry::Registry;

/// How long packets on their way count after a hang-up.
const LINGER: Duration = Duration::from_millis(500);

/// How long a person waits in silence for the disk before the fallback prompt.
const COMMIT_MAX: Duration = Duration::from_secs(2);

/// The lists as the index wants them.
pub fn lists(checked: &Checked) -> Vec<List> {
    checked
        .lists
        .values()
        .map(|list| List {
            name: list.name.clone(),
            title: list.title.clone(),
            scope: scope_of(list.scope),
        })
        .collect()
}

/// A scope of the files as the index has it.
pub(super) const fn scope_of(scope: crate::config::Scope) -> Scope {
    match scope {
        crate::config::Scope::Global => Scope::Global,
        crate::config::Scope::Account => Scope::Account,
        crate::config::Scope::Topic => Scope::Topic,
        crate::config::Scope::Campaign => Scope::Campaign,
    }
}

/// How the media of calls is treated.
pub(super) fn voice_settings(checked: &Checked) -> VoiceSettings {
    let media = &checked.media;
    VoiceSettings {
        symmetric: media.symmetric,
        idle_max: media.idle_max,
        tones: media.inband.listen,
        tone: tone_settings(checked),
    }
}

/// What a pair of tones must be to be a key.
pub fn tone_settings(checked: &Checked) -> tone::Settings {
    let inband = checked.media.inband;
    tone::Settings {
        level_min_dbm0: f32::from(inband.level_min_dbm0),
        twist_forward_max_db: f32::from(inband.twist_forward_max_db),
        twist_reverse_max_db: f32::from(inband.twist_reverse_max_db),
        ..tone::Settings::default()
    }
}

/// The rules of a configuration; prompts are read here, so that all of them exist or none.
pub(super) fn rules(checked: &Checked, index: &Index) -> Result<Rules, EngineError> {
    let prompts = read_prompts(checked)?;
    let compiled = checked
        .campaigns
        .iter()
        .map(|campaign| Ok((campaign.name.clone(), compile(checked, campaign, &prompts, index)?)))
        .collect::<Result<_, EngineError>>()?;
    let dialers = checked.dialers.values().map(dialer).collect::<Result<_, EngineError>>()?;
    let trunks = checked.trunks.values().map(|it| (it.name.clone(), Arc::new(trunk(it))));
    Ok(Rules {
        node: checked.node.name.clone(),
        campaigns: Arc::clone(&checked.campaigns),
        compiled,
        dialers,
        trunks: trunks.collect(),
        prompts,
        audio: checked
            .evidence
            .audio
            .map(|span| AudioSpan { before: span.before, after: span.after }),
        limits: Limits {
            calls_max: checked.limits.calls_max as usize,
            call_max: checked.limits.call_max,
            linger: LINGER,
            commit_max: COMMIT_MAX,
        },
        config_hash: hex(&checked.hash).into(),
    })
}

fn read_prompts(checked: &Checked) -> Result<BTreeMap<PromptName, Arc<Prompt>>, EngineError> {
    let read = |(name, path): (&PromptName, &PathBuf)| {
        Ok((name.clone(), Arc::new(read_prompt(name.as_str(), path)?)))
    };
    checked.prompts.iter().map(read).collect()
}

/// Reads one prompt's file.
///
/// # Errors
///
/// [`EngineError::Prompt`] says what is wrong with the file.
pub fn read_prompt(name: &str, path: &Path) -> Result<Prompt, EngineError> {
    let wrong = |why: String| EngineError::Prompt { path: path.to_owned(), why };
    let file = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    Prompt::from_wav(name, &file).map_err(|error| wrong(error.to_string()))
}

fn compile(
    config: &Checked,
    campaign: &Campaign,
    prompts: &BTreeMap<PromptName, Arc<Prompt>>,
    index: &Index,
) -> Result<Compiled, EngineError> {
    let codes = campaign.codes.iter().map(|code| Code {
        digits: code.digits,
        confirm: match code.confirm {
            Confirm::None => menu::Confirm::Never,
            Confirm::PressAgain => menu::Confirm::Again,
        },
    });
    let book = if campaign.codes.is_empty() {
        None
    } else {
        let book = CodeBook::new(codes).map_err(|error| EngineError::Codes {
            campaign: campaign.name.clone(),
            why: error.to_string(),
        })?;
        Some(Arc::new(book))
    };
    // The time for the confirming press counts from the end of the prompt that asks for it.
    let asking = campaign.codes.iter().filter_map(|code| prompts.get(&code.prompts.ask));
    let asking_max = asking.map(|prompt| prompt.duration()).max().unwrap_or_default();
    let listening = menu::Settings {
        first_key_max: Some(campaign.listening.first_key_max),
        digit_gap_max: campaign.listening.digit_gap_max,
        confirm_max: asking_max + campaign.listening.first_key_max,
    };
    Ok(Compiled { book, listening, checks: checks(config, campaign, index)? })
}

/// What calls of `campaign` are checked against.
pub(super) fn checks(
    config: &Checked,
    campaign: &Campaign,
    index: &Index,
) -> Result<Checks, ListLimitError> {
    let of = |is_inbound| index.mask(&counting_lists(config, campaign, is_inbound));
    let registries = registries_that_refuse(config, campaign);
    Ok(Checks { called: of(false)?, calling: of(true)?, registries })
}

/// The registries that `campaign` is checked against, whichever way, and that refuse its calls
/// while they are too old.
fn registries_that_refuse(config: &Checked, campaign: &Campaign) -> Vec<Registry> {
    let lists = lists_looked_at(config, campaign);
    let mut lists: Vec<&crate::config::List> =
        lists.iter().filter_map(|list| config.lists.get(list)).collect();
    lists.retain(|list| list.registry.is_some_and(|rule| rule.on_stale == OnStale::Refuse));
    lists.into_iter().filter_map(registry).collect()
}

/// The lists that calls of `campaign` are checked against, whichever way, each once.
pub(super) fn lists_looked_at(config: &Checked, campaign: &Campaign) -> Vec<ListName> {
    let is_called = !campaign.is_inbound() || campaign.mode == Mode::Bridge;
    let called = if is_called { counting_lists(config, campaign, false) } else { Vec::new() };
    let mut lists =
        if campaign.is_inbound() { counting_lists(config, campaign, true) } else { Vec::new() };
    for list in called {
        if !lists.contains(&list) {
            lists.push(list);
        }
    }
    lists
}

/// The lists that a number is looked for on which `campaign` calls, or which calls it.
pub(super) fn counting_lists(
    config: &Checked,
    campaign: &Campaign,
    is_inbound: bool,
) -> Vec<ListName> {
    let add_to = campaign.codes.iter().flat_map(|code| &code.add_to);
    let mut lists = checked_lists(&campaign.check, add_to);
    lists
        .retain(|list| config.lists.get(list).is_none_or(|list| list.direction.counts(is_inbound)));
    lists
}

/// Makes `index` judge by the lists and campaigns of `config`.
///
/// # Errors
///
/// [`ListLimitError`].
pub(super) fn configure(index: &Index, config: &Checked) -> Result<(), ListLimitError> {
    index.configure(&lists(config))?;
    let lists = config.lists.values();
    index
        .set_ranges(lists.flat_map(|list| list.ranges.iter().map(|range| (&list.name, *range))))?;
    let topics = config.campaigns.iter();
    index.set_topics(topics.map(|it| (it.name.clone(), it.topic.clone())).collect());
    Ok(())
}

fn dialer(dialer: &crate::config::Dialer) -> Result<Arc<Dialer>, EngineError> {
    Ok(Arc::new(Dialer {
        name: dialer.name.clone(),
        allow: dialer.allow.clone(),
        channels_max: dialer.channels_max as usize,
        numbers: NumberReader::new(&dialer.default_region)?,
        refusal: Refusal {
            status: dialer.refusal.status,
            phrase: phrase(dialer.refusal.status).to_owned(),
            reason: Some(format!("Q.850;cause={}", dialer.refusal.cause)),
        },
        outcome_header: dialer.outcome_header.clone(),
    }))
}

/// The phrase of a refusal; 603 is Decline, never Network Blocked, which is 603+.
const fn phrase(status: u16) -> &'static str {
    match status {
        403 => "Forbidden",
        404 => "Not Found",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        503 => "Service Unavailable",
        _ => "Decline",
    }
}

fn trunk(trunk: &crate::config::Trunk) -> Trunk {
    Trunk {
        name: trunk.name.clone(),
        remote: trunk.address,
        listener: ListenerId(u8::try_from(trunk.listener).unwrap_or(u8::MAX)),
        channels_max: trunk.channels_max as usize,
        codecs: trunk.codecs.clone(),
        caller_ids: trunk.caller_ids.clone(),
    }
}
