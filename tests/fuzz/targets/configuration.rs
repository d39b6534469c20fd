//! Configurations, files of members and of keys: refused with a sentence, never with a panic.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use sluicegate::config::{self, Environment, keys_file, members};

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(input) else { return };
    match kind % 4 {
        0 => drop(members::read(input, true)),
        1 => drop(members::read(input, false)),
        2 => drop(keys_file::keys(text)),
        _ => {
            // Nothing of the machine: no file, no name, no plugin.
            let environment = Environment {
                read: |_| Err("is not there".into()),
                resolve: |_, _| Err("has no address".into()),
                variable: |_| None,
                load_plugin: |_| Err("is not there".into()),
                cpus: vec![0, 1],
                ..Environment::in_folder(PathBuf::from("/nonexistent"))
            };
            if let Err(problems) = config::parse(text, &environment) {
                assert!(!problems.is_empty());
                problems.iter().for_each(|problem| drop(problem.to_string()));
            }
        }
    }
});
