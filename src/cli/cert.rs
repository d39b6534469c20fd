//! `sluicegate cert`: a certificate for trying TLS.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;

use super::{Exit, complain};
use crate::files;
use crate::tls::{self, SelfSigned};

/// What is readable by its owner alone.
const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

/// `sluicegate cert`
#[derive(Args, Clone, Debug)]
pub struct CertArguments {
    /// Make a certificate that is signed with its own key: for trying, believed by whoever is given it
    #[arg(long, required = true)]
    pub self_signed: bool,
    /// A name or an address that it is for; may be repeated
    #[arg(long = "name", value_name = "NAME", value_parser = subject_name)]
    #[arg(default_values = ["localhost", "127.0.0.1", "::1"])]
    pub names: Vec<String>,
    /// Where the certificate is written; nothing is overwritten
    #[arg(long, value_name = "FILE", default_value = "cert.pem")]
    pub certificate: PathBuf,
    /// Where its key is written, readable by its owner alone; nothing is overwritten
    #[arg(long, value_name = "FILE", default_value = "key.pem")]
    pub key: PathBuf,
}

/// A name that a client can ask for: an IP address, or a DNS name, perhaps with a first label `*`.
fn subject_name(told: &str) -> Result<String, String> {
    const NAME_MAX: usize = 253;
    const LABEL_MAX: usize = 63;

    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    if is_address(told) {
        return Ok(told.to_owned());
    }
    let bare = told.split_once("://").map_or(told, |(_, behind)| behind);
    let bare = bare.split('/').next().unwrap_or(bare);
    let host = match bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => bare.split(':').next().unwrap_or(bare),
    };
    let label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let edges = !label.starts_with('-') && !label.ends_with('-');
        (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(legal) && edges
    };
    let is_name = |text: &str| {
        let name = text.strip_prefix("*.").unwrap_or(text);
        // Digits alone in the last label are an address that is none, such as 10.0.0.300.
        let last = name.rsplit('.').next().unwrap_or(name);
        let number = last.bytes().all(|byte| byte.is_ascii_digit());
        text.len() <= NAME_MAX && name.split('.').all(label) && !number
    };
    if is_name(told) {
        return Ok(told.to_owned());
    }
    let mut reason = "a certificate is for DNS names and IP addresses".to_owned();
    if !told.is_ascii() {
        reason += "; write a name with other letters as it stands in DNS, xn--…";
    } else if host != told && (is_name(host) || is_address(host)) {
        reason += &format!(", without scheme, port or path; did you mean {host:?}?");
    }
    Err(reason)
}

pub fn execute(arguments: &CertArguments) -> Exit {
    match write(arguments) {
        Ok(()) => {
            let CertArguments { certificate, key, names, .. } = arguments;
            let names = names.join(", ");
            println!("{}: a certificate for {names}", certificate.display());
            println!("{}: its key", key.display());
            Exit::Success
        }
        Err(reason) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

fn write(arguments: &CertArguments) -> Result<(), String> {
    let CertArguments { certificate, key, names, .. } = arguments;
    let made = self_signed(names)?;
    let told = |path: &PathBuf, error: std::io::Error| format!("{}: {error}", path.display());
    // The key first: a certificate without one is of no use.
    files::create(key, SECRET_MODE, made.key.as_bytes()).map_err(|error| told(key, error))?;
    files::create(certificate, PUBLIC_MODE, made.certificate.as_bytes())
        .map_err(|error| told(certificate, error))
}

/// A certificate that is good from today on.
pub(super) fn self_signed(names: &[String]) -> Result<SelfSigned, String> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let days = since.unwrap_or(Duration::ZERO).as_secs() / 86_400;
    tls::self_signed(names, days.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::subject_name;

    #[test]
    fn names_are_those_that_a_client_can_ask_for() {
        let long = format!("{}.example", "a".repeat(64));
        for good in [
            "localhost",
            "gate.internal",
            "*.corp.example",
            "10.0.0.7",
            "::1",
            "a_b",
            "xn--bcher-kva",
        ] {
            assert_eq!(subject_name(good).as_deref(), Ok(good));
        }
        for (bad, hint) in [
            ("https://gate.internal:8443/v1", "did you mean \"gate.internal\"?"),
            ("gate.internal:8443", "did you mean \"gate.internal\"?"),
            ("[::1]:8443", "did you mean \"::1\"?"),
            ("bücher.example", "xn--"),
            ("", "DNS names"),
            ("a b", "DNS names"),
            ("a..b", "DNS names"),
            ("gate.", "DNS names"),
            ("-a", "DNS names"),
            ("*", "DNS names"),
            ("a.*.b", "DNS names"),
            ("10.0.0.300", "DNS names"),
            (&long, "DNS names"),
        ] {
            let reason = subject_name(bad).expect_err(bad);
            assert!(reason.contains(hint), "{bad}: {reason}");
        }
    }
}
