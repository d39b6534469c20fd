//! `request_headers`, `response_headers` and `api_key`.

use super::super::show::effective;
use super::*;
use crate::http::field_rules::FieldRules;

/// The least configuration with these lines in its upstream and its route.
fn with(upstream: &str, route: &str) -> String {
    LEAST.replace("[[route]]", &format!("{upstream}\n[[route]]")) + route
}

fn rules(loaded: &Loaded) -> [FieldRules; 3] {
    let (upstream, route) = (&loaded.snapshot.upstreams[0], &loaded.snapshot.routes[0]);
    [&upstream.request_headers, &route.request_headers, &route.response_headers]
        .map(|rules| rules.rules.as_deref().cloned().unwrap_or_default())
}

#[test]
fn fields_are_changed_on_both_ways_and_a_secret_is_not_shown() {
    let loaded = accepted(&with(
        r#"request_headers = { remove = ["Cookie"], rename = { X-Old = "X-New" }, set = { a = "b c" }, add = { k = { env = "API_KEY", prefix = "Key " } } }"#,
        "request_headers = { add = { f = { file = \"api.key\" } } }\n\
         response_headers = { set = { cache-control = \"no-store\" }, remove = [\"server\"] }\n",
    ));
    let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let expected = [
        FieldRules {
            remove: vec!["cookie".to_owned()],
            rename: vec![("x-old".to_owned(), "x-new".to_owned())],
            set: vec![pair("a", "b c")],
            add: vec![pair("k", "Key sesame")],
        },
        FieldRules { add: vec![pair("f", "from-a-file")], ..FieldRules::default() },
        FieldRules {
            remove: vec!["server".to_owned()],
            set: vec![pair("cache-control", "no-store")],
            ..FieldRules::default()
        },
    ];
    assert_eq!(rules(&loaded), expected);
    let shown = effective(&loaded.snapshot);
    assert!(!shown.contains("sesame") && !shown.contains("from-a-file"), "{shown}");
    assert!(!content(&loaded).contains("sesame"));
    let again = accepted(&shown);
    assert_eq!(content(&loaded), content(&again));
    assert_eq!(rules(&again), expected);
}

#[test]
fn a_key_goes_where_its_service_looks_for_one_and_the_clients_own_goes() {
    for (lines, name, value) in [
        ("api_key = { env = \"API_KEY\" }", "authorization", "Bearer sesame"),
        ("service = \"anthropic\"\napi_key = { env = \"API_KEY\" }", "x-api-key", "sesame"),
        ("service = \"gemini\"\napi_key = { env = \"API_KEY\" }", "x-goog-api-key", "sesame"),
        ("api_key = { file = \"api.key\", header = \"api-key\" }", "api-key", "from-a-file"),
    ] {
        let loaded = accepted(&with(lines, ""));
        let [rules, ..] = rules(&loaded);
        assert_eq!(rules.set, [(name.to_owned(), value.as_bytes().to_vec())], "{lines}");
        assert_eq!(rules.remove, ["authorization", "x-api-key", "api-key", "x-goog-api-key"]);
        let again = accepted(&effective(&loaded.snapshot));
        assert_eq!(content(&loaded), content(&again));
    }
}

#[test]
fn a_key_that_whoever_comes_may_use_is_warned_of() {
    let paid = with("api_key = { env = \"API_KEY\" }", "");
    let open = paid.replace("127.0.0.1:8080", "0.0.0.0:8080");
    let expected = "line 3: upstream[0]: whoever reaches 0.0.0.0:8080 uses the api_key of \"llama\": ask \
                    clients for keys ([gate] keys_file), name addresses in gate.allow, or listen on \
                    127.0.0.1\n";
    assert_eq!(told(&accepted(&open).warnings), expected);
    for calm in [
        paid.clone(),
        paid.replace("127.0.0.1:8080", "unix:/run/gate.sock"),
        open.clone() + "[gate]\nallow = [\"10.0.0.0/8\"]\n",
        open.clone() + "[gate]\nkeys = \"required\"\n[keys.team]\nhash = \"HASH\"\n",
        open.replace("api_key = { env = \"API_KEY\" }", ""),
    ] {
        let calm = calm.replace("HASH", &format!("sha256:{}", "0".repeat(64)));
        assert_eq!(told(&accepted(&calm).warnings), "", "{calm}");
    }
}

#[test]
fn what_is_no_field_to_change_is_refused_and_no_secret_is_told() {
    for (line, expected) in [
        (
            "request_headers = { set = { Content_Length = \"1\" } }",
            "request_headers.set.Content_Length: content_length is the gateway's own to read and to \
             write",
        ),
        (
            "request_headers = { remove = [\"host\"] }",
            "request_headers.remove[0]: host is the gateway's own to read and to write",
        ),
        (
            "request_headers = { remove = [] }",
            "request_headers.remove: must have from 1 to 64 fields",
        ),
        (
            "request_headers = { set = { a = { env = \"NONE\" } } }",
            "request_headers.set.a.env: the environment has no \"NONE\"",
        ),
        (
            "request_headers = { set = { a = { env = \"EMPTY\" } } }",
            "request_headers.set.a: is empty",
        ),
        (
            "request_headers = { set = { a = { env = \"TWO_LINES\" } } }",
            "request_headers.set.a: must be at most 8192 visible ASCII characters and inner spaces",
        ),
        (
            "request_headers = { set = { a = { env = \"API_KEY\", file = \"x\" } } }",
            "request_headers.set.a: needs one of env and file",
        ),
        (
            "request_headers = { set = { a = \"1\", A = \"2\" } }",
            "request_headers.set.a: is in the table already; names ignore case",
        ),
        (
            "api_key = \"sesame\"",
            "api_key: must be { env = \"NAME\" } or { file = \"path\" }: a key stands in no file that \
             others may read",
        ),
        (
            "api_key = { env = \"API_KEY\" }\nrequest_headers = { set = { authorization = \"a\" } }",
            "api_key: request_headers gives authorization another value",
        ),
    ] {
        let told = refused(&with(line, ""));
        let expected = format!("upstream[0].{expected}\n");
        let problems: Vec<&str> = told.split_inclusive('\n').collect();
        assert!(problems[0].ends_with(&expected), "{line}: {told}");
        assert!(!told.contains("sesame"), "{told}");
    }
}

#[test]
fn health_is_asked_where_the_service_has_it() {
    for (lines, path) in [
        ("health = {}", "/health"),
        ("service = \"kserve\"\nhealth = {}", "/v2/health/ready"),
        ("service = \"triton\"\nhealth = {}", "/v2/health/ready"),
        ("service = \"ollama\"\nhealth = {}", "/api/version"),
        ("service = \"ollama\"\nhealth = { path = \"/up\" }", "/up"),
    ] {
        let loaded = accepted(&with(lines, ""));
        let health = loaded.snapshot.upstreams[0].health.clone();
        assert_eq!(health.map(|health| health.path).as_deref(), Some(path), "{lines}");
    }
}

#[test]
fn a_key_that_stands_in_the_file_is_not_shown() {
    let rules = |rules: &str| {
        effective(&accepted(&with(&format!("request_headers = {{ {rules} }}"), "")).snapshot)
    };
    for name in ["Authorization", "X-Api-Key", "api-key", "x-goog-api-key", "Cookie"] {
        for kind in ["set", "add"] {
            let shown = rules(&format!("{kind} = {{ {name} = \"Bearer sk-1\" }}"));
            assert!(!shown.contains("sk-1"), "{shown}");
            let comment = format!("# request_headers.{kind}.{} =", name.to_ascii_lowercase());
            assert!(shown.contains(&comment), "{shown}");
        }
    }
    let shown = rules("set = { x-team = \"sk-1\", Authorization = { env = \"API_KEY\" } }");
    assert!(shown.contains("request_headers.set.x-team = \"sk-1\""), "{shown}");
    assert!(shown.contains("authorization = { env = \"API_KEY\" }"), "{shown}");
    assert!(!shown.contains("sesame"), "{shown}");
}
