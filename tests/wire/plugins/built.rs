//! Plugins that the tests build, as a user would: with `cc`, and with `cargo build`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// A shared object, and what has to stand in a configuration for it.
pub struct Built {
    pub path: PathBuf,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for the objects of one test.
fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sluicegate-{}-{test}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

impl Built {
    /// The object that `cc` makes of a C file of this repository, for the test of this name.
    pub fn of_c(test: &str, source: &str, defines: &[&str]) -> Built {
        let path = folder(test).join("plugin.so");
        let built = Command::new("cc")
            .current_dir(root())
            .args(["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1"])
            .args(["-shared", "-fPIC", "-I", "src/plugin"])
            .args(defines)
            .arg("-o")
            .arg(&path)
            .arg(source)
            .output()
            .expect("cc runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Built { path }
    }

    pub fn script(test: &str, defines: &[&str]) -> Built {
        Built::of_c(test, "tests/wire/plugins/script.c", defines)
    }

    /// The example in Rust.
    pub fn mask() -> Built {
        let target = Path::new(env!("CARGO_BIN_EXE_sluicegate")).parent().expect("a folder");
        let (target, profile) = (target.parent().expect("a folder"), target.ends_with("release"));
        let built = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["build", "--locked", "--quiet", "-p", "sluicegate-plugin-mask", "--target-dir"])
            .arg(target)
            .args(profile.then_some("--release"))
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let profile = if profile { "release" } else { "debug" };
        Built { path: target.join(profile).join("libsluicegate_plugin_mask.so") }
    }

    /// `[plugins]` and `[[plugin]]`, with this config and these lines more.
    pub fn section(&self, config: &str, more: &str) -> String {
        let path = self.path.display();
        let hash = self.sha256();
        format!(
            "[plugins]\nallow = [\"{path}\"]\n[[plugin]]\nname = \"it\"\npath = \"{path}\"\n\
             sha256 = \"{hash}\"\nconfig = \"{config}\"\n{more}\n"
        )
    }

    pub fn sha256(&self) -> String {
        let object = fs::read(&self.path).expect("it was built");
        Sha256::digest(object).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
