//! `cors` of a route, as TOML.

use std::fmt;

use super::super::snapshot::Cors;
use super::super::units::show_duration;
use super::{entry, list, quoted};

pub(super) fn cors(cors: Option<&Cors>, out: &mut String) -> fmt::Result {
    let Some(Cors { origins, credentials, headers, expose, max_age }) = cors else {
        return entry(out, "cors", quoted("off"));
    };
    let names = |names: &[String]| list(names.iter().map(|name| quoted(name)));
    entry(out, "cors.origins", list(origins.iter().map(|origin| quoted(origin.as_str()))))?;
    entry(out, "cors.credentials", credentials)?;
    match headers {
        Some(headers) => entry(out, "cors.headers", names(headers))?,
        None => out.push_str("# cors.headers: those that a page asks for\n"),
    }
    entry(out, "cors.expose", names(expose))?;
    entry(out, "cors.max_age", quoted(&show_duration(*max_age)))
}
