//! What an older configuration has to change: keys that were renamed or taken away, and defaults that are
//! others now.
//!
//! `sluicegate check --upgrade` tells it of one configuration, and an unknown key that was renamed is told so
//! wherever a configuration is read. `docs/CHANGELOG.md` tells the same of each version; the policy, and the
//! lists of keys that a test holds this table to, are told there too.
//!
//! * Nothing here changes a configuration, and no old key goes on working beside the new one.

pub mod advice;

/// One thing that is not as it was.
#[derive(Clone, Copy, Debug)]
pub struct KeyChange {
    /// The version, or the day of a build between two versions.
    pub since: &'static str,
    /// The path of the key, without the numbers of lists: `upstream.pool.connections`.
    pub key: &'static str,
    pub what: What,
}

/// What has become of a key.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Its path now.
    Renamed(&'static str),
    /// What to do in its place.
    Removed(&'static str),
    /// What holds where it is not written: before, as it would be written, and now, in words.
    Default { was: &'static str, now: &'static str },
}

/// The newest last. `Renamed` and `Removed` are here for ever, so that any old file is answered.
pub const CHANGES: &[KeyChange] = &[
    KeyChange {
        since: "2026-11-28",
        key: "upstream.breaker.unauthorized",
        what: What::Default { was: "\"30m\"", now: "\"off\": a 401 or 403 is the client's" },
    },
    KeyChange {
        since: "2026-11-30",
        key: "upstream.pool.connections",
        what: What::Default { was: "200", now: "what limits.connections says" },
    },
    KeyChange {
        since: "2026-12-01",
        key: "limits.replay_bytes",
        what: What::Default { was: "\"1MiB\"", now: "\"32MiB\", or less where memory is short" },
    },
    KeyChange {
        since: "2026-12-01",
        key: "timeouts.ttft",
        what: What::Default { was: "\"60s\"", now: "\"10m\"" },
    },
    KeyChange {
        since: "2026-12-01",
        key: "timeouts.inter_event",
        what: What::Default { was: "\"60s\"", now: "\"5m\"" },
    },
];

/// What has become of a key that nobody knows; its path may have the numbers of lists.
pub(super) fn what_became_of(path: &str, changes: &[KeyChange]) -> Option<String> {
    let plain = without_numbers(path);
    let is_gone = |change: &&KeyChange| !matches!(change.what, What::Default { .. });
    changes.iter().rev().filter(is_gone).find(|change| change.key == plain).map(told)
}

fn told(change: &KeyChange) -> String {
    let since = change.since;
    match change.what {
        What::Renamed(now) => format!("is called {now} since {since}: write that in its place"),
        What::Removed(instead) => format!("is gone since {since}: {instead}"),
        What::Default { now, .. } => format!("means {now} since {since}"),
    }
}

/// `upstream[0].pool` as `upstream.pool`.
fn without_numbers(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for letter in path.chars() {
        match letter {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => {}
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    pub const TABLE: &[KeyChange] = &[
        KeyChange { since: "0.2.0", key: "server.backlog", what: What::Removed("leave it out") },
        KeyChange {
            since: "0.3.0",
            key: "upstream.pool.size",
            what: What::Renamed("upstream.pool.connections"),
        },
        KeyChange {
            since: "0.3.0",
            key: "timeouts.ttft",
            what: What::Default { was: "\"60s\"", now: "\"10m\"" },
        },
    ];

    #[test]
    fn a_key_that_was_renamed_is_known_by_its_path() {
        let told = what_became_of("upstream[12].pool.size", TABLE).expect("it was renamed");
        assert!(told.starts_with("is called upstream.pool.connections since"), "{told}");
        assert_eq!(what_became_of("pool.size", TABLE), None);
        assert_eq!(what_became_of("timeouts.ttft", TABLE), None, "it is there");
    }

    #[test]
    fn what_is_renamed_has_a_key_that_there_is() {
        const KEYS: &str = include_str!("../../docs/configuration.md");
        for change in CHANGES {
            let now = match change.what {
                What::Renamed(now) => now,
                What::Default { .. } => change.key,
                What::Removed(_) => continue,
            };
            let last = now.split_once('.').map_or(now, |(_, key)| key);
            assert!(KEYS.contains(&format!("| `{last}` |")), "{now} is documented");
        }
    }
}
