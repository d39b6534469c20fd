//! The admin address of a running gateway, for commands that ask it.

use std::fmt;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use clap::Args;

use crate::files;
use crate::tls::{self, ClientFiles};

/// Where it is, and who we are there.
#[derive(Args, Clone, Debug)]
pub struct AdminArguments {
    /// The gateway's admin address; https://HOST:PORT where it speaks TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub admin: AdminPlace,
    /// The file with its token, where it asks for one
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Whose signatures are believed, where it speaks TLS [default: those that the system trusts]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Our certificate, where it asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The key of our certificate
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
}

/// `host:port`, `http://host:port` or `https://host:port`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminPlace {
    sealed: bool,
    authority: String,
}

impl FromStr for AdminPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<AdminPlace, String> {
        let sealed = text.strip_prefix("https://");
        let rest = sealed.or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let legal = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
        match authority.rsplit_once(':') {
            Some((host, port)) if legal(host) && port.parse::<u16>().is_ok() => {
                Ok(AdminPlace { sealed: sealed.is_some(), authority: authority.to_owned() })
            }
            _ => Err("write HOST:PORT, or https://HOST:PORT where it speaks TLS".to_owned()),
        }
    }
}

impl AdminPlace {
    pub fn of(address: SocketAddr, sealed: bool) -> AdminPlace {
        AdminPlace { sealed, authority: address.to_string() }
    }

    /// Whether it speaks TLS.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// As a browser wants it.
    pub fn url(&self) -> String {
        format!("{}://{}/", if self.sealed { "https" } else { "http" }, self.authority)
    }

    /// Why nobody answers there, and what to look at: an address that nothing listens on may be none that a
    /// gateway was told to have.
    pub fn unheard(&self, error: &io::Error) -> String {
        let hint = match error.kind() {
            ErrorKind::ConnectionRefused => format!(
                "; is the gateway running, and does its configuration have [admin] listen = \"{}\"?",
                self.authority
            ),
            _ => String::new(),
        };
        format!("nobody answers at {self}: {error}{hint}")
    }

    /// A connection without a session; nothing heard on it for `patience` is an error.
    pub fn connect(&self, patience: Duration) -> io::Result<TcpStream> {
        let address = self.authority.to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::other("the name resolves to nothing"))?;
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(stream)
    }
}

impl fmt::Display for AdminPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.sealed { "https://" } else { "" }, self.authority)
    }
}

/// A token is a line.
const TOKEN_FILE_MAX: u64 = 4 << 10;

/// A connection, plain or sealed.
pub trait Connection: Read + Write + Send {}

impl<T: Read + Write + Send> Connection for T {}

impl AdminArguments {
    /// As nobody in particular, and by what the system trusts.
    pub fn at(admin: AdminPlace) -> AdminArguments {
        AdminArguments { admin, token_file: None, ca: None, certificate: None, key: None }
    }

    /// Asks for `path`, and gives what comes of it, head and all. HTTP/1.0 is answered without chunks, so a
    /// line of the answer is a line of what is told. Nothing heard for `patience` is an error.
    pub fn get(
        &self,
        path: &str,
        patience: Duration,
    ) -> io::Result<BufReader<Box<dyn Connection>>> {
        let mut connection = self.connect(patience)?;
        let authorization = match &self.token_file {
            Some(file) => {
                let token = files::read(file, TOKEN_FILE_MAX)
                    .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
                format!("Authorization: Bearer {}\r\n", String::from_utf8_lossy(&token).trim_end())
            }
            None => String::new(),
        };
        let host = &self.admin.authority;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{authorization}\r\n");
        let told = |error: io::Error| match tls::why(&error) {
            Some(why) => io::Error::other(why),
            None => error,
        };
        connection.write_all(request.as_bytes()).and_then(|()| connection.flush()).map_err(told)?;
        Ok(BufReader::new(connection))
    }

    fn connect(&self, patience: Duration) -> io::Result<Box<dyn Connection>> {
        let AdminPlace { sealed, authority } = &self.admin;
        let stream = self.admin.connect(patience)?;
        if !sealed {
            return Ok(Box::new(stream));
        }
        let own = self.certificate.clone().zip(self.key.clone());
        let files = ClientFiles { ca: self.ca.clone(), own, server_name: None };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let dialer = files.dialer(authority, now).map_err(io::Error::other)?;
        Ok(Box::new(dialer.over(stream)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_or_a_url_without_a_path() {
        let place = |text: &str| text.parse::<AdminPlace>().map(|place| place.to_string());
        for (text, shown) in [
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("http://[::1]:9090", "[::1]:9090"),
            ("https://gate.internal:9443/", "https://gate.internal:9443"),
        ] {
            assert_eq!(place(text).as_deref(), Ok(shown));
        }
        for bad in ["", "gate.internal", ":9090", "https://a:1/x", "a:b", "u@a:1", "a:70000"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
