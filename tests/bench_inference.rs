//! `sluicegate bench --api` as its callers see it: the real binary, real servers, real sockets.
//!
//! What is checked are counts, fields, bytes that a server received, and times that cannot be shorter than a
//! server's pace. How exactly times are measured is shown where the clock is virtual
//! (`src/bench/inference/load/tests.rs`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A folder of this test run, removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("sluicegate-inference-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder is made");
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("the path is UTF-8").to_owned()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server of ours, ended with this value.
struct Server(Child, SocketAddr);

impl Server {
    fn start(arguments: impl Fn(&str) -> Vec<String>) -> Server {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
            .args(arguments(&address.to_string()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let give_up = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < give_up, "the server does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Server(child, address)
    }

    /// A mock whose first token comes after 100 ms, and one each 20 ms behind it.
    fn paced() -> Server {
        Server::start(|address| {
            let speed = ["--first-token", "100ms", "--rate", "50", "--tokens", "16"];
            let listen = ["mock", "--listen", address];
            listen.iter().chain(&speed).map(|it| (*it).to_owned()).collect()
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bench(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.arg("bench").args(arguments).stdin(Stdio::null()).envs(variables.iter().copied());
    command.output().expect("the binary runs")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report of a bench, whatever its exit code.
fn report(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (Value, Output) {
    let folder = Folder::new(name);
    let json = folder.file("report.json");
    let output = bench(&[arguments, &["--json", &json]].concat(), variables);
    let text = fs::read_to_string(&json).unwrap_or_else(|why| panic!("{why}: {}", told(&output)));
    (serde_json::from_str(&text).expect("the report is JSON"), output)
}

fn figure(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no figure: {value}"))
}

#[test]
fn a_paced_server_is_told_as_it_is_in_every_form() {
    let server = Server::paced();
    let folder = Folder::new("forms");
    let [json, csv, html, records] =
        ["r.json", "r.csv", "r.html", "r.jsonl"].map(|name| folder.file(name));
    let url = server.url();
    let output = bench(
        &[
            "--api",
            "openai",
            "--url",
            &url,
            "--model",
            "mock",
            "--sweep",
            "concurrency=1,3",
            "--requests",
            "6",
            "--output-tokens",
            "9",
            "--slo",
            "ttft=60s,itl=60s",
            "--json",
            &json,
            "--csv",
            &csv,
            "--html",
            &html,
            "--records",
            &records,
        ],
        &[],
    );
    assert!(output.status.success(), "{}", told(&output));
    assert!(output.stderr.is_empty(), "no progress where nobody watches: {}", told(&output));
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("concurrency 3") && table.contains("TTFT p50"), "{table}");

    let report: Value = serde_json::from_str(&folder.read("r.json")).expect("JSON");
    let levels = report["levels"].as_array().expect("levels");
    assert_eq!(levels.len(), 2);
    for level in levels {
        assert_eq!(level["requests"]["succeeded"], 6, "{level}");
        assert_eq!(level["tokens"]["output_counted_by"], "usage");
        assert_eq!(figure(&level["tokens"]["output"]["mean"]), 9.0, "max_tokens was obeyed");
        assert_eq!(figure(&level["itl_ms"]["count"]), 6.0 * 8.0);
        assert_eq!(figure(&level["goodput"]["share"]), 1.0);
        // A server that waits can be late, and never early. Its clock and ours are read apart.
        let (ttft, tpot) = (figure(&level["ttft_ms"]["min"]), figure(&level["tpot_ms"]["p50"]));
        assert!(ttft >= 99.0 && (15.0..1_000.0).contains(&tpot), "{ttft}, {tpot}");
        assert!(figure(&level["e2e_ms"]["min"]) >= 255.0, "{level}");
        let rate = figure(&level["requests_per_second"]) * figure(&level["seconds"]);
        assert!((rate - 6.0).abs() < 1e-6, "{rate}");
    }

    let lines: Vec<String> = folder.read("r.csv").lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "a line of names, and one for each level");
    let column = lines[0].split(',').position(|name| name == "ttft_ms_p50").expect("a column");
    let cell = lines[2].split(',').nth(column).expect("a cell");
    let cell: f64 = cell.parse().expect("a number");
    // JSON is read back to the last bit but one.
    assert!((cell - figure(&levels[1]["ttft_ms"]["p50"])).abs() < 1e-6, "{cell}");

    let seen: Vec<Value> = folder
        .read("r.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(seen.len(), 12);
    assert!(seen.iter().all(|one| one["output_tokens"] == 9 && one["failure"].is_null()));
    let jobs: std::collections::BTreeSet<u64> =
        seen.iter().filter_map(|one| one["job"].as_u64()).collect();
    assert_eq!(jobs.len(), 12, "no level asks what another has asked");

    let page = folder.read("r.html");
    assert!(page.starts_with("<!doctype html>") && page.matches("<svg").count() >= 10);
    for outside in ["<script", "href=", "src=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("Time to first token") && page.contains("Goodput"));
}

#[test]
fn a_file_that_cannot_be_written_takes_no_figures_away() {
    let (server, folder) = (Server::paced(), Folder::new("unwritten"));
    // A link into a folder that is not there: nobody sees it before it is written to.
    let (csv, nowhere) = (folder.file("figures.csv"), folder.file("folder.json"));
    std::os::unix::fs::symlink(folder.file("no/such/folder.json"), &nowhere).expect("a link");
    let url = server.url();
    let base = ["--api", "openai", "--url", &url, "--model", "m", "--requests", "2"];
    let files = ["--output-tokens", "4", "--json", &nowhere, "--csv", &csv];
    let output = bench(&[&base[..], &files].concat(), &[]);
    assert!(!output.status.success() && told(&output).contains("folder.json"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("openai-chat at"), "{output:?}");
    assert!(folder.read("figures.csv").lines().count() > 1);
}

#[test]
fn failures_are_counted_by_kind_and_told() {
    let server = Server::paced();
    for (fault, kind) in [
        ("status=429", "status_429"),
        ("status=500", "status_500"),
        ("reset_after=2", "broken"),
        ("cut=2", "broken"),
        ("error_event=2", "error_in_answer"),
        ("no_done&no_finish", "incomplete"),
        ("silent", "silent"),
    ] {
        let path = format!("/v1/chat/completions?{fault}&every=2&first_token=1ms&rate=0");
        let url = server.url();
        let arguments = [
            "--api",
            "openai",
            "--url",
            &url,
            "--model",
            "mock",
            "--path",
            &path,
            "--requests",
            "6",
            "--timeout",
            "1s",
        ];
        let (report, output) = report(kind, &arguments, &[]);
        assert!(output.status.success(), "{fault}: half were answered: {}", told(&output));
        let level = &report["levels"][0];
        assert_eq!(level["failures"][kind]["count"], 3, "{fault}: {level}");
        assert_eq!(
            (&level["requests"]["succeeded"], &level["requests"]["failed"]),
            (&3.into(), &3.into())
        );
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(table.contains(&format!("3 × {kind}")), "{table}");
    }
}

#[test]
fn a_server_that_answers_nothing_fails_with_a_sentence() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://{}", gone.local_addr().expect("its address"));
    drop(gone);
    let server = Server::paced();
    let no_route = format!("{}/nowhere/v1", server.url());
    for (url, kind) in [(nobody, "connect"), (no_route, "status_404")] {
        let arguments = ["--api", "openai", "--url", &url, "--model", "m", "--requests", "1000"];
        let (report, output) = report(kind, &arguments, &[]);
        assert_eq!(output.status.code(), Some(1));
        let said = told(&output);
        assert!(said.contains("answered no request") && said.contains(&url), "{said}");
        let failures = report["levels"][0]["failures"][kind]["count"].as_u64();
        assert!(failures.is_some_and(|count| (20..40).contains(&count)), "given up: {failures:?}");
    }
}

/// A server of no framework: it keeps what it was sent and answers by path.
struct Plain {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Plain {
    fn start() -> Plain {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keeps = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keeps = Arc::clone(&keeps);
                thread::spawn(move || Plain::serve(stream, &keeps));
            }
        });
        Plain { address, heard }
    }

    fn serve(stream: TcpStream, keeps: &Mutex<Vec<(String, Value)>>) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut writer = stream;
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).ok()? == 0 {
                    return None;
                }
            }
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
            let mut body = vec![0; length.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            let path = head.split(' ').nth(1)?.to_owned();
            keeps.lock().ok()?.push((head, serde_json::from_slice(&body).ok()?));
            writer.write_all(answer(&path).as_bytes()).ok()?;
        }
    }
}

/// Two tokens, as each API streams them; the server has counted seven and two.
fn answer(path: &str) -> String {
    let (media, body) = match path {
        "/v1/responses" => (
            "text/event-stream",
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n\
             data: {\"type\":\"response.output_text.delta\",\"delta\":\"b\"}\n\n\
             data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\
             \"usage\":{\"input_tokens\":7,\"output_tokens\":2}}}\n\n",
        ),
        "/v1/messages" => (
            "text/event-stream",
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n\
             event: d\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n\
             event: d\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"b\"}}\n\n\
             event: m\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n\
             event: s\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
        "/api/chat" => (
            "application/x-ndjson",
            "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"message\":{\"content\":\"b\"},\"done\":false}\n\
             {\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":7,\"eval_count\":2}\n",
        ),
        "/api/generate" => (
            "application/x-ndjson",
            "{\"response\":\"a\",\"done\":false}\n{\"response\":\"b\",\"done\":false}\n\
             {\"response\":\"\",\"done\":true,\"prompt_eval_count\":7,\"eval_count\":2}\n",
        ),
        "/generate_stream" => (
            "text/event-stream",
            "data:{\"token\":{\"text\":\"a\",\"special\":false},\"generated_text\":null}\n\n\
             data:{\"token\":{\"text\":\"b\",\"special\":false},\"generated_text\":\"ab\",\
             \"details\":{\"generated_tokens\":2,\"input_length\":7}}\n\n",
        ),
        _ => (
            "text/event-stream",
            "data: {\"choices\":[{\"text\":\"a\",\"delta\":{\"content\":\"a\"}}]}\n\n\
             data: {\"choices\":[{\"text\":\"b\",\"delta\":{\"content\":\"b\"}}]}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n\
             data: [DONE]\n\n",
        ),
    };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

#[test]
fn every_api_is_asked_in_its_words_with_a_key_that_nobody_else_sees() {
    const SECRET: &str = "sk-of-the-test-8fe1";
    let server = Plain::start();
    let url = format!("http://{}", server.address);
    for (api, path, field) in [
        ("openai-chat", "/v1/chat/completions", "Authorization: Bearer sk-of-the-test-8fe1"),
        ("openai-completions", "/v1/completions", "Authorization: Bearer sk-of-the-test-8fe1"),
        ("openai-responses", "/v1/responses", "Authorization: Bearer sk-of-the-test-8fe1"),
        ("anthropic", "/v1/messages", "x-api-key: sk-of-the-test-8fe1"),
        ("ollama-chat", "/api/chat", "Authorization: Bearer sk-of-the-test-8fe1"),
        ("ollama-generate", "/api/generate", "Authorization: Bearer sk-of-the-test-8fe1"),
        ("tgi", "/generate_stream", "Authorization: Bearer sk-of-the-test-8fe1"),
    ] {
        let arguments = [
            "--api",
            api,
            "--url",
            &url,
            "--model",
            "m",
            "--requests",
            "3",
            "--key-env",
            "BENCH_KEY",
            "--header",
            "X-Team: a",
            "--prompt-tokens",
            "5",
            "--output-tokens",
            "2",
        ];
        let (report, output) = report(api, &arguments, &[("BENCH_KEY", SECRET)]);
        assert!(output.status.success(), "{api}: {}", told(&output));
        let level = &report["levels"][0];
        assert_eq!(level["requests"]["succeeded"], 3, "{api}: {level}");
        let tokens = &level["tokens"];
        assert_eq!(
            (figure(&tokens["input"]["mean"]), figure(&tokens["output"]["mean"])),
            (7.0, 2.0)
        );
        assert_eq!(
            (&tokens["output_counted_by"], &level["itl_ms"]["count"]),
            (&"usage".into(), &3.into())
        );
        assert_eq!(level["connections"], 1, "{api}: a connection is kept");
        let all = format!("{report}{}{}", told(&output), String::from_utf8_lossy(&output.stdout));
        assert!(!all.contains(SECRET), "{api}");
        let heard = std::mem::take(&mut *server.heard.lock().expect("nobody panics"));
        assert_eq!(heard.len(), 3);
        for (head, body) in heard {
            assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{head}");
            assert!(head.contains(field) && head.contains("X-Team: a\r\n"), "{head}");
            assert!(api == "tgi" || body["model"] == "m", "{body}");
        }
    }
}

#[test]
fn the_same_seed_asks_the_same_and_prefixes_are_shared() {
    let server = Plain::start();
    let url = format!("http://{}", server.address);
    let asked = |more: &[&str]| {
        let arguments = ["--api", "completions", "--url", &url, "--model", "m", "--requests", "8"];
        let output = bench(&[&arguments[..], more].concat(), &[]);
        assert!(output.status.success(), "{}", told(&output));
        let heard = std::mem::take(&mut *server.heard.lock().expect("nobody panics"));
        let prompts =
            heard.iter().map(|(_, body)| body["prompt"].as_str().unwrap_or("").to_owned());
        prompts.collect::<Vec<String>>()
    };
    let first = asked(&["--prompt-tokens", "uniform:20..40", "--seed", "7"]);
    assert_eq!(first, asked(&["--prompt-tokens", "uniform:20..40", "--seed", "7"]));
    assert_ne!(first, asked(&["--prompt-tokens", "uniform:20..40", "--seed", "8"]));
    let lengths: Vec<usize> = first.iter().map(|prompt| prompt.split(' ').count()).collect();
    assert!(lengths.iter().all(|length| (20..=40).contains(length)), "{lengths:?}");
    let shared =
        asked(&["--prompt-tokens", "100", "--shared-prefix", "0.75", "--prefix-groups", "2"]);
    let beginning = |prompt: &String| prompt.split(' ').take(75).collect::<Vec<_>>().join(" ");
    let beginnings: std::collections::BTreeSet<String> = shared.iter().map(beginning).collect();
    let whole: std::collections::BTreeSet<&String> = shared.iter().collect();
    assert_eq!((beginnings.len(), whole.len()), (2, 8));
}

#[test]
fn a_trace_and_prompts_of_ones_own_are_sent_as_they_are_written() {
    let server = Plain::start();
    let url = format!("http://{}", server.address);
    let folder = Folder::new("files");
    let file = |name: &str, text: &str| {
        fs::write(folder.0.join(name), text).expect("the file is written");
        folder.file(name)
    };
    let trace = file(
        "trace.jsonl",
        "{\"timestamp\":0,\"input_length\":6,\"output_length\":3,\"hash_ids\":[1]}\n\
         {\"timestamp\":400,\"input_length\":9,\"output_length\":5,\"hash_ids\":[1]}\n",
    );
    let arguments = ["--api", "completions", "--url", &url, "--model", "m"];
    let (report, output) = report(
        "trace",
        &[&arguments[..], &["--trace", &trace, "--trace-speed", "2"]].concat(),
        &[],
    );
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(report["levels"][0]["arrivals"], "trace");
    assert!(figure(&report["levels"][0]["seconds"]) >= 0.2, "half as long as it was");
    let heard = std::mem::take(&mut *server.heard.lock().expect("nobody panics"));
    let of = |index: usize| {
        let (_, body) = &heard[index];
        (body["prompt"].as_str().expect("text").to_owned(), body["max_tokens"].as_u64())
    };
    assert_eq!((heard.len(), of(0).1, of(1).1), (2, Some(3), Some(5)));
    assert!(of(1).0.starts_with(&of(0).0), "both begin with block 1");

    let prompts =
        file("prompts.jsonl", "{\"prompt\":\"why?\",\"output_len\":4}\n{\"prompt\":\"how?\"}\n");
    let own = ["--prompts", &prompts, "--requests", "3", "--output-tokens", "6"];
    let output = bench(&[&arguments[..], &own].concat(), &[]);
    assert!(output.status.success(), "{}", told(&output));
    let heard = std::mem::take(&mut *server.heard.lock().expect("nobody panics"));
    let seen: Vec<_> = heard
        .iter()
        .map(|(_, body)| (body["prompt"].as_str(), body["max_tokens"].as_u64()))
        .collect();
    assert_eq!(seen, [(Some("why?"), Some(4)), (Some("how?"), Some(6)), (Some("why?"), Some(4))]);

    let broken = file("broken.jsonl", "{\"prompt\":\"why?\"}\n{oops\n");
    let output = bench(&[&arguments[..], &["--prompts", &broken]].concat(), &[]);
    assert!(told(&output).contains("broken.jsonl: line 2: no JSON"), "{}", told(&output));
}

#[test]
fn tls_is_measured_where_the_certificate_is_believed() {
    let mock = Server::paced();
    let folder = Folder::new("certificates");
    let made = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
        .args(["cert", "--self-signed", "--name", "bench.test"])
        .args(["--certificate", &folder.file("cert.pem"), "--key", &folder.file("key.pem")])
        .output()
        .expect("the binary runs");
    assert!(made.status.success(), "{}", told(&made));
    let gateway = Server::start(|address| {
        let text = format!(
            "[server.tls]\nlisten = [\"{address}\"]\n\
             certificates = [{{ certificate = \"{}\", key = \"{}\" }}]\n\
             [[upstream]]\nname = \"mock\"\nendpoints = [\"{}\"]\n\
             [[route]]\npath = \"/*\"\nupstream = \"mock\"\n",
            folder.file("cert.pem"),
            folder.file("key.pem"),
            mock.1,
        );
        fs::write(folder.0.join("gate.toml"), text).expect("the file is written");
        ["run", "--config", &folder.file("gate.toml")].map(str::to_owned).to_vec()
    });
    let url = format!("https://{}", gateway.1);
    let asks = ["--api", "openai", "--url", &url, "--model", "m", "--requests", "6", "-c", "2"];
    // A prompt of several records, and a stream of many.
    let sized = ["--prompt-tokens", "20000", "--output-tokens", "12"];
    let believed = ["--ca", &folder.file("cert.pem"), "--server-name", "bench.test"];
    let (seen, output) = report("tls", &[&asks[..], &sized, &believed].concat(), &[]);
    assert!(output.status.success(), "{}", told(&output));
    let level = &seen["levels"][0];
    assert_eq!(
        (&level["requests"]["succeeded"], &seen["endpoint"]["tls"]),
        (&6.into(), &true.into())
    );
    assert_eq!(level["connections"], 2, "sessions are kept");
    for (more, part) in [
        (&["--ca", &folder.file("cert.pem")][..], "name"),
        (&["--server-name", "bench.test"], "trusted here: `--ca FILE`"),
    ] {
        let (seen, output) = report("tls-not", &[&asks[..], more].concat(), &[]);
        assert_eq!(output.status.code(), Some(1));
        let failure = &seen["levels"][0]["failures"]["tls"];
        let example = failure["example"].as_str().unwrap_or_default();
        assert!(example.contains(part), "{part}: {seen}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_asked() {
    let api = ["--api", "openai", "--url", "http://127.0.0.1:9"];
    let with_model = [&api[..], &["--model", "m"]].concat();
    let missing = ["--key-env", "A_VARIABLE_THAT_IS_NOT_SET"];
    type Refused<'a> = (&'a [&'a str], &'a [&'a str], i32, &'a str);
    let trace = [&with_model[..], &["--trace", "/nowhere.csv"]].concat();
    let folder = Folder::new("long");
    let centuries = folder.file("long.jsonl");
    let row = r#"{"timestamp":9446744073709551615,"input_length":1,"output_length":1}"#;
    std::fs::write(&centuries, format!("{}\n{row}\n", row.replace("9446744073709551615", "0")))
        .expect("a file");
    let long = [&with_model[..], &["--trace", &centuries]].concat();
    let anthropic = ["--api", "anthropic", "--url", "http://127.0.0.1:9", "--model", "m"];
    let cases: [Refused<'_>; 32] = [
        // What would be ignored is refused: whoever has written it expects something of it.
        (&with_model, &["--arrivals", "gamma:2"], 2, "say --open RATE"),
        (&with_model, &["--arrivals", "constant", "-c", "4"], 2, "say --open RATE"),
        (
            &with_model,
            &["--arrivals", "constant", "--sweep", "concurrency=1,2"],
            2,
            "--sweep rate=",
        ),
        (&with_model, &["-c", "4", "--sweep", "concurrency=1,2"], 2, "leave one out"),
        (&trace, &["--arrivals", "constant"], 2, "cannot be used"),
        (&trace, &["--prompt-tokens", "9"], 2, "cannot be used"),
        (&trace, &["--output-tokens", "9"], 2, "cannot be used"),
        (&with_model, &["--no-stream", "--no-usage"], 2, "cannot be used"),
        (&anthropic, &["--no-usage"], 2, "--no-usage is for"),
        (&anthropic, &["--limit-field", "max_output_tokens"], 2, "--limit-field is for"),
        (&anthropic, &["--exact-output"], 2, "--exact-output is for"),
        (&with_model, &["--key-env", "HOME", "--header", "authorization: x"], 2, "leave one out"),
        (&anthropic, &["--key-env", "HOME", "--header", "X-Api-Key: x"], 2, "leave one out"),
        (&with_model, &["--extra-body", "{\"stream\":false}"], 2, "--no-stream does"),
        (&with_model, &["--no-stream", "--extra-body", "{\"stream\":null}"], 2, "--no-stream does"),
        (&api, &[], 2, "--model is wanted"),
        (&with_model, &missing, 1, "A_VARIABLE_THAT_IS_NOT_SET is not set"),
        (&with_model, &["--no-stream", "--slo", "ttft=1s"], 2, "e2e alone"),
        (&with_model, &["--ca", "/nowhere.pem"], 1, "https://"),
        (&with_model, &["--prompts", "/nowhere.jsonl"], 1, "/nowhere.jsonl"),
        // Behind the load it would be too late.
        (&with_model, &["--html", "/no/such/folder/page.html"], 1, "there is no such folder"),
        (&with_model, &["--records", "/tmp"], 1, "this is a folder"),
        (&with_model, &["--open", "1e12"], 2, "1000000 at most"),
        (&with_model, &["--sweep", "rate=1,1e7"], 2, "1000000 at most"),
        (&long, &["--trace-speed", "1"], 1, "more than a year"),
        (&long, &["--trace-speed", "1e-300"], 1, "more than a year"),
        (&with_model, &["--shape", "unary"], 2, "cannot be used"),
        (&with_model, &["--slo", "p99=1s"], 2, "no objective"),
        (&with_model, &["--sweep", "users=1"], 2, "concurrency=1,2,4"),
        (&with_model, &["--arrivals", "sometimes"], 2, "poisson"),
        (&with_model, &["--prompt-tokens", "normal:5"], 2, "deviation"),
        (&["--url", "http://127.0.0.1:9", "--model", "m"], &[], 2, "--api"),
    ];
    for (base, more, code, part) in cases {
        let output = bench(&[base, more].concat(), &[]);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {said}");
        assert!(said.contains(part), "{more:?}: {said}");
    }
}

/// The commands of the page, run against a mock in the place of the server that they name.
#[test]
fn the_examples_of_the_page_run() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let commands: Vec<Vec<String>> = page
        .replace("\\\n", " ")
        .lines()
        .filter_map(|line| line.strip_prefix("sluicegate bench "))
        .filter(|line| line.contains("--api"))
        .map(|line| {
            let line = line.split(" #").next().unwrap_or(line);
            line.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect()
        })
        .collect();
    assert!(commands.len() >= 8, "the examples are found: {}", commands.len());
    let (mock, plain) = (Server::paced(), Plain::start());
    let folder = Folder::new("page");
    let sample = "{\"prompt\":\"why?\",\"output_len\":4}\n";
    let row = "{\"timestamp\":0,\"input_length\":6,\"output_length\":3}\n";
    for (name, text) in [("prompts.jsonl", sample), ("mooncake.jsonl", row)] {
        fs::write(folder.0.join(name), text).expect("the file is written");
    }
    let mut apis = BTreeMap::new();
    for command in commands {
        let value = |name: &str| {
            let at = command.iter().position(|word| word == name)?;
            command.get(at + 1).cloned()
        };
        let api = value("--api").expect("an API");
        let openai = ["openai", "openai-chat"].contains(&api.as_str());
        let url = if openai { mock.url() } else { format!("http://{}", plain.address) };
        *apis.entry(api).or_insert(0) += 1;
        let mut arguments = command.clone();
        for (name, short) in [("--url", url.as_str()), ("--duration", "1s"), ("--requests", "4")] {
            if let Some(at) = command.iter().position(|word| word == name) {
                arguments[at + 1] = short.to_owned();
            }
        }
        // Plain servers stand in for those behind TLS.
        if let Some(at) = arguments.iter().position(|word| word == "--ca") {
            arguments.drain(at..at + 2);
        }
        let output = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
            .arg("bench")
            .args(&arguments)
            .args(["--grace", "20s"])
            .current_dir(&folder.0)
            .envs([("OPENAI_API_KEY", "k"), ("ANTHROPIC_API_KEY", "k")])
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{command:?}: {}", told(&output));
    }
    assert!(apis.len() >= 3, "of several APIs: {apis:?}");
}
