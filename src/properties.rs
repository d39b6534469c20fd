//! Property tests: how many cases they try, and where one that has failed is kept.
//!
//! A case that has failed is tried first from then on, by everybody who has the file. They stand below `tests/`,
//! each where the test stands below `src/`.

use proptest::test_runner::{Config, FileFailurePersistence};

/// Of the folder of the crate.
const KEPT_IN: &str = "tests/regressions";

/// So many cases of a property.
pub fn cases(cases: u32) -> Config {
    let kept = FileFailurePersistence::SourceParallel(KEPT_IN);
    Config { cases, failure_persistence: Some(Box::new(kept)), ..Config::default() }
}
