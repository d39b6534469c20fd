//! Endpoints that are written as URLs: the base path in front of each request, and the Host.

use crate::harness::{Config, Gateway, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn gateway(upstream: &Upstream, base: &str, route: &str) -> Gateway {
    let endpoint = format!("http://{}{base}", upstream.address());
    Config { endpoint, route: route.to_owned(), ..Config::default() }.start()
}

#[test]
fn the_base_stands_in_front_of_every_path_and_a_version_stands_once() {
    let upstream = Upstream::listen();
    for (base, route, asked, got) in [
        ("", "", "/v1/models", "/v1/models"),
        ("/", "", "/v1/models", "/v1/models"),
        ("/llama", "", "/v1/models?a=/b", "/llama/v1/models?a=/b"),
        ("/v1", "", "/v1/models", "/v1/models"),
        ("/openai/v1/", "", "/v1/models", "/openai/v1/models"),
        ("/v1beta/openai", "path = \"/v1/*\"\nrewrite = \"/*\"", "/v1/a", "/v1beta/openai/a"),
        ("/a", "path = \"/x\"\nrewrite = \"/y\"", "/x", "/a/y"),
    ] {
        let gateway = gateway(&upstream, base, route);
        let mut client = gateway.connect();
        client.send(format!(
            "POST {asked} HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi"
        ));
        let mut server = upstream.accept();
        let request = server.read_request();
        assert_eq!(request.start, format!("POST {got} HTTP/1.1"), "{base}");
        assert_eq!(request.field("host"), Some(&*upstream.address().to_string()), "{base}");
        assert_eq!(request.body, b"hi");
        server.send(OK);
        assert_eq!(client.read_response().status(), 200);
    }
}

/// What leaves the base is refused before it is joined.
#[test]
fn nothing_leaves_the_base() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "/team-a", "");
    for path in ["/../team-b/x", "/%2e%2e/team-b/x", "/..;/team-b", "/a/..%2fteam-b"] {
        let mut client = gateway.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.read_response().status(), 400, "{path}");
    }
    upstream.expect_nobody();
}

#[test]
fn the_host_can_be_the_clients_and_a_retry_keeps_the_base() {
    let upstream = Upstream::listen();
    let endpoint = format!("http://{}/llama", upstream.address());
    let keys = "host = \"preserve\"\nretry = { attempts = 2 }";
    let gateway = Config { endpoint, upstream: keys.to_owned(), ..Config::default() }.start();
    let mut client = gateway.connect();
    client.send("GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    let mut first = upstream.accept();
    first.read_request();
    first.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let mut again = first;
    let request = match upstream.accept_within(std::time::Duration::from_secs(1)) {
        Some(mut second) => {
            let request = second.read_request();
            second.send(OK);
            request
        }
        None => {
            let request = again.read_request();
            again.send(OK);
            request
        }
    };
    assert_eq!(request.start, "GET /llama/a HTTP/1.1");
    assert_eq!(request.field("host"), Some("shop.example"));
    assert_eq!(client.read_response().status(), 200);
}
