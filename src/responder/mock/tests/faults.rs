//! What goes wrong, and exactly when.

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn a_status_comes_with_an_error_body() {
    for (target, body) in [("/stream", ""), (CHAT, STREAMED), (CHAT, "no JSON"), ("/health", "")] {
        let played = play(&format!("{target}?status=503&first_token=2s"), body);
        assert_eq!(played.status(), 503);
        assert_eq!(played.head.as_ref().expect("a head").0, ms(2000));
        let error = &played.json()["error"];
        assert!(error["message"].is_string() && error["code"] == "injected_fault");
        assert_eq!(error["type"], "server_error");
        assert_eq!(played.ended.1, Ended::Complete);
    }
    assert_eq!(play("/stream?status=429", "").json()["error"]["type"], "rate_limit_error");
    assert_eq!(play("/stream?status=404", "").json()["error"]["type"], "invalid_request_error");
}

#[test]
fn a_status_may_carry_retry_after() {
    let played = play("/stream?status=429&retry_after=7", "");
    let head = played.head.expect("a head").1;
    assert_eq!(head.fields, [("Retry-After".into(), "7".to_owned())]);
}

#[test]
fn a_huge_error_has_the_size_asked_for() {
    for bytes in [1000, 100_000, 16 * 1024 * 1024] {
        let played = play(&format!("/stream?status=500&huge_error={bytes}"), "");
        assert_eq!(played.text().len(), bytes);
        assert!(played.json()["error"]["message"].is_string());
    }
    assert!(play("/stream?status=500&huge_error=1", "").json()["error"].is_object());
}

#[test]
fn a_reset_comes_before_any_byte() {
    let played = play("/stream?reset=1&first_token=100ms", "");
    assert!(played.head.is_none() && played.data.is_empty());
    assert_eq!(played.ended, (ms(100), Ended::Reset));
}

#[test]
fn a_silent_server_gives_no_head() {
    let played = play(&format!("{CHAT}?silent"), STREAMED);
    assert!(played.head.is_none());
    assert_eq!(played.ended.1, Ended::Stalled);
}

#[test]
fn breaks_come_when_the_next_token_would_have() {
    let kinds = [("cut", Ended::Cut), ("reset_after", Ended::Reset), ("stall", Ended::Stalled)];
    for (name, ended) in kinds {
        for after in [0, 1, 3, 4] {
            let played = play(&format!("/stream?{name}={after}"), "");
            assert_eq!(played.data.len(), after as usize, "{name}={after}");
            assert_eq!(played.ended, (ms(after * 500), ended), "{name}={after}");

            // One more event than tokens: the role, unless nothing comes at all.
            let played = play(&format!("{CHAT}?rate=2&tokens=4&{name}={after}"), STREAMED);
            let role = usize::from(after > 0);
            assert_eq!(played.events().len(), after as usize + role, "{name}={after}");
            assert_eq!(played.ended, (ms(after * 500), ended), "{name}={after}");
        }
        let beyond = play(&format!("/stream?{name}=5"), "");
        assert_eq!((beyond.data.len(), beyond.ended.1), (4, Ended::Complete));
    }
}

#[test]
fn the_earliest_break_wins() {
    assert_eq!(play("/stream?stall=1&cut=2&reset_after=3", "").ended.1, Ended::Stalled);
    assert_eq!(play("/stream?stall=3&cut=2&reset_after=1", "").ended.1, Ended::Reset);
}

#[test]
fn an_answer_in_one_piece_breaks_inside_its_text() {
    for (name, ended) in
        [("cut", Ended::Cut), ("reset_after", Ended::Reset), ("stall", Ended::Stalled)]
    {
        let played = play(&format!("{CHAT}?{name}=2"), PLAIN);
        assert!(played.text().ends_with(r#""content":"Water finds "#), "{}", played.text());
        assert!(played.head.as_ref().expect("a head").1.length > Some(played.text().len() as u64));
        assert_eq!(played.ended.1, ended);

        let played = play(&format!("{CHAT}?{name}=0"), PLAIN);
        assert_eq!((played.status(), played.text().as_str()), (200, ""));
        assert_eq!(played.ended.1, ended);
    }
    assert!(play(&format!("{CHAT}?cut=17"), PLAIN).json().is_object());
}

#[test]
fn a_malformed_event_stands_in_for_one_token() {
    for target in [CHAT, COMPLETIONS] {
        let events = play(&format!("{target}?tokens=4&malformed=2"), STREAMED).events();
        let role = usize::from(target == CHAT);
        let broken: Vec<usize> =
            (0..events.len() - 1).filter(|&at| events[at].is_string()).collect();
        assert_eq!(broken, [role + 2]);
        assert_eq!(spoken(&events), "Water finds way ");
        assert_eq!(events.last().expect("an event"), "[DONE]");
    }
}

#[test]
fn comments_take_the_place_of_tokens() {
    let played = play(&format!("{CHAT}?tokens=5&comments=2"), STREAMED);
    assert_eq!(played.times_ms(), [0, 0, 50, 100, 150, 200, 200, 200]);
    let events = played.events();
    assert_eq!(spoken(&events), "Water finds ");
    assert!(events[3..6].iter().all(|event| event == ": ping"));
    assert_eq!(events[6]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn comments_from_the_start_leave_no_role_either() {
    let events = play(&format!("{CHAT}?tokens=3&comments=0"), STREAMED).events();
    assert!(events[..3].iter().all(|event| event == ": ping"));
    assert_eq!(events.len(), 5);
}

#[test]
fn an_error_event_ends_the_stream() {
    for (after, pieces) in [(0, 1), (2, 4), (16, 18)] {
        let played = play(&format!("{CHAT}?error_event={after}"), STREAMED);
        let events = played.events();
        assert_eq!(events.len(), pieces);
        let error = &events[pieces - 1]["error"];
        assert_eq!(error["type"], "server_error");
        assert!(error["message"].is_string());
        assert_eq!(played.ended, (ms(after * 50), Ended::Complete));
    }
}

#[test]
fn the_end_may_lack_done_or_finish() {
    let events = play(&format!("{CHAT}?tokens=2&no_done=1"), STREAMED).events();
    assert_eq!(events.last().expect("an event")["choices"][0]["finish_reason"], "stop");

    let events = play(&format!("{CHAT}?tokens=2&no_finish=1"), STREAMED).events();
    assert_eq!(events.len(), 4);
    assert!(events[..3].iter().all(|event| event["choices"][0]["finish_reason"].is_null()));
    assert_eq!(events[3], "[DONE]");

    let played = play(&format!("{CHAT}?tokens=2&no_finish&no_done"), STREAMED);
    assert_eq!((played.events().len(), played.ended.1), (3, Ended::Complete));
}

#[test]
fn faults_of_events_leave_bare_text_alone() {
    let query = "malformed=0&comments=0&error_event=0&no_done&no_finish";
    assert_eq!(play(&format!("/stream?{query}"), "").text(), "Water finds its way\n");
}

#[test]
fn a_bad_chunk_is_a_break_like_the_others() {
    let played = play(&format!("{CHAT}?rate=2&tokens=4&bad_chunk=2"), STREAMED);
    assert_eq!((played.events().len(), played.ended), (3, (ms(1000), Ended::Garbled)));
    assert_eq!(play("/stream?cut=1&bad_chunk=2", "").ended.1, Ended::Cut);
}

#[test]
fn a_web_page_takes_the_place_of_any_answer() {
    for (query, status) in [("html", 200), ("html&status=502", 502)] {
        let played = play(&format!("{CHAT}?{query}"), STREAMED);
        let head = &played.head.as_ref().expect("a head").1;
        assert_eq!((head.status, head.content_type), (status, "text/html; charset=utf-8"));
        assert!(played.text().starts_with("<!DOCTYPE html>"));
    }
}

#[test]
fn a_prompt_can_be_refused() {
    for (reason, code) in
        [("context_length", "context_length_exceeded"), ("content_filter", "content_filter")]
    {
        let played = play(&format!("{CHAT}?refuse={reason}"), STREAMED);
        assert_eq!((played.status(), &played.json()["error"]["code"]), (400, &code.into()));
    }
    assert_eq!(play(&format!("{CHAT}?refuse=context_length&status=413"), "").status(), 413);
}

#[test]
fn an_error_body_can_stall() {
    let played = play("/stream?status=503&stall_error=10", "");
    assert_eq!((played.text().len(), played.ended.1), (10, Ended::Stalled));
    assert!(played.head.expect("a head").1.length > Some(10));
}

#[test]
fn a_hang_up_follows_a_whole_answer_and_no_other() {
    assert_eq!(play("/stream?hang_up", "").ended.1, Ended::HungUp);
    assert_eq!(play(&format!("{CHAT}?hang_up"), PLAIN).ended.1, Ended::HungUp);
    assert_eq!(play("/stream?hang_up&cut=1", "").ended.1, Ended::Cut);
}

#[test]
fn faults_can_strike_one_request_in_so_many() {
    let service = service(Settings::default(), CHAT);
    let status = |query: &str| {
        let mut responder = asked_of(&*service, &format!("{CHAT}?{query}"), STREAMED);
        play_late(&mut *responder, Duration::ZERO).status()
    };
    let statuses: Vec<u16> = (0..6).map(|_| status("status=503&every=3")).collect();
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503]);
    assert_eq!(status("status=503&every=3&every=off"), 503);
}
