//! Tells the program which commit it was made from: `sluicegate --version`.
//!
//! Release builds ask git. Others do not, so that a commit does not make everything be compiled again.
//! Where there is no git, as in a package, `SLUICEGATE_COMMIT` says it, or nobody does.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SLUICEGATE_COMMIT");
    let said = std::env::var("SLUICEGATE_COMMIT").ok();
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let asked = if release { git(&["rev-parse", "--short=12", "HEAD"]) } else { None };
    if release {
        // A commit, or another branch.
        for name in ["HEAD", "logs/HEAD"] {
            if let Some(path) = git(&["rev-parse", "--git-path", name]) {
                println!("cargo::rerun-if-changed={path}");
            }
        }
    } else {
        println!("cargo::rerun-if-changed=src/build.rs");
    }
    if let Some(commit) = said.or(asked) {
        println!("cargo::rustc-env=SLUICEGATE_COMMIT={commit}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
