//! A head, read in the plainest way: lines end in CR LF, a name ends at the first colon.

/// A head and what is said in it of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainHead {
    pub start: Vec<u8>,
    /// Names in small letters, values without the blanks around them.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads all of `bytes` as one head. Panics where anything in it could be read in another way: a bare CR,
/// LF or NUL, a name that is no token, a line that is continued, bytes behind the blank line.
pub fn read(bytes: &[u8]) -> PlainHead {
    let text = bytes.strip_suffix(b"\r\n\r\n").expect("a head ends in a blank line");
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    let fields = lines[1..].iter().map(|line| {
        let colon = line.iter().position(|byte| *byte == b':').expect("a field has a colon");
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        assert!(
            !name.is_empty() && name.iter().all(token),
            "{:?}",
            name.escape_ascii().to_string()
        );
        (name.to_ascii_lowercase(), value.trim_ascii().to_vec())
    });
    let fields = fields.collect();
    for line in &lines {
        assert!(!line.iter().any(|byte| b"\r\n\0".contains(byte)), "{}", line.escape_ascii());
    }
    PlainHead { start: lines[0].to_vec(), fields }
}

impl PlainHead {
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|field| field.0 == name.as_bytes());
        named.map(|field| &*field.1).collect()
    }
}
