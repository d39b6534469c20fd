//! What was released stays, or is told in `src/config/upgrade.rs` and `docs/CHANGELOG.md`:
//! `docs/compatibility.md`.
//!
//! The lists in `tests/tidy/released/` are those of the last release. They grow when there is one.

use std::fs;

use crate::documents::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a file of the repository is text")
}

/// The names in backquotes at the beginning of the rows of a page, behind the section that they are in.
fn rows(page: &str) -> Vec<(String, String)> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.trim_matches(['`', '[', ']']).to_owned();
        }
        let cell = line.strip_prefix("| ").and_then(|row| row.split(" | ").next());
        let names = cell.unwrap_or_default().split('`').skip(1).step_by(2);
        found.extend(names.map(|name| (section.clone(), name.to_owned())));
    }
    found
}

#[test]
fn a_key_that_was_released_is_there_or_is_told_of() {
    let documented = rows(&read("docs/configuration.md"));
    let changes = read("src/config/upgrade.rs");
    let released = read("tests/tidy/released/keys.txt");
    assert!(released.lines().count() > 200, "the list was found");
    let mut lost = Vec::new();
    for line in released.lines() {
        let (section, key) = line.split_once(' ').expect("a section and a key");
        let is_there = documented.contains(&(section.to_owned(), key.to_owned()));
        if !is_there && !changes.contains(&format!("key: \"{section}.{key}\"")) {
            lost.push(line);
        }
    }
    assert!(lost.is_empty(), "no key any more, and not in CHANGES: {lost:#?}");
}

#[test]
fn metrics_and_codes_that_were_released_are_there_or_are_told_of() {
    let changelog = read("docs/CHANGELOG.md");
    for (list, page) in [("metrics", "docs/operations.md"), ("codes", "docs/errors.md")] {
        let page = read(page);
        let released = read(&format!("tests/tidy/released/{list}.txt"));
        assert!(released.lines().count() > 70, "the list of {list} was found");
        let lost: Vec<_> = released
            .lines()
            .map(|name| format!("`{name}`"))
            .filter(|name| !page.contains(name.as_str()) && !changelog.contains(name.as_str()))
            .collect();
        assert!(lost.is_empty(), "{list} that are no more, and not in the changelog: {lost:#?}");
    }
}
