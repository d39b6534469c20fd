//! `docs/first-change.md`, done: each of its blocks is applied to a copy of the tree, and the tests that
//! it names pass there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A piece of the page that changes a file.
#[derive(Debug)]
struct Block<'a> {
    /// The step it belongs to: the number in its heading.
    step: usize,
    file: &'a str,
    change: Change<'a>,
}

#[derive(Debug)]
enum Change<'a> {
    /// A new file, with this text.
    Written(&'a str),
    /// Pieces of a file, each as it is and as it shall be.
    Replaced(Vec<(String, String)>),
}

/// The blocks under the numbered headings of the page, in order.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    for part in page.split("\n### ").skip(1) {
        let Some(step) = part.split('.').next().and_then(|number| number.parse().ok()) else {
            continue;
        };
        for fenced in part.split("```").skip(1).step_by(2) {
            let (language, text) = fenced.split_once('\n').expect("a block has lines");
            let (first, rest) = text.split_once('\n').unwrap_or_default();
            match (language, first.strip_prefix("+++ "), first.strip_prefix("// src/")) {
                ("diff", Some(file), _) => {
                    let change = Change::Replaced(rest.split("@@\n").map(hunk).collect());
                    blocks.push(Block { step, file, change });
                }
                ("rust", _, Some(_)) => {
                    let file = first.trim_start_matches("// ");
                    blocks.push(Block { step, file, change: Change::Written(rest) });
                }
                _ => assert!(language != "diff", "a diff names its file: {text}"),
            }
        }
    }
    blocks
}

/// What a piece of a file is before and after.
fn hunk(text: &str) -> (String, String) {
    let (mut before, mut after) = (String::new(), String::new());
    for line in text.lines() {
        let (sign, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
        for (side, other) in [(&mut before, "+"), (&mut after, "-")] {
            if sign != other {
                side.push_str(rest);
                side.push('\n');
            }
        }
        assert!([" ", "+", "-"].contains(&sign), "a line of a diff: {line}");
    }
    (before, after)
}

/// Makes a change. What a file is before has to be there once.
fn apply(block: &Block<'_>, tree: &Path) {
    let path = tree.join(block.file);
    let text = match &block.change {
        Change::Written(text) => {
            assert!(!path.exists(), "{} is new", block.file);
            (*text).to_owned()
        }
        Change::Replaced(pieces) => {
            let mut text = fs::read_to_string(&path).expect(block.file);
            for (before, after) in pieces {
                let (before, after) = (before.trim_end_matches('\n'), after.trim_end_matches('\n'));
                let count = text.matches(before).count();
                assert_eq!(count, 1, "{} has this once:\n{before}", block.file);
                text = text.replace(before, after);
            }
            text
        }
    };
    fs::write(path, text).expect("a file of the copy");
}

/// Copies what cargo and the unit tests want. A file that is there already and the same is left alone,
/// so that what has been compiled of it stays.
fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        let text = fs::read(from).expect("a file of the tree");
        if fs::read(to).ok().as_ref() != Some(&text) {
            fs::write(to, text).expect("a file of the copy");
        }
        return;
    }
    fs::create_dir_all(to).expect("a folder of the copy");
    for entry in fs::read_dir(from).expect("a folder of the tree") {
        let entry = entry.expect("a folder of the tree");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// A copy of the tree, always in the same place: what was compiled the last time is there.
fn tree() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-change");
    let _ = fs::remove_file(tree.join("src/proxy/balance/weighted.rs"));
    fs::create_dir_all(&tree).expect("a folder of the copy");
    for name in ["Cargo.toml", "Cargo.lock", "README.md", "src", "docs", "benches"] {
        copy(&root.join(name), &tree.join(name));
    }
    tree
}

/// The crates of the workspace that are compiled for it.
const OURS: [&str; 3] = ["sluicegate", "sluicegate-plugin-host", "sluicegate-plugin-abi"];

/// Settings with which our crates are compiled as fast as can be, and as in no other build: cargo takes the
/// crates of a copy for those of the tree if they are compiled alike, and would not compile the tree's again.
fn settings() -> Vec<String> {
    let of = |name: &str| {
        ["opt-level=0", "debug=0", "codegen-units=33"].map(|setting| {
            ["--config".to_owned(), format!("profile.test.package.{name}.{setting}")]
        })
    };
    OURS.iter().flat_map(|name| of(name)).flatten().collect()
}

/// Runs the unit tests that the page names. What the crates depend on is taken as it is.
fn run_tests(tree: &Path) -> (bool, String) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target");
    let Output { status, stdout, stderr } = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--offline", "--lib"])
        .args(settings())
        .args(["--", "proxy::balance", "config::"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    (status.success(), said.into_owned())
}

#[test]
fn the_first_change_works_as_the_page_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/first-change.md")).expect("a document is text");
    let blocks = blocks(&page);
    let steps: Vec<usize> = blocks.iter().map(|block| block.step).collect();
    assert!(steps.len() >= 9 && steps.is_sorted(), "the blocks were found: {steps:?}");
    let tree = tree();
    for block in &blocks {
        apply(block, &tree);
    }
    let (passed, said) = run_tests(&tree);
    assert!(passed, "{said}");
    for name in ["a_weighted_draw_does_not_look_at_the_load", "one_of_the_candidates_is_taken"] {
        assert!(said.contains(&format!("proxy::balance::tests::{name} ... ok")), "{said}");
    }
}
