//! Refit: the opening of a request whose body was all here before it was sent, and was put into other
//! words.

use memchr::{memchr, memmem};

use crate::http::lines::{decimal, field};

/// What becomes of the opening.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refit<'a> {
    /// The length of the body, which is sent in one piece.
    pub length: u64,
    /// What is asked for in place of the client's path and query. With it go the fields that describe the
    /// client's own body, and the answer is asked for as it is, without a coding.
    pub target: Option<&'a str>,
    /// Fields that are left out, in lower case.
    pub withheld: &'a [&'a str],
    /// A field that takes the place of the client's of that name.
    pub field: Option<(&'a str, &'a str)>,
    /// Where the key of the client goes to, if it has sent none there.
    pub key: Option<KeyField>,
}

/// The fields in which inference servers look for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyField {
    /// `Authorization: Bearer KEY`
    Authorization,
    /// The key alone, in the field of this name, in lower case: one of [`BARE`].
    Bare(&'static str),
}

impl KeyField {
    /// The name of the field, in lower case.
    fn name(self) -> &'static str {
        match self {
            KeyField::Authorization => "authorization",
            KeyField::Bare(name) => name,
        }
    }

    /// Its line up to the key.
    fn start(self) -> &'static str {
        match self {
            KeyField::Authorization => "Authorization: Bearer ",
            KeyField::Bare("x-goog-api-key") => "x-goog-api-key: ",
            KeyField::Bare(_) => "x-api-key: ",
        }
    }
}

/// The fields in which a key stands alone: Anthropic's, Google's.
const BARE: [&str; 2] = ["x-api-key", "x-goog-api-key"];

/// Fields that describe a body as it was, or the form of the answer: a part of it, one that has changed,
/// another protocol.
const OF_THE_BODY: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-digest",
    "content-encoding",
    "content-md5",
    "content-type",
    "digest",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "repr-digest",
    "te",
    "upgrade",
];

/// Appends `opening`, a whole head, to `out`.
pub fn refit(opening: &[u8], refit: &Refit<'_>, out: &mut Vec<u8>) {
    let end = memmem::find(opening, b"\r\n\r\n").map_or(opening.len(), |end| end + 2);
    let mut lines = opening[..end].split_inclusive(|byte| *byte == b'\n');
    start_line(lines.next().unwrap_or_default(), refit.target, out);
    let own = refit.key.map_or("", KeyField::name);
    let has_key = lines.clone().any(|line| is(name_of(line), own));
    let mut moved = false;
    for line in lines {
        let name = name_of(line);
        let framing = ["content-length", "transfer-encoding", "trailer"];
        let framing = framing.iter().any(|other| is(name, other));
        let described = refit.target.is_some() && OF_THE_BODY.iter().any(|other| is(name, other));
        let withheld = refit.withheld.iter().any(|other| is(name, other));
        let replaced = refit.field.is_some_and(|(own, _)| is(name, own));
        if framing || described || withheld || replaced {
            continue;
        }
        match refit.key.and_then(|to| Some((to, key_in(line, name, to)?))) {
            // Of two keys the first one holds: nobody knows whom the other one is for.
            Some(_) if moved => {}
            Some((to, key)) if !has_key => {
                out.extend_from_slice(to.start().as_bytes());
                field(out, b"", key);
                moved = true;
            }
            _ => out.extend_from_slice(line),
        }
    }
    if refit.target.is_some() {
        out.extend_from_slice(b"Content-Type: application/json\r\nAccept-Encoding: identity\r\n");
    }
    if let Some((name, value)) = refit.field {
        out.extend_from_slice(name.as_bytes());
        field(out, b": ", value.as_bytes());
    }
    out.extend_from_slice(b"Content-Length: ");
    decimal(refit.length, out);
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends `opening`, a whole head, to `out`, with this path and query.
pub fn retarget(opening: &[u8], target: &str, out: &mut Vec<u8>) {
    let start = memchr(b'\n', opening).map_or(opening.len(), |end| end + 1);
    start_line(&opening[..start], Some(target), out);
    out.extend_from_slice(&opening[start..]);
}

/// The path and query that a head asks for.
pub fn target_of(head: &[u8]) -> &[u8] {
    let line = &head[..memchr(b'\r', head).unwrap_or(head.len())];
    match (memchr(b' ', line), memchr::memrchr(b' ', line)) {
        (Some(first), Some(last)) if first < last => &line[first + 1..last],
        _ => b"",
    }
}

fn name_of(line: &[u8]) -> &[u8] {
    &line[..memchr(b':', line).unwrap_or(line.len())]
}

fn is(name: &[u8], other: &str) -> bool {
    name.eq_ignore_ascii_case(other.as_bytes())
}

/// The key in a line of another field than the one that it goes to.
fn key_in<'l>(line: &'l [u8], name: &[u8], to: KeyField) -> Option<&'l [u8]> {
    if is(name, to.name()) {
        return None;
    }
    let value = line.get(name.len() + 1..)?.trim_ascii();
    if BARE.iter().any(|bare| is(name, bare)) {
        return Some(value);
    }
    let (scheme, key) = value.split_at_checked(b"Bearer ".len())?;
    let bearer = is(name, "authorization") && scheme.eq_ignore_ascii_case(b"Bearer ");
    bearer.then(|| key.trim_ascii_start())
}

/// Appends the request line with another target.
fn start_line(line: &[u8], target: Option<&str>, out: &mut Vec<u8>) {
    let spaces = (memchr(b' ', line), memchr::memrchr(b' ', line));
    match (target, spaces) {
        (Some(target), (Some(first), Some(last))) if first < last => {
            out.extend_from_slice(&line[..=first]);
            out.extend_from_slice(target.as_bytes());
            out.extend_from_slice(&line[last..]);
        }
        _ => out.extend_from_slice(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refitted(opening: &str, change: Refit<'_>) -> String {
        let mut out = Vec::new();
        refit(opening.as_bytes(), &change, &mut out);
        String::from_utf8(out).expect("text in, text out")
    }

    #[test]
    fn another_body_has_another_target_framing_and_description() {
        let opening = "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: a\r\n\
                       Transfer-Encoding: chunked\r\nTrailer: x\r\nContent-Type: application/json; \
                       charset=utf-8\r\nAccept-Encoding: gzip\r\nAnthropic-Version: 1\r\n\
                       OpenAI-Beta: y\r\nRange: bytes=0-1\r\nIf-None-Match: \"a\"\r\n\
                       Expect: 100-continue\r\nTE: trailers\r\nConnection: TE, upgrade\r\n\
                       Upgrade: h2c\r\nVia: 1.1 sluicegate\r\n\r\n";
        let change = Refit {
            length: 17,
            target: Some("/v1/messages"),
            withheld: &["openai-beta"],
            field: Some(("anthropic-version", "2023-06-01")),
            key: None,
        };
        assert_eq!(
            refitted(opening, change),
            "POST /v1/messages HTTP/1.1\r\nHost: a\r\nVia: 1.1 sluicegate\r\n\
             Content-Type: application/json\r\nAccept-Encoding: identity\r\n\
             anthropic-version: 2023-06-01\r\nContent-Length: 17\r\n\r\n"
        );
    }

    #[test]
    fn a_key_goes_where_the_server_looks_for_it() {
        let head = |fields: &str| format!("POST /a HTTP/1.1\r\n{fields}\r\n\r\n");
        let (bearer, bare) = ("Authorization: Bearer k", "x-api-key: k");
        let (anthropic, google) = (KeyField::Bare("x-api-key"), KeyField::Bare("x-goog-api-key"));
        for (to, fields, expected) in [
            (anthropic, bearer, bare),
            (anthropic, "authorization:  bearer  k ", bare),
            (anthropic, "X-Api-Key: own\r\nAuthorization: Bearer k", ""),
            (anthropic, "Authorization: Basic k", ""),
            (anthropic, bare, ""),
            (anthropic, "Authorization: Bearer k\r\nAuthorization: Bearer other", bare),
            (google, bearer, "x-goog-api-key: k"),
            (google, "X-Api-Key: k\r\nAuthorization: Bearer other", "x-goog-api-key: k"),
            (google, "x-goog-api-key: k", ""),
            (KeyField::Authorization, "X-API-Key: k", bearer),
            (KeyField::Authorization, bearer, ""),
            (KeyField::Authorization, "X-API-Key: k\r\nAuthorization: Basic own", ""),
        ] {
            let change = Refit { key: Some(to), ..Refit::default() };
            let expected = if expected.is_empty() { fields } else { expected };
            let expected = head(&format!("{expected}\r\nContent-Length: 0"));
            assert_eq!(refitted(&head(fields), change), expected, "{to:?} {fields}");
        }
    }

    #[test]
    fn the_clients_own_body_keeps_all_but_its_framing() {
        let opening = "POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
                       Content-Length: 3\r\nAccept-Encoding: gzip\r\n\r\n";
        assert_eq!(
            refitted(opening, Refit { length: 4, ..Refit::default() }),
            "POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
             Accept-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
        );
    }
}
