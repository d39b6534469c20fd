//! What became of a request.

use std::time::Duration;

use super::reading::Usage;
use crate::clock::Instant;

/// Why a request has failed. What a server has said stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No connection.
    Connect,
    /// No session: a certificate that is not believed, or no TLS.
    Tls,
    /// A complete answer with another status than 2xx.
    Status(u16),
    /// The connection broke off before the answer was complete.
    Broken,
    /// The answer was complete as HTTP, and as an answer it was not: its stream just ended, or there was
    /// nothing in it.
    Incomplete,
    /// A 2xx that says inside that something is wrong.
    Inside,
    /// No HTTP, or more than one answer.
    Protocol,
    /// Nothing was heard for too long.
    Silent,
}

impl Failure {
    /// As it is called in reports.
    pub fn name(self) -> String {
        match self {
            Failure::Connect => "connect".to_owned(),
            Failure::Tls => "tls".to_owned(),
            Failure::Status(status) => format!("status_{status}"),
            Failure::Broken => "broken".to_owned(),
            Failure::Incomplete => "incomplete".to_owned(),
            Failure::Inside => "error_in_answer".to_owned(),
            Failure::Protocol => "protocol".to_owned(),
            Failure::Silent => "silent".to_owned(),
        }
    }
}

/// One request and its answer, in instants.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The job of the campaign.
    pub job: u64,
    /// When it was to be sent: where no instant was planned, when it was.
    pub due: Instant,
    /// When the first byte could be written, or a connection was asked for.
    pub sent: Instant,
    pub first: Option<Instant>,
    /// The last chunk.
    pub last: Option<Instant>,
    pub end: Instant,
    /// Events with a part of the answer.
    pub chunks: u64,
    /// Of them, those that came while it was measured.
    pub chunks_measured: u64,
    /// Between two chunks.
    pub longest_gap: Option<Duration>,
    pub usage: Usage,
    /// What the job asked for.
    pub asked_input: Option<u32>,
    pub asked_output: u32,
    pub streamed: bool,
    pub result: Result<(), Failure>,
}

impl Outcome {
    /// Tokens of the answer: as the server has counted them, else one a chunk.
    pub fn tokens(&self) -> u64 {
        self.usage.output.unwrap_or(if self.streamed { self.chunks } else { 0 })
    }

    /// Tokens of it that came while it was measured.
    pub fn tokens_measured(&self) -> f64 {
        match self.chunks {
            0 => 0.0,
            chunks => self.tokens() as f64 * self.chunks_measured as f64 / chunks as f64,
        }
    }

    /// Due → first chunk. Only a stream has one.
    pub fn ttft(&self) -> Option<Duration> {
        self.first.filter(|_| self.streamed).map(|first| first - self.due)
    }

    /// Due → the whole answer.
    pub fn e2e(&self) -> Duration {
        self.end - self.due
    }

    /// The mean time of a token behind the first one.
    pub fn tpot(&self) -> Option<Duration> {
        let (first, last) = self.first.zip(self.last).filter(|_| self.streamed)?;
        let behind = self.tokens().checked_sub(1).filter(|behind| *behind > 0)?;
        Some(Duration::from_nanos((last - first).as_nanos() as u64 / behind))
    }
}

#[cfg(test)]
pub fn outcome(due: u64, first: u64, last: u64, end: u64, chunks: u64) -> Outcome {
    let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
    Outcome {
        job: 0,
        due: at(due),
        sent: at(due),
        first: Some(at(first)),
        last: Some(at(last)),
        end: at(end),
        chunks,
        chunks_measured: chunks,
        longest_gap: None,
        usage: Usage::default(),
        asked_input: Some(10),
        asked_output: 10,
        streamed: true,
        result: Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_definitions() {
        let seen = outcome(100, 150, 350, 360, 11);
        assert_eq!(seen.ttft(), Some(Duration::from_millis(50)));
        assert_eq!(seen.tpot(), Some(Duration::from_millis(20)));
        assert_eq!(seen.e2e(), Duration::from_millis(260));
        assert_eq!((seen.tokens(), seen.tokens_measured()), (11, 11.0));
    }

    #[test]
    fn the_servers_count_goes_before_ours() {
        let usage = Usage { input: None, output: Some(21) };
        let seen = Outcome { usage, chunks_measured: 1, ..outcome(0, 100, 300, 300, 2) };
        assert_eq!((seen.tokens(), seen.tokens_measured()), (21, 10.5));
        assert_eq!(seen.tpot(), Some(Duration::from_millis(10)), "two tokens may share a chunk");
    }

    #[test]
    fn an_answer_in_one_piece_has_no_first_token() {
        let whole = Outcome { streamed: false, ..outcome(0, 100, 100, 100, 1) };
        assert_eq!((whole.ttft(), whole.tpot(), whole.tokens()), (None, None, 0));
        let single = outcome(0, 100, 100, 100, 1);
        assert_eq!((single.ttft(), single.tpot()), (Some(Duration::from_millis(100)), None));
    }
}
