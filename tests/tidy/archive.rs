//! `docs/deploy/archive`: what it makes is what `cargo binstall` looks for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::documents::root;

const TARGET: &str = "riscv64gc-unknown-linux-gnu";

/// A template of [package.metadata.binstall], filled in as binstall does.
fn filled(manifest: &toml::Table, key: &str) -> String {
    let package = &manifest["package"];
    let text = |value: &toml::Value| value.as_str().expect("a text").to_owned();
    let mut template = text(&package["metadata"]["binstall"][key]);
    for (name, value) in [
        ("repo", "https://example.com"),
        ("name", &text(&package["name"])),
        ("bin", "sluicegate"),
        ("version", &text(&package["version"])),
        ("target", TARGET),
        ("archive-suffix", ".tgz"),
        ("binary-ext", ""),
    ] {
        template = template.replace(&format!("{{ {name} }}"), value);
    }
    assert!(!template.contains('{'), "a name that nobody fills in: {template}");
    template
}

fn archive(binary: &Path, folder: &Path) -> Output {
    Command::new(root().join("docs/deploy/archive"))
        .args([binary, Path::new(TARGET), folder])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .expect("bash runs it")
}

fn tar(arguments: &[&str], archive: &Path) -> String {
    let output = Command::new("tar").args(arguments).arg(archive).output().expect("tar is here");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("names are ASCII")
}

#[test]
fn the_archive_of_a_release_is_what_binstall_looks_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    let manifest: toml::Table = manifest.parse().expect("it is TOML");
    let url = filled(&manifest, "pkg-url");
    let (_, name) = url.rsplit_once('/').expect("a file of a release");
    let program = filled(&manifest, "bin-dir");
    let folder = std::env::temp_dir().join(format!("sluicegate-archive-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    // A tenth of a gigabyte, which a test's binary is, takes long to pack.
    let binary = folder.join("stands-in");
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_sluicegate"));
    let write = || {
        fs::write(&binary, &script).expect("a temporary file");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("a temporary file");
    };
    write();
    let first = folder.join("first");
    let made = archive(&binary, &first);
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{told}");
    let path = first.join(name);
    assert!(path.is_file(), "{name} is wanted: {}", String::from_utf8_lossy(&made.stdout));

    let listed = tar(&["-tf"], &path);
    let files: Vec<&str> = listed.lines().filter(|line| !line.ends_with('/')).collect();
    let (top, _) = program.split_once('/').expect("a folder and the program");
    for file in
        ["LICENSE", "README.md", "man/sluicegate-run.1", "completions/_sluicegate", "sluicegate"]
    {
        assert!(files.contains(&&*format!("{top}/{file}")), "{file}: {files:?}");
    }
    assert!(files.contains(&&*program), "{program}: {files:?}");
    assert!(files.is_sorted() && files.iter().all(|file| file.starts_with(top)), "{files:?}");
    let long = tar(&["--utc", "-tvf"], &path);
    for line in long.lines() {
        assert!(line.contains(" 0/0 ") && line.contains(" 2023-11-14 22:13 "), "{line}");
    }
    let packed = tar(&["-xO", &program, "-f"], &path);
    assert_eq!(packed, script);

    let second = folder.join("second");
    write();
    assert!(archive(&binary, &second).status.success());
    let (bytes, again) = (fs::read(&path), fs::read(second.join(name)));
    assert_eq!(bytes.expect("it is there"), again.expect("it is there"), "the same, twice");
    let sum = fs::read_to_string(first.join(format!("{name}.sha256"))).expect("it is there");
    assert!(sum.ends_with(&format!("  {name}\n")), "{sum}");
    let check = Command::new("sha256sum")
        .args(["-c", &format!("{name}.sha256")])
        .current_dir(&first)
        .output()
        .expect("sha256sum is here");
    assert!(check.status.success(), "{check:?}");

    let other = archive(Path::new("/bin/true"), &folder.join("other"));
    assert_eq!(other.status.code(), Some(1), "a program of another name is refused: {other:?}");
    let _ = fs::remove_dir_all(&folder);
}
