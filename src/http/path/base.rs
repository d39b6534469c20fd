//! Base paths: what stands in front of the path of every request to an endpoint.
//!
//! Endpoints are written as API documentation writes them, `https://host/api/v1`, and clients ask for
//! `/v1/chat/completions`: the version at the end of the base and at the start of the path is one.
//!
//! | base | path | asked for |
//! |---|---|---|
//! | `/llama` | `/v1/models` | `/llama/v1/models` |
//! | `/api/v1` | `/v1/models` | `/api/v1/models` |
//! | `/v1` | `/health`, of our own | `/health`: it belongs to the server, and to no version of its API |
//! | `/v1` | `/api/chat`, of a client | `/v1/api/chat` |
//!
//! * A base has been checked: it begins with a slash, ends without one, and has no dot segment. Nor
//!   has a path that was let through, so what is joined has none.

/// What is put in front of `path`: the base, without its version where the path begins with it.
pub fn in_front<'b>(base: &'b str, path: &str) -> &'b str {
    let (above, version) = versioned(base);
    let Some(version) = version else { return base };
    match path.strip_prefix('/').and_then(|path| path.strip_prefix(version)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => above,
        _ => base,
    }
}

/// The path of a question of our own, such as a health check.
pub fn for_ours(base: &str, path: &str) -> String {
    let (above, _) = versioned(base);
    format!("{above}{path}")
}

/// A base in front of its last segment, and that without the slash, if it is a version: `v1`, `v1beta`.
fn versioned(base: &str) -> (&str, Option<&str>) {
    let Some((above, last)) = base.rsplit_once('/') else { return (base, None) };
    let digits = last.strip_prefix('v').unwrap_or_default();
    let is_version = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_version { (above, Some(last)) } else { (base, None) }
}

/// Appends an opening to `out`, with the base in front of its path. `*` stays as it is.
pub fn put(base: &str, opening: &[u8], out: &mut Vec<u8>) {
    // A head that was read has a method, a blank and a target.
    let start = memchr::memchr(b' ', opening).map_or(0, |blank| blank + 1);
    let (method, target) = opening.split_at(start);
    out.extend_from_slice(method);
    if target.first() == Some(&b'/') {
        let end = target.iter().position(|byte| b" ?\r\n".contains(byte)).unwrap_or(target.len());
        let path = std::str::from_utf8(&target[..end]).unwrap_or_default();
        out.extend_from_slice(in_front(base, path).as_bytes());
    }
    out.extend_from_slice(target);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_stands_once() {
        for (base, path, joined) in [
            ("/llama", "/v1/models", "/llama/v1/models"),
            ("/v1", "/v1/models", "/v1/models"),
            ("/v1", "/v1", "/v1"),
            ("/api/v1", "/v1/models", "/api/v1/models"),
            ("/v1beta", "/v1beta/models", "/v1beta/models"),
            // Not the same word, and no version.
            ("/v1", "/v1x/models", "/v1/v1x/models"),
            ("/v1", "/v10/models", "/v1/v10/models"),
            ("/v1", "/api/chat", "/v1/api/chat"),
            ("/models", "/models/a", "/models/models/a"),
            ("/v", "/v/a", "/v/v/a"),
            ("/v1", "//v1/a", "/v1//v1/a"),
            ("/v1", "/", "/v1/"),
        ] {
            assert_eq!(format!("{}{path}", in_front(base, path)), joined);
        }
        assert_eq!(for_ours("/v1", "/health"), "/health");
        assert_eq!(for_ours("/v1", "/v1/models"), "/v1/models");
        assert_eq!(for_ours("/llama", "/health"), "/llama/health");
    }

    #[test]
    fn it_is_put_in_front_of_the_path_and_nothing_else() {
        for (opening, with) in [
            ("GET /a?b=/c HTTP/1.1\r\nX: /d\r\n\r\n", "GET /base/a?b=/c HTTP/1.1\r\nX: /d\r\n\r\n"),
            ("OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n"),
        ] {
            let mut out = Vec::new();
            put("/base", opening.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), with);
        }
        let mut out = Vec::new();
        put("/api/v1", b"GET /v1?x HTTP/1.1\r\n\r\n", &mut out);
        assert_eq!(out, b"GET /api/v1?x HTTP/1.1\r\n\r\n");
    }
}
