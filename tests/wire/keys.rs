//! Keys: who comes in, what servers see of that, and what clients are told.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;

use crate::harness::{End, Gateway, Message, Peer, Upstream, sluicegate};

/// `printf SECRET | sha256sum`
const ONE: (&str, &str) =
    ("sk-1", "sha256:0f2c10bf3d128c719c6bfa4ecbae94b7fceebaea6e4438fef38a90e5acc326f3");

const ANSWER: &str = r#"{"object":"chat.completion","model":"llama-3","choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":30}}"#;

/// A gateway whose key `team-a` has these lines, with these further tables.
fn gateway(upstream: &Upstream, of_key: &str, more: &str) -> Gateway {
    gateway_with(upstream, "", of_key, more)
}

fn gateway_with(upstream: &Upstream, of_upstream: &str, of_key: &str, more: &str) -> Gateway {
    let (address, hash) = (upstream.address(), ONE.1);
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n\
         [keys.team-a]\nhash = \"{hash}\"\n{of_key}\n\
         [[upstream]]\nname = \"llama\"\nendpoints = [\"{address}\"]\n{of_upstream}\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"llama\"\n\
         [[route]]\npath = \"/open/*\"\nupstream = \"llama\"\nkeys = \"off\"\n\
         [[route]]\npath = \"/maybe/*\"\nupstream = \"llama\"\nkeys = \"optional\"\n{more}\n"
    ))
}

fn post(path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
}

fn chat(fields: &str) -> String {
    post("/v1/chat/completions", fields, r#"{"model":"llama-3"}"#)
}

fn document(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-ratelimit-limit-requests: 7\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The same, behind which the server closes: any worker may ask it next.
fn closing(body: &str) -> String {
    document(body).replace("200 OK\r\n", "200 OK\r\nConnection: close\r\n")
}

/// Sends a request, which has to come to the server: what that and the client get.
fn passes(client: &mut Peer, upstream: &Upstream, request: &str) -> (Message, Message) {
    client.send(request);
    let mut server = upstream.accept();
    let seen = server.read_request();
    server.send(closing(ANSWER));
    let answer = client.read_response();
    assert_eq!(answer.status(), 200, "{request}: {}", answer.text());
    (seen, answer)
}

/// Sends a request that has to be refused, before any server hears of it.
fn refused(client: &mut Peer, request: &str, status: u16, code: &str) -> Message {
    client.send(request);
    let answer = client.read_response();
    assert_eq!(answer.status(), status, "{request}: {}", answer.text());
    assert!(answer.text().contains(code), "{request}: {}", answer.text());
    answer
}

#[test]
fn a_key_opens_its_routes_and_goes_no_further() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "", "");
    let mut client = gateway.connect();
    let credentials = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    let seen = |request: &Message| credentials.map(|name| request.all(name).join("|")).join(";");
    for (fields, left) in [
        ("Authorization: Bearer sk-1\r\n", ";;;"),
        ("X-Api-Key: sk-1\r\n", ";;;"),
        ("api-key: sk-1\r\n", ";;;"),
        ("x-goog-api-key: sk-1\r\n", ";;;"),
        // The same key twice; and one that is for somebody further on.
        ("Authorization: Bearer sk-1\r\nx-api-key: sk-1\r\n", ";;;"),
        ("Authorization: Bearer theirs\r\nx-api-key: sk-1\r\n", "Bearer theirs;;;"),
    ] {
        let (request, _) = passes(&mut client, &upstream, &chat(fields));
        assert_eq!(seen(&request), left, "{fields:?}");
        assert_eq!(request.text(), r#"{"model":"llama-3"}"#);
    }
    let answer = refused(&mut client, &chat(""), 401, "missing_api_key");
    assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    for wrong in ["Bearer sk-2", "Bearer sk-", "Bearer sk-11"] {
        let fields = format!("Authorization: {wrong}\r\n");
        refused(&mut client, &chat(&fields), 401, "invalid_api_key");
    }
    gateway.wait_for_log("401 invalid_api_key");
    assert_eq!(gateway.count_in_log("sk-"), 0, "no secret is in the log");
    upstream.expect_nobody();
}

#[test]
fn a_route_says_whether_it_wants_keys() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "", "");
    let mut client = gateway.connect();
    for (path, fields, left) in [
        ("/open/a", "", ""),
        // Clients send their key everywhere: it is not asked for here, and no server's.
        ("/open/a", "Authorization: Bearer sk-1\r\n", ""),
        ("/open/a", "Authorization: Bearer sg-mistyped\r\n", ""),
        ("/open/a", "Authorization: Bearer none\r\n", "Bearer none"),
        ("/maybe/a", "", ""),
        ("/maybe/a", "Authorization: Bearer none\r\n", "Bearer none"),
        ("/maybe/a", "Authorization: Bearer sk-1\r\n", ""),
    ] {
        let (request, _) = passes(&mut client, &upstream, &post(path, fields, "{}"));
        assert_eq!(request.all("authorization").join("|"), left, "{path} {fields:?}");
    }
    // One of our make that is not known must not go on to a server.
    let mistyped = post("/maybe/a", "Authorization: Bearer sg-mistyped\r\n", "{}");
    refused(&mut client, &mistyped, 401, "invalid_api_key");
    upstream.expect_nobody();
}

#[test]
fn the_key_of_the_upstream_stands_in_the_place_of_the_clients() {
    let upstream = Upstream::listen();
    let file = std::env::temp_dir().join(format!("sluicegate-keys-own-{}", std::process::id()));
    std::fs::write(&file, "sesame\n").expect("a folder for temporary files");
    let own = format!("api_key = {{ file = \"{}\" }}", file.display());
    let gateway = gateway_with(&upstream, &own, "", "");
    let mut client = gateway.connect();
    for fields in ["Authorization: Bearer sk-1\r\n", "x-api-key: sk-1\r\n"] {
        let (request, _) = passes(&mut client, &upstream, &chat(fields));
        assert_eq!(request.all("authorization"), ["Bearer sesame"], "{fields}");
        assert_eq!(request.field("x-api-key"), None);
    }
    std::fs::remove_file(file).expect("it was there");
    let passing = self::gateway(&upstream, "", "[gate]\npass_keys = true");
    let (request, _) =
        passes(&mut passing.connect(), &upstream, &chat("Authorization: Bearer sk-1\r\n"));
    assert_eq!(request.all("authorization"), ["Bearer sk-1"]);
}

#[test]
fn a_refusal_is_told_in_the_dialect_of_its_path() {
    let upstream = Upstream::listen();
    let gateway = gateway(
        &upstream,
        "",
        "[[route]]\npath = \"/*\"\nupstream = \"llama\"\nkeys = \"required\"",
    );
    let mut client = gateway.connect();
    for (path, at, expected) in [
        ("/v1/chat/completions", "/error/code", json!("missing_api_key")),
        ("/v1/messages", "/error/type", json!("authentication_error")),
        ("/api/chat", "/code", json!("missing_api_key")),
        ("/v1beta/models/g:generateContent", "/error/status", json!("UNAUTHENTICATED")),
    ] {
        let answer = refused(&mut client, &post(path, "", "{}"), 401, "missing_api_key");
        assert_eq!(answer.json().pointer(at), Some(&expected), "{path}: {}", answer.text());
    }
}

#[test]
fn a_key_is_barred_from_what_it_does_not_name() {
    let upstream = Upstream::listen();
    let key = "Authorization: Bearer sk-1\r\n";
    let lines = "routes = [\"/v1/*\"]\nmodels = [\"llama-*\"]";
    let gateway = gateway(&upstream, lines, "");
    let mut client = gateway.connect();
    passes(&mut client, &upstream, &chat(key));
    // Its model comes in a segment of its own, and nobody is asked before.
    let request = chat(key);
    let (first, rest) = request.split_at(request.len() - 5);
    client.send(first);
    upstream.expect_nobody();
    let (seen, _) = passes(&mut client, &upstream, rest);
    assert_eq!(seen.text(), r#"{"model":"llama-3"}"#);
    for (body, why) in [
        (r#"{"model":"qwen"}"#, "not for this model"),
        (r#"{"messages":[]}"#, "does not name its model"),
    ] {
        let request = post("/v1/chat/completions", key, body);
        let answer = refused(&mut client, &request, 403, "key_not_allowed");
        assert!(answer.text().contains(why), "{}", answer.text());
    }
    // What the path names counts beside the body, in whatever way it can be read.
    for path in [
        "/v1/models/gpt-9",
        "/v1/models/gpt-9:embedContent",
        "/v1/models/gpt-9%3AgenerateContent",
        "/v1//%6dodels/gpt-9/%69nfer",
        "/v1/models/gpt-9/llama-1:generateContent",
        "/v1/openai/deployments/gpt-9/chat/completions",
        "/v1/realtime?x=1&model=gpt-9",
    ] {
        let request = post(path, key, r#"{"model":"llama-3"}"#);
        refused(&mut client, &request, 403, "key_not_allowed");
        let bodiless = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{key}\r\n");
        refused(&mut client, &bodiless, 403, "key_not_allowed");
    }
    let named = "/v1/models/llama-3:generateContent";
    refused(&mut client, &post(named, key, r#"{"model":"gpt-9"}"#), 403, "key_not_allowed");
    passes(&mut client, &upstream, &post(named, key, "{}"));
    let tunnel = format!(
        "GET /v1/realtime?model=llama-3 HTTP/1.1\r\nHost: x\r\n{key}\
         Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    refused(&mut client, &tunnel, 403, "key_not_allowed");
    // A request that asks for no model.
    passes(&mut client, &upstream, &format!("GET /v1/models HTTP/1.1\r\nHost: x\r\n{key}\r\n"));
    let other = post("/maybe/a", key, r#"{"model":"llama-3"}"#);
    let answer = refused(&mut client, &other, 403, "key_not_allowed");
    assert!(answer.text().contains("not for this route"));
    let elsewhere = self::gateway(&upstream, "networks = [\"192.0.2.0/24\"]", "");
    refused(&mut elsewhere.connect(), &chat(key), 403, "key_not_allowed");
    let expired = self::gateway(&upstream, "expires = \"2020-01-01T00:00:00Z\"", "");
    refused(&mut expired.connect(), &chat(key), 401, "key_expired");
    upstream.expect_nobody();
}

#[test]
fn a_stranger_is_refused_before_its_body_is_read() {
    let upstream = Upstream::listen();
    let address = upstream.address();
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[keys.a]\nhash = \"{}\"\n\
         [[upstream]]\nname = \"llama\"\nendpoints = [\"{address}\"]\n\
         [[route]]\npath = \"/v1/*\"\nwhen = {{ model = \"a*\" }}\nupstream = \"llama\"\n",
        ONE.1
    ));
    let mut client = gateway.connect();
    client.send("POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    let answer = client.read_response();
    assert_eq!(answer.status(), 401, "{}", answer.text());
}

#[test]
fn rates_are_told_and_held_by_all_workers_together() {
    let upstream = Upstream::listen();
    let lines = "requests_per_minute = 3\ntokens_per_minute = 5000";
    let gateway = gateway(&upstream, lines, "");
    let key = "Authorization: Bearer sk-1\r\n";
    for left in (0..3).rev() {
        // Each by a connection of its own: any worker may have it.
        let (_, answer) = passes(&mut gateway.connect(), &upstream, &chat(key));
        let field = |name: &str| answer.all(&format!("x-ratelimit-{name}")).join("|");
        assert_eq!(field("limit-requests"), "3", "the server's own is gone");
        assert_eq!(field("remaining-requests"), left.to_string());
        assert!(field("reset-requests").ends_with('s'));
        assert_eq!(field("limit-tokens"), "5000");
        // What is under way is reserved: 4 of the prompt, and 1000 of the answer.
        let tokens: u64 = field("remaining-tokens").parse().expect("a number");
        assert!((3_800..=3_996).contains(&tokens), "{tokens}");
    }
    let answer = refused(&mut gateway.connect(), &chat(key), 429, "rate_limited");
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    assert_eq!(answer.field("x-ratelimit-remaining-requests"), Some("0"));
    // The three answers had 40 tokens each, as their server has counted; some have come back.
    // The last one is settled when its client has it: perhaps a moment later.
    let left = |answer: &Message| -> u64 {
        answer.field("x-ratelimit-remaining-tokens").expect("told").parse().expect("a number")
    };
    let settled = (0..100).any(|_| {
        let again = refused(&mut gateway.connect(), &chat(key), 429, "rate_limited");
        (4_880..=5_000).contains(&left(&again))
    });
    assert!(settled, "{}", left(&answer));
    let wait: u64 = answer.field("retry-after").expect("told").parse().expect("seconds");
    assert!((10..=20).contains(&wait), "{wait}");
    upstream.expect_nobody();
}

#[test]
fn concurrency_is_held_until_the_answer_is_over() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "concurrency = 1", "");
    let key = "Authorization: Bearer sk-1\r\n";
    let mut first = gateway.connect();
    first.send(chat(key));
    let mut server = upstream.accept();
    server.read_request();
    let answer = refused(&mut gateway.connect(), &chat(key), 429, "concurrency_limited");
    assert_eq!(answer.field("retry-after"), Some("1"));
    server.send(closing(ANSWER));
    first.read_response();
    // One whose client leaves gives its place back too.
    first.send(chat(key));
    let mut server = upstream.accept();
    server.read_request();
    let second = first;
    drop(second);
    gateway.wait_for_log("499 client_gone");
    let mut third = gateway.connect();
    third.send(chat(key));
    upstream.accept().read_request();
}

#[test]
fn a_reload_takes_keys_in_and_away_and_keeps_what_was_used() {
    let upstream = Upstream::listen();
    let folder = std::env::temp_dir().join(format!("sluicegate-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    let file = folder.join("keys.toml");
    let keys = |lines: &str| format!("[keys.filed]\nhash = \"{}\"\n{lines}\n", ONE.1);
    std::fs::write(&file, keys("requests_per_minute = 2")).expect("written");
    let address = upstream.address();
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\nwatch = \"100ms\"\n\
         [gate]\nkeys_file = \"{}\"\n\
         [[upstream]]\nname = \"llama\"\nendpoints = [\"{address}\"]\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"llama\"\n",
        file.display()
    ));
    let key = "Authorization: Bearer sk-1\r\n";
    let mut client = gateway.connect();
    passes(&mut client, &upstream, &chat(key));
    std::fs::write(&file, keys("requests_per_minute = 2\npriority = 0")).expect("written");
    gateway.wait_for_log("keys.toml has changed");
    gateway.wait_for_log("generation 1");
    passes(&mut client, &upstream, &chat(key));
    refused(&mut client, &chat(key), 429, "rate_limited");
    // A mistake changes nothing.
    std::fs::write(&file, keys("rpm = 2")).expect("written");
    gateway.wait_for_log("unknown key");
    refused(&mut client, &chat(key), 429, "rate_limited");
    // The last one is revoked.
    std::fs::write(&file, "# none\n").expect("written");
    let revoked = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        client.send(chat(key));
        client.read_response().status() == 401
    });
    assert!(revoked);
    std::fs::remove_dir_all(folder).expect("ours");
}

#[test]
fn keys_are_made_rotated_and_revoked_by_the_command() {
    let folder = std::env::temp_dir().join(format!("sluicegate-key-new-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    let file = folder.join("keys.toml");
    let path = file.to_str().expect("text");
    let secret = |arguments: &[&str]| {
        let ended = sluicegate(&[arguments, &["--file", path]].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        let secret = ended.stdout.trim_end().to_owned();
        assert!(secret.starts_with("sg-") && secret.len() == 46, "{secret}");
        secret
    };
    let first = secret(&["key", "new", "team-a", "--model", "llama-*", "--concurrency", "5"]);
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(!text.contains(&first) && text.contains("models = [\"llama-*\"]"), "{text}");
    // A list is told here: no server is asked.
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\nwatch = \"100ms\"\n\
         [gate]\nkeys_file = \"{path}\"\n\
         [[upstream]]\nname = \"llama\"\nendpoints = [\"127.0.0.1:9\"]\nmodels = [\"a\"]\n\
         [[route]]\npath = \"/v1/models\"\nmodels = [\"llama\"]\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"llama\"\n"
    ));
    let mut client = gateway.connect();
    let mut becomes = |secret: &str, status: u16| {
        let list = "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer";
        let told = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            client.send(format!("{list} {secret}\r\n\r\n"));
            client.read_response().status() == status
        });
        assert!(told, "{status}");
    };
    becomes(&first, 200);
    let shared = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&file, shared).expect("ours");
    let second = secret(&["key", "rotate", "team-a", "--grace", "1h"]);
    let mode = std::fs::metadata(&file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "whoever runs the gateway goes on reading it");
    becomes(&second, 200);
    becomes(&first, 200);
    let third = secret(&["key", "rotate", "team-a"]);
    becomes(&third, 200);
    becomes(&second, 401);
    let again = sluicegate(&["key", "new", "team-a", "--file", path]);
    assert_eq!(again.status.code(), Some(1), "{}", again.stdout);
    let list = sluicegate(&["key", "list", "--file", path]);
    assert!(list.stdout.starts_with("team-a") && list.stdout.contains("models llama-*"));
    assert_eq!(sluicegate(&["key", "revoke", "team-a", "--file", path]).status.code(), Some(0));
    becomes(&third, 401);
    std::fs::remove_dir_all(folder).expect("ours");
}

/// Each reads the file, adds its key and writes it again: nobody's key is lost, and nobody is sent away.
#[test]
fn keys_that_are_made_at_once_are_all_in_the_file() {
    let folder = std::env::temp_dir().join(format!("sluicegate-key-many-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    let file = folder.join("keys.toml");
    let path = file.to_str().expect("text");
    let made: Vec<_> = (0..12)
        .map(|number| {
            let arguments = ["key", "new", &format!("team-{number}"), "--file", path];
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"));
            let piped = std::process::Stdio::piped;
            let command = command.args(arguments).stdout(piped()).stderr(piped());
            command.spawn().expect("the binary runs")
        })
        .collect();
    for process in made {
        let output = process.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let list = sluicegate(&["key", "list", "--file", path]).stdout;
    assert_eq!(list.lines().count(), 12, "{list}");
    std::fs::remove_dir_all(folder).expect("ours");
}

#[test]
fn a_budget_is_kept_over_a_restart() {
    let file = std::env::temp_dir().join(format!("sluicegate-spent-wire-{}", std::process::id()));
    let upstream = Upstream::listen();
    let more = format!("[gate]\nspent_file = \"{}\"", file.display());
    let key = "Authorization: Bearer sk-1\r\n";
    let mut first = gateway(&upstream, "tokens_per_day = 60", &more);
    passes(&mut first.connect(), &upstream, &chat(key));
    first.terminate();
    assert!(first.wait_exit(Duration::from_secs(10)).is_some());
    let second = gateway(&upstream, "tokens_per_day = 60", &more);
    // 40 of 60 are spent; the second request overdraws.
    let mut client = second.connect();
    passes(&mut client, &upstream, &chat(key));
    client.send(chat(key));
    let answer = client.read_response();
    assert_eq!(answer.status(), 429, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "budget_spent");
    let wait: u64 = answer.field("retry-after").expect("told").parse().expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
    std::fs::remove_file(file).expect("it was kept");
}

#[test]
fn the_address_behind_a_trusted_proxy_is_the_clients() {
    let upstream = Upstream::listen();
    let key = "Authorization: Bearer sk-1\r\n";
    let from = |address: &str| chat(&format!("{key}X-Forwarded-For: 9.9.9.9, {address}\r\n"));
    let lines = "networks = [\"203.0.113.0/24\"]";
    let trusting = gateway(&upstream, lines, "[gate]\ntrusted_proxies = [\"127.0.0.0/8\"]");
    let mut client = trusting.connect();
    let (request, _) = passes(&mut client, &upstream, &from("203.0.113.7"));
    assert_eq!(request.all("x-forwarded-for"), ["9.9.9.9, 203.0.113.7, 127.0.0.1"]);
    refused(&mut client, &from("198.51.100.7"), 403, "key_not_allowed");
    let doubting = gateway(&upstream, lines, "");
    refused(&mut doubting.connect(), &from("203.0.113.7"), 403, "key_not_allowed");
}

#[test]
fn a_key_for_some_models_is_told_of_those() {
    let upstream = Upstream::listen();
    let lists = "[[route]]\npath = \"/v1/models\"\nmodels = \"all\"\n\
                 [[route]]\npath = \"/v1/models/*\"\nmodels = \"all\"\n\
                 [[route]]\npath = \"/api/tags\"\nmodels = \"all\"";
    let has = "models = [\"llama-1\", \"gpt-9\"]";
    let limited = gateway_with(&upstream, has, "models = [\"llama-*\"]", lists);
    let whole = gateway_with(&upstream, has, "", lists);
    let get = |gateway: &Gateway, path: &str, more: &str| {
        let mut client = gateway.connect();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-1\r\n{more}\r\n"
        ));
        client.read_response()
    };
    let anthropic = "anthropic-version: 2023-06-01\r\n";
    for (path, more) in [("/v1/models", ""), ("/v1/models", anthropic), ("/api/tags", "")] {
        let (some, all) = (get(&limited, path, more), get(&whole, path, more));
        assert!(some.text().contains("llama-1") && !some.text().contains("gpt-9"), "{path}");
        assert!(all.text().contains("llama-1") && all.text().contains("gpt-9"), "{path}");
    }
    assert_eq!(get(&limited, "/v1/models/llama-1", "").status(), 200);
    assert_eq!(get(&limited, "/v1/models/gpt-9", "").status(), 403);
    assert_eq!(get(&whole, "/v1/models/gpt-9", "").status(), 200);
}

#[test]
fn servers_see_no_key_of_ours_in_whatever_field_it_stands() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "", "");
    let mut client = gateway.connect();
    let fields = "Authorization: Bearer sg-mistyped\r\nx-api-key: sk-1\r\napi-key: sk-theirs\r\n\
                  x-goog-api-key: \"sg-b\"\r\n";
    let (seen, _) = passes(&mut client, &upstream, &chat(fields));
    assert_eq!(seen.field("authorization"), None);
    assert_eq!(seen.field("x-api-key"), None);
    assert_eq!(seen.field("x-goog-api-key"), None);
    assert_eq!(seen.field("api-key"), Some("sk-theirs"));
    // One that looks like ours, and is not known, is none to anybody.
    for fields in [
        "Authorization: Bearer none\r\nx-api-key: sg-typo\r\n",
        "Authorization: sg-b\r\n",
        "Authorization: Bearer Bearer sg-typo\r\n",
    ] {
        refused(&mut client, &post("/maybe/a", fields, "{}"), 401, "invalid_api_key");
    }
    passes(&mut client, &upstream, &post("/maybe/a", "x-api-key: sk-theirs\r\n", "{}"));
}

#[test]
fn an_answer_that_nobody_counts_is_not_free() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "tokens_per_minute = 60", "[gate]\nguess_tokens = 0");
    let mut client = gateway.connect();
    let fields = "Authorization: Bearer sk-1\r\nAccept-Encoding: gzip\r\n";
    client.send(chat(fields));
    let mut server = upstream.accept();
    assert_eq!(server.read_request().field("accept-encoding"), Some("identity"));
    // A hundred tokens by its length.
    server.send(closing(&format!(r#"{{"text":"{}"}}"#, "a".repeat(389))));
    assert_eq!(client.read_response().status(), 200);
    refused(&mut client, &chat(fields), 429, "rate_limited");
}

/// A gateway without keys whose `[gate]` has these lines.
fn gated(upstream: &Upstream, lines: &str) -> Gateway {
    let address = upstream.address();
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[gate]\n{lines}\n\
         [[upstream]]\nname = \"llama\"\nendpoints = [\"{address}\"]\n\
         [[route]]\npath = \"/v1/*\"\nupstream = \"llama\"\n"
    ))
}

/// Whether a connection is reset before anything is said: perhaps while it is being made.
fn is_turned_away(gateway: &Gateway) -> bool {
    let Ok(stream) = std::net::TcpStream::connect(gateway.address()) else { return true };
    let mut client = Peer::of(stream);
    let sent = client.try_send("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // The first call behind a RST fails; it may be this one.
    sent.is_err() || client.read_end() == End::Reset
}

#[test]
fn who_is_denied_is_turned_away_at_the_door() {
    let upstream = Upstream::listen();
    let gateway = gated(&upstream, "deny = [\"127.0.0.0/8\"]");
    assert!(is_turned_away(&gateway));
    let others = gated(&upstream, "allow = [\"192.0.2.0/24\"]");
    assert!(is_turned_away(&others));
    // Behind a proxy it is the request that is denied.
    let lines = "trusted_proxies = [\"127.0.0.1\"]\ndeny = [\"203.0.113.0/24\"]";
    let behind = gated(&upstream, lines);
    let mut client = behind.connect();
    refused(&mut client, &chat("X-Forwarded-For: 203.0.113.7\r\n"), 403, "address_denied");
    passes(&mut client, &upstream, &chat("X-Forwarded-For: 198.51.100.7\r\n"));
}

#[test]
fn an_address_has_so_many_connections_and_asks_so_fast() {
    let upstream = Upstream::listen();
    let gateway = gated(&upstream, "per_address = { connections = 2 }");
    let mut first = gateway.connect();
    passes(&mut first, &upstream, &chat(""));
    let mut second = gateway.connect();
    passes(&mut second, &upstream, &chat(""));
    assert!(is_turned_away(&gateway));
    drop(second);
    // Its place is free as soon as its end has been seen.
    assert!((0..200).any(|_| !is_turned_away(&gateway)));
    let gateway = gated(&upstream, "per_address = { requests_per_second = 1 }");
    let mut client = gateway.connect();
    passes(&mut client, &upstream, &chat(""));
    let answer = refused(&mut gateway.connect(), &chat(""), 429, "address_limited");
    assert_eq!(answer.field("retry-after"), Some("1"));
}

#[test]
fn a_balancer_says_whose_connection_it_is() {
    let upstream = Upstream::listen();
    let lines = "proxy_protocol = [\"127.0.0.1\"]\ndeny = [\"203.0.113.9\"]";
    let gateway = gated(&upstream, lines);
    let v2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x08\x0a\0\0\x01\xc8\x22\x1f\x90";
    let v1: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 8080\r\n";
    let local: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for (preamble, client_address) in
        [(v1, "203.0.113.7"), (v2, "203.0.113.8"), (local, "127.0.0.1")]
    {
        // In pieces, and with the request behind the last of them.
        let mut client = gateway.connect();
        let (first, rest) = preamble.split_at(5);
        client.send(first);
        std::thread::sleep(Duration::from_millis(20));
        client.send([rest, chat("").as_bytes()].concat());
        let mut server = upstream.accept();
        let request = server.read_request();
        assert_eq!(request.all("x-forwarded-for"), [client_address]);
        server.send(closing(ANSWER));
        assert_eq!(client.read_response().status(), 200);
        // Once on each connection.
        let (request, _) = passes(&mut client, &upstream, &chat(""));
        assert_eq!(request.all("x-forwarded-for"), [client_address]);
    }
    let denied: &[u8] = b"PROXY TCP4 203.0.113.9 10.0.0.1 51234 8080\r\n";
    for broken in [denied, b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n", b"PROXY TCP4 x\r\n"] {
        let mut client = gateway.connect();
        let sent = client.try_send(broken);
        assert!(sent.is_ok() && client.read_end() == End::Reset, "{broken:?}");
    }
    // Of anybody else it is no request.
    let plain = gated(&upstream, "deny = [\"203.0.113.9\"]");
    let mut client = plain.connect();
    client.send(v1);
    assert_eq!(client.read_response().status(), 400);
    upstream.expect_nobody();
}
