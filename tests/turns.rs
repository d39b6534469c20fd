//! `sluicegate turns` as its callers see it: exit codes, what goes where, and that the documents show
//! what it prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn turns(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.arg("turns").args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is UTF-8")
}

/// What it prints, and nothing to standard error.
fn printed(arguments: &[&str]) -> String {
    let output = turns(arguments);
    let told = (output.status.code(), text(&output.stderr));
    assert_eq!(told, (Some(0), ""), "{arguments:?}");
    text(&output.stdout).to_owned()
}

fn names() -> Vec<String> {
    let list = printed(&["--list"]);
    list.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// A file of this test run, removed when the test is over.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        let name = format!("sluicegate-turns-{}-{name}", std::process::id());
        File(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn every_name_of_the_list_plays_and_says_the_same_twice() {
    let names = names();
    assert!(names.len() >= 8, "{names:?}");
    for name in &names {
        let said = printed(&[name]);
        assert!(said.matches("\nturn ").count() >= 2, "{name}: {said}");
        assert_eq!(said, printed(&[name]));
        let all = printed(&[name, "--all"]);
        assert!(all.contains("\nturn 1, at 0:") && all.len() >= said.len(), "{name}");
    }
}

#[test]
fn a_seed_is_a_world_and_another_seed_is_another() {
    let [first, again, other] = ["3", "3", "4"].map(|seed| printed(&["--seed", seed]));
    assert!(first.contains("Drawn by chance") && first.contains("\nturn 1, at 0:"), "{first}");
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn what_is_not_understood_is_told() {
    let unknown = turns(&["tokne"]);
    let complaint = text(&unknown.stderr);
    assert_eq!((unknown.status.code(), text(&unknown.stdout)), (Some(1), ""));
    assert!(
        complaint.starts_with("error: there is no scenario \"tokne\"; there are "),
        "{complaint}"
    );
    for name in names() {
        assert!(complaint.contains(&name), "{complaint}");
    }
    for arguments in [
        &[][..],
        &["token", "--seed", "1"],
        &["token", "--list"],
        &["--list", "--all"],
        &["--list", "--html", "x"],
        &["--seed", "many"],
        &["--seed", "-1"],
        &["--html", "x"],
    ] {
        let output = turns(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    for file in ["/nowhere/turns.html", "/tmp"] {
        let output = turns(&["token", "--html", file]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""), "{file}");
        assert!(said.starts_with(&format!("error: {file}: ")), "{said}");
    }
}

#[test]
fn a_page_holds_all_it_needs() {
    for name in names() {
        let file = File::new(&format!("{name}.html"));
        assert_eq!(printed(&[&name, "--html", file.path()]), "");
        let page = fs::read_to_string(&file.0).expect("it was written");
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
        assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
        // The names of SVG's namespace are no addresses.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "src=", "@import", "url(", "innerHTML", "{{"] {
            assert!(!page.contains(outside), "{name}: {outside}");
        }
    }
}

#[test]
fn what_a_reader_has_seen_enough_of_is_no_failure() {
    use std::process::Stdio;

    let mut child = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
        .args(["turns", "--seed", "4", "--all"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

/// Every block of a document that begins with a command of ours, and what stands below it.
fn blocks(document: &str) -> Vec<(String, String)> {
    let blocks = document.split("```text\n$ sluicegate turns ").skip(1);
    blocks
        .map(|block| {
            let (command, rest) = block.split_once('\n').expect("a command is a line");
            let (said, _) = rest.split_once("```").expect("a block ends");
            (command.to_owned(), said.to_owned())
        })
        .collect()
}

#[test]
fn the_documents_show_what_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reactor.md");
    let document = fs::read_to_string(path).expect("the document");
    let blocks = blocks(&document);
    assert!(blocks.len() >= 3, "the walks were found");
    for (command, shown) in blocks {
        let arguments: Vec<&str> = command.split_whitespace().collect();
        let said = printed(&arguments);
        assert!(said == shown, "docs/reactor.md, `sluicegate turns {command}` prints now:\n{said}");
    }
}
