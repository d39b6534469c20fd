//! A stream that breaks, and one that goes on with it: at every byte, in any pieces.

use std::time::Duration;

use crate::harness::scenario::Simulation;
use crate::seed;
use sluicegate::config::snapshot::{Continue, Heartbeat};
use sluicegate::service::Setting;
use sluicegate::sim::{Answer, Visit};

const COMPLETIONS: &str = "/relay/completions";
const MARK: &str = ": continued by models-0\n\n";
const ASKED: &str = r#"{"prompt":"Once","stream":true}"#;

fn says(text: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":null}}]}}\n\n"
    )
}

fn whole(texts: &[&str]) -> String {
    let events: String = texts.iter().map(|text| says(text)).collect();
    events + "data: [DONE]\n\n"
}

fn events(answer: Answer) -> Answer {
    answer.field("Content-Type", "text/event-stream")
}

fn continuing(simulation: Simulation) -> Simulation {
    simulation.configure(|snapshot| {
        snapshot.upstreams[0].service = Setting::OpenAi;
        snapshot.upstreams[0].retry.budget = 100;
        snapshot.routes[0].continues = Some(Continue { attempts: 1, text_bytes: 1_000 });
    })
}

/// A frame of a chunked body, whose data may end inside an event.
fn frame(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

#[test]
fn wherever_a_stream_is_cut_what_the_client_has_is_one_text_or_seen_to_be_cut() {
    // The second event comes in two frames: between them no other server may speak.
    let second = says(" a");
    let (head, tail) = second.split_at(20);
    let frames = [frame(&says(" upon")), frame(head), frame(tail), frame(&says(" time"))];
    let framed = frames.concat();
    let payload = says(" upon") + &second + &says(" time");
    // Where the frames end that end with an event, and the events that the client has then.
    let ends = |count: usize| frames[..count].concat().len();
    let boundaries = [(ends(1), 1), (ends(3), 2), (ends(4), 3)];
    let rest = whole(&["."]);
    for cut in 0..=framed.len() {
        for pieces in [false, true] {
            let first = framed.clone();
            let mut world = continuing(Simulation::new(seed!() + cut as u64))
                .upstream(|u| {
                    let begun = events(u).field("Transfer-Encoding", "chunked").head();
                    begun.raw(&first.as_bytes()[..cut]).pause(Duration::from_millis(1)).close()
                })
                .upstream(|u| events(u).chunk(rest.as_bytes()).raw(b"0\r\n\r\n"));
            if pieces {
                world = world.faults(|faults| (faults.split, faults.short_read) = (500, 300));
            }
            let answer = world.client().post(COMPLETIONS, ASKED).finish();
            let body = answer.body();
            let boundary = boundaries.iter().find(|(end, _)| *end == cut);
            if let Some((_, count)) = boundary {
                let texts = &[" upon", " a", " time"][..*count];
                let begun: String = texts.iter().map(|text| says(text)).collect();
                let expected = begun + MARK + &rest;
                assert!(answer.is_whole(), "cut at {cut}: {body}");
                assert_eq!(body, expected, "cut at {cut}");
            } else if answer.is_whole() {
                // It had the head, and nothing of a text.
                let said = body.strip_prefix(MARK).unwrap_or(&body);
                assert_eq!(said, rest, "cut at {cut}: before the client had anything");
            } else {
                assert!(payload.starts_with(&body), "cut at {cut}: {body}");
            }
            world.assert_clean();
        }
    }
}

#[test]
fn a_client_that_leaves_while_the_rest_is_asked_for_leaves_nothing() {
    let second = Duration::from_secs(1);
    for silence in [0, 1, 2] {
        let mut world = continuing(Simulation::new(seed!()))
            .upstream(|u| events(u).chunk(says(" upon")).pause(second).close())
            .upstream(|u| u.pause(10 * second).body(b"late"));
        let visit = Visit::new().post(COMPLETIONS, ASKED);
        let pause = second * silence + Duration::from_millis(500);
        let client = world.start(visit.pause(pause).leave());
        world.run();
        let answer = world.received(client);
        assert!(!answer.is_whole());
        world.run_for(second);
        world.assert_clean();
    }
}

#[test]
fn what_nobody_goes_on_with_is_told_as_the_fault_that_broke_it() {
    let mut world = continuing(Simulation::new(seed!()))
        .upstream(|u| events(u).chunk(says(" upon")).pause(Duration::from_millis(1)).close())
        .upstream(|u| u.pause(Duration::from_secs(30)).close())
        .configure(|snapshot| snapshot.timeouts.exchange.total = None);
    let answer = world.client().post(COMPLETIONS, ASKED).finish();
    // The second one was waited for, and the third; the fault is the one that broke the stream.
    assert!(answer.body().starts_with(&says(" upon")) && !answer.is_whole());
    assert_eq!(answer.code(), "upstream_truncated", "{}", answer.body());
    world.assert_clean();
}

#[test]
fn behind_a_head_of_ours_a_stream_is_continued_as_well() {
    let second = Duration::from_secs(1);
    let mut world = continuing(Simulation::new(seed!()))
        .upstream(|u| {
            let begun = u.pause(2 * second + second / 2);
            events(begun).chunk(says(" upon")).pause(second / 2).close()
        })
        .upstream(|u| {
            let rest = events(u.pause(second + second / 2));
            rest.chunk(whole(&["."])).raw(b"0\r\n\r\n")
        })
        .configure(|snapshot| {
            snapshot.routes[0].heartbeat = Some(Heartbeat { every: second, before_head: true });
        });
    let answer = world.client().post(COMPLETIONS, ASKED).finish();
    let sign = ": hb\n\n";
    let expected = [sign, sign, &says(" upon"), sign, MARK, &whole(&["."])].concat();
    assert_eq!((answer.body(), answer.is_whole()), (expected, true));
    world.assert_clean();
}

#[test]
fn whatever_the_network_does_a_continued_text_has_no_gap_and_no_overlap() {
    // A client that is a write behind has no place for the rest, so what may be continued need not
    // be; but whatever a client reads is one text, or seen to be cut.
    let texts = [" upon", " a", " time"];
    let begun: Vec<String> = texts.iter().map(|text| says(text)).collect();
    let rest = whole(&["."]);
    let (mut continued, mut cut) = (0, 0);
    for round in 0..400 {
        let mut world = continuing(Simulation::new(seed!() + round))
            .upstream(|u| {
                let first = begun.iter().fold(events(u), |answer, event| answer.chunk(event));
                first.pause(Duration::from_micros(round % 200)).close()
            })
            .upstream(|u| events(u).chunk(rest.as_bytes()).raw(b"0\r\n\r\n"))
            .faults(|faults| {
                (faults.short_read, faults.read_would_block) = (300, 200);
                (faults.short_write, faults.write_would_block) = (300, 200);
                (faults.arrival_in_call, faults.spurious_event) = (200, 100);
                (faults.duplicate_event, faults.stale_event, faults.shuffle) = (100, 100, 300);
                faults.split = 500;
            });
        let answer = world.client().post(COMPLETIONS, ASKED).finish();
        let body = answer.body();
        let may_be = |count: usize| begun[..count].concat() + MARK + &rest;
        if answer.is_whole() {
            let known = body == rest || (0..=texts.len()).any(|count| body == may_be(count));
            assert!(known, "round {round}: {body}");
            // All that the first server said was with the client before somebody else was asked.
            assert!(!body.contains(MARK) || body == may_be(texts.len()), "round {round}: {body}");
            continued += 1;
        } else {
            let said = body.split("data: {\"error\"").next().unwrap_or_default();
            assert!(begun.concat().starts_with(said), "round {round}: {body}");
            cut += 1;
        }
        world.assert_clean();
    }
    assert!(continued > 100, "{continued} were continued, {cut} cut");
}
