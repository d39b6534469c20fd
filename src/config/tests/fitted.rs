//! Defaults that shrink to the machine, and what is written, which does not.

use super::super::bounds::{descriptors_needed, worker_memory};
use super::super::show::effective;
use super::super::snapshot::Snapshot;
use super::*;

/// A process that may have 1,000 descriptors.
fn poor() -> Environment {
    Environment { descriptors: |wanted| wanted.min(1_000), ..environment() }
}

fn with(text: &str, environment: &Environment) -> Loaded {
    super::super::parse(text, environment).unwrap_or_else(|problems| panic!("{}", told(&problems)))
}

fn least(keys: &str) -> String {
    LEAST.replace("[[upstream]]\n", &format!("{keys}\n[[upstream]]\n"))
}

#[test]
fn connections_shrink_until_every_client_may_have_a_stream() {
    let admin = "[admin]\nlisten = \"127.0.0.1:9\"";
    for (text, connections, idle) in [
        // 936 for four workers, 20 of each kept idle, two for each client.
        (least(""), 107, 20),
        // An eighth is for the admin address.
        (least(admin), 91, 20),
        // A quarter of a worker's for ten endpoints.
        (
            LEAST.replace(
                "\"127.0.0.1:8081\"",
                &(1..=10).map(|port| format!("\"127.0.0.1:{port}\"")).collect::<Vec<_>>().join(","),
            ),
            92,
            5,
        ),
        (least("").replace("name =", "pool = { idle_per_endpoint = 100 }\nname ="), 67, 67),
    ] {
        let loaded = with(&text, &poor());
        let Snapshot { limits, upstreams, .. } = &loaded.snapshot;
        let pool = &upstreams[0].pool;
        let idle = if idle == 67 { 100 } else { idle };
        assert_eq!((limits.connections, pool.idle_per_endpoint), (connections, idle), "{text}");
        assert_eq!(pool.connections, connections.max(idle), "{text}");
        assert!(descriptors_needed(&loaded.snapshot) <= 1_000, "{text}");
        let [note] = &loaded.notes[..] else { panic!("one note: {:?}", loaded.notes) };
        let begin = format!("limits.connections is {connections} for each worker, not 10000: ");
        assert!(note.starts_with(&begin), "{note}");
        // What is printed is a configuration, and needs no more.
        let again = with(&effective(&loaded.snapshot), &poor());
        assert_eq!(again.snapshot.limits.connections, connections);
        assert_eq!(again.notes, [""; 0]);
    }
}

#[test]
fn what_is_written_stays() {
    let loaded = with(&least("[limits]\nconnections = 5000"), &poor());
    assert_eq!(loaded.snapshot.limits.connections, 5_000);
    assert_eq!(loaded.notes, [""; 0]);
    let pool = least("").replace("name =", "pool = { connections = 300 }\nname =");
    assert_eq!(with(&pool, &poor()).snapshot.upstreams[0].pool.connections, 300);
    assert_eq!(with(LEAST, &environment()).notes, [""; 0]);
}

/// Nothing is left for a client; the start is what refuses that.
#[test]
fn no_machine_is_too_small_to_be_told() {
    let none = Environment { descriptors: |_| 8, memory: Some(1), ..environment() };
    let loaded = with(LEAST, &none);
    assert_eq!(loaded.snapshot.limits.connections, 1);
    assert_eq!(loaded.snapshot.limits.buffer_bytes, 8 << 20);
}

#[test]
fn buffers_shrink_to_the_memory() {
    let of = |memory: u64| Environment { memory: Some(memory), ..environment() };
    for (memory, buffers) in [
        (64 << 30, 256 << 20),
        (4 << 30, 256 << 20),
        (2 << 30, 128 << 20),
        (512 << 20, 32 << 20),
        (64 << 20, 8 << 20),
    ] {
        let loaded = with(LEAST, &of(memory));
        let limits = &loaded.snapshot.limits;
        assert_eq!(limits.buffer_bytes, buffers, "{memory}");
        assert_eq!(limits.replay_bytes, buffers / 8);
        assert_eq!(loaded.notes.len(), usize::from(buffers < 256 << 20));
        assert!(worker_memory(&loaded.snapshot) >= buffers as u64);
    }
    // What is written elsewhere finds its room, and what is written here is taken.
    for (keys, buffers) in [
        ("replay_bytes = \"100MiB\"", 100 << 20),
        ("model_search_bytes = \"30MiB\"", 60 << 20),
        ("buffer_bytes = \"1GiB\"", 1 << 30),
        ("replay_bytes = \"1GiB\"", 1 << 30),
    ] {
        let loaded = with(&least(&format!("[limits]\n{keys}")), &of(64 << 20));
        assert_eq!(loaded.snapshot.limits.buffer_bytes, buffers, "{keys}");
    }
}
