//! The real binary between real clients and real servers.
//!
//! The clients (curl, hey, httpx, websockets, the SDKs of OpenAI, Anthropic, Ollama and Gemini for
//! Python and Node.js, LangChain) and the servers (uvicorn, websockets, llama.cpp's, MLServer, and one
//! that is rude on purpose) are driven by the scripts in `tests/clients/`. A script checks and exits; a
//! test here starts what the script needs and reports its verdict. What each script asserts is told in its
//! head.
//!
//! Absent on purpose: assertions about bytes. Those are the wire tests'.

#[path = "clients/dialects.rs"]
mod dialects;
#[path = "clients/stage.rs"]
mod stage;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use stage::{Gateway, Server, Temporary, free_port, one_at_a_time, script};

/// Runs a script that is told the addresses of these gateways, and ends them.
fn script_before<const COUNT: usize>(name: &str, gateways: [Gateway; COUNT], arguments: &[&str]) {
    let urls = gateways.each_ref().map(|gateway| gateway.url(""));
    let urls = urls.each_ref().map(String::as_str);
    script(name, &[&urls[..], arguments].concat());
    for gateway in gateways {
        gateway.stop();
    }
}

#[test]
fn the_openai_sdk_streams_at_the_pace_of_the_server() {
    let _alone = one_at_a_time();
    let server = Server::start("paced_server.py", &[]);
    let gateway = Gateway::before(server.address());
    script("openai_stream.py", &[&gateway.url("/v1")]);
    gateway.stop();
}

#[test]
fn the_openai_sdk_streams_from_the_mock_server() {
    let _alone = one_at_a_time();
    let mock = Gateway::mock();
    let gateway = Gateway::before(mock.address());
    let pace = ["--query", "rate=50", "--query", "tokens=60", "--interval-ms", "20"];
    script("openai_stream.py", &[&[gateway.url("/v1").as_str()], &pace[..]].concat());
    gateway.stop();
    mock.stop();
}

#[test]
fn the_sdks_read_what_the_gateway_says_in_their_dialects() {
    let folder = Temporary::folder("dialects");
    dialects::write(folder.path());
    script("dialects.py", &[folder.path().to_str().expect("a path in UTF-8")]);
}

#[test]
fn the_sdks_read_the_list_of_models() {
    let upstream = "[[upstream]]\nname = \"stated\"\nendpoints = [\"127.0.0.1:9\"]\n\
                    models = [\"meta-llama/Llama-3.1-8B\", \"qwen:7b\", \"c\", \"d\"]\n\n";
    let routes = "[[route]]\npath = \"/v1/*\"\nupstream = \"stated\"\n\
                  [[route]]\npath = \"/v1/*\"\nwhen = { model = \"fast\" }\nupstream = \"stated\"\n\
                  [[route]]\npath = \"/v1/models*\"\nmodels = [\"stated\"]\n\
                  [[route]]\npath = \"/api/tags\"\nmodels = [\"stated\"]\n";
    let gateway = Gateway::with_route("127.0.0.1:9", upstream, routes);
    let names = ["fast", "meta-llama/Llama-3.1-8B", "qwen:7b", "c", "d"];
    script("model_lists.py", &[&[gateway.url("").as_str()], &names[..]].concat());
    gateway.stop();
}

/// The block of Python in docs/quickstart.md, as it stands there but for the address.
#[test]
fn the_quick_start_of_python_is_what_the_sdk_takes() {
    let _alone = one_at_a_time();
    let page = include_str!("../docs/quickstart.md");
    let block = page.split("```python\n").nth(1).and_then(|text| text.split("```").next());
    let mock = Gateway::mock();
    let gateway = Gateway::before(mock.address());
    let block = block.expect("the block").replace("http://127.0.0.1:8080", &gateway.url(""));
    let folder = Temporary::folder("quickstart");
    let file = folder.path().join("first.py");
    std::fs::write(&file, block).expect("a temporary file");
    script(file.to_str().expect("a path in UTF-8"), &[]);
    gateway.stop();
    mock.stop();
}

#[test]
fn the_manifests_of_kubernetes_are_valid_and_fit_together() {
    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deploy/kubernetes.yaml");
    script("manifests.py", &[env!("CARGO_BIN_EXE_sluicegate"), manifests]);
}

#[test]
fn httpx_streams_both_ways_and_its_leaving_is_noticed() {
    let _alone = one_at_a_time();
    let server = Server::start("paced_server.py", &[]);
    let gateway = Gateway::before(server.address());
    script("httpx_stream.py", &[&gateway.url(""), "--direct", &server.url("")]);
    gateway.stop();
}

#[test]
fn curl_shows_each_chunk_when_it_is_sent() {
    let _alone = one_at_a_time();
    let server = Server::start("paced_server.py", &[]);
    let gateway = Gateway::before(server.address());
    let url = gateway.url("/stream?chunks=4&interval_ms=500");
    script("curl_stream.sh", &[&url, "4", "500"]);
    gateway.stop();
}

#[test]
fn curl_shows_each_chunk_of_the_mock_server() {
    let _alone = one_at_a_time();
    let mock = Gateway::mock();
    let gateway = Gateway::before(mock.address());
    script("curl_stream.sh", &[&gateway.url("/stream"), "4", "500", " "]);
    gateway.stop();
    mock.stop();
}

#[test]
fn curl_uploads_and_downloads_at_once() {
    let _alone = one_at_a_time();
    let server = Server::start("paced_server.py", &[]);
    let gateway = Gateway::before(server.address());
    script("curl_duplex.py", &[&gateway.url("/duplex")]);
    gateway.stop();
}

#[test]
fn a_websocket_is_a_tunnel() {
    let _alone = one_at_a_time();
    let port = free_port();
    let gateway = Gateway::before(&format!("127.0.0.1:{port}"));
    let url = gateway.url("/ws").replace("http://", "ws://");
    script("websocket_echo.py", &[&url, &port.to_string()]);
    gateway.stop();
}

#[test]
fn llama_cpp_through_the_gateway_is_llama_cpp() {
    let _alone = one_at_a_time();
    let server = Server::llama();
    let gateway = Gateway::before(server.address());
    script("llama_compare.py", &[&gateway.url(""), "--direct", &server.url("")]);
    gateway.stop();
}

#[test]
fn the_openai_sdk_reads_llama_cpp_over_https_while_it_writes() {
    let _alone = one_at_a_time();
    let server = Server::llama();
    let folder = Temporary::folder("tls");
    let file = |name: &str| folder.path().join(name).to_str().expect("a path in UTF-8").to_owned();
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"))
        .args(["cert", "--self-signed", "--certificate", &certificate, "--key", &key])
        .output()
        .expect("the binary starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let section = format!(
        "[server.tls]\nlisten = [\"127.0.0.1:{port}\"]\n\
         certificates = [{{ certificate = \"{certificate}\", key = \"{key}\" }}]\n\n"
    );
    let gateway = Gateway::with(server.address(), &section);
    let url = format!("https://localhost:{port}");
    script("llama_tls.py", &[&url, &certificate, "--direct", &server.url("")]);
    gateway.stop();
}

#[test]
fn the_sdks_of_openai_and_anthropic_before_servers_of_the_other_dialect() {
    let _alone = one_at_a_time();
    let (llama, tools) = (Server::llama(), Server::start("tool_server.py", &[]));
    let gateways = [
        Gateway::translating(llama.address(), "anthropic"),
        Gateway::translating(llama.address(), "openai"),
        Gateway::translating(tools.address(), "anthropic"),
        Gateway::translating(tools.address(), "openai"),
    ];
    let [messages, chats, tool_messages, tool_chats] =
        gateways.each_ref().map(|gateway| gateway.url(""));
    let direct = llama.url("");
    for name in ["translated.py", "translated_responses.py"] {
        script(
            name,
            &[&messages, &chats, "--direct", &direct, "--tools", &tool_messages, &tool_chats],
        );
    }
    for gateway in gateways {
        gateway.stop();
    }
}

#[test]
fn the_sdks_read_the_answers_of_a_server_of_tensors() {
    let _alone = one_at_a_time();
    let server = Server::mlserver();
    let gateway = Gateway::translating(server.address(), "kserve");
    script("translated_kserve.py", &[&gateway.url("")]);
    gateway.stop();
}

#[test]
fn the_sdks_for_node_stream_at_the_pace_of_the_server() {
    let _alone = one_at_a_time();
    let server = Server::start("paced_server.py", &[]);
    let gateway = Gateway::before(server.address());
    script("node/paced.js", &[&gateway.url("")]);
    gateway.stop();
}

#[test]
fn the_sdks_for_node_before_servers_of_their_own_and_of_the_other_dialect() {
    let _alone = one_at_a_time();
    let (llama, tools) = (Server::llama(), Server::start("tool_server.py", &[]));
    let paced = Server::start("paced_server.py", &[]);
    let gateways = [
        Gateway::translating(llama.address(), "anthropic"),
        Gateway::translating(llama.address(), "openai"),
        Gateway::before(llama.address()),
        Gateway::translating(tools.address(), "anthropic"),
        Gateway::translating(tools.address(), "openai"),
        Gateway::translating(paced.address(), "openai"),
    ];
    script_before("node/translated.js", gateways, &["--direct", &llama.url("")]);
}

#[test]
fn clients_of_ollama_and_gemini_and_all_sdks_before_servers_of_theirs() {
    let _alone = one_at_a_time();
    let server = Server::start("stand_in.py", &[]);
    let direct = server.url("");
    let gateways = [
        Gateway::before(server.address()),
        Gateway::translating(server.address(), "ollama"),
        Gateway::translating(server.address(), "gemini"),
    ];
    script_before("stand_ins.py", gateways, &["--direct", &direct]);
    let dead = format!("127.0.0.1:{}", free_port());
    let gateways = [Gateway::before(server.address()), Gateway::before(&dead)];
    script_before("node/stand_ins.js", gateways, &["--direct", &direct]);
}

#[test]
fn langchain_before_servers_of_its_own_and_of_another_dialect() {
    let _alone = one_at_a_time();
    let (llama, tools) = (Server::llama(), Server::start("tool_server.py", &[]));
    let stand_in = Server::start("stand_in.py", &[]);
    let gateways = [
        Gateway::translating(llama.address(), "anthropic"),
        Gateway::translating(llama.address(), "openai"),
        Gateway::before(llama.address()),
        Gateway::translating(tools.address(), "anthropic"),
        Gateway::translating(tools.address(), "openai"),
        Gateway::before(stand_in.address()),
        Gateway::translating(stand_in.address(), "ollama"),
    ];
    script_before("langchains.py", gateways, &["--direct", &llama.url("")]);
}

#[test]
fn a_loop_of_tools_is_read_by_llama_cpp_as_without_translation() {
    let _alone = one_at_a_time();
    let llama = Server::llama_with(&["--tools"]);
    let tools = Server::start("tool_server.py", &[]);
    let gateways = [
        Gateway::translating(llama.address(), "anthropic"),
        Gateway::translating(llama.address(), "openai"),
        Gateway::translating(tools.address(), "anthropic"),
        Gateway::translating(tools.address(), "openai"),
    ];
    script_before("tool_loop.py", gateways, &["--direct", &llama.url("")]);
}

#[test]
fn a_stream_of_llama_cpp_that_is_cut_goes_on_behind_its_text() {
    let _alone = one_at_a_time();
    let server = Server::llama();
    let port = free_port();
    let upstream = format!("127.0.0.1:{port}");
    let gateway = Gateway::with_route(&upstream, "", "continue = {}");
    let (through, direct, port) = (gateway.url(""), server.url(""), port.to_string());
    script("llama_continue.py", &[&through, "--direct", &direct, "--cutter", &port]);
    gateway.stop();
}

#[test]
fn sixty_of_sixty_from_llama_cpp_which_closes_behind_every_stream() {
    let _alone = one_at_a_time();
    let server = Server::llama();
    let gateway = Gateway::before(server.address());
    let body = r#"{"prompt":"water","n_predict":8,"temperature":0,"stream":true}"#;
    script("pool_load.py", &[&gateway.url("/completion"), "--body", body]);
    gateway.stop();
}

#[test]
fn sixty_of_sixty_from_uvicorn_which_closes_idle_connections() {
    let _alone = one_at_a_time();
    let server = Server::start("paced_server.py", &["--keep-alive", "0.05"]);
    let gateway = Gateway::before(server.address());
    script("pool_load.py", &[&gateway.url("/echo")]);
    gateway.stop();
}

/// Sixty of sixty, with a server that treats its connections as `mode` says.
fn sixty_of_sixty(mode: &str, arguments: &[&str]) {
    let _alone = one_at_a_time();
    let server = Server::start("rude_server.py", &[mode]);
    let gateway = Gateway::before(server.address());
    let (through, direct) = (gateway.url("/infer"), server.url(""));
    script("pool_load.py", &[&[through.as_str(), "--direct", &direct], arguments].concat());
    gateway.stop();
}

#[test]
fn a_server_that_keeps_connections_alive_is_reached_on_few() {
    sixty_of_sixty("polite", &["--reuse", "most"]);
}

#[test]
fn sixty_of_sixty_from_a_server_that_closes_behind_each_answer() {
    sixty_of_sixty("close_after_response", &["--reuse", "none"]);
}

#[test]
fn sixty_of_sixty_from_a_server_that_closes_behind_each_stream() {
    sixty_of_sixty("close_after_stream", &["--reuse", "none"]);
}

// Requests come 50 ms apart, so that pooled connections are closed in the very moment of their use.
#[test]
fn sixty_of_sixty_from_a_server_that_closes_when_the_next_request_is_due() {
    sixty_of_sixty("close_idle_ms=50", &["--reuse", "some", "--rate", "20"]);
}

#[test]
fn sixty_of_sixty_from_a_server_that_resets_when_the_next_request_is_due() {
    sixty_of_sixty("rst_idle_ms=50", &["--reuse", "some", "--rate", "20"]);
}

#[test]
fn sixty_of_sixty_from_a_server_that_closes_on_the_second_request() {
    sixty_of_sixty("close_on_reuse", &["--reuse", "some"]);
}

#[test]
fn sixty_of_sixty_from_a_server_that_resets_on_the_second_request() {
    sixty_of_sixty("rst_on_reuse", &["--reuse", "some"]);
}

#[test]
fn stray_bytes_behind_an_answer_reach_nobody() {
    sixty_of_sixty("stray_bytes", &["--reuse", "none"]);
}

// One connection, and idle far longer than the server's limit: a 408 that crosses a request on its
// way could not be told from its answer, by us or by anybody.
#[test]
fn a_408_on_an_idle_connection_reaches_nobody() {
    sixty_of_sixty("stray_408_ms=50", &["--reuse", "some", "--rate", "5", "--connections", "1"]);
}

/// Streams a completion through `gateway`, as part of the trace it is given.
fn complete(gateway: &Gateway, traceparent: &str) {
    let body = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"one two three"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\ntraceparent: {traceparent}\r\n\r\n\
         {body}",
        body.len()
    );
    let mut stream = TcpStream::connect(gateway.address()).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("[DONE]"), "{answer}");
}

#[test]
fn a_collector_understands_the_spans() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let _alone = one_at_a_time();
    let folder = Temporary::folder("spans");
    let file = folder.path().join("spans.jsonl");
    let collector = Server::start("otlp_receiver.py", &[file.to_str().expect("UTF-8")]);
    let mock = Gateway::mock();
    let section = format!(
        "[trace]\ncontext = \"continue\"\nservice = \"edge\"\ninterval = \"100ms\"\nexport = \"{}\"\n",
        collector.url("")
    );
    let gateway = Gateway::with(mock.address(), &section);
    // The second is part of a trace that is not sampled, and has no spans.
    complete(&gateway, &format!("00-{TRACE}-b7ad6b7169203331-01"));
    complete(&gateway, &format!("00-{}-b7ad6b7169203331-00", TRACE.replace('0', "1")));
    let begin = Instant::now();
    let lines = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text.lines().count() >= 2 {
            break text;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "no spans: {text}");
        std::thread::sleep(Duration::from_millis(10));
    };
    // What waits is sent before the process ends.
    complete(&gateway, &format!("00-{TRACE}-b7ad6b7169203332-01"));
    gateway.stop();
    let after = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(after.lines().count(), 4, "{after}");
    let spans: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [server, client] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((&server["kind"], &client["kind"]), (&2.into(), &3.into()), "{spans:#?}");
    for span in &spans {
        assert_eq!(span["trace"], TRACE);
        assert_eq!(span["resource"]["service.name"], "edge");
        assert_eq!(span["error"], false);
        let attributes = &span["attributes"];
        assert_eq!(attributes["http.request.method"], "POST");
        assert_eq!(attributes["http.response.status_code"], 200);
    }
    assert_eq!(
        (&server["parent"], &client["parent"]),
        (&"b7ad6b7169203331".into(), &server["span"])
    );
    assert_eq!(server["name"], "POST /*");
    assert_eq!(client["attributes"]["gen_ai.operation.name"], "chat");
    assert_eq!(client["attributes"]["gen_ai.usage.output_tokens"], 16);
    assert_eq!(client["attributes"]["url.full"], format!("{}/v1/chat/completions", mock.url("")));
    // Sixteen tokens, twenty a second.
    let micros = |span: &Value| span["micros"].as_u64().expect("a number");
    assert!((700_000..2_000_000).contains(&micros(client)) && micros(client) <= micros(server));
    mock.stop();
}

#[test]
fn the_dashboard_moves_and_its_button_kills() {
    let _alone = one_at_a_time();
    let mock = Gateway::mock();
    let (gateway, admin, token) = Gateway::watched(mock.address());
    script("dashboard.py", &[&admin, token, &gateway.url("")]);
    gateway.stop();
    mock.stop();
}

#[test]
fn top_fits_its_window_and_leaves_the_terminal_as_it_was() {
    let _alone = one_at_a_time();
    let mock = Gateway::mock();
    let (gateway, admin, _) = Gateway::watched(mock.address());
    script("top_window.py", &[env!("CARGO_BIN_EXE_sluicegate"), &admin]);
    gateway.stop();
    mock.stop();
}

#[test]
fn a_page_in_a_browser_calls_and_a_strangers_page_may_not() {
    let _alone = one_at_a_time();
    let mock = Gateway::mock();
    let port = free_port();
    let route = format!("cors = {{ origins = [\"http://127.0.0.1:{port}\"] }}");
    let gateway = Gateway::with_route(mock.address(), "", &route);
    script("page_calls.py", &[&gateway.url(""), &port.to_string()]);
    gateway.stop();
    mock.stop();
}

#[test]
fn the_page_of_a_turn_is_stepped_through() {
    let folder = Temporary::folder("turns");
    let page = folder.path().join("token.html");
    let page = page.to_str().expect("a path in UTF-8");
    let written = std::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"))
        .args(["turns", "token", "--html", page])
        .status()
        .expect("the binary runs");
    assert!(written.success(), "{written}");
    script("turns.py", &[page]);
}
