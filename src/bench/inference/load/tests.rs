//! The load in simulated worlds: the clock is virtual, so what is measured is exact.

use std::cell::Cell;

use super::*;
use crate::bench::inference::api::{Api, Style};
use crate::bench::inference::arrivals::Process;
use crate::bench::inference::endpoint::Named;
use crate::bench::inference::figures::LevelReport;
use crate::bench::inference::lengths::Lengths;
use crate::bench::inference::workload::{Prefix, Source};
use crate::sim::{Answer, Faults, Manner, World};

const URL: &str = "http://198.51.100.1:80/v1";
/// There, or back.
const LATENCY: Duration = Duration::from_millis(5);
const TOKEN: &str = "data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
const END: &str = "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}],\
                   \"usage\":{\"prompt_tokens\":7,\"completion_tokens\":10}}\n\ndata: [DONE]\n\n";

fn server() -> SocketAddr {
    ([198, 51, 100, 1], 80).into()
}

fn world() -> World {
    World::with_faults(1, Faults { latency: LATENCY..=LATENCY, ..Faults::none() })
}

fn endpoint() -> Endpoint {
    let style = Style {
        model: "m".to_owned(),
        stream: true,
        exact: false,
        usage: true,
        limit_field: "max_tokens".to_owned(),
        extra: serde_json::Map::new(),
    };
    let named =
        Named { url: URL.to_owned(), path: None, fields: Vec::new(), ca: None, server_name: None };
    Endpoint::new(Api::OpenaiCompletions, style, &named, None, Duration::ZERO).expect("an endpoint")
}

fn workload() -> Workload {
    let prefix = Prefix { share: 0.0, groups: 1 };
    let source = Source::Made { prompt: Lengths::fixed(20), prefix };
    Workload { source, output: Lengths::fixed(10), seed: 1 }
}

fn plan(process: Process) -> Plan {
    Plan {
        in_flight_max: match process {
            Process::Closed { concurrency } => concurrency,
            _ => 1_000,
        },
        process,
        requests: None,
        duration: None,
        warm_up: Duration::ZERO,
        silence: Duration::from_secs(5),
        grace: Duration::from_secs(30),
    }
}

/// One level in `world`, whose server answers as `respond` says. Nothing is left of it.
fn level(
    world: &World,
    plan: &Plan,
    mut respond: impl FnMut() -> Answer + 'static,
) -> (Seen, LevelReport) {
    if plan.process.is_open() {
        // Who polls without sleeping needs a clock that goes on.
        world.polls_take(Duration::from_micros(20));
    }
    world.server(server(), Manner::Serve, move |_| respond());
    let (endpoint, workload) = (endpoint(), workload());
    let seen = play(world.clone(), plan, &endpoint, &workload, 0, &mut |_| {});
    let seen = seen.expect("a world does not fail");
    assert_eq!((world.violations(), world.descriptors()), (Vec::new(), 0));
    let report = LevelReport::new(plan, &seen, None);
    (seen, report)
}

fn stream() -> Answer {
    Answer::new().field("Content-Type", "text/event-stream")
}

/// Thinks for 40 ms, and gives ten tokens, one each 20 ms.
fn paced() -> Answer {
    let thinking = stream().head_chunked().pause(Duration::from_millis(40));
    thinking.tokens(10, TOKEN, Duration::from_millis(20)).chunk(END).end_chunks()
}

trait Headed {
    fn head_chunked(self) -> Answer;
}

impl Headed for Answer {
    fn head_chunked(self) -> Answer {
        self.field("Transfer-Encoding", "chunked").head()
    }
}

fn near(what: &str, found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 0.01, "{what}: {found}, and {expected} is expected");
}

#[test]
fn a_paced_server_is_measured_to_its_pace() {
    let plan = Plan { requests: Some(40), ..plan(Process::Closed { concurrency: 4 }) };
    let (seen, report) = level(&world(), &plan, paced);
    assert_eq!((report.requests.succeeded, report.requests.failed, seen.connections), (40, 0, 4));
    let ttft = report.ttft_ms.expect("streams");
    // There and back, and 40 ms of thinking; a connection's first request waits for its handshake too.
    near("TTFT", ttft.p50, 50.0);
    near("first TTFT", ttft.max, 55.0);
    let itl = report.itl_ms.expect("streams");
    assert_eq!(itl.count, 40 * 9);
    near("ITL", itl.p50, 20.0);
    near("TPOT", report.tpot_ms.expect("streams").p99, 20.0);
    near("E2E", report.e2e_ms.expect("answers").p50, 250.0);
    assert_eq!(report.tokens.output_counted_by, Some("usage"));
    // Ten rounds of 250 ms, and a handshake.
    near("seconds", report.seconds, 2.505);
    near("tokens", report.output_tokens_per_second.expect("tokens"), 400.0 / 2.505);
    near("requests", report.requests_per_second, 40.0 / 2.505);
    near("in flight", report.concurrency_mean, 4.0);
}

#[test]
fn a_duration_measures_what_came_within_it_and_waits_for_the_rest() {
    let times = |warm_up, duration| Plan {
        warm_up: Duration::from_secs(warm_up),
        duration: Some(Duration::from_secs(duration)),
        ..plan(Process::Closed { concurrency: 5 })
    };
    let (seen, report) = level(&world(), &times(1, 10), paced);
    assert_eq!((report.seconds, report.requests.unfinished), (10.0, 0));
    assert!(seen.outcomes.iter().all(|outcome| outcome.result.is_ok()));
    // Four a second and connection, ten tokens each: neither the warm-up nor the tail is in it.
    near("requests", report.requests_per_second, 20.0);
    near("tokens", report.output_tokens_per_second.expect("tokens"), 200.0);
}

/// A rate is over all of the time that was asked for, though nothing is under way when it ends.
#[test]
fn a_duration_is_measured_to_its_end_where_nothing_comes_any_more() {
    let plan =
        Plan { duration: Some(Duration::from_secs(10)), ..plan(Process::Constant { rate: 0.4 }) };
    let (_, report) = level(&world(), &plan, paced);
    // Due at 0, 2.5, 5 and 7.5 s; the last is answered at 7.75.
    assert_eq!((report.seconds, report.requests.succeeded), (10.0, 4));
    near("requests", report.requests_per_second, 0.4);
    near("tokens", report.output_tokens_per_second.expect("tokens"), 4.0);
}

/// A server that stands still from 3 s to 4 s, and answers all others at once.
fn through_a_stall(process: Process) -> LevelReport {
    let world = world();
    let plan = Plan { duration: Some(Duration::from_secs(10)), in_flight_max: 1, ..plan(process) };
    let count = Cell::new(0);
    let (_, report) = level(&world, &plan, move || {
        count.set(count.get() + 1);
        let pause = if count.get() == 150 { 1_000 } else { 0 };
        let answer = stream().head_chunked().pause(Duration::from_millis(pause));
        answer.chunk(TOKEN).chunk(END).end_chunks()
    });
    report
}

#[test]
fn an_open_loop_sees_a_stall_in_every_request_that_was_due_in_it() {
    let open = through_a_stall(Process::Constant { rate: 50.0 });
    let (due, sent) = (open.ttft_ms.expect("due"), open.ttft_from_send_ms.expect("sent"));
    // A tenth of all were due in that second, and the backlog after it takes as long again.
    assert!(due.p90 > 200.0, "{due:?}");
    assert!(sent.p90 < 20.0, "who counts from the sending sees one slow request: {sent:?}");
    assert!(open.send_delay_ms.is_some_and(|delay| delay.max > 900.0));
    let closed = through_a_stall(Process::Closed { concurrency: 1 });
    assert!(closed.ttft_ms.is_some_and(|ttft| ttft.p99 < 20.0 && ttft.max > 900.0));
}

#[test]
fn a_trace_is_replayed_at_its_instants_and_ends() {
    let instants = [0, 100, 100, 900].map(Duration::from_millis);
    let (seen, report) = level(&world(), &plan(Process::Trace(instants.into())), paced);
    let mut due: Vec<u64> =
        seen.outcomes.iter().map(|outcome| (outcome.due - seen.from).as_millis() as u64).collect();
    due.sort_unstable();
    assert_eq!((due, report.requests.succeeded), (vec![0, 100, 100, 900], 4));
    near("seconds", report.seconds, 1.15);
    assert!(report.send_delay_ms.is_some_and(|delay| delay.max < 1.0));
}

#[test]
fn every_way_to_fail_has_its_name() {
    type Case = (&'static str, fn() -> Answer);
    const CASES: [Case; 8] = [
        ("status_429", || {
            let body = b"{\"error\":{\"message\":\"slow down\"}}";
            Answer::new().status("429 Too Many Requests").body(body)
        }),
        ("incomplete", || stream().chunk(TOKEN).end_chunks()),
        ("incomplete", || Answer::new().field("Content-Type", "application/json").body(b"{}")),
        ("broken", || stream().chunk(TOKEN).close()),
        ("broken", || stream().chunk(TOKEN).reset()),
        ("error_in_answer", || {
            stream().chunk("data: {\"error\":{\"message\":\"out\"}}\n\n").end_chunks()
        }),
        ("silent", || stream().chunk(TOKEN).pause(Duration::from_secs(60))),
        ("protocol", || Answer::new().raw(b"SSH-2.0-x\r\n").close()),
    ];
    for (index, (name, bad)) in CASES.into_iter().enumerate() {
        let turn = Cell::new(0_u32);
        let plan = Plan { requests: Some(4), ..plan(Process::Closed { concurrency: 1 }) };
        // Every second request is answered, so that nobody gives up.
        let (_, report) = level(&world(), &plan, move || {
            turn.set(turn.get() + 1);
            if turn.get() % 2 == 1 { bad() } else { paced() }
        });
        let failures: Vec<(&str, u64)> =
            report.failures.iter().map(|(name, told)| (name.as_str(), told.count)).collect();
        assert_eq!((failures, report.requests.succeeded), (vec![(name, 2)], 2), "case {index}");
        assert!(report.failures[name].example.is_some(), "{name} is told in words");
    }
}

#[test]
fn a_server_that_only_fails_is_given_up() {
    let world = world();
    world.server(server(), Manner::Refuse, |_| Answer::new());
    let plan = Plan { requests: Some(100_000), ..plan(Process::Closed { concurrency: 2 }) };
    let (endpoint, workload) = (endpoint(), workload());
    let seen = play(world.clone(), &plan, &endpoint, &workload, 0, &mut |_| {}).expect("a world");
    assert!(seen.hopeless && (20..30).contains(&seen.outcomes.len()), "{}", seen.outcomes.len());
    assert!(seen.outcomes.iter().all(|outcome| outcome.result == Err(Failure::Connect)));
}

#[test]
fn a_kept_connection_that_was_closed_costs_no_request() {
    let plan = Plan { requests: Some(6), ..plan(Process::Constant { rate: 2.0 }) };
    // Announces nothing, and closes behind each answer.
    let (seen, report) = level(&world(), &plan, || paced().close());
    assert_eq!((report.requests.succeeded, report.requests.failed), (6, 0));
    assert_eq!(seen.connections, 6);
}

#[test]
fn what_has_no_answer_in_the_end_is_counted() {
    let times = Plan {
        duration: Some(Duration::from_secs(1)),
        grace: Duration::from_secs(1),
        silence: Duration::from_secs(60),
        in_flight_max: 3,
        ..plan(Process::Constant { rate: 10.0 })
    };
    let (_, report) =
        level(&world(), &times, || stream().chunk(TOKEN).pause(Duration::from_secs(90)));
    assert_eq!((report.requests.ended, report.requests.unfinished), (0, 10));
}
