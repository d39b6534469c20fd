//! The table of changes, applied to one configuration.

use super::super::file::{Document, Sought};
use super::super::problem::{Mistake, Problem};
use super::{KeyChange, What, told};

/// What this configuration has to change, or may want to, in the order of its lines: first what is refused.
///
/// Fails with the mistake in its syntax.
pub fn advice(text: &str, changes: &[KeyChange]) -> Result<UpgradeAdvice, Vec<Problem>> {
    let document = Document::parse(text)?;
    let mut found = UpgradeAdvice::default();
    for change in changes {
        let key = change.key.rsplit('.').next().unwrap_or(change.key);
        for Sought { place, is_written } in document.seek(change.key) {
            match change.what {
                What::Default { was, now } if !is_written => {
                    let since = change.since;
                    found.different.push(place.problem(Mistake::new(format!(
                        "is not written, and since {since} that means {now}; to have it as before, \
                         write {key} = {was}"
                    ))));
                }
                What::Default { .. } => {}
                What::Renamed(_) | What::Removed(_) if !is_written => {}
                What::Renamed(_) | What::Removed(_) => {
                    found.refused.push(place.problem(Mistake::new(told(change))));
                }
            }
        }
    }
    found.refused.sort_by_key(|problem| problem.line);
    found.different.sort_by_key(|problem| problem.line);
    Ok(found)
}

/// What [`advice`] has found.
#[derive(Debug, Default)]
pub struct UpgradeAdvice {
    /// Keys that are no more.
    pub refused: Vec<Problem>,
    /// Keys that are not written, and mean something else than before.
    pub different: Vec<Problem>,
}

#[cfg(test)]
mod tests {
    use super::super::tests::TABLE;
    use super::*;

    const OLD: &str = "[server]\nbacklog = 5\n[[upstream]]\nname = \"a\"\n[[upstream]]\n\
                       pool = { size = 7 }\n";

    #[test]
    fn each_line_of_an_old_file_is_told_what_to_write() {
        let told = |problems: Vec<Problem>| -> Vec<String> {
            problems.iter().map(ToString::to_string).collect()
        };
        let found = advice(OLD, TABLE).expect("its syntax is good");
        assert_eq!(
            told(found.refused),
            [
                "line 2: server.backlog: is gone since 0.2.0: leave it out",
                "line 6: upstream[1].pool.size: is called upstream.pool.connections since 0.3.0: \
                 write that in its place",
            ]
        );
        assert_eq!(
            told(found.different),
            ["timeouts.ttft: is not written, and since 0.3.0 that means \"10m\"; to have it as \
              before, write ttft = \"60s\""]
        );
        let new = "[timeouts]\nttft = \"1m\"\n";
        let found = advice(new, TABLE).expect("its syntax is good");
        assert!(found.refused.is_empty() && found.different.is_empty(), "{found:?}");
        assert!(advice("[server", TABLE).is_err());
    }
}
