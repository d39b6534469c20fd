//! The rules of the house that a machine can keep: which way dependencies point, where `unsafe`
//! may stand, how long a file or a function may grow, and that the documents speak of files that
//! exist.

mod archive;
mod book;
mod calls;
mod documents;
mod functions;
mod imports;
mod lending;
mod released;
mod run;
mod supply;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may name of the crate, besides itself. The order is the order of the layers.
const MAY_USE: &[(&str, &[&str])] = &[
    ("build", &[]),
    ("clock", &[]),
    ("escape", &[]),
    ("properties", &[]),
    ("files", &[]),
    ("http", &[]),
    ("dns", &["files"]),
    ("service", &["http"]),
    ("responder", &["clock", "config::snapshot", "escape", "http", "service"]),
    ("plugins", &["files", "http", "measure::counter", "measure::histogram"]),
    ("tls", &["files", "wire"]),
    ("gate", &["clock", "http"]),
    ("fleet", &["clock"]),
    (
        "config",
        &[
            "dns",
            "escape",
            "files",
            "gate",
            "http",
            "plugins",
            "responder",
            "service",
            "tls",
            "wire::transport",
        ],
    ),
    ("proxy", &["clock", "config::snapshot", "gate", "http", "service"]),
    ("reactor", &["clock", "config::snapshot"]),
    ("measure", &["clock", "config::snapshot", "http", "proxy", "service"]),
    ("wire", &["measure", "reactor"]),
    ("flow", &["http", "measure", "plugins", "reactor", "service", "wire"]),
    (
        "gateway",
        &[
            "clock",
            "config::snapshot",
            "flow",
            "gate",
            "http",
            "measure",
            "plugins",
            "proxy",
            "reactor",
            "responder",
            "service",
            "wire",
        ],
    ),
    ("sys", &["clock", "reactor"]),
    ("sim", &["clock", "reactor", "wire::transport"]),
    (
        "observe",
        &[
            "clock",
            "config::snapshot",
            "escape",
            "files",
            "fleet",
            "http",
            "measure",
            "plugins",
            "proxy",
            "responder",
            "service",
        ],
    ),
    (
        "control",
        &[
            "clock",
            "config",
            "dns",
            "files",
            "fleet",
            "gate::authoriser",
            "gate::budget",
            "gate::token::jwks",
            "gate::token::subjects",
            "gateway",
            "http",
            "measure",
            "observe",
            "plugins",
            "proxy",
            "reactor",
            "responder",
            "service",
            "sys",
            "tls",
        ],
    ),
    (
        "turns",
        &[
            "clock",
            "config",
            "escape",
            "gateway",
            "measure",
            "observe::view",
            "proxy",
            "reactor",
            "sim",
        ],
    ),
    ("server", &["config", "control", "gateway", "measure", "observe", "proxy", "reactor", "sys"]),
    (
        "bench",
        &[
            "clock",
            "escape",
            "http",
            "measure::stats",
            "proxy::random",
            "reactor",
            "sys",
            "tls",
            "wire::buffers",
            "wire::sealed",
            "wire::socket",
            "wire::transport",
        ],
    ),
    (
        "lifecycle",
        &[
            "clock",
            "config",
            "control::discovery",
            "control::etcd",
            "control::names",
            "dns",
            "files",
            "http::timestamp",
            "measure",
            "observe::discovered",
            "observe::obeyed",
            "proxy::hash",
            "proxy::membership",
            "server",
            "sys",
            "tls",
        ],
    ),
    (
        "cli",
        &[
            "bench",
            "clock",
            "config",
            "control::identify",
            "control::register",
            "escape",
            "files",
            "http::explained",
            "http::timestamp",
            "lifecycle",
            "observe",
            "responder",
            "server",
            "sys",
            "tls",
            "turns",
        ],
    ),
];

/// Crates that only these modules may name: the rest of the house does not know them.
const FENCED: &[(&str, &[&str])] = &[
    ("mio", &["sys"]),
    ("socket2", &["sys"]),
    ("rustix", &["sys", "config", "files"]),
    ("signal_hook", &["sys"]),
    ("listenfd", &["sys"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("toml", &["config"]),
    ("simple_dns", &["dns"]),
    ("httparse", &["http"]),
    ("hdrhistogram", &["bench"]),
    ("slab", &["reactor"]),
    ("aws_lc_rs", &["gate", "tls"]),
    ("base64", &["cli", "control", "gate"]),
    ("similar", &["cli"]),
    ("sha2", &["gate", "plugins", "proxy", "tls"]),
    ("subtle", &["gate"]),
    ("rustls", &["tls"]),
    ("rustls_native_certs", &["tls"]),
    ("rcgen", &["tls"]),
    ("x509_cert", &["tls"]),
    ("x509_ocsp", &["tls"]),
    ("miniz_oxide", &["http"]),
    ("brotli_decompressor", &["http"]),
    ("sluicegate_plugin_host", &["plugins"]),
    ("zstd_safe", &["http"]),
];

/// A file past this wants splitting along a real seam.
const LINES_MAX: usize = 500;

/// So does a function past this, comments apart.
const FUNCTION_LINES_MAX: usize = 70;

struct Source {
    path: PathBuf,
    /// The first folder or file below `src`.
    module: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        let path = self.path.to_string_lossy();
        path.ends_with("tests.rs") || path.contains("/tests/")
    }

    /// The lines of code before the tests inside the file, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate();
        lines.map(|(index, line)| (index + 1, line)).filter(|(_, line)| {
            let line = line.trim_start();
            !line.starts_with("//")
        })
    }
}

/// The sources of the gateway.
fn sources() -> Vec<Source> {
    let sources = sources_below("src", Some(PLUGIN_CRATES));
    assert!(sources.len() > 30, "the sources were found");
    sources
}

/// The crates of the workspace besides the gateway's own: foreign code has its host there.
const PLUGIN_CRATES: &str = "src/plugin";

fn sources_below(folder: &str, but: Option<&str>) -> Vec<Source> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = repository.join(folder);
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.extend(but.is_none_or(|but| path != repository.join(but)).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&root).expect("it was found below src");
                let first = below.components().next().expect("a file has a name");
                let module = first.as_os_str().to_string_lossy().replace(".rs", "");
                let text = fs::read_to_string(&path).expect("source is text");
                sources.push(Source { path, module, text });
            }
        }
    }
    sources
}

/// Every `crate::a::b` on a line, as `a::b…`.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, found)| {
        let rest = &line[at + found.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        if matches!(source.module.as_str(), "lib" | "main") || source.is_test() {
            continue;
        }
        let rule = MAY_USE.iter().find(|(module, _)| *module == source.module);
        let (_, allowed) =
            rule.unwrap_or_else(|| panic!("{} has no rule in tests/tidy/", source.module));
        for (number, line) in source.code() {
            for path in crate_paths(line) {
                let named =
                    |module: &str| path == module || path.starts_with(&format!("{module}::"));
                if !named(&source.module) && !allowed.iter().any(|module| named(module)) {
                    wrong.push(format!("{}:{number}: {path}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "against the direction of dependencies:\n{}", wrong.join("\n"));
}

/// Files that import each other can be read only together.
#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let circles = imports::circles(&sources(), &root);
    assert!(circles.is_empty(), "files that import each other in a circle: {circles:#?}");
}

/// The same of methods that call each other on `self` across files, which no import shows.
#[test]
fn methods_do_not_call_each_other_in_a_circle() {
    let calls = calls::calls(&sources(), "Gateway");
    assert!(calls.len() > 50, "the calls were found");
    let circles = calls::circles(&calls);
    let inside = |call: &&calls::Call| {
        circles.iter().any(|circle| circle.contains(&call.from) && circle.contains(&call.to))
    };
    let ties: Vec<String> = calls.iter().filter(inside).map(ToString::to_string).collect();
    assert!(ties.is_empty(), "files that call each other in a circle:\n{}", ties.join("\n"));
}

/// The rooms of the gateway, the lowest first. A room may call and import those before it, and itself.
const ROOMS: &[&[&str]] = &[
    &["record", "chance", "date", "nudge", "scratch", "thirst"],
    &["command", "crew"],
    &["life/stage", "report/reporter"],
    &["server", "client"],
    &["attempt", "answer"],
    &["report/record", "report/timing"],
    &["exchange"],
    &["steady", "drive"],
    &["handshake"],
    &["life", "report"],
    &["handler"],
];

/// The floor of a file of the gateway.
fn floor(path: &Path) -> Option<usize> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gateway");
    let below = path.strip_prefix(root).ok()?.with_extension("");
    ROOMS.iter().position(|rooms| rooms.iter().any(|room| below.starts_with(room)))
}

/// No room of the gateway calls or imports one above it.
#[test]
fn rooms_know_only_those_below_them() {
    let sources = sources();
    let mut wrong: Vec<String> = calls::calls(&sources, "Gateway")
        .iter()
        .filter(|call| floor(&call.from) < floor(&call.to))
        .map(ToString::to_string)
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for source in sources.iter().filter(|source| !source.is_test()) {
        let Some(from) = floor(&source.path) else {
            let outside = !source.path.starts_with(root.join("gateway"));
            assert!(
                outside || source.path.ends_with("mod.rs"),
                "{} has no room",
                source.path.display()
            );
            continue;
        };
        for (number, line) in source.code() {
            for path in crate_paths(line).filter(|path| path.starts_with("gateway::")) {
                let to = floor(&root.join(path.replace("::", "/")));
                if to.is_some_and(|to| to > from) {
                    wrong.push(format!("{}:{number}: {path}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "from a room to one above it:\n{}", wrong.join("\n"));
}

/// Who may open a file otherwise than `files` does, and what: `/dev/null`, `/proc`, a report that
/// somebody at a terminal waits for.
const OPENS: &[(&str, &[&str])] = &[
    ("File::open", &["files", "sys"]),
    ("File::create", &["files"]),
    ("OpenOptions", &["files"]),
    ("fs::read(", &["files"]),
    ("fs::read_to_string", &["files", "bench", "build"]),
    ("fs::write", &["files", "cli"]),
];

/// A FIFO or a device in the place of a file holds up who opens it, or has no end.
#[test]
fn files_are_opened_in_one_way() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code() {
            for (call, allowed) in OPENS {
                if line.contains(call) && !allowed.contains(&source.module.as_str()) {
                    wrong.push(format!("{}:{number}: {call}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "use crate::files:\n{}", wrong.join("\n"));
}

/// A property that has failed leaves a file. It belongs to the tests, and nowhere else.
#[test]
fn cases_that_have_failed_are_kept_below_the_tests() {
    const HEAD: &str = "proptest! {";
    const KEPT: &str = "#![proptest_config(crate::properties::cases(";
    let mut wrong = Vec::new();
    for source in sources() {
        let mut lines = source.text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            let is_kept = |line: &str| line.trim_start().starts_with(KEPT);
            if line.trim() == HEAD && !lines.next().is_some_and(|(line, _)| is_kept(line)) {
                wrong.push(format!("{}:{number}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{KEPT}…))] has to be the first line of:\n{}", wrong.join("\n"));
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("proptest-regressions");
    assert!(!top.exists(), "{} belongs to tests/regressions", top.display());
}

#[test]
fn crates_stay_behind_their_fences() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.code() {
            for (name, allowed) in FENCED {
                let names = line.contains(&format!("{name}::"))
                    && !line.contains(&format!("::{name}::"))
                    && !line.contains(&format!("_{name}::"));
                if names && !allowed.contains(&source.module.as_str()) {
                    wrong.push(format!("{}:{number}: {name}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "outside their fence:\n{}", wrong.join("\n"));
}

#[test]
fn signatures_of_tokens_are_checked_in_one_file() {
    let named = |source: &Source| source.code().any(|(_, line)| line.contains("aws_lc_rs::"));
    let policies =
        sources().into_iter().filter(|source| source.module == "gate" && !source.is_test());
    let named: Vec<_> = policies.filter(named).map(|source| source.path).collect();
    assert!(named.len() == 1 && named[0].ends_with("gate/token/signature.rs"), "{named:?}");
}

#[test]
fn policies_read_no_clock_and_name_no_socket() {
    let forbidden = ["Instant::now", "SystemTime", "std::net::Tcp", "std::thread", "std::fs"];
    for source in sources() {
        if !matches!(
            source.module.as_str(),
            "http"
                | "service"
                | "proxy"
                | "responder"
                | "reactor"
                | "measure"
                | "wire"
                | "flow"
                | "fleet"
                | "gate"
                | "gateway"
        ) {
            continue;
        }
        for (number, line) in source.code() {
            for word in forbidden {
                assert!(!line.contains(word), "{}:{number}: {word}", source.path.display());
            }
        }
    }
}

/// Who reads the wall clock, besides commands that end and the clock itself. Leases, pauses and timers go by one that
/// does not jump; `docs/fleet.md` has the table of what a jump does to each of these.
const WALL_CLOCK: &[(&str, &str)] = &[
    ("config/check/tls.rs", "certificates"),
    ("config/store.rs", "certificates"),
    ("control/admin/feeds.rs", "shown"),
    ("control/admin/office.rs", "shown"),
    ("control/authoriser.rs", "certificates"),
    ("control/discovery/api.rs", "certificates"),
    ("control/etcd.rs", "certificates"),
    ("control/fleet/load.rs", "shown"),
    ("control/fleet/seat.rs", "shown: how far clocks are apart"),
    ("control/issuers.rs", "the age of the keys of issuers"),
    ("control/register.rs", "certificates"),
    ("gateway/attempt/delivery.rs", "shown: when a text was made"),
    ("gateway/client/proving.rs", "keys, tokens, budgets"),
    ("gateway/date.rs", "the Date field"),
    ("gateway/exchange/failed.rs", "Retry-After as a date"),
    ("lifecycle/members.rs", "shown"),
    ("lifecycle/mod.rs", "shown"),
    ("lifecycle/store/canary/attendance.rs", "shown"),
    ("lifecycle/store/record.rs", "shown"),
    ("lifecycle/store/status.rs", "shown"),
    ("observe/keeper.rs", "shown"),
    ("observe/recordings.rs", "shown"),
    ("observe/time.rs", "shown"),
    ("observe/usage.rs", "shown"),
    ("server/start.rs", "shown; budgets"),
];

#[test]
fn the_wall_clock_is_read_by_those_who_mean_it() {
    let mut readers: BTreeSet<String> = BTreeSet::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let reads = |line: &str| line.contains("time_of_day()") || line.contains("SystemTime::now");
        let is_clock = ["cli", "sys", "sim", "bench"].contains(&source.module.as_str());
        if !is_clock && source.code().any(|(_, line)| reads(line)) {
            let path = source.path.to_string_lossy();
            let (_, path) = path.rsplit_once("src/").expect("it is a source");
            readers.insert(path.to_owned());
        }
    }
    let meant: BTreeSet<String> = WALL_CLOCK.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(readers, meant, "a clock that jumps: say in docs/fleet.md what that does");
}

#[test]
fn unsafe_is_forbidden() {
    for source in sources() {
        if matches!(source.module.as_str(), "lib" | "main") {
            assert!(source.text.contains("#![forbid(unsafe_code)]"), "{}", source.path.display());
        }
    }
}

/// Foreign code is called by two crates: the host, and the SDK inside a plugin. Each `unsafe` of theirs says why
/// it holds, and no other crate loads an object.
#[test]
fn unsafe_says_why_it_holds() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for source in sources_below(PLUGIN_CRATES, None) {
        let path = source.path.display().to_string();
        let calls_foreign = path.contains("plugin/host/") || path.contains("plugin/sdk/");
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code() {
            if line.contains("libloading::") && !path.contains("plugin/host/src/") {
                wrong.push(format!("{path}:{number}: libloading"));
            }
            let block = line.contains("unsafe {") || line.contains("unsafe impl");
            if !block {
                continue;
            }
            count += 1;
            let above = number.saturating_sub(6)..number - 1;
            let told = lines[above].iter().any(|line| line.contains("SAFETY:"));
            if !calls_foreign || !told {
                wrong.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(count > 30, "the blocks were found: {count}");
    assert!(wrong.is_empty(), "unsafe without a stated reason:\n{}", wrong.join("\n"));
}

/// One meaning per name: a type that other rooms can see has its name for itself. Apart: the worlds of the
/// tests and the programs beside the gateway, which have a `Server` and a `Request` of their own.
#[test]
fn a_type_has_its_name_for_itself() {
    const APART: [&str; 4] = ["bench", "cli", "sim", "turns"];
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        if source.is_test() || APART.contains(&source.module.as_str()) {
            continue;
        }
        for (_, line) in source.code() {
            let Some(item) = line.strip_prefix("pub ").or(line.strip_prefix("pub(crate) ")) else {
                continue;
            };
            let mut words = item.split(|letter: char| !letter.is_alphanumeric());
            if let (Some("struct" | "enum" | "trait" | "type"), Some(name)) =
                (words.next(), words.next())
            {
                owners.entry(name.into()).or_default().push(source.path.display().to_string());
            }
        }
    }
    assert!(owners.len() > 200, "{} types are seen", owners.len());
    owners.retain(|_, files| files.len() > 1);
    assert!(owners.is_empty(), "names with several meanings: {owners:#?}");
}

#[test]
fn files_stay_short() {
    let long: Vec<_> = sources_below("src", None)
        .into_iter()
        .filter(|source| !source.is_test() && source.text.lines().count() > LINES_MAX)
        .map(|source| format!("{}: {}", source.path.display(), source.text.lines().count()))
        .collect();
    assert!(long.is_empty(), "over {LINES_MAX} lines:\n{}", long.join("\n"));
}

/// The handlers that prove the loop to be a mechanism are short, or it would be none.
#[test]
fn a_handler_is_short() {
    for name in ["echo.rs", "chat.rs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/handlers").join(name);
        let text = fs::read_to_string(&path).expect("source is text");
        assert!(text.lines().count() <= 120, "{}", path.display());
    }
}

#[test]
fn functions_stay_short() {
    let sources = sources_below("src", None);
    let sources = sources.iter().filter(|source| !source.is_test());
    let (mut count, mut long) = (0, Vec::new());
    for source in sources {
        for function in functions::functions(source) {
            count += 1;
            if function.lines > FUNCTION_LINES_MAX {
                long.push(function.to_string());
            }
        }
    }
    assert!(count > 1000, "the functions were found: {count}");
    assert!(long.is_empty(), "over {FUNCTION_LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn nothing_is_left_undone() {
    for source in sources_below("src", None) {
        for (number, line) in source.code() {
            for mark in ["todo!", "unimplemented!", "TODO", "FIXME", "XXX", "dbg!"] {
                assert!(!line.contains(mark), "{}:{number}: {mark}", source.path.display());
            }
        }
    }
}

/// A panic needs an invariant: `expect` and `unwrap` outside tests stand below a comment.
#[test]
fn every_panic_states_its_invariant() {
    let mut bare = Vec::new();
    for source in sources_below("src", None) {
        if source.is_test() {
            continue;
        }
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code() {
            let panics = [".unwrap()", ".expect(", "panic!(", "unreachable!("];
            if panics.iter().any(|panic| line.contains(panic)) {
                let above = number.saturating_sub(5)..number - 1;
                if !lines[above].iter().any(|line| line.trim_start().starts_with("//")) {
                    bare.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
                }
            }
        }
    }
    assert!(bare.is_empty(), "panics without a stated invariant:\n{}", bare.join("\n"));
}
