//! The models that a path and a query can be read as naming.
//!
//! A key that is for some models must open every one of them: which reading its server has, the gateway
//! does not know. So the places are known, and not the APIs: behind a segment `models`, `deployments` or
//! `engines`, and in a parameter `model`.

use crate::http::{form, path};

/// Behind which segments of a path a model is named: Gemini, Triton, KServe, OpenAI's lists; Azure; the
/// oldest of OpenAI's.
const COLLECTIONS: [&str; 3] = ["models", "deployments", "engines"];

/// One place where a model is named, in each way that it can be read there.
pub type Readings = Vec<String>;

/// Every place in a path and a query that names a model.
pub fn named_in_target(target: &str, query: Option<&str>) -> Vec<Readings> {
    let path = path::normal(target);
    let segments: Vec<&str> = path.split('/').collect();
    let is_collection =
        |segment: &str| COLLECTIONS.iter().any(|known| segment.eq_ignore_ascii_case(known));
    let mut found = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let rest = &segments[at + 1..];
        let Some(next) = rest.first().filter(|next| !next.is_empty()) else { continue };
        if is_collection(segment) {
            // A name with slashes in it is the rest of the path.
            found.push([*next, &rest.join("/")].into_iter().flat_map(readings).collect());
        }
    }
    let values = form::parameters(query.unwrap_or_default(), "model");
    found.extend(values.iter().map(|value| vec![String::from_utf8_lossy(value).into_owned()]));
    found
}

/// A name, and the same without the verb of Gemini's behind it.
fn readings(text: &str) -> impl Iterator<Item = String> {
    let verbless = text.rsplit_once(':').map(|(name, _)| name.to_owned());
    [Some(text.to_owned()), verbless].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_that_names_a_model_is_found() {
        for (path, query, expected) in [
            ("/v1/chat/completions", None, vec![]),
            ("/v1/models", None, vec![]),
            ("/v1/models/", None, vec![]),
            ("/v1/models/a", None, vec!["a"]),
            ("/v1/models/org/a", None, vec!["org", "org/a"]),
            ("/v1beta/models/a:generateContent", None, vec!["a:generateContent", "a"]),
            ("/v1beta/models/a%3AembedContent", None, vec!["a:embedContent", "a"]),
            ("/v2//models/a/%69nfer", None, vec!["a", "a/infer"]),
            ("/v2/%6dodels/a/infer", None, vec!["a", "a/infer"]),
            ("/v2/repository/models/a/load", None, vec!["a", "a/load"]),
            ("/openai/deployments/a/chat/completions", None, vec!["a", "a/chat/completions"]),
            ("/v1/realtime", Some("x=1&model=a%2Db"), vec!["a-b"]),
            ("/v1/models/a", Some("model=b"), vec!["a", "b"]),
        ] {
            let found: Vec<String> = named_in_target(path, query).into_iter().flatten().collect();
            let mut once = found.clone();
            once.dedup();
            assert_eq!(once.iter().take(expected.len()).collect::<Vec<_>>(), expected, "{path}");
            assert!(found.iter().all(|name| expected.contains(&&**name)), "{path}: {found:?}");
        }
    }
}
