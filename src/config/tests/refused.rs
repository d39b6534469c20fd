//! Each refusal: the change to a good file, and the sentence it is answered with, line included.

use std::fs;
use std::path::Path;

use super::super::read;
use super::*;

/// What `SAMPLE` is answered with after `from` has been replaced by `to`.
#[track_caller]
fn changed(from: &str, to: &str) -> String {
    assert_eq!(SAMPLE.matches(from).count(), 1, "{from:?} must be there once");
    refused(&SAMPLE.replace(from, to))
}

#[track_caller]
fn check_rows(rows: &[(&str, &str, &str)]) {
    for (from, to, expected) in rows {
        assert_eq!(changed(from, to), format!("{expected}\n"), "{from:?} → {to:?}");
    }
}

#[test]
fn server() {
    check_rows(&[
        (r#"listen     = ["127.0.0.1:8080"]"#, "", "line 1: server.listen: is required"),
        (r#"["127.0.0.1:8080"]"#, "[]", "line 2: server.listen: must name at least one address"),
        (
            r#"["127.0.0.1:8080"]"#,
            "8080",
            "line 2: server.listen: must be a list, [ … ], not a number",
        ),
        (
            r#"["127.0.0.1:8080"]"#,
            r#""localhost:8080""#,
            "line 2: server.listen: \"localhost:8080\" is no address to listen on: write \
             ip:port, \"127.0.0.1:8080\", or \"[::1]:8080\" for IPv6; did you mean \"127.0.0.1:8080\"?",
        ),
        (
            r#"["127.0.0.1:8080"]"#,
            r#"["localhost:8080"]"#,
            "line 2: server.listen[0]: \"localhost:8080\" is no address to listen on: write \
             ip:port, \"127.0.0.1:8080\", or \"[::1]:8080\" for IPv6; did you mean \"127.0.0.1:8080\"?",
        ),
        (
            r#"["127.0.0.1:8080"]"#,
            "[\"127.0.0.1:8080\",\n\"127.0.0.1:8080\"]",
            "line 3: server.listen[1]: is in the list already",
        ),
        (
            "[0]",
            "[]",
            "line 3: server.cpus: must name at least one CPU; leave it out for the default",
        ),
        (
            "[0]",
            "[0, 9]",
            "line 3: server.cpus[1]: CPU 9 does not exist or is not allowed to this process, \
             which may run on 0-3",
        ),
        (
            "[0]",
            "[0]\ntcp_keepalive = { idle = \"500ms\" }",
            "line 4: server.tcp_keepalive.idle: must be from \"1s\" to \"1h\", not \"500ms\"",
        ),
        (
            "[0]",
            "[0]\ntcp_keepalive = true",
            "line 4: server.tcp_keepalive: must be a table or \"off\", not true or false",
        ),
        ("[0]", "[1, 1]", "line 3: server.cpus[1]: is in the list already"),
        ("[0]", "[-1]", "line 3: server.cpus[0]: must be from 0 to 4294967295, not -1"),
        ("[0]", "0", "line 3: server.cpus: must be a list, [ … ], not a number"),
        (
            "cpus       = [0]",
            "cpus = [0]\nworkers = 2",
            "line 4: server.workers: cpus and workers exclude each other: cpus pins one worker \
             per entry, workers pins none",
        ),
        (
            "cpus       = [0]",
            "workers = 0",
            "line 3: server.workers: must be from 1 to 1024, not 0",
        ),
        (
            "\"cancel\"",
            "\"cancle\"",
            "line 4: server.half_close: must be \"cancel\" or \"allow\" or \"probe\", not \"cancle\"; did \
             you mean \"cancel\"?",
        ),
        ("\"reuseport\"", "true", "line 5: server.accept: must be a string, not true or false"),
        (
            "\"append\"",
            "\"drop\"",
            "line 7: server.forwarded: must be \"append\" or \"replace\" or \"off\", not \"drop\"",
        ),
        (
            "\"0us\"",
            "\"1001ms\"",
            "line 6: server.spin: must be from \"0us\" to \"1s\", not \"1001ms\"",
        ),
        ("\"0us\"", "\"off\"", "line 6: server.spin: cannot be \"off\": this limit always holds"),
        (
            "half_close = ",
            "half-close = ",
            "line 4: server.half-close: unknown key; did you mean \"half_close\"?",
        ),
    ]);
}

#[test]
fn limits() {
    check_rows(&[
        (
            "connections = 10000",
            "connections = 0",
            "line 9: limits.connections: must be from 1 to 1000000, not 0",
        ),
        (
            "connections = 10000",
            "connections = 1.5",
            "line 9: limits.connections: must be a whole number, not a fraction",
        ),
        (
            "connections = 10000",
            "connections = 99999999999999999999",
            "line 9: limits.connections: must be from 1 to 1000000, not 99999999999999999999",
        ),
        (
            "\"64KiB\"",
            "\"1023B\"",
            "line 10: limits.head_bytes: must be from \"1KiB\" to \"1MiB\", not \"1023B\"",
        ),
        (
            "\"64KiB\"",
            "\"64KB\"",
            "line 10: limits.head_bytes: \"64KB\" has an unknown unit: write \"512B\", \"64KiB\", \
             \"1MiB\" or \"2GiB\"; did you mean \"64KiB\"?",
        ),
        (
            "\"64KiB\"",
            "65536",
            "line 10: limits.head_bytes: 65536 has no unit: a size is a string such as \"64KiB\"",
        ),
        (
            "\"64KiB\"",
            "\"unlimited\"",
            "line 10: limits.head_bytes: cannot be \"unlimited\": this limit always holds",
        ),
        ("= 100\n", "= 513\n", "line 11: limits.headers: must be from 1 to 512, not 513"),
        ("= 100\n", "= 0\n", "line 11: limits.headers: must be from 1 to 512, not 0"),
        (
            "body_bytes  = \"unlimited\"",
            "body_bytes = \"off\"",
            "line 12: limits.body_bytes: \"off\" is no size; did you mean \"unlimited\"?",
        ),
        (
            "body_bytes  = \"unlimited\"",
            "body_bytes = \"0B\"",
            "line 12: limits.body_bytes: must be from \"1B\" to \"1024TiB\", not \"0B\"",
        ),
        (
            "\"32MiB\"",
            "\"2GiB\"",
            "line 13: limits.replay_bytes: must be from \"0B\" to \"1GiB\", not \"2GiB\"",
        ),
        (
            "head_bytes  = \"64KiB\"\nheaders     = 100\nbody_bytes  = \"unlimited\"\n\
             replay_bytes = \"32MiB\"\nrequests_per_connection = 10000\nbuffer_bytes = \"256MiB\"",
            "head_bytes = \"1MiB\"\nbuffer_bytes = \"2047KiB\"",
            "line 10: limits.head_bytes: is more than half of buffer_bytes: a head of that size could \
             wait for ever for room",
        ),
        (
            "\"32MiB\"",
            "\"512MiB\"",
            "line 13: limits.replay_bytes: is more than buffer_bytes: no request of that size \
             could be kept",
        ),
        (
            "requests_per_connection = 10000",
            "requests_per_connection = 10000\nmodel_search_bytes = \"129MiB\"",
            "line 15: limits.model_search_bytes: is more than half of buffer_bytes: what is held would \
             leave no room for answers",
        ),
        (
            "requests_per_connection = 10000",
            "requests_per_connection = 10000\ntranslate_bytes = \"129MiB\"",
            "line 15: limits.translate_bytes: is more than half of buffer_bytes: what is held would \
             leave no room for answers",
        ),
        (
            "\"256MiB\"",
            "\"1023KiB\"",
            "line 15: limits.buffer_bytes: must be from \"1MiB\" to \"1TiB\", not \"1023KiB\"",
        ),
        (
            "requests_per_connection = 10000",
            "requests_per_connection = 4294967296",
            "line 14: limits.requests_per_connection: must be from 1 to 4294967295, not 4294967296",
        ),
        (
            "headers     =",
            "header =",
            "line 11: limits.header: unknown key; did you mean \"headers\"?",
        ),
    ]);
}

#[test]
fn timeouts() {
    check_rows(&[
        (
            "head         = \"10s\"",
            "head = \"0s\"",
            "line 17: timeouts.head: a timeout of zero would end everything at once; to have \
             none, write \"off\"",
        ),
        (
            "head         = \"10s\"",
            "head = 0",
            "line 17: timeouts.head: a timeout of zero would end everything at once; to have \
             none, write \"off\"",
        ),
        (
            "head         = \"10s\"",
            "head = 10",
            "line 17: timeouts.head: 10 has no unit: a duration is a string such as \"30s\"",
        ),
        (
            "head         = \"10s\"",
            "head = \"10\"",
            "line 17: timeouts.head: \"10\" has no unit: a duration is written \"500us\", \
             \"250ms\", \"30s\", \"5m\" or \"1h\"; did you mean \"10s\"?",
        ),
        (
            "head         = \"10s\"",
            "head = \"-10s\"",
            "line 17: timeouts.head: \"-10s\" is no duration: write a whole number and a unit, \
             \"500us\", \"250ms\", \"30s\", \"5m\" or \"1h\"",
        ),
        (
            "head         = \"10s\"",
            "head = \"999us\"",
            "line 17: timeouts.head: must be from \"1ms\" to \"8760h\", not \"999us\"",
        ),
        (
            "head         = \"10s\"",
            "head = \"8761h\"",
            "line 17: timeouts.head: must be from \"1ms\" to \"8760h\", not \"8761h\"",
        ),
        (
            "total        = \"off\"",
            "total = \"never\"",
            "line 24: timeouts.total: \"never\" is no duration; did you mean \"off\"?",
        ),
        (
            "total        = \"off\"",
            "total = false",
            "line 24: timeouts.total: must be a duration such as \"30s\", not true or false",
        ),
        (
            "inter_event ",
            "inter_events ",
            "line 23: timeouts.inter_events: unknown key; did you mean \"inter_event\"?",
        ),
    ]);
}

#[test]
fn upstream() {
    check_rows(&[
        (
            "\"llama\"\nendpoints",
            "\"\"\nendpoints",
            "line 28: upstream[0].name: must have 1 to 64 letters, digits, dots, hyphens or \
             underscores\nline 40: route[0].upstream: there is no upstream named \"llama\"",
        ),
        ("endpoints = [\"127.0.0.1:8081\"]", "", "line 27: upstream[0].endpoints: is required"),
        (
            "[\"127.0.0.1:8081\"]",
            "[]",
            "line 29: upstream[0].endpoints: must name at least one endpoint",
        ),
        (
            "\"127.0.0.1:8081\"",
            "\"127.0.0.1\"",
            "line 29: upstream[0].endpoints[0]: \"127.0.0.1\" has no port: write host:port",
        ),
        (
            "\"127.0.0.1:8081\"",
            "\"127.0.0.1:8081/v1\"",
            "line 29: upstream[0].endpoints[0]: an endpoint with a path is written as a URL; \
             did you mean \"http://127.0.0.1:8081/v1\"?",
        ),
        (
            "\"127.0.0.1:8081\"",
            "\"https://api.example/v1/models\"",
            "line 29: upstream[0].endpoints[0]: an endpoint ends in front of the paths that clients \
             ask for, and /models is one; did you mean \"https://api.example/v1\"?",
        ),
        (
            "\"127.0.0.1:8081\"",
            "\"[::1]:1\",\n\"[0::1]:1\"",
            "line 30: upstream[0].endpoints[1]: [0::1]:1 is in the list already; a larger share \
             is a larger weight",
        ),
        (
            "\"127.0.0.1:8081\"",
            "\"llama.internal:1\",\n\"Llama.internal:1\"",
            "line 30: upstream[0].endpoints[1]: Llama.internal:1 is in the list already; a larger \
             share is a larger weight",
        ),
        (
            "\"127.0.0.1:8081\"",
            "\"127.0.0.1:8080\"",
            "line 29: upstream[0].endpoints[0]: 127.0.0.1:8080 is in server.listen: the gateway \
             would forward to itself",
        ),
        (
            "\"127.0.0.1:8081\"",
            "{ weight = 2 }",
            "line 29: upstream[0].endpoints[0].address: is required",
        ),
        (
            "\"127.0.0.1:8081\"",
            "{ address = \"127.0.0.1:8081\", weight = 0 }",
            "line 29: upstream[0].endpoints[0].weight: must be from 1 to 1000, not 0",
        ),
        (
            "\"127.0.0.1:8081\"",
            "{ addres = \"127.0.0.1:8081\" }",
            "line 29: upstream[0].endpoints[0].address: is required\n\
             line 29: upstream[0].endpoints[0].addres: unknown key; did you mean \"address\"?",
        ),
        (
            "\"preserve\"",
            "\"a b\"",
            "line 30: upstream[0].host: \"a b\" is neither a host name nor an address",
        ),
        (
            "[[upstream]]",
            "[[upstream]]\nname = \"llama\"\nendpoints = [\"127.0.0.1:1\"]\n[[upstream]]",
            "line 30: upstream[1]: there is another upstream named \"llama\" already (line 27)",
        ),
        (
            "[[upstream]]",
            "[upstream]",
            "line 27: upstream: there can be several: write [[upstream]] with two brackets",
        ),
        (
            "[[upstream]]",
            "[[upstream]]\ntimeouts = { drain = \"1s\" }",
            "line 28: upstream[0].timeouts.drain: cannot be overridden: it runs while no route is \
             known; set it in [timeouts]",
        ),
    ]);
}

#[test]
fn pool() {
    check_rows(&[
        (
            "idle_per_endpoint = 20",
            "idle_per_endpoint = 10001",
            "line 31: upstream[0].pool.idle_per_endpoint: is more than the 10000 connections the \
             pool may have at all",
        ),
        (
            "connections = 10_000",
            "connections = 0",
            "line 31: upstream[0].pool.connections: must be from 1 to 1000000, not 0",
        ),
        (
            "\"4s\"",
            "\"off\"",
            "line 31: upstream[0].pool.idle_timeout: cannot be \"off\": this limit always holds",
        ),
        (
            "\"4s\"",
            "\"0s\"",
            "line 31: upstream[0].pool.idle_timeout: must be from \"1ms\" to \"24h\", not \"0us\"",
        ),
        (
            "max_requests = 10000",
            "max_requests = 0",
            "line 31: upstream[0].pool.max_requests: must be from 1 to 4294967295, not 0",
        ),
        (
            "replay_stale_post = true",
            "replay_stale_post = \"true\"",
            "line 31: upstream[0].pool.replay_stale_post: must be true or false, not a string",
        ),
        (
            "max_age",
            "maximum_age",
            "line 31: upstream[0].pool.maximum_age: unknown key; known here are connections, \
             idle_per_endpoint, idle_timeout, max_age, max_requests, replay_stale_post",
        ),
    ]);
}

#[test]
fn route() {
    check_rows(&[
        ("path      = \"/inference\"", "", "line 37: route[0].path: is required"),
        (
            "\"/inference\"",
            "\"inference\"",
            "line 38: route[0].path: must begin with /; did you mean \"/inference\"?",
        ),
        (
            "\"/inference\"",
            "\"/a*b\"",
            "line 38: route[0].path: a * may only stand at the end, and only once",
        ),
        (
            "\"/inference\"",
            "\"/a/%2E%2e/b\"",
            "line 38: route[0].path: has a dot segment; requests with those are refused",
        ),
        (
            "[\"POST\"]",
            "[]",
            "line 39: route[0].methods: must name at least one method; leave it out to accept \
             every method",
        ),
        (
            "\"POST\"",
            "\"post\"",
            "line 39: route[0].methods[0]: methods are case-sensitive and written in capitals; \
             did you mean \"POST\"?",
        ),
        ("\"POST\"", "\"P T\"", "line 39: route[0].methods[0]: \"P T\" is no method"),
        (
            "\"POST\"",
            "\"CONNECT\"",
            "line 39: route[0].methods[0]: CONNECT is never forwarded: this is a gateway, not a \
             forward proxy",
        ),
        ("\"POST\"", "\"POST\", \"POST\"", "line 39: route[0].methods[1]: is in the list already"),
        (
            "= \"llama\"\nrewrite",
            "= \"lama\"\nrewrite",
            "line 40: route[0].upstream: there is no upstream named \"lama\"; did you mean \
             \"llama\"?",
        ),
        (
            "\"/stream\"",
            "\"/stream/*\"",
            "line 41: route[0].rewrite: a trailing * keeps what follows the route's prefix, and \
             this route's path has no trailing *; did you mean \"/stream/\"?",
        ),
        (
            "\"/stream\"",
            "\"/stream?x=1\"",
            "line 41: route[0].rewrite: cannot have a query: the request's own query is always kept",
        ),
        (
            "\"/stream\"",
            "\"/a/./b\"",
            "line 41: route[0].rewrite: has a dot segment; requests with those are refused",
        ),
        (
            "[[route]]",
            "[[route]]\ntimeouts = { head = \"1s\", tftt = \"1s\" }",
            "line 38: route[0].timeouts.head: cannot be overridden: it runs while no route is \
             known; set it in [timeouts]\n\
             line 38: route[0].timeouts.tftt: unknown key; did you mean \"ttft\"?",
        ),
        (
            "[[route]]",
            "[[route]]\npath = \"/inference\"\nupstream = \"llama\"\n[[route]]",
            "line 40: route[1]: another route has this path, method and when already (line 37); this \
             one would never match",
        ),
    ]);
    let none = &SAMPLE[..SAMPLE.find("[[route]]").unwrap()];
    let expected = "route: at least one [[route]] is required; without it nothing is forwarded\n";
    assert_eq!(refused(none), expected);
}

#[test]
fn a_section_that_nobody_knows() {
    check_rows(&[(
        "[timeouts]",
        "[timeout]",
        "line 16: timeout: unknown key; did you mean \"timeouts\"?",
    )]);
    let strange = format!("{SAMPLE}[\"certificate\\n\"]\n");
    let expected = "line 61: \"certificate\\n\": unknown key; known here are server, process, admin, access_log, trace, recorder, usage, price, tiers, issuers, auth, gate, keys, fleet, limits, \
                    timeouts, plugins, plugin, upstream, route\n";
    assert_eq!(refused(&strange), expected);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let text = r#"[[route]]
path = "x"
upstream = "b"
[[upstream]]
name = "a"
endpoints = ["127.0.0.1:8081", "llama:0"]
[timeouts]
ttft = "60"
[server]
lisen = ["127.0.0.1:8080"]
[limits]
headers = "many"
"#;
    let told = refused(text);
    let starts: Vec<_> = told.lines().map(|line| line.splitn(3, ": ").take(2).collect()).collect();
    let starts: Vec<String> = starts.into_iter().map(|parts: Vec<_>| parts.join(": ")).collect();
    let expected = [
        "line 2: route[0].path",
        "line 3: route[0].upstream",
        "line 6: upstream[0].endpoints[1]",
        "line 8: timeouts.ttft",
        "line 9: server.listen",
        "line 10: server.lisen",
        "line 12: limits.headers",
    ];
    assert_eq!(starts, expected, "{told}");
}

#[test]
fn broken_syntax_is_told_with_its_line() {
    for (text, line) in [
        ("[server]\nlisten = [\"127.0.0.1:8080\n", 2),
        ("[server]\nlisten = 127.0.0.1\n", 2),
        ("a = 1\r\na = 2\r\n", 2),
        ("[server]\n[server]\n", 2),
        ("x", 1),
    ] {
        let told = refused(text);
        assert!(told.starts_with(&format!("line {line}: TOML syntax: ")), "{text:?}: {told}");
        assert_eq!(told.lines().count(), 1, "what follows a break is only guessed at: {told}");
    }
}

#[test]
fn an_empty_file_is_no_default_proxy() {
    for empty in ["", "\n\n", "# nothing\n", "\u{feff}"] {
        assert_eq!(
            refused(empty),
            "the configuration is empty; it needs [server] with listen, an [[upstream]] and a \
             [[route]]\n",
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_sentence() {
    let directory = std::env::temp_dir().join(format!("sluicegate-config-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let told = |path: &Path| self::told(&[read(path).expect_err("must be refused")]);

    assert_eq!(told(&directory.join("missing.toml")), "there is no such file\n");
    assert_eq!(told(&directory), "this is a directory; --config takes the path of a TOML file\n");
    let file = directory.join("file.toml");
    fs::write(&file, b"# one\n# two\n# thr\xffe\n").unwrap();
    assert_eq!(told(&file), "line 3: the file is not valid UTF-8, as TOML has to be\n");
    assert_eq!(told(&file.join("below")), format!("{}\n", not_a_directory()));
    fs::write(&file, vec![b'#'; (4 << 20) + 1]).unwrap();
    assert_eq!(told(&file), "the file is larger than 4MiB; it cannot be a configuration\n");
    fs::write(&file, SAMPLE).unwrap();
    assert_eq!(read(&file).as_deref(), Ok(SAMPLE));
    fs::remove_dir_all(&directory).unwrap();
}

fn not_a_directory() -> String {
    let error = std::io::Error::from(rustix::io::Errno::NOTDIR);
    format!("the file cannot be read: {error}")
}

#[test]
fn a_problem_is_printed_as_compilers_do() {
    let problems = parse(&SAMPLE.replace("= 100\n", "= 513\n")).expect_err("must be refused");
    assert_eq!(
        problems[0].in_file(Path::new("gate.toml")),
        "gate.toml:11: limits.headers: must be from 1 to 512, not 513",
    );
    let problems = [read(Path::new("/nonexistent.toml")).expect_err("must be refused")];
    assert_eq!(
        problems[0].in_file(Path::new("/nonexistent.toml")),
        "/nonexistent.toml: there is no such file",
    );
}

#[test]
fn admin() {
    check_rows(&[
        (
            r#"listen    = "off""#,
            r#"listen = "localhost:9090""#,
            "line 46: admin.listen: \"localhost:9090\" is no address to listen on: write \
             ip:port, \"127.0.0.1:8080\", or \"[::1]:8080\" for IPv6; did you mean \
             \"127.0.0.1:9090\"?",
        ),
        (
            r#"listen    = "off""#,
            r#"listen = "127.0.0.1:8080""#,
            "line 46: admin.listen: is taken by server.listen",
        ),
        (
            r#"listen    = "off""#,
            "listen = \"0.0.0.0:8080\"\ntoken_file = \"admin.token\"",
            "line 46: admin.listen: is taken by server.listen",
        ),
        (
            r#"listen    = "off""#,
            r#"listen = "0.0.0.0:9090""#,
            "line 46: admin.listen: 0.0.0.0:9090 can be reached from other machines, so \
             admin.token_file is required, or admin.tls.client_ca; without both, listen on a loopback address",
        ),
        (
            r#"listen    = "off""#,
            "listen = \"0.0.0.0:9090\"\ntoken_file = \"/etc/missing\"",
            "line 47: admin.token_file: /etc/missing: no such file",
        ),
        (
            r#"listen    = "off""#,
            "hosts = [\"https://gate.example\"]",
            "line 46: admin.hosts[0]: must be a name such as \"gate.example.org\", without scheme and port",
        ),
        (
            r#"listen    = "off""#,
            r#"token_file = "/etc/short""#,
            "line 46: admin.token_file: /etc/short must hold one line of 16 to 512 visible \
             ASCII characters",
        ),
        (
            r#"listen    = "off""#,
            r#"token_file = "/etc/two""#,
            "line 46: admin.token_file: /etc/two must hold one line of 16 to 512 visible \
             ASCII characters",
        ),
    ]);
}

#[test]
fn trace() {
    let rule = "must be \"off\" or a URL such as \"http://127.0.0.1:4318/v1/traces\"";
    let on = SAMPLE.replace("context   = \"off\"", "context   = \"continue\"");
    let export = "export    = \"off\"";
    for (url, expected) in [
        ("collector:4318", rule),
        ("http://collector", "\"collector\" has no port: write host:port"),
        ("http://:4318", "\":4318\" is neither a host name nor an address"),
        ("http://user@collector:4318", "takes neither a user nor a password"),
        ("http://collector:4318/a b", "has a character in its path or its query that no URL has"),
    ] {
        let text = on.replace(export, &format!("export = \"{url}\""));
        assert_eq!(refused(&text), format!("line 53: trace.export: {expected}\n"), "{url}");
    }
    check_rows(&[
        (
            export,
            "export = \"http://collector:4318\"",
            "line 53: trace.export: needs trace.context: without it no exchange is part of a trace",
        ),
        (
            "context   = \"off\"",
            "context = \"on\"",
            "line 51: trace.context: must be \"off\" or \"continue\" or \"restart\", not \"on\"",
        ),
        ("sample    = 1", "sample = 1.5", "line 52: trace.sample: must be from 0 to 1, not 1.5"),
        ("sample    = 1", "sample = -1", "line 52: trace.sample: must be from 0 to 1, not -1"),
        ("sample    = 1", "sample = nan", "line 52: trace.sample: must be from 0 to 1, not nan"),
        (
            "sample    = 1",
            "sample = \"1%\"",
            "line 52: trace.sample: must be a number from 0 to 1, not a string",
        ),
        (
            "service   = \"sluicegate\"",
            "service = \"\"",
            "line 54: trace.service: must be 1 to 64 visible ASCII characters, not \"\"",
        ),
        (
            "queue     = 2048",
            "queue = 1",
            "line 57: trace.queue: must be from 16 to 1048576, not 1",
        ),
    ]);
}

#[test]
fn recorder() {
    check_rows(&[
        (
            "streams   = \"off\"",
            "streams = 0",
            "line 59: recorder.streams: must be from 1 to 100000, not 0",
        ),
        ("keep      = 32", "keep = 0", "line 60: recorder.keep: must be from 1 to 1000, not 0"),
    ]);
}

#[test]
fn usage_and_prices() {
    let with = |text: &str| format!("{text}\n{SAMPLE}");
    for (text, expected) in [
        ("[usage]\nseries = 0", "line 2: usage.series: must be from 1 to 10000, not 0"),
        ("[usage]\nserie = 5", "line 2: usage.serie: unknown key; did you mean \"series\"?"),
        ("[usage]\ncurrency = \"$\"", "line 2: usage.currency: must be 1 to 16 ASCII letters"),
        ("[[price]]\nmodel = \"a\"\ninput = 1.5", "line 1: price[0].output: is required"),
        ("[[price]]\ninput = 1\noutput = 1", "line 1: price[0].model: is required"),
        (
            "[[price]]\nmodel = \"a\"\ninput = 0.0000001\noutput = 1",
            "line 3: price[0].input: must be from 0 to 1000000 for a million tokens, with 6 digits",
        ),
        (
            "[[price]]\nmodel = \"a\"\ninput = -1\noutput = 1000001",
            "line 4: price[0].output: must be from 0",
        ),
        (
            "[[price]]\nmodel = \"a\"\ninput = 1\noutput = \"1\"",
            "line 4: price[0].output: must be a number such as 2.50, not a string",
        ),
    ] {
        let told = refused(&with(text));
        assert!(told.contains(expected), "{told}");
    }
}
