//! Tells the program which commit it was made from: `sluicegate --version`.
//!
//! `SLUICEGATE_COMMIT` says it, else git, else `.cargo_vcs_info.json`, which `cargo package` puts into what
//! it packs, or nobody does. Only release builds ask git, so that a commit does not make everything be
//! compiled again; and only of a repository that is this tree, not of one that an archive was unpacked in.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SLUICEGATE_COMMIT");
    let said = std::env::var("SLUICEGATE_COMMIT").ok().filter(|said| !said.is_empty());
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let asks_git = release && is_repository();
    if asks_git {
        // A commit, or another branch.
        for name in ["HEAD", "logs/HEAD"] {
            if let Some(path) = git(&["rev-parse", "--git-path", name]) {
                println!("cargo::rerun-if-changed={path}");
            }
        }
    } else {
        println!("cargo::rerun-if-changed=src/build.rs");
    }
    let asked = || if asks_git { git(&["rev-parse", "--short=12", "HEAD"]) } else { None };
    if let Some(commit) = said.or_else(asked).or_else(packed) {
        println!("cargo::rustc-env=SLUICEGATE_COMMIT={commit}");
    }
}

/// Whether the top of a git repository is the folder of this package, in which cargo runs us.
fn is_repository() -> bool {
    let top =
        git(&["rev-parse", "--show-toplevel"]).and_then(|top| Path::new(&top).canonicalize().ok());
    top.is_some() && top == Path::new(".").canonicalize().ok()
}

/// The commit that a package was made from: `"sha1": "…"`.
fn packed() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, behind) = text.split_once("\"sha1\"")?;
    let commit = behind.split('"').nth(1)?;
    Some(commit.chars().take_while(char::is_ascii_hexdigit).take(12).collect())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
