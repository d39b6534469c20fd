//! What the tests of this folder share: ways to cut an input, and the tables of `docs/protocol.md`.

use std::collections::BTreeMap;

use proptest::prelude::*;

const PROTOCOL: &str = include_str!("../../docs/protocol.md");

/// `bytes` in two, at every place, and then byte by byte.
pub(crate) fn every_cut(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let in_two = (0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]);
    in_two.chain(std::iter::once(bytes.chunks(1).collect()))
}

/// `bytes` in the pieces that end at `ends`, taken modulo the length, in order.
pub(crate) fn cut_at<'b>(bytes: &'b [u8], ends: &[usize]) -> Vec<&'b [u8]> {
    let mut ends: Vec<usize> = ends.iter().map(|end| end % (bytes.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(bytes.len());
    let mut start = 0;
    ends.into_iter()
        .map(|end| {
            let piece = &bytes[start..end];
            start = end;
            piece
        })
        .collect()
}

/// Places to cut at, for [`cut_at`].
pub(crate) fn any_ends() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..12)
}

/// Checks that the table under `heading` in `docs/protocol.md` has exactly these rows, and that
/// each row holds its texts.
pub(super) fn assert_documented(heading: &str, rows: &[(&str, Vec<String>)]) {
    let documented = documented(heading);
    for (id, texts) in rows {
        let line = documented.get(*id).unwrap_or_else(|| panic!("no row `{id}` under {heading:?}"));
        for text in texts {
            assert!(line.contains(text.as_str()), "row `{id}` lacks {text:?}: {line}");
        }
    }
    for id in documented.keys() {
        assert!(rows.iter().any(|(row, _)| row == id), "row `{id}` of {heading:?} has no test");
    }
}

/// The rows of one table: the name in the first column, and the line.
fn documented(heading: &str) -> BTreeMap<&'static str, &'static str> {
    let title = format!("\n## {heading}\n");
    let (_, section) =
        PROTOCOL.split_once(&title).unwrap_or_else(|| panic!("no section {heading:?}"));
    let end = section.find("\n## ").unwrap_or(section.len());
    section[..end]
        .lines()
        .filter_map(|line| Some((line.strip_prefix("| `")?.split_once('`')?.0, line)))
        .collect()
}
