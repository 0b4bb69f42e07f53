//! An explanation as people read it, with the number whole; not for logs.

use std::fmt;

use super::Aside;
use super::Cause;
use super::Effect;
use super::Explanation;
use super::Ground;
use super::Look;
use super::Told;
use super::Verdict;
use crate::model::ListName;
use crate::model::UnixMicros;
use crate::suppression::Origin;
use crate::suppression::Undone;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, campaign) = (self.number.reveal(), &self.campaign);
        let must = match self.verdict {
            Verdict::MayCall => "may",
            Verdict::MustNotCall => "must not",
        };
        writeln!(
            f,
            "{number} {must} be called by campaign `{campaign}` of account `{}`.",
            self.account
        )?;
        match self.ground {
            Some(Ground::ShortCode) => {
                writeln!(f, "It is a short code, which no campaign calls (403).")?;
            }
            Some(Ground::Stale) => {
                writeln!(
                    f,
                    "Calls are refused (503) until opt-outs of other engines are known again."
                )?;
            }
            Some(Ground::Suppressed | Ground::StaleRegistry) | None => {}
        }
        if let Some(stale_ms) = self.stale_ms {
            let s = stale_ms / 1_000;
            writeln!(
                f,
                "ATTENTION: opt-outs of other engines may be unknown here, for {s} s by now."
            )?;
        }
        if let Some(why) = &self.unread {
            writeln!(f, "The records cannot be read now ({why}); this is what memory says.")?;
        }
        writeln!(f, "{} (the campaign is in {}).", self.checked(), self.campaign_at)?;
        self.lists.iter().try_for_each(|look| write!(f, "\n{look}"))?;
        self.elsewhere.iter().try_for_each(|aside| write!(f, "\n{aside}"))
    }
}

impl Explanation {
    /// By which of the lists that the campaign checks the number is refused.
    fn checked(&self) -> String {
        let refusing = self.lists.iter().filter(|look| look.hit.is_some() || look.is_stale());
        let refusing: Vec<String> = refusing.map(|look| format!("`{}`", look.list)).collect();
        let all = self.lists.len();
        match (refusing.as_slice(), all) {
            (_, 0) => "It checks no list".to_owned(),
            ([], 1) => "The one list that it checks does not refuse the number".to_owned(),
            ([], _) => format!("None of the {all} lists that it checks refuses the number"),
            ([one], 1) => format!("Refused by {one}, the one list that it checks"),
            ([one], _) => format!("Refused by {one}, one of the {all} lists that it checks"),
            ([rest @ .., last], _) => {
                let (rest, count) = (rest.join(", "), refusing.len());
                format!("Refused by {rest} and {last}, {count} of the {all} lists that it checks")
            }
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_refused = self.hit.is_some() || self.is_stale();
        let refused = if is_refused { "REFUSED" } else { "not refused" };
        writeln!(f, "{refused} by list `{}`{}", self.list, title(&self.list, &self.title))?;
        let reach = match self.scope.as_str() {
            "account" => "an entry reaches the campaigns of its account",
            "topic" => "an entry reaches the campaigns of its topic",
            "campaign" => "an entry reaches its campaign alone",
            _ => "an entry reaches every campaign",
        };
        let by = &self.looked_at_by;
        match self.list_at.as_str() {
            "" => writeln!(f, "  checked by {by}; {reach}")?,
            at => writeln!(f, "  checked by {by}; the list is in {at}; {reach}")?,
        }
        if let Some(registry) = &self.registry {
            writeln!(f, "  {registry}")?;
        }
        if self.is_stale() && self.entries.is_empty() {
            return Ok(());
        }
        tell(f, &self.entries)
    }
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.title {
            Some(called) => {
                let called = title(&self.list, called);
                writeln!(f, "not checked by this campaign: list `{}`{called}", self.list)?
            }
            None => writeln!(
                f,
                "not checked by this campaign: list `{}`, which the configuration no longer has",
                self.list
            )?,
        }
        tell(f, &self.entries)
    }
}

/// What people call a list, where that is not its name.
fn title(list: &ListName, title: &str) -> String {
    if title == list.as_str() { String::new() } else { format!(", {title}") }
}

fn tell(f: &mut fmt::Formatter<'_>, entries: &[Told]) -> fmt::Result {
    if entries.is_empty() {
        return writeln!(f, "  nothing is on record of the number");
    }
    entries.iter().try_for_each(|told| write!(f, "{told}"))
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = &self.cause;
        write!(f, "  - {cause}")?;
        match self.effect {
            Effect::Refuses | Effect::Unchecked | Effect::Reversed => writeln!(f)?,
            Effect::OfOthers => writeln!(f, "; it does not reach this campaign")?,
            Effect::Unknown => writeln!(f, "; the engine that was asked does not know it yet")?,
        }
        if let Some(record) = &cause.record {
            writeln!(f, "    record {record}{}", of_call(cause))?;
        }
        if let Some(deleted) = &cause.evidence_deleted {
            writeln!(f, "    {deleted}, record {}", deleted.record)?;
        }
        self.reversed.iter().try_for_each(|undone| writeln!(f, "    {}", Reversal(undone)))
    }
}

/// The call of an act, for whoever looks for it in call records and at the carrier.
fn of_call(cause: &Cause) -> String {
    let call = cause.call.as_ref().map(|call| format!(", call {call}")).unwrap_or_default();
    let sip = cause.sip_call_id.as_ref().map(|id| format!(", SIP Call-ID {}", one_line(id)));
    call + &sip.unwrap_or_default()
}

/// How a reversal is told.
struct Reversal<'a>(&'a Undone);

impl fmt::Display for Reversal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Undone { record, reversed_at, actor, reason, .. } = self.0;
        write!(f, "REVERSED on {}", when(*reversed_at))?;
        if let Some(actor) = actor {
            write!(f, " by {}", one_line(actor))?;
        }
        write!(f, ": \"{}\"; it refuses no more; record {record}", one_line(reason))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (None, Some(range)) = (&self.record, &self.range) {
            return write!(f, "by the range {range} in the list's table");
        }
        if self.record.is_none() {
            return write!(
                f,
                "refused by memory, not on disk: its record failed or is being written"
            );
        }
        match self.pressed_at {
            Some(at) => write!(f, "on {}: {}", when(at), act(self))?,
            None => write!(f, "{}", act(self))?,
        }
        if let Some(actor) = &self.actor {
            write!(f, " by {}", one_line(actor))?;
        }
        match (&self.campaign, &self.account) {
            (Some(campaign), Some(account)) => {
                let word = if self.digits.is_some() { "in" } else { "for" };
                write!(f, " {word} campaign `{campaign}` of account `{account}`")?;
            }
            (Some(campaign), None) => write!(f, " for campaign `{campaign}`")?,
            (None, Some(account)) => write!(f, " for account `{account}`")?,
            (None, None) => {}
        }
        if let Some(range) = &self.range {
            write!(f, " by the range {range}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ": \"{}\"", one_line(reason))?;
        }
        Ok(())
    }
}

fn act(cause: &Cause) -> String {
    let pressed = |rest: &str| match &cause.digits {
        Some(digits) => format!("the person pressed {digits}{rest}"),
        None => format!("the person opted out by a key{rest}"),
    };
    match cause.origin {
        Some(Origin::Agent) => "an agent noted the wish".to_owned(),
        Some(Origin::Callback) => "the person called back and opted out".to_owned(),
        Some(Origin::DialledCode) => pressed(""),
        Some(Origin::DialledUnconfirmed) => pressed(", and did not confirm it,"),
        Some(Origin::Import) => "imported".to_owned(),
        Some(Origin::ManualApi) => "entered over HTTP".to_owned(),
        Some(Origin::ManualCli) => "entered on the command line".to_owned(),
        Some(Origin::ManualWeb) => "entered in the portal".to_owned(),
        Some(Origin::Sip607) => "the telephone answered 607 Unwanted".to_owned(),
        None => "known to the engine, and not on record where it was asked".to_owned(),
    }
}

/// What people and peers wrote, without what would begin a line of its own or end a quotation.
fn one_line(text: &str) -> String {
    let plain = |character: char| match character {
        '"' => '\'',
        control if control.is_control() => ' ',
        other => other,
    };
    text.chars().map(plain).collect()
}

/// `2026-11-22 18:00:01 UTC`: nobody who asks why needs microseconds, and the record has them.
fn when(at: UnixMicros) -> String {
    let text = at.iso8601();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {} UTC", time.split('.').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_as_sentences() {
        let none = Cause {
            record: None,
            account: None,
            campaign: None,
            origin: None,
            digits: None,
            call: None,
            sip_call_id: None,
            range: None,
            pressed_at: None,
            actor: None,
            reason: None,
            evidence_deleted: None,
        };
        let pressed = Cause {
            record: Some("0123456789abcdef-42".to_owned()),
            campaign: Some("promo".into()),
            account: Some("acme".into()),
            origin: Some(Origin::DialledCode),
            digits: Some("*9".to_owned()),
            pressed_at: Some(UnixMicros(1_999_999)),
            ..none.clone()
        };
        let unconfirmed = Cause { origin: Some(Origin::DialledUnconfirmed), ..pressed.clone() };
        let entered = Cause {
            record: pressed.record.clone(),
            origin: Some(Origin::ManualCli),
            actor: Some("ana".to_owned()),
            reason: Some("a \"letter\"\nREVERSED".to_owned()),
            ..none.clone()
        };
        let for_account = Cause { account: Some("acme".into()), ..entered.clone() };
        let for_campaign = Cause { campaign: Some("promo".into()), ..for_account.clone() };
        let configured = Cause { range: Some("+34800*".to_owned()), ..none.clone() };
        let imported = Cause { range: Some("+34800*".to_owned()), ..entered.clone() };
        #[rustfmt::skip]
        let cases = [
            ("by a range of the configuration", configured, "by the range +34800* in the list's table"),
            ("by a range of an import", imported, "entered on the command line by ana by the range +34800*: \"a 'letter' REVERSED\""),
            ("by memory",      none,        "refused by memory, not on disk: its record failed or is being written"),
            ("by a key",       pressed,     "on 1970-01-01 00:00:01 UTC: the person pressed *9 in campaign `promo` of account `acme`"),
            ("for a campaign", for_campaign, "entered on the command line by ana for campaign `promo` of account `acme`: \"a 'letter' REVERSED\""),
            ("for an account", for_account, "entered on the command line by ana for account `acme`: \"a 'letter' REVERSED\""),
            ("without the second key", unconfirmed, "on 1970-01-01 00:00:01 UTC: the person pressed *9, and did not confirm it, in campaign `promo` of account `acme`"),
            ("by a person, whose words make no line of their own", entered, "entered on the command line by ana: \"a 'letter' REVERSED\""),
        ];
        for (name, cause, want) in cases {
            assert_eq!(cause.to_string(), want, "{name}");
        }
    }
}
