//! `sluicegate dashboard`: opens the dashboard of a running gateway in a browser, or says where it is.
//!
//! The token is not handed over: it would stand in the arguments of the browser, which everybody on this
//! machine can read. The page asks for it where it is needed.

use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;

use super::admin::{AdminArguments, AdminPlace};
use super::{Exit, check, complain};
use crate::lifecycle::place::ConfigPlace;

/// `sluicegate dashboard`
#[derive(Args, Clone, Debug)]
pub struct DashboardArguments {
    /// The gateway's configuration, which says where its admin address is
    #[arg(long, value_name = "PLACE", conflicts_with = "admin")]
    pub config: Option<ConfigPlace>,
    /// The gateway's admin address; https://HOST:PORT where it speaks TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub admin: AdminPlace,
    /// Open no browser: print the address and end
    #[arg(long)]
    pub print: bool,
}

/// A gateway on this machine answers at once, and one elsewhere soon.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most of an answer that is read: its first line.
const STATUS_LINE_MAX: u64 = 128;

pub fn execute(arguments: &DashboardArguments) -> Exit {
    match open(arguments) {
        Ok(()) => Exit::Success,
        Err(reasons) => {
            reasons.iter().for_each(|reason| complain(reason));
            Exit::Failure
        }
    }
}

fn open(arguments: &DashboardArguments) -> Result<(), Vec<String>> {
    let (place, has_token) = match &arguments.config {
        None => (arguments.admin.clone(), None),
        Some(place) => {
            let (_, loaded) = check::load(place)?;
            let admin = loaded.snapshot.admin;
            let address = admin.listen.ok_or_else(|| {
                vec![format!(
                    "{place} has no admin address: set [admin] listen = \"127.0.0.1:9090\""
                )]
            })?;
            let at = AdminPlace::of(reachable(address), admin.tls.is_some());
            (at, admin.token.map(|token| token.file))
        }
    };
    let url = place.url();
    if let Err(why) = is_gateway(&place) {
        return Err(vec![why]);
    }
    if let Some(file) = has_token {
        log::info!("the page asks for the token that is in {file} where it needs it");
    }
    let opened = !arguments.print && has_screen() && browse(&url);
    let said = if opened { format!("opened {url}\n") } else { format!("{url}\n") };
    // Whoever does not read it has its browser.
    let _ = io::stdout().write_all(said.as_bytes());
    Ok(())
}

/// Whether a gateway answers there. Of one that speaks TLS only that somebody does: whom it believes, and
/// whom we do, is the browser's affair.
fn is_gateway(place: &AdminPlace) -> Result<(), String> {
    let nobody = |error: io::Error| place.unheard(&error);
    place.connect(PATIENCE).map_err(nobody)?;
    if place.is_sealed() {
        return Ok(());
    }
    let asked = AdminArguments::at(place.clone());
    let mut status = String::new();
    let answer = asked.get("/healthz", PATIENCE).map_err(nobody)?;
    answer.take(STATUS_LINE_MAX).read_line(&mut status).map_err(nobody)?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(format!(
            "another server answers at {} (to /healthz it says {:?}): say --admin",
            place.url(),
            status.trim_end()
        )),
    }
}

/// The address of this machine that leads to a listener of all.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        address => address,
    }
}

/// Whether a browser has somewhere to appear.
fn has_screen() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set("BROWSER") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

/// Has the desktop open it; whether it could.
fn browse(url: &str) -> bool {
    let status = Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_all_addresses_is_opened_on_this_machine() {
        for (listens, opened) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.0.0.7:9090", "10.0.0.7:9090"),
        ] {
            let address: SocketAddr = listens.parse().expect("an address");
            assert_eq!(reachable(address).to_string(), opened);
        }
    }
}
