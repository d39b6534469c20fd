//! Servers that answer, and should not be believed, or asked again, or asked at all.

use super::stage::*;
use crate::harness::{End, Gateway, Stopwatch};

const BUSY: &str = "429 Too Many Requests";
const OVERLOADED: &str = "529 Overloaded";
const DOWN: &str = "503 Service Unavailable";

#[test]
fn too_many_requests_with_a_short_retry_after_is_waited_for() {
    let busy = error(BUSY, "Retry-After: 1\r\n", "busy");
    let primary = Server::failing(1, busy, "primary");
    let gateway = gateway(&[&primary], None);
    let asked = Stopwatch::of(gateway.pid());
    let mut client = ask(&gateway);
    expect_stream(&mut client, "primary", "primary", 2);
    primary.expect_asked(2);
    let times = primary.times();
    let waited = times[1] - times[0];
    assert!(waited >= ms(1000) && asked.spent() < ms(1900), "{waited:?}");
}

/// However a server says it, and whatever it calls its overload.
#[test]
fn a_server_is_asked_again_when_it_says() {
    for (status, fields, least) in [
        (BUSY, "Retry-After: 60\r\nRetry-After-Ms: 400\r\n", 400),
        (DOWN, "x-ms-retry-after-ms: 600.5\r\n", 600),
        (OVERLOADED, "Retry-After: 0.5\r\n", 500),
    ] {
        let busy = error(status, fields, "busy");
        let primary = Server::failing(1, busy, "primary");
        let knobs =
            Knobs { primary: "retry = { on = [\"429\", \"503\", \"529\"] }", ..Knobs::default() };
        let gateway = knobs.gateway(&[primary.address], None);
        let mut client = ask(&gateway);
        expect_stream(&mut client, "primary", "primary", 2);
        primary.expect_asked(2);
        let times = primary.times();
        let waited = times[1] - times[0];
        assert!(waited >= ms(least) && waited < ms(least + 900), "{fields}: {waited:?}");
    }
}

#[test]
fn too_many_requests_with_a_long_retry_after_goes_elsewhere_at_once() {
    let primary = Server::playing(|_| error(BUSY, "Retry-After: 60\r\n", "busy"));
    let second = Server::well("second");
    let gateway = gateway(&[&primary], Some(&second));
    let asked = Stopwatch::of(gateway.pid());
    let mut client = ask(&gateway);
    expect_stream(&mut client, "second", "second", 2);
    assert!(asked.spent() < ms(900), "{:?}", asked.elapsed());
    primary.expect_asked(1);
    second.expect_asked(1);
    // It said for how long: until then nobody asks it again.
    client.send(request());
    expect_stream(&mut client, "second", "second", 1);
    primary.expect_asked(1);
}

#[test]
fn too_many_requests_without_retry_after_rests_the_endpoint() {
    let primary = Server::playing(|_| error(BUSY, "", "busy"));
    let second = Server::well("second");
    let gateway = gateway(&[&primary], Some(&second));
    let mut client = ask(&gateway);
    expect_stream(&mut client, "second", "second", 2);
    client.send(request());
    expect_stream(&mut client, "second", "second", 1);
    primary.expect_asked(1);
    second.expect_asked(2);
}

#[test]
fn too_many_requests_and_nobody_else_is_the_servers_own_answer() {
    let primary = Server::playing(|_| error(BUSY, "Retry-After: 60\r\n", "busy"));
    let gateway = gateway(&[&primary], None);
    let mut client = ask(&gateway);
    let response = client.read_response();
    assert_eq!((response.status(), response.field("retry-after")), (429, Some("60")));
    assert_eq!(response.json()["error"]["code"], "busy", "the server's own words");
    expect_way(&response, "primary", 1);
    primary.expect_asked(1);
}

#[test]
fn a_429_is_told_where_nobody_else_answers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    let dead = listener.and_then(|it| it.local_addr()).expect("a port");
    for (status, kept) in [(BUSY, 429), ("503 Service Unavailable", 503)] {
        let primary = Server::playing(move |_| error(status, "Retry-After: 60\r\n", "busy"));
        let gateway = Knobs::default().gateway(&[primary.address], Some(dead));
        let mut client = ask(&gateway);
        let response = client.read_response();
        let code = &response.json()["error"]["code"];
        assert_eq!((response.status(), code), (kept, &"upstream_busy".into()));
        let again = response.field("retry-after").and_then(|told| told.parse::<u32>().ok());
        assert!(again.is_some_and(|again| (55..=60).contains(&again)), "{response:?}");
        assert_eq!(response.field("x-sluice-upstream"), Some("second"));
    }
}

#[test]
fn an_internal_error_once_is_passed_on_unless_listed() {
    let fails = || error("500 Internal Server Error", "", "crash");
    let (primary, second) = (Server::failing(1, fails(), "primary"), Server::well("second"));
    let gateway = gateway(&[&primary], Some(&second));
    let mut client = ask(&gateway);
    let response = client.read_response();
    assert_eq!((response.status(), &response.json()["error"]["code"]), (500, &"crash".into()));
    expect_way(&response, "primary", 1);
    second.expect_asked(0);
    // The connection goes on, and so does the server.
    client.send(request());
    expect_stream(&mut client, "primary", "primary", 1);

    let primary = Server::failing(1, fails(), "primary");
    let knobs = Knobs { primary: "retry = { on = [\"500\"] }", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], None);
    expect_stream(&mut ask(&gateway), "primary", "primary", 2);
    primary.expect_asked(2);
}

#[test]
fn another_endpoint_is_asked_first() {
    let one = Server::playing(|_| error(DOWN, "", "down"));
    let other = Server::well("other");
    // The choice is random. Where the first falls on the one that is down each time, that is a retry
    // more than the budget of so quiet an upstream allows.
    let knobs = Knobs { primary: "retry = { budget = 100 }", ..Knobs::default() };
    let gateway = knobs.gateway(&[one.address, other.address], None);
    for _ in 0..4 {
        let asked = one.requests().len();
        let mut client = ask(&gateway);
        let response = client.read_response();
        assert_eq!((response.status(), response.text()), (200, &*spoken("other")));
        let attempts = 1 + (one.requests().len() - asked) as u32;
        expect_way(&response, "primary", attempts);
    }
    assert_eq!(other.requests().len(), 4);
}

#[test]
fn unavailable_for_ever_leaves_the_next_upstream_of_the_route() {
    let primary = Server::playing(|_| error(DOWN, "", "down"));
    let second = Server::well("second");
    let knobs = Knobs { second: "model = \"second\"", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], Some(second.address));
    expect_stream(&mut ask(&gateway), "second", "second", 3);
    primary.expect_asked(2);
    let asked = second.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].json()["model"], "second", "the model of the upstream that is asked");
}

#[test]
fn unavailable_for_ever_and_nobody_else_is_the_servers_own_answer() {
    let primary = Server::playing(|_| error(DOWN, "Retry-After: 7\r\n", "down"));
    let gateway = gateway(&[&primary], None);
    let mut client = ask(&gateway);
    let response = client.read_response();
    assert_eq!((response.status(), response.field("retry-after")), (503, Some("7")));
    assert_eq!(response.json()["error"]["code"], "down");
    // Seven seconds are longer than `retry_after_max`.
    primary.expect_asked(1);
}

#[test]
fn a_clients_own_error_is_never_repeated() {
    for status in ["400 Bad Request", "401 Unauthorized", "404 Not Found", "422 No"] {
        let primary = Server::playing(move |_| error(status, "", "yours"));
        let second = Server::well("second");
        let gateway = gateway(&[&primary], Some(&second));
        let response = ask(&gateway).read_response();
        assert_eq!(response.json()["error"]["code"], "yours", "{status}");
        expect_way(&response, "primary", 1);
        primary.expect_asked(1);
        second.expect_asked(0);
    }
}

#[test]
fn a_web_page_is_no_answer() {
    let page = || answer("200 OK", "Content-Type: text/html\r\n", "<html>maintenance</html>");
    let (primary, second) = (Server::playing(move |_| page()), Server::well("second"));
    let both = gateway(&[&primary], Some(&second));
    expect_stream(&mut ask(&both), "second", "second", 3);
    primary.expect_asked(2);

    let alone = gateway(&[&primary], None);
    let response = expect_error(&mut ask(&alone), 502, "upstream_bad_answer");
    assert!(!response.text().contains("maintenance"));

    // But where one was asked for: an application has such paths of its own.
    for path in ["/generate", "/v1/chat/completions"] {
        let mut client = both.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAccept: text/html, */*\r\nContent-Length: 3\r\n\r\na=b"
        ));
        assert!(client.read_response().text().contains("maintenance"), "{path}");
    }
    second.expect_asked(1);
}

#[test]
fn a_prompt_too_long_goes_to_a_larger_model_and_to_nobody_else() {
    let too_long = || error("400 Bad Request", "", "context_length_exceeded");
    let (primary, second) = (Server::playing(move |_| too_long()), Server::well("second"));
    let knobs = Knobs { route: "larger = \"second\"", ..Knobs::default() };
    let larger = knobs.gateway(&[primary.address], Some(second.address));
    expect_stream(&mut ask(&larger), "second", "second", 2);
    primary.expect_asked(1);
    second.expect_asked(1);

    let plain = gateway(&[&primary], Some(&second));
    let response = ask(&plain).read_response();
    assert_eq!(response.status(), 400);
    assert_eq!(response.json()["error"]["code"], "context_length_exceeded");
    primary.expect_asked(2);
    second.expect_asked(1);
}

#[test]
fn a_prompt_against_the_policy_is_asked_once() {
    let refused = || error("400 Bad Request", "", "content_filter");
    let (primary, second) = (Server::playing(move |_| refused()), Server::well("second"));
    let knobs = Knobs { route: "larger = \"second\"", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], Some(second.address));
    let response = ask(&gateway).read_response();
    assert_eq!(response.status(), 400);
    assert_eq!(response.json()["error"]["code"], "content_filter");
    primary.expect_asked(1);
    second.expect_asked(0);
}

const FOUR_MIB: usize = 4 << 20;

#[test]
fn an_error_body_of_four_mib_is_not_waited_for() {
    let long = "x".repeat(FOUR_MIB);
    let body = long.clone();
    let primary =
        Server::playing(move |nth| answer(if nth == 0 { DOWN } else { "500 No" }, "", &body));
    let second = Server::well("second");
    let knobs = Knobs { primary: "retry = { attempts = 1 }", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], Some(second.address));
    let before = gateway.memory_peak();
    // It is dropped where another attempt follows …
    expect_stream(&mut ask(&gateway), "second", "second", 2);
    // … and passed on to the last byte where none does.
    let response = ask(&gateway).read_response();
    assert_eq!((response.status(), response.body.len()), (500, FOUR_MIB));
    let grown = gateway.memory_peak().saturating_sub(before);
    // What a process does for the first time takes some too, and pages of its executable count.
    assert!(grown < FOUR_MIB as u64 / 2, "{grown} bytes");
}

#[test]
fn an_error_body_that_stalls_holds_nobody_up() {
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nhalf";
    let (primary, second) =
        (Server::playing(move |_| vec![say(head), Act::Hold]), Server::well("second"));
    let both = gateway(&[&primary], Some(&second));
    let asked = Stopwatch::of(both.pid());
    expect_stream(&mut ask(&both), "second", "second", 3);
    assert!(asked.spent() < ms(390), "no timer was waited for: {:?}", asked.elapsed());
    primary.expect_cancelled(0);
    primary.expect_cancelled(1);

    // As the last answer it is passed on, and cut where it stalls.
    let knobs = Knobs { primary: "retry = \"off\"", ..Knobs::default() };
    let alone = knobs.gateway(&[primary.address], None);
    let mut client = ask(&alone);
    assert_eq!(client.read_head().status(), 503);
    assert_eq!(client.read_end(), End::Fin);
    assert_eq!(client.unread(), b"half");
    alone.wait_for_log("inter_event_timeout");
}

#[test]
fn an_endpoint_that_rests_now_is_not_waited_for() {
    let primary = Server::playing(|_| error("429 Slow down", "", "rate_limited"));
    let second = Server::well("second");
    // A pause before an attempt that could only find the endpoint resting.
    let knobs = Knobs {
        primary: "retry = { attempts = 3, backoff = \"4s\", backoff_max = \"8s\" }",
        ..Knobs::default()
    };
    let gateway = knobs.gateway(&[primary.address], Some(second.address));
    let begun = Stopwatch::of(gateway.pid());
    expect_stream(&mut ask(&gateway), "second", "second", 2);
    assert!(begun.spent() < ms(1_500), "a pause was waited for: {:?}", begun.elapsed());
    primary.expect_asked(1);
}

#[test]
fn the_gateways_own_errors_tell_how_far_a_request_came() {
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address")
    };
    let (primary, second) = (free(), free());
    let gateway = Knobs::default().gateway(&[primary], Some(second));
    let refused = expect_error(&mut ask(&gateway), 502, "upstream_connect");
    expect_way(&refused, "second", 4);
    // Nobody was asked: its endpoint is out.
    let knobs = Knobs {
        primary: "retry = \"off\"\nbreaker = { consecutive = 1, open = \"1m\", panic = 100 }",
        ..Knobs::default()
    };
    let gateway = knobs.gateway(&[primary], None);
    let refused = expect_error(&mut ask(&gateway), 502, "upstream_connect");
    expect_way(&refused, "primary", 1);
    let refused = expect_error(&mut ask(&gateway), 503, "no_upstream");
    assert_eq!(refused.field("x-sluice-upstream"), None);
    assert_eq!(refused.field("x-sluice-attempts"), Some("0"));
}

#[test]
fn what_a_server_says_of_its_way_is_not_believed() {
    let fields = "X-Sluice-Upstream: elsewhere\r\nx-sluice-attempts: 99\r\n\
                  X-Sluice-Degraded: yes\r\n";
    let primary = Server::playing(move |_| answer("200 OK", fields, "{}"));
    let response = ask(&gateway(&[&primary], None)).read_response();
    expect_way(&response, "primary", 1);
    let told = (response.all("x-sluice-upstream").len(), response.all("x-sluice-attempts").len());
    assert_eq!(told, (1, 1), "{response:?}");
    // It may be a gateway, and its answer a predefined one.
    assert_eq!(response.field("x-sluice-degraded"), Some("yes"));
}

#[test]
fn a_request_too_long_to_be_kept_is_asked_once_and_the_log_tells_why() {
    for (failure, status) in [(vec![Act::Reset], 502), (error("503 No", "", "busy"), 503)] {
        let primary = Server::failing(1, failure, "primary");
        let limits = "[limits]\nreplay_bytes = \"16KiB\"\nconnections = 1000\n";
        let address = primary.address;
        let gateway = Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n{limits}\
             [[upstream]]\nname = \"primary\"\nendpoints = [\"{address}\"]\n\
             [[route]]\npath = \"/*\"\nupstream = \"primary\"\n"
        ));
        let mut client = gateway.connect();
        client.send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n{}",
            " ".repeat(20000)
        ));
        assert_eq!(client.read_response().status(), status);
        assert_eq!(primary.requests().len(), 1);
        gateway.wait_for_log("not asked again: the request was not kept");
    }
}

#[test]
fn refused_credentials_take_an_endpoint_out_where_they_are_vouched_for() {
    for (status, refusal) in [(401, "401 Unauthorized"), (403, "403 Forbidden")] {
        let (primary, second) =
            (Server::playing(move |_| error(refusal, "", "key")), Server::well("second"));
        let vouched = Knobs { primary: "breaker = { unauthorized = \"1h\" }", ..Knobs::default() };
        let gateway = vouched.gateway(&[primary.address], Some(second.address));
        assert_eq!(ask(&gateway).read_response().status(), status);
        expect_stream(&mut ask(&gateway), "second", "second", 1);
        primary.expect_asked(1);
        gateway.expect_in_log("refuses our credentials", 1);

        // A client must not take an endpoint out with a key of its own.
        let unvouched = Knobs::default().gateway(&[primary.address], Some(second.address));
        for _ in 0..3 {
            assert_eq!(ask(&unvouched).read_response().status(), status);
        }
        primary.expect_asked(4);
    }
}

#[test]
fn a_predefined_answer_waits_for_what_was_asked() {
    // Nobody is there, so the failure comes before the body, which httpx sends by itself.
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("a port")
    };
    let knobs = Knobs { route: "fallback = { text = \"busy\" }", ..Knobs::default() };
    let gateway = knobs.gateway(&[nobody], None);
    let whole = request();
    let (head, body) = whole.split_once("\r\n\r\n").expect("a head");
    let mut client = gateway.connect();
    client.send(format!("{head}\r\n\r\n"));
    std::thread::sleep(ms(100));
    client.send(&body[..12]);
    std::thread::sleep(ms(100));
    client.send(&body[12..]);
    let response = client.read_response();
    assert_eq!(response.field("content-type"), Some("text/event-stream"), "{response:?}");
    assert!(response.text().ends_with(DONE), "{response:?}");
    assert_eq!(response.field("x-sluice-degraded"), Some("upstream_connect"));
}

#[test]
fn a_predefined_answer_swallows_a_body_too_long_to_be_kept() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("a port")
    };
    let knobs = Knobs { route: "fallback = { text = \"busy\" }", ..Knobs::default() };
    let gateway = knobs.gateway(&[nobody], None);
    for length in [3_000_000, 2, 3_000_000, 2] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{}",
            " ".repeat(length)
        ));
        let response = client.read_response();
        assert_eq!((response.status(), response.field("x-sluice-degraded").is_some()), (200, true));
    }
}
