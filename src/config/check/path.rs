//! Paths: what a route matches, and what it is rewritten to.
//!
//! A pattern that no request can carry is a mistake, not a route that never matches: spaces, a
//! query, a fragment, and whatever makes a request be refused.

use super::super::problem::{Mistake, nearest};
use super::super::snapshot::{PathPattern, PathPiece, Rewrite, Template};
use crate::http::path::{PathError, check, normal};

/// The most names that one path can have.
const NAMES_MAX: usize = 16;

/// A route's path: exact, or a prefix with a trailing `*`, or with names for segments. In the form in which
/// it is compared.
pub(super) fn pattern(text: &str) -> Result<PathPattern, Mistake> {
    let (path, open) = starred(text)?;
    let pieces = pieces(path)?;
    let normal = |piece| match piece {
        PathPiece::Text(text) => PathPiece::Text(normal(&text).into_owned()),
        name @ PathPiece::Name(_) => name,
    };
    let mut pieces: Vec<PathPiece> = pieces.into_iter().map(normal).collect();
    match (&mut pieces[..], open) {
        ([PathPiece::Text(path)], true) => Ok(PathPattern::Prefix(std::mem::take(path))),
        ([PathPiece::Text(path)], false) => Ok(PathPattern::Exact(std::mem::take(path))),
        _ => {
            let template = Template { pieces, open };
            let names: Vec<&str> = template.names().collect();
            let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
            if let Some((_, name)) = twice {
                return Err(Mistake::new(format!("has the name {name:?} twice")));
            }
            if names.len() > NAMES_MAX {
                return Err(Mistake::new(format!("has more than {NAMES_MAX} names")));
            }
            Ok(PathPattern::Template(template))
        }
    }
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
    let (path, open) = starred(text)?;
    let keeps = match pattern {
        PathPattern::Prefix(_) => true,
        PathPattern::Exact(_) => false,
        PathPattern::Template(template) => template.open,
    };
    if open && !keeps {
        return Err(Mistake::new(
            "a trailing * keeps what follows the route's prefix, and \
             this route's path has no trailing *",
        )
        .meant(path));
    }
    let pieces = pieces(path)?;
    let known: Vec<&str> = match pattern {
        PathPattern::Template(template) => template.names().collect(),
        PathPattern::Exact(_) | PathPattern::Prefix(_) => Vec::new(),
    };
    for piece in &pieces {
        if let PathPiece::Name(name) = piece
            && !known.contains(&name.as_str())
        {
            let mistake = Mistake::new(format!("has the name {name:?}, which the path has not"));
            return Err(match nearest(name, known.iter().copied()) {
                Some(meant) => mistake.meant(format!("{{{meant}}}")),
                None => mistake,
            });
        }
    }
    Ok(match (&pieces[..], pattern) {
        ([PathPiece::Text(path)], _) if !open => Rewrite::Path(path.clone()),
        ([PathPiece::Text(path)], PathPattern::Prefix(_)) => Rewrite::Prefix(path.clone()),
        _ => Rewrite::Template { pieces, open },
    })
}

/// The texts and the names of a path. `{name}` stands for a whole segment, so a slash is in front of it,
/// and one or nothing behind.
fn pieces(path: &str) -> Result<Vec<PathPiece>, Mistake> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((text, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}') else {
            return Err(Mistake::new("has a { without its }"));
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(legal) {
            return Err(Mistake::new(format!(
                "{{{name}}} is no name; write letters, digits, _ and - between the braces, or %7B \
                 for a brace that is meant"
            )));
        }
        if !text.ends_with('/') || !after.is_empty() && !after.starts_with('/') {
            return Err(Mistake::new(format!("{{{name}}} has to stand for a whole segment")));
        }
        pieces.extend([PathPiece::Text(text.to_owned()), PathPiece::Name(name.to_owned())]);
        rest = after;
    }
    if path.matches('{').count() != path.matches('}').count() {
        return Err(Mistake::new("has a } without its {"));
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(PathPiece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// One path that is asked for as it is written.
pub(super) fn plain(text: &str) -> Result<&str, Mistake> {
    match starred(text)? {
        (path, false) if path.contains(['{', '}']) => {
            Err(Mistake::new("names one path, so it has no braces"))
        }
        (path, false) => Ok(path),
        (path, true) => Err(Mistake::new("names one path, so it has no trailing *").meant(path)),
    }
}

/// One path that is asked for as it is written, with a query if there is one.
pub(super) fn target(text: &str) -> Result<&str, Mistake> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    plain(path)?;
    if query.contains('#') {
        return Err(Mistake::new("cannot have a fragment: it is never sent"));
    }
    if let Some(odd) = query.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(Mistake::new(format!(
            "has the character {odd:?}, which must be percent-encoded"
        )));
    }
    Ok(text)
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
    // What is meant has the star that was written.
    absolute(path).map_err(|mistake| match &mistake.hint {
        Some(hint) if star => Mistake { hint: Some(format!("{hint}*")), ..mistake },
        _ => mistake,
    })?;
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
    fn a_target_may_have_a_query() {
        for text in ["/a", "/a?api-version=2024-10-21", "/a?b=c&d=%20?/*"] {
            assert_eq!(target(text), Ok(text));
        }
        for (text, word) in [
            ("a?b", "begin with /"),
            ("/a*?b", "no trailing *"),
            ("/a?b c", "' '"),
            ("/a?b#c", "fragment"),
        ] {
            let mistake = format!("{:?}", target(text).unwrap_err());
            assert!(mistake.contains(word), "{text}: {mistake}");
        }
    }

    #[test]
    fn a_hint_keeps_the_star() {
        let hint = |text| pattern(text).unwrap_err().hint;
        assert_eq!(hint("v1/*").as_deref(), Some("/v1/*"));
        assert_eq!(hint("v1").as_deref(), Some("/v1"));
    }

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

    fn template(pieces: &[&str], open: bool) -> Template {
        let piece = |text: &&str| match text.strip_prefix(':') {
            Some(name) => PathPiece::Name(name.to_owned()),
            None => PathPiece::Text((*text).to_owned()),
        };
        Template { pieces: pieces.iter().map(piece).collect(), open }
    }

    #[test]
    fn names_stand_for_whole_segments() {
        for (text, pieces, open) in [
            ("/d/{name}/*", &["/d/", ":name", "/"][..], true),
            ("/d/{name}*", &["/d/", ":name"], true),
            ("/{a}/{b-1}", &["/", ":a", "/", ":b-1"], false),
            ("//%64/{A}/x", &["/d/", ":A", "/x"], false),
        ] {
            assert_eq!(pattern(text), Ok(PathPattern::Template(template(pieces, open))), "{text}");
        }
        assert_eq!(pattern("/a%7Bb%7d"), Ok(PathPattern::Exact("/a{b}".into())));
        for bad in
            ["/a{b}", "/{b}c", "/{}", "/{a", "/a}", "/{a}/{a}", "/{a b}", "/{a{b}}", "/{a}{b}"]
        {
            assert!(pattern(bad).is_err(), "{bad}");
        }
        let of = PathPattern::Template(template(&["/d/", ":name", "/"], true));
        for (text, pieces, open) in [
            ("/v1/*", &["/v1/"][..], true),
            ("/{name}/*", &["/", ":name", "/"], true),
            ("/m/{name}", &["/m/", ":name"], false),
        ] {
            let pieces = template(pieces, open).pieces;
            assert_eq!(rewrite(text, &of), Ok(Rewrite::Template { pieces, open }), "{text}");
        }
        assert_eq!(rewrite("/v1", &of), Ok(Rewrite::Path("/v1".into())));
        assert_eq!(rewrite("/{nam}", &of).unwrap_err().hint.as_deref(), Some("{name}"));
        assert!(rewrite("/{name}", &PathPattern::Prefix("/".into())).is_err());
        assert!(rewrite("/a{name}/*", &of).is_err());
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
