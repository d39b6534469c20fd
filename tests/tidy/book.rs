//! The book: `docs/` as mdBook reads it, checked without mdBook.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::documents::root;

/// A page and what can be pointed at in it.
struct BookPage {
    path: PathBuf,
    text: String,
    anchors: BTreeSet<String>,
}

/// Every page below `docs/`, and the README.
fn pages() -> Vec<BookPage> {
    let mut paths = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("docs can be read") {
            let path = entry.expect("docs can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    let page = |path: PathBuf| {
        let text = without_code(&fs::read_to_string(&path).expect("a page is text"));
        let anchors = anchors(&text);
        BookPage { path, text, anchors }
    };
    paths.into_iter().map(page).collect()
}

/// The text without its blocks of code, in which a `#` is no heading and a bracket no link.
fn without_code(text: &str) -> String {
    let mut inside = false;
    let outside = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    };
    text.lines().filter(outside).flat_map(|line| [line, "\n"]).collect()
}

/// What headings are called in a link, by GitHub and mdBook alike.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let named = headings.map(|line| {
        let words = line.trim_start_matches('#').trim();
        let letter = |c: char| match c {
            c if c.is_alphanumeric() || "_-".contains(c) => Some(c.to_lowercase().to_string()),
            c if c.is_whitespace() => Some("-".to_owned()),
            _ => None,
        };
        let name: String = words.chars().filter_map(letter).collect();
        let count = times.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}-{}", *count - 1) }
    });
    named.collect()
}

/// Targets of links, but for those to elsewhere.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// `a/../b` as `b`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_page_is_in_the_book_once() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).expect("the book has a summary");
    let listed: Vec<PathBuf> = links(&summary).map(|target| docs.join(target)).collect();
    let once: BTreeSet<&PathBuf> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
    let written = pages().into_iter().map(|page| page.path);
    let written: BTreeSet<PathBuf> =
        written.filter(|path| path.starts_with(&docs) && !path.ends_with("SUMMARY.md")).collect();
    let lacking: Vec<_> = written.iter().filter(|path| !once.contains(path)).collect();
    assert!(lacking.is_empty(), "not in docs/SUMMARY.md: {lacking:#?}");
    let missing: Vec<_> = once.into_iter().filter(|path| !written.contains(*path)).collect();
    assert!(missing.is_empty(), "in docs/SUMMARY.md, and no page: {missing:#?}");
}

/// In the book there is nothing outside `docs/`: source files are named in backquotes.
#[test]
fn every_link_leads_to_a_page_of_the_book_and_to_a_heading_of_it() {
    let pages = pages();
    let docs = root().join("docs");
    let (mut count, mut wrong) = (0, Vec::new());
    for page in &pages {
        for target in links(&page.text) {
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = page.path.parent().expect("a page lies in a folder");
            let path = match file {
                "" => page.path.clone(),
                file => plain(&folder.join(file)),
            };
            let found = pages.iter().find(|page| page.path == path);
            let inside = path.starts_with(&docs) || page.path.ends_with("README.md");
            let good = match found {
                Some(found) => anchor.is_empty() || found.anchors.contains(anchor),
                None => anchor.is_empty() && path.is_file(),
            };
            if !good || !inside {
                wrong.push(format!("{}: {target}", page.path.display()));
            }
        }
    }
    assert!(count > 400, "the links were found: {count}");
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}
