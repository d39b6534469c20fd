//! The header and this crate say the same: sizes, offsets, values, and the hash.

use std::fmt::Write as _;
use std::fs;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use sluicegate_plugin_abi::*;

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sluicegate_plugin.h")
}

#[test]
fn the_hash_is_that_of_the_lines_above_it() {
    let text = fs::read_to_string(header()).expect("the header can be read");
    let marker = "/* The SHA-256 of all lines above this one. */\n";
    let above = &text[..text.find(marker).expect("the marker is there")];
    let hash: String = Sha256::digest(above).iter().fold(String::new(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    });
    assert!(text.contains(&format!("SG_HEADER_HASH \"{hash}\"")), "the header has to say {hash}");
    assert_eq!(SG_HEADER_HASH, hash);
}

/// A row per thing: what C calls it, and what it is in Rust.
macro_rules! layout {
    ($($type:ident { $($field:ident),* $(,)? })*) => {
        vec![$(
            (format!("sizeof({})", stringify!($type)), size_of::<$type>() as u64),
            $((
                format!("offsetof({}, {})", stringify!($type), stringify!($field)),
                offset_of!($type, $field) as u64,
            ),)*
        )*]
    };
}

macro_rules! values {
    ($($name:ident),* $(,)?) => {
        vec![$((stringify!($name).to_owned(), $name as u64)),*]
    };
}

fn rows() -> Vec<(String, u64)> {
    let mut rows = layout! {
        sg_bytes { data, length }
        sg_field { name, value }
        sg_host {
            version, size, of, log, write, set_field, add_field, remove_field, set_target,
            set_upstream, set_status, explain,
        }
        sg_exchange { state, number, call }
        sg_request { size, flags, method, target, id, route, fields, field_count, body }
        sg_response_head { size, flags, events, status, reserved, upstream, fields, field_count }
        sg_event { size, flags, number, name, data, raw }
        sg_end {
            size, flags, status, reserved, code, bytes_in, bytes_out, duration_us, tokens_in,
            tokens_out,
        }
        sg_probe { size, flags, status, reserved, upstream, body }
        sg_plugin {
            version, size, header_hash, flags, reserved, body_max, name, plugin_version, open, close,
            on_request, on_response_head, on_event, on_end, on_cancel, health_probe,
        }
    };
    rows.extend(values![
        SG_VERSION,
        SG_OK,
        SG_REPLACE,
        SG_ANSWER,
        SG_REFUSE,
        SG_LOG_ERROR,
        SG_LOG_WARN,
        SG_LOG_INFO,
        SG_LOG_DEBUG,
        SG_SELF_TEST,
        SG_WHOLE_BODY,
        SG_TOKENS_KNOWN,
        SG_EVENTS_SHOWN,
        SG_EVENTS_NONE,
        SG_EVENTS_CODED,
        SG_EVENTS_UNFRAMED,
        SG_CHANGES_EVENTS,
    ]);
    rows
}

#[test]
fn sizes_offsets_and_values_are_those_of_c() {
    let rows = rows();
    let mut program = String::from(
        "#include \"sluicegate_plugin.h\"\n#include <stdio.h>\n#include <string.h>\n\
         int main(void) {\n",
    );
    for (name, _) in &rows {
        let _ =
            writeln!(program, "printf(\"%s %llu\\n\", \"{name}\", (unsigned long long)({name}));");
    }
    program.push_str("puts(SG_HEADER_HASH);\nreturn 0;\n}\n");
    let folder = std::env::temp_dir().join(format!("sluicegate-header-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let (source, binary) = (folder.join("layout.c"), folder.join("layout"));
    fs::write(&source, program).expect("a temporary file");
    let built = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(header().parent().expect("it lies in a folder"))
        .arg("-o")
        .args([&binary, &source])
        .output()
        .expect("cc runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let told = Command::new(&binary).output().expect("it runs").stdout;
    let told = String::from_utf8(told).expect("text");
    let mut expected = String::new();
    for (name, value) in rows {
        let _ = writeln!(expected, "{name} {value}");
    }
    let _ = writeln!(expected, "{SG_HEADER_HASH}");
    assert_eq!(told, expected);
    let _ = fs::remove_dir_all(folder);
}

/// What has a name in the header has it here too.
#[test]
fn nothing_of_the_header_is_left_out() {
    let text = fs::read_to_string(header()).expect("the header can be read");
    let own = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .expect("the source can be read");
    let tested = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/header.rs"))
        .expect("the source can be read");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("#define SG_")
            && let Some(name) = name.split([' ', '(']).next()
            && !["TEXT", "BYTES", "HEADER_HASH"].contains(&name)
        {
            assert!(own.contains(&format!("pub const SG_{name}: ")), "SG_{name}");
            assert!(tested.contains(&format!("SG_{name},")), "SG_{name} is not compared");
        }
        if let Some(name) = line.strip_prefix("typedef struct ")
            && let Some(name) = name.split([' ', ';']).next()
        {
            assert!(own.contains(&format!("pub struct {name} ")), "{name}");
        }
    }
}
