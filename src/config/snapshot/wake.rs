//! `[[upstream]] wake`: a server that is started when it is asked for.

use std::time::Duration;

/// `[[upstream]] wake`: how its server is started and stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeSettings {
    pub start: WakeBy,
    /// How it is stopped. `None`: a command's process gets SIGTERM, a URL's server is left alone.
    pub stop: Option<WakeBy>,
    /// The path that tells when it is ready; `None`: its port does.
    pub health: Option<String>,
    /// How long it may take to be ready.
    pub timeout: Duration,
    /// It is stopped after nobody has used it for so long. `None`: never.
    pub idle: Option<Duration>,
    /// How long it may take to end, before it is killed.
    pub grace: Duration,
    /// Of all with this name one runs at a time.
    pub group: Option<String>,
}

/// What starts or stops a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeBy {
    /// A program and its arguments.
    Command(Vec<String>),
    /// What is asked for with POST.
    Url(WakeUrl),
}

/// `http://host:port/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeUrl {
    /// `host:port`.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl WakeUrl {
    /// The URL as it may be shown: without its query, in which there may be a key.
    pub fn shown(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("http://{}{path}", self.authority)
    }

    /// Whether there is more than is shown.
    pub fn has_query(&self) -> bool {
        self.path.contains('?')
    }
}
