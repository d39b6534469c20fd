//! Consul and Kubernetes, played by the test: conversations as their servers have them, with gaps, resets
//! and refusals. No real one was at hand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::handover::says;
use crate::harness::{Gateway, Message, Peer, Upstream};
use crate::members::{ask, expect_answers};
use crate::tls::{Authority, TlsServer};

/// A token in a file, gone when the test ends.
struct Token(PathBuf);

impl Token {
    fn new(name: &str, text: &str) -> Token {
        let name = format!("sluicegate-token-{}-{name}", std::process::id());
        let token = Token(std::env::temp_dir().join(name));
        token.renew(text);
        token
    }

    fn renew(&self, text: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, format!("{text}\n")).expect("a temporary file");
        std::fs::rename(&new, &self.0).expect("renamed");
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn gateway(discover: &str) -> Gateway {
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
         [[upstream]]\nname = \"llama\"\nbalance = \"round_robin\"\n\
         discover = {{ {discover}, shrink = 1.0 }}\n\
         [[route]]\npath = \"/*\"\nupstream = \"llama\"\n"
    ))
}

/// The registry's next question: it has to be this one.
#[track_caller]
fn asked(registry: &Upstream, path: &str, field: &str, token: &str) -> (Peer, Message) {
    let mut peer = registry.accept();
    let request = peer.read_request();
    assert_eq!(request.start, format!("GET {path} HTTP/1.1"));
    assert_eq!(request.field(field), Some(token));
    (peer, request)
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
}

/// An instance as Consul 1.17 tells it, but for what does not matter.
fn instance(address: SocketAddr, with_node: bool) -> Value {
    let own = if with_node { String::new() } else { address.ip().to_string() };
    json!({
        "Node": { "ID": "40e4a748", "Node": "gpu-1", "Address": "127.0.0.1", "Datacenter": "dc1",
                  "TaggedAddresses": { "lan": "127.0.0.1", "wan": "127.0.0.1" },
                  "Meta": { "consul-network-segment": "" }, "CreateIndex": 11, "ModifyIndex": 13 },
        "Service": { "ID": format!("llama-{address}"), "Service": "llama", "Tags": ["gpu"],
                     "Address": own, "Meta": null, "Port": address.port(),
                     "Weights": { "Passing": 1, "Warning": 1 }, "EnableTagOverride": false },
        "Checks": [{ "Node": "gpu-1", "CheckID": "serfHealth", "Status": "passing",
                     "Output": "Agent alive and reachable", "ServiceTags": [] }],
    })
}

#[test]
fn consul_is_asked_by_blocking_queries_and_its_troubles_take_nobody_away() {
    let consul = Upstream::listen();
    let (one, two) = (says("one"), says("two"));
    let token = Token::new("consul", "first");
    let gateway = gateway(&format!(
        "consul = \"http://{}\", tags = [\"gpu\", \"big one\"], datacenter = \"dc1\", \
         token = {{ file = {:?} }}",
        consul.address(),
        token.0
    ));
    let path = "/v1/health/service/llama?passing=true&tag=gpu&tag=big%20one&dc=dc1";
    let blocked = |index: u64| format!("{path}&index={index}&wait=8s");
    let next = |path: &str, token: &str| asked(&consul, path, "x-consul-token", token).0;
    let told = |index: &str, servers: &[SocketAddr]| {
        let fields = format!(
            "Content-Type: application/json\r\nX-Consul-Default-Acl-Policy: allow\r\n\
             X-Consul-Index: {index}\r\nX-Consul-Knownleader: true\r\nX-Consul-Lastcontact: 0\r\n"
        );
        let all: Vec<Value> = servers.iter().map(|it| instance(*it, *it == one)).collect();
        answer("200 OK", &fields, &json!(all).to_string())
    };
    // Asked while the gateway started, and not waited for.
    drop(next(path, "first"));
    next(path, "first").send(told("10", &[one]));
    let mut held = next(&blocked(10), "first");
    expect_answers(&gateway, &["one"]);
    held.send(told("12", &[one, two]));
    expect_answers(&gateway, &["one", "two"]);
    // Nothing has changed when the wait is over.
    next(&blocked(12), "first").send(told("12", &[one, two]));
    // The catalogue was restored from a copy.
    next(&blocked(12), "first").send(told("5", &[two]));
    expect_answers(&gateway, &["two"]);
    let mut fresh = next(path, "first");
    fresh.send(answer("500 Internal Server Error", "", "No cluster leader"));
    gateway.wait_for_log("status 500: \"No cluster leader\"; the endpoints it has told are kept");
    // It comes back with what it had.
    next(path, "first").send(told("7", &[two]));
    gateway.wait_for_log("consul:llama answers again");
    // Cut in the middle, then reset before a byte.
    let text = told("8", &[one, two]);
    next(&blocked(7), "first").send(&text[..text.len() / 2]);
    gateway.wait_for_log("the connection was closed inside the answer");
    token.renew("second");
    drop(next(path, "second"));
    next(path, "second").send(told("8", &[two]));
    next(&blocked(8), "second").send(answer("500 Internal Server Error", "", "rpc error"));
    next(path, "second").send(answer(
        "403 Forbidden",
        "",
        "Permission denied: token with AccessorID '00000002' lacks permission 'service:read'",
    ));
    gateway.wait_for_log("lacks permission 'service:read'");
    // What a token may not see looks as if nobody were there.
    let fields = "X-Consul-Index: 9\r\nX-Consul-Results-Filtered-By-Acls: true\r\n";
    next(path, "second").send(answer("200 OK", fields, "[]"));
    gateway.wait_for_log("the token may not read this service");
    next(path, "second").send(answer("200 OK", "X-Consul-Index: 9\r\n", "<html>"));
    gateway.wait_for_log("this is no answer of Consul");
    assert_eq!(ask(&gateway), (200, "two".into()));
    // Index 0 is none: it is asked at once again.
    next(path, "second").send(told("0", &[one]));
    expect_answers(&gateway, &["one"]);
    next(path, "second").send(told("30", &[]));
    // An empty set is kept, as `empty = "keep"` says.
    let _held = next(&blocked(30), "second");
    assert_eq!(ask(&gateway), (200, "one".into()));
}

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/models/endpointslices\
                      ?labelSelector=kubernetes.io%2Fservice-name%3Dllama";

/// A slice as Kubernetes 1.29 tells it.
fn slice(name: &str, version: &str, servers: &[(SocketAddr, bool)]) -> Value {
    let port = servers.first().map_or(1, |(server, _)| server.port());
    let endpoints = servers.iter().map(|(server, ready)| {
        json!({
            "addresses": [server.ip().to_string()],
            "conditions": { "ready": ready, "serving": ready, "terminating": false },
            "nodeName": "node-1", "zone": "eu-1a",
            "targetRef": { "kind": "Pod", "namespace": "models", "name": "llama-0" },
        })
    });
    json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": { "name": name, "namespace": "models", "resourceVersion": version,
                      "labels": { "kubernetes.io/service-name": "llama",
                                  "endpointslice.kubernetes.io/managed-by":
                                      "endpointslice-controller.k8s.io" } },
        "addressType": "IPv4",
        "endpoints": endpoints.collect::<Vec<_>>(),
        "ports": [{ "name": "http", "protocol": "TCP", "port": port },
                  { "name": "metrics", "protocol": "TCP", "port": 9 }],
    })
}

fn list(version: &str, next: &str, slices: &[Value]) -> String {
    let text = json!({
        "kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1",
        "metadata": { "resourceVersion": version, "continue": next }, "items": slices,
    });
    answer("200 OK", "Content-Type: application/json\r\n", &text.to_string())
}

fn status(code: u16, reason: &str, message: &str) -> String {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code })
    .to_string()
}

const WATCHED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                       Transfer-Encoding: chunked\r\n\r\n";

/// An event, in a chunk of its own.
fn event(kind: &str, object: &Value) -> String {
    let line = format!("{}\n", json!({ "type": kind, "object": object }));
    format!("{:x}\r\n{line}\r\n", line.len())
}

#[test]
fn kubernetes_is_listed_and_watched_and_listed_again_when_a_version_is_too_old() {
    let api = Upstream::listen();
    let (one, two, three) = (says("one"), says("two"), says("three"));
    let token = Token::new("kubernetes", "first");
    let gateway = gateway(&format!(
        "kubernetes = \"http://{}\", namespace = \"models\", port = \"http\", \
         token = {{ file = {:?} }}",
        api.address(),
        token.0
    ));
    let next = |query: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        asked(&api, &format!("{SLICES}&{query}"), "authorization", &bearer).0
    };
    let watch = |version: &str, token: &str| {
        let query = "watch=true&allowWatchBookmarks=true&timeoutSeconds=240&resourceVersion=";
        next(&format!("{query}{version}"), token)
    };
    // Asked while the gateway started, and not waited for.
    drop(next("limit=200", "first"));
    // Two pages.
    next("limit=200", "first").send(list("", "abc==", &[slice("llama-a", "90", &[(one, true)])]));
    let second = [slice("llama-b", "95", &[(two, true)])];
    next("limit=200&continue=abc%3D%3D", "first").send(list("100", "", &second));
    let mut watching = watch("100", "first");
    watching.send(WATCHED);
    expect_answers(&gateway, &["one", "two"]);
    watching.send(event("MODIFIED", &slice("llama-b", "110", &[(two, false)])));
    expect_answers(&gateway, &["one"]);
    let mark = json!({ "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
                       "metadata": { "resourceVersion": "150", "creationTimestamp": null } });
    watching.send(event("BOOKMARK", &mark));
    // An event in two pieces.
    let added = event("ADDED", &slice("llama-c", "160", &[(three, true)]));
    watching.send(&added[..40]);
    std::thread::sleep(Duration::from_millis(400));
    watching.send(&added[40..]);
    expect_answers(&gateway, &["one", "three"]);
    // It is over, as every watch is by and by. Meanwhile the token was renewed.
    token.renew("second");
    watching.send("0\r\n\r\n");
    let gone = status(410, "Expired", "too old resource version: 160 (290)");
    watch("160", "second").send(answer("410 Gone", "", &gone));
    let both = [slice("llama-a", "90", &[(one, true)]), slice("llama-b", "295", &[(two, true)])];
    next("limit=200", "second").send(list("300", "", &both));
    let mut watching = watch("300", "second");
    expect_answers(&gateway, &["one", "two"]);
    // The same in the middle of a watch.
    watching.send(WATCHED);
    let gone = status(410, "Expired", "The resourceVersion for the provided watch is too old.");
    watching.send(event("ERROR", &serde_json::from_str(&gone).expect("JSON")));
    let busy = status(429, "TooManyRequests", "too many requests, please try again later");
    next("limit=200", "second").send(answer("429 Too Many Requests", "Retry-After: 1\r\n", &busy));
    gateway.wait_for_log("too many requests, please try again later");
    gateway.wait_for_log("the endpoints it has told are kept");
    next("limit=200", "second").send(list("400", "", &both[..1]));
    gateway.wait_for_log("kubernetes:models/llama answers again");
    expect_answers(&gateway, &["one"]);
    // Its last slice goes: an empty set is kept.
    let mut watching = watch("400", "second");
    watching.send(WATCHED);
    watching.send(event("DELETED", &slice("llama-a", "410", &[(one, true)])));
    watching.send(&event("ADDED", &slice("llama-d", "420", &[(two, true)]))[..60]);
    // Reset in the middle of an event: it is told again.
    drop(watching);
    let mut watching = watch("410", "second");
    assert_eq!(ask(&gateway), (200, "one".into()));
    watching.send(WATCHED);
    watching.send(event("ADDED", &slice("llama-d", "420", &[(two, true)])));
    expect_answers(&gateway, &["two"]);
    // Not allowed any more.
    watching.send(event("ERROR", &json!({ "code": 500, "message": "etcd is away" })));
    gateway.wait_for_log("the watch has failed: \"etcd is away\"");
    let forbidden = status(403, "Forbidden", "endpointslices.discovery.k8s.io is forbidden");
    next("limit=200", "second").send(answer("403 Forbidden", "", &forbidden));
    gateway.wait_for_log("endpointslices.discovery.k8s.io is forbidden");
    next("limit=200", "second").send(answer("200 OK", "", "not JSON"));
    gateway.wait_for_log("this is no answer of Kubernetes");
    assert_eq!(ask(&gateway), (200, "two".into()));
}

#[test]
fn a_registry_is_asked_under_tls() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let stranger = Authority::new();
    for (ca, why) in [
        (&authority, "this is no answer of Kubernetes: it has no items"),
        (&stranger, "no TLS session: its certificate was signed by nobody who is trusted here"),
    ] {
        let gateway = gateway(&format!(
            "kubernetes = \"https://localhost:{}\", namespace = \"models\", ca = {:?}",
            server.port, ca.ca
        ));
        gateway.wait_for_log(why);
        assert_eq!(ask(&gateway).0, 503);
    }
}

#[test]
fn who_is_no_pod_is_told_so() {
    let gateway = gateway("kubernetes = \"in-cluster\", namespace = \"models\"");
    gateway.wait_for_log("KUBERNETES_SERVICE_HOST is not set: this is no pod of Kubernetes");
}
