use super::*;

mod accepted;
mod refused;
mod response;
mod split;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 24 };

/// What became of a head: nothing yet, a refusal, or the head as text.
type Verdict = Option<Result<String, HeadError>>;

fn verdict_on_request(input: &[u8]) -> Verdict {
    let mut slots = FieldSlots::new();
    match parse_request(input, &mut slots, &LIMITS) {
        Ok(head) => head.map(|head| Ok(format!("{head:?}"))),
        Err(error) => Some(Err(error)),
    }
}

fn verdict_on_response(input: &[u8]) -> Verdict {
    let mut slots = FieldSlots::new();
    let context = ResponseContext { head_request: false, upgrade_asked: false };
    match parse_response(input, &mut slots, &LIMITS, &context) {
        Ok(head) => head.map(|head| Ok(format!("{head:?}"))),
        Err(error) => Some(Err(error)),
    }
}

/// Checks that every beginning of `input` gets the verdict of the whole, or none yet, and none
/// after one; returns the verdict of the whole.
fn verdict_at_any_length(input: &[u8], verdict_on: fn(&[u8]) -> Verdict) -> Verdict {
    let whole = verdict_on(input);
    let mut given = false;
    for length in 0..=input.len() {
        let verdict = verdict_on(&input[..length]);
        assert!(
            verdict == whole || (verdict.is_none() && !given),
            "{:?} cut at {length}: {verdict:?}, whole: {whole:?}",
            input.escape_ascii().to_string(),
        );
        given |= verdict.is_some();
    }
    whole
}

/// Runs `check` on the request head in `input`.
fn with_request<T>(input: &str, check: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let mut slots = FieldSlots::new();
    match parse_request(input.as_bytes(), &mut slots, &LIMITS) {
        Ok(Some(head)) => check(&head),
        other => panic!("{input:?}: {other:?}"),
    }
}
