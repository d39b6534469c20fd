//! Which file imports which, read from the text: enough to find files that import each other in a
//! circle.
//!
//! Seen are `use` trees and paths in the code that begin with `crate`, `super` or `self`, or, in a
//! `use`, with a child module. A path belongs to the deepest module on it. `mod` lines are no
//! imports, nor is what a file takes from the file that it is a part of (`a/b.rs` from `a.rs`).
//! Tests are no part of the house.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Source;

/// A file of the crate as a module.
struct Module {
    file: PathBuf,
    /// `["http", "head"]`; empty for `lib.rs`.
    path: Vec<String>,
    code: String,
}

/// Circles of imports: groups of files that reach each other, each sorted.
pub fn circles(sources: &[Source], root: &Path) -> Vec<Vec<PathBuf>> {
    let modules: Vec<Module> = sources
        .iter()
        .filter(|source| !source.is_test() && source.module != "main")
        .map(|source| Module::of(source, root))
        .collect();
    let by_path: BTreeMap<&[String], usize> =
        modules.iter().enumerate().map(|(index, module)| (module.path.as_slice(), index)).collect();
    let arrows: Vec<Vec<usize>> = modules
        .iter()
        .enumerate()
        .map(|(index, module)| {
            let mut to: Vec<usize> = module.imports(&by_path);
            to.retain(|to| *to != index && !module.is_part_of(&modules[*to]));
            to.sort_unstable();
            to.dedup();
            to
        })
        .collect();
    strongly_connected(&arrows)
        .into_iter()
        .map(|circle| circle.into_iter().map(|index| modules[index].file.clone()).collect())
        .collect()
}

/// The groups of at least two nodes that reach each other.
pub fn strongly_connected(arrows: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let reach: Vec<Vec<bool>> = (0..arrows.len()).map(|from| reachable(arrows, from)).collect();
    let circle = |from: usize| -> Vec<usize> {
        (0..arrows.len()).filter(|to| reach[from][*to] && reach[*to][from]).collect()
    };
    let circles = (0..arrows.len()).map(|from| (from, circle(from)));
    // Each once, told by its first member.
    circles
        .filter(|(from, circle)| circle.len() > 1 && circle[0] == *from)
        .map(|(_, circle)| circle)
        .collect()
}

fn reachable(arrows: &[Vec<usize>], from: usize) -> Vec<bool> {
    let mut seen = vec![false; arrows.len()];
    let mut next = arrows[from].clone();
    while let Some(index) = next.pop() {
        if !std::mem::replace(&mut seen[index], true) {
            next.extend(&arrows[index]);
        }
    }
    seen
}

impl Module {
    fn of(source: &Source, root: &Path) -> Module {
        let file = source.path.strip_prefix(root).expect("it was found below src").to_path_buf();
        let mut path: Vec<String> = file
            .with_extension("")
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        if path.last().is_some_and(|last| last == "mod") || path == ["lib"] {
            path.pop();
        }
        let code: Vec<&str> =
            source.code().map(|(_, line)| line.split("//").next().unwrap_or(line)).collect();
        Module { file, path, code: code.join("\n") }
    }

    fn is_part_of(&self, other: &Module) -> bool {
        self.path.starts_with(&other.path)
    }

    /// The modules it names.
    fn imports(&self, modules: &BTreeMap<&[String], usize>) -> Vec<usize> {
        let mut paths = Vec::new();
        for statement in self.code.split(';') {
            // Behind what came before it: an attribute, a visibility, the end of a block.
            let words: Vec<&str> = statement.split_whitespace().collect();
            if let Some(at) = words.iter().position(|word| *word == "use") {
                expand(&words[at + 1..].concat(), "", &mut paths);
            }
        }
        for start in ["crate::", "super::", "self::"] {
            for (at, _) in self.code.match_indices(start) {
                let before = self.code[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let rest = &self.code[at..];
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                paths.push(rest[..end.unwrap_or(rest.len())].to_owned());
            }
        }
        paths.iter().filter_map(|path| self.resolve(path, modules)).collect()
    }

    fn resolve(&self, path: &str, modules: &BTreeMap<&[String], usize>) -> Option<usize> {
        let mut base = self.path.clone();
        let mut parts = path.split("::").filter(|part| !part.is_empty()).peekable();
        match *parts.peek()? {
            "crate" => {
                base.clear();
                parts.next();
            }
            "super" | "self" => {
                while let Some(part) = parts.next_if(|part| matches!(*part, "super" | "self")) {
                    if part == "super" {
                        base.pop();
                    }
                }
            }
            child => {
                let mut below = base.clone();
                below.push(child.to_owned());
                modules.get(below.as_slice())?;
            }
        }
        let mut found = modules.get(base.as_slice()).copied();
        for part in parts {
            base.push(part.to_owned());
            match modules.get(base.as_slice()) {
                Some(index) => found = Some(*index),
                None => break,
            }
        }
        found
    }
}

/// `a::{b,c::{d}}` into `a::b` and `a::c::d`.
fn expand(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let Some(open) = tree.find('{') else {
        let name = tree.split("as").next().filter(|_| tree.contains("::as")).unwrap_or(tree);
        paths.push(format!("{prefix}{name}"));
        return;
    };
    let prefix = format!("{prefix}{}", &tree[..open]);
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if start < at {
                    expand(&inner[start..at], &prefix, paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}
