//! What `ARCHITECTURE.md` says of the modules is so: arrows point downwards only.
//!
//! Reads the paths that every file of `src/` names, resolves them to files, and compares the arrows between files with
//! the layers. Tests inside of files are left out: they may use what their subject may not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Lines of a file, at most.
const MAX_LINES: usize = 400;

/// A module by its path, such as `["web", "envelope"]`.
type Module = Vec<String>;

/// The files of `src/`, each with the files that it names.
struct House {
    arrows: BTreeMap<Module, BTreeSet<Module>>,
    lines: BTreeMap<Module, usize>,
}

impl House {
    fn read() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        find_files(&source, &mut files);
        let modules: BTreeMap<Module, String> = files
            .iter()
            .map(|file| (module(file.strip_prefix(&source).unwrap()), fs::read_to_string(file).unwrap()))
            .collect();
        let known: BTreeSet<Module> = modules.keys().cloned().collect();
        let arrows = modules.iter().map(|(module, text)| (module.clone(), arrows(module, text, &known)));
        let lines = modules.iter().map(|(module, text)| (module.clone(), text.lines().count()));
        Self { arrows: arrows.collect(), lines: lines.collect() }
    }

    fn all_arrows(&self) -> impl Iterator<Item = (&Module, &Module)> {
        self.arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)))
    }

    /// The files that can be reached from this one.
    fn reachable(&self, from: &Module) -> BTreeSet<&Module> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(module) = open.pop() {
            for next in &self.arrows[module] {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        reached
    }
}

fn find_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            find_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !matches!(name, "lib.rs" | "main.rs" | "tests.rs")
        {
            found.push(path);
        }
    }
}

fn module(file: &Path) -> Module {
    file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

fn arrows(module: &Module, text: &str, known: &BTreeSet<Module>) -> BTreeSet<Module> {
    let mut names = Names { module, known, found: BTreeSet::new() };
    names.visit_file(&syn::parse_file(text).unwrap());
    names.found.remove(module);
    names.found
}

/// Collects the files whose items a file names.
struct Names<'a> {
    module: &'a Module,
    known: &'a BTreeSet<Module>,
    found: BTreeSet<Module>,
}

impl Names<'_> {
    fn name(&mut self, segments: &[String]) {
        let mut rest = segments;
        let mut path: Module = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            Some(first) => {
                let child = [self.module.as_slice(), &[first.to_owned()]].concat();
                if !self.known.contains(&child) {
                    return;
                }
                self.module.clone()
            }
            None => return,
        };
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => {
                    path.pop();
                }
                _ => break,
            }
            rest = &rest[1..];
        }
        path.extend(rest.iter().cloned());
        while !path.is_empty() && !self.known.contains(&path) {
            path.pop();
        }
        if !path.is_empty() {
            self.found.insert(path);
        }
    }

    fn use_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&with(path.ident.to_string()), &path.tree),
            UseTree::Name(name) => self.name(&with(name.ident.to_string())),
            UseTree::Rename(rename) => self.name(&with(rename.ident.to_string())),
            UseTree::Glob(_) => self.name(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    /// `pub(super)` names nothing that is used.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.name(&segments);
        visit::visit_path(self, path);
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

/// Which floor of the house a file is on; arrows lead from a higher one to a lower one, or stay.
fn floor(module: &Module) -> u8 {
    match module[0].as_str() {
        "client" | "disk" | "engine" | "environment" | "latest" | "name" | "outbound" | "secret_file"
        | "telemetry" => 0,
        "library" | "lifecycle" => 1,
        "web" => 2,
        "redemption" => 3,
        "cli" => 4,
        other => panic!("src/{other} is on no floor: say in tests/architecture.rs what it may know"),
    }
}

/// The same inside of the redemption: the core, the store's contract, use cases beside adapters, and what people see.
fn room(module: &Module) -> Option<(u8, &str)> {
    let name = module.get(1)?.as_str();
    Some(match (name, module.len()) {
        ("csv" | "key" | "link" | "mint" | "ticket", _) => (0, "core"),
        ("store", 2) => (1, "contract"),
        ("store", _) => (2, "adapters"),
        ("redeem" | "holder" | "change" | "count" | "create" | "issue" | "write", _) => (2, "use cases"),
        ("report" | "metrics", _) => (3, "accounts"),
        ("web", _) => (4, "web"),
        (other, _) => {
            panic!("src/redemption/{other}.rs is in no room: say in tests/architecture.rs what it may know")
        }
    })
}

fn shown(module: &Module) -> String {
    format!("src/{}.rs", module.join("/"))
}

#[test]
fn arrows_point_downwards_only() {
    let house = House::read();
    let upwards: Vec<String> = house
        .all_arrows()
        .filter(|(from, to)| {
            let into_a_room_above = || match (room(from), room(to)) {
                (Some((from, here)), Some((to, there))) => from < to || (from == to && here != there),
                _ => false,
            };
            let both_redeem = from[0] == "redemption" && to[0] == "redemption";
            floor(from) < floor(to) || (both_redeem && into_a_room_above())
        })
        .map(|(from, to)| format!("{} knows {}", shown(from), shown(to)))
        .collect();
    assert!(upwards.is_empty(), "arrows that point upwards:\n{}", upwards.join("\n"));
}

#[test]
fn no_file_needs_a_file_that_needs_it() {
    let house = House::read();
    let circles: Vec<String> = house
        .all_arrows()
        .filter(|(from, to)| house.reachable(to).contains(from))
        .map(|(from, to)| format!("{} -> {}", shown(from), shown(to)))
        .collect();
    assert!(circles.is_empty(), "circles of files:\n{}", circles.join("\n"));
}

/// Tables, which are looked up in and not read.
const LONG: [&str; 1] = ["redemption/web/failure"];

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let house = House::read();
    let long = house.lines.iter().filter(|(_, lines)| **lines > MAX_LINES);
    let long = long.filter(|(module, _)| !LONG.contains(&module.join("/").as_str()));
    let long: Vec<String> =
        long.map(|(module, lines)| format!("{} has {lines} lines", shown(module))).collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines:\n{}", long.join("\n"));
}
