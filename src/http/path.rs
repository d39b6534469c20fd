//! Paths: what one may hold, and the form in which two of them are compared.
//!
//! Servers decode a path before they choose by it, and many take two slashes for one: `//admin/x`,
//! `/%61dmin/x` and `/admin%2Fx` are `/admin/x` to one server or another. A route that is asked for
//! less than that is passed by. So paths are compared in one normal form:
//!
//! | of the path | in the normal form |
//! |---|---|
//! | an escape of a visible ASCII character: `%61`, `%2f`, `%3A` | the character: `a`, `/`, `:` |
//! | an escape of `%`, `?`, `#`, `\`, of a blank or of a byte beyond ASCII | kept, digits in capitals |
//! | slashes that follow each other | one slash |
//! | everything else: case, `;`, a trailing slash | as it is |
//!
//! * The normal form is for comparing. What is forwarded is the path as it came.
//! * Nothing is decoded twice: `%2561` is not `a`.
//! * No path that is let through has a dot segment, however it is encoded, and none that is made of
//!   two parts has one either.

pub mod base;

use std::borrow::Cow;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A `.` or `..` segment, plain or percent-encoded.
    DotSegment,
    /// A backslash, or an escape that is broken or stands for a byte that no path holds.
    Invalid,
}

/// What one segment of a path has been so far.
#[derive(Clone, Copy)]
enum Segment {
    /// This many dots and nothing else.
    Dots(u8),
    /// Dots, then parameters, which some servers cut off before they normalise.
    DotsWithParameters,
    Ordinary,
}

impl Segment {
    fn end(self) -> Result<Segment, PathError> {
        match self {
            Segment::Dots(1 | 2) | Segment::DotsWithParameters => Err(PathError::DotSegment),
            Segment::Dots(_) | Segment::Ordinary => Ok(Segment::Dots(0)),
        }
    }

    /// What it is behind more of the path.
    fn on(mut self, mut path: &[u8]) -> Result<Segment, PathError> {
        while let Some((byte, after)) = decode(path)? {
            path = after;
            self = match (self, byte) {
                (segment, b'/' | b'\\') => segment.end()?,
                (Segment::Dots(dots), b'.') => Segment::Dots(dots.saturating_add(1)),
                (Segment::Dots(1 | 2), b';') => Segment::DotsWithParameters,
                (Segment::DotsWithParameters, _) => Segment::DotsWithParameters,
                (Segment::Dots(_) | Segment::Ordinary, _) => Segment::Ordinary,
            };
        }
        Ok(self)
    }
}

/// Whether a path has one meaning: no dot segment, no backslash, no escape that is broken or stands
/// for a control byte.
pub fn check(path: &str) -> Result<(), PathError> {
    check_joined(path, "")
}

/// The same of a path in two pieces, neither of which ends inside an escape.
pub fn check_joined(start: &str, rest: &str) -> Result<(), PathError> {
    let segment = Segment::Dots(0).on(start.as_bytes())?.on(rest.as_bytes())?;
    segment.end().map(drop)
}

/// The first byte of a path, decoded once, and what is left of the path.
fn decode(path: &[u8]) -> Result<Option<(u8, &[u8])>, PathError> {
    match path {
        [] => Ok(None),
        // No URI holds a backslash, and some servers take it for a slash.
        [b'\\', ..] => Err(PathError::Invalid),
        [b'%', rest @ ..] => match escape(rest) {
            // Control bytes, and the two that only an overlong form of UTF-8 has: `%c0%ae` was a dot
            // to more than one server.
            None | Some((0..=0x1f | 0x7f | 0xc0 | 0xc1, _)) => Err(PathError::Invalid),
            Some((lead @ 0xe0.., behind)) if is_overlong(lead, behind) => Err(PathError::Invalid),
            decoded => Ok(decoded),
        },
        [byte, rest @ ..] => Ok(Some((*byte, rest))),
    }
}

/// Whether a form of UTF-8 of three bytes or more, which begins with `lead`, could have been shorter:
/// `%e0%80%af` was a slash to some. Forms of five and six bytes are looked at as well, which UTF-8 had once.
fn is_overlong(lead: u8, behind: &[u8]) -> bool {
    let [b'%', digits @ ..] = behind else { return false };
    let Some((next, _)) = escape(digits) else { return false };
    let shorter_below = match lead {
        0xe0 => 0xa0,
        0xf0 => 0x90,
        0xf8 => 0x88,
        0xfc => 0x84,
        _ => return false,
    };
    (0x80..shorter_below).contains(&next)
}

/// The byte that the two digits behind a `%` stand for, and what follows them.
fn escape(behind: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = behind else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some(((digit(*high)? << 4 | digit(*low)?) as u8, rest))
}

/// The first byte of a path as it is compared, and what is left of the path. `None` in place of the
/// byte: an escape that stays one.
fn compared(path: &[u8]) -> Option<(Option<u8>, &[u8])> {
    let (&first, rest) = path.split_first()?;
    match (first, escape(rest)) {
        (b'%', Some((b'%' | b'?' | b'#' | b'\\', after))) => Some((None, after)),
        (b'%', Some((byte @ b'!'..=b'~', after))) => Some((Some(byte), after)),
        (b'%', Some((_, after))) => Some((None, after)),
        _ => Some((Some(first), rest)),
    }
}

/// Whether a path is in its normal form. May say no of some that are.
///
/// Nearly all are, and are looked at to their end: without an early exit, many bytes at once.
fn is_normal(path: &str) -> bool {
    let bytes = path.as_bytes();
    // What is odd has something behind it: the digits, the other slash.
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let odd = |(&byte, &next): (&u8, &u8)| (byte == b'%') | ((byte == b'/') & (next == b'/'));
    !pairs.map(odd).fold(false, |found, odd| found | odd)
}

/// What a part of a path says, its escapes undone once; as it is, where that is no text.
pub fn unescaped(part: &str) -> Cow<'_, str> {
    if !part.contains('%') {
        return Cow::Borrowed(part);
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(part.len()), part.as_bytes());
    while let Some((&first, behind)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => escape(behind).unwrap_or((first, behind)),
            _ => (first, behind),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(part), Cow::Owned)
}

/// The form in which a path is compared with others.
pub fn normal(path: &str) -> Cow<'_, str> {
    match is_normal(path) {
        true => Cow::Borrowed(path),
        false => Cow::Owned(normalised(path)),
    }
}

#[cold]
fn normalised(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = compared(rest) {
        match byte {
            Some(b'/') if normal.ends_with('/') => {}
            // A path that got here is ASCII: the rest of it is escaped.
            Some(byte) => normal.push(char::from(byte)),
            None => {
                let digits = rest[1..3].iter().map(u8::to_ascii_uppercase).map(char::from);
                normal.push('%');
                normal.extend(digits);
            }
        }
        rest = after;
    }
    normal
}

/// The first segment of a path that has lost its slash, and what follows: a slash, however it is encoded, or
/// nothing.
pub fn segment(path: &str) -> (&str, &str) {
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = compared(rest) {
        if byte == Some(b'/') {
            break;
        }
        rest = after;
    }
    path.split_at(path.len() - rest.len())
}

/// What of a path follows its beginning, which is `prefix` in the normal form; as it came.
pub fn behind<'p>(path: &'p str, prefix: &str) -> &'p str {
    if is_normal(path) {
        return path.strip_prefix(prefix).unwrap_or_default();
    }
    // As long as what is taken is no longer than the prefix in its normal form, all of it is meant.
    let (mut rest, mut before, mut left) = (path.as_bytes(), 0, prefix.len());
    while let Some((byte, after)) = compared(rest) {
        let merged = byte == Some(b'/') && before == b'/';
        let length = byte.map_or(3, |_| usize::from(!merged));
        if length > left {
            break;
        }
        (rest, before, left) = (after, byte.unwrap_or_default(), left - length);
    }
    &path[path.len() - rest.len()..]
}

/// A path without the slashes it begins with, however they are written.
pub fn without_slash(mut path: &str) -> &str {
    while let Some((Some(b'/'), after)) = compared(path.as_bytes()) {
        path = &path[path.len() - after.len()..];
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_a_server_may_take_for_one_are_compared_as_one() {
        for (path, expected) in [
            ("/admin/x", "/admin/x"),
            ("/%61dmin/x", "/admin/x"),
            ("/%61%64%6D%69%6e/x", "/admin/x"),
            ("//admin/x", "/admin/x"),
            ("///admin////x//", "/admin/x/"),
            ("/admin%2fx", "/admin/x"),
            ("/admin/%2F/x", "/admin/x"),
            ("%2F/admin/x", "/admin/x"),
            ("/a%3ab", "/a:b"),
            ("/a%2Ab", "/a*b"),
            ("/a%7eb%2E", "/a~b."),
            // Kept, with capitals.
            ("/a%20b", "/a%20b"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a%3fb%23c%25d%5ce", "/a%3Fb%23c%25d%5Ce"),
            // Nothing is decoded twice.
            ("/%2561dmin", "/%2561dmin"),
            ("/%252f", "/%252f"),
            // Not told apart by servers that matter, or told apart by all.
            ("/Admin/x", "/Admin/x"),
            ("/admin;a=1/x", "/admin;a=1/x"),
            ("/admin/x/", "/admin/x/"),
        ] {
            assert_eq!(normal(path), expected, "{path}");
            assert_eq!(normal(expected), expected, "a normal form is its own");
        }
    }

    #[test]
    fn what_follows_a_prefix_stays_as_it_came() {
        for (path, prefix, expected) in [
            ("/a/b", "/a/", "b"),
            ("/a/b", "/a", "/b"),
            ("/%61/b%2Fc", "/a/", "b%2Fc"),
            ("//a//b//c", "/a/", "b//c"),
            ("//a//b", "/a", "//b"),
            ("/a%2fb", "/a/", "b"),
            ("/a/%2F/b", "/a/", "b"),
            ("/x%20y/%7a", "/x%20y/", "%7a"),
            ("/%c3%a9b", "/%C3%A9", "b"),
            ("//a", "/a", ""),
            ("/a/%20", "/a/", "%20"),
        ] {
            assert!(normal(path).starts_with(prefix), "{path}");
            assert_eq!(behind(path, prefix), expected, "{path} behind {prefix}");
        }
    }

    #[test]
    fn overlong_forms_of_utf_8_are_no_path_and_other_bytes_beyond_ascii_are() {
        for path in [
            "/%c0%af",
            "/%C1%9c",
            "/x/%e0%80%ae%e0%80%ae/admin",
            "/%e0%80%af",
            "/%E0%9f%BF",
            "/%f0%80%80%af",
            "/%f0%8f%bf%bf",
            "/%f8%80%80%80%af",
            "/%fc%80%80%80%80%af",
        ] {
            assert_eq!(check(path), Err(PathError::Invalid), "{path}");
        }
        // Whole forms, parts of them, and letters of older sets.
        for path in [
            "/%e0%a0%80",
            "/%f0%90%80%80",
            "/%f0%9f%98%80",
            "/%e0",
            "/m%fcller",
            "/%e0x%80",
            "/%ff%80",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn escapes_are_undone_once_where_that_gives_a_text() {
        for (part, expected) in [
            ("gpt-4o", "gpt-4o"),
            ("a%20b%c3%a9", "a b\u{e9}"),
            ("a%2520", "a%20"),
            ("50%", "50%"),
            ("%zz", "%zz"),
            ("%ff%20", "%ff%20"),
        ] {
            assert_eq!(unescaped(part), expected, "{part}");
        }
    }

    #[test]
    fn slashes_in_front_are_taken_off_however_they_are_written() {
        for (path, expected) in [("//a/", "a/"), ("%2f/%2F%61", "%61"), ("a//b", "a//b"), ("", "")]
        {
            assert_eq!(without_slash(path), expected);
        }
    }

    #[test]
    fn a_path_of_two_pieces_is_one_path() {
        for (start, rest, expected) in [
            ("/b/", "x", Ok(())),
            ("/b/", "../x", Err(PathError::DotSegment)),
            ("/b/", "..", Err(PathError::DotSegment)),
            ("/b/", "%2e%2E/x", Err(PathError::DotSegment)),
            ("/b/", "..%2fx", Err(PathError::DotSegment)),
            ("/b/", "..%5cx", Err(PathError::DotSegment)),
            ("/b/", "..;x/y", Err(PathError::DotSegment)),
            ("/b/", ".", Err(PathError::DotSegment)),
            ("/b/", "...", Ok(())),
            ("/b/.", "./x", Err(PathError::DotSegment)),
            ("/b", "../x", Ok(())),
            ("/b", "/../x", Err(PathError::DotSegment)),
        ] {
            assert_eq!(check_joined(start, rest), expected, "{start} {rest}");
        }
    }
}
