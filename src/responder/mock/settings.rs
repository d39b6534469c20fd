//! What a mock answer is like: speed, size, and what goes wrong with it.
//!
//! One table of names serves both the flags, which set the defaults, and the query of each
//! request, which overrides them. `-` and `_` are the same in a name; the last of two wins.
//!
//! Invariant: settings that passed [`Settings::check`] cannot make a responder fail.

use std::fmt;
use std::time::Duration;

use super::text;

/// The largest body of an injected error.
const HUGE_ERROR_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How the inference endpoints answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Tokens per second and stream; `None`: the endpoint's own.
    pub rate: Option<Rate>,
    /// Tokens of an answer; `None`: the endpoint's own.
    pub tokens: Option<u64>,
    /// Bytes of each token's text; `None`: a word each.
    pub token_bytes: Option<u32>,
    /// From the end of the request to the first token.
    pub first_token: Duration,
    /// Each token begins with the clock's nanoseconds.
    pub stamp: bool,
    /// Plain text announces its length and goes without chunks.
    pub known_length: bool,
    /// Unix time, in seconds, at the clock's zero. Not a parameter: responders read no clock, and
    /// `created` is an absolute time.
    pub epoch: u64,
    /// Faults strike one request in so many; `None`: each.
    pub every: Option<u32>,
    pub faults: Faults,
}

/// What goes wrong. A count tells how many tokens come before it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Answer with this status and an error body.
    pub status: Option<u16>,
    /// Seconds, in a `Retry-After` beside `status`.
    pub retry_after: Option<u32>,
    /// Bytes of the error body beside `status`.
    pub huge_error: Option<u32>,
    /// Bytes of the error body beside `status` before it stalls.
    pub stall_error: Option<u32>,
    /// Answer with this refusal, as status 400 unless `status` says otherwise.
    pub refuse: Option<Reason>,
    /// Answer with a web page, as status 200 unless `status` says otherwise.
    pub html: bool,
    /// RST before any byte of the response.
    pub reset: bool,
    /// Nothing at all, not even a head.
    pub silent: bool,
    /// The connection closes without the end of the message.
    pub cut: Option<u32>,
    /// RST in the middle of the message.
    pub reset_after: Option<u32>,
    /// Nothing more, for ever, on an open connection.
    pub stall: Option<u32>,
    /// Bytes that are no chunk, and the connection closes.
    pub bad_chunk: Option<u32>,
    /// The next event is broken JSON.
    pub malformed: Option<u32>,
    /// Only SSE comments from here on.
    pub comments: Option<u32>,
    /// An error event, which ends the stream.
    pub error_event: Option<u32>,
    /// No `data: [DONE]`.
    pub no_done: bool,
    /// No event with a `finish_reason`.
    pub no_finish: bool,
    /// The connection closes behind a whole answer, unannounced.
    pub hang_up: bool,
}

/// Why an inference server refuses a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is longer than the model's context.
    ContextLength,
    /// It is against the provider's policy.
    ContentFilter,
}

/// How an answer stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    Reset,
    Cut,
    Garble,
    Stall,
}

impl Faults {
    /// The break that comes first, and the number of tokens before it.
    pub(super) fn first_break(&self) -> Option<(u64, Break)> {
        let breaks = [
            (self.reset_after, Break::Reset),
            (self.cut, Break::Cut),
            (self.bad_chunk, Break::Garble),
            (self.stall, Break::Stall),
        ];
        breaks
            .into_iter()
            .filter_map(|(after, kind)| Some((u64::from(after?), kind)))
            .min_by_key(|(after, _)| *after)
    }

    /// The status of an answer that is no inference, if one was asked for.
    pub(super) fn refusal(&self) -> Option<u16> {
        let default = match (self.refuse, self.html) {
            (Some(_), _) => Some(400),
            (None, true) => Some(200),
            (None, false) => None,
        };
        self.status.or(default)
    }
}

/// Tokens per second, in thousandths, so that a due time is exact integer arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    pub const fn per_second(tokens: u32) -> Rate {
        Rate(tokens as u64 * 1000)
    }

    /// From the first token to token number `index`. Always zero at rate 0, the firehose.
    pub fn offset(self, index: u64) -> Duration {
        if self.0 == 0 {
            return Duration::ZERO;
        }
        let nanos = u128::from(index) * 1_000_000_000_000 / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A parameter that is unknown, or whose value is none it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    Unknown { name: String },
    Value { name: String, expected: &'static str },
}

impl Invalid {
    pub fn name(&self) -> &str {
        match self {
            Invalid::Unknown { name } | Invalid::Value { name, .. } => name,
        }
    }

    /// What the value should have been; `None` if there is no such parameter.
    pub fn expected(&self) -> Option<&'static str> {
        match self {
            Invalid::Unknown { .. } => None,
            Invalid::Value { expected, .. } => Some(expected),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Unknown { name } => write!(f, "unknown parameter `{name}`"),
            Invalid::Value { name, expected } => write!(f, "`{name}` must be {expected}"),
        }
    }
}

impl std::error::Error for Invalid {}

impl Settings {
    /// These settings with the parameters of a query string put over them.
    pub fn overridden(mut self, query: &str) -> Result<Settings, Invalid> {
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            // A bare name is a switch turned on.
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, "1"));
            self.set(name, value)?;
        }
        self.check()?;
        Ok(self)
    }

    /// What holds for the exchange with this number, counted from 1.
    pub(super) fn of(mut self, serial: u64) -> Settings {
        if self.every.is_some_and(|every| !serial.is_multiple_of(u64::from(every))) {
            self.faults = Faults::default();
        }
        self
    }

    /// Sets one parameter by its name. [`Settings::check`] comes after the last one.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Invalid> {
        let known = name.replace('-', "_");
        match self.assign(&known, value) {
            Ok(()) => Ok(()),
            Err(Refusal::Unknown) => Err(Invalid::Unknown { name: known }),
            Err(Refusal::Expected(expected)) => Err(Invalid::Value { name: known, expected }),
        }
    }

    fn assign(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let faults = &mut self.faults;
        match name {
            "rate" => self.rate = Some(rate(value)?),
            "tokens" => self.tokens = Some(count(value)?),
            "token_bytes" => self.token_bytes = or_off(value, token_bytes)?,
            "first_token" => self.first_token = duration(value)?,
            "every" => self.every = or_off(value, every)?,
            "stamp" => self.stamp = switch(value)?,
            "known_length" => self.known_length = switch(value)?,
            "status" => {
                faults.status = or_off(value, status)?;
                if faults.status.is_none() {
                    (faults.retry_after, faults.huge_error) = (None, None);
                    faults.stall_error = None;
                }
            }
            "retry_after" => faults.retry_after = or_off(value, after)?,
            "huge_error" => faults.huge_error = or_off(value, error_bytes)?,
            "stall_error" => faults.stall_error = or_off(value, after)?,
            "refuse" => faults.refuse = or_off(value, reason)?,
            "html" => faults.html = switch(value)?,
            "hang_up" => faults.hang_up = switch(value)?,
            "reset" => faults.reset = switch(value)?,
            "silent" => faults.silent = switch(value)?,
            "cut" => faults.cut = or_off(value, after)?,
            "reset_after" => faults.reset_after = or_off(value, after)?,
            "stall" => faults.stall = or_off(value, after)?,
            "bad_chunk" => faults.bad_chunk = or_off(value, after)?,
            "malformed" => faults.malformed = or_off(value, after)?,
            "comments" => faults.comments = or_off(value, after)?,
            "error_event" => faults.error_event = or_off(value, after)?,
            "no_done" => faults.no_done = switch(value)?,
            "no_finish" => faults.no_finish = switch(value)?,
            _ => return Err(Refusal::Unknown),
        }
        Ok(())
    }

    /// What no single parameter can tell: whether they make sense together.
    pub fn check(&self) -> Result<(), Invalid> {
        let refuse = |name: &str, expected| Err(Invalid::Value { name: name.to_owned(), expected });
        let stamp_fits = |bytes: u32| bytes as usize >= text::STAMP_BYTES;
        if self.stamp && !self.token_bytes.is_none_or(stamp_fits) {
            return refuse("token_bytes", "at least 21 where tokens carry a stamp");
        }
        if self.faults.status.is_none() && self.faults.retry_after.is_some() {
            return refuse("retry_after", "given together with `status`");
        }
        if self.faults.status.is_none() && self.faults.huge_error.is_some() {
            return refuse("huge_error", "given together with `status`");
        }
        if self.faults.status.is_none() && self.faults.stall_error.is_some() {
            return refuse("stall_error", "given together with `status`");
        }
        Ok(())
    }
}

enum Refusal {
    Unknown,
    Expected(&'static str),
}

/// `off` takes a flag's default away again.
fn or_off<T>(
    value: &str,
    parse: impl Fn(&str) -> Result<T, Refusal>,
) -> Result<Option<T>, Refusal> {
    if value == "off" { Ok(None) } else { parse(value).map(Some) }
}

fn switch(value: &str) -> Result<bool, Refusal> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Refusal::Expected("1 or 0")),
    }
}

fn count(value: &str) -> Result<u64, Refusal> {
    digits(value).ok_or(Refusal::Expected("a whole number"))
}

fn after(value: &str) -> Result<u32, Refusal> {
    within(value, 0, u64::from(u32::MAX))
        .ok_or(Refusal::Expected("a whole number below 2^32, or off"))
}

fn every(value: &str) -> Result<u32, Refusal> {
    within(value, 1, u64::from(u32::MAX))
        .ok_or(Refusal::Expected("a whole number from 1 to 2^32 - 1, or off"))
}

fn reason(value: &str) -> Result<Reason, Refusal> {
    match value {
        "context_length" => Ok(Reason::ContextLength),
        "content_filter" => Ok(Reason::ContentFilter),
        _ => Err(Refusal::Expected("context_length, content_filter, or off")),
    }
}

fn token_bytes(value: &str) -> Result<u32, Refusal> {
    within(value, 1, text::TOKEN_BYTES_MAX as u64)
        .ok_or(Refusal::Expected("a number of bytes from 1 to 65536, or off"))
}

fn error_bytes(value: &str) -> Result<u32, Refusal> {
    within(value, 0, HUGE_ERROR_BYTES_MAX)
        .ok_or(Refusal::Expected("a number of bytes up to 16777216, or off"))
}

fn status(value: &str) -> Result<u16, Refusal> {
    within(value, 400, 599)
        .and_then(|status| u16::try_from(status).ok())
        .ok_or(Refusal::Expected("an error status from 400 to 599, or off"))
}

/// At most three decimals: `20`, `0.5`, `33.333`.
fn rate(value: &str) -> Result<Rate, Refusal> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let parse = || {
        let thousandths =
            digits(&format!("{fraction:0<3}")).filter(|_| (1..=3).contains(&fraction.len()))?;
        let whole: u64 = within(whole, 0, 1_000_000_000)?.into();
        Some(Rate(whole * 1000 + thousandths))
    };
    parse().ok_or(Refusal::Expected("tokens per second from 0 to 10^9, at most three decimals"))
}

/// `250ms`, `2s`; a bare `0` needs no unit.
fn duration(value: &str) -> Result<Duration, Refusal> {
    let unit_at = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(unit_at);
    let parse = || {
        let number = digits(number)?;
        let nanos = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "" if number == 0 => 1,
            _ => return None,
        };
        number.checked_mul(nanos).map(Duration::from_nanos)
    };
    parse().ok_or(Refusal::Expected("a duration such as 250ms (ns, us, ms, s, m)"))
}

fn within(value: &str, least: u64, most: u64) -> Option<u32> {
    let number = digits(value).filter(|number| (least..=most).contains(number))?;
    u32::try_from(number).ok()
}

/// Digits alone: `str::parse` would take a sign as well.
fn digits(value: &str) -> Option<u64> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    value.parse().ok()
}
