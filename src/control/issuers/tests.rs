//! Issuers that answer in every way.

use super::*;

#[test]
fn an_answer_says_for_how_long_it_holds() {
    for (field, expected) in [
        ("max-age=60", Some(60)),
        ("public, MAX-AGE = \"5\", must-revalidate", Some(5)),
        ("s-maxage=9", None),
        ("no-store", None),
        ("max-age=-1", None),
        ("max-age=", None),
    ] {
        assert_eq!(max_age(field), expected.map(Duration::from_secs), "{field}");
    }
}
