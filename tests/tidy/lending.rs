//! What a worker has is owned by one file each, and lent: the table in `docs/exchange.md`, the struct
//! `Gateway` and the types of its fields are held to each other.

use std::fs;

use crate::documents::{quoted, root, section};
use crate::{Source, floor, sources};

/// A type whose fields are open, and why.
const OPEN: &[(&str, &str)] = &[("Desk", "a call borrows the buffers and the tally apart")];

/// A row of the table: one field, its type without arguments, the file that owns it.
#[derive(Debug, PartialEq)]
struct Loan {
    field: String,
    kind: String,
    owner: String,
}

fn table() -> Vec<Loan> {
    let page = fs::read_to_string(root().join("docs/exchange.md")).expect("a document is text");
    let rows = section(&page, "## What a worker lends").lines();
    let rows = rows.filter(|line| line.starts_with("| `")).map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let name = |cell: usize| quoted(cells[cell]).first().copied().unwrap_or_default().into();
        assert!(cells.len() == 4 && cells[3].len() > 10, "says what is lent: {row}");
        Loan { field: name(0), kind: name(1), owner: name(2) }
    });
    rows.collect()
}

fn behind_visibility(line: &str) -> &str {
    line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line)
}

/// The fields of a struct, as they are written: one a line, or between the brackets if they are unnamed.
fn fields<'a>(source: &'a Source, name: &str) -> Option<Vec<&'a str>> {
    let mut lines = source.code().map(|(_, line)| line);
    let rest = lines.find_map(|line| {
        let rest = behind_visibility(line).strip_prefix("struct ")?.strip_prefix(name)?;
        rest.starts_with(['<', '(', ' ', ';']).then_some(rest)
    })?;
    match rest.split_once('(') {
        Some((_, unnamed)) => Some(unnamed.trim_end_matches(");").split(", ").collect()),
        None => Some(lines.take_while(|line| *line != "}").map(str::trim).collect()),
    }
}

fn find<'a>(sources: &'a [Source], below: &str) -> &'a Source {
    let path = root().join("src").join(below);
    sources.iter().find(|source| source.path == path).unwrap_or_else(|| panic!("{below} exists"))
}

/// A new field of a worker has a row, in the place where it stands in memory, and no row is left over.
#[test]
fn the_table_has_every_field_of_a_worker() {
    let sources = sources();
    let fields = fields(find(&sources, "gateway/mod.rs"), "Gateway").expect("the struct");
    let mut found = Vec::new();
    for field in &fields {
        let (name, kind) = field.split_once(": ").expect("a field has a type");
        assert!(!name.starts_with("pub"), "{name} is open to the whole crate");
        let end = kind.find(['<', ',']).unwrap_or(kind.len());
        found.push((name.to_owned(), kind[..end].to_owned()));
    }
    let table: Vec<_> = table().into_iter().map(|loan| (loan.field, loan.kind)).collect();
    assert_eq!(found, table, "struct Gateway, and the table of docs/exchange.md");
}

/// The compiler keeps other files out of a field that is private, if its file has no files below it.
#[test]
fn what_a_worker_has_is_private_to_its_owner() {
    let sources = sources();
    let mut wrong = Vec::new();
    for Loan { field, kind, owner } in table() {
        let source = find(&sources, &owner);
        let Some(fields) = fields(source, &kind) else {
            wrong.push(format!("{field}: {owner} defines no struct {kind}"));
            continue;
        };
        if OPEN.iter().any(|(name, _)| *name == kind) {
            continue;
        }
        let bare = fields.iter().filter(|field| field.starts_with("pub"));
        wrong.extend(bare.map(|bare| format!("{owner}: {kind} has {bare}")));
        let below = source.code().filter_map(|(_, line)| {
            behind_visibility(line).strip_prefix("mod ").filter(|name| name.ends_with(';'))
        });
        let below = below.filter(|name| *name != "tests;");
        wrong.extend(below.map(|name| format!("{owner}: {kind} is open to {name}")));
    }
    assert!(wrong.is_empty(), "open to others than their owners:\n{}", wrong.join("\n"));
}

/// A room borrows from owners in its own room and below, never from one above.
#[test]
fn rooms_borrow_from_those_below_them() {
    let (sources, table) = (sources(), table());
    let (mut count, mut wrong) = (0, Vec::new());
    for source in sources.iter().filter(|source| !source.is_test()) {
        let Some(room) = floor(&source.path) else { continue };
        for (number, line) in source.code() {
            for Loan { field, owner, .. } in &table {
                let name = format!("self.{field}");
                let mut behind = line.split(name.as_str()).skip(1);
                if !behind.any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
                {
                    continue;
                }
                count += 1;
                if floor(&root().join("src").join(owner)).is_some_and(|owner| owner > room) {
                    wrong.push(format!("{}:{number}: {field}", source.path.display()));
                }
            }
        }
    }
    assert!(count > 200, "the loans were found: {count}");
    assert!(wrong.is_empty(), "borrowed from a room above:\n{}", wrong.join("\n"));
}
