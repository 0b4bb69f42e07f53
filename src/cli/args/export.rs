//! Arguments of `optout export`: the filter, and the form of the answer.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use crate::cli::time::parse_time;
use crate::engine::desk;
use crate::model::UnixMicros;
use crate::suppression::Origin;

/// Arguments of `optout export`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// Pressed at this time or later: 2026-11-22, 2026-11-22T18:00 or with an offset.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(in crate::cli) from: Option<UnixMicros>,
    /// Pressed before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(in crate::cli) to: Option<UnixMicros>,
    /// In calls of this campaign.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) campaign: Option<String>,
    /// On this list.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) list: Option<String>,
    /// Of this origin.
    #[arg(long, value_parser = origins())]
    pub(in crate::cli) origin: Option<Origin>,
    /// Of this number.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(in crate::cli) number: Option<String>,
    /// Only what still refuses: on --list where that is given, else on any list.
    #[arg(long)]
    pub(in crate::cli) standing: bool,
    /// Also the numbers of imports, which may be millions.
    #[arg(long, conflicts_with = "origin")]
    pub(in crate::cli) imports: bool,
    /// The form; jsonl has the evidence of each key too, and is what --json means here.
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    pub(in crate::cli) format: Form,
    /// The spreadsheet to write.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
}

fn origins() -> impl TypedValueParser<Value = Origin> {
    PossibleValuesParser::new(Origin::ALL.map(Origin::as_str))
        .try_map(|name| Origin::from_name(&name).ok_or("no such origin"))
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Form {
    /// A table with a header line, every field quoted.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// A spreadsheet, every cell text, on as many sheets as it needs; into the file of --output.
    Xlsx,
}

impl Form {
    /// The form, `json` asking for the one of programs.
    pub(in crate::cli) const fn format(self, json: bool) -> desk::Format {
        match self {
            Self::Csv if !json => desk::Format::Csv,
            // A spreadsheet's rows are made here, from what programs read.
            Self::Csv | Self::Jsonl | Self::Xlsx => desk::Format::Jsonl,
        }
    }
}

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  bajavoz optout export > optouts.csv
  bajavoz optout export --from 2026-11-01 --to 2026-12-01 --campaign promo-otono
  bajavoz optout export --number 600123456 --format jsonl
  bajavoz optout export --list comercial --standing > refused.csv
  bajavoz optout export --imports > everybody.csv
  bajavoz optout export --list robinson --format xlsx --output robinson.xlsx

With --list, --number, --imports or --origin import the numbers of imports are in it too; without, it
holds what people said themselves, and says on standard error how many imports it leaves out. In CSV an apostrophe stands before what a spreadsheet would take for a
formula; `bajavoz import` reads the table again. Times are UTC unless they say otherwise (2026-11-22T18:00+01:00); --to is the first moment left
out.";
