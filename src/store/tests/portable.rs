//! Every SQL statement of the store stays within what SQLite and the PostgreSQL family share.
//!
//! Two nets, so that none escapes. The drivers hand each statement that any test has them run to
//! [`note`], whoever put it together; and every literal of the store's source that begins with a
//! word of SQL is looked at, run or not. What is allowed is a closed vocabulary: a word that is
//! neither in [`WORDS`] nor the name of a table or column is refused. CockroachDB, YugabyteDB,
//! Citus and Spanner's PostgreSQL dialect document all of it; none of them is run here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::Mutex;

use sqlparser::ast::ColumnOption;
use sqlparser::ast::DataType;
use sqlparser::ast::OnConflictAction;
use sqlparser::ast::OnInsert;
use sqlparser::ast::Statement;
use sqlparser::ast::TableConstraint;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;
use sqlparser::tokenizer::Tokenizer;
use syn::visit::Visit;

use crate::store::database::tables;

/// The words of the shared subset. Not among them, on purpose: RETURNING, WITH, FOR, LATERAL,
/// OVER, CASE, LIKE, CAST, SERIAL, TRIGGER, SAVEPOINT, LOCK, TRUNCATE, COPY. Rows are taken out of the
/// tables of [`tables::PASSING`] alone.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "ALL", "AND", "AS", "BY", "CONFLICT", "COUNT", "DELETE", "DISTINCT", "DO", "EXISTS", "FROM", "IN",
    "INSERT",
    "INTO", "JOIN", "LEFT", "MAX", "NOT", "NOTHING", "ON", "OR", "ORDER", "SELECT", "SET", "UNION",
    "UPDATE", "VALUES", "WHERE", "LIMIT",
    // Names that statements give to what they join.
    "of_list", "of_number", "of_reversal",
    // The table of refinery, which says which migrations there were.
    "refinery_schema_history", "version", "name", "checksum",
];
/// Beside them, in the statement that puts many rows in at once: it goes to servers only.
const WORDS_OF_UNNEST: &[&str] = &["BIGINT", "BYTEA", "INT", "TEXT", "unnest"];

/// Literals of the drivers, which are for their one database, and why they may be.
#[rustfmt::skip]
const OF_DRIVERS: &[(&str, &str)] = &[
    ("BEGIN",  "a transaction"),
    ("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "everything as it stood at one moment"),
    ("COMMIT", "a transaction"),
    ("DELETE FROM {table}", "of a copy of a SQLite file, whose tables are made anew"),
    ("DELETE FROM {name} WHERE ({names}) IN (SELECT * FROM unnest({arrays}))", "each is seen by `note`"),
    ("DELETE FROM {} WHERE {}", "each is seen by `note`"),
    ("GRANT DELETE ON {name} TO {role}", "what an engine may"),
    ("GRANT SELECT ON refinery_schema_history TO {role}; GRANT UPDATE (last_seq, last_hash, is_closed) ON writer TO {role}", "what an engine may"),
    ("GRANT SELECT, INSERT ON {name} TO {role}", "what an engine may"),
    ("INSERT INTO {name} ({columns}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING", "each is seen by `note`"),
    ("INSERT INTO {name} ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING", "each is seen by `note`"),
    ("LISTEN bajavoz", "only hurries: every node looks four times a second without it"),
    ("NOTIFY bajavoz", "only hurries: every node looks four times a second without it"),
    ("PRAGMA integrity_check(1)", "SQLite's own examination"),
    ("PRAGMA quick_check(1)", "SQLite's own examination"),
    ("SELECT {} FROM {}", "each is seen by `note`"),
    ("SELECT {} FROM {} WHERE ({} OR {}) AND ({} OR {})", "each is seen by `note`"),
    ("SELECT current_user, name, privilege FROM (SELECT name, privilege, has_table_privilege(name, privilege) AS has_it FROM (VALUES {added}, {passing}) AS wanted (name, privilege) UNION ALL SELECT 'writer', 'UPDATE', {moved}) AS rights WHERE NOT has_it LIMIT 1", "a server that cannot tell is left alone"),
    ("SELECT MAX(version) FROM refinery_schema_history", "the table is refinery's"),
    ("SET statement_timeout = 0", "while tables are changed"),
    ("SET statement_timeout = {limit_ms}", "as before"),
    ("SET statement_timeout = {limit_ms}; SET idle_in_transaction_session_timeout = {idle_ms}", "the deadlines of a connection"),
    ("TRUNCATE", "how SQLite is to leave its log"),
    ("VACUUM INTO ?1", "the copy of a SQLite file"),
];

/// The folder of the examination, which asks SQLite about its own tables too, and puts statements
/// together: those that go to either database are seen by [`note`].
const OF_SQLITE: &str = "exam/";

/// What makes a literal a statement.
#[rustfmt::skip]
const VERBS: &[&str] = &[
    "ALTER", "BEGIN", "COMMIT", "COPY", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "LISTEN",
    "LOCK", "MERGE", "NOTIFY", "PRAGMA", "REPLACE", "ROLLBACK", "SAVEPOINT", "SELECT", "SET",
    "TRUNCATE", "UNLISTEN", "UPDATE", "VACUUM", "VALUES", "WITH",
];

fn store() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store"))
}

/// Sees a statement that a driver is about to run.
pub(crate) fn note(sql: &str) {
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SEEN.lock().expect("no other test panics in here").insert(sql.to_owned()) {
        judge(sql).unwrap_or_else(|fault| panic!("not portable: {fault}: {sql}"));
    }
}

/// The names of tables and columns.
static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut names = BTreeSet::new();
    for (_file, statement) in migrations() {
        let Statement::CreateTable(table) = statement else { continue };
        names.insert(table.name.to_string());
        names.extend(table.columns.iter().map(|column| column.name.value.clone()));
    }
    names
});

fn migrations() -> Vec<(String, Statement)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(store().join("migrations")).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let text = fs::read_to_string(&path).expect("a migration is text");
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, &text);
        let statements = statements.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        all.extend(statements.into_iter().map(|it| (path.display().to_string(), it)));
    }
    all
}

/// Whether rows are taken out of a table whose rows go again, and by their keys.
fn is_passing(sql: &str) -> bool {
    tables::PASSING.iter().any(|table| {
        let of_table = sql.strip_prefix(&format!("DELETE FROM {} WHERE ", table.name));
        of_table.is_some_and(|keys| keys.trim_start_matches('(').starts_with(table.columns[0].0))
    })
}

/// What is wrong with a statement, if anything is.
fn judge(sql: &str) -> Result<(), String> {
    let parsed =
        Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|error| error.to_string())?;
    let [statement] = parsed.as_slice() else { return Err("more than one statement".to_owned()) };
    match statement {
        Statement::Query(_) | Statement::Update(_) => {}
        Statement::Insert(insert) => match &insert.on {
            Some(OnInsert::OnConflict(on)) if on.action == OnConflictAction::DoNothing => {}
            _ => return Err("an INSERT that cannot be repeated".to_owned()),
        },
        Statement::Delete(_) if is_passing(sql) => {}
        _ => return Err("neither SELECT, INSERT nor UPDATE".to_owned()),
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize();
    let tokens = tokens.map_err(|error| error.to_string())?;
    let has_unnest = tokens.iter().any(|token| token.to_string() == "unnest");
    for token in &tokens {
        match token {
            Token::Word(word) => {
                let text = word.value.as_str();
                let is_of_unnest = has_unnest && WORDS_OF_UNNEST.contains(&text);
                if !WORDS.contains(&text) && !NAMES.contains(text) && !is_of_unnest {
                    return Err(format!("`{text}` is not of the shared vocabulary"));
                }
            }
            Token::DoubleColon | Token::LBracket | Token::RBracket if has_unnest => {}
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Comma
            | Token::Whitespace(_)
            | Token::Eq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::Mul
            | Token::LParen
            | Token::RParen
            | Token::Period
            | Token::Placeholder(_) => {}
            other => return Err(format!("`{other}` is not of the shared vocabulary")),
        }
    }
    Ok(())
}

#[test]
fn what_is_not_shared_is_refused() {
    #[rustfmt::skip]
    let cases = [
        ("SELECT COUNT(*) FROM fact", true),
        ("SELECT number FROM optout WHERE campaign = $1 ORDER BY pressed_us", true),
        ("INSERT INTO writer (writer_id) VALUES ($1) ON CONFLICT DO NOTHING", true),
        ("INSERT INTO writer (writer_id) VALUES ($1)", false),
        ("INSERT INTO writer (writer_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING writer_id", false),
        ("INSERT INTO writer (writer_id) VALUES ($1) ON CONFLICT (writer_id) DO UPDATE SET last_seq = 0", false),
        ("WITH one AS (SELECT number FROM optout) SELECT number FROM one", false),
        ("SELECT number FROM optout FOR UPDATE", false),
        ("SELECT nextval('one')", false),
        ("SELECT number::TEXT FROM optout", false),
        ("SELECT number FROM optout WHERE body LIKE 'a'", false),
        ("DELETE FROM fact", false),
        ("DELETE FROM fact WHERE writer_id = $1 AND writer_seq = $2", false),
        ("DELETE FROM evidence", false),
        ("DELETE FROM evidence WHERE writer_id = $1 AND writer_seq = $2", true),
        ("DELETE FROM call_record WHERE (call_id) IN (SELECT * FROM unnest($1::TEXT[]))", true),
        ("SAVEPOINT one", false),
        ("TRUNCATE fact", false),
        ("SELECT number FROM optout; SELECT number FROM optout", false),
        ("SELECT number FROM optout -- and a comment", true),
    ];
    for (sql, is_shared) in cases {
        assert_eq!(judge(sql).is_ok(), is_shared, "{sql}: {:?}", judge(sql));
    }
}

#[test]
fn every_table_has_plain_columns_and_a_key_of_its_own() {
    for (file, statement) in migrations() {
        let Statement::CreateTable(table) = &statement else {
            panic!("{file}: only tables are made: {statement}");
        };
        let mut has_key =
            table.constraints.iter().any(|it| matches!(it, TableConstraint::PrimaryKey(_)));
        assert!(table.constraints.len() <= 1, "{file}: {}: no constraint but the key", table.name);
        for column in &table.columns {
            let is_plain = matches!(
                column.data_type,
                DataType::BigInt(None) | DataType::Int(None) | DataType::Text | DataType::Bytea
            );
            assert!(is_plain, "{file}: {column}");
            for option in &column.options {
                has_key |= matches!(option.option, ColumnOption::PrimaryKey(_));
                let is_known =
                    matches!(option.option, ColumnOption::NotNull | ColumnOption::PrimaryKey(_));
                assert!(is_known, "{file}: {column}");
            }
        }
        assert!(has_key, "{file}: {} has no key", table.name);
    }
    let known: BTreeSet<&str> = tables::ALL.iter().map(|table| table.name).collect();
    let made = migrations().into_iter().filter_map(|(_file, statement)| match statement {
        Statement::CreateTable(table) => Some(table.name.to_string()),
        _ => None,
    });
    for name in made {
        assert!(known.contains(name.as_str()), "{name}: engines' role gets no right to it");
    }
}

/// The literals of a file that begin like a statement; tests are left out.
#[derive(Default)]
struct Literals(Vec<String>);

impl Literals {
    fn add(&mut self, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let first = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        if VERBS.contains(&first) {
            self.0.push(text);
        }
    }

    /// Those within a macro's arguments, which are tokens to the parser.
    fn add_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => self.add_tokens(group.stream()),
                proc_macro2::TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.add(&text.value());
                    }
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Literals {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.add(&literal.value());
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add_tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, _documentation: &'ast syn::Attribute) {}

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_stem().unwrap_or_default();
        if name == "tests" {
            continue;
        } else if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_statement_in_the_source_is_portable() {
    let mut files = Vec::new();
    sources(store(), &mut files);
    let (mut count, mut faults) = (0, Vec::new());
    for path in files {
        let name = path.strip_prefix(store()).expect("it is below").display().to_string();
        if name.starts_with(OF_SQLITE) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("source is text");
        let mut literals = Literals::default();
        literals.visit_file(&syn::parse_file(&text).expect("source is Rust"));
        for sql in literals.0 {
            count += 1;
            if OF_DRIVERS.iter().any(|(known, _why)| *known == sql) {
                continue;
            }
            // What is put in between is seen by `note`.
            let whole = sql.replace("{}", "");
            faults.extend(judge(&whole).err().map(|fault| format!("{name}: {fault}: {sql}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 20, "the statements were found: {count}");
}
