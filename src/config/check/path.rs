//! Paths: what a route matches, and what it is rewritten to.
//!
//! A pattern that no request can carry is a mistake, not a route that never matches: spaces, a
//! query, a fragment, and whatever makes a request be refused.

use super::super::problem::Mistake;
use super::super::snapshot::{PathPattern, Rewrite};
use crate::http::path::{PathError, check, normal};

/// A route's path: exact, or a prefix with a trailing `*`. In the form in which it is compared.
pub(super) fn pattern(text: &str) -> Result<PathPattern, Mistake> {
    let (path, star) = starred(text)?;
    let path = normal(path).into_owned();
    Ok(if star { PathPattern::Prefix(path) } else { PathPattern::Exact(path) })
}

/// What the upstream sees instead of a path that matched `pattern`.
pub(super) fn rewrite(text: &str, pattern: &PathPattern) -> Result<Rewrite, Mistake> {
    if text.starts_with("//") {
        let meant = format!("/{}", text.trim_start_matches('/'));
        return Err(Mistake::new(
            "begins with two slashes: a server may take what follows them for a host",
        )
        .meant(meant));
    }
    match (starred(text)?, pattern) {
        ((path, false), _) => Ok(Rewrite::Path(path.to_owned())),
        ((path, true), PathPattern::Prefix(_)) => Ok(Rewrite::Prefix(path.to_owned())),
        ((path, true), PathPattern::Exact(_)) => Err(Mistake::new(
            "a trailing * keeps what follows the route's prefix, and \
             this route's path has no trailing *",
        )
        .meant(path)),
    }
}

/// One path that is asked for as it is written.
pub(super) fn plain(text: &str) -> Result<&str, Mistake> {
    match starred(text)? {
        (path, false) => Ok(path),
        (path, true) => Err(Mistake::new("names one path, so it has no trailing *").meant(path)),
    }
}

/// The path without its trailing `*`, and whether it had one.
fn starred(text: &str) -> Result<(&str, bool), Mistake> {
    let (path, star) = match text.strip_suffix('*') {
        Some(path) => (path, true),
        None => (text, false),
    };
    if path.contains('*') {
        return Err(Mistake::new("a * may only stand at the end, and only once"));
    }
    absolute(path)?;
    Ok((path, star))
}

fn absolute(path: &str) -> Result<(), Mistake> {
    if path.contains("://") {
        return Err(Mistake::new("must be a path, not a URL"));
    }
    if !path.starts_with('/') {
        return Err(Mistake::new("must begin with /").meant(format!("/{path}")));
    }
    if path.contains('?') {
        return Err(Mistake::new("cannot have a query: the request's own query is always kept"));
    }
    if path.contains('#') {
        return Err(Mistake::new("cannot have a fragment: it is never sent"));
    }
    if let Some(odd) = path.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(Mistake::new(format!(
            "has the character {odd:?}, which must be percent-encoded"
        )));
    }
    for (index, _) in path.match_indices('%') {
        let code = path.as_bytes().get(index + 1..index + 3);
        if !code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)) {
            return Err(Mistake::new("has a % that is not followed by two hex digits"));
        }
    }
    check(path).map_err(|error| {
        Mistake::new(match error {
            PathError::DotSegment => "has a dot segment; requests with those are refused",
            PathError::Invalid => {
                "has a backslash, or an escape of a control byte; requests with those are refused"
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_exact_or_a_prefix() {
        for (text, expected) in [
            ("/", PathPattern::Exact("/".into())),
            ("/v1/models", PathPattern::Exact("/v1/models".into())),
            ("/a%20b/...", PathPattern::Exact("/a%20b/...".into())),
            ("/*", PathPattern::Prefix("/".into())),
            ("/v1/*", PathPattern::Prefix("/v1/".into())),
            ("/v1*", PathPattern::Prefix("/v1".into())),
            // Every spelling of a path is the same route.
            ("//v1/%61//*", PathPattern::Prefix("/v1/a/".into())),
            ("/a%2fb%c3%a9", PathPattern::Exact("/a/b%C3%A9".into())),
        ] {
            assert_eq!(pattern(text), Ok(expected));
        }
        for bad in [
            "",
            "*",
            "v1",
            "/a*b",
            "/**",
            "/*/x",
            "/a?b",
            "/a#b",
            "/a b",
            "/ä",
            "/a\n",
            "/%",
            "/%2",
            "/%zz",
            "/..",
            "/a/../b",
            "/a/.",
            "/./a",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e",
            "/a\\b",
            "/a/..;x",
            "/a/..;*",
            "/a/.;",
            "/a/..%2fb",
            "/a/..%5cb",
            "/%00",
            "/a%0d%0a*",
            "/%c0%ae",
            "/%7f",
            "http://a/b",
        ] {
            assert!(pattern(bad).is_err(), "{bad:?}");
        }
        assert_eq!(pattern("v1").unwrap_err().hint.as_deref(), Some("/v1"));
    }

    #[test]
    fn a_rewrite_keeps_the_remainder_only_of_a_prefix() {
        let exact = PathPattern::Exact("/a".into());
        let prefix = PathPattern::Prefix("/a/".into());
        assert_eq!(rewrite("/b", &exact), Ok(Rewrite::Path("/b".into())));
        assert_eq!(rewrite("/b", &prefix), Ok(Rewrite::Path("/b".into())));
        assert_eq!(rewrite("/b/*", &prefix), Ok(Rewrite::Prefix("/b/".into())));
        assert_eq!(rewrite("/b/*", &exact).unwrap_err().hint.as_deref(), Some("/b/"));
        for bad in ["b", "/b/..", "/b/..;x", "/b\\c", "/%0a", "//b/c"] {
            assert!(rewrite(bad, &exact).is_err(), "{bad:?}");
        }
        assert_eq!(rewrite("//b/*", &prefix).unwrap_err().hint.as_deref(), Some("/b/*"));
        assert!(rewrite("/b?c", &exact).is_err());
    }
}
