//! `sluicegate doctor`: what is wrong with the machine, the configuration and its servers.
//!
//! Each finding has an area, a level, what was found, and what to change. The servers are asked as
//! the gateway would ask them; one real request for a few tokens tells how they stream.
//!
//! Absent on purpose: changes. It says what to do, and does nothing.

mod machine;
mod servers;

use std::fmt;
use std::io::{self, Write};

use clap::Args;

use super::Exit;
use super::check::load;
use crate::config::Loaded;
use crate::escape::escaped;
use crate::lifecycle::place::ConfigPlace;

/// `sluicegate doctor`
#[derive(Args, Clone, Debug)]
pub struct DoctorArguments {
    /// The configuration whose ports and servers are looked at; without it the machine alone is
    #[arg(long, value_name = "PLACE")]
    pub config: Option<ConfigPlace>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Ask no server for tokens
    #[arg(long)]
    pub no_request: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FindingLevel {
    /// As it should be.
    Good,
    /// It could be better, or has to be known.
    Note,
    /// It does not work like this.
    Bad,
}

impl FindingLevel {
    fn name(self) -> &'static str {
        match self {
            FindingLevel::Good => "good",
            FindingLevel::Note => "note",
            FindingLevel::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    area: &'static str,
    level: FindingLevel,
    what: String,
    /// What to do about it; empty: nothing.
    change: String,
}

impl Finding {
    fn good(area: &'static str, what: impl Into<String>) -> Finding {
        Finding { area, level: FindingLevel::Good, what: what.into(), change: String::new() }
    }

    fn note(area: &'static str, what: impl Into<String>, change: impl Into<String>) -> Finding {
        Finding { area, level: FindingLevel::Note, what: what.into(), change: change.into() }
    }

    fn bad(area: &'static str, what: impl Into<String>, change: impl Into<String>) -> Finding {
        Finding { area, level: FindingLevel::Bad, what: what.into(), change: change.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { area, level, what, change } = self;
        write!(f, "{:<5} {area:<12} {}", level.name(), escaped(what))?;
        if !change.is_empty() {
            write!(f, "\n      {:<12} → {}", "", escaped(change))?;
        }
        Ok(())
    }
}

pub fn execute(arguments: &DoctorArguments) -> Exit {
    let mut findings = Vec::new();
    let loaded = arguments.config.as_ref().map(load);
    let snapshot = match &loaded {
        None => None,
        Some(Ok((text, Loaded { snapshot, warnings, notes }))) => {
            findings.extend(warnings.iter().map(|it| Finding::note("config", text.tell(it), "")));
            findings.extend(notes.iter().map(|it| Finding::note("config", it.clone(), "")));
            Some(snapshot)
        }
        Some(Err(reasons)) => {
            findings.extend(reasons.iter().map(|it| Finding::bad("config", it.clone(), "")));
            None
        }
    };
    findings.extend(machine::findings(snapshot));
    if let Some(snapshot) = snapshot {
        findings.extend(machine::ports(snapshot));
        findings.extend(servers::findings(snapshot, !arguments.no_request));
    }
    let told = match arguments.json {
        true => tell_json(&findings),
        false => tell(&findings),
    };
    let is_bad = findings.iter().any(|finding| finding.level == FindingLevel::Bad);
    match told {
        Ok(()) if !is_bad => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !is_bad => Exit::Success,
        _ => Exit::Failure,
    }
}

fn count(findings: &[Finding], level: FindingLevel) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

fn tell(findings: &[Finding]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    let (bad, notes) = (count(findings, FindingLevel::Bad), count(findings, FindingLevel::Note));
    writeln!(out, "\n{bad} to change, {notes} to know")?;
    out.flush()
}

fn tell_json(findings: &[Finding]) -> io::Result<()> {
    let rows = findings.iter().map(|Finding { area, level, what, change }| {
        serde_json::json!({ "area": area, "level": level.name(), "what": what, "change": change })
    });
    let document = serde_json::json!({
        "bad": count(findings, FindingLevel::Bad),
        "notes": count(findings, FindingLevel::Note),
        "findings": rows.collect::<Vec<_>>(),
    });
    let mut out = io::stdout().lock();
    writeln!(out, "{}", escaped(&document.to_string()))?;
    out.flush()
}
