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

/// Keys that exclude one that the sample of everything has, or need files that no test has.
const NOT_IN_THE_SAMPLE: &[&str] = &[
    "workers",
    "tls",
    "balance.hash.cookie",
    "balance.hash.field",
    "balance.hash.prompt",
    "when.share.by.cookie",
    "fallback.json",
    "fallback.file",
    "api_key.file",
    "wake.url",
    "wake.stop_url",
    "wake.stop_command",
    "discover.srv",
    "discover.file",
    "keys_file",
    "ca",
    "proxy_protocol",
    "certificate",
    "client_certificate",
    "when.client_certificate",
];

/// Every key of a table, with those of the tables inside it: `pool` and `pool.max_age`.
fn keys(table: &toml::Table, prefix: &str, found: &mut Vec<String>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => keys(inner, &format!("{key}."), found),
            toml::Value::Array(list) => list
                .iter()
                .filter_map(toml::Value::as_table)
                .for_each(|inner| keys(inner, &format!("{key}."), found)),
            _ => {}
        }
        found.push(key);
    }
}

#[test]
fn the_sample_of_everything_has_every_documented_key() {
    let (_, behind) = DOCUMENTATION.split_once("Everything it can say").expect("the sample");
    let sample = behind.split("```toml\n").nth(1).and_then(|text| text.split("```").next());
    let table: toml::Table = sample.expect("a block").parse().expect("it is TOML");
    let mut found = Vec::new();
    keys(&table, "", &mut found);
    // An endpoint is a row of its own.
    let found: Vec<String> = found
        .into_iter()
        .map(|key| {
            let key = key.replace("endpoints.address", "address");
            key.replace("endpoints.weight", "weight")
                .replace("keys.team-a", "keys.NAME")
                .replace("issuers.corp", "issuers.NAME")
        })
        .collect();
    let mut missing = Vec::new();
    for (section, key, _) in documented() {
        let Some(section) = section.strip_prefix('[').map(|name| name.trim_matches(['[', ']']))
        else {
            continue;
        };
        let apart = section == "server.tls" || key.starts_with("tls.") || key.starts_with("tls`");
        let whole = match key.as_str() {
            "address" | "weight" => format!("upstream.{key}"),
            key => format!("{section}.{key}"),
        };
        if !apart && !NOT_IN_THE_SAMPLE.contains(&key.as_str()) && !found.contains(&whole) {
            missing.push(whole);
        }
    }
    assert!(missing.is_empty(), "the sample lacks {missing:?}");
}
