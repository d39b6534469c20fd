//! `sluicegate key`: keys of clients, made, listed, revoked and rotated in a keys file.
//!
//! A secret is shown once, on standard output and alone, so that a script can take it; the file has its
//! hash. A key that is a certificate's has none, and nothing is shown of it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};

use super::{Exit, complain};
use crate::config::keys_file::{self, KeysFileError};
use crate::config::snapshot::{KeyDigest, KeyHolder, KeySettings, Pattern, SECRET_PREFIX};
use crate::config::units;
use crate::escape::escaped;
use crate::files::{self, Unread};
use crate::http::timestamp;
use crate::tls;

/// As long as a configuration may name.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What is readable by its owner alone.
const SECRET_MODE: u32 = 0o600;

/// `sluicegate key`
#[derive(Args, Clone, Debug)]
pub struct KeyArguments {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Subcommand, Clone, Debug)]
pub enum KeyCommand {
    /// Make a key: its secret is printed, once, and its hash is written to the file; or one for clients with a
    /// certificate, which has no secret
    New(Box<NewArguments>),
    /// List the keys of a file
    List(FileArgument),
    /// Take a key out of a file: its secret opens nothing any more
    Revoke {
        /// The name of the key
        name: String,
        #[command(flatten)]
        file: FileArgument,
    },
    /// Give a key another secret, which is printed, once
    Rotate {
        /// The name of the key
        name: String,
        /// How long the old secret still opens, such as 24h
        #[arg(long, value_name = "DURATION", default_value = "0", value_parser = duration)]
        grace: Duration,
        #[command(flatten)]
        file: FileArgument,
    },
}

#[derive(Args, Clone, Debug)]
pub struct FileArgument {
    /// The keys file, as gate.keys_file names it
    #[arg(long, value_name = "FILE", default_value = "keys.toml")]
    pub file: PathBuf,
}

/// `sluicegate key new`
#[derive(Args, Clone, Debug)]
pub struct NewArguments {
    /// What logs and metrics call it
    pub name: String,
    /// A route that it opens, by its path; may be repeated [default: all]
    #[arg(long = "route", value_name = "PATH")]
    pub routes: Vec<String>,
    /// A model that it may ask for, such as llama-*; may be repeated [default: all]
    #[arg(long = "model", value_name = "PATTERN")]
    pub models: Vec<String>,
    /// A network that it may be used from, such as 10.0.0.0/8; may be repeated [default: all]
    #[arg(long = "network", value_name = "NETWORK")]
    pub networks: Vec<String>,
    /// Who comes in with a certificate alone, such as agent-*, instead of a secret; may be repeated
    #[arg(long = "certificate", value_name = "PATTERN", conflicts_with = "certificates")]
    pub holders: Vec<String>,
    /// Who its client has to prove to be by a certificate, such as agent-*; may be repeated [default: nobody]
    #[arg(long = "client-certificate", value_name = "PATTERN")]
    pub certificates: Vec<String>,
    /// Its place in a queue, 0 to 3: 0 is the most urgent
    #[arg(long, value_name = "NUMBER")]
    pub priority: Option<u8>,
    /// Requests under way at once
    #[arg(long, value_name = "COUNT")]
    pub concurrency: Option<u64>,
    #[arg(long, value_name = "COUNT")]
    pub requests_per_minute: Option<u64>,
    #[arg(long, value_name = "COUNT")]
    pub tokens_per_minute: Option<u64>,
    #[arg(long, value_name = "COUNT")]
    pub tokens_per_day: Option<u64>,
    #[arg(long, value_name = "COUNT")]
    pub tokens_per_month: Option<u64>,
    /// Until when it opens anything, as 2030-12-31T23:59:59Z
    #[arg(long, value_name = "MOMENT")]
    pub expires: Option<String>,
    #[command(flatten)]
    pub file: FileArgument,
}

pub fn execute(arguments: &KeyArguments) -> Exit {
    let done = match &arguments.command {
        KeyCommand::New(new) => make(new),
        KeyCommand::List(FileArgument { file }) => list(file),
        KeyCommand::Revoke { name, file } => revoke(name, &file.file),
        KeyCommand::Rotate { name, grace, file } => rotate(name, *grace, &file.file),
    };
    match done {
        Ok(()) => Exit::Success,
        Err(reason) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

fn make(new: &NewArguments) -> Result<(), String> {
    let file = &new.file.file;
    let _alone = alone(file)?;
    let before = read(file, true)?;
    let secret = new.holders.is_empty().then(secret).transpose()?;
    let holder = match &secret {
        Some((_, digest)) => KeyHolder::Secret(*digest),
        None => KeyHolder::Certificate(new.holders.iter().map(Pattern::new).collect()),
    };
    let told = |error| told(file, &new.name, error);
    let text = before.as_deref().unwrap_or_default();
    let text = keys_file::add(text, &new.name, &holder, &lines(new)).map_err(told)?;
    write(file, &text, before.is_some())?;
    let said = format!("{}: the key {:?} is made", file.display(), new.name);
    match secret {
        Some((secret, _)) => show(&secret, &said),
        None => {
            eprintln!("{}", escaped(&format!("{said}; it has no secret")));
            Ok(())
        }
    }
}

/// The lines of a key beside its hash.
fn lines(new: &NewArguments) -> String {
    let mut lines = String::new();
    // Rust's quotes are TOML's for all that such a value can be; what it cannot be is found when the
    // text is read again. Writing to a String cannot fail.
    let lists = [
        ("routes", &new.routes),
        ("models", &new.models),
        ("networks", &new.networks),
        ("client_certificate", &new.certificates),
    ];
    for (key, values) in lists {
        if !values.is_empty() {
            let _ = writeln!(lines, "{key} = {values:?}");
        }
    }
    let counts = [
        ("priority", new.priority.map(u64::from)),
        ("concurrency", new.concurrency),
        ("requests_per_minute", new.requests_per_minute),
        ("tokens_per_minute", new.tokens_per_minute),
        ("tokens_per_day", new.tokens_per_day),
        ("tokens_per_month", new.tokens_per_month),
    ];
    for (key, count) in counts {
        if let Some(count) = count {
            let _ = writeln!(lines, "{key} = {count}");
        }
    }
    if let Some(moment) = &new.expires {
        let _ = writeln!(lines, "expires = {moment:?}");
    }
    lines
}

fn revoke(name: &str, file: &Path) -> Result<(), String> {
    let _alone = alone(file)?;
    let before = read(file, false)?.unwrap_or_default();
    let text = keys_file::remove(&before, name).map_err(|error| told(file, name, error))?;
    write(file, &text, true)?;
    eprintln!("{}: the key {name:?} is revoked", file.display());
    Ok(())
}

fn rotate(name: &str, grace: Duration, file: &Path) -> Result<(), String> {
    let _alone = alone(file)?;
    let before = read(file, false)?.unwrap_or_default();
    let (secret, digest) = secret()?;
    let until = (!grace.is_zero()).then(|| now() + grace.as_secs());
    let text = keys_file::rotate(&before, name, digest, until);
    write(file, &text.map_err(|error| told(file, name, error))?, true)?;
    let old = match until {
        None => "the old one opens nothing any more".to_owned(),
        Some(until) => format!("the old one opens until {}", timestamp::written(until)),
    };
    show(&secret, &format!("{}: the key {name:?} has another secret; {old}", file.display()))
}

fn list(file: &Path) -> Result<(), String> {
    let text = read(file, false)?.unwrap_or_default();
    let keys = keys_file::keys(&text);
    let keys = keys.map_err(|problems| told(file, "", KeysFileError::Broken(problems)))?;
    let now = now();
    for key in &keys {
        println!("{}", escaped(&row(key, now)));
    }
    Ok(())
}

/// One key in one line: its name, the beginning of its hash or whose certificate it is, and what it says.
fn row(key: &KeySettings, now: u64) -> String {
    let names = |patterns: &[Pattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
    let holder = match &key.holder {
        KeyHolder::Secret(digest) => {
            let digest = digest.to_string();
            let beginning: String = digest.chars().take("sha256:".len() + 8).collect();
            format!("{beginning}…")
        }
        KeyHolder::Certificate(holders) => format!("certificate {}", names(holders).join(",")),
    };
    let mut row = format!("{:<24} {holder}", key.name);
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(row, "  {name} {value}");
        }
    };
    let number = |count: Option<u64>| count.map(|count| count.to_string());
    let some = |names: Vec<String>| (!names.is_empty()).then(|| names.join(","));
    tell("expires", key.expires.map(timestamp::written));
    tell("expired", key.expires.filter(|end| *end <= now).map(|_| "already".to_owned()));
    tell("old secret until", key.previous.map(|(_, until)| timestamp::written(until)));
    tell("routes", some(key.routes.clone()));
    tell("models", some(names(&key.models)));
    tell("networks", some(key.networks.iter().map(ToString::to_string).collect()));
    tell("certificates", some(names(&key.certificates)));
    tell("priority", key.priority.map(|it| it.to_string()));
    tell("concurrency", key.concurrency.map(|it| it.to_string()));
    tell("requests/min", number(key.requests_per_minute));
    tell("tokens/min", number(key.tokens_per_minute));
    tell("tokens/day", number(key.tokens_per_day));
    tell("tokens/month", number(key.tokens_per_month));
    row
}

/// A secret that nobody has had, and what is kept of it.
fn secret() -> Result<(String, KeyDigest), String> {
    let random = tls::random_bytes().ok_or("the system has no random numbers")?;
    let secret = format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let digest = KeyDigest::of(secret.as_bytes());
    Ok((secret, digest))
}

fn show(secret: &str, said: &str) -> Result<(), String> {
    eprintln!("{}", escaped(&format!("{said}; its secret is shown once:")));
    println!("{secret}");
    Ok(())
}

/// Two that change a file at once would each write what they have read, and the key of one would be lost.
fn alone(file: &Path) -> Result<File, String> {
    files::lock_beside(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The text of a keys file. `None`: there is none yet, where it `may` be missing.
fn read(file: &Path, may: bool) -> Result<Option<String>, String> {
    let bytes = match files::read(file, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(Unread::Failed(error)) if may && error.kind() == ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(unread) => return Err(format!("{}: {unread}", file.display())),
    };
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| format!("{}: the file is not valid UTF-8", file.display()))
}

/// Writes a keys file. One that is there keeps its owner and its mode: whoever runs the gateway may be
/// another user.
fn write(file: &Path, text: &str, there: bool) -> Result<(), String> {
    let written = match there {
        // Whole or not at all: half a file, or an empty one, would revoke keys.
        true => files::exchange(file, text).map_err(|error| error.to_string()),
        false => {
            files::create(file, SECRET_MODE, text.as_bytes()).map_err(|error| error.to_string())
        }
    };
    written.map_err(|reason| format!("{}: {reason}", file.display()))
}

fn told(file: &Path, name: &str, error: KeysFileError) -> String {
    let place = file.display();
    match error {
        KeysFileError::Taken => format!("{place}: there is a key {name:?} already"),
        KeysFileError::NoSecret => {
            format!("{place}: the key {name:?} is a certificate's, and has no secret to change")
        }
        KeysFileError::NoSuchKey => format!("{place}: there is no key {name:?}"),
        KeysFileError::Unwritable(problems) if problems.is_empty() => format!(
            "{place}: the key {name:?} is written in a form that is not changed here; change it by hand"
        ),
        KeysFileError::Broken(problems) | KeysFileError::Unwritable(problems) => {
            let lines = problems.iter().map(|problem| problem.in_file(file));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|mistake| mistake.to_string())
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}
