//! `docs/configuration.md` says what the program does.

use super::super::show::effective;
use super::super::units;
use super::*;

const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// The rows of the documentation's tables: (section, key, default).
fn documented() -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in DOCUMENTATION.lines() {
        if let Some(heading) = line.strip_prefix("## `") {
            section = heading.trim_end_matches('`').to_owned();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", key, _type, default, _range, _meaning, ""] = cells[..]
            && let Some(key) = key.strip_prefix('`')
        {
            let unquoted = |cell: &str| cell.trim_matches('`').to_owned();
            rows.push((section.clone(), unquoted(key), unquoted(default)));
        }
    }
    rows
}

#[test]
fn the_documentation_lists_every_key_with_its_default() {
    // What is off by default has defaults too, for those who switch it on.
    let on = SAMPLE.replace("= \"off\"\nadmission", "= { plugin = \"mask\" }\nadmission");
    let route = "rewrite   = \"/stream\"\n";
    let with = format!(
        "{route}plugins = [\"mask\"]\ncontinue = {{}}\nfallback = {{ text = \"Sorry.\" }}\n\
         cors = {{ origins = [\"*\"] }}\n"
    );
    let on = on.replace(route, &with);
    let hash = super::plugins::HASH;
    let on = format!(
        "{on}\n[[price]]\nmodel = \"a\"\ninput = 1\noutput = 2\n\
         [plugins]\nallow = [\"/lib/\"]\n\
         [[plugin]]\nname = \"mask\"\npath = \"/lib/mask.so\"\nsha256 = \"{hash}\"\n"
    );
    let shown = [SAMPLE, &on].map(|text| effective(&accepted(text).snapshot)).join("\n");
    let rows = documented();
    let same = |left: &str, right: &str| {
        let plain = |text: &str| {
            let bare = text.trim_matches('"');
            units::duration(bare).map_or(text.to_owned(), |it| format!("{it:?}"))
        };
        plain(left) == plain(right)
    };
    let mut section = "";
    for line in shown.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, value)) = line.split_once(" = ") else {
            continue;
        };
        if line.starts_with([' ', '#']) {
            continue;
        }
        let row = rows.iter().find(|(within, name, _)| within == section && name == key);
        let (_, _, default) = row.unwrap_or_else(|| panic!("{section} {key} is not documented"));
        let computed =
            ["required", "one per core", "none", "one of the three"].contains(&default.as_str());
        assert!(computed || same(default, value), "{section} {key}: {default} but {value}");
    }
}

#[test]
fn the_examples_of_the_documentation_are_accepted() {
    let mut examples = DOCUMENTATION.split("```toml\n").skip(1).peekable();
    assert!(examples.peek().is_some());
    for example in examples {
        let example = example.split("```").next().unwrap_or_default();
        let loaded = accepted(example);
        assert_eq!(told(&loaded.warnings), "");
    }
}
