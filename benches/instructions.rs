//! The guard that is no clock: user-space instructions of a token, a request, a connection and a
//! KiB, counted under callgrind.
//!
//! ```text
//! cargo bench --bench instructions                # compare with the baseline
//! cargo bench --bench instructions -- --accept    # make what is measured the baseline
//! ```
//!
//! A count is the same on a busy machine as on a quiet one, and the same tomorrow, so a limit of
//! three per cent means something. What is counted is the code of this executable that runs inside
//! [`counted_turn`]:
//!
//! * not the network, whose work is all in one function that callgrind is told to leave out;
//! * not libc, whose `memcpy` differs from processor to processor and whose `malloc` from release to
//!   release. How often each piece of work allocates is asserted by `tests/steady_state.rs`.
//!
//! What it cannot see: cache misses, branches mispredicted, and everything in the kernel.

mod tape;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::{Map, Value, json};
use sluicegate::gateway::Worker;
use tape::Tape;
use tape::works::{WORKS, Work, play};

/// More than this over the baseline is a failure.
const WORSE: f64 = 1.03;
/// The same for another compiler than the baseline's: its code differs, whatever ours does.
const WORSE_BY_COMPILER: f64 = 1.10;
/// Less than this of the baseline: it should be lowered, or the next loss hides in the gain.
const BETTER: f64 = 0.99;

const ROUNDS_WARM_UP: u64 = 50;
const ROUNDS: u64 = 200;

/// Names under which callgrind finds the two functions that switch its counting.
const SWITCHES: [&str; 2] = ["*counted_turn*", "*off_the_books*"];

#[inline(never)]
fn counted_turn(worker: &mut Worker<Tape>) {
    black_box(worker).turn().expect("a tape does not fail");
}

#[inline(never)]
fn warm_up_turn(worker: &mut Worker<Tape>) {
    black_box(worker).turn().expect("a tape does not fail");
}

/// A work and its instructions per unit.
type Counted = (&'static Work, f64);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [_, name] = arguments.as_slice()
        && arguments[0] == "--play"
    {
        let work = WORKS.iter().find(|work| work.name == name).expect("a known work");
        let mut stage = (work.prepare)();
        play(work, &mut stage, ROUNDS_WARM_UP, warm_up_turn);
        play(work, &mut stage, ROUNDS, counted_turn);
        return ExitCode::SUCCESS;
    }
    // `cargo bench` adds arguments of its own.
    let accept = arguments.iter().any(|argument| argument == "--accept");
    match run(accept) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("instructions: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(accept: bool) -> Result<(), String> {
    let counts = WORKS.iter().map(|work| Ok((work, count(work)?)));
    let counts = counts.collect::<Result<Vec<_>, String>>()?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json");
    if accept {
        fs::write(&path, baseline_text(&counts)).map_err(|error| error.to_string())?;
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let baseline = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    compare(&counts, &baseline)
}

fn baseline_text(counts: &[Counted]) -> String {
    let works: Map<String, Value> = counts
        .iter()
        .map(|(work, count)| (work.name.to_owned(), json!((count * 10.0).round() / 10.0)))
        .collect();
    let baseline = json!({
        "architecture": std::env::consts::ARCH,
        "compiler": compiler(),
        "instructions": works,
    });
    format!("{baseline:#}\n")
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Prints the report; an error names every work that got dearer.
fn compare(counts: &[Counted], baseline: &Value) -> Result<(), String> {
    let (compiler, known) = (compiler(), baseline["compiler"].as_str().unwrap_or_default());
    let comparable = baseline["architecture"].as_str() == Some(std::env::consts::ARCH);
    let limit = if compiler == known { WORSE } else { WORSE_BY_COMPILER };
    println!("user-space instructions, by {compiler}");
    let (mut worse, mut better) = (Vec::new(), false);
    for (work, count) in counts {
        let before = baseline["instructions"][work.name].as_f64();
        let change = match before {
            Some(before) if comparable => {
                let ratio = count / before;
                if ratio > limit {
                    worse.push(format!("{} {:+.1} %", work.name, (ratio - 1.0) * 100.0));
                }
                better |= ratio < BETTER;
                format!("{:+.1} % on {before:.1}", (ratio - 1.0) * 100.0)
            }
            _ => "not in the baseline".to_owned(),
        };
        let Work { name, unit, .. } = work;
        println!("  {name:<17} {count:>9.1} a {unit}: {change}");
    }
    if !comparable {
        println!("the baseline is of another architecture: nothing is compared");
    } else if compiler != known {
        println!("the baseline is by {known}: only {:.0} % and more count", (limit - 1.0) * 100.0);
    }
    if better {
        println!(
            "some got cheaper: keep the gain with `cargo bench --bench instructions -- --accept`"
        );
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(format!(
        "dearer than benches/instructions.json allows ({:+.0} %): {}. A price that is worth paying \
         is accepted with -- --accept, and named in the commit",
        (limit - 1.0) * 100.0,
        worse.join(", ")
    ))
}

/// Plays one work under callgrind.
fn count(work: &Work) -> Result<f64, String> {
    let executable = std::env::current_exe().map_err(|error| error.to_string())?;
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.callgrind", work.name));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet", "--collect-atstart=no", "--compress-strings=no"]);
    valgrind.args(["--compress-pos=no", "--error-exitcode=99"]);
    valgrind.args(SWITCHES.map(|switch| format!("--toggle-collect={switch}")));
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(&executable).args(["--play", work.name]);
    // The environment lies on the stack: another one, another alignment.
    valgrind.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let output = valgrind
        .output()
        .map_err(|error| format!("valgrind: {error}; tests/run --install installs it"))?;
    if !output.status.success() {
        return Err(format!("{}: {}", work.name, String::from_utf8_lossy(&output.stderr)));
    }
    let profile = fs::read_to_string(&out).map_err(|error| error.to_string())?;
    let cost = self_cost(&profile, &executable);
    if cost == 0 {
        return Err(format!("{}: callgrind has counted nothing", work.name));
    }
    Ok(cost as f64 / (ROUNDS * work.units) as f64)
}

/// Instructions in `executable`. In callgrind's format `ob=` says which object the lines of cost
/// belong to, and the line behind `calls=` is another function's.
fn self_cost(profile: &str, executable: &Path) -> u64 {
    let (mut ours, mut skip, mut sum) = (false, false, 0);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            ours = Path::new(object) == executable;
        } else if line.starts_with("calls=") {
            skip = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok());
            if ours && !skip {
                sum += cost.unwrap_or_default();
            }
            skip = false;
        }
    }
    sum
}
