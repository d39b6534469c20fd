//! `sluicegate cert`: a certificate for trying TLS.

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
    #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    pub names: Vec<String>,
    /// Where the certificate is written; nothing is overwritten
    #[arg(long, value_name = "FILE", default_value = "cert.pem")]
    pub certificate: PathBuf,
    /// Where its key is written, readable by its owner alone; nothing is overwritten
    #[arg(long, value_name = "FILE", default_value = "key.pem")]
    pub key: PathBuf,
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
