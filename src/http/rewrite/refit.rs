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

/// The two fields in which inference servers look for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyField {
    /// `Authorization: Bearer KEY`
    Authorization,
    /// `x-api-key: KEY`
    Bare,
}

/// Fields that describe a body as it was, or the form of the answer.
const OF_THE_BODY: [&str; 7] = [
    "accept-encoding",
    "content-digest",
    "content-encoding",
    "content-md5",
    "content-type",
    "digest",
    "repr-digest",
];

/// Appends `opening`, a whole head, to `out`.
pub fn refit(opening: &[u8], refit: &Refit<'_>, out: &mut Vec<u8>) {
    let end = memmem::find(opening, b"\r\n\r\n").map_or(opening.len(), |end| end + 2);
    let mut lines = opening[..end].split_inclusive(|byte| *byte == b'\n');
    start_line(lines.next().unwrap_or_default(), refit.target, out);
    let (own, start): (&[u8], &[u8]) = match refit.key {
        Some(KeyField::Authorization) => (b"authorization:", b"Authorization: Bearer "),
        Some(KeyField::Bare) => (b"x-api-key:", b"x-api-key: "),
        None => (b"", b""),
    };
    let begins =
        |line: &[u8]| line.len() >= own.len() && line[..own.len()].eq_ignore_ascii_case(own);
    let has_key = lines.clone().any(begins);
    for line in lines {
        let name = &line[..memchr(b':', line).unwrap_or(line.len())];
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let framing = is("content-length") || is("transfer-encoding") || is("trailer");
        let described = refit.target.is_some() && OF_THE_BODY.iter().any(|other| is(other));
        let withheld = refit.withheld.iter().any(|other| is(other));
        let replaced = refit.field.is_some_and(|(own, _)| is(own));
        if framing || described || withheld || replaced {
            continue;
        }
        match refit.key.and_then(|to| key_in(line, name, to)) {
            Some(key) if !has_key => {
                out.extend_from_slice(start);
                field(out, b"", key);
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

/// The key in a line of the other field than the one that it goes to.
fn key_in<'l>(line: &'l [u8], name: &[u8], to: KeyField) -> Option<&'l [u8]> {
    let value = line.get(name.len() + 1..)?.trim_ascii();
    match to {
        KeyField::Authorization if name.eq_ignore_ascii_case(b"x-api-key") => Some(value),
        KeyField::Bare if name.eq_ignore_ascii_case(b"authorization") => {
            let (scheme, key) = value.split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii_start())
        }
        KeyField::Authorization | KeyField::Bare => None,
    }
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
                       OpenAI-Beta: y\r\nVia: 1.1 sluicegate\r\n\r\n";
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
        for (to, fields, expected) in [
            (KeyField::Bare, bearer, bare),
            (KeyField::Bare, "authorization:  bearer  k ", bare),
            (KeyField::Bare, "X-Api-Key: own\r\nAuthorization: Bearer k", ""),
            (KeyField::Bare, "Authorization: Basic k", ""),
            (KeyField::Bare, bare, ""),
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
