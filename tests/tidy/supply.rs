//! What is linked into the binary, and who may be: licences, sources, bans. `tests/supply/deny.toml` says
//! the same to `cargo deny`, which asks for advisories besides.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Every package that Cargo.lock leads to on any system, tests' among them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo is here: it has built this test");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {told}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn text<'p>(package: &'p Value, key: &str) -> &'p str {
    package[key].as_str().unwrap_or_default()
}

fn rules() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/supply/deny.toml");
    std::fs::read_to_string(path).expect("it is there").parse().expect("it is TOML")
}

/// Whether an expression of SPDX can be met with these licences: each side of an AND, one of an OR.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // Crates before 2018 write a slash where SPDX has OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let met = any(&mut rest, allowed);
    met && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = all(words, allowed);
    while let Some(("OR", rest)) = words.split_first().map(|(word, rest)| (*word, rest)) {
        *words = rest;
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, allowed);
    while let Some(("AND", rest)) = words.split_first().map(|(word, rest)| (*word, rest)) {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let Some((word, rest)) = words.split_first() else { return false };
    *words = rest;
    if *word == "(" {
        let met = any(words, allowed);
        return match words.split_first() {
            Some((&")", rest)) => {
                *words = rest;
                met
            }
            _ => false,
        };
    }
    // An exception gives more than the licence, and never less.
    if let [first, _, rest @ ..] = *words
        && *first == "WITH"
    {
        *words = rest;
    }
    allowed.contains(*word)
}

#[test]
fn licences_are_read_as_spdx_has_them() {
    let allowed: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned).into();
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("GPL-3.0 OR MIT AND GPL-3.0", false),
        ("ISC AND (GPL-3.0 OR ISC)", true),
        ("(MIT OR GPL-3.0) AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
        ("GPL-3.0 WITH LLVM-exception", false),
        ("MIT ISC", false),
        ("(MIT", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression:?}");
    }
}

#[test]
fn supply_is_licensed_and_comes_from_the_registry() {
    let rules = rules();
    let words = |list: &toml::Value| -> BTreeSet<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let licences = words(&rules["licenses"]["allow"]);
    let sources = words(&rules["sources"]["allow-registry"]);
    assert!(words(&rules["sources"]["allow-git"]).is_empty());
    let denied = rules["bans"]["deny"].as_array().expect("a list");
    let denied: BTreeSet<&str> = denied.iter().filter_map(|it| it["crate"].as_str()).collect();
    let packages = packages();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let mut wrong = Vec::new();
    for package in &packages {
        let name = format!("{} {}", text(package, "name"), text(package, "version"));
        if !is_met(text(package, "license"), &licences) {
            wrong.push(format!("{name}: licence {:?}", text(package, "license")));
        }
        // Ours have no source: they are this tree.
        match package["source"].as_str() {
            Some(source) if !sources.iter().any(|it| source == format!("registry+{it}")) => {
                wrong.push(format!("{name}: from {source}"));
            }
            None if !text(package, "name").starts_with("sluicegate") => {
                wrong.push(format!("{name}: from this tree"));
            }
            _ => {}
        }
        if denied.contains(text(package, "name")) {
            wrong.push(format!("{name}: is banned"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
