//! What may be asked over the admin socket, and the lines of the answers.

use serde::Deserialize;
use serde::Serialize;

use crate::call::LiveCall;
use crate::engine::desk::Added;
use crate::engine::desk::Addition;
use crate::engine::desk::Claim;
use crate::engine::desk::Earlier;
use crate::engine::desk::Erased;
use crate::engine::desk::Erasing;
use crate::engine::desk::Explanation;
use crate::engine::desk::Format;
use crate::engine::desk::ImportDone;
use crate::engine::desk::ImportPlace;
use crate::engine::desk::Reversed;
use crate::engine::desk::Reversing;
use crate::engine::desk::Selection;
use crate::engine::desk::Shown;
use crate::engine::desk::Standing;
use crate::engine::desk::Withdrawing;
use crate::engine::desk::Withdrawn;
use crate::engine::finding::Finding;
use crate::engine::reach::Reach;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::store::Ageing;
use crate::suppression::Retention;

/// What may be asked of a running engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How it stands: [`Reply::Status`].
    Status,
    /// The calls in progress, the oldest first: [`Reply::Call`]s and [`Reply::End`].
    Calls,
    /// Take no more calls and end: [`Reply::Done`] once no call is left.
    Drain {
        /// How long running calls may go on; nothing is `limits.drain` of the configuration.
        patience_ms: Option<u64>,
    },
    /// [`Desk::reach`](crate::engine::Desk::reach): [`Reply::Reach`].
    Reach,
    /// Read the configuration anew: [`Reply::Reloaded`], or [`Reply::Finding`]s and
    /// [`Reply::Refused`].
    Reload,
    /// [`Desk::explain`](crate::engine::Desk::explain): [`Reply::Explained`].
    Explain {
        /// The number as typed.
        number: String,
        /// The campaign.
        campaign: CampaignName,
    },
    /// [`Desk::add`](crate::engine::Desk::add): [`Reply::Added`].
    Add(Addition),
    /// [`Desk::reverse`](crate::engine::Desk::reverse): [`Reply::Reversed`].
    Reverse(Reversing),
    /// [`Desk::erase`](crate::engine::Desk::erase): [`Reply::Erased`].
    Erase(Erasing),
    /// [`Desk::ageing`](crate::engine::Desk::ageing): [`Reply::Ageing`].
    Ageing(Retention),
    /// [`Desk::withdraw`](crate::engine::Desk::withdraw): [`Reply::Progress`]es and
    /// [`Reply::Withdrawn`].
    Withdraw(Withdrawing),
    /// [`Desk::import_place`](crate::engine::Desk::import_place): [`Reply::ImportPlace`].
    ImportPlace {
        /// The list; nothing for an export of ours, whose rows say theirs.
        list: Option<ListName>,
        /// For whose calls.
        account: Option<AccountName>,
    },
    /// [`Desk::weigh`](crate::engine::Desk::weigh): [`Reply::Weighed`].
    WeighImport(Box<Claim>),
    /// [`Desk::import`](crate::engine::Desk::import): [`Reply::Progress`]es and
    /// [`Reply::Imported`].
    Import(Vec<Claim>),
    /// [`Desk::show`](crate::engine::Desk::show): [`Reply::Record`]s and [`Reply::End`].
    Show {
        /// The number as typed.
        number: String,
    },
    /// [`Desk::proof`](crate::engine::Desk::proof): [`Reply::Text`]s and [`Reply::End`]; no text
    /// when nothing is on record.
    Proof {
        /// The number as typed.
        number: String,
    },
    /// [`Desk::heads`](crate::engine::Desk::heads): [`Reply::Text`]s and [`Reply::End`].
    Heads,
    /// [`Desk::export`](crate::engine::Desk::export): [`Reply::Text`]s, [`Reply::LeftOut`] and
    /// [`Reply::End`].
    Export {
        /// Which opt-outs.
        selection: Selection,
        /// In which form.
        format: Format,
    },
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Of [`Request::Status`].
    Status(Box<Report>),
    /// Of [`Request::Calls`]: one of them.
    Call(Box<LiveCall>),
    /// Of [`Request::Drain`]: no call is left.
    Done,
    /// Of [`Request::Reach`].
    Reach(Box<Reach>),
    /// Of [`Request::Reload`]: new calls are decided by the new configuration.
    Reloaded(Reloaded),
    /// Of [`Request::Reload`]: one of the reasons why not, or a warning.
    Finding(Box<Finding>),
    /// Of [`Request::Explain`].
    Explained(Box<Explanation>),
    /// Of [`Request::Add`].
    Added(Added),
    /// Of [`Request::Reverse`].
    Reversed(Reversed),
    /// Of [`Request::Withdraw`].
    Withdrawn(Withdrawn),
    /// Of [`Request::Erase`].
    Erased(Erased),
    /// Of [`Request::Ageing`].
    Ageing(Box<Ageing>),
    /// Of [`Request::ImportPlace`].
    ImportPlace(ImportPlace),
    /// Of [`Request::WeighImport`].
    Weighed(Vec<Earlier>),
    /// Of [`Request::Import`]: so many of so many numbers are refused.
    Progress(u64, u64),
    /// Of [`Request::Import`].
    Imported(Vec<ImportDone>),
    /// Of [`Request::Show`].
    Record(Box<Shown>),
    /// Of [`Request::Export`], [`Request::Heads`] and [`Request::Proof`]: the next piece of it.
    Text(String),
    /// Of [`Request::Export`]: [`Desk::imports_left_out`](crate::engine::Desk::imports_left_out).
    LeftOut(u64),
    /// All lines of the answer have come.
    End,
    /// It is not done.
    Refused {
        /// Why not.
        why: String,
        /// Whether the request itself was at fault, so that asking again helps nobody.
        is_usage: bool,
        /// Whether there was nothing wrong, and nothing on record that it could have been done to.
        #[serde(default)]
        is_nothing: bool,
        /// Whether the database is away, so that the same may be answered later.
        #[serde(default)]
        is_away: bool,
    },
}

impl Reply {
    /// It is not done, for this reason; `is_usage` as in [`Self::Refused`].
    pub(super) const fn refused(why: String, is_usage: bool) -> Self {
        Self::Refused { why, is_usage, is_nothing: false, is_away: false }
    }
}

/// How a shard stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Calls in progress, those among them that only wait for their record.
    pub calls: usize,
    /// RTP port pairs in use.
    pub ports_in_use: usize,
    /// RTP port pairs there are; nothing when the system chooses them.
    pub ports_size: Option<usize>,
    /// Whether no new call is taken.
    pub is_draining: bool,
    /// Whether the database cannot be written, or lacks a fact that was answered without it.
    #[serde(default)]
    pub is_database_away: bool,
}

/// How a running engine stands, as its operator sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Calls and ports.
    #[serde(flatten)]
    pub status: Status,
    /// Store and index.
    #[serde(flatten)]
    pub standing: Standing,
}

/// A configuration that was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The new configuration, as call records name it.
    pub config: String,
    /// What loads but is probably not meant.
    pub warnings: Vec<Finding>,
}

/// Why an engine does not do what it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// In one line.
    pub why: String,
    /// What is wrong with the files, when it is they.
    pub findings: Vec<Finding>,
}

impl Refusal {
    /// For this reason, which no file is to blame for.
    pub fn because(why: impl ToString) -> Self {
        Self { why: why.to_string(), findings: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_the_module_says() {
        let explain = Request::Explain { number: "600123456".to_owned(), campaign: "promo".into() };
        let cases = [
            (r#""status""#, Request::Status),
            (r#""calls""#, Request::Calls),
            (r#"{"drain":{"patience_ms":null}}"#, Request::Drain { patience_ms: None }),
            (r#"{"explain":{"number":"600123456","campaign":"promo"}}"#, explain),
        ];
        for (text, request) in cases {
            assert_eq!(serde_json::to_string(&request).expect("it is plain"), text);
            assert_eq!(serde_json::from_str::<Request>(text).expect("it is ours"), request);
        }
    }
}
