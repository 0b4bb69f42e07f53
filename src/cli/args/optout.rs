//! Verbs on opt-outs: enter, reverse, show, export.

use clap::Args;
use clap::Subcommand;

use super::Export;
use super::export::EXPORT_EXAMPLES;

/// Verbs on opt-outs.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Optout {
    /// Enter an opt-out by hand; returns when it is on disk.
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Reverse opt-outs of a number, or its entries by imports, by a further record that says why.
    #[command(after_help = REVERSE_EXAMPLES)]
    Reverse(Reverse),
    /// Show every record of a number, which lists refuse it, and what was reversed.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Write opt-outs as CSV or JSON lines to standard output, or into a spreadsheet; oldest first.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Export),
}

/// Arguments of `optout add`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true)]
    pub(in crate::cli) number: String,
    /// A list to add it to; may be given several times, or with commas.
    #[arg(long = "list", value_name = "LIST", required = true, value_delimiter = ',')]
    pub(in crate::cli) lists: Vec<String>,
    /// The account whose calls it is about; needed for nothing but lists of scope account.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) account: Option<String>,
    /// The campaign it is about; its account follows.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) campaign: Option<String>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Who enters it, for the record; the login name unless given.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) actor: Option<String>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  bajavoz optout add +34600123456 --list robinson --reason 'wrote a letter'
  bajavoz optout add 600123456 --list comercial --account acme

On a list of scope account, topic or campaign, an entry without --account or --campaign reaches all of
them; with --campaign it holds for the topic that the campaign has today.";

/// Arguments of `optout reverse`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(in crate::cli) struct Reverse {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true, required_unless_present = "import")]
    pub(in crate::cli) number: Option<String>,
    /// An import to take back as a whole, by its record: all its numbers and ranges.
    #[arg(long, value_name = "RECORD", group = "what")]
    #[arg(conflicts_with_all = ["number", "records", "lists", "all"])]
    pub(in crate::cli) import: Option<String>,
    /// A record to reverse, as `optout show` names it; may be given several times.
    #[arg(long = "record", value_name = "RECORD", group = "what", value_delimiter = ',')]
    pub(in crate::cli) records: Vec<String>,
    /// A list on which to reverse; may be given several times. With --record, of those alone.
    #[arg(long = "list", value_name = "LIST", group = "what", value_delimiter = ',')]
    pub(in crate::cli) lists: Vec<String>,
    /// Every record on every list.
    #[arg(long, group = "what", conflicts_with_all = ["records", "lists"])]
    pub(in crate::cli) all: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: String,
    /// Who reverses, for the record; the login name unless given.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) actor: Option<String>,
    /// Really reverse; without it, only say what would be reversed.
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}

const REVERSE_EXAMPLES: &str = "\
Examples:
  bajavoz optout reverse 600123456 --list comercial --reason 'signed a new consent on 2 March'
  bajavoz optout reverse 600123456 --list comercial --reason 'signed a new consent' --yes
  bajavoz optout reverse 600123456 --record 0123456789abcdef-42 --reason 'a wrong number' --yes
  bajavoz optout reverse --import 0123456789abcdef-42 --reason 'the wrong file' --yes

Without --yes it says what would be reversed, and what would refuse the number all the same. Nothing
is deleted: the reversal is a record that names what it cancels, and an opt-out that it does not name
goes on to refuse. What a registry put on a list, its own change list takes off, and nobody here;
but an import that was a mistake is taken back as a whole by --import, a registry's too, which is then
as old as its import before. Nobody's own opt-out is touched by that.
Exits with 0 when it is reversed or, without --yes, could be, and with 1 when nothing that was named
refuses the number any more.";

const SHOW_EXAMPLES: &str = "\
Examples:
  bajavoz optout show 600123456
  bajavoz optout show +34600123456 --json | jq -r .entry.record

What was reversed, and what a registry took off again, is shown with what did so. Exits with 0 when
something is on record of the number, 1 when nothing is, 3 when the server cannot be reached.";

/// Arguments of `optout show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true)]
    pub(in crate::cli) number: String,
}
