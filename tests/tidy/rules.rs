//! The rules, each from one file to what is wrong with it.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lines that a function may have, its signature and braces included.
const FUNCTION_LINES_MAX: usize = 70;

type Rule = fn(&str, &str) -> Vec<String>;

fn matching(name: &str, text: &str, is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| is_bad(line))
        .map(|(index, line)| format!("{name}:{}: {}", index + 1, line.trim()))
        .collect()
}

/// Marks of unfinished work.
pub(crate) fn left_for_later(name: &str, text: &str) -> Vec<String> {
    const MARKS: [&str; 6] = ["TODO", "FIXME", "XXX", "HACK", "dbg!(", "todo!("];
    matching(name, text, |line| {
        MARKS.iter().any(|mark| {
            line.match_indices(mark).any(|(at, _)| {
                // "XXXX" in a pattern of digits is no mark.
                let before = line[..at].chars().next_back();
                let after = line[at + mark.len()..].chars().next();
                let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                !is_word(before) && (mark.ends_with('(') || !is_word(after))
            })
        })
    })
}

/// Trailing blanks, tabs in Rust, carriage returns, and the end of the file.
pub(crate) fn white_space(name: &str, text: &str) -> Vec<String> {
    let is_rust = name.ends_with(".rs");
    let mut findings: Vec<String> = text
        .split('\n')
        .enumerate()
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']) || (is_rust && line.contains('\t')))
        .map(|(index, _)| format!("{name}:{}: blank at the end, or a tab", index + 1))
        .collect();
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        findings.push(format!("{name}: ends with exactly one line feed"));
    }
    findings
}

/// The module documentation comes first.
pub(crate) fn module_doc(name: &str, text: &str) -> Vec<String> {
    // Fuzz targets carry the attribute that takes `main` away before it.
    let first = text.lines().find(|line| !line.starts_with("#![no_main]"));
    let has_doc = first.is_some_and(|line| line.starts_with("//! ") && line.len() > 12);
    if has_doc { Vec::new() } else { vec![format!("{name}:1: no module documentation")] }
}

struct Functions<'a> {
    name: &'a str,
    findings: Vec<String>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let lines = block.span().end().line + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let told = format!("{}:{first}: fn {} has {lines} lines", self.name, signature.ident);
            self.findings.push(told);
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        // A table of test rows is data; its length says nothing against it.
        if !item.attrs.iter().any(|attribute| attribute.path().is_ident("test")) {
            self.measure(&item.sig, &item.block);
        }
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Functions that do not fit the screen.
pub(crate) fn long_functions(name: &str, text: &str) -> Vec<String> {
    match syn::parse_file(text) {
        Ok(syntax) => {
            let mut functions = Functions { name, findings: Vec::new() };
            functions.visit_file(&syntax);
            functions.findings
        }
        Err(error) => vec![format!("{name}: does not parse: {error}")],
    }
}

/// `#[allow(..)]`, and `#[expect(..)]` is left to clippy.
pub(crate) fn silenced_lints(name: &str, text: &str) -> Vec<String> {
    matching(name, text, |line| {
        let line = line.trim_start();
        ["#[allow(", "#![allow("].iter().any(|mark| line.starts_with(mark))
            || line.contains("cfg_attr(") && line.contains("allow(")
    })
}

struct Unsafe<'a> {
    name: &'a str,
    findings: Vec<String>,
}

impl Unsafe<'_> {
    fn push(&mut self, line: usize) {
        self.findings.push(format!("{}:{line}: unsafe", self.name));
    }
}

impl<'ast> Visit<'ast> for Unsafe<'_> {
    fn visit_expr_unsafe(&mut self, expression: &'ast syn::ExprUnsafe) {
        self.push(expression.span().start().line);
        visit::visit_expr_unsafe(self, expression);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if matches!(signature.safety, syn::Safety::Unsafe(_)) {
            self.push(signature.span().start().line);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.push(item.span().start().line);
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        if holds_unsafe(invocation.tokens.clone()) {
            self.push(invocation.span().start().line);
        }
    }
}

fn holds_unsafe(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => holds_unsafe(group.stream()),
        TokenTree::Ident(ident) => ident == "unsafe",
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// The lines that open something unsafe.
pub(crate) fn unsafe_lines(name: &str, text: &str) -> Vec<String> {
    let mut finder = Unsafe { name, findings: Vec::new() };
    if let Ok(syntax) = syn::parse_file(text) {
        finder.visit_file(&syntax);
    }
    finder.findings
}

/// Tests that do not run, or that want a panic.
pub(crate) fn excused_tests(name: &str, text: &str) -> Vec<String> {
    matching(name, text, |line| {
        let line = line.trim_start();
        line.starts_with("#[ignore") || line.starts_with("#[should_panic")
    })
}

/// A shell script has a shebang and stops at the first failure.
pub(crate) fn script(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("#!/usr/bin/env bash\n") {
        findings.push(format!("{name}:1: no #!/usr/bin/env bash"));
    }
    if !text.lines().any(|line| line == "set -euo pipefail") {
        findings.push(format!("{name}: no set -euo pipefail"));
    }
    findings
}

/// The first sentence of a bench is a question.
pub(crate) fn question(name: &str, text: &str) -> Vec<String> {
    let doc: Vec<&str> = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .flat_map(|line| line.trim_start_matches("//!").split_whitespace())
        .collect();
    // The point in "1.3 kB" ends no sentence.
    let end = doc.iter().find(|word| word.ends_with(['?', '.']));
    let is_question = end.is_some_and(|word| word.ends_with('?'));
    if is_question { Vec::new() } else { vec![format!("{name}:1: no question")] }
}

/// Links to files that are not there. Addresses and anchors are not followed.
pub(crate) fn dead_links(root: &Path, name: &str, text: &str) -> Vec<String> {
    let folder = root.join(name).parent().map(Path::to_owned).unwrap_or_default();
    link_targets(text)
        .into_iter()
        .filter(|(_, target)| !folder.join(target).exists())
        .map(|(line, target)| format!("{name}:{line}: {target}"))
        .collect()
}

/// The `](target)` of a page that are paths, with their lines, outside code blocks.
fn link_targets(text: &str) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    let mut is_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        for piece in line.split("](").skip(1).filter(|_| !is_code) {
            let target = piece.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                targets.push((index + 1, target.to_owned()));
            }
        }
    }
    targets
}

fn dead_links_of_an_empty_folder(name: &str, text: &str) -> Vec<String> {
    dead_links(Path::new("/nonexistent"), name, text)
}

/// Texts that break a rule: name, rule, file, text, and how many findings there are.
#[rustfmt::skip]
pub(crate) const BROKEN: &[(&str, Rule, &str, &str, usize)] = &[
    ("a mark of unfinished work", left_for_later, "a.rs", "// TODO: later\n", 1),
    ("a mark with an owner", left_for_later, "a.md", "FIXME(me) later\n", 1),
    ("a printed value", left_for_later, "a.rs", "dbg!(x);\n", 1),
    ("a pattern of digits is no mark", left_for_later, "a.md", "+34XXXXXXXXX\n", 0),
    ("a blank at the end", white_space, "a.rs", "a \nb\n", 1),
    ("a carriage return", white_space, "a.toml", "a\r\n", 1),
    ("a tab in Rust", white_space, "a.rs", "\ta\n", 1),
    ("a tab in a page is left alone", white_space, "a.md", "\ta\n", 0),
    ("no line feed at the end", white_space, "a.rs", "a", 1),
    ("two line feeds at the end", white_space, "a.rs", "a\n\n", 1),
    ("no documentation", module_doc, "a.rs", "use std::fmt;\n", 1),
    ("empty documentation", module_doc, "a.rs", "//!\n", 1),
    ("documentation after no_main", module_doc, "a.rs", "#![no_main]\n//! Feeds bytes to it.\n", 0),
    ("a silenced lint", silenced_lints, "a.rs", "    #[allow(dead_code)]\n", 1),
    ("a silenced lint of a file", silenced_lints, "a.rs", "#![allow(dead_code)]\n", 1),
    ("a silenced lint by condition", silenced_lints, "a.rs", "#[cfg_attr(test, allow(dead_code))]\n", 1),
    ("an expected lint", silenced_lints, "a.rs", "#[expect(dead_code, reason = \"x\")]\n", 0),
    ("an unsafe block", unsafe_lines, "a.rs", "fn f() { unsafe { g() } }\n", 1),
    ("an unsafe function", unsafe_lines, "a.rs", "unsafe fn f() {}\n", 1),
    ("an unsafe promise", unsafe_lines, "a.rs", "unsafe impl Send for S {}\n", 1),
    ("unsafe inside a macro", unsafe_lines, "a.rs", "fn f() { x!(unsafe { g() }); }\n", 1),
    ("the word in a comment", unsafe_lines, "a.rs", "// unsafe\nfn f() {}\n", 0),
    ("a skipped test", excused_tests, "a.rs", "#[ignore = \"slow\"]\n", 1),
    ("a test that wants a panic", excused_tests, "a.rs", "    #[should_panic]\n", 1),
    ("a script that goes on", script, "a.sh", "#!/usr/bin/env bash\nset -e\n", 1),
    ("a script without a shell", script, "a.sh", "set -euo pipefail\n", 1),
    ("a bench that states", question, "benches/a.rs", "//! Measures x. Is it fast?\n", 1),
    ("a bench that asks", question, "benches/a.rs", "//! How much do\n//! 1.3 kB cost?\n", 0),
    ("a dead link", dead_links_of_an_empty_folder, "a.md", "see [b](b.md#c)\n", 1),
    ("an address", dead_links_of_an_empty_folder, "a.md", "[b](https://example.com/b) [c](#c)\n", 0),
    ("a link in code", dead_links_of_an_empty_folder, "a.md", "```\n[b](b.md)\n```\n", 0),
    ("a function that fits", long_functions, "a.rs", "fn f() {\n}\n", 0),
];
