//! The fault matrix: what a client sees of each way in which an inference server can fail.
//!
//! A test per row of the table in `docs/resilience.md`. Each plays the client and the servers on
//! raw sockets, and asserts what the client got to the byte, how its answer ended, and what each
//! server was asked.

mod answers;
mod clients;
mod first_event;
mod fleet;
mod midstream;
mod queue;
mod stage;

const DOCUMENT: &str = include_str!("../../../docs/resilience.md");

/// The sources of the rows.
const SOURCES: [&str; 6] = [
    include_str!("answers.rs"),
    include_str!("clients.rs"),
    include_str!("first_event.rs"),
    include_str!("fleet.rs"),
    include_str!("midstream.rs"),
    include_str!("queue.rs"),
];

/// Every row of the table names its test, and every test has its row.
#[test]
fn rows_and_tests_belong_together() {
    let (_, section) = DOCUMENT.split_once("\n## The fault matrix\n").expect("the section");
    let end = section.find("\n## ").unwrap_or(section.len());
    let rows = section[..end].lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut named: Vec<&str> = rows
        .map(|row| {
            let cell = row.trim_matches('|').split(" | ").last().expect("a cell").trim();
            cell.trim_matches('`')
        })
        .collect();
    let mut tests: Vec<&str> = SOURCES
        .iter()
        .flat_map(|source| source.split("#[test]\nfn ").skip(1))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    named.sort_unstable();
    named.dedup();
    tests.sort_unstable();
    assert_eq!(named, tests);
}
