//! One check: a request, and whether the answer's head says "well".

use std::time::{Duration, Instant};

use super::CheckTarget;
use crate::control::client::{Ask, AskFailure, Whereabouts};
use crate::plugins::seat;

/// A check that took so much longer than it may was interrupted: by a process that was stopped, a
/// machine that was paused.
const STANDSTILL: Duration = Duration::from_millis(250);

/// What of an answer is shown to a plugin.
const PROBED_BYTES_MAX: usize = 64 << 10;

/// A process that is stopped again and again has other troubles than its endpoints.
const ATTEMPTS: u32 = 5;

/// Checks an endpoint, within its timeout. A failure that a standstill of ours explains says nothing
/// of the endpoint: it is checked anew, and again if that is interrupted too.
pub(super) fn check(target: &CheckTarget) -> Result<(), AskFailure> {
    believed(target.settings.timeout, || attempt(target))
}

fn believed(
    timeout: Duration,
    attempt: impl Fn() -> Result<(), AskFailure>,
) -> Result<(), AskFailure> {
    let mut attempts = 0;
    loop {
        let began = Instant::now();
        let result = attempt();
        attempts += 1;
        let interrupted = result.is_err() && began.elapsed() > timeout + STANDSTILL;
        if !interrupted || attempts == ATTEMPTS {
            return result;
        }
    }
}

fn attempt(target: &CheckTarget) -> Result<(), AskFailure> {
    let CheckTarget { address, tls, host, rules, settings, .. } = target;
    let ask = Ask {
        to: Whereabouts::Address(*address),
        tls: tls.as_deref(),
        host,
        path: &settings.path,
        agent: "sluicegate-health",
        lines: "",
        rules: rules.as_deref(),
        post: None,
        timeout: settings.timeout,
    };
    if let Some(probe) = &target.probe {
        let (status, mut body) = ask.answer(PROBED_BYTES_MAX)?;
        body.truncate(PROBED_BYTES_MAX);
        return match settings.statuses.contains(&status) {
            false => Err(AskFailure::Status(status)),
            true if seat::probe(probe, &target.upstream.1, status, &body) => Ok(()),
            true => Err(AskFailure::Probe),
        };
    }
    // The body says nothing that is asked for: it is left unread.
    match ask.status()? {
        status if settings.statuses.contains(&status) => Ok(()),
        status => Err(AskFailure::Status(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How often an endpoint is asked whose first checks, so many, take so long and fail.
    fn asked(takes: Duration, failures: u32) -> u32 {
        let count = Cell::new(0);
        let result = believed(Duration::from_millis(10), || {
            count.set(count.get() + 1);
            if count.get() > failures {
                return Ok(());
            }
            std::thread::sleep(takes);
            Err(AskFailure::Timeout)
        });
        assert_eq!(result.is_ok(), count.get() == failures + 1);
        count.get()
    }

    #[test]
    fn a_check_that_a_standstill_interrupted_is_made_again() {
        let long = Duration::from_millis(400);
        assert_eq!([asked(long, 1), asked(Duration::ZERO, 1)], [2, 1]);
        assert_eq!([asked(long, 2), asked(long, 9)], [3, ATTEMPTS]);
    }
}
