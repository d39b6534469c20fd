use serde_json::{Value, json};

use super::*;
use crate::responder::{Action, Head};

fn at(path: &str) -> Option<ListedAt> {
    match path.strip_suffix('*') {
        Some(prefix) => ListedAt::below(prefix),
        None => ListedAt::exact(path),
    }
}

fn list(path: &str, ids: &[&str]) -> ModelList {
    let list = ModelList::new(at(path).expect("a path of models"));
    let models: Vec<ModelEntry> = ids.iter().map(|id| ModelEntry::named(id)).collect();
    list.put(&models);
    list
}

/// The head and the body of an answer.
fn told(mut telling: Finished) -> (Head, String) {
    let Action::Head(head) = telling.step(Instant::ZERO) else { panic!("a head comes first") };
    let mut body = Vec::new();
    loop {
        match telling.step(Instant::ZERO) {
            Action::Data(data) => body.extend_from_slice(&data),
            Action::End => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(head.length, Some(body.len() as u64));
    (head, String::from_utf8(body).expect("text"))
}

fn ask(list: &ModelList, method: &str, target: &str, anthropic: bool) -> (u16, Value) {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let head = match anthropic {
        true => "GET / HTTP/1.1\r\nHost: a\r\nAnthropic-Version: 2023-06-01\r\n\r\n",
        false => "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    let mut slots = crate::http::head::FieldSlots::new();
    let limits = crate::http::head::HeadLimits { bytes: 1 << 10, fields: 10 };
    let head = crate::http::head::parse_request(head.as_bytes(), &mut slots, &limits);
    let head = head.expect("a head").expect("a whole head");
    let request = Request { fields: head.lookup(), ..Request::bare(method, path, query) };
    let (head, body) = told(list.answer(&request));
    (head.status, serde_json::from_str(&body).expect("JSON"))
}

fn ids(answer: &Value) -> Vec<&str> {
    let data = answer["data"].as_array().expect("a list");
    data.iter().map(|model| model["id"].as_str().expect("a name")).collect()
}

#[test]
fn the_path_tells_what_is_asked_for() {
    for (path, expected) in [
        ("/v1/models", Some(ListedAt::All)),
        ("/openai/v1/models", Some(ListedAt::All)),
        ("/api/tags", Some(ListedAt::Tags)),
        ("/v1/models/*", Some(ListedAt::Each("/v1/models/".into()))),
        ("/v1/models*", Some(ListedAt::Each("/v1/models".into()))),
        ("/v1/models/a", None),
        ("/v1/mymodels", None),
        ("/api/tags/*", None),
        ("/api/show", None),
        ("/v1/tags", None),
        ("/*", None),
    ] {
        assert_eq!(at(path), expected, "{path}");
    }
}

#[test]
fn one_model_is_found_by_its_name_however_it_is_written() {
    let each = list("/v1/models/*", &["a", "meta-llama/Llama 3", "a+b", "café"]);
    let both = list("/v1/models*", &["a", "meta-llama/Llama 3", "a+b", "café"]);
    for (target, expected) in [
        ("/v1/models/a", Some("a")),
        ("/v1//models//a", Some("a")),
        ("/v1/models/meta-llama/Llama%203", Some("meta-llama/Llama 3")),
        ("/v1/models/meta-llama%2FLlama%203", Some("meta-llama/Llama 3")),
        ("/v1/models/a+b", Some("a+b")),
        ("/v1/models/a%2Bb", Some("a+b")),
        ("/v1/models/caf%C3%A9", Some("café")),
        ("/v1/models/caf%C3", None),
        ("/v1/models/A", None),
        ("/v1/models/a/", None),
        ("/v1/models/%1b%5b2J", None),
    ] {
        for (list, anthropic) in [(&each, false), (&both, false), (&each, true), (&both, true)] {
            let (status, answer) = ask(list, "GET", target, anthropic);
            match (expected, anthropic) {
                (Some(id), false) => {
                    let model =
                        json!({ "id": id, "object": "model", "created": 0, "owned_by": "" });
                    assert_eq!((status, answer), (200, model), "{target}");
                }
                (Some(id), true) => {
                    assert_eq!(
                        (status, &answer["id"], &answer["type"]),
                        (200, &json!(id), &json!("model"))
                    );
                }
                (None, false) => {
                    assert_eq!(
                        (status, &answer["error"]["code"]),
                        (404, &json!("model_not_found"))
                    );
                }
                (None, true) => {
                    assert_eq!((status, &answer["type"]), (404, &json!("error")));
                    assert_eq!(answer["error"]["type"], "not_found_error");
                }
            }
        }
    }
    for target in ["/v1/models", "/v1/models/"] {
        assert_eq!(ids(&ask(&both, "GET", target, false).1).len(), 4, "{target}");
    }
    assert_eq!(ids(&ask(&each, "GET", "/v1/models/", true).1).len(), 4);
    let (status, answer) = ask(&both, "GET", "/v1/modelsmith", false);
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("no_route")));
}

#[test]
fn pages_are_turned_as_anthropics_are() {
    let list = list("/v1/models", &["a", "b", "c d", "e"]);
    for (query, expected, more) in [
        ("", &["a", "b", "c d", "e"][..], false),
        ("?limit=2", &["a", "b"], true),
        ("?limit=4", &["a", "b", "c d", "e"], false),
        ("?limit=2&after_id=b", &["c d", "e"], false),
        ("?after_id=a&limit=1", &["b"], true),
        ("?after_id=c+d", &["e"], false),
        ("?after_id=c%20d", &["e"], false),
        ("?after_id=e", &[], false),
        ("?before_id=e&limit=2", &["b", "c d"], true),
        ("?before_id=b", &["a"], false),
        ("?before_id=a", &[], false),
        ("?beta=true", &["a", "b", "c d", "e"], false),
    ] {
        let (status, answer) = ask(&list, "GET", &format!("/v1/models{query}"), true);
        assert_eq!((status, ids(&answer)), (200, expected.to_vec()), "{query}");
        assert_eq!(answer["has_more"], more, "{query}");
        assert_eq!(answer["first_id"].as_str(), expected.first().copied(), "{query}");
        assert_eq!(answer["last_id"].as_str(), expected.last().copied(), "{query}");
    }
    for query in [
        "?limit=0",
        "?limit=1001",
        "?limit=x",
        "?limit=",
        "?after_id=z",
        "?before_id=%zz",
        "?after_id=a&before_id=b",
    ] {
        let (status, answer) = ask(&list, "GET", &format!("/v1/models{query}"), true);
        assert_eq!(
            (status, &answer["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{query}"
        );
        // OpenAI's list has no pages.
        assert_eq!(ask(&list, "GET", &format!("/v1/models{query}"), false).0, 200, "{query}");
    }
}

#[test]
fn other_methods_are_told_which_there_are() {
    for (path, anthropic) in [("/v1/models", false), ("/v1/models", true), ("/api/tags", false)] {
        let list = list(path, &["a"]);
        assert_eq!(ask(&list, "HEAD", path, anthropic).0, 200);
        for method in ["POST", "DELETE", "OPTIONS"] {
            assert_eq!(ask(&list, method, path, anthropic).0, 405);
            let (head, _) = told(list.answer(&Request::bare(method, path, None)));
            assert_eq!(head.fields, [("Allow".into(), "GET, HEAD".to_owned())]);
        }
    }
}

#[test]
fn a_list_is_replaced_whole_and_an_empty_one_is_a_list() {
    let list = list("/v1/models", &[]);
    assert_eq!(ask(&list, "GET", "/v1/models", false).1, json!({ "object": "list", "data": [] }));
    let many: Vec<ModelEntry> =
        (0..3_000).map(|number| ModelEntry::named(&format!("model-{number}"))).collect();
    list.put(&many);
    assert_eq!(ids(&ask(&list, "GET", "/v1/models", false).1).len(), 3_000);
    let (_, page) = ask(&list, "GET", "/v1/models", true);
    assert_eq!((ids(&page).len(), &page["has_more"]), (1_000, &json!(true)));
    // A name that would turn the text around is escaped.
    list.put(&[ModelEntry::named("a\u{202e}b")]);
    let (_, body) = told(list.answer(&Request::bare("GET", "/v1/models", None)));
    assert!(body.contains("a\\u202eb"), "{body}");
}
