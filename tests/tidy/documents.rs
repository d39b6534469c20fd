//! The documents, held to the code that they speak of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sources;

/// The lines that an afternoon may take.
const AFTERNOON_LINES_MAX: usize = 2000;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands in backquotes, in order. Blocks of code are left out.
pub fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
}

/// A section of a document, from its heading to the next one of its level.
pub fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let level = heading.split(' ').next().expect("a heading has a level");
    let (_, behind) = text.split_once(&format!("{heading}\n")).expect("the section");
    behind.split(&format!("\n{level} ")).next().unwrap_or(behind)
}

/// Who wants to understand the whole has to be able to read it in an afternoon.
#[test]
fn an_afternoon_is_enough_for_the_afternoon_path() {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("a document is text");
    let rows = section(&page, "## Reading order").lines().filter(|line| line.starts_with("| `"));
    let mut lines = Vec::new();
    for row in rows {
        let mut cells = row.trim_matches('|').split(" | ");
        let name = cells.next().unwrap_or_default().trim().trim_matches('`');
        assert!(cells.next().is_some_and(|idea| idea.len() > 10), "{name} has an idea");
        let text = fs::read_to_string(root().join("src").join(name)).expect(name);
        let read = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
        lines.push((read.lines().count(), name));
    }
    let total: usize = lines.iter().map(|(count, _)| count).sum();
    assert!(lines.len() > 10, "the path was found: {lines:?}");
    assert!(
        total <= AFTERNOON_LINES_MAX,
        "{total} lines; an afternoon has {AFTERNOON_LINES_MAX}: {lines:?}"
    );
}

/// The files and folders below `src` that the code map names, and the names that it has of nothing.
fn mapped() -> (BTreeSet<PathBuf>, Vec<String>) {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("a document is text");
    let (mut named, mut nothing) = (BTreeSet::new(), Vec::new());
    for part in section(&page, "## Code map").split("### ").skip(1) {
        let (heading, text) = part.split_once('\n').expect("a heading is a line");
        let subjects = quoted(heading);
        let files = subjects.iter().filter(|subject| subject.ends_with(".rs"));
        named.extend(files.map(PathBuf::from));
        for line in text.lines() {
            // A name is one of the folder that the line, or the heading, is about.
            let mut places = vec![PathBuf::new(), PathBuf::from("src")];
            places.extend(subjects.iter().map(PathBuf::from));
            for name in
                quoted(line).iter().filter(|name| name.ends_with(".rs") || name.ends_with('/'))
            {
                let found = places.iter().rev().map(|place| place.join(name));
                match found.into_iter().find(|path| root().join(path).exists()) {
                    Some(path) => {
                        places.extend(name.ends_with('/').then(|| path.clone()));
                        // A layer of its own has its own section.
                        if !(name.starts_with("src/") && name.ends_with('/')) {
                            named.insert(path);
                        }
                    }
                    None => nothing.push(format!("{heading}: {name}")),
                }
            }
        }
    }
    (named, nothing)
}

#[test]
fn the_code_map_names_only_what_exists() {
    let (named, nothing) = mapped();
    assert!(named.len() > 150, "the map was found: {}", named.len());
    assert!(nothing.is_empty(), "on the map and not there: {nothing:#?}");
}

/// A file is on the map if it is named, or a folder below that of its section, or the file that it is a
/// part of (`a/b.rs` of `a.rs`).
#[test]
fn every_file_is_on_the_code_map() {
    let (named, _) = mapped();
    let mut missing = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let path = source.path.strip_prefix(root()).expect("a source of ours");
        let listed = path.ancestors().any(|part| {
            named.contains(part) || (part != path && named.contains(&part.with_extension("rs")))
        });
        if !listed && !path.ends_with("mod.rs") {
            missing.push(path.display().to_string());
        }
    }
    missing.sort();
    assert!(missing.is_empty(), "not on the map of docs/ARCHITECTURE.md: {missing:#?}");
}

/// Each word of the glossary lives in files that there are.
#[test]
fn words_live_where_the_glossary_says() {
    let page = fs::read_to_string(root().join("docs/glossary.md")).expect("a document is text");
    let (mut count, mut missing) = (0, Vec::new());
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| word")) {
        let home = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let mut text = None;
        for name in quoted(home) {
            count += 1;
            if name.ends_with(".rs") {
                text = fs::read_to_string(root().join("src").join(name)).ok();
                missing.extend(text.is_none().then(|| name.to_owned()));
            } else if !text.as_ref().is_some_and(|text| text.contains(name)) {
                missing.push(format!("{name}, in {home}"));
            }
        }
    }
    assert!(count > 100, "the words were found: {count}");
    assert!(missing.is_empty(), "docs/glossary.md names what is not there: {missing:#?}");
}

/// Every link between documents, and every path in backquotes that looks like a file of ours.
#[test]
fn documents_speak_of_files_that_exist() {
    let root = root();
    let mut documents: Vec<_> = fs::read_dir(root.join("docs"))
        .expect("docs can be read")
        .map(|entry| entry.expect("docs can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    documents.push(root.join("README.md"));
    let mut missing = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document is text");
        let folder = document.parent().expect("a document lies in a folder");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
        let paths = text.split('`').filter(|word| {
            let ours = ["src/", "tests/", "docs/", "benches/"];
            ours.iter().any(|start| word.starts_with(start))
                && !word.contains([' ', '*', '{', '<', '\n'])
                && !word.starts_with("tests/.env")
        });
        for (place, name) in links.map(|link| (folder, link)).chain(paths.map(|path| (root, path)))
        {
            if !place.join(name).exists() {
                missing.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "named and not there:\n{}", missing.join("\n"));
}

/// The page on the life of an exchange says of each field who sets it.
#[test]
fn each_field_of_an_exchange_is_told_of() {
    let root = root();
    let page = fs::read_to_string(root.join("docs/exchange.md")).expect("a document is text");
    let mut missing = Vec::new();
    for (file, name) in [
        ("exchange", "Exchange"),
        ("exchange/parts", "Aside"),
        ("attempt", "Attempt"),
        ("attempt/tries", "Tries"),
    ] {
        let path = root.join("src/gateway/record").join(file).with_extension("rs");
        let text = fs::read_to_string(path).expect("source is text");
        let (_, fields) = text.split_once(&format!("pub struct {name} {{\n")).expect("the record");
        let fields = fields.lines().take_while(|line| *line != "}");
        let fields = fields.filter_map(|line| line.strip_prefix("    pub ")?.split(':').next());
        let untold = fields.filter(|field| !page.contains(&format!("`{field}`")));
        missing.extend(untold.map(str::to_owned));
    }
    assert!(missing.is_empty(), "docs/exchange.md says nothing of {missing:?}");
}

/// What `docs/testing.md` names as the proof of a rule is a function or a type that there is.
#[test]
fn tests_that_are_named_as_proof_exist() {
    let root = root();
    let text = fs::read_to_string(root.join("docs/testing.md")).expect("a document is text");
    let (_, table) = text.split_once("## Faults that were met").expect("the section");
    let mut code = String::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.extend((!path.ends_with(".env")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                code += &fs::read_to_string(&path).expect("source is text");
            }
        }
    }
    let mut named = 0;
    let mut missing = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault")) {
        let proof = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        for name in proof.split('`').skip(1).step_by(2).filter(|name| !name.contains(['/', '.'])) {
            named += 1;
            let here =
                ["fn ", "struct "].iter().any(|kind| code.contains(&format!("{kind}{name}")));
            if !here {
                missing.push(name);
            }
        }
    }
    assert!(named > 50, "the table was found");
    assert!(missing.is_empty(), "named as proof and not there: {missing:#?}");
}

/// Functions that the page on exchanges counts as parts of another, or calls by what they do.
const STAND_FOR: &[(&str, &str)] = &[
    ("enter_chain", "`open_exchange`"),
    ("opened", "`open_exchange`"),
    ("on_broken_write", "`send_request`"),
    ("replays_for_stale", "stale replay"),
    ("aside_mut", "aside"),
];

/// A field of an attempt, of its tries or of what few exchanges have is set by the functions that the page
/// names in its row.
#[test]
fn fields_are_set_where_the_page_says() {
    let page = fs::read_to_string(root().join("docs/exchange.md")).expect("a document is text");
    let page = section(&page, "## Who may set which field");
    let rows = |field: &str| {
        let named = move |row: &&str| row.split(" | ").next().unwrap_or("").contains(field);
        page.lines().filter(|line| line.starts_with("| ")).filter(named).collect::<String>()
    };
    let (mut count, mut untold) = (0, Vec::new());
    for source in sources().iter().filter(|source| source.module == "gateway") {
        let mut function = "";
        for (number, line) in source.code() {
            if let Some((_, behind)) = line.split_once("fn ") {
                function = behind.split(['(', '<']).next().unwrap_or_default();
            }
            for record in ["attempt.", "tries.", "aside_mut().", "hops."] {
                let Some((_, behind)) = line.split_once(record) else { continue };
                let Some((field, operator)) = behind.split_once(' ') else { continue };
                let sets = ["= ", "+= ", "|= "].iter().any(|sign| operator.starts_with(sign));
                if !sets || !field.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                    continue;
                }
                count += 1;
                // The rows of what is aside stand in one, with the name of the field inside it.
                let row = match record {
                    "aside_mut()." => rows("`aside`"),
                    "hops." => rows(&format!("`hops.{field}`")),
                    _ => rows(&format!("`{field}`")),
                };
                let names = |name: &str| row.contains(name);
                let stands =
                    STAND_FOR.iter().any(|(part, whole)| *part == function && names(whole));
                let answer = source.path.ends_with("answer.rs") && names("responder");
                if !names(&format!("`{function}`")) && !stands && !answer {
                    untold.push(format!(
                        "{}:{number}: {function} sets {field}",
                        source.path.display()
                    ));
                }
            }
        }
    }
    assert!(count > 25, "the places were found: {count}");
    assert!(untold.is_empty(), "docs/exchange.md does not say so: {untold:#?}");
}

/// The codes of the admin address's errors that stand in this source as literals.
fn codes_in(text: &str) -> Vec<String> {
    let calls = text.split("Reply::error(").skip(1);
    // Up to the end of the call, or a line or two of it.
    let arguments = calls.map(|call| call.chars().take(160).collect::<String>());
    arguments.filter_map(|text| quoted_words(&text).into_iter().next()).collect()
}

/// What stands in double quotes and looks like a code.
fn quoted_words(text: &str) -> Vec<String> {
    let odd = text.split('"').skip(1).step_by(2);
    let is_code = |word: &&str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || b"_10".contains(&byte))
    };
    odd.filter(is_code).map(str::to_owned).collect()
}

#[test]
fn every_error_code_is_explained_and_every_explained_code_exists() {
    let page = fs::read_to_string(root().join("docs/errors.md")).expect("a document is text");
    let explained: BTreeSet<String> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("## `")?.strip_suffix('`')?.to_owned()))
        .collect();
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a source is text");
    let mut codes: BTreeSet<String> = BTreeSet::new();
    // `(\"code\", \"sentence\")`, and `=> \"code\"`.
    codes.extend(quoted_words(&read("src/http/head/error.rs").replace("\\\"", "")));
    let denied = read("src/responder/admin/access.rs");
    let (_, denied) = denied.split_once("fn code").expect("it has codes");
    codes.extend(quoted_words(denied.split("fn message").next().unwrap_or_default()));
    for source in sources().iter().filter(|source| !source.is_test()) {
        codes.extend(codes_in(&fs::read_to_string(&source.path).expect("a source is text")));
    }
    let missing: Vec<_> = codes.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/errors.md has no section of {missing:?}");
    let all: String = sources()
        .iter()
        .map(|source| fs::read_to_string(&source.path).expect("a source is text"))
        .collect();
    let stale: Vec<_> =
        explained.iter().filter(|code| !all.contains(&format!("\"{code}\""))).collect();
    assert!(stale.is_empty(), "explained, and no code: {stale:?}");
}
