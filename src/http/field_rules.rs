//! Field rules: what an operator changes in the fields of a head that goes on.
//!
//! In this order: fields are taken away, fields get another name, fields are set (what there was of that
//! name goes), fields are added. A rule never sees what another has made.
//!
//! * The start line, the framing and what is meant for this hop are no field of a rule: who compiles the
//!   rules sees to that ([`is_ours`]).
//! * Values may be secrets, so they are never printed.

use std::fmt;

use memchr::{memchr, memmem};

use super::names::is_token_byte;

/// Rules for one direction.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldRules {
    /// Names in lower case.
    pub remove: Vec<String>,
    /// Old names in lower case, and new ones as they are written.
    pub rename: Vec<(String, String)>,
    pub set: Vec<(String, Vec<u8>)>,
    pub add: Vec<(String, Vec<u8>)>,
}

impl FieldRules {
    pub fn is_empty(&self) -> bool {
        *self == FieldRules::default()
    }

    /// Appends a head that is whole to `out`, changed by the rules; what follows its empty line stays as
    /// it is.
    pub fn apply(&self, head: &[u8], out: &mut Vec<u8>) {
        let end = memmem::find(head, b"\r\n\r\n").map_or(head.len(), |end| end + 2);
        let start = memchr(b'\n', head).map_or(end, |line| line + 1).min(end);
        out.extend_from_slice(&head[..start]);
        let mut fields = &head[start..end];
        while let Some(length) = memchr(b'\n', fields).map(|line| line + 1) {
            let (line, rest) = fields.split_at(length);
            self.line(line, out);
            fields = rest;
        }
        for (name, value) in self.set.iter().chain(&self.add) {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(&head[end..]);
    }

    fn line(&self, line: &[u8], out: &mut Vec<u8>) {
        let (name, rest) = line.split_at(memchr(b':', line).unwrap_or(line.len()));
        let is = |other: &str| alike(name, other.as_bytes());
        if self.remove.iter().any(|gone| is(gone)) || self.set.iter().any(|(set, _)| is(set)) {
            return;
        }
        match self.rename.iter().find(|(from, _)| is(from)) {
            Some((_, to)) => out.extend_from_slice(to.as_bytes()),
            None => out.extend_from_slice(name),
        }
        out.extend_from_slice(rest);
    }
}

/// Whether two names are one to some server: in whatever case, and with `_` for `-`, as CGI and WSGI read
/// them.
fn alike(one: &[u8], other: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(folded).eq(other.iter().map(folded))
}

/// Names without their values, which may be secrets.
impl fmt::Debug for FieldRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &[(String, Vec<u8>)]| -> Vec<String> {
            pairs.iter().map(|(name, _)| name.clone()).collect()
        };
        f.debug_struct("FieldRules")
            .field("remove", &self.remove)
            .field("rename", &self.rename)
            .field("set", &names(&self.set))
            .field("add", &names(&self.add))
            .finish()
    }
}

/// Whether these bytes can be the name of a field: a token (RFC 9110 §5.6.2).
pub fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| is_token_byte(*byte))
}

/// Whether these bytes can be the value of a field: visible ones, and blanks inside (RFC 9110 §5.5).
pub fn is_field_value(value: &[u8]) -> bool {
    let may_stand = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    value.iter().all(may_stand) && value.trim_ascii() == value
}

/// Whether the gateway itself decides about a field, in either direction: it frames the message, belongs
/// to a hop, or says what the gateway has done. `name` in lower case.
pub fn is_ours(name: &str) -> bool {
    const OURS: [&str; 20] = [
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-request-id",
        "x-sluice-upstream",
    ];
    OURS.iter().any(|ours| alike(ours.as_bytes(), name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(rules: &FieldRules, head: &str) -> String {
        let mut out = Vec::new();
        rules.apply(head.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn values(pairs: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn fields_are_taken_away_renamed_set_and_added() {
        let rules = FieldRules {
            remove: names(&["x-api-key", "cookie"]),
            rename: vec![("a".into(), "B".into()), ("b".into(), "C".into())],
            set: values(&[("Authorization", "Bearer own")]),
            add: values(&[("X-Extra", "1"), ("C", "2")]),
        };
        assert_eq!(
            changed(
                &rules,
                "POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: k\r\nA: 1\r\nauthorization: Bearer theirs\r\n\
                 b:2\r\nx_api_key: k\r\nCookie:\r\nc: 3\r\n\r\n4\r\nbody: x\r\n\r\n"
            ),
            "POST / HTTP/1.1\r\nHost: a\r\nB: 1\r\nC:2\r\nc: 3\r\nAuthorization: Bearer own\r\n\
             X-Extra: 1\r\nC: 2\r\n\r\n4\r\nbody: x\r\n\r\n"
        );
        let nothing = FieldRules::default();
        for head in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n\r\nrest"] {
            assert_eq!(changed(&nothing, head), head);
        }
        let added = FieldRules { add: values(&[("A", "b")]), ..FieldRules::default() };
        assert_eq!(changed(&added, "GET / HTTP/1.1\r\n\r\n"), "GET / HTTP/1.1\r\nA: b\r\n\r\n");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let rules =
            FieldRules { set: values(&[("authorization", "sesame")]), ..FieldRules::default() };
        let printed = format!("{rules:?}");
        assert!(printed.contains("authorization") && !printed.contains("sesame"), "{printed}");
    }
}
