//! What a campaign is, and which campaign a call belongs to.
//!
//! The values here are already checked: `config` builds them once, whole, and a running call keeps
//! the `Arc` of the campaign it began with, whatever is reloaded meanwhile.

mod choice;
mod rule;

pub use choice::{CallFacts, Campaigns, Clash, ClashOn};
pub use rule::{
    Campaign, CodePrompts, Confirm, Greeting, Listening, Match, Mode, OnStale, OnUnconfirmed,
    Origin, PromptName, ResponseCode, Subject, Then,
};
