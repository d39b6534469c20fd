//! `sluicegate bench` as its callers see it: the real binary, real processes, real sockets.
//!
//! What is checked are fields and counts. Nothing here depends on how fast anything was.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;

use serde_json::Value;

/// A folder of this test run, removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("sluicegate-bench-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder is made");
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("the path is UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.arg("bench").args(arguments).stdin(Stdio::null());
    command.output().expect("the binary runs")
}

/// Runs `bench --self` and gives back its report.
fn measured(name: &str, arguments: &[&str]) -> Value {
    let folder = Folder::new(name);
    let json = folder.file("report.json");
    let brief = ["--self", "--warm-up", "300ms", "--duration", "700ms", "--json", &json];
    let output = bench(&[&brief, arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    assert!(said.is_empty(), "no progress where nobody watches, no complaint: {said}");
    let text = fs::read_to_string(&json).expect("the report is written");
    serde_json::from_str(&text).expect("the report is JSON")
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no count: {value}"))
}

fn figure(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no figure: {value}"))
}

/// Every round of both targets.
fn rounds(report: &Value) -> Vec<&Value> {
    let targets = report["targets"].as_array().expect("targets");
    let names: Vec<_> = targets.iter().map(|target| target["name"].as_str()).collect();
    assert_eq!(names, [Some("direct"), Some("gateway")]);
    let rounds = targets.iter().flat_map(|target| target["rounds"].as_array().expect("rounds"));
    let rounds: Vec<_> = rounds.collect();
    for round in &rounds {
        assert_eq!(count(&round["failures"]["total"]), 0, "{round}");
        assert!(figure(&round["generator"]["busy_share"]) >= 0.0);
    }
    rounds
}

#[test]
fn streams_through_a_gateway_of_our_own_are_timed_token_by_token() {
    let arguments = ["--streams", "5", "--rate", "100", "--rounds", "2"];
    let report = measured("streams", &arguments);
    let machine = &report["machine"];
    assert!(count(&machine["cores"]) >= 1 && machine["kernel"].is_string(), "{machine}");
    let plan = &report["plan"];
    assert_eq!(
        (plan["shape"].as_str(), plan["arrivals"].as_str()),
        (Some("streams"), Some("closed"))
    );

    let rounds = rounds(&report);
    assert_eq!(rounds.len(), 4, "two rounds of two targets");
    for round in rounds {
        let tokens = count(&round["tokens"]);
        assert!(tokens > 0 && count(&round["token_latency"]["count"]) == tokens, "{round}");
        assert_eq!(count(&round["illegible_stamps"]), 0, "every stamp was read");
        assert_eq!(count(&round["connections_at_end"]), 5);
        assert_eq!(count(&round["first_token"]["count"]), 5, "one for each stream");
        let latency = &round["token_latency"];
        let order = ["p50", "p90", "p99", "p999", "max"].map(|name| count(&latency[name]));
        assert!(order.is_sorted() && order[0] > 0, "{latency}");
    }
    for (target, has_process) in [(0, false), (1, true)] {
        let target = &report["targets"][target];
        assert_eq!(target["rounds"][0]["process"].is_object(), has_process);
        assert_eq!(target["median"]["cpu_ns_per_token"].is_number(), has_process);
    }
    let ratio = &report["ratios"][0];
    assert_eq!((ratio["target"].as_str(), ratio["to"].as_str()), (Some("gateway"), Some("direct")));
    let of = |target: usize| figure(&report["targets"][target]["median"]["token_latency_p50_ns"]);
    let expected = of(1) / of(0);
    assert!((figure(&ratio["figures"]["token_latency_p50_ns"]) - expected).abs() < 1e-9);
}

#[test]
fn every_other_shape_measures_what_it_is_about() {
    let shapes: [(&str, &[&str], &str, &str); 8] = [
        ("unary", &[], "requests", "cpu_ns_per_request"),
        ("unary", &["--open", "200"], "requests", "request_latency_p99_ns"),
        ("churn", &[], "requests", "cpu_ns_per_request"),
        ("firehose", &["--token-bytes", "150"], "tokens", "cpu_ns_per_byte"),
        ("idle", &[], "connections_at_end", "memory_bytes_per_connection"),
        ("fairness", &["--rate", "100"], "background_bytes", "token_latency_p99_ns"),
        ("upload", &["--bytes", "300KiB"], "requests", "cpu_ns_per_byte"),
        ("download", &["--bytes", "300KiB"], "requests", "cpu_ns_per_byte"),
    ];
    for (shape, more, counted, named) in shapes {
        let arguments = [&["--shape", shape, "-c", "3", "--rounds", "1"], more].concat();
        let report = measured(shape, &arguments);
        for round in rounds(&report) {
            assert!(count(&round[counted]) > 0, "{shape}: {round}");
        }
        let median = &report["targets"][1]["median"];
        assert!(median[named].is_number(), "{shape}: {median}");
        if matches!(shape, "upload" | "download") {
            let (bytes, requests) = (&report["plan"]["bulk_bytes"], &rounds(&report)[1]);
            assert_eq!(count(bytes), 300 << 10);
            assert!(
                count(&requests["bytes"])
                    >= count(&requests["requests"]).saturating_sub(3) * count(bytes)
            );
        }
        if shape == "unary" {
            let arrivals = if more.is_empty() { "closed" } else { "open" };
            assert_eq!(report["plan"]["arrivals"].as_str(), Some(arrivals));
        }
    }
}

#[test]
fn distributions_are_written_for_plotters() {
    let folder = Folder::new("plots");
    let plots = folder.file("plots");
    measured("hgrm", &["--streams", "2", "--rate", "50", "--rounds", "1", "--hgrm", &plots]);
    for name in ["direct-token_latency", "gateway-token_latency", "gateway-first_token"] {
        let path = PathBuf::from(&plots).join(format!("{name}.hgrm"));
        let text = fs::read_to_string(&path).expect("the distribution is written");
        assert!(text.contains("Percentile") && text.contains("#[Max"), "{text}");
    }
}

#[test]
fn percentiles_are_drawn_with_a_curve_for_each_target() {
    let folder = Folder::new("pictures");
    for (name, pictures) in [("plot.svg", 1), ("plot.html", 4)] {
        let path = folder.file(name);
        let arguments = ["--streams", "2", "--rate", "50", "--tokens", "5", "--plot", &path];
        measured(name, &[&arguments[..], &["--rounds", "1"]].concat());
        let text = fs::read_to_string(&path).expect("the picture is written");
        assert_eq!(text.matches("<svg").count(), pictures, "{name}");
        assert_eq!(text.matches("<polyline").count(), 2 * pictures, "{name}");
        assert!(text.contains(">gateway<") && text.contains("token latency"), "{name}");
    }
    let output = bench(&["--self", "--plot", "plot.png"]);
    assert_eq!(output.status.code(), Some(2), "neither of the two");
}

#[test]
fn a_server_that_is_not_there_is_told_and_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/stream", listener.local_addr().expect("its address"));
    drop(listener);
    let output = bench(&["--url", &url, "-c", "2", "--warm-up", "10ms", "--duration", "300ms"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("answered nothing") && told.contains(&url), "{told}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("requests failed"), "{table}");
}

/// Any server but our mock, asked for what only our mock has.
#[test]
fn a_server_that_is_not_our_mock_is_told_how_it_is_measured() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/v1/models", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    let output = bench(&["--url", &url, "-c", "1", "--warm-up", "10ms", "--duration", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("answered nothing") && told.contains("--server any"), "{told}");
}

#[test]
fn a_url_that_cannot_be_measured_is_refused_with_its_reason() {
    for (url, more, reason) in [
        ("ftp://127.0.0.1/", &[][..], "http://"),
        ("https://127.0.0.1/", &["--ca", "/nowhere/at.all"], "there is no such file"),
    ] {
        let output = bench(&[&["--url", url], more].concat());
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(url) && told.contains(reason), "{told}");
    }
}

/// The demo under TLS, until it is dropped: its address and the certificate to believe.
struct Demo {
    process: Child,
    /// Held open: the demo says more than is read here, and ends if it can tell nobody.
    _said: BufReader<ChildStdout>,
    address: String,
    certificate: String,
}

impl Demo {
    fn start() -> Demo {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
            .args(["demo", "--tls", "--listen", "127.0.0.1:0", "--mock-listen", "127.0.0.1:0"])
            .args(["--admin-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut said = BufReader::new(process.stdout.take().expect("a pipe"));
        let found = said.by_ref().lines().find_map(|line| {
            let line = line.ok()?;
            let (_, behind) = line.split_once("--cacert ")?;
            let certificate = behind.split_whitespace().next()?.to_owned();
            let (_, place) = behind.split_once("https://")?;
            let address = place.split(['/', ' ', '"', '\'']).next()?.to_owned();
            Some((address, certificate))
        });
        let (address, certificate) = found.expect("a line of curl's");
        Demo { process, _said: said, address, certificate }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_is_measured_under_tls() {
    let demo = Demo::start();
    let url = format!("https://{}/v1/models", demo.address);
    let folder = Folder::new("sealed");
    for (shape, more) in [("unary", &[][..]), ("churn", &["--full-handshakes"])] {
        let json = folder.file("report.json");
        let brief = ["--warm-up", "1s", "--duration", "4s", "-c", "2", "--json", &json];
        let what = ["--url", &url, "--server", "any", "--method", "GET", "--shape", shape];
        let ca = ["--ca", &demo.certificate];
        let output = bench(&[&what[..], &brief, &ca, more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        let text = fs::read_to_string(&json).unwrap_or_default();
        assert!(output.status.success(), "{shape}: {said} {text}");
        let report: Value = serde_json::from_str(&text).expect("the report is JSON");
        let round = &report["targets"][0]["rounds"][0];
        assert!(count(&round["requests"]) > 0, "{shape}: {round}");
        assert_eq!(count(&round["failures"]["total"]), 0, "{shape}: {round}");
    }
    // Whoever is not believed is not measured.
    let output = bench(&["--url", &url, "--server", "any", "--duration", "300ms", "-c", "1"]);
    assert_eq!(output.status.code(), Some(1));
}
