//! What makes two requests alike: the key of `balance = "hash"`.
//!
//! A prompt's key is a hash of its first bytes, as they stand in the body. Two turns of one
//! conversation begin alike, and so do all requests with the same system prompt: they go to the
//! endpoint that has their prefix in its KV cache. Two texts of the same JSON are different keys;
//! that costs a cache hit and nothing else.

use memchr::memmem;

use crate::proxy::hash::hash;

/// How far into a body a prompt is looked for.
pub const SEARCH_MAX: usize = 16 << 10;

/// The members that hold a prompt: chat, completion, TGI and KServe.
const MEMBERS: [&[u8]; 3] = [b"\"messages\"", b"\"prompt\"", b"\"inputs\""];

/// The key in a prompt, as far as the body is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKey {
    Key(u64),
    /// More of the body has to arrive.
    Incomplete,
    /// The body has no prompt where one is looked for.
    Absent,
}

/// The key of a field's value. An empty one says nothing that could be shared.
pub fn of_value(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    (!value.is_empty()).then(|| hash(value))
}

/// The key in the value of a `Cookie` field: that of the cookie `name`, if it is there.
pub fn of_cookie(value: &[u8], name: &[u8]) -> Option<u64> {
    value.split(|&byte| byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        of_value(pair.strip_prefix(name)?.strip_prefix(b"=")?)
    })
}

/// The key in the first `length` bytes of the prompt. `body` is what has arrived, from its first
/// byte on, and `whole` says that this is all of it.
pub fn of_prompt(body: &[u8], length: usize, whole: bool) -> PromptKey {
    let searched = &body[..body.len().min(SEARCH_MAX)];
    let last = whole || body.len() >= SEARCH_MAX;
    match prompt_start(searched, last) {
        Some(start) => {
            let prompt = &body[start..];
            match prompt.get(..length) {
                Some(prefix) => PromptKey::Key(hash(prefix)),
                None if whole => PromptKey::Key(hash(prompt)),
                None => PromptKey::Incomplete,
            }
        }
        None if last => PromptKey::Absent,
        None => PromptKey::Incomplete,
    }
}

/// Where the value of the first member that holds a prompt begins. Unless `last`, its first byte
/// has to be there.
fn prompt_start(body: &[u8], last: bool) -> Option<usize> {
    MEMBERS.iter().filter_map(|name| member_start(body, name, last)).min()
}

fn member_start(body: &[u8], name: &[u8], last: bool) -> Option<usize> {
    memmem::find_iter(body, name).find_map(|at| {
        // A quotation mark that is escaped stands inside a string.
        if at > 0 && body[at - 1] == b'\\' {
            return None;
        }
        let behind = at + name.len();
        let colon = behind + leading_space(&body[behind..]);
        if body.get(colon) != Some(&b':') {
            return None;
        }
        let value = colon + 1 + leading_space(&body[colon + 1..]);
        (value < body.len() || last).then_some(value)
    })
}

fn leading_space(bytes: &[u8]) -> usize {
    bytes.len() - bytes.trim_ascii_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &[u8] = br#"{"model":"m","messages" : [{"role":"system","content":"You are"}]}"#;

    #[test]
    fn a_cookie_is_found_among_others() {
        let key = Some(hash(b"abc"));
        for (value, expected) in [
            (&b"sid=abc"[..], key),
            (b"a=1; sid=abc; b=2", key),
            (b"a=1;sid=abc", key),
            (b"xsid=abc", None),
            (b"sid", None),
            (b"sidx=abc", None),
            (b"sid=", None),
            (b"sid= ; sid=abc", key),
            (b"", None),
        ] {
            assert_eq!(of_cookie(value, b"sid"), expected, "{}", value.escape_ascii());
        }
        assert_eq!(of_value(b" abc "), key);
        assert_eq!(of_value(b"  "), None);
    }

    #[test]
    fn a_prompt_is_found_where_its_member_begins() {
        for (body, prompt) in [
            (CHAT, Some(&br#"[{"role":"system","content":"You are"}]}"#[..])),
            (br#"{"prompt":"Once upon"}"#, Some(br#""Once upon"}"#)),
            (br#"{"inputs": "x", "parameters":{}}"#, Some(br#""x", "parameters":{}}"#)),
            (br#"{"a":"\"prompt\":1","prompt":2}"#, Some(b"2}")),
            (br#"{"a":"prompt","prompt":2}"#, Some(b"2}")),
            (br#"{"model":"m"}"#, None),
            (br#"{"prompt"}"#, None),
            (b"", None),
        ] {
            let expected = prompt.map_or(PromptKey::Absent, |prompt| PromptKey::Key(hash(prompt)));
            assert_eq!(of_prompt(body, 1_000, true), expected, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn the_key_is_the_same_however_the_body_arrives() {
        for length in [1, 20, 40, 1_000] {
            let key = of_prompt(CHAT, length, true);
            let mut told = false;
            for end in 0..CHAT.len() {
                match of_prompt(&CHAT[..end], length, false) {
                    PromptKey::Incomplete => assert!(!told, "{length} at {end}"),
                    found => {
                        assert_eq!(found, key, "{length} at {end}");
                        told = true;
                    }
                }
            }
            assert_eq!(told, length < 40, "40 bytes are there only with the last one");
        }
    }

    #[test]
    fn the_search_ends() {
        let long = vec![b' '; SEARCH_MAX];
        assert_eq!(of_prompt(&long[1..], 8, false), PromptKey::Incomplete);
        assert_eq!(of_prompt(&long, 8, false), PromptKey::Absent);
    }
}
