//! What a stream is taken for, and when it has said something.

use std::time::Instant;

use super::accounts::metric;
use super::stage::*;
use crate::harness::{Gateway, Peer};

/// A client that has asked at `path`, as [`ask`] does.
fn ask_at(gateway: &Gateway, path: &str) -> Peer {
    let mut client = gateway.connect();
    client.send(request().replace("/v1/chat/completions", path));
    client
}

fn events(payload: &str) -> Vec<Act> {
    vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(payload)))]
}

#[test]
fn a_stream_nobody_understands_is_passed_on_and_ends_as_its_server_ends_it() {
    let triton = "data: {\"model_name\":\"ensemble\",\"text_output\":\".\"}\n\n".repeat(3);
    let stranger = "data: {\"model_name\":\"ensemble\"}\n\n";
    // vLLM's demonstration server.
    let demo = "data: {\"text\":[\"a\"]}\n\n";
    let heard = "event: transcript.text.delta\n\
                 data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\n";
    for (setting, path, payload) in [
        ("", "/v2/models/ensemble/generate_stream", stranger),
        ("service = \"tgi\"", "/v2/models/ensemble/generate_stream", &*triton),
        ("", "/generate", demo),
        ("", "/generate_stream", &*triton),
        ("service = \"openai\"", "/v1/audio/transcriptions", heard),
        ("service = \"openai\"", "/v1/responses/resp_1", heard),
        // Where a dialect is expected it is still the events that tell.
        ("", "/v1/chat/completions", heard),
        ("", "/v1/messages", &*triton),
    ] {
        let body = payload.to_owned();
        let (primary, second) = (Server::playing(move |_| events(&body)), Server::well("second"));
        let knobs = Knobs { primary: setting, ..Knobs::default() };
        let gateway = knobs.gateway(&[primary.address], Some(second.address));
        // More often than a breaker bears.
        for _ in 0..7 {
            let response = ask_at(&gateway, path).read_response();
            assert_eq!((response.status(), response.text()), (200, payload), "{path}");
        }
        second.expect_asked(0);

        // When it is cut nothing is put into it.
        let cut = payload.to_owned();
        let broken = move |_| vec![say(format!("{EVENTS}{}", chunk(&cut))), Act::Close];
        let alone = Knobs { primary: setting, ..Knobs::default() };
        let gateway = alone.gateway(&[Server::playing(broken).address], None);
        assert_eq!(expect_cut(&mut ask_at(&gateway, path)), payload, "{path}");
    }
}

#[test]
fn an_empty_stream_is_an_answer_where_no_service_answers() {
    let empty = || vec![say(format!("{EVENTS}{LAST_CHUNK}"))];
    let (primary, second) = (Server::playing(move |_| empty()), Server::well("second"));
    let gateway = gateway(&[&primary], Some(&second));
    // Asked again, a tool would be called twice.
    let response = ask_at(&gateway, "/mcp").read_response();
    assert_eq!((response.status(), response.text()), (200, ""));
    primary.expect_asked(1);
    second.expect_asked(0);
}

#[test]
fn a_page_is_passed_where_no_service_answers() {
    for setting in ["service = \"openai\"", "service = \"ollama\"", "service = \"tgi\"", ""] {
        let page = || answer("200 OK", "Content-Type: text/html\r\n", "<html>hello</html>");
        let (primary, second) = (Server::playing(move |_| page()), Server::well("second"));
        let knobs = Knobs { primary: setting, ..Knobs::default() };
        let gateway = knobs.gateway(&[primary.address], Some(second.address));
        for path in ["/", "/docs"] {
            let mut client = gateway.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            let response = client.read_response();
            assert_eq!((response.status(), response.text()), (200, "<html>hello</html>"));
        }
        assert_eq!(primary.requests().len(), 2, "each was asked for once");
    }
}

/// What its server has counted is whole, whatever it looks like; and what is no JSON has not been
/// cut inside its JSON.
#[test]
fn a_document_that_has_come_to_its_length_is_whole() {
    const JSON: &str = "Content-Type: application/json\r\n";
    let chunked = EVENTS.replace("text/event-stream", "application/json");
    for body in ["[Errno 111] Connection refused", "{\"a\":1};", "{\"a\":1}\n-- 12 ms", "{\"a\":"] {
        let mut framings = vec![answer("200 OK", JSON, body)];
        if body != "{\"a\":" {
            framings.push(vec![say(format!("{chunked}{}{LAST_CHUNK}", chunk(body)))]);
        }
        for acts in framings {
            let (primary, second) =
                (Server::playing(move |_| acts.clone()), Server::well("second"));
            for route in ["", "[admin]\nlisten = \"127.0.0.1:0\""] {
                let knobs = Knobs { route, ..Knobs::default() };
                let gateway = knobs.gateway(&[primary.address], Some(second.address));
                for path in ["/x", "/v1/embeddings", "/v1/chat/completions", "/api/chat"] {
                    // More often than a breaker bears.
                    for _ in 0..7 {
                        let response = ask_at(&gateway, path).read_response();
                        assert_eq!((response.status(), response.text()), (200, body), "{path}");
                    }
                }
            }
            second.expect_asked(0);
        }
    }
}

/// What comes before a model has said anything.
const CHAT: [&str; 3] = [
    "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n",
    "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\
     \"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":3}\n\n",
];
const RESPONSES: [&str; 3] = [
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n",
    "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"response\":{}}\n\n",
    "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":3}\n\n",
];
const MESSAGES: [&str; 3] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
     \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
];

#[test]
fn events_that_say_nothing_commit_nothing() {
    // Some repeat what they were asked.
    let asked = format!("\"instructions\":\"{}\"", "Be kind. ".repeat(4000));
    let long = RESPONSES.concat().replace("\"response\":{}", &format!("\"response\":{{{asked}}}"));
    for (path, prelude) in [
        ("/v1/responses", long),
        ("/v1/chat/completions", CHAT.concat()),
        ("/v1/responses", RESPONSES.concat()),
        ("/v1/messages", MESSAGES.concat()),
    ] {
        let failed = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\
                      \"overloaded_error\",\"code\":\"server_is_overloaded\"}}\n\n";
        let head = || say(format!("{EVENTS}{}", chunk(&prelude)));
        for (fails, on) in [
            (vec![head(), Act::Wait(ms(30)), Act::Close], ""),
            (vec![head(), Act::Wait(ms(30)), Act::Reset], ""),
            (vec![head(), say(LAST_CHUNK)], ""),
            (vec![head(), Act::Hold], ""),
            (vec![head(), say(chunk(failed)), say(LAST_CHUNK)], "retry.on = [\"error_event\"]"),
        ] {
            let alive = fails.clone();
            let (primary, second) =
                (Server::playing(move |_| alive.clone()), Server::well("second"));
            let on = format!("{on}\nretry.attempts = 1");
            let knobs = Knobs { primary: &on, ..Knobs::default() };
            let gateway = knobs.gateway(&[primary.address], Some(second.address));
            let asked = Instant::now();
            let response = ask_at(&gateway, path).read_response();
            assert_eq!(response.text(), spoken("second"), "{path} {fails:?}");
            expect_way(&response, "second", 2);
            assert!(asked.elapsed() < ms(2000));
            primary.expect_asked(1);
            second.expect_asked(1);
        }
    }
}

/// An event stream is one by its bytes, whatever its type says: held back, timed and asked for again
/// as one.
#[test]
fn a_stream_under_another_type_has_a_streams_time_and_may_fail() {
    let role = chunk(CHAT[1]);
    for kind in ["text/plain; charset=utf-8", "application/json", "application/octet-stream"] {
        let head = EVENTS.replace("text/event-stream", kind);
        for fails in [
            vec![say(format!("{head}{role}")), Act::Hold],
            vec![say(head.clone()), Act::Wait(ms(50)), say(role.clone()), Act::Hold],
            vec![say(format!("{head}{role}")), Act::Wait(ms(50)), Act::Close],
            vec![say(format!("{head}{role}{LAST_CHUNK}"))],
        ] {
            let acts = fails.clone();
            let (primary, second) =
                (Server::playing(move |_| acts.clone()), Server::well("second"));
            let knobs = Knobs { primary: "retry.attempts = 1", ..Knobs::default() };
            let gateway = knobs.gateway(&[primary.address], Some(second.address));
            let asked = Instant::now();
            expect_stream(&mut ask(&gateway), "second", "second", 2);
            assert!(asked.elapsed() < ms(5000), "{kind}: its time is a stream's");
        }
        // Where nobody else can be asked it has no more time than that.
        let begun = format!("{head}{role}");
        let alone = Server::playing(move |_| vec![say(begun.clone()), Act::Hold]);
        let knobs = Knobs { primary: "retry = \"off\"", ..Knobs::default() };
        let gateway = knobs.gateway(&[alone.address], None);
        ask(&gateway).read_end();
        gateway.wait_for_log("ttft_timeout");
        // And a document is its client's with its first byte.
        let begun = format!("{head}{}", chunk("{\"id\":"));
        let primary = Server::playing(move |_| vec![say(begun.clone()), Act::Hold]);
        let knobs = Knobs { timeouts: "inter_event = \"60s\"", ..Knobs::default() };
        let second = Server::well("second");
        let gateway = knobs.gateway(&[primary.address], Some(second.address));
        ask(&gateway).read_until("{\"id\":");
        second.expect_asked(0);
    }
}

#[test]
fn signs_of_life_are_no_tokens_before_the_first_and_behind_it() {
    let alive = |begin: String, sign: &'static str| {
        let signs = (0..60).flat_map(move |_| [say(chunk(sign)), Act::Wait(ms(50))]);
        [say(format!("{EVENTS}{begin}"))].into_iter().chain(signs).collect::<Vec<_>>()
    };
    // Before it, `ttft` runs.
    let (primary, second) =
        (Server::playing(move |_| alive(String::new(), CHAT[2])), Server::well("second"));
    let both = gateway(&[&primary], Some(&second));
    let asked = Instant::now();
    let mut client = ask(&both);
    expect_stream(&mut client, "second", "second", 2);
    let took = client.arrival(0) - asked;
    assert!(took >= ms(400) && took < ms(1500), "{took:?}");

    // Behind it, `inter_event`.
    let begin = chunk(&token("primary", 0));
    let primary = Server::playing(move |_| alive(begin.clone(), CHAT[2]));
    let alone = gateway(&[&primary], None);
    let asked = Instant::now();
    let payload = expect_broken(&mut ask(&alone));
    let took = asked.elapsed();
    assert!(took >= ms(400) && took < ms(1500), "{took:?}");
    assert_eq!(split_error(&payload).0, "inter_event_timeout");
    assert!(payload.contains("keepalive"), "they are passed on: {payload}");
}

#[test]
fn a_refusal_in_a_stream_is_for_its_client_and_a_prompt_too_long_for_a_larger_model() {
    let refused = |error: &str| {
        events(&format!("{}data: {{\"error\":{{\"message\":\"no\",{error}}}}}\n\n", CHAT[1]))
    };
    for (error, larger) in [
        (r#""code":"content_filter""#, false),
        (r#""type":"BadRequestError","code":400"#, false),
        (r#""type":"api_error","detail":"Output blocked by content filtering policy""#, false),
        (r#""code":"context_length_exceeded""#, true),
        (r#""detail":"This model's maximum context length is 8192 tokens","code":400"#, true),
    ] {
        for on in ["retry.on = [\"error_event\"]", ""] {
            let acts = refused(error);
            let (primary, second) =
                (Server::playing(move |_| acts.clone()), Server::well("second"));
            let knobs = Knobs { primary: on, route: "larger = \"second\"", ..Knobs::default() };
            let gateway = knobs.gateway(&[primary.address], Some(second.address));
            if larger {
                expect_stream(&mut ask(&gateway), "second", "second", 2);
            } else {
                let response = ask(&gateway).read_response();
                assert!(response.text().contains(error), "{error}: {response:?}");
            }
            primary.expect_asked(1);
            second.expect_asked(usize::from(larger));

            // Where no model is larger nobody else is asked.
            let plain = Knobs { primary: on, ..Knobs::default() };
            let gateway = plain.gateway(&[primary.address], Some(second.address));
            let response = ask(&gateway).read_response();
            assert!(response.text().contains(error), "{error}: {response:?}");
            primary.expect_asked(2);
            second.expect_asked(usize::from(larger));
        }
    }
}

/// Why a server refuses is read from what it says, not from how its chunks are cut.
#[test]
fn a_refusal_is_read_wherever_its_chunks_are_cut() {
    let error = r#"{"error":{"meta":{"a":{}},"message":"the maximum context length is 9"}}"#;
    let json = |status: &str| {
        EVENTS.replace("200 OK", status).replace("text/event-stream", "application/json")
    };
    for (head, text) in [
        (EVENTS.to_owned(), format!("{}data: {error}\n\n", CHAT[1])),
        (json("200 OK"), error.to_owned()),
        (json("400 Bad Request"), error.to_owned()),
    ] {
        let cuts: Vec<usize> = (1..text.len()).step_by(3).collect();
        let acts: Vec<Vec<Act>> = cuts
            .iter()
            .map(|&cut| {
                let (start, rest) = (chunk(&text[..cut]), chunk(&text[cut..]));
                vec![say(format!("{head}{start}{rest}{LAST_CHUNK}"))]
            })
            .collect();
        let (primary, second) =
            (Server::playing(move |nth| acts[nth].clone()), Server::well("second"));
        let knobs = Knobs { route: "larger = \"second\"", ..Knobs::default() };
        let gateway = knobs.gateway(&[primary.address], Some(second.address));
        for cut in &cuts {
            let answer = ask(&gateway).read_response();
            assert_eq!(answer.text(), spoken("second"), "{text} cut at {cut}");
        }
        primary.expect_asked(cuts.len());
    }
}

#[test]
fn a_reason_to_stop_is_an_end_in_every_dialect_and_an_empty_one_is_none() {
    let said = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\
                \"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    let stop = "event: message_delta\ndata: {\"type\":\"message_delta\",\
                \"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\n";
    let whole = format!("{}{said}{stop}", MESSAGES.concat());
    let acts = events(&whole);
    let gateway = gateway(&[&Server::playing(move |_| acts.clone())], None);
    assert_eq!(ask_at(&gateway, "/v1/messages").read_response().text(), whole);

    let empty = token("primary", 0).replace("\"finish_reason\":null", "\"finish_reason\":\"\"");
    let body = empty.clone();
    let slowly =
        move |_| vec![say(format!("{EVENTS}{}", chunk(&body))), Act::Wait(ms(50)), say(LAST_CHUNK)];
    let gateway = Knobs::default().gateway(&[Server::playing(slowly).address], None);
    let payload = expect_broken(&mut ask(&gateway));
    let (told, before) = split_error(&payload);
    assert_eq!((&*told, before), ("upstream_unfinished", &*empty));
}

#[test]
fn the_time_to_the_first_token_is_that_of_a_token() {
    let slowly = |nth: usize| match nth {
        0 => vec![
            say(format!("{EVENTS}{}", chunk(&CHAT.concat()))),
            Act::Wait(ms(300)),
            say(format!("{}{LAST_CHUNK}", chunk(&spoken("primary")))),
        ],
        1 => answer("200 OK", "Content-Type: application/json\r\n", "{}"),
        _ => error("400 Bad Request", "", "invalid"),
    };
    let primary = Server::playing(slowly);
    let knobs = Knobs { route: "[admin]\nlisten = \"127.0.0.1:0\"\n", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], None);
    let response = ask(&gateway).read_response();
    assert!(response.text().ends_with(DONE));
    for _ in 0..2 {
        ask(&gateway).read_response();
    }
    let told = |part: &str| {
        metric(&gateway, &format!("gen_ai_server_time_to_first_token_seconds_{part}"), "")
    };
    assert_eq!(told("count"), 1.0, "a document and an error have no tokens");
    assert!((0.3..2.0).contains(&told("sum")), "{}", told("sum"));
}
