//! Fields that the operator changes, on both ways; and keys that are put in the place of the client's.

use crate::harness::{Gateway, Upstream};

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

fn gateway(upstreams: &[(&str, &Upstream, &str)], route: &str) -> Gateway {
    let upstream = |(name, upstream, lines): &(&str, &Upstream, &str)| {
        let address = upstream.address();
        format!(
            "[[upstream]]\nname = \"{name}\"\nendpoints = [\"{address}\"]\nretry = {{ attempts = 1 }}\n{lines}\n"
        )
    };
    let upstreams: String = upstreams.iter().map(upstream).collect();
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n{upstreams}\
         [[route]]\npath = \"/*\"\n{route}\n"
    ))
}

#[test]
fn fields_are_changed_on_both_ways() {
    let upstream = Upstream::listen();
    let gateway = gateway(
        &[(
            "one",
            &upstream,
            "request_headers = { remove = [\"cookie\"], rename = { x-old = \"X-New\" }, add = { x-b = \"2\" } }",
        )],
        "upstream = \"one\"\nrequest_headers = { set = { x-a = \"1\" } }\n\
         response_headers = { remove = [\"server\"], set = { cache-control = \"no-store\" } }",
    );
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(
            "POST /v1/a HTTP/1.1\r\nHost: own\r\nCookie: c\r\nX-Old: o\r\nX-A: theirs\r\nx_a: theirs\r\n\
             Content-Length: 2\r\n\r\nhi",
        );
        let mut server = upstream.accept();
        let request = server.read_request();
        assert_eq!(request.text(), "hi");
        let values = |name: &str| request.all(name).join("|");
        assert_eq!(
            ["cookie", "x-old", "x-new", "x-a", "x_a", "x-b", "host"].map(values),
            ["", "", "o", "1", "", "2", "own"]
        );
        server.send(
            "HTTP/1.1 200 OK\r\nServer: vllm\r\nCache-Control: public\r\ncache_control: x\r\n\
             Content-Length: 2\r\nConnection: close\r\n\r\nok",
        );
        let answer = client.read_response();
        assert_eq!(answer.text(), "ok");
        let values = |name: &str| answer.all(name).join("|");
        assert_eq!(["server", "cache-control", "cache_control"].map(values), ["", "no-store", ""]);
    }
}

#[test]
fn a_key_is_for_its_own_upstream_and_the_clients_for_the_others() {
    let (paid, own) = (Upstream::listen(), Upstream::listen());
    let key = std::env::temp_dir().join(format!("sluicegate-key-{}", std::process::id()));
    std::fs::write(&key, "sesame\n").expect("a folder for temporary files");
    let lines = format!("api_key = {{ file = \"{}\" }}", key.display());
    let gateway =
        gateway(&[("paid", &paid, &lines), ("own", &own, "")], "upstream = [\"paid\", \"own\"]");
    let mut client = gateway.connect();
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\nAuthorization: Bearer theirs\r\nX-Api-Key: k\r\n\
         Content-Length: 2\r\n\r\n{}",
    );
    let fields = |upstream: &Upstream, answer: &str| {
        let mut server = upstream.accept();
        let request = server.read_request();
        server.send(answer);
        ["authorization", "x-api-key"].map(|name| request.all(name).join("|"))
    };
    assert_eq!(fields(&paid, BUSY), ["Bearer sesame", ""]);
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(fields(&own, ok), ["Bearer theirs", "k"], "nobody else is told the key");
    assert_eq!(client.read_response().text(), "ok");
    drop(gateway);
    std::fs::remove_file(key).expect("it was there");
}

#[test]
fn a_check_is_sent_the_key_too() {
    let upstream = Upstream::listen();
    let key = std::env::temp_dir().join(format!("sluicegate-check-key-{}", std::process::id()));
    std::fs::write(&key, "sesame\n").expect("a folder for temporary files");
    let lines = format!(
        "service = \"anthropic\"\napi_key = {{ file = \"{}\" }}\nhealth = {{ interval = \"100ms\", timeout = \"100ms\" }}",
        key.display()
    );
    let gateway = gateway(&[("one", &upstream, &lines)], "upstream = \"one\"");
    let check = upstream.accept().read_request();
    assert_eq!(check.start, "GET /health HTTP/1.1");
    assert_eq!(check.field("x-api-key"), Some("sesame"));
    drop(gateway);
    std::fs::remove_file(key).expect("it was there");
}
