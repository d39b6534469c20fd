//! What is wrong with a configuration, and where.
//!
//! Checking never stops at the first mistake: it notes it in the [`Report`], goes on with the
//! default in its place, and the report decides at the end.

use std::fmt;
use std::path::Path;

use super::Loaded;
use super::snapshot::Snapshot;
use crate::escape::escaped;

/// One mistake, or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1. `None`: the file as a whole, or something that is not in it.
    pub line: Option<usize>,
    /// The path of the key, `route[0].methods[1]`; lists are counted from 0. Empty: no key.
    pub key: String,
    pub reason: String,
    /// What was probably meant: it can be written in place of what is there.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with the file itself.
    pub(super) fn of_file(reason: impl Into<String>) -> Problem {
        Problem { line: None, key: String::new(), reason: reason.into(), hint: None }
    }

    /// The problem as compilers write it, `FILE:LINE: KEY: REASON`, so that editors can jump to it.
    pub fn in_file(&self, path: &Path) -> String {
        let line = self.line.map_or(String::new(), |line| format!("{line}:"));
        escaped(&format!("{}:{line} {}", path.display(), self.sentence())).into_owned()
    }

    fn sentence(&self) -> String {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        let hint = self.hint.as_ref().map(|hint| format!("; did you mean {hint:?}?"));
        format!("{key}{}{}", self.reason, hint.unwrap_or_default())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&escaped(&self.sentence()))
    }
}

/// A problem that does not know its place yet: what the parsers of single values return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub reason: String,
    pub hint: Option<String>,
}

impl Mistake {
    pub fn new(reason: impl Into<String>) -> Mistake {
        Mistake { reason: reason.into(), hint: None }
    }

    /// The same mistake with what was probably meant.
    pub fn meant(self, hint: impl Into<String>) -> Mistake {
        Mistake { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Where something stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub line: Option<usize>,
    pub key: String,
}

impl Location {
    pub fn problem(&self, mistake: Mistake) -> Problem {
        Problem {
            line: self.line,
            key: self.key.clone(),
            reason: mistake.reason,
            hint: mistake.hint,
        }
    }
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    notes: Vec<String>,
}

impl Report {
    pub fn error(&mut self, place: &Location, reason: impl Into<String>) {
        self.refuse(place, Mistake::new(reason));
    }

    pub fn refuse(&mut self, place: &Location, mistake: Mistake) {
        self.errors.push(place.problem(mistake));
    }

    pub fn warn(&mut self, place: &Location, mistake: Mistake) {
        self.warnings.push(place.problem(mistake));
    }

    /// Tells of a default that is not the usual one, in one line.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Whether nothing was refused so far.
    pub fn is_good(&self) -> bool {
        self.errors.is_empty()
    }

    /// The value, or `None` with its mistake noted.
    pub fn noted<T>(&mut self, place: &Location, result: Result<T, Mistake>) -> Option<T> {
        result.map_err(|mistake| self.refuse(place, mistake)).ok()
    }

    /// What was refused, in the order of the lines.
    pub fn into_errors(mut self) -> Vec<Problem> {
        self.errors.sort_by_key(|problem| problem.line);
        self.errors
    }

    /// Accepted only if nothing was refused. `snapshot` may hold defaults in the place of mistakes,
    /// so it must not get out otherwise.
    pub fn conclude(mut self, snapshot: Snapshot) -> Result<Loaded, Vec<Problem>> {
        // A stable sort: problems of one line stay in the order they were found.
        self.errors.sort_by_key(|problem| problem.line);
        self.warnings.sort_by_key(|problem| problem.line);
        if self.errors.is_empty() {
            Ok(Loaded { snapshot, warnings: self.warnings, notes: self.notes })
        } else {
            Err(self.errors)
        }
    }
}

/// The candidate that `written` is most likely a slip of, if any is near enough.
pub(crate) fn nearest<'c>(
    written: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let written = written.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| Some((slip(&written, candidate)?, candidate)))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How far `written` is from `candidate`, `None`: too far to be a slip.
fn slip(written: &str, candidate: &str) -> Option<usize> {
    /// A shorter part of a word is no evidence.
    const PART_MIN: usize = 4;
    const WHOLE_MAX: usize = 64;

    if written.len() > WHOLE_MAX {
        return None;
    }
    let distance = edit_distance(written, candidate);
    // Of a name of one letter nothing is left when one letter differs.
    if distance <= (candidate.len() / 3).max(1) && distance < candidate.len() {
        return Some(distance);
    }
    // `max_connections` for `connections`, `idle` for `client_idle`: one word too many or too few.
    let part = |whole: &str, part: &str| part.len() >= PART_MIN && whole.contains(part);
    (part(written, candidate) || part(candidate, written)).then_some(distance)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    // rows[i][j]: from the first i letters to the first j.
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_single_slips() {
        for (from, to, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("tftt", "ttft", 1),
            ("ba", "ab", 1),
            ("a", "a", 0),
        ] {
            assert_eq!(edit_distance(from, to), distance, "{from} → {to}");
        }
    }

    #[test]
    fn a_slip_is_recognised_and_a_different_word_is_not() {
        let keys = ["listen", "cpus", "half_close", "client_idle", "connections", "ttft", "y"];
        for (written, meant) in [
            ("lsiten", Some("listen")),
            ("Listen", Some("listen")),
            ("cpu", Some("cpus")),
            ("half-close", Some("half_close")),
            ("idle", Some("client_idle")),
            ("max_connections", Some("connections")),
            ("x", None),
            ("tftt", Some("ttft")),
            ("certificate", None),
        ] {
            assert_eq!(nearest(written, keys), meant, "{written}");
        }
        assert_eq!(nearest(&"listen".repeat(100_000), keys), None);
    }
}
