//! What is refused, and how; routes.

use super::super::serve::BODY_BYTES_MAX;
use super::*;

#[test]
fn a_body_that_cannot_be_read_is_refused() {
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(257));
    let cases = [
        "",
        "hello",
        "{",
        "[]",
        r#"["m",true]"#,
        r#"{"stream":true} x"#,
        r#"{"stream":"yes"}"#,
        r#"{"max_tokens":-1}"#,
        r#"{"max_tokens":1.5}"#,
        r#"{"model":7}"#,
        r#"{"stream":true,"stream":false}"#,
        &long,
    ];
    for body in cases {
        for target in [CHAT, COMPLETIONS] {
            let played = play(target, body);
            assert_eq!(played.status(), 400, "{body}");
            let error = &played.json()["error"];
            assert_eq!(error["type"], "invalid_request_error");
            assert_eq!(error["code"], "invalid_body");
            assert!(error["message"].as_str().is_some_and(|message| message.ends_with('.')));
            assert_eq!(played.ended, (Duration::ZERO, Ended::Complete));
        }
    }
}

#[test]
fn deep_nesting_is_skipped_or_refused_without_a_crash() {
    let body = format!(r#"{{"messages":{}{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(matches!(play(CHAT, &body).status(), 200 | 400));
}

#[test]
fn a_body_at_the_bound_is_read_and_one_byte_more_is_not() {
    let request = Request::bare("POST", CHAT, None);
    let mut body = br#"{"model":"m"}"#.to_vec();
    body.resize(BODY_BYTES_MAX, b' ');

    let mut responder = service(Settings::default(), CHAT).respond(&request, START);
    responder.on_body(&body);
    assert_eq!(responder.step(START), Action::NeedBody);
    responder.on_request_end(START);
    assert_eq!(play_late(&mut *responder, Duration::ZERO).status(), 200);

    let mut responder = service(Settings::default(), CHAT).respond(&request, START);
    responder.on_body(&body);
    responder.on_body(b" ");
    // Refused while the rest is still on its way, and the rest changes nothing.
    let Action::Head(head) = responder.step(START) else { panic!("no head") };
    assert_eq!(head.status, 413);
    responder.on_body(&body);
    responder.on_request_end(START);
    assert!(matches!(responder.step(START), Action::Data(_)));
    assert_eq!(responder.step(START), Action::End);
}

#[test]
fn bare_text_takes_a_body_of_any_size() {
    let request = Request::bare("POST", "/stream", None);
    let mut responder = service(Settings::default(), "/stream").respond(&request, START);
    for _ in 0..64 {
        responder.on_body(&[b'x'; 1024 * 1024]);
        assert_eq!(responder.step(START), Action::NeedBody);
    }
    responder.on_request_end(START);
    assert_eq!(play_late(&mut *responder, Duration::ZERO).status(), 200);
}

#[test]
fn a_query_that_makes_no_sense_is_refused_by_name() {
    let cases = [
        ("speed=3", "speed"),
        ("rate=fast", "rate"),
        ("rate=2&tokens=-1", "tokens"),
        ("token-bytes=0", "token_bytes"),
        ("no_done=maybe", "no_done"),
        ("=", ""),
    ];
    for (query, name) in cases {
        for path in ["/stream", CHAT, "/health", "/v1/models"] {
            let played = play(&format!("{path}?{query}"), "");
            assert_eq!(played.status(), 400, "{query}");
            let error = &played.json()["error"];
            assert_eq!(error["param"], name);
            assert_eq!(error["code"], "invalid_parameter");
            let message = error["message"].as_str().expect("a message");
            assert!(message.contains(&format!("`{name}`")), "{message}");
        }
    }
}

#[test]
fn a_text_too_long_for_one_piece_has_to_be_streamed() {
    for query in ["tokens=257&token_bytes=65536", &format!("tokens={}", u64::MAX)] {
        let played = play(&format!("{CHAT}?rate=0&{query}"), PLAIN);
        assert_eq!(played.status(), 400);
        assert_eq!(played.json()["error"]["param"], "stream");
    }
    assert_eq!(play(&format!("{CHAT}?rate=0&tokens=256&token_bytes=65536"), PLAIN).status(), 200);
}

#[test]
fn flags_are_defaults_that_a_query_overrides() {
    let mut settings = Settings::default();
    for (name, value) in [("rate", "10"), ("tokens", "2"), ("cut", "1"), ("status", "500")] {
        settings.set(name, value).expect("a setting");
    }
    let play = |target: &str| play_late(&mut *asked(settings, target, ""), Duration::ZERO);
    assert_eq!(play("/stream").status(), 500);
    let played = play("/stream?status=off");
    assert_eq!((played.times_ms(), played.ended.1), (vec![0], Ended::Cut));
    let played = play("/stream?status=off&cut=off&rate=4");
    assert_eq!((played.times_ms(), played.ended.1), (vec![0, 250], Ended::Complete));
    // The flags are about inference.
    assert_eq!(play("/health").status(), 200);
    assert_eq!(play("/v1/models").status(), 200);
    assert_eq!(play("/health?status=503").status(), 503);
}

#[test]
fn routes_name_their_methods() {
    let routes: Vec<(PathPattern, Vec<String>)> =
        routes(Settings::default()).into_iter().map(|route| (route.path, route.methods)).collect();
    let expected = [
        ("/stream", "POST"),
        ("/v1/chat/completions", "POST"),
        ("/v1/completions", "POST"),
        ("/v1/models", "GET"),
        ("/health", "GET"),
    ]
    .map(|(path, method)| (PathPattern::Exact(path.to_owned()), vec![method.to_owned()]));
    assert_eq!(routes, expected);
}

#[test]
fn a_completion_goes_on_behind_what_its_prompt_says_already() {
    let body = |prompt: &str| {
        serde_json::json!({"prompt": prompt, "stream": true, "max_tokens": 10}).to_string()
    };
    for query in ["?tokens=20", "?tokens=20&token_bytes=7"] {
        let target = format!("{COMPLETIONS}{query}");
        let unbounded = |prompt: &str| {
            let body = serde_json::json!({"prompt": prompt, "stream": true}).to_string();
            spoken(&play(&target, &body).events())
        };
        let whole = unbounded("Say it: ");
        let events = play(&target, &body("Say it: ")).events();
        let begun = spoken(&events);
        assert!(whole.starts_with(&begun) && begun.len() < whole.len());
        let prompt = "Say it: ".to_owned() + &begun;
        assert_eq!(begun.clone() + &unbounded(&prompt), whole, "{query}");
        // The bound counts what is said now.
        let more = spoken(&play(&target, &body(&prompt)).events());
        assert!(whole.starts_with(&(begun + &more)), "{query}");
        // Half a token is somebody else's text.
        assert_eq!(unbounded(&prompt[..prompt.len() - 3]), whole, "{query}");
    }
    // Any other prompt is a prompt, and a chat begins anew.
    for prompt in ["[1,2]", "[\"a\"]", "null", "7"] {
        let body = format!(r#"{{"prompt":{prompt},"stream":true}}"#);
        assert_eq!(play(COMPLETIONS, &body).status(), 200, "{prompt}");
    }
}
