//! Values of arguments, read from what somebody typed.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::units;

/// `NAME=URL`
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub url: String,
}

/// `PID` or `NAME=PID`
#[derive(Clone, Debug)]
pub struct Owned {
    pub name: Option<String>,
    pub pid: u32,
}

impl std::str::FromStr for Named {
    type Err = String;
    fn from_str(text: &str) -> Result<Named, String> {
        let (name, url) = text.split_once('=').ok_or("must be NAME=URL")?;
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            return Err("a name has letters, digits, `-`, `_` and `.`".to_owned());
        }
        Ok(Named { name: name.to_owned(), url: url.to_owned() })
    }
}

impl std::str::FromStr for Owned {
    type Err = String;
    fn from_str(text: &str) -> Result<Owned, String> {
        let (name, pid) = match text.split_once('=') {
            Some((name, pid)) => (Some(name.to_owned()), pid),
            None => (None, text),
        };
        let pid = pid.parse().map_err(|_| "must be PID or NAME=PID".to_owned())?;
        Ok(Owned { name, pid })
    }
}

pub fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|mistake| mistake.to_string())
}

pub fn size(text: &str) -> Result<u64, String> {
    let bytes = units::size(text).map_err(|mistake| mistake.to_string())?;
    if bytes > 0 { Ok(bytes) } else { Err("must be above 0".to_owned()) }
}

pub fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg" | "html") => Ok(path),
        _ => Err("must end in .svg or .html".to_owned()),
    }
}

pub fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "must be a number above 0".to_owned())
}

/// Requests per second: more would be due in an instant than there is room to note them.
pub fn rate(text: &str) -> Result<f64, String> {
    const RATE_MAX: f64 = 1e6;
    positive(text)
        .ok()
        .filter(|rate| *rate <= RATE_MAX)
        .ok_or_else(|| "must be a number above 0, and 1000000 at most".to_owned())
}

/// A rate as the mock takes it: exact to a thousandth.
pub fn pace(text: &str) -> Result<f64, String> {
    let rounded = (positive(text)? * 1_000.0).round() / 1_000.0;
    if rounded > 0.0 { Ok(rounded) } else { Err("must be at least 0.001".to_owned()) }
}

pub fn token(text: &str) -> Result<String, String> {
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_token && text != "HEAD" && text != "CONNECT" {
        Ok(text.to_owned())
    } else {
        Err("must be a method in capitals whose answer may have a body".to_owned())
    }
}

pub fn field(text: &str) -> Result<String, String> {
    let (name, _) = text.split_once(':').ok_or("must be `Name: value`")?;
    let known = ["host", "content-length", "connection", "transfer-encoding"];
    if known.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Err(format!("{name} is set by the tool"));
    }
    if name.is_empty() || name.contains(' ') || text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("must be `Name: value` on one line".to_owned());
    }
    Ok(text.to_owned())
}
