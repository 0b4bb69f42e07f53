//! What may be typed: the verbs, their arguments, and the help that teaches them.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

use super::time::parse_time;
use crate::engine::desk;
use crate::model::UnixMicros;
use crate::suppression::Origin;
use crate::suppression::import::Shape;
use crate::suppression::proof::PublicKey;

/// Telephony opt-out engine: gates calls by suppression lists, hears the key, makes it durable.
#[derive(Debug, Parser)]
#[command(name = "bajavoz", version, propagate_version = true, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, max_term_width = 100)]
pub(super) struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub(super) common: Common,
    /// The verb.
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What every verb takes.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// The configuration folder, its *.toml and those of its folder campaigns [default: config].
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) config: Option<PathBuf>,
    /// Print JSON for programs, one object a line; errors too, on standard error.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The engine's admin socket, where it is not admin.sock in the folder of [store] path.
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

impl Common {
    /// The configuration folder.
    pub(super) fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or_else(|| Path::new("config"))
    }
}

const EXAMPLES: &str = "\
Examples:
  bajavoz check                                     say everything that is wrong in config/
  bajavoz explain +34600123456 --campaign promo     may it be called, and by what is that decided
  bajavoz optout add 600123456 --list robinson      never call this number again
  bajavoz import robinson.csv --list robinson       put a file of numbers on a list
  bajavoz optout export > optouts.csv               everybody who opted out, with three times each
  bajavoz proof 600123456 --out proof.jsonl         what an auditor can check without us
  bajavoz verify proof.jsonl                        is it whole, and what does it say
  bajavoz decode call.pcap                          which keys would we have heard in this capture

Exit codes:
  0   done; the answer is yes
  1   the answer is no: errors found, must not be called, nothing on record, no key heard
  2   what was typed cannot be used, or a file cannot be read
  3   no engine can be reached
  4   refused: by the engine, or since an engine holds the store
  70  a defect of bajavoz

Verbs about lists ask the running engine over its admin socket (mode 0600). Where none runs they
open the store themselves, and refuse while another process holds it.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// See it work: engine, dialer, carrier and phones in one process, on loopback.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Run the engine in the foreground, until SIGTERM or `bajavoz drain` has drained it.
    #[command(after_help = RUN_EXAMPLES)]
    Run,
    /// Check the configuration, whole, and say everything that is wrong with it.
    #[command(after_help = CHECK_EXAMPLES)]
    Check,
    /// Say whether a campaign may call a number, and which list, record and line decide it.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Put the numbers of a file on a list: CSV, a number a line, or a national registry.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Import),
    /// Enter, reverse, show and export opt-outs.
    #[command(subcommand)]
    Optout(Optout),
    /// Write what is on record of a number as a signed bundle, which anybody can check offline.
    #[command(after_help = PROOF_EXAMPLES)]
    Proof(Proof),
    /// Check a bundle, or a whole store, and name exactly the record that was touched or is missing.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Say how the running engine stands, or which calls it has.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// End the running engine: no new calls, running ones may finish.
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(Drain),
    /// Let the running engine read its configuration anew; all of it or nothing.
    Reload,
    /// Copy the store to a new folder, and verify the copy; the engine may run on.
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup(Backup),
    /// Verify a backup and make the store from it; no engine may have the store.
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(Restore),
    /// Look after the database behind the journal: a file, or a PostgreSQL server.
    #[command(subcommand)]
    Store(StoreVerb),
    /// Hear the keys in a WAV file or a capture, by the very code that listens to calls.
    #[command(after_help = DECODE_EXAMPLES)]
    Decode(Decode),
}

const DEMO_EXAMPLES: &str = "\
Examples:
  bajavoz demo                   see it, then call the engine yourself; Ctrl-C ends it
  bajavoz demo --once --json | jq '.calls[] | {number, key_ms, durable_ms, confirmed_ms}'

With --json the calls, records, refusals and the verdict are one document. Exits with 0 when all
went as it must, and with 1 when not.";

const RUN_EXAMPLES: &str = "\
Examples:
  bajavoz run --config /etc/bajavoz
  kill -HUP PID                  read the configuration anew; all of it or nothing
  kill -TERM PID                 no new calls; a second one hangs up what is left

Logs go to standard error. Health and metrics are served on [http] bind.";

const CHECK_EXAMPLES: &str = "\
Examples:
  bajavoz check --config /etc/bajavoz
  bajavoz check --json | jq -r 'select(.kind == \"finding\") | \"\\(.file):\\(.line) \\(.message)\"'

Exits with 0 when the engine would start with these files, 1 when not, 2 when there is nothing to
read.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  bajavoz explain +34600123456 --campaign promo-otono
  bajavoz explain '600 123 456' --campaign promo-otono && dial 600123456

Exits with 0 when the number may be called and 1 when it must not, so that a script can ask.";

const STATUS_EXAMPLES: &str = "\
Examples:
  bajavoz status
  bajavoz status --calls --json | jq -r .campaign | sort | uniq -c";

const IMPORT_EXAMPLES: &str = "\
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
already imported. A file that is empty, cut, or of a registry that has shrunk by half changes
nothing. A running engine goes on refusing and connecting calls meanwhile.";

const PROOF_EXAMPLES: &str = "\
Examples:
  bajavoz proof +34600123456 --out proof.jsonl
  bajavoz proof --key            the public key; give it to auditors before they need it
  bajavoz proof --heads --out /mnt/elsewhere/$(date +%F).heads

A bundle has every record of the number with its evidence, and the hash chain from each to the next
signed checkpoint. Records of other people in between are in it without saying whom they are about. A number
that stands on a list by an import comes with its place in the import's file of numbers.
Heads are one signed line that says how each stream of the store ended. Without one from elsewhere
nobody can tell that the end of the newest stream was cut off together with what was signed there.
Exits with 1 when nothing is on record of the number. Who may read the bundle reads the number.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  bajavoz verify proof.jsonl --key \"$(cat key-of-the-store)\"
  bajavoz verify proof.jsonl --json | jq -r 'select(.kind == \"fault\") | .message'
  bajavoz verify --store /var/backups/bajavoz       a copy of a store, journal against database
  bajavoz verify --store COPY --heads 2026-11-22.heads

Needs no engine and no configuration. Without --key it shows that the bundle is whole and names the
key it was signed by; that this is the store's key you must know from elsewhere. A store is only
read, and must not be in use; its call records are in no chain and are not looked at. With --heads
everything must still be there that was there when they were made.
Exits with 0 when it is whole, 1 when not, 2 when the file is no bundle.";

const DRAIN_EXAMPLES: &str = "\
Examples:
  bajavoz drain                  wait as long as limits.drain says, then hang up
  bajavoz drain --patience 0     hang up at once

Returns when the last call has ended and the engine with it.";

/// The verbs about the database.
#[derive(Debug, Subcommand)]
pub(super) enum StoreVerb {
    /// Bring the server's tables up to date, as the role that owns them.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(Migrate),
    /// Copy everything from the file to the server, or back, and compare; no engine may run.
    #[command(after_help = COPY_EXAMPLES)]
    Copy(Copy),
}

/// What `store migrate` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct Migrate {
    /// A role of the server that engines use: it gets what an engine needs, and no more.
    #[arg(long, value_name = "ROLE")]
    pub(super) engine_role: Option<String>,
}

/// What `store copy` takes.
#[derive(Clone, Debug, Args)]
pub(super) struct Copy {
    /// Where everything is.
    #[arg(long)]
    pub(super) from: Base,
    /// Where it is to be.
    #[arg(long)]
    pub(super) to: Base,
}

/// A database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Base {
    /// The file in the folder of [store] path.
    Sqlite,
    /// The server of [store] url.
    Postgres,
}

impl Base {
    /// Whether it is the server.
    pub(super) fn is_server(self) -> bool {
        self == Self::Postgres
    }
}

const MIGRATE_EXAMPLES: &str = "\
Examples:
  bajavoz store migrate                                 engines do it themselves where they may
  BAJAVOZ_DATABASE_URL=postgresql://owner@db/bajavoz \\
    bajavoz store migrate --engine-role bajavoz_engine  where they may not

The engine's role may then read and add rows, and say how far each stream has been taken in. It
may change and delete nothing else. Exits with 3 when the server cannot be reached.";

const COPY_EXAMPLES: &str = "\
Examples:
  bajavoz store copy --from sqlite --to postgres
  bajavoz store copy --from postgres --to sqlite

[store] must name the server (database = \"postgres\", url) and the folder (path). What is there
already is not sent again: a copy that was cut off goes on where it was. Each row is read back and
compared. Exits with 1 when one differs.";

const BACKUP_EXAMPLES: &str = "\
Examples:
  bajavoz backup /mnt/backup/2026-11-22
  bajavoz backup /mnt/backup/2026-11-22 --json | jq .opt_outs

The copy holds the journal, the keys and the call records. Whoever has it can read who opted out:
keep it as private as the store. Exits with 1 when the journal is damaged.";

const RESTORE_EXAMPLES: &str = "\
Examples:
  bajavoz restore /mnt/backup/2026-11-22 --dry-run    verify it, change nothing
  bajavoz restore /mnt/backup/2026-11-22

Every record is checked: its place in the chain, its key, and that none is missing. Makes the folder
of [store] path, which must be missing or empty. Exits with 1 when the backup is not whole.";

const DECODE_EXAMPLES: &str = "\
Examples:
  bajavoz decode prompt.wav
  bajavoz decode call.pcap --json | jq -r .digit
  bajavoz decode rtp-only.pcapng --event-pt 101
  bajavoz decode quiet.wav --config config          by the limits of its [media.inband]

A capture may hold SIP: then its SDP says what the payload types are. Without SIP, payload types 0
and 8 are audio, and packets of four bytes of a dynamic type beside audio are telephone-events.
Keys by SIP INFO are listed too, as a stream of their own.";

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End when the calls are shown; without it the engine stays up until Ctrl-C.
    #[arg(long)]
    pub(super) once: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true)]
    pub(super) number: String,
    /// The campaign that would call.
    #[arg(long, value_name = "NAME")]
    pub(super) campaign: String,
}

/// Verbs on opt-outs.
#[derive(Debug, Subcommand)]
pub(super) enum Optout {
    /// Enter an opt-out by hand; returns when it is on disk.
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Reverse opt-outs of a number, or its entries by imports, by a further record that says why.
    #[command(after_help = REVERSE_EXAMPLES)]
    Reverse(Reverse),
    /// Show every record of a number, which lists refuse it, and what was reversed.
    Show(Show),
    /// Write opt-outs as CSV or JSON lines to standard output, or into a spreadsheet; oldest first.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Export),
}

const ADD_EXAMPLES: &str = "\
Examples:
  bajavoz optout add +34600123456 --list robinson --reason 'wrote a letter'
  bajavoz optout add 600123456 --list comercial --account acme

On a list of scope account or campaign, an entry without --account or --campaign reaches all of
them.";

const REVERSE_EXAMPLES: &str = "\
Examples:
  bajavoz optout reverse 600123456 --list comercial --reason 'signed a new consent on 2 March'
  bajavoz optout reverse 600123456 --list comercial --reason 'signed a new consent' --yes
  bajavoz optout reverse 600123456 --record 0123456789abcdef-42 --reason 'a wrong number' --yes

Without --yes it says what would be reversed, and what would refuse the number all the same. Nothing
is deleted: the reversal is a record that names what it cancels, and an opt-out that it does not name
goes on to refuse. What a registry put on a list, its own change list takes off, and nobody here.
Exits with 0 when it is reversed, and with 1 without --yes.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  bajavoz optout export > optouts.csv
  bajavoz optout export --from 2026-11-01 --to 2026-12-01 --campaign promo-otono
  bajavoz optout export --number 600123456 --format jsonl
  bajavoz optout export --list comercial --standing > refused.csv
  bajavoz optout export --list robinson --format xlsx --output robinson.xlsx

With --list, --number or --origin import the numbers of imports are in it too; without, it holds what
people said themselves. In CSV an apostrophe stands before what a spreadsheet would take for a
formula; `bajavoz import` reads the table again. Times are UTC unless they say otherwise (2026-11-22T18:00+01:00); --to is the first moment left
out.";

/// Arguments of `optout add`.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true)]
    pub(super) number: String,
    /// A list to add it to; may be given several times, or with commas.
    #[arg(long = "list", value_name = "LIST", required = true, value_delimiter = ',')]
    pub(super) lists: Vec<String>,
    /// The account whose calls it is about; needed for nothing but lists of scope account.
    #[arg(long, value_name = "NAME")]
    pub(super) account: Option<String>,
    /// The campaign it is about; its account follows.
    #[arg(long, value_name = "NAME")]
    pub(super) campaign: Option<String>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// Who enters it, for the record; the login name unless given.
    #[arg(long, value_name = "NAME")]
    pub(super) actor: Option<String>,
}

/// Arguments of `optout reverse`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct Reverse {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true)]
    pub(super) number: String,
    /// A record to reverse, as `optout show` names it; may be given several times.
    #[arg(long = "record", value_name = "RECORD", group = "what", value_delimiter = ',')]
    pub(super) records: Vec<String>,
    /// A list on which to reverse; may be given several times. With --record, of those alone.
    #[arg(long = "list", value_name = "LIST", group = "what", value_delimiter = ',')]
    pub(super) lists: Vec<String>,
    /// Every record on every list.
    #[arg(long, group = "what", conflicts_with_all = ["records", "lists"])]
    pub(super) all: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
    /// Who reverses, for the record; the login name unless given.
    #[arg(long, value_name = "NAME")]
    pub(super) actor: Option<String>,
    /// Really reverse; without it, only say what would be reversed.
    #[arg(long)]
    pub(super) yes: bool,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file; gz or not is told by what is in it.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The list; for a file of `optout export` only where all of it is to go on one.
    #[arg(long, value_name = "LIST")]
    pub(super) list: Option<String>,
    /// The account whose calls it is about; needed for nothing but lists of scope account.
    #[arg(long, value_name = "NAME", requires = "list")]
    pub(super) account: Option<String>,
    /// Where the file comes from, for the record.
    #[arg(long, value_name = "TEXT")]
    pub(super) source: Option<String>,
    /// The day for which the source says so.
    #[arg(long, value_name = "DATE", value_parser = parse_time)]
    pub(super) as_of: Option<UnixMicros>,
    /// Whose national numbers are meant; node.default-region unless given.
    #[arg(long, value_name = "REGION")]
    pub(super) region: Option<String>,
    /// The shape of the file; auto tells a table from a number a line, registries must be named.
    #[arg(long, value_enum, default_value_t = ImportForm::Auto)]
    pub(super) format: ImportForm,
    /// The column of the number, by its name or its place from 1, where the header does not say.
    #[arg(long, value_name = "COLUMN")]
    pub(super) column: Option<String>,
    /// How many lines the source says there are; with another number nothing is imported.
    #[arg(long, value_name = "LINES")]
    pub(super) expect: Option<u64>,
    /// Take a registry that has less than half the lines of its last import.
    #[arg(long)]
    pub(super) allow_fewer: bool,
    /// Read the whole file and say what is in it; import nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Write rejected lines to this file, as CSV with line number, reason and text.
    #[arg(long, value_name = "FILE")]
    pub(super) rejects: Option<PathBuf>,
    /// Who imports it, for the record; the login name unless given.
    #[arg(long, value_name = "NAME")]
    pub(super) actor: Option<String>,
}

/// The shape of a file to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ImportForm {
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
    /// What `optout export` writes: CSV or JSON lines.
    Export,
}

impl ImportForm {
    /// The shape; nothing where it is to be told by the file.
    pub(super) const fn shape(self) -> Option<Shape> {
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

/// Arguments of `optout show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true)]
    pub(super) number: String,
}

/// Arguments of `optout export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Pressed at this time or later: 2026-11-22, 2026-11-22T18:00 or with an offset.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) from: Option<UnixMicros>,
    /// Pressed before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) to: Option<UnixMicros>,
    /// In calls of this campaign.
    #[arg(long, value_name = "NAME")]
    pub(super) campaign: Option<String>,
    /// On this list.
    #[arg(long, value_name = "NAME")]
    pub(super) list: Option<String>,
    /// Of this origin.
    #[arg(long, value_parser = origins())]
    pub(super) origin: Option<Origin>,
    /// Of this number.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(super) number: Option<String>,
    /// Only what still refuses: on --list where that is given, else on any list.
    #[arg(long)]
    pub(super) standing: bool,
    /// The form; jsonl has the evidence of each key too, and is what --json means here.
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    pub(super) format: Form,
    /// The spreadsheet to write.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

fn origins() -> impl TypedValueParser<Value = Origin> {
    PossibleValuesParser::new(Origin::ALL.map(Origin::as_str))
        .try_map(|name| Origin::from_name(&name).ok_or("no such origin"))
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A table with a header line, every field quoted.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// A spreadsheet, every cell text, on as many sheets as it needs; into the file of --output.
    Xlsx,
}

impl Form {
    /// The form, `json` asking for the one of programs.
    pub(super) const fn format(self, json: bool) -> desk::Format {
        match self {
            Self::Csv if !json => desk::Format::Csv,
            // A spreadsheet's rows are made here, from what programs read.
            Self::Csv | Self::Jsonl | Self::Xlsx => desk::Format::Jsonl,
        }
    }
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// List the calls in progress, the oldest first, instead of counting them: when it
    /// began, our id, dialer, campaign, mode, and the Call-ID that the dialer chose.
    #[arg(long)]
    pub(super) calls: bool,
}

/// Arguments of `proof`.
#[derive(Debug, Args)]
pub(super) struct Proof {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["key", "heads"])]
    pub(super) number: Option<String>,
    /// Where to write the bundle, a file that is not there yet; standard output unless given.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print the store's public key instead.
    #[arg(long, conflicts_with_all = ["number", "heads", "out"])]
    pub(super) key: bool,
    /// Write where each stream of the store ends instead, signed: keep it elsewhere.
    #[arg(long, conflicts_with = "number")]
    pub(super) heads: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A bundle of `bajavoz proof`.
    #[arg(value_name = "FILE", required_unless_present = "store", conflicts_with = "store")]
    pub(super) file: Option<PathBuf>,
    /// A whole store instead: the folder of [store] path, or a copy of it.
    #[arg(long, value_name = "DIR")]
    pub(super) store: Option<PathBuf>,
    /// A file of `bajavoz proof --heads` that the store must still agree with.
    #[arg(long, value_name = "FILE", requires = "store")]
    pub(super) heads: Option<PathBuf>,
    /// The store's public key, as `bajavoz proof --key` has printed it.
    #[arg(long, value_name = "PUBLICKEY")]
    pub(super) key: Option<PublicKey>,
}

/// Arguments of `drain`.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// How many seconds running calls may go on; limits.drain unless given.
    #[arg(long, value_name = "SECONDS")]
    pub(super) patience: Option<u64>,
}

impl Drain {
    /// What the engine is told.
    pub(super) fn patience_ms(&self) -> Option<u64> {
        let millis = |seconds| Duration::from_secs(seconds).as_millis();
        self.patience.map(|seconds| u64::try_from(millis(seconds)).unwrap_or(u64::MAX))
    }
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The folder to make; it must not be there.
    #[arg(value_name = "FOLDER")]
    pub(super) folder: PathBuf,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The folder that `backup` made.
    #[arg(value_name = "FOLDER")]
    pub(super) folder: PathBuf,
    /// Verify the backup and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Leave the call records out, where they are damaged; every opt-out is put back.
    #[arg(long)]
    pub(super) without_calls: bool,
}

/// Arguments of `decode`.
#[derive(Debug, Args)]
pub(super) struct Decode {
    /// A WAV file (8000 Hz, mono), or a capture (pcap or pcapng).
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The payload type of telephone-events, where the capture holds no SDP that says it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=127))]
    pub(super) event_pt: Option<u8>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
