//! What makes two requests alike: the key of `balance = "hash"`.
//!
//! A value is hashed as it is written. Two texts of the same JSON are different keys; that costs a cache
//! hit and nothing else. The key of a prompt is made where a request is read
//! ([`crate::service::request`]): a hash of its first bytes, so that requests that begin alike meet the
//! endpoint that has their prefix in its KV cache.

use crate::http::json::member;
use crate::proxy::hash::hash;

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

/// The key in a member of a JSON body, as far as that is here: the text or the number that stands at `path`,
/// the names of the members on the way to it. Of an object it is the `id`, as OpenAI writes a
/// `conversation`.
pub fn of_member<P: AsRef<str>>(body: &[u8], path: &[P]) -> Option<u64> {
    let mut place = 0..body.len();
    for name in path {
        place = member(body, place, name.as_ref().as_bytes())?;
    }
    if body.get(place.start) == Some(&b'{') {
        // Its brace is behind it, so it is whole.
        place = member(body, place, b"id")?;
    }
    match &body[place] {
        [b'"', text @ .., b'"'] => of_value(text),
        [b'{' | b'[', ..] | b"null" | b"true" | b"false" => None,
        number => of_value(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_member_is_found_as_far_as_the_body_goes() {
        let key = |text: &str| of_value(text.as_bytes());
        for (body, path, expected) in [
            (r#"{"user":"u-1"}"#, "user", key("u-1")),
            (r#" { "a" : [1,{"user":"x"}] , "user" : "u-1" }"#, "user", key("u-1")),
            (r#"{"user":"u-1","messages":[{"role":"us"#, "user", key("u-1")),
            (r#"{"user":7}"#, "user", key("7")),
            (r#"{"user":"a","user":"b"}"#, "user", key("a")),
            (r#"{"user":"a\"b"}"#, "user", key(r#"a\"b"#)),
            (r#"{"metadata":{"x":1,"user_id":"u-1"}}"#, "metadata.user_id", key("u-1")),
            (r#"{"conversation":"c-1"}"#, "conversation", key("c-1")),
            (r#"{"conversation":{"id":"c-1"}}"#, "conversation", key("c-1")),
            (r#"{"conversation":{"name":"c-1"}}"#, "conversation", None),
            (r#"{"metadata":"u"}"#, "metadata.user_id", None),
            (r#"{"user":"u-1"#, "user", None),
            (r#"{"user":12"#, "user", None),
            (r#"{"user":""}"#, "user", None),
            (r#"{"user":null}"#, "user", None),
            (r#"{"user":true}"#, "user", None),
            (r#"{"user":["u-1"]}"#, "user", None),
            (r#"{"users":"u-1"}"#, "user", None),
            (r#"{"messages":[{"user":"u-1"}]}"#, "user", None),
            (r#"{"a":"\"user\":1"}"#, "user", None),
            (r#"["user","u-1"]"#, "user", None),
            (r#"{"user" "u-1"}"#, "user", None),
            ("{", "user", None),
            ("", "user", None),
        ] {
            let path: Vec<&str> = path.split('.').collect();
            assert_eq!(of_member(body.as_bytes(), &path), expected, "{body} {path:?}");
        }
    }

    /// Cut anywhere it is the same key, or none: never another.
    #[test]
    fn a_body_that_is_cut_gives_no_other_key() {
        let body = br#"{"messages":[{"content":"a\\"}],"conversation":{"x":{},"id":"c-12"},"n":1}"#;
        let whole = of_member(body, &["conversation"]);
        assert_eq!(whole, of_value(b"c-12"));
        for end in 0..body.len() {
            let cut = of_member(&body[..end], &["conversation"]);
            assert!(cut.is_none() || cut == whole, "{end}");
        }
    }
}
