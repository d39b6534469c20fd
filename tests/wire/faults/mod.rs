//! The fault matrix: what a client sees of each way in which an inference server can fail.
//!
//! A test per row of the table in `docs/resilience.md`. Each plays the client and the servers on
//! raw sockets, and asserts what the client got to the byte, how its answer ended, and what each
//! server was asked.

mod accounts;
mod answers;
mod clients;
mod continuation;
mod fallback;
mod first_event;
mod fleet;
mod midstream;
mod queue;
mod recognition;
mod silence;
pub mod stage;

const DOCUMENT: &str = include_str!("../../../docs/resilience.md");

/// The sources of the rows.
const SOURCES: [&str; 11] = [
    include_str!("accounts.rs"),
    include_str!("answers.rs"),
    include_str!("clients.rs"),
    include_str!("continuation.rs"),
    include_str!("fallback.rs"),
    include_str!("first_event.rs"),
    include_str!("fleet.rs"),
    include_str!("midstream.rs"),
    include_str!("queue.rs"),
    include_str!("recognition.rs"),
    include_str!("silence.rs"),
];

/// Where the rows about the gateway's own life are played.
const LIFE: [&str; 5] = [
    include_str!("../lifecycle.rs"),
    include_str!("../reload.rs"),
    include_str!("../handover.rs"),
    include_str!("../restarts.rs"),
    include_str!("../admin_lifecycle.rs"),
];

/// The tests that the table of a section names in its last column.
fn named(heading: &str) -> Vec<&'static str> {
    let title = format!("\n## {heading}\n");
    let (_, section) = DOCUMENT.split_once(&*title).expect("the section");
    let end = section.find("\n## ").unwrap_or(section.len());
    let rows = section[..end].lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.filter_map(|row| row.trim_matches('|').split(" | ").last());
    cells.flat_map(|cell| cell.split(", ")).map(|name| name.trim().trim_matches('`')).collect()
}

fn tests_of(sources: &[&'static str]) -> Vec<&'static str> {
    let bodies = sources.iter().flat_map(|source| source.split("#[test]\nfn ").skip(1));
    bodies.filter_map(|rest| rest.split('(').next()).collect()
}

#[test]
fn every_row_of_the_lifecycle_names_its_test() {
    let (named, tests) = (named("Stopping and starting"), tests_of(&LIFE));
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(tests.contains(&name), "there is no test {name}");
    }
}

/// Every row of the table names its test, and every test has its row.
#[test]
fn rows_and_tests_belong_together() {
    let (mut named, mut tests) = (named("The fault matrix"), tests_of(&SOURCES));
    named.sort_unstable();
    named.dedup();
    tests.sort_unstable();
    assert_eq!(named, tests);
}
