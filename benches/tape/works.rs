//! The pieces of work that are measured, each with the messages real clients and servers send.

use std::sync::{Arc, OnceLock};

use sluicegate::config::snapshot::Snapshot;

use super::plugin::plug;
use super::sealed;
use super::stage::{Stage, Turn};

/// One kind of work.
pub struct Work {
    pub name: &'static str,
    /// What the figures are per.
    pub unit: &'static str,
    /// Units of work in one round.
    pub units: u64,
    pub prepare: fn() -> Stage,
    /// One round: the network gets ready, and the worker takes its turns.
    pub round: fn(&mut Stage, Turn),
}

/// All of it, in the order of the report.
pub const WORKS: &[Work] = &[
    Work {
        name: "token",
        unit: "token",
        units: STREAMS as u64,
        prepare: event_streams,
        round: one_token_a_turn,
    },
    Work {
        name: "token_in_a_crowd",
        unit: "token",
        units: STREAMS as u64,
        prepare: event_streams,
        round: all_tokens_in_a_turn,
    },
    Work {
        name: "token_as_chat",
        unit: "token",
        units: STREAMS as u64,
        prepare: translated_to_chat,
        round: one_token_of_messages_a_turn,
    },
    Work {
        name: "token_as_message",
        unit: "token",
        units: STREAMS as u64,
        prepare: translated_to_messages,
        round: one_token_a_turn,
    },
    Work {
        name: "token_looked_at",
        unit: "token",
        units: STREAMS as u64,
        prepare: looked_at,
        round: one_token_a_turn,
    },
    Work {
        name: "token_sealed",
        unit: "token",
        units: STREAMS as u64,
        prepare: sealed_streams,
        round: one_token_a_turn,
    },
    Work {
        name: "handshake",
        unit: "handshake",
        units: 1,
        prepare: || sealed::stage(ROUTES),
        round: sealed::handshake,
    },
    Work { name: "unary", unit: "request", units: 1, prepare: warm_pair, round: unary },
    Work {
        name: "unary_by_model",
        unit: "request",
        units: 1,
        prepare: warm_by_model,
        round: unary,
    },
    Work { name: "churn", unit: "connection", units: 1, prepare: warm_pair, round: churn },
    Work {
        name: "firehose",
        unit: "chunk",
        units: CHUNKS as u64,
        prepare: event_streams,
        round: firehose,
    },
    Work {
        name: "bulk_down",
        unit: "KiB",
        units: BULK as u64 / 1024,
        prepare: bulk_answer,
        round: bulk_down,
    },
    Work {
        name: "bulk_up",
        unit: "KiB",
        units: BULK as u64 / 1024,
        prepare: bulk_request,
        round: bulk_up,
    },
    Work {
        name: "bulk_kept",
        unit: "KiB",
        units: BULK as u64 / 1024,
        prepare: bulk_kept,
        round: bulk_up,
    },
];

/// One route, to the one upstream.
const ROUTES: &str = "[[route]]\npath = \"/v1/*\"\nupstream = \"models\"\n";
const STREAMS: usize = 64;
/// Chunks of a firehose in one round: what fits a buffer.
const CHUNKS: usize = 100;
const BULK: usize = 256 * 1024;

/// What OpenAI's Python client sends.
pub const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
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
    Content-Length: 83\r\n\r\n\
    {\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"How do you do?\"}]}";

/// What vLLM answers, its first event included.
pub const EVENT_STREAM: &[u8] = b"HTTP/1.1 200 OK\r\n\
    date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    server: uvicorn\r\n\
    content-type: text/event-stream; charset=utf-8\r\n\
    transfer-encoding: chunked\r\n\r\n\
    ad\r\n\
    data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1784246400,\
    \"model\":\"a-model\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    server: uvicorn\r\n\
    content-length: 96\r\n\
    content-type: application/json\r\n\r\n\
    {\"id\":\"cmpl-1\",\"object\":\"embedding\",\"data\":[0.0125,0.0625,0.5],\"usage\":{\"total_tokens\":3,\"n\":1}}";

/// A terabyte is announced, and its first byte is here: who has asked for a stream is shown no other
/// head without it. The round sends as much of it as it likes.
const BULK_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    content-length: 1099511627776\r\n\
    content-type: application/octet-stream\r\n\r\n\
    .";

const BULK_REQUEST: &[u8] = b"POST /v1/files HTTP/1.1\r\n\
    Host: gateway.example:8080\r\n\
    Content-Length: 1099511627776\r\n\r\n";

/// One token, as an event in a chunk.
const TOKEN: &[u8] = b"ad\r\n\
    data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1784246400,\
    \"model\":\"a-model\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n\r\n";

/// What Anthropic's Python client sends.
const MESSAGES_REQUEST: &[u8] = b"POST /v1/messages HTTP/1.1\r\n\
    Host: gateway.example:8080\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\n\
    Accept: application/json\r\n\
    Content-Type: application/json\r\n\
    User-Agent: Anthropic/Python 0.76.0\r\n\
    anthropic-version: 2023-06-01\r\n\
    X-Api-Key: sk-0123456789abcdef0123456789abcdef\r\n\
    Content-Length: 99\r\n\r\n\
    {\"model\":\"m\",\"stream\":true,\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"How do you do?\"}]}";

/// What Anthropic answers, its first delta included.
fn messages_stream() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let head = "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                    content-type: text/event-stream; charset=utf-8\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let start = event_of_messages(
            "message_start",
            ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"a-model\",\
             \"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\
             \"usage\":{\"input_tokens\":9,\"output_tokens\":1}}",
        );
        let block = event_of_messages(
            "content_block_start",
            ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}",
        );
        [head.as_bytes(), start.as_bytes(), block.as_bytes(), token_of_messages()].concat()
    })
}

/// One token of Anthropic's, as an event in a chunk.
fn token_of_messages() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let delta = ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" token\"}";
        event_of_messages("content_block_delta", delta).into_bytes()
    })
}

fn event_of_messages(name: &str, members: &str) -> String {
    let event = format!("event: {name}\ndata: {{\"type\":\"{name}\"{members}}}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

fn bulk() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| (0..BULK).map(|index| (index % 251) as u8).collect())
}

fn chunks() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        // 144 bytes of data, 150 of chunk.
        let start = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
        let end = "\"},\"finish_reason\":null}]}\n\n";
        let token = "a".repeat(144 - start.len() - end.len());
        format!("90\r\n{start}{token}{end}\r\n").repeat(CHUNKS).into_bytes()
    })
}

fn event_streams() -> Stage {
    let mut stage = Stage::new();
    stage.open(STREAMS, REQUEST, EVENT_STREAM);
    stage
}

/// The same, whose clients speak TLS.
fn sealed_streams() -> Stage {
    let mut stage = sealed::stage(ROUTES);
    sealed::open(&mut stage, STREAMS, REQUEST, EVENT_STREAM);
    stage
}

/// Clients of OpenAI's chats, served by Anthropic's messages.
fn translated_to_chat() -> Stage {
    let mut stage = translated("translate_to = \"anthropic\"");
    stage.open(STREAMS, REQUEST, messages_stream());
    stage
}

/// A plugin in the process looks at every event.
fn looked_at() -> Stage {
    let mut stage = Stage::changed("", ROUTES, |snapshot| plug(snapshot, &Arc::default()));
    stage.open(STREAMS, REQUEST, EVENT_STREAM);
    stage
}

/// Clients of Anthropic's messages, served by OpenAI's chats.
fn translated_to_messages() -> Stage {
    let mut stage = translated("translate_to = \"openai\"");
    stage.open(STREAMS, MESSAGES_REQUEST, EVENT_STREAM);
    stage
}

fn translated(keys: &str) -> Stage {
    Stage::with(keys, ROUTES)
}

fn bulk_answer() -> Stage {
    let mut stage = Stage::new();
    stage.open(1, REQUEST, BULK_ANSWER);
    stage
}

/// A client whose request goes on for ever, and a server that listens. No more of it is kept.
fn bulk_request() -> Stage {
    let mut kept = 0;
    let read = |snapshot: &mut Snapshot| kept = snapshot.limits.replay_bytes;
    let mut stage = sending(Stage::changed("", ROUTES, read));
    // Past the bytes that are kept for a replay.
    for _ in 0..kept.div_ceil(BULK) + 1 {
        stage.tape.say(stage.clients[0], bulk());
        stage.turn();
        stage.turn();
    }
    stage
}

/// The same where all of it is kept, to be sent again.
fn bulk_kept() -> Stage {
    sending(Stage::changed("", ROUTES, |snapshot| {
        (snapshot.limits.replay_bytes, snapshot.limits.buffer_bytes) = (64 << 20, 1 << 30);
    }))
}

fn sending(mut stage: Stage) -> Stage {
    let client = stage.client();
    stage.tape.say(client, BULK_REQUEST);
    stage.clients.push(client);
    stage.servers.push(stage.tape.links());
    stage.turn();
    stage
}

/// A client and a server that have met, and wait for the next request.
fn warm_pair() -> Stage {
    let mut stage = Stage::new();
    stage.open(1, REQUEST, ANSWER);
    stage
}

/// The same where the model in the body decides between two routes, and stands in front.
fn warm_by_model() -> Stage {
    let mut stage = Stage::of(
        "[[route]]\npath = \"/v1/*\"\nwhen = { model = \"m\" }\nupstream = \"models\"\n\
         [[route]]\npath = \"/v1/*\"\nwhen = { model = \"n*\" }\nupstream = \"models\"\n",
    );
    stage.open(1, REQUEST, ANSWER);
    stage
}

fn one_token_a_turn(stage: &mut Stage, turn: Turn) {
    for index in 0..STREAMS {
        stage.tape.say(stage.servers[index], TOKEN);
        turn(&mut stage.worker);
    }
}

fn one_token_of_messages_a_turn(stage: &mut Stage, turn: Turn) {
    for index in 0..STREAMS {
        stage.tape.say(stage.servers[index], token_of_messages());
        turn(&mut stage.worker);
    }
}

fn all_tokens_in_a_turn(stage: &mut Stage, turn: Turn) {
    for index in 0..STREAMS {
        stage.tape.say(stage.servers[index], TOKEN);
    }
    turn(&mut stage.worker);
}

fn firehose(stage: &mut Stage, turn: Turn) {
    stage.tape.say(stage.servers[0], chunks());
    turn(&mut stage.worker);
}

fn unary(stage: &mut Stage, turn: Turn) {
    stage.tape.say(stage.clients[0], REQUEST);
    turn(&mut stage.worker);
    stage.tape.say(stage.servers[0], ANSWER);
    turn(&mut stage.worker);
}

fn churn(stage: &mut Stage, turn: Turn) {
    let client = stage.tape.links();
    stage.tape.dial();
    turn(&mut stage.worker);
    stage.tape.say(client, REQUEST);
    turn(&mut stage.worker);
    stage.tape.say(stage.servers[0], ANSWER);
    turn(&mut stage.worker);
    stage.tape.end(client);
    turn(&mut stage.worker);
}

/// The budget of a drive is what a round has of bytes: the second turn finds nothing more.
fn bulk_down(stage: &mut Stage, turn: Turn) {
    stage.tape.say(stage.servers[0], bulk());
    turn(&mut stage.worker);
    turn(&mut stage.worker);
}

fn bulk_up(stage: &mut Stage, turn: Turn) {
    stage.tape.say(stage.clients[0], bulk());
    turn(&mut stage.worker);
    turn(&mut stage.worker);
}

/// Plays `rounds` rounds and tells whether each of them did its work.
pub fn play(work: &Work, stage: &mut Stage, rounds: u64, turn: Turn) {
    let moved = |stage: &Stage| {
        let links = 0..stage.tape.links();
        links.map(|link| stage.tape.written(link)).sum::<u64>()
    };
    let before = moved(stage);
    (work.round)(stage, turn);
    let one = moved(stage) - before;
    for _ in 1..rounds {
        (work.round)(stage, turn);
    }
    assert!(one > 0 && moved(stage) - before == rounds * one, "{}: work was left", work.name);
}
