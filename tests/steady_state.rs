//! The floor: what a token costs when nothing is new.
//!
//! One `read`, one `write` and one turn. No probe for would-block, no registration, no second look
//! at the clock unless many tokens share it, no allocation. The ledger of the simulated network counts the calls, and the
//! allocator of this test binary counts the allocations; the simulation itself makes none in a
//! steady state, so whatever is counted is the reactor's.

#[allow(clippy::duplicate_mod, reason = "the tape has the plugin of the harness too")]
mod harness;

#[path = "../benches/tape/mod.rs"]
mod tape;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use harness::plugin::{PaperPlugin, plug};
use harness::scenario::{LATENCY, Simulation, TARGET};
use sluicegate::config::snapshot::Continue;
use sluicegate::gateway::SAMPLED_TURNS;
use sluicegate::measure::stats::{Counters, Tally};
use sluicegate::reactor::net::Stream;
use sluicegate::service::Setting;
use sluicegate::service::continuation::Prefill;
use sluicegate::sim::{Answer, ClientId, Counts, Visit};
use sluicegate::tls::{
    self, AcceptorSettings, Credentials, DialerSettings, TlsAcceptor, TlsDialer, TlsVersion, Trust,
};
use sluicegate::wire::buffers::BufferPool;
use sluicegate::wire::socket::{Desk, Fill, Socket as TlsSocket};
use sluicegate::wire::transport::{Acceptor, Dialer};

/// Counts what each thread allocates: the test's own thread is the worker's.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count_one() {
    // The last allocations of a thread may come after its counter is gone; they are nobody's.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on unchanged to the system's allocator, whose promises are ours.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TOKENS: u64 = 1_000;
const WARM_UP: u64 = 100;
const EVERY: Duration = Duration::from_millis(1);

/// Streams that are under way, each with more tokens to come than any test will wait for.
fn streams(count: usize, answer: impl Fn(Answer) -> Answer) -> (Simulation, Vec<ClientId>) {
    streams_of(Simulation::new(1), count, |visit| visit.get(TARGET), answer)
}

fn streams_of(
    world: Simulation,
    count: usize,
    ask: impl Fn(Visit) -> Visit,
    answer: impl Fn(Answer) -> Answer,
) -> (Simulation, Vec<ClientId>) {
    let token = "data: {\"choices\":[{\"delta\":{\"content\":\" token\"}}]}\n\n";
    let tokens = 2 * (WARM_UP + TOKENS) as usize;
    let mut world = world.upstream(|u| answer(u).tokens(tokens, token, EVERY));
    let visit = Visit::new().expecting(tokens * token.len());
    let clients = (0..count).map(|_| world.start(ask(visit.clone()))).collect();
    // To the middle between two tokens, when all that was sent has arrived.
    world.run_for(EVERY * WARM_UP as u32 + 4 * LATENCY + EVERY / 2);
    (world, clients)
}

/// What `TOKENS` tokens of each stream cost.
fn cost(world: &mut Simulation, clients: &[ClientId]) -> (Counts, u64) {
    let received = |world: &Simulation| -> usize {
        clients.iter().map(|client| world.world.see(*client).reader.messages[0].body.len()).sum()
    };
    let bytes = received(world);
    let (calls, allocations) = (world.world.counts(), ALLOCATIONS.get());
    world.run_for(EVERY * TOKENS as u32);
    let spent = (world.world.counts() - calls, ALLOCATIONS.get() - allocations);
    assert!(received(world) > bytes, "the streams went on");
    spent
}

fn assert_floor(spent: Counts, tokens: u64) {
    assert_eq!((spent.reads, spent.writes), (tokens, tokens));
    assert_eq!((spent.would_block, spent.registers, spent.peeks), (0, 0, 0));
    assert_eq!((spent.accepts, spent.drained, spent.connects, spent.shutdowns), (0, 0, 0, 0));
    assert_eq!(spent.events, tokens);
    // A turn that moves many tokens is measured, by a second look, and one in 64 of the others.
    let sampled = spent.polls / SAMPLED_TURNS + 1;
    let measured = if tokens > spent.polls { spent.polls } else { sampled };
    assert!(spent.clock_reads <= spent.polls + measured);
}

#[test]
fn a_token_costs_one_read_one_write_and_nothing_else() {
    let (mut world, clients) = streams(1, |u| u);
    let (spent, allocations) = cost(&mut world, &clients);
    assert_floor(spent, TOKENS);
    // The last poll is the one that the end of the test interrupts.
    assert_eq!(spent.polls, TOKENS + 1);
    assert_eq!(allocations, 0);
}

/// 10,000 changes a minute over 100 upstreams: 167 a second, each told to every worker.
#[test]
fn endpoints_that_change_all_the_time_cost_tokens_nothing() {
    let (mut world, clients) = streams(1, |u| u);
    let before = world.world.counts();
    let mut messages = 0;
    for second in 0..TOKENS / 6 {
        world.members(&[0, 1 + (second % 2) as usize, 3]);
        messages += 1;
        world.run_for(EVERY * 6 - Duration::from_nanos(1));
    }
    let spent = world.world.counts() - before;
    assert!(messages > 160);
    // A turn of its own for a message, and nothing for a token.
    let tokens = spent.reads;
    assert!(tokens.abs_diff(messages * 6) <= 2, "{tokens} tokens");
    assert_eq!((spent.writes, spent.events - spent.reads), (tokens, 0));
    assert_eq!((spent.would_block, spent.registers, spent.connects, spent.shutdowns), (0, 0, 0, 0));
    let body = &world.world.see(clients[0]).reader.messages[0].body;
    assert!(!body.is_empty());
}

/// What a worker does for one change, without the poll: measured, and told (`--nocapture`).
#[test]
fn a_change_among_a_hundred_upstreams_costs_a_worker_little() {
    use sluicegate::proxy::group::Groups;
    use sluicegate::proxy::load::Loads;
    let endpoints: Vec<String> = (0..20).map(|last| format!("\"10.0.0.{last}:80\"")).collect();
    let upstreams: String = (0..100)
        .map(|at| {
            let endpoints = endpoints.join(",");
            format!("[[upstream]]\nname = \"u{at}\"\nendpoints = [{endpoints}]\n")
        })
        .collect();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:80\"]\n{upstreams}[[route]]\npath = \"/*\"\nupstream = \"u0\"\n"
    );
    let environment = sluicegate::config::Environment::current();
    let loaded = sluicegate::config::parse(&text, &environment).expect("it is one");
    let mut snapshot = loaded.snapshot;
    let mut loads = Loads::new(&snapshot, 1);
    let mut groups: Groups<u32, u32> = Groups::new(&snapshot, &loads, 1);
    let (mut worker, mut control) = (Duration::ZERO, Duration::ZERO);
    let changes = 1_000;
    for change in 0..changes {
        let id = snapshot.upstreams[change % 100].id;
        let member =
            sluicegate::config::snapshot::FoundMember::at(format!("10.1.0.{}:80", change % 7));
        let began = std::time::Instant::now();
        let listed = sluicegate::config::snapshot::Listed {
            addresses: vec![member.address.parse().expect("one")],
            authority: member.address,
            base: String::new(),
            is_name: false,
            weight: 1,
            priority: 0,
            tls: None,
        };
        assert!(snapshot.set_members(id, vec![listed]));
        let upstream = snapshot.upstreams.iter().find(|upstream| upstream.id == id);
        let set = loads.follow_members(upstream.expect("it is there"));
        let told = std::time::Instant::now();
        groups[id].follow_members(&set, sluicegate::clock::Instant::ZERO);
        (control, worker) = (control + (told - began), worker + told.elapsed());
    }
    let each = |spent: Duration| spent / changes as u32;
    println!("one change of 21 endpoints: worker {:?}, control {:?}", each(worker), each(control));
    // 167 of them a second are a hundredth of a core even without optimisation.
    assert!(each(worker) < Duration::from_millis(2), "{:?}", each(worker));
}

#[test]
fn watching_an_event_stream_costs_nothing_more() {
    let (mut world, clients) = streams(1, |u| u.field("Content-Type", "text/event-stream"));
    let (spent, allocations) = cost(&mut world, &clients);
    assert_floor(spent, TOKENS);
    assert_eq!(allocations, 0);
}

/// With a plugin that looks at events the bytes stay where they are; with one that changes them, what it makes
/// is copied, into buffers that are kept.
#[test]
fn a_token_with_a_plugin_costs_one_read_one_write_and_no_allocation() {
    for puts in [None, Some(&b"data: 1\n\n"[..])] {
        let plugin = Arc::new(PaperPlugin { puts, ..PaperPlugin::default() });
        let world = Simulation::new(1).configure(|snapshot| plug(snapshot, &plugin));
        let ask = |_: Visit| Visit::new().get(TARGET).expecting(1 << 20);
        let answer = |u: Answer| u.field("Content-Type", "text/event-stream");
        let (mut world, clients) = streams_of(world, 1, ask, answer);
        let (spent, allocations) = cost(&mut world, &clients);
        assert_floor(spent, TOKENS);
        assert_eq!(allocations, 0, "{puts:?}");
        assert!(plugin.events.load(Ordering::Relaxed) > TOKENS);
    }
}

/// Per token nothing; and nothing at all where the servers are not said to bear it.
#[test]
fn a_stream_whose_tokens_are_acknowledged_late_costs_one_call() {
    for (delayed_acks, expected) in [(true, 2), (false, 0)] {
        let world = Simulation::new(1)
            .configure(|snapshot| snapshot.upstreams[0].delayed_acks = delayed_acks);
        let (mut world, clients) = streams_of(world, 2, |visit| visit.get(TARGET), |u| u);
        assert_eq!(world.world.counts().options, expected);
        let (spent, allocations) = cost(&mut world, &clients);
        assert_floor(spent, 2 * TOKENS);
        assert_eq!((spent.options, allocations), (0, 0));
    }
}

/// Others' tokens have an acknowledgement each: the kernel would wait in vain, or the server for us.
#[test]
fn only_the_tokens_of_a_paced_stream_are_acknowledged_late() {
    let long = "a".repeat(2_000);
    for (micros, token, expected) in [
        (200, "token", 0),
        (2_000, "token", 1),
        (35_000, "token", 1),
        (50_000, "token", 0),
        (2_000, &long, 0),
    ] {
        let every = Duration::from_micros(micros);
        let mut world = Simulation::new(1)
            .configure(|snapshot| snapshot.upstreams[0].delayed_acks = true)
            .upstream(|u| u.tokens(20, token, every));
        world.start(Visit::new().get(TARGET).await_answers());
        world.run();
        assert_eq!(world.world.counts().options, expected, "{every:?}, {} bytes", token.len());
    }
}

#[test]
fn a_stream_that_may_be_continued_costs_no_call_more() {
    let world = Simulation::new(1).configure(|snapshot| {
        snapshot.upstreams[0].service = Setting::OpenAi;
        snapshot.upstreams[0].prefill = Prefill::Chat;
        snapshot.routes[0].continues = Some(Continue { attempts: 1, text_bytes: 1 << 20 });
    });
    let asked = r#"{"messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let (mut world, clients) = streams_of(
        world,
        1,
        // A path of the dialect's: on others nothing is read.
        |visit| visit.post("/relay/v1/chat/completions", asked),
        |u| u.field("Content-Type", "text/event-stream"),
    );
    let before = world.gateway().worker.census().kept;
    let (spent, allocations) = cost(&mut world, &clients);
    assert_floor(spent, TOKENS);
    // The text has grown by six bytes a token, and doubles its room.
    let kept = world.gateway().worker.census().kept;
    assert!(
        kept >= before + 6 * TOKENS as usize && allocations <= 4,
        "{before}, {kept}: {allocations}"
    );
}

#[test]
fn streams_share_their_turns() {
    // All tokens come at the same instant: one turn moves them all.
    let (mut world, clients) = streams(50, |u| u);
    let (spent, allocations) = cost(&mut world, &clients);
    assert_floor(spent, 50 * TOKENS);
    assert_eq!(spent.polls, TOKENS + 1);
    assert_eq!(allocations, 0);
}

#[test]
fn a_stream_that_waits_for_its_next_token_owns_no_buffer() {
    let (mut world, _) = streams(50, |u| u);
    assert_eq!(world.gateway().worker.census().buffers_out, 0);
}

#[test]
fn what_comes_in_plenty_takes_a_sixteenth_of_the_calls() {
    const LENGTH: usize = 1 << 20;
    for chunked in [false, true] {
        let body = vec![b'x'; LENGTH];
        let answer = |u: Answer| if chunked { u.chunk(body).end_chunks() } else { u.body(&body) };
        let mut world = Simulation::new(1).upstream(answer);
        let client = world.start(Visit::new().expecting(LENGTH).get(TARGET).await_answers());
        world.run();
        assert_eq!(world.received(client).body().len(), LENGTH);
        let spent = world.world.counts();
        // A request, one buffer of 16 KiB that comes full, four of 256 KiB, and the two ends.
        assert!(spent.reads <= 8 && spent.writes <= 9, "{spent:?}");
        world.assert_clean();
    }
}

#[test]
fn a_request_on_warm_connections_costs_two_reads_and_two_writes() {
    let visit = |visit: Visit| visit.get(TARGET).await_answers().pause(EVERY);
    // Which is no stream, whatever is said of its server.
    let mut world = Simulation::new(1)
        .configure(|snapshot| snapshot.upstreams[0].delayed_acks = true)
        .upstream(|u| u.body(b"an answer"));
    world.start((0..4).fold(Visit::new(), |requests, _| visit(requests)));
    world.run_for(EVERY / 2);
    let before = world.world.counts();
    // There and back through the gateway a message takes four latencies; two requests' time.
    world.run_for(2 * (EVERY + 4 * LATENCY));
    let spent = world.world.counts() - before;
    assert_eq!((spent.reads, spent.writes, spent.peeks, spent.would_block), (4, 4, 0, 0));
    assert_eq!((spent.registers, spent.connects, spent.accepts), (0, 0, 0));
    assert_eq!(spent.options, 0);
    world.run();
    world.assert_clean();
}

#[test]
fn a_pooled_connection_that_has_rested_is_looked_at_once_more() {
    let rest = Duration::from_secs(1);
    let visit = |visit: Visit| visit.get(TARGET).await_answers().pause(rest);
    let mut world = Simulation::new(1).upstream(|u| u.body(b"an answer"));
    world.start((0..3).fold(Visit::new(), |requests, _| visit(requests)));
    world.run();
    assert_eq!((world.world.counts().peeks, world.requests()), (2, vec![3]));
    world.assert_clean();
}

/// The same pieces of work whose instructions `benches/instructions.rs` counts.
#[test]
fn a_request_allocates_once_and_what_is_under_way_not_at_all() {
    use tape::works::{WORKS, play};

    const ROUNDS: u64 = 100;
    let turn: tape::stage::Turn = |worker| {
        worker.turn().expect("a tape does not fail");
    };
    for work in WORKS {
        // The record of the exchange; where its model decides, who watches its body, and the name as it is
        // written there.
        let expected = match work.name {
            "unary" | "churn" => 1,
            "unary_by_model" => 3,
            // rustls makes a vector of each record that it seals.
            "token_sealed" => work.units,
            // What is kept takes memory, and so does a session.
            "bulk_kept" | "handshake" => continue,
            _ => 0,
        };
        let mut stage = (work.prepare)();
        play(work, &mut stage, ROUNDS, turn);
        let before = ALLOCATIONS.get();
        play(work, &mut stage, ROUNDS, turn);
        let spent = ALLOCATIONS.get() - before;
        // Each new client puts an entry into the timer wheel, whose slots grow now and then.
        assert_eq!(spent / ROUNDS, expected, "{}: {spent}", work.name);
        assert!(work.name == "churn" || spent == ROUNDS * expected, "{}: {spent}", work.name);
    }
}

#[test]
fn choosing_an_endpoint_allocates_nothing() {
    use sluicegate::clock::Instant;
    use sluicegate::proxy::breaker::Outcome;
    use tape::choice::{POLICIES, attempt, endpoints};

    for policy in POLICIES {
        let mut endpoints = endpoints(policy, 64);
        let mut now = Instant::ZERO;
        let before = ALLOCATIONS.get();
        for key in 0..10_000 {
            // Breakers open and close on the way, and at times all are out.
            let outcome = match key % 3 {
                0 => Outcome::Success,
                1 => Outcome::RateLimited { retry_after: None },
                _ => Outcome::Fault,
            };
            attempt(&mut endpoints, key, outcome, now);
            now += EVERY;
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{policy}");
    }
}

/// A delta is translated in the buffers that the one before has left, also where its shape is never that of
/// the one before (OpenAI pads its own), and where it comes in two pieces.
#[test]
fn translating_a_delta_allocates_nothing() {
    use sluicegate::service::Dialect;
    use sluicegate::service::translate::{Memo, Pair, Translator};

    let vllm = |n: usize| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":\
             [{{\"index\":0,\"delta\":{{\"content\":\" token {n}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
        )
    };
    let openai = |n: usize| {
        let padding = "x".repeat(n % 9);
        vllm(n).replace("]}\n", &format!("],\"usage\":null,\"obfuscation\":\"{padding}\"}}\n"))
    };
    let anthropic = |n: usize| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":\
             {{\"type\":\"text_delta\",\"text\":\" token {n}\"}}}}\n\n"
        )
    };
    let opening = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
        \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let ollama = |n: usize| {
        format!(
            "{{\"model\":\"m\",\"created_at\":\"2025-01-01T00:00:00.{n}Z\",\"message\":{{\"role\":\"assistant\",\
             \"content\":\" token {n}\"}},\"done\":false}}\n"
        )
    };
    let tgi = |n: usize| {
        format!(
            "data:{{\"index\":{n},\"token\":{{\"id\":{n},\"text\":\" token {n}\",\"logprob\":-0.5,\
             \"special\":false}},\"generated_text\":null,\"details\":null}}\n\n"
        )
    };
    let triton =
        |n: usize| format!("data: {{\"model_name\":\"m\",\"text_output\":\" token {n}\"}}\n\n");
    let to = |asked, served| Pair::of(asked, served).expect("a pair");
    let (chat, messages) = (Dialect::OpenAiChat, Dialect::Anthropic);
    type Delta<'a> = &'a dyn Fn(usize) -> String;
    let cases: [(Pair, &str, Delta<'_>); 8] = [
        (to(chat, Dialect::Ollama), "", &ollama),
        (to(messages, Dialect::Ollama), "", &ollama),
        (to(chat, Dialect::Tgi), "", &tgi),
        (to(chat, Dialect::Triton), "", &triton),
        (to(messages, Dialect::Triton), "", &triton),
        (Pair::MESSAGES_TO_CHAT, "", &vllm),
        (Pair::MESSAGES_TO_CHAT, "", &openai),
        (Pair::CHAT_TO_MESSAGES, opening, &anthropic),
    ];
    for (number, (pair, opening, delta)) in cases.into_iter().enumerate() {
        for cut in [0, 60] {
            let deltas: Vec<String> = (0..1_100).map(delta).collect();
            let mut translator = Translator::of_stream(pair, &Memo::default(), 1, "x");
            let mut out = Vec::with_capacity(4096);
            translator.feed(opening.as_bytes(), &mut out).expect("an opening");
            let mut before = 0;
            for (n, delta) in deltas.iter().enumerate() {
                if n == 100 {
                    before = ALLOCATIONS.get();
                }
                out.clear();
                let (front, back) = delta.as_bytes().split_at(cut.min(delta.len()));
                let fed = translator.feed(front, &mut out);
                assert!(fed.and_then(|()| translator.feed(back, &mut out)).is_ok());
                assert!(!out.is_empty(), "it is told");
            }
            assert_eq!(ALLOCATIONS.get() - before, 0, "case {number} cut at {cut}");
        }
    }
}

/// One end of a connection in memory.
struct Wire {
    incoming: Bytes,
    outgoing: Bytes,
}

type Bytes = Rc<RefCell<VecDeque<u8>>>;

impl Stream for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.incoming.borrow_mut().read(into) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            read => read,
        }
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.outgoing.borrow_mut().extend(from);
        Ok(from.len())
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        from.iter().map(|part| self.write(part)).sum()
    }

    fn write_last(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write(from)
    }

    fn peek(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn delay_acks(&mut self) {}

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_drop(&mut self) {}
}

/// A client of ours and a server of ours, whose sessions are established.
fn sealed_pair(desk: &mut Desk) -> (TlsSocket<Wire>, TlsSocket<Wire>) {
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let folder = std::env::temp_dir().join(format!("sluicegate-steady-{process}-{thread:?}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let made = tls::self_signed(&["a.test".to_owned()], (since.as_secs() / 86_400) as i64);
    let made = made.expect("a certificate");
    let (file, key) = (folder.join("a.pem"), folder.join("a.key"));
    std::fs::write(&file, made.certificate).expect("written");
    std::fs::write(&key, made.key).expect("written");
    let chain = tls::chain(&file, since).expect("a chain");
    let credentials = Credentials::new(chain, tls::key(&key).expect("a key")).expect("they fit");
    let authorities = tls::authorities(&file).expect("an authority");
    std::fs::remove_dir_all(&folder).expect("ours");
    let min_version = TlsVersion::Tls13;
    let acceptor = TlsAcceptor::new(&AcceptorSettings {
        credentials: vec![credentials],
        clients: None,
        min_version,
        tickets: true,
    });
    let trust = Trust::These(authorities);
    let dialer =
        TlsDialer::new(&DialerSettings { trust, credentials: None, min_version }, "a.test");
    let (one, other) = (Bytes::default(), Bytes::default());
    let end = |incoming: &Bytes, outgoing: &Bytes| {
        TlsSocket::new(Wire { incoming: Rc::clone(incoming), outgoing: Rc::clone(outgoing) })
    };
    let (mut client, mut server) = (end(&one, &other), end(&other, &one));
    client.begin_session(dialer.expect("good settings").dial(), desk);
    server.begin_session(acceptor.expect("good settings").accept(), desk);
    for _ in 0..4 {
        for socket in [&mut client, &mut server] {
            socket.ready.suppose_readable();
            socket.shake_hands(desk).expect("a handshake");
        }
    }
    assert!(!client.is_shaking_hands() && !server.is_shaking_hands());
    (client, server)
}

/// What rustls allocates for a record: one vector to seal it, one to open it. A ratchet: fewer is better.
#[test]
fn a_sealed_token_allocates_once_where_it_is_sealed_and_once_where_it_is_opened() {
    let mut desk = Desk {
        buffers: BufferPool::new(1 << 22),
        tally: Tally::new(Arc::new(Counters::default())),
    };
    desk.buffers.serve_sessions();
    let (mut client, mut server) = sealed_pair(&mut desk);
    let token = b"1e\r\ndata: {\"token\":\"something\"}\n\n\r\n";
    let (mut sealing, mut opening) = (0, 0);
    for round in 0..WARM_UP + TOKENS {
        let before = ALLOCATIONS.get();
        server.outbox.push(token, &mut desk.buffers);
        server.flush(None, &mut desk).expect("written");
        let between = ALLOCATIONS.get();
        client.ready.suppose_readable();
        let filled = client.fill(&mut desk).expect("read");
        assert_eq!(filled, Fill::Bytes(token.len()));
        assert_eq!(client.unscanned(), token);
        client.discard(token.len(), &mut desk);
        if round >= WARM_UP {
            sealing += between - before;
            opening += ALLOCATIONS.get() - between;
        }
    }
    assert_eq!((sealing, opening), (TOKENS, TOKENS));
    assert_eq!(desk.buffers.out(), 0, "a session that waits owns no buffer");
}

/// A body that comes in plenty leaves in whole records: one buffer and one write for each.
#[test]
fn a_sealed_body_costs_one_write_a_record() {
    let mut desk = Desk {
        buffers: BufferPool::new(1 << 26),
        tally: Tally::new(Arc::new(Counters::default())),
    };
    desk.buffers.serve_sessions();
    let (_client, mut server) = sealed_pair(&mut desk);
    let mut body = desk.buffers.take_for_plenty();
    let length = body.room().len();
    assert_eq!(length, 256 << 10, "a wide buffer");
    body.received(length);
    body.clear(length);
    let before = desk.tally.writes.get();
    let written = server.flush(Some(&mut body), &mut desk).expect("written");
    let records = (written - length).div_ceil(22);
    assert!(body.is_empty());
    assert_eq!((desk.tally.writes.get() - before, records), (17, 17));
}
