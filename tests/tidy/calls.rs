//! Which file calls which through the methods of one type whose `impl` blocks stand in many files.
//!
//! Imports do not show these arrows: `self.step()` names no module. Read from the text, by the
//! indentation that `cargo fmt` keeps: an `impl` block begins and ends at the left margin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::Source;
use crate::imports::strongly_connected;

/// One file's part of the type: the methods it defines, and all it calls on `self`.
struct Part {
    file: PathBuf,
    defines: Vec<String>,
    calls: Vec<String>,
}

/// A call of a method from the file that calls to the file that defines it.
pub struct Call {
    pub from: PathBuf,
    pub to: PathBuf,
    pub method: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {}", self.from.display(), self.to.display(), self.method)
    }
}

/// Every call between files, of methods of `name` on `self`.
pub fn calls(sources: &[Source], name: &str) -> Vec<Call> {
    let parts: Vec<Part> = sources
        .iter()
        .filter(|source| !source.is_test())
        .filter_map(|source| Part::of(source, name))
        .collect();
    let mut home: BTreeMap<&str, &PathBuf> = BTreeMap::new();
    for part in &parts {
        home.extend(part.defines.iter().map(|method| (method.as_str(), &part.file)));
    }
    let mut calls = Vec::new();
    for part in &parts {
        for method in &part.calls {
            if let Some(to) = home.get(method.as_str()).filter(|to| **to != &part.file) {
                let (from, to) = (part.file.clone(), (*to).clone());
                calls.push(Call { from, to, method: method.clone() });
            }
        }
    }
    calls
}

/// Groups of files that call each other in a circle.
pub fn circles(calls: &[Call]) -> Vec<Vec<PathBuf>> {
    let mut files: Vec<&PathBuf> = calls.iter().flat_map(|call| [&call.from, &call.to]).collect();
    files.sort_unstable();
    files.dedup();
    let index = |file: &PathBuf| files.binary_search(&file).expect("it was collected above");
    let mut arrows = vec![Vec::new(); files.len()];
    for call in calls {
        arrows[index(&call.from)].push(index(&call.to));
    }
    strongly_connected(&arrows)
        .into_iter()
        .map(|circle| circle.into_iter().map(|index| files[index].clone()).collect())
        .collect()
}

impl Part {
    fn of(source: &Source, name: &str) -> Option<Part> {
        let mut part = Part { file: source.path.clone(), defines: vec![], calls: vec![] };
        let mut inside = false;
        for (_, line) in source.code() {
            if line.starts_with("impl") {
                let subject = line.split(" for ").last().unwrap_or(line);
                let subject = subject.trim_start_matches("impl").trim_start();
                let subject = match subject.strip_prefix('<') {
                    Some(rest) => rest.split_once("> ").map_or(rest, |(_, behind)| behind),
                    None => subject,
                };
                inside = subject.starts_with(name)
                    && !subject[name.len()..].starts_with(|c: char| c.is_alphanumeric());
            }
            if line == "}" {
                inside = false;
            }
            if !inside {
                continue;
            }
            if let Some((_, rest)) = line.split_once("fn ")
                && line.starts_with("    ")
                && !line.starts_with("     ")
            {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                part.defines.push(rest[..end.unwrap_or(rest.len())].to_owned());
            }
            for (at, found) in line.match_indices("self.") {
                let rest = &line[at + found.len()..];
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let (method, behind) = rest.split_at(end.unwrap_or(rest.len()));
                if behind.starts_with('(') {
                    part.calls.push(method.to_owned());
                }
            }
        }
        (!part.defines.is_empty()).then_some(part)
    }
}
