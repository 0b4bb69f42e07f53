//! Collects every path of a file, expanded by the file's own imports and aliases.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::tree;

/// A path as written, with its file's imports expanded.
#[derive(Debug)]
pub(crate) struct Named {
    /// Segments; the first is `crate`, `std`, a crate's name or a local name.
    pub(crate) segments: Vec<String>,
    /// Line, from 1.
    pub(crate) line: usize,
    /// How it was written.
    pub(crate) role: Role,
    /// Inside `#[cfg(test)]` or `#[test]`.
    pub(crate) in_test: bool,
}

/// What a path was found as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// In code, a type, a pattern, an attribute or a macro.
    Used,
    /// In a private `use`.
    Imported,
    /// In a `pub use` of any width.
    Reexported,
    /// `use path::*`.
    Glob,
    /// `.method()`; the only segment is the method's name.
    Method,
    /// `async` or `.await`; no segments.
    Async,
    /// `super::super::`, as written.
    Climbing,
    /// A `static` that can change; the segments are its type's.
    Static,
}

/// All paths of one file.
pub(crate) fn collect(file: &tree::SourceFile) -> Vec<Named> {
    let mut imports = Imports { module: file.module.clone(), names: BTreeMap::new() };
    imports.visit_file(&file.syntax);
    let mut walk = Walk {
        imports: imports.names,
        module: file.module.clone(),
        in_test: file.is_test,
        found: Vec::new(),
    };
    walk.visit_file(&file.syntax);
    walk.found
}

/// Resolves `self` and `super` against the module the path stands in.
fn absolute(module: &[String], segments: Vec<String>) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = segments.as_slice();
    match rest.first().map(String::as_str) {
        Some("bajavoz") => base.clear(),
        Some("self") => {}
        Some("super") => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop();
                rest = &rest[1..];
            }
            return [vec!["crate".to_owned()], base, rest.to_vec()].concat();
        }
        _ => return segments,
    }
    [vec!["crate".to_owned()], base, rest[1..].to_vec()].concat()
}

/// First pass: what each local name of the file stands for.
struct Imports {
    module: Vec<String>,
    names: BTreeMap<String, Vec<String>>,
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, Vec::new(), &mut leaves);
        for leaf in leaves.into_iter().filter(|leaf| !leaf.is_glob) {
            self.names.insert(leaf.local, absolute(&self.module, leaf.segments));
        }
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        if let syn::Type::Path(path) = &*item.ty {
            let segments = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
            self.names.insert(item.ident.to_string(), segments);
        }
        visit::visit_item_type(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let inner = [vec!["crate".to_owned()], self.module.clone(), vec![name.clone()]].concat();
        self.names.insert(name.clone(), inner);
        self.module.push(name);
        visit::visit_item_mod(self, item);
        self.module.pop();
    }
}

struct Leaf {
    segments: Vec<String>,
    local: String,
    is_glob: bool,
}

fn flatten(tree: &syn::UseTree, prefix: Vec<String>, leaves: &mut Vec<Leaf>) {
    let with = |name: &syn::Ident| {
        let mut segments = prefix.clone();
        // `use a::{self}` names `a` itself.
        if name != "self" || prefix.is_empty() {
            segments.push(name.to_string());
        }
        segments
    };
    match tree {
        syn::UseTree::Path(path) => flatten(&path.tree, with(&path.ident), leaves),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix.clone(), leaves);
            }
        }
        syn::UseTree::Name(name) => {
            let segments = with(&name.ident);
            let local = segments.last().cloned().unwrap_or_default();
            leaves.push(Leaf { segments, local, is_glob: false });
        }
        syn::UseTree::Rename(rename) => {
            let segments = with(&rename.ident);
            leaves.push(Leaf { segments, local: rename.rename.to_string(), is_glob: false });
        }
        syn::UseTree::Glob(_) => {
            leaves.push(Leaf { segments: prefix, local: String::new(), is_glob: true });
        }
    }
}

/// Second pass: every path, expanded.
struct Walk {
    imports: BTreeMap<String, Vec<String>>,
    module: Vec<String>,
    in_test: bool,
    found: Vec<Named>,
}

impl Walk {
    /// Notes a path that climbs two storeys before it is resolved.
    fn note_climbing(&mut self, segments: &[String], line: usize) {
        if segments.iter().take_while(|segment| *segment == "super").count() > 1 {
            self.push(segments.to_vec(), line, Role::Climbing);
        }
    }

    fn push(&mut self, segments: Vec<String>, line: usize, role: Role) {
        self.found.push(Named { segments, line, role, in_test: self.in_test });
    }

    fn push_used(&mut self, segments: Vec<String>, is_global: bool, line: usize) {
        self.note_climbing(&segments, line);
        let mut segments = absolute(&self.module, segments);
        // An alias may stand for an alias: expand a bounded number of times.
        for _ in 0..4 {
            let Some(meant) = segments.first().and_then(|first| self.imports.get(first)) else {
                break;
            };
            if is_global || meant.first() == segments.first() {
                break;
            }
            segments = [meant.clone(), segments[1..].to_vec()].concat();
        }
        self.push(segments, line, Role::Used);
    }

    fn push_path(&mut self, path: &syn::Path) {
        let segments = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.push_used(segments, path.leading_colon.is_some(), path.span().start().line);
    }

    /// Paths and method calls inside a macro or an attribute, which `syn` leaves as tokens.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon = |index: usize| matches!(tokens.get(index), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        let is_dot = |index: usize| matches!(tokens.get(index), Some(TokenTree::Punct(punct)) if punct.as_char() == '.');
        let mut index = 0;
        while index < tokens.len() {
            let start = index;
            index += 1;
            let first = match &tokens[start] {
                TokenTree::Group(group) => {
                    self.scan(group.stream());
                    continue;
                }
                TokenTree::Ident(ident) => ident,
                _ => continue,
            };
            let line = first.span().start().line;
            if start > 0 && is_dot(start - 1) && !(start > 1 && is_dot(start - 2)) {
                self.push_method(&first.to_string(), line);
                continue;
            }
            if first == "async" {
                self.push(Vec::new(), line, Role::Async);
            }
            let mut segments = vec![first.to_string()];
            while is_colon(index) && is_colon(index + 1) {
                let Some(TokenTree::Ident(next)) = tokens.get(index + 2) else { break };
                segments.push(next.to_string());
                index += 3;
            }
            let is_global = start > 1 && is_colon(start - 1) && is_colon(start - 2);
            self.push_used(segments, is_global, line);
        }
    }

    fn push_method(&mut self, name: &str, line: usize) {
        let role = if name == "await" { Role::Async } else { Role::Method };
        self.push(vec![name.to_owned()], line, role);
    }

    fn within<'ast>(
        &mut self,
        attributes: &[syn::Attribute],
        inner: impl FnOnce(&mut Self) + 'ast,
    ) {
        let before = self.in_test;
        self.in_test |= tree::is_test(attributes);
        inner(self);
        self.in_test = before;
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.push_path(path);
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        // `<std::time::Instant>::now` names the type in the angle brackets.
        if let Some(syn::QSelf { ty, position: 0, .. }) = &path.qself
            && let syn::Type::Path(inner) = &**ty
        {
            let whole = inner.path.segments.iter().chain(&path.path.segments);
            let segments = whole.map(|part| part.ident.to_string()).collect();
            self.push_used(segments, inner.path.leading_colon.is_some(), path.span().start().line);
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.within(&item.attrs, |walk| {
            let mut leaves = Vec::new();
            flatten(&item.tree, Vec::new(), &mut leaves);
            for leaf in leaves {
                let role = match (&item.vis, leaf.is_glob) {
                    (syn::Visibility::Inherited, false) => Role::Imported,
                    (_, true) => Role::Glob,
                    _ => Role::Reexported,
                };
                let line = item.span().start().line;
                walk.note_climbing(&leaf.segments, line);
                walk.push(absolute(&walk.module.clone(), leaf.segments), line, role);
            }
        });
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.push(vec![item.ident.to_string()], item.span().start().line, Role::Imported);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        self.within(&item.attrs, |walk| visit::visit_item_mod(walk, item));
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(&item.attrs, |walk| visit::visit_item_fn(walk, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(&item.attrs, |walk| visit::visit_impl_item_fn(walk, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.within(&item.attrs, |walk| visit::visit_item_impl(walk, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        let mut inner = Self {
            imports: self.imports.clone(),
            module: self.module.clone(),
            in_test: self.in_test,
            found: Vec::new(),
        };
        inner.visit_type(&item.ty);
        let line = item.span().start().line;
        for named in inner.found {
            self.push(named.segments, line, Role::Static);
        }
        if matches!(item.mutability, syn::StaticMutability::Mut(_)) {
            self.push(vec!["mut".to_owned()], line, Role::Static);
        }
        visit::visit_item_static(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.push(Vec::new(), signature.span().start().line, Role::Async);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, expression: &'ast syn::ExprAsync) {
        self.push(Vec::new(), expression.span().start().line, Role::Async);
        visit::visit_expr_async(self, expression);
    }

    fn visit_expr_await(&mut self, expression: &'ast syn::ExprAwait) {
        self.push(Vec::new(), expression.span().start().line, Role::Async);
        visit::visit_expr_await(self, expression);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.push_method(&call.method.to_string(), call.method.span().start().line);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.scan(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            // In `serde(tag = ..)` and `derive(A, b::C)` only longer paths can lead elsewhere.
            self.scan(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }
}
