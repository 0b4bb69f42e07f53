//! Arguments of `import`, and the shapes that a file may be said to have.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use crate::cli::time::parse_time;
use crate::model::UnixMicros;
use crate::suppression::import::Shape;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The file: text, gz or a spreadsheet (XLSX), as is told by what is in it.
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// The list; for a file of `optout export` only where all of it is to go on one.
    #[arg(long, value_name = "LIST")]
    pub(in crate::cli) list: Option<String>,
    /// The account whose calls it is about; needed for nothing but lists of scope account.
    #[arg(long, value_name = "NAME", requires = "list")]
    pub(in crate::cli) account: Option<String>,
    /// Where the file comes from, for the record.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) source: Option<String>,
    /// The day for which the source says so; a later one takes the same file again.
    #[arg(long, value_name = "DATE", value_parser = parse_time)]
    pub(in crate::cli) as_of: Option<UnixMicros>,
    /// Whose national numbers are meant; node.default-region unless given.
    #[arg(long, value_name = "REGION")]
    pub(in crate::cli) region: Option<String>,
    /// The shape of the file; auto tells a table from a number a line, registries must be named.
    #[arg(long, value_enum, default_value_t = ImportForm::Auto)]
    pub(in crate::cli) format: ImportForm,
    /// The column of the number, by its name or its place from 1, where the header does not say.
    #[arg(long, value_name = "COLUMN")]
    pub(in crate::cli) column: Option<String>,
    /// How many lines the source says there are; with another number nothing is imported.
    #[arg(long, value_name = "LINES")]
    pub(in crate::cli) expect: Option<u64>,
    /// Take a table, or a number a line, whose last line has no end: it is not cut.
    #[arg(long, conflicts_with = "expect")]
    pub(in crate::cli) whole: bool,
    /// Take ranges that hold a large part of a country or more, as +3* does.
    #[arg(long)]
    pub(in crate::cli) wide_ranges: bool,
    /// Take a registry that has less than half the lines of its last import.
    #[arg(long)]
    pub(in crate::cli) allow_fewer: bool,
    /// Read the whole file and say what is in it; import nothing.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Write rejected lines to this file, as CSV with line number (of a spreadsheet: sheet and
    /// row), reason and text; a new one, or that of an earlier import.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) rejects: Option<PathBuf>,
    /// Who imports it, for the record; the login name unless given.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) actor: Option<String>,
}

/// The shape of a file to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ImportForm {
    /// A table or a number a line, whatever the first line looks like.
    Auto,
    /// A table with commas, semicolons or tabs.
    Csv,
    /// A number a line.
    Txt,
    /// The United States' registry, full list.
    FtcFull,
    /// The United States' registry, change list.
    FtcChange,
    /// The United Kingdom's TPS or CTPS.
    Tps,
    /// What `optout export` writes: CSV, JSON lines or XLSX.
    Export,
}

impl ImportForm {
    /// The shape; nothing where it is to be told by the file.
    pub(in crate::cli) const fn shape(self) -> Option<Shape> {
        match self {
            Self::Auto => None,
            Self::Csv => Some(Shape::Csv),
            Self::Txt => Some(Shape::Txt),
            Self::FtcFull => Some(Shape::FtcFull),
            Self::FtcChange => Some(Shape::FtcChange),
            Self::Tps => Some(Shape::Tps),
            Self::Export => Some(Shape::Export),
        }
    }
}

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  bajavoz import bajas.csv --list comercial --dry-run --rejects rejected.csv
  bajavoz import robinson.txt.gz --list robinson --source 'Lista Robinson' --as-of 2026-11-01
  bajavoz import full.txt --list ftc --format ftc-full --as-of 2026-11-01
  bajavoz import changes.txt --list ftc --format ftc-change
  bajavoz import optouts.csv                        what `optout export` wrote, onto its own lists

A file of `optout export` brings each number back onto the lists, for the account and campaign, where
it refused when it was exported, as one import for each of these. What was reversed stays reversed.
An import only adds. What a registry's change list deletes is taken off from what imports of the
same registry put on the same list, and never from an opt-out. The same file again is told as
already imported, unless --as-of says a later day than before. A file that is empty, ends in the middle of a line, or is of a registry that has
shrunk by half changes nothing; a text that is cut between two lines looks whole, unless --expect
says how many it has. A running engine goes on refusing and connecting calls meanwhile.";
