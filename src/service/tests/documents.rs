//! The table of services in the documents, held to the code.

use crate::service::Dialect;
use crate::service::fault::{StreamFault, error_event, heartbeat};

const PAGE: &str = include_str!("../../../docs/services.md");

/// The cells of the row of a dialect.
fn row(dialect: Dialect) -> Vec<&'static str> {
    let (_, table) = PAGE.split_once("## One row per service\n").expect("the section");
    let table = table.split("\n## ").next().unwrap_or(table);
    let begins = format!("| `{}` |", dialect.name());
    let row = table.lines().find(|line| line.starts_with(&begins));
    let row = row.unwrap_or_else(|| panic!("no row begins with {begins}"));
    row.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn each_service_has_a_row_that_is_true() {
    for &dialect in Dialect::ALL {
        let row = row(dialect);
        let [_, stream, end, error, .., beats, recorded] = row[..] else { panic!("{row:?}") };
        assert_eq!(row.len(), 11, "{row:?}");
        let media = match stream {
            "events" => "text/event-stream",
            "lines" => "application/x-ndjson",
            _ => "text/plain; charset=utf-8",
        };
        assert_eq!(dialect.stream_type(), media, "{row:?}");
        assert_eq!(end == "HTTP", dialect.ends_with_http(), "{row:?}");
        assert_eq!(beats == "yes", heartbeat(dialect).is_some(), "{row:?}");
        let fault = StreamFault { code: "c", kind: "k", message: "m" };
        let written = error_event(dialect, &fault, &mut Vec::new());
        assert_eq!(error != "-", written, "{row:?}");
        if recorded != "-" {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/service/dialects");
            let path = std::path::Path::new(folder).join(recorded.trim_matches('`'));
            assert!(path.exists(), "{row:?}");
        }
    }
}
