//! A stream that breaks, and one that goes on with it: at every byte, in any pieces.

use std::time::Duration;

use crate::harness::scenario::Simulation;
use crate::seed;
use sluicegate::config::snapshot::Continue;
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
