//! Configurations that are accepted, and what they compile to.

use std::time::Duration;

use super::super::bounds::{descriptors_least, descriptors_needed, worker_memory};
use super::super::show::effective;
use super::super::snapshot::{
    Endpoint, FallbackAnswer, Forwarded, HostField, PathPattern, ProcessSettings, Rewrite, Target,
    Workers,
};
use super::super::{Environment, defaults};
use super::*;

#[test]
fn the_sample_states_the_defaults() {
    let sample = accepted(SAMPLE);
    let least = accepted(&LEAST.replace("8080\"]", "8080\"]\ncpus = [0]").replace(
        "upstream = \"llama\"\n",
        "upstream = \"llama\"\nmethods = [\"POST\"]\nrewrite = \"/stream\"\n",
    ));
    assert_eq!(content(&sample), content(&least));
    assert_eq!(format!("{:?}", sample.snapshot.limits), format!("{:?}", defaults::LIMITS));
    assert_eq!(format!("{:?}", sample.snapshot.timeouts), format!("{:?}", defaults::TIMEOUTS));
    assert_eq!(sample.snapshot.upstreams[0].pool, defaults::POOL);
    assert_eq!(sample.warnings, []);
}

#[test]
fn by_default_a_worker_is_pinned_to_each_core_we_may_use() {
    let workers = |cpus: &[usize], parallelism| {
        let environment = Environment { cpus: cpus.to_vec(), parallelism, ..environment() };
        super::super::parse(LEAST, &environment).unwrap().snapshot.server.workers
    };
    assert_eq!(workers(&[2, 5], 2), Workers::Pinned(vec![2, 5]));
    // A quota of two cores on a machine that shows eight.
    assert_eq!(workers(&[0, 1, 2, 3, 4, 5, 6, 7], 2), Workers::Unpinned(2));
    assert!(Environment::current().parallelism >= 1);
    assert!(!Environment::current().cpus.is_empty());
}

#[test]
fn every_key_reaches_the_snapshot() {
    let loaded = accepted(
        r#"
        [server]
        listen = ["0.0.0.0:80", "[::]:80"]
        workers = 3
        half_close = "allow"
        accept = "balanced"
        spin = "50us"
        forwarded = "replace"
        watch = "5s"
        resolve = "7s"
        list_models = "40s"
        tcp_keepalive = { idle = "2m", interval = "9s", probes = 4 }
        [process]
        user = "gate"
        group = "4"
        no_new_privs = true
        seccomp = true
        landlock = true
        core_dumps = true
        [admin]
        listen = "0.0.0.0:9090"
        hosts = ["Gate.example", "gw1"]
        playground = true
        token_file = "/etc/admin.token"
        [access_log]
        to = "stdout"
        format = "logfmt"
        [trace]
        context = "restart"
        sample = 0.25
        export = "http://collector:4318"
        service = "edge 1"
        interval = "200ms"
        timeout = "3s"
        queue = 16
        [recorder]
        streams = 5
        keep = 6
        [usage]
        series = 7
        currency = "EUR"
        [[price]]
        model = "a*"
        input = 2.50
        output = 10.00
        [limits]
        connections = 7
        handshakes = 8
        head_bytes = "1KiB"
        headers = 256
        response_head_bytes = "2KiB"
        response_headers = 512
        body_bytes = "1GiB"
        replay_bytes = "2KiB"
        model_search_bytes = "20KiB"
        stored_responses = 5000
        translate_bytes = "21KiB"
        requests_per_connection = 1
        buffer_bytes = "1MiB"
        continue_bytes = "2MiB"
        [timeouts]
        head = "1s"
        body = "2s"
        client_idle = "off"
        client_write = "4s"
        connect = "5ms"
        ttft = "6s"
        response = "9m"
        inter_event = "7s"
        progress = "bytes"
        total = "8h"
        tunnel_idle = "off"
        drain = "off"
        [[upstream]]
        name = "a"
        endpoints = ["10.0.0.1:80", { address = "[::1]:81", weight = 9 }, "llama.internal:82"]
        host = "endpoint"
        service = "openai"
        model = "llama-3.1:8b"
        models = ["llama-3.1:8b"]
        stored = "2h"
        prefill = "chat"
        delayed_acks = true
        pool = { idle_per_endpoint = 0, connections = 3, idle_timeout = "1s", max_age = "off", max_requests = 4, replay_stale_post = false }
        retry = { attempts = 3, on = ["503", "connect", "error_event", "408"], backoff = "0s", backoff_max = "2s", retry_after_max = "0", budget = 0, post = true }
        balance = { hash = { header = "X-User" } }
        breaker = { consecutive = 1, rate = 2, window = "3s", volume = 4, open = "5s", open_max = "6s", slow_start = "0s", cooldown = "8s", unauthorized = "9s", panic = 0 }
        health = { path = "/ready", status = 204, interval = "7s", timeout = "7s", unhealthy = 1, healthy = 9 }
        admission = { max_concurrency = 12, endpoint_concurrency = 4, queue = 0, queue_timeout = "1m", keys = [{ sha256 = "0F2C10BF3D128C719C6BFA4ECBAE94B7FCEEBAEA6E4438FEF38A90E5ACC326F3", priority = 0 }], priority_header = "X-Priority", priority = 3 }
        while_loading = { wait = "90s" }
        [[upstream]]
        name = "b"
        endpoints = ["10.0.0.2:80"]
        retry = "off"
        balance = { hash.prompt = "512B" }
        wake = { command = ["llama-server", "--port", "${PORT}"], stop_url = "http://10.0.0.9:81/stop?p=${PORT}", health = "off", timeout = "7m", idle = "15m", grace = "4s", group = "gpu0" }
        breaker = "off"
        health = {}
        [[route]]
        path = "/x/*"
        upstream = ["a", "b"]
        larger = "b"
        rewrite = "/y/*"
        commit = "head"
        heartbeat = "5s"
        continue = { attempts = 3, text_bytes = "2KiB" }
        server_timing = true
        accept_encoding = "identity"
        include_usage = false
        decode_requests = true
        fallback = { status = 503, headers = { Retry-After = "9" }, text = "Sorry,\n\"no\" model: \u00e9\u0007", model = "none", pace = "1s" }
        "#,
    );
    assert_shows(&loaded, EVERY_KEY);
}

/// Compares word by word, so that the expectation can be laid out as one likes.
#[track_caller]
fn assert_shows(loaded: &Loaded, expected: &str) {
    let shown = effective(&loaded.snapshot);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let entries = shown.lines().skip(1).take_while(|line| !line.starts_with("# At most"));
    let shown = entries.map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(words(&shown), words(expected), "{shown}");
}

const EVERY_KEY: &str = r#"
    [server]
    listen = ["0.0.0.0:80", "[::]:80"]
    # [::]:80: IPv6 only
    workers = 3
    half_close = "allow"
    accept = "balanced"
    spin = "50us"
    coalesce = "off"
    forwarded = "replace"
    watch = "5s"
    resolve = "7s"
    dns.servers = []
    list_models = "40s"
    tcp_keepalive.idle = "2m"
    tcp_keepalive.interval = "9s"
    tcp_keepalive.probes = 4
    [gate]
    keys = "off"
    pass_keys = false
    guess_tokens = 1000
    client_field = "x-forwarded-for"
    per_address = "off"
    [process]
user = "gate"
group = "4"
no_new_privs = true
seccomp = true
landlock = true
core_dumps = true

[admin]
    listen = "0.0.0.0:9090"
    hosts = ["gate.example", "gw1"]
    playground = true
    token_file = "/etc/admin.token"
    [access_log]
    to = "stdout"
    format = "logfmt"
    [trace]
    context = "restart"
    sample = 0.25
    export = "http://collector:4318/v1/traces"
    service = "edge 1"
    interval = "200ms"
    timeout = "3s"
    queue = 16
    [recorder]
    streams = 5
    keep = 6
    [usage]
    series = 7
    currency = "EUR"
    [[price]]
    model = ["a*"]
    input = 2.5
    cached = 2.5
    output = 10
    [limits]
    connections = 7
    handshakes = 8
    head_bytes = "1KiB"
    headers = 256
    response_head_bytes = "2KiB"
    response_headers = 512
    body_bytes = "1GiB"
    replay_bytes = "2KiB"
    model_search_bytes = "20KiB"
    stored_responses = 5000
    translate_bytes = "21KiB"
    requests_per_connection = 1
    buffer_bytes = "1MiB"
    continue_bytes = "2MiB"
    [timeouts]
    head = "1s"
    client_idle = "off"
    drain = "off"
    body = "2s"
    client_write = "4s"
    connect = "5ms"
    ttft = "6s"
    response = "9m"
    inter_event = "7s"
    progress = "bytes"
    total = "8h"
    tunnel_idle = "off"
    [[upstream]]
    name = "a"
    endpoints = [
        { address = "10.0.0.1:80", weight = 1 },
        { address = "[::1]:81", weight = 9 },
        { address = "llama.internal:82", weight = 1 }, # 10.0.0.7:82
    ]
    host = "endpoint"
    service = "openai"
model = "llama-3.1:8b"
models = ["llama-3.1:8b"]
stored = "2h"
    prefill = "chat"
    delayed_acks = true
    pool.idle_per_endpoint = 0
    pool.connections = 3
    pool.idle_timeout = "1s"
    pool.max_age = "off"
    pool.max_requests = 4
    pool.replay_stale_post = false
    retry.attempts = 3
    retry.on = ["connect", "error_event", "408", "503"]
    retry.backoff = "0us"
    retry.backoff_max = "2s"
    retry.retry_after_max = "0us"
    retry.budget = 0
    retry.post = true
    balance.hash.header = "x-user"
    breaker.consecutive = 1
    breaker.rate = 2
    breaker.window = "3s"
    breaker.volume = 4
    breaker.open = "5s"
    breaker.open_max = "6s"
    breaker.slow_start = "0us"
    breaker.cooldown = "8s"
    breaker.unauthorized = "9s"
    breaker.panic = 0
    health.path = "/ready"
    health.status = "204-204"
    health.interval = "7s"
    health.timeout = "7s"
    health.unhealthy = 1
    health.healthy = 9
    admission.max_concurrency = 12
    admission.endpoint_concurrency = 4
    admission.queue = 0
    admission.queue_timeout = "1m"
    admission.keys = [{ sha256 = "0f2c10bf3d128c719c6bfa4ecbae94b7fceebaea6e4438fef38a90e5acc326f3", priority = 0 }]
    admission.priority_header = "x-priority"
    admission.priority = 3
    while_loading.wait = "90s"
    wake = "off"
    [[upstream]]
    name = "b"
    endpoints = [ { address = "10.0.0.2:80", weight = 1 }, ]
    host = "preserve"
service = "auto"
models = "ask"
stored = "off"
    prefill = "prompt"
    delayed_acks = false
    pool.idle_per_endpoint = 7
    pool.connections = 7
    pool.idle_timeout = "4s"
    pool.max_age = "5m"
    pool.max_requests = 10000
    pool.replay_stale_post = true
    retry.attempts = 1
    retry.on = ["connect", "reset", "bad_answer", "ttft_timeout", "empty_stream", "429", "502", "503"]
    retry.backoff = "25ms"
    retry.backoff_max = "1s"
    retry.retry_after_max = "2s"
    retry.budget = 20
    retry.post = true
    balance.hash.prompt = "512B"
    breaker = "off"
    health.path = "/health"
    health.status = "200-299"
    health.interval = "5s"
    health.timeout = "2s"
    health.unhealthy = 3
    health.healthy = 2
    admission.max_concurrency = "unlimited"
    admission.endpoint_concurrency = "unlimited"
    admission.queue = 256
    admission.queue_timeout = "30s"
    admission.priority = 1
    while_loading.wait = "2m"
    wake.command = ["llama-server", "--port", "80"]
    # wake.stop_url has a query, which is not shown: keys stand in some
    wake.stop_url = "http://10.0.0.9:81/stop"
    wake.health = "off"
    wake.timeout = "7m"
    wake.idle = "15m"
    wake.grace = "4s"
    wake.group = "gpu0"
    [[route]]
    path = "/x/*"
    # methods: every one
    upstream = ["a", "b"]
    larger = "b"
    rewrite = "/y/*"
    commit = "head"
    heartbeat = "5s"
    continue.attempts = 3
    continue.text_bytes = "2KiB"
    server_timing = true
    accept_encoding = "identity"
    include_usage = false
    decode_requests = true
    keys = "off"
    cors = "off"
    fallback.status = 503
    fallback.headers.retry-after = "9"
    fallback.text = "Sorry,\n\"no\" model: é\u0007"
    fallback.model = "none"
    fallback.pace = "1s"
"#;

#[test]
fn the_nearest_timeout_holds() {
    let loaded = accepted(
        r#"
        [server]
        listen = ["127.0.0.1:8080"]
        [timeouts]
        ttft = "1s"
        total = "2s"
        connect = "3s"
        [[upstream]]
        name = "a"
        endpoints = ["127.0.0.1:8081"]
        timeouts = { total = "20s", connect = "30s" }
        [[route]]
        path = "/"
        upstream = "a"
        timeouts = { connect = "off" }
        "#,
    );
    let timeouts = loaded.snapshot.routes[0].timeouts_at(0);
    assert_eq!(timeouts.ttft, Some(Duration::from_secs(1)), "[timeouts]");
    assert_eq!(timeouts.total, Some(Duration::from_secs(20)), "the upstream's");
    assert_eq!(timeouts.connect, None, "the route's");
    assert_eq!(timeouts.body, defaults::TIMEOUTS.exchange.body, "the default");
    let everywhere = &loaded.snapshot.timeouts.exchange;
    assert_eq!(everywhere.connect, Some(Duration::from_secs(3)), "untouched by overrides");
    let undecided = &loaded.snapshot.routes[0].timeouts;
    assert_eq!(undecided.connect, None, "the route's holds before there is an upstream");
    assert_eq!(undecided.total, Some(Duration::from_secs(2)), "an upstream's does not");
}

#[test]
fn each_link_of_a_chain_has_timeouts_of_its_own() {
    let loaded = accepted(
        r#"
        [server]
        listen = ["127.0.0.1:8080"]
        [timeouts]
        ttft = "1s"
        total = "2s"
        [[upstream]]
        name = "a"
        endpoints = ["127.0.0.1:8081"]
        timeouts = { ttft = "10s", total = "2s", body = "7s" }
        [[upstream]]
        name = "b"
        endpoints = ["127.0.0.1:8082"]
        [[route]]
        path = "/"
        upstream = ["b", "a"]
        timeouts = { total = "2s", body = "60s" }
        "#,
    );
    let route = &loaded.snapshot.routes[0];
    let seconds = |upstream| {
        let timeouts = route.timeouts_at(upstream);
        [timeouts.ttft, timeouts.total, timeouts.body].map(|limit| limit.map(|it| it.as_secs()))
    };
    assert_eq!(seconds(0), [Some(10), Some(2), Some(60)]);
    assert_eq!(seconds(1), [Some(1), Some(2), Some(60)]);
    let again = accepted(&effective(&loaded.snapshot));
    assert_eq!(content(&loaded), content(&again));
}

#[test]
fn an_answer_can_come_from_a_file() {
    let fallback = |table: &str| {
        let loaded = accepted(&format!("{LEAST}fallback = {table}\n"));
        let again = accepted(&effective(&loaded.snapshot));
        assert_eq!(content(&loaded), content(&again));
        match &loaded.snapshot.routes[0].target {
            Target::Chain(chain) => chain.fallback.clone().expect("it has one"),
            Target::Service(_) | Target::Models(_) => unreachable!("a file names upstreams"),
        }
    };
    let text = fallback("{ file = \"sorry.txt\" }");
    let sentences = "Sorry, no model answers.\nTry again.".to_owned();
    assert_eq!(text.answer, FallbackAnswer::Text(sentences.into()));
    assert_eq!(text.file.as_deref(), Some("/etc/sorry.txt"), "relative to the configuration");
    let json = fallback("{ file = \"/etc/sorry.json\", status = 503 }");
    assert_eq!(json.answer, FallbackAnswer::Json("{\"sorry\": true}\n".into()));
    assert_eq!((json.status, text.status), (503, 200));
}

#[test]
fn without_a_word_a_retry_follows_the_pool_about_posts() {
    let strict = LEAST.replace("[[route]]", "pool = { replay_stale_post = false }\n[[route]]");
    let loaded = accepted(&strict);
    assert!(!loaded.snapshot.upstreams[0].retry.post);
    assert_eq!(told(&loaded.warnings), "");
}

#[test]
fn routes_are_sorted_exact_first_then_by_length() {
    let mut text = LEAST.replace("/inference", "/*");
    for path in ["/v1/*", "/b", "/v1/chat/*", "/a", "/v1*"] {
        text += &format!("[[route]]\npath = \"{path}\"\nupstream = \"llama\"\n");
    }
    let loaded = accepted(&text);
    let paths: Vec<_> = loaded.snapshot.routes.iter().map(|route| &route.path).collect();
    let exact = |path: &str| PathPattern::Exact(path.to_owned());
    let prefix = |path: &str| PathPattern::Prefix(path.to_owned());
    let expected =
        [exact("/b"), exact("/a"), prefix("/v1/chat/"), prefix("/v1/"), prefix("/v1"), prefix("/")];
    assert_eq!(paths, expected.iter().collect::<Vec<_>>());
}

#[test]
fn one_path_may_lead_to_two_upstreams_by_method() {
    let loaded = accepted(
        r#"
        [server]
        listen = ["127.0.0.1:8080"]
        [[upstream]]
        name = "read"
        endpoints = ["127.0.0.1:8081"]
        [[upstream]]
        name = "write"
        endpoints = ["127.0.0.1:8082"]
        host = "models.example:8000"
        [[route]]
        path = "/x"
        methods = ["POST", "PUT"]
        upstream = "write"
        [[route]]
        path = "/x"
        methods = ["GET"]
        upstream = "read"
        rewrite = "/y"
        "#,
    );
    let snapshot = &loaded.snapshot;
    let targets = snapshot.routes.iter().map(|route| match &route.target {
        Target::Chain(chain) => snapshot.upstreams[chain.links[0].upstream].name.as_str(),
        Target::Service(_) | Target::Models(_) => "service",
    });
    assert_eq!(targets.collect::<Vec<_>>(), ["write", "read"]);
    assert_eq!(snapshot.upstreams[1].host, HostField::Fixed("models.example:8000".to_owned()));
    assert_eq!(snapshot.routes[1].rewrite, Some(Rewrite::Path("/y".to_owned())));
}

#[test]
fn every_address_of_a_name_is_an_endpoint_that_keeps_the_name_as_written() {
    let named = r#"{ address = "llamas.internal:8081", weight = 3 }"#;
    let loaded = accepted(&LEAST.replace("\"127.0.0.1:8081\"", named));
    assert!(loaded.warnings.is_empty());
    let endpoints = &loaded.snapshot.upstreams[0].endpoints;
    let expected = |index: usize, address: &str| Endpoint {
        id: endpoints[index].id,
        address: address.parse().ok(),
        tls: None,
        authority: "llamas.internal:8081".to_owned(),
        base_bytes: 0,
        name: format!("llamas.internal:8081 ({address})"),
        weight: 3,
        priority: 0,
        sharing: 2,
    };
    assert_eq!(*endpoints, [expected(0, "10.0.0.8:8081"), expected(1, "10.0.0.9:8081")]);
    assert_eq!(endpoints[0].weight_in(1_000), 1_500, "they share the weight of their name");
    let shown = effective(&loaded.snapshot);
    let line =
        "{ address = \"llamas.internal:8081\", weight = 3 }, # 10.0.0.8:8081, 10.0.0.9:8081\n";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn a_name_without_an_address_is_down_and_no_mistake() {
    for (name, warning) in [
        (
            "nowhere.invalid:80",
            "line 5: upstream[0].endpoints[0]: the name \"nowhere.invalid:80\" cannot be resolved \
             now, so it is down: no such name\n",
        ),
        (
            "myself.internal:80",
            "line 5: upstream[0].endpoints[0]: myself.internal:80 is 127.0.0.1:8080, which is in \
             server.listen: it is not asked, the gateway would forward to itself\n",
        ),
    ] {
        let loaded = accepted(&LEAST.replace("127.0.0.1:8081", name));
        assert_eq!(told(&loaded.warnings), warning);
        let endpoints = &loaded.snapshot.upstreams[0].endpoints;
        assert_eq!(endpoints.iter().map(|one| one.address).collect::<Vec<_>>(), [None]);
        let line = format!("{{ address = \"{name}\", weight = 1 }}, # has no address now: down\n");
        assert!(effective(&loaded.snapshot).contains(&line));
    }
}

#[test]
fn a_pool_has_a_connection_for_every_client() {
    let loaded =
        accepted(&LEAST.replace("[[upstream]]", "[limits]\nconnections = 70000\n[[upstream]]"));
    assert_eq!(loaded.snapshot.upstreams[0].pool.connections, 70_000);
}

#[test]
fn who_takes_more_of_clients_takes_as_much_of_servers() {
    let limits = "[limits]\nhead_bytes = \"512KiB\"\nheaders = 512\n[[upstream]]";
    let limits = accepted(&LEAST.replace("[[upstream]]", limits)).snapshot.limits;
    assert_eq!((limits.response_head_bytes, limits.response_headers), (512 << 10, 512));
}

#[test]
fn the_default_of_idle_connections_adapts_to_a_small_pool() {
    let loaded = accepted(&LEAST.replace("[[route]]", "pool = { connections = 5 }\n[[route]]"));
    assert_eq!(loaded.snapshot.upstreams[0].pool.idle_per_endpoint, 5);
}

#[test]
fn zero_needs_no_unit() {
    for zero in ["\"0\"", "\"0B\"", "0", "\"off\""] {
        let loaded = accepted(&format!("{LEAST}[limits]\nreplay_bytes = {zero}\n"));
        assert_eq!(loaded.snapshot.limits.replay_bytes, 0, "{zero}");
    }
}

#[test]
fn what_is_legal_but_odd_is_a_warning() {
    let unused = format!("{LEAST}[[upstream]]\nname = \"spare\"\nendpoints = [\"127.0.0.1:9\"]\n");
    let expected = "line 9: upstream[1]: no route leads to upstream \"spare\"\n";
    assert_eq!(told(&accepted(&unused).warnings), expected);

    let host = LEAST.replace("[[route]]", "host = \"endpoints\"\n[[route]]");
    let expected = "line 6: upstream[0].host: \"endpoints\" is sent as it is, as a fixed name; \
                    did you mean \"endpoint\"?\n";
    let loaded = accepted(&host);
    assert_eq!(told(&loaded.warnings), expected);
    assert_eq!(loaded.snapshot.upstreams[0].host, HostField::Fixed("endpoints".to_owned()));

    for (upstream, route, expected) in [
        (
            "retry = { post = false }",
            "",
            "line 6: upstream[0].retry.post: a POST is still sent again when a pooled connection \
             turns out dead: pool.replay_stale_post is true\n",
        ),
        (
            "retry.post = true\npool.replay_stale_post = false",
            "",
            "line 6: upstream[0].retry.post: a POST is sent again after a failure, but not when a \
             pooled connection turns out dead: pool.replay_stale_post is false\n",
        ),
        (
            "retry = {}",
            "[limits]\nreplay_bytes = \"16383B\"\n",
            "line 6: upstream[0].retry: hardly a request is sent again: limits.replay_bytes keeps \
             less than 16KiB of it\n",
        ),
        ("retry = \"off\"", "[limits]\nreplay_bytes = \"off\"\n", ""),
        (
            "admission = { max_concurrency = 1, endpoint_concurrency = 2 }",
            "",
            "line 6: upstream[0].admission.endpoint_concurrency: is never reached: \
             max_concurrency is 1\n",
        ),
        (
            "admission = { max_concurrency = 3, endpoint_concurrency = 2 }",
            "",
            "line 6: upstream[0].admission.max_concurrency: is never reached: 1 times \
             endpoint_concurrency is less\n",
        ),
        (
            "",
            "heartbeat = \"5m\"\n",
            "line 10: route[0].heartbeat: is never sent: timeouts.inter_event ends the stream \
             before\n",
        ),
        (
            "",
            "fallback = { json = \"{}\" }\n",
            "line 10: route[0].fallback: says JSON to a caller that has asked for a stream: text is \
             streamed\n",
        ),
        ("", "fallback = { json = \"{}\", status = 503 }\n", ""),
        ("service = \"none\"", "fallback = { json = \"{}\" }\n", ""),
        (
            "service = \"none\"",
            "continue = {}\n",
            "line 10: route[0].continue: never happens: no stream of service \"none\" can be \
             continued\n",
        ),
        ("prefill = \"chat\"", "continue = { attempts = 2 }\n", ""),
        ("timeouts.inter_event = \"301s\"", "heartbeat = \"5m\"\n", ""),
        ("timeouts.ttft = \"601s\"", "heartbeat = { every = \"4m\", before_head = true }\n", ""),
    ] {
        let upstream = LEAST.replace("[[route]]", &format!("{upstream}\n[[route]]"));
        let loaded = accepted(&format!("{upstream}{route}"));
        assert_eq!(told(&loaded.warnings), expected, "{upstream}{route}");
    }
}

#[test]
fn one_address_to_listen_on_needs_no_list() {
    let listens = r#"listen = ["127.0.0.1:8080"]"#;
    assert!(LEAST.contains(listens), "{LEAST}");
    let alone = LEAST.replace(listens, r#"listen = "127.0.0.1:8080""#);
    assert_eq!(accepted(&alone).snapshot.server.listen, accepted(LEAST).snapshot.server.listen);
}

#[test]
fn what_is_shown_compiles_to_the_same() {
    let odd = r#"
        [server]
        listen = ["[::1]:8080", "127.0.0.1:0"]
        workers = 2
        forwarded = "off"
        [limits]
        body_bytes = "1537B"
        replay_bytes = 0
        [timeouts]
        ttft = "90s"
        total = "61ms"
        [[upstream]]
        name = "a"
        endpoints = ["llama.internal:82", { address = "[::1]:81", weight = 1000 }]
        host = "[::1]:80"
        timeouts = { ttft = "off" }
        [[upstream]]
        name = "unused"
        endpoints = ["127.0.0.1:1"]
        [[route]]
        path = "/*"
        upstream = "a"
        rewrite = '/quo"te*'
        timeouts = { total = "off" }
        [[route]]
        path = "/b%20c"
        methods = ["GET", "M-SEARCH"]
        upstream = "a"
    "#;
    for text in [SAMPLE, LEAST, odd] {
        let first = accepted(text);
        let shown = effective(&first.snapshot);
        let second = accepted(&shown);
        assert_eq!(content(&first), content(&second), "{shown}");
        assert_eq!(shown, effective(&second.snapshot));
    }
    assert_eq!(accepted(odd).snapshot.server.forwarded, Forwarded::Off);
}

/// A URL is asked by its own name, unless `host` says another; the base stays with its endpoint.
#[test]
fn endpoints_are_taken_as_urls() {
    let urls = r#""http://llamas.internal/openai/v1", "http://10.0.0.1:8000/""#;
    let loaded = accepted(&LEAST.replace("\"127.0.0.1:8081\"", urls));
    let upstream = &loaded.snapshot.upstreams[0];
    assert_eq!(upstream.host, HostField::Endpoint);
    let told: Vec<_> =
        upstream.endpoints.iter().map(|one| (&*one.authority, one.base(), &*one.name)).collect();
    assert_eq!(
        told,
        [
            ("llamas.internal:80", "/openai/v1", "llamas.internal:80/openai/v1 (10.0.0.8:80)"),
            ("llamas.internal:80", "/openai/v1", "llamas.internal:80/openai/v1 (10.0.0.9:80)"),
            ("10.0.0.1:8000", "", "10.0.0.1:8000"),
        ]
    );
    let shown = effective(&loaded.snapshot);
    assert_eq!(content(&accepted(&shown)), content(&loaded), "{shown}");
    let preserved = LEAST.replace("\"127.0.0.1:8081\"]", &format!("{urls}]\nhost = \"preserve\""));
    assert_eq!(accepted(&preserved).snapshot.upstreams[0].host, HostField::Preserve);
    // Two services of one machine.
    let two = r#""http://10.0.0.1/a", "http://10.0.0.1/b""#;
    let loaded = accepted(&LEAST.replace("\"127.0.0.1:8081\"", two));
    assert_eq!(loaded.snapshot.upstreams[0].endpoints.len(), 2);
}

#[test]
fn the_costs_are_what_the_limits_add_up_to() {
    let loaded = accepted(&SAMPLE.replace("cpus       = [0]", "workers = 4"));
    // Each of 4 workers: two descriptors a client, and what the pool may keep idle.
    assert_eq!(descriptors_needed(&loaded.snapshot), 4 * (2 * 10_000 + 20) + 64);
    assert_eq!(descriptors_least(&loaded.snapshot), 4 * (10_000 + 20) + 64);
    assert_eq!(worker_memory(&loaded.snapshot), 10_000 * 2_048 + (256 << 20) + (64 << 20));
    let shown = effective(&loaded.snapshot);
    for line in [
        "#   workers            4",
        "#   client connections 10000 per worker, 40000 in all",
        "#   memory             339.5 MiB per worker (10000 connections x 2KiB + 256MiB of buffers + 64MiB to \
         read compressed answers)",
        "#                      1.3 GiB in all; the kernel's socket buffers come on top",
        "#   file descriptors   80144, and not fewer than 40144",
    ] {
        assert!(shown.contains(&format!("{line}\n")), "{line}\n{shown}");
    }
}

#[test]
fn the_query_of_a_collector_is_not_shown() {
    let trace =
        "[trace]\ncontext = \"continue\"\nexport = \"http://c:4318/v1/traces?key=s3cret\"\n";
    let loaded = accepted(&format!("{LEAST}{trace}"));
    let export = loaded.snapshot.trace.export.as_ref().expect("there is one");
    assert_eq!(export.path, "/v1/traces?key=s3cret");
    let shown = effective(&loaded.snapshot);
    assert!(
        shown.contains("export = \"http://c:4318/v1/traces\"\n# export has a query"),
        "{shown}"
    );
    assert!(!shown.contains("s3cret"), "{shown}");
}

/// A password, or the key in a query, stands in no error.
#[test]
fn what_is_refused_shows_no_secret() {
    let trace =
        |export: &str| format!("{LEAST}[trace]\ncontext = \"continue\"\nexport = \"{export}\"\n");
    let endpoint = |text: &str| LEAST.replacen("127.0.0.1:8081", text, 1);
    for config in [
        trace("http://user:s3cret@c:4318/v1/traces"),
        trace("http://s3cret@c:4318"),
        trace("http://c:4318/v1/traces?key=s3cret #"),
        trace("https://user:s3cret@c:4318/v1/traces"),
        endpoint("user:s3cret@llama:8081"),
        endpoint("http://user:s3cret@llama:8081/"),
    ] {
        let problems = parse(&config).expect_err(&config);
        let told = format!("{problems:?}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}

/// Each is looked up among those before it, and compared with none: sixty thousand once took fifteen
/// seconds.
#[test]
fn many_routes_are_told_apart_by_their_paths() {
    let route = |at: u32| format!("[[route]]\npath = \"/t/{at}/*\"\nupstream = \"llama\"\n");
    let routes: String = (0..20_000).map(route).collect();
    assert_eq!(accepted(&format!("{LEAST}{routes}")).snapshot.routes.len(), 20_001);
    let twice = format!("{LEAST}{routes}{}", route(19_999).replace("/t/", "//%74/"));
    let problems = parse(&twice).expect_err("one comes twice");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].reason.contains("another route has this path"), "{problems:?}");
}

#[test]
fn what_a_process_gives_up_depends_on_whom_it_starts() {
    let with = |wake: &str| {
        format!(
            "{SAMPLE}\n[[upstream]]\nname = \"gpu\"\nendpoints = [\"10.0.0.2:80\"]\nwake = {{ {wake} }}\n"
        )
    };
    let sample = SAMPLE.to_owned();
    let wake = with("command = [\"sudo\", \"serve\"]");
    let url = with("url = \"http://10.0.0.9:81/start\"");
    let off = "no_new_privs and seccomp of [process] are off: upstream \"gpu\" starts a program, which \
               would have them too; true switches them on";
    for (text, process, expected, note) in [
        (&sample, "", [true, true, false], None),
        (&url, "", [true, true, false], None),
        (&wake, "", [false, false, false], Some(off)),
        (&wake, "seccomp = true", [true, true, false], None),
        (&wake, "no_new_privs = true", [true, false, false], None),
        (&sample, "no_new_privs = false", [false, false, false], None),
        (&sample, "seccomp = false", [true, false, false], None),
        (&sample, "landlock = true", [true, true, true], None),
        (&wake, "landlock = true", [true, false, true], Some(off)),
    ] {
        let loaded = accepted(&format!("{text}\n[process]\n{process}\n"));
        let ProcessSettings { no_new_privs, seccomp, landlock, .. } = loaded.snapshot.process;
        assert_eq!([no_new_privs, seccomp, landlock], expected, "{process}");
        assert_eq!(loaded.notes.first().map(String::as_str), note, "{process}");
        let warned = loaded.warnings.iter().any(|problem| problem.key == "process.landlock");
        assert_eq!(warned, landlock && *text == wake, "{process}");
    }
}
