//! Whom to ask: a URL taken apart, its address, and the head of every request.
//!
//! * A key stands in the head and nowhere else: no report, no message and no debug output has it.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::api::{Api, Style};
use super::workload::Job;
use crate::bench::target::Url;
use crate::escape::escaped;
use crate::tls::{ClientFiles, TlsDialer};
use crate::wire::transport::{Dialer, Session};

/// How long each address of a name is tried, where it has several.
const TRIED_FOR: Duration = Duration::from_secs(2);

/// What is said of an endpoint.
#[derive(Clone, Debug)]
pub struct Named {
    pub url: String,
    /// In place of the API's own path.
    pub path: Option<String>,
    /// Whole lines without their ends.
    pub fields: Vec<String>,
    /// Whose signatures are believed; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Asked for and to be proved, in place of the URL's host.
    pub server_name: Option<String>,
}

/// Characters of what a server says about an error that are shown.
const SHOWN_MAX: usize = 300;

/// One server under load.
#[derive(Clone)]
pub struct Endpoint {
    pub api: Api,
    /// As it was given.
    pub url: String,
    pub address: SocketAddr,
    pub path: String,
    pub style: Style,
    /// All of the head but the length of the body.
    head: String,
    /// What no report may have.
    key: Option<String>,
    dialer: Option<TlsDialer>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).field("path", &self.path).finish()
    }
}

impl Endpoint {
    /// `now` is the time since 1970. The error is a sentence.
    pub fn new(
        api: Api,
        style: Style,
        named: &Named,
        key: Option<&str>,
        now: Duration,
    ) -> Result<Endpoint, String> {
        let (sealed, url) = parse(&named.url).map_err(|why| format!("{}: {why}", named.url))?;
        let path = match &named.path {
            Some(path) => path.clone(),
            None => api.path_below(&url.path, style.stream),
        };
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{path}: a path begins with / and has no space"));
        }
        let files =
            ClientFiles { ca: named.ca.clone(), own: None, server_name: named.server_name.clone() };
        let with_port = with_port(&url.authority, sealed);
        let dialer = match sealed {
            true => Some(files.dialer(&with_port, now)?),
            false if named.ca.is_some() || named.server_name.is_some() => {
                return Err("--ca and --server-name are for https://".to_owned());
            }
            false => None,
        };
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n", url.authority);
        // What somebody has written stands in the place of our own.
        let name = |field: &str| field.split(':').next().unwrap_or_default().to_lowercase();
        let written: Vec<String> = named.fields.iter().map(|field| name(field)).collect();
        let own = api.fields(key).into_iter().filter(|field| !written.contains(&name(field)));
        for field in named.fields.iter().cloned().chain(own) {
            head.push_str(&field);
            head.push_str("\r\n");
        }
        let address = address(&with_port).map_err(|why| format!("{}: {why}", named.url))?;
        let key = key.filter(|key| !key.is_empty()).map(str::to_owned);
        Ok(Endpoint { api, url: named.url.clone(), address, path, style, head, key, dialer })
    }

    pub fn is_sealed(&self) -> bool {
        self.dialer.is_some()
    }

    /// A session for a new connection, where there is one.
    pub fn session(&self) -> Option<Box<dyn Session>> {
        self.dialer.as_ref().map(Dialer::dial)
    }

    /// What a server has said, fit to be shown: without our key, which some servers repeat, without what acts
    /// on a terminal, and no longer than somebody reads.
    pub fn shown(&self, told: &str) -> String {
        let told = match &self.key {
            Some(key) => told.replace(key.as_str(), "[key]"),
            None => told.to_owned(),
        };
        let line = escaped(&told);
        match line.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.into_owned(),
        }
    }

    /// The bytes of a request.
    pub fn request(&self, job: &Job) -> Vec<u8> {
        let body = self.api.body(job, &self.style);
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        [self.head.as_bytes(), length.as_bytes(), &body].concat()
    }
}

/// Whether it is sealed, and the rest.
fn parse(text: &str) -> Result<(bool, Url), String> {
    let (sealed, plain) = match text.strip_prefix("https://") {
        Some(rest) => (true, format!("http://{rest}")),
        None if text.starts_with("http://") => (false, text.to_owned()),
        None => return Err("must begin with http:// or https://".to_owned()),
    };
    Url::parse(&plain).map(|url| (sealed, url)).map_err(|bad| bad.to_string())
}

fn with_port(authority: &str, sealed: bool) -> String {
    let after_host = authority.rfind(']').unwrap_or(0);
    match authority[after_host..].contains(':') {
        true => authority.to_owned(),
        false => format!("{authority}:{}", if sealed { 443 } else { 80 }),
    }
}

/// The first address that takes a connection: `localhost` may be two, and a server listens on one.
fn address(authority: &str) -> Result<SocketAddr, String> {
    let all: Vec<SocketAddr> = authority
        .to_socket_addrs()
        .map_err(|error| format!("{authority} has no address: {error}"))?
        .collect();
    let first = all.first().copied();
    let first = first.ok_or_else(|| format!("{authority} has no address"))?;
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, TRIED_FOR).is_ok();
    let several = all.len() > 1;
    Ok(several.then(|| all.iter().find(answers).copied()).flatten().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::inference::files::Prompt;

    fn style() -> Style {
        Style {
            model: "m".to_owned(),
            stream: true,
            exact: false,
            usage: false,
            limit_field: "max_tokens".to_owned(),
            extra: serde_json::Map::new(),
        }
    }

    fn endpoint(url: &str, key: Option<&str>) -> Result<Endpoint, String> {
        endpoint_with("X-Team: a", url, key)
    }

    fn endpoint_with(field: &str, url: &str, key: Option<&str>) -> Result<Endpoint, String> {
        let named = Named {
            url: url.to_owned(),
            path: None,
            fields: vec![field.to_owned()],
            ca: None,
            server_name: None,
        };
        Endpoint::new(Api::OpenaiCompletions, style(), &named, key, Duration::ZERO)
    }

    #[test]
    fn a_request_has_its_head_its_key_and_its_length() {
        let endpoint = endpoint("http://127.0.0.1:9/v1", Some("secret")).expect("an endpoint");
        let job = Job { prompt: Prompt::Text("hi".to_owned()), input: Some(1), output: 3 };
        let body = r#"{"model":"m","prompt":"hi","max_tokens":3,"stream":true}"#;
        let expected = format!(
            "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:9\r\nX-Team: a\r\n\
             Content-Type: application/json\r\nAuthorization: Bearer secret\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(String::from_utf8(endpoint.request(&job)).as_deref(), Ok(expected.as_str()));
        assert!(!format!("{endpoint:?}").contains("secret"));
        let written = endpoint_with("content-type: text/x", "http://127.0.0.1:9/v1", None);
        let request = written.expect("an endpoint").request(&job);
        let request = String::from_utf8(request).expect("UTF-8").to_lowercase();
        assert_eq!(request.matches("content-type: ").count(), 1, "{request}");
        assert!(request.contains("content-type: text/x\r\n"), "{request}");
    }

    #[test]
    fn what_a_server_says_is_shown_without_the_key_and_acts_on_no_terminal() {
        let endpoint = endpoint("http://127.0.0.1:9/v1", Some("secret")).expect("an endpoint");
        let told = endpoint.shown("no such key: \x1b[31mBearer secret");
        assert!(!told.contains("secret") && !told.contains('\x1b'), "{told}");
        assert!(told.contains("Bearer [key]"), "{told}");
        // A key that lies where the text is cut is none of which the beginning is shown.
        let long = format!("{}secret", "x".repeat(SHOWN_MAX - 3));
        assert!(!endpoint.shown(&long).contains("xsec"));
        assert_eq!(endpoint.shown(&"é".repeat(1_000)).chars().count(), SHOWN_MAX + 1);
    }

    #[test]
    fn what_is_no_endpoint_is_told() {
        for (url, part) in [
            ("ftp://a/", "http:// or https://"),
            ("http://", "no host"),
            ("127.0.0.1:8000", "http:// or https://"),
            ("http://a b/", "space"),
        ] {
            let why = endpoint(url, None).expect_err(url);
            assert!(why.contains(part) && why.contains(url), "{url}: {why}");
        }
        let ports = ["a", "a:1", "[::1]", "[::1]:1"].map(|authority| with_port(authority, true));
        assert_eq!(ports, ["a:443", "a:1", "[::1]:443", "[::1]:1"]);
    }
}
