//! The pages for those who begin: each configuration on them is accepted, and each quick start serves the
//! requests that stand with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Ended, Gateway, Mock, run};

/// The pages whose blocks of TOML are whole configurations.
const PAGES: [&str; 3] = ["quickstart.md", "coming-from.md", "deploy.md"];

/// Variables that their configurations name.
const KEYS: [(&str, &str); 2] = [("OPENAI_API_KEY", "sk-test"), ("ANTHROPIC_API_KEY", "sk-test")];

/// A block of code, and the heading above it.
struct PageBlock {
    heading: String,
    language: String,
    text: String,
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn blocks(page: &str) -> Vec<PageBlock> {
    let text = fs::read_to_string(docs().join(page)).expect("a page is text");
    let (mut heading, mut open, mut found) = (String::new(), None::<PageBlock>, Vec::new());
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, Some(language)) => {
                let (heading, language) = (heading.clone(), language.to_owned());
                open = Some(PageBlock { heading, language, text: String::new() });
            }
            (None, None) if line.starts_with("## ") => heading = line[3..].to_owned(),
            (None, None) => {}
        }
    }
    found
}

/// A folder with the files that configurations name, removed when the test is over.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Desk {
        let name = format!("sluicegate-pages-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary folder");
        fs::write(path.join("admin.token"), "correct-horse-battery\n").expect("a file");
        let desk = Desk(path);
        let made =
            desk.run(&["cert", "--self-signed", "--certificate", "gate.pem", "--key", "gate.key"]);
        assert!(made.status.success(), "{made:?}");
        desk
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        run(command.args(arguments).envs(KEYS).current_dir(&self.0))
    }

    /// What `check` says of this configuration.
    fn check(&self, text: &str) -> Ended {
        fs::write(self.0.join("gate.toml"), text).expect("a file");
        self.run(&["check", "--config", "gate.toml"])
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_configuration_on_the_pages_is_accepted() {
    let desk = Desk::new("accepted");
    let mut count = 0;
    for page in PAGES {
        for block in blocks(page).into_iter().filter(|block| block.language == "toml") {
            count += 1;
            let checked = desk.check(&block.text);
            let told = format!("{page}, {}: {checked:?}", block.heading);
            assert_eq!(checked.status.code(), Some(0), "{told}");
            // A name that this machine cannot look up is its own affair.
            let mut warnings = checked.stderr.lines().filter(|line| line.starts_with("warning"));
            assert!(warnings.all(|line| line.contains("cannot be resolved now")), "{told}");
        }
    }
    assert!(count > 14, "the blocks were found: {count}");
}

/// Those that are shipped beside the pages.
#[test]
fn each_configuration_that_is_shipped_is_accepted() {
    let desk = Desk::new("shipped");
    let mut count = 0;
    for entry in fs::read_dir(docs().join("deploy")).expect("docs/deploy") {
        let path = entry.expect("docs/deploy can be read").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            count += 1;
            let text = fs::read_to_string(&path).expect("a file is text");
            let checked = desk.check(&text);
            assert_eq!(checked.status.code(), Some(0), "{}: {checked:?}", path.display());
        }
    }
    assert!(count > 0, "they were found");
}

/// The configuration of a quick start, at a free port and in front of this server.
fn at_hand(text: &str, mock: &Mock) -> String {
    let address = mock.address().to_string();
    let text = text.replace("\"127.0.0.1:8080\"", "\"127.0.0.1:0\"");
    let text = text.replace("https://api.openai.com/v1", &format!("http://{address}/v1"));
    // A server is on this machine, at a port of its own; two of them are the mock, by two names.
    let mut at_hand = text.replace("127.0.0.1:11434", &address.replace("127.0.0.1", "localhost"));
    for port in ["8000", "8081", "30000", "3000", "1234"] {
        at_hand = at_hand.replace(&format!("\"127.0.0.1:{port}\""), &format!("{address:?}"));
    }
    at_hand
}

/// The requests that stand in blocks of the shell, each a command.
fn requests(text: &str) -> impl Iterator<Item = String> {
    let whole = text.replace("\\\n", " ");
    let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    lines.into_iter().filter(|line| line.starts_with("curl "))
}

#[test]
fn each_quick_start_serves_the_requests_that_stand_with_it() {
    let mock = Mock::start(&["--rate", "200"]);
    let page = blocks("quickstart.md");
    let first: Vec<String> = page
        .iter()
        .filter(|block| block.heading == "The first request")
        .flat_map(|block| requests(&block.text))
        .collect();
    assert_eq!(first.len(), 1, "{first:?}");
    let node = page.iter().find(|block| block.language == "javascript").expect("Node's block");
    let (mut servers, mut commands) = (0, 0);
    for block in page.iter().filter(|block| block.language == "toml") {
        // The mock does not speak Triton's own API.
        if block.text.contains("translate_to = \"triton\"") {
            continue;
        }
        servers += 1;
        let text = at_hand(&block.text, &mock);
        let gateway = Gateway::start_with(&text, |command| {
            command.envs(KEYS);
        });
        let here = gateway.address().to_string();
        let own = page
            .iter()
            .filter(|it| it.heading == block.heading && it.language == "sh")
            .flat_map(|it| requests(&it.text));
        for request in first.iter().cloned().chain(own) {
            commands += 1;
            let command = request.replace("127.0.0.1:8080", &here);
            let answer = run(Command::new("sh").args(["-c", &command]));
            let end = ["data: [DONE]", "event: message_stop", "response.completed"];
            let whole = end.iter().any(|end| answer.stdout.contains(end));
            assert!(whole, "{}: {command}: {answer:?}\n{text}", block.heading);
        }
        if block.heading == "vLLM" && Command::new("node").arg("--version").output().is_ok() {
            let script = node.text.replace("127.0.0.1:8080", &here);
            let arguments = ["--input-type=module", "-e", &script];
            let answer = run(Command::new("node").args(arguments));
            assert!(answer.stdout.contains("data: [DONE]"), "{answer:?}");
        }
    }
    assert!(servers > 7 && commands > servers + 1, "{servers} servers, {commands} commands");
}

/// The value of a setting of a unit.
fn setting<'u>(unit: &'u str, name: &str) -> &'u str {
    let found = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{name} in {unit}"))
}

#[test]
fn the_units_fit_the_configuration_that_is_shipped() {
    let desk = Desk::new("units");
    let read = |name: &str| {
        fs::read_to_string(docs().join("deploy").join(name)).expect("a file of docs/deploy")
    };
    let (service, socket) = (read("sluicegate.service"), read("sluicegate.socket"));
    let whole = desk.check(&read("gate.toml")).stdout;
    // The order to stop is a kill when it takes longer.
    assert!(whole.contains("drain = \"10m\"") && setting(&service, "TimeoutStopSec") == "11min");
    let listens = format!("listen = [{:?}]", setting(&socket, "ListenStream"));
    assert!(whole.contains(&listens), "{listens}");
    let package = fs::read_to_string(docs().join("../Cargo.toml")).expect("it is text");
    let file = setting(&service, "ExecStart").rsplit(' ').next().expect("an argument");
    assert!(package.contains(&format!("conf-files = [{file:?}]")), "{file}");
    // Where systemd is, it says how much the unit may do: 0 is nothing, 10 everything.
    let path = docs().join("deploy/sluicegate.service");
    let mut judge = Command::new("systemd-analyze");
    judge.args(["security", "--offline=true"]).arg(path);
    if let Ok(output) = judge.output()
        && output.status.success()
    {
        let said = String::from_utf8_lossy(&output.stdout);
        let (_, score) = said.rsplit_once("service: ").expect("an exposure");
        let score: f32 = score.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
        assert!(score < 2.0, "{said}");
    }
}
