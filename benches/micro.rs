//! What a token and a request cost in user space, piece by piece.
//!
//! `cargo bench --bench micro`. The figures are of one machine and one moment; compare two builds
//! side by side, not a build with a page.

mod tape;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sluicegate::clock::Instant;
use sluicegate::http::body::Framing;
use sluicegate::http::chunk::ChunkScanner;
use sluicegate::http::head::{
    FieldSlots, HeadLimits, ResponseContext, Version, parse_request, parse_response,
};
use sluicegate::http::rewrite::{
    self, ConnectionField, Forwarded, Opening, RequestEdits, ResponseEdits, TraceFields,
};
use sluicegate::http::sse::EventObserver;
use sluicegate::proxy::breaker::Outcome;
use sluicegate::proxy::hash;
use sluicegate::reactor::slots::Slots;
use sluicegate::reactor::timer::{Alarm, TimerWheel};
use sluicegate::reactor::token::Kind;
use sluicegate::service::translate::{Memo, Pair, Translator};
use sluicegate::service::{Dialect, Observer};
use sluicegate::wire::buffers::BufferPool;
use sluicegate::wire::outbox::Outbox;
use tape::choice;
use tape::stage::Turn;
use tape::works::WORKS;

/// Rounds that one simulated network is used for.
const ROUNDS_A_STAGE: u64 = 2_000;

const LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 100 };

/// What OpenAI's Python client sends.
const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
    Host: gateway.example:8080\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\n\
    Accept: application/json\r\n\
    Content-Type: application/json\r\n\
    User-Agent: OpenAI/Python 2.8.1\r\n\
    X-Stainless-Lang: python\r\n\
    X-Stainless-Package-Version: 2.8.1\r\n\
    X-Stainless-OS: Linux\r\n\
    X-Stainless-Arch: x64\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n\
    x-stainless-retry-count: 0\r\n\
    Content-Length: 257\r\n\r\n";

/// What vLLM answers.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    server: uvicorn\r\n\
    content-type: text/event-stream; charset=utf-8\r\n\
    transfer-encoding: chunked\r\n\r\n";

/// Deltas as servers write them, 150 to 250 bytes each.
const DELTAS: &[(&str, Dialect, &str)] = &[
    (
        "vllm_chat",
        Dialect::OpenAiChat,
        "data: {\"id\":\"chatcmpl-8f2f6c1e9d3b4a57\",\"object\":\"chat.completion.chunk\",\
         \"created\":1700000000,\"model\":\"llama-3-8b\",\"choices\":[{\"index\":0,\"delta\":\
         {\"content\":\" water\"},\"logprobs\":null,\"finish_reason\":null,\"token_ids\":null}]}\n\n",
    ),
    (
        "openai_chat",
        Dialect::OpenAiChat,
        "data: {\"id\":\"chatcmpl-8f2f6c1e9d3b\",\"object\":\"chat.completion.chunk\",\
         \"created\":1700000000,\"model\":\"gpt-4o\",\"system_fingerprint\":\"fp_44709d6fcb\",\
         \"choices\":[{\"index\":0,\"delta\":{\"content\":\" water\"},\"logprobs\":null,\
         \"finish_reason\":null}],\"usage\":null}\n\n",
    ),
    (
        "anthropic",
        Dialect::Anthropic,
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
         \"delta\":{\"type\":\"text_delta\",\"text\":\" water finds its way through\"}}\n\n",
    ),
    (
        "ollama",
        Dialect::Ollama,
        "{\"model\":\"llama3.2\",\"created_at\":\"2023-08-04T08:52:19.385406455-07:00\",\
         \"message\":{\"role\":\"assistant\",\"content\":\" water\",\"images\":null},\
         \"done\":false}\n",
    ),
    (
        "vllm_chat_with_usage",
        Dialect::OpenAiChat,
        "data: {\"id\":\"chatcmpl-8f2f6c1e9d3b4a57\",\"object\":\"chat.completion.chunk\",\
         \"created\":1700000000,\"model\":\"llama-3-8b\",\"choices\":[{\"index\":0,\"delta\":\
         {\"content\":\" water\"},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":12,\
         \"total_tokens\":20,\"completion_tokens\":8}}\n\n",
    ),
];

/// One token as an event in a chunk.
fn token_chunk() -> Vec<u8> {
    let event = format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\
         \"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        " token"
    );
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head");
    group.bench_function("parse_request", |bencher| {
        bencher.iter(|| {
            let mut slots = FieldSlots::new();
            parse_request(black_box(REQUEST), &mut slots, &LIMITS).map(|head| head.is_some())
        });
    });
    group.bench_function("parse_and_rewrite_request", |bencher| {
        let (mut draft, mut out) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
        bencher.iter(|| {
            let mut slots = FieldSlots::new();
            let head = parse_request(black_box(REQUEST), &mut slots, &LIMITS);
            let head = head.expect("valid").expect("whole");
            let edits = RequestEdits {
                forwarded: Forwarded::Append,
                https: false,
                client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
                request_id: b"0123456789abcdef",
                trace: TraceFields::Pass,
                identity: false,
                withheld: None,
            };
            draft.clear();
            rewrite::draft(&head, &edits, &mut draft);
            out.clear();
            rewrite::opening(&draft, &Opening::default(), &mut out);
            out.len()
        });
    });
    group.bench_function("parse_and_rewrite_response", |bencher| {
        let context = ResponseContext { head_request: false, upgrade_asked: false };
        let mut out = Vec::with_capacity(4096);
        bencher.iter(|| {
            let mut slots = FieldSlots::new();
            let head = parse_response(black_box(RESPONSE), &mut slots, &LIMITS, &context);
            let head = head.expect("valid").expect("whole");
            let edits = ResponseEdits {
                client: Version::Http11,
                connection: ConnectionField::KeepAlive,
                framing: Framing::Chunked,
                head_request: false,
                request_id: b"0123456789abcdef",
                date: b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                served: None,
                timing: None,
            };
            out.clear();
            rewrite::response(&head, &edits, &mut out);
            out.len()
        });
    });
    group.finish();
}

fn tokens(criterion: &mut Criterion) {
    let chunk = token_chunk();
    let mut group = criterion.benchmark_group("token");
    group.throughput(Throughput::Bytes(chunk.len() as u64));
    group.bench_function("chunk_scan", |bencher| {
        let mut scanner = ChunkScanner::of_response();
        bencher.iter(|| {
            scanner.scan(black_box(&chunk), |data| {
                black_box(data.len());
            })
        });
    });
    group.bench_function("chunk_scan_and_observe", |bencher| {
        let (mut scanner, mut observer) = (ChunkScanner::of_response(), EventObserver::new());
        bencher.iter(|| {
            let scanned = scanner.scan(black_box(&chunk), |data| observer.feed(data));
            (scanned.is_ok(), observer.data_events())
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("event");
    for (name, dialect, delta) in DELTAS {
        if *dialect != Dialect::Ollama {
            group.bench_function(format!("{name}/counted"), |bencher| {
                let mut observer = EventObserver::new();
                bencher.iter(|| {
                    observer.feed(black_box(delta.as_bytes()));
                    observer.data_events()
                });
            });
        }
        group.bench_function(format!("{name}/understood"), |bencher| {
            let mut observer = Observer::of_stream(*dialect);
            bencher.iter(|| {
                observer.feed(black_box(delta.as_bytes()));
                observer.data_events()
            });
        });
    }
    group.finish();
}

/// Choosing an endpoint, and taking in how it went: once an attempt.
/// What it costs to tell a delta in another dialect.
fn translations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("translate");
    let anthropic_opening = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\
        \"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    for (name, dialect, delta) in DELTAS {
        let (pair, opening) = match dialect {
            Dialect::OpenAiChat => (Pair::MESSAGES_TO_CHAT, ""),
            Dialect::Anthropic => (Pair::CHAT_TO_MESSAGES, anthropic_opening),
            _ => continue,
        };
        // Of the shape of the one before, and of another, as where servers pad their deltas.
        let other = delta.replacen("data: {", "data: { ", 1);
        for (shape, deltas) in [("same", [delta, delta]), ("other", [delta, &&*other])] {
            let mut translator = Translator::of_stream(pair, &Memo::default(), 1, "x");
            let mut out = Vec::with_capacity(4096);
            translator.feed(opening.as_bytes(), &mut out).expect("an opening");
            let mut turn = 0;
            group.bench_function(format!("{name}/{shape}"), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    turn ^= 1;
                    translator.feed(black_box(deltas[turn].as_bytes()), &mut out).is_ok()
                });
            });
        }
    }
    group.finish();
}

fn picks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    for balance in choice::POLICIES {
        for count in [4, 64] {
            let mut endpoints = choice::endpoints(balance, count);
            let mut key = 0;
            group.bench_function(format!("{balance}/{count}"), |bencher| {
                bencher.iter(|| {
                    key += 1;
                    let key = black_box(hash::mix(key));
                    choice::attempt(&mut endpoints, key, Outcome::Success, Instant::ZERO);
                });
            });
        }
    }
    group.finish();
}

fn reactor(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reactor");
    let mut slots = Slots::new(Kind::Downstream);
    let tokens: Vec<_> = (0..10_000u32).map(|value| slots.insert(value)).collect();
    group.bench_function("slots_get", |bencher| {
        let mut next = 0;
        bencher.iter(|| {
            next = (next + 7919) % tokens.len();
            slots.get(tokens[next]).copied()
        });
    });
    group.bench_function("alarm_moved_by_a_token", |bencher| {
        let mut wheel = TimerWheel::new(Instant::ZERO);
        let mut alarm = Alarm::default();
        let mut now = Instant::ZERO;
        bencher.iter(|| {
            now += Duration::from_micros(50);
            alarm.set(now + Duration::from_secs(60), tokens[0], &mut wheel);
        });
    });
    group.bench_function("wheel_insert_and_fire", |bencher| {
        let mut wheel = TimerWheel::new(Instant::ZERO);
        let (mut now, mut due) = (Instant::ZERO, Vec::new());
        bencher.iter(|| {
            now += Duration::from_millis(1);
            wheel.insert(tokens[1], now + Duration::from_millis(70));
            wheel.advance(now, &mut due);
            due.clear();
        });
    });
    group.bench_function("outbox_push_and_send", |bencher| {
        let mut pool = BufferPool::new(1 << 20);
        let mut outbox = Outbox::default();
        bencher.iter(|| {
            outbox.push(black_box(RESPONSE), &mut pool);
            outbox.sent(RESPONSE.len(), &mut pool);
        });
    });
    group.finish();
}

/// Whole turns of the production worker, on a network that is hardly there: the user space of a
/// token, a request, a connection and a KiB, with next to nothing around it. `instructions` counts
/// the same work.
fn relay_in_simulation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay_in_simulation");
    for work in WORKS {
        let turn: Turn = |worker| {
            black_box(worker).turn().expect("a tape does not fail");
        };
        group.throughput(Throughput::Elements(work.units));
        group.bench_function(format!("{}_per_{}", work.name, work.unit), |bencher| {
            // A connection that is opened leaves its link behind: they are not for ever.
            bencher.iter_custom(|rounds| {
                let (mut spent, mut left) = (Duration::ZERO, rounds);
                while left > 0 {
                    let some = left.min(ROUNDS_A_STAGE);
                    let mut stage = (work.prepare)();
                    let start = std::time::Instant::now();
                    for _ in 0..some {
                        (work.round)(&mut stage, turn);
                    }
                    spent += start.elapsed();
                    left -= some;
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, heads, tokens, translations, picks, reactor, relay_in_simulation);
criterion_main!(benches);
