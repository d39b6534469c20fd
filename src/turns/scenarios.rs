//! The scenarios that have a name: one thing each that a reactor does.
//!
//! A scenario is who is in the world, and which of the turns are about what it shows.

use std::ops::Range;

use super::account::Account;
use super::drawn;
use super::stage::{Stage, millis, server_address};
use crate::gateway::command::{Command, Idle};
use crate::sim::{Act, Answer, ClientId, Faults, Reading, Visit, World};

/// Something to look at, and what to look for.
pub struct Scenario {
    pub name: &'static str,
    /// What it shows, in one line.
    pub title: &'static str,
    /// What to look for, in a few sentences.
    pub story: &'static str,
    seed: u64,
    faults: fn(&mut Faults),
    /// How many servers there are.
    servers: usize,
    /// Plays it. Returns the turns that it is about.
    play: fn(&mut Stage) -> Result<Range<usize>, String>,
}

/// What was played.
pub struct Played {
    pub name: String,
    pub title: String,
    pub story: String,
    pub account: Account,
    /// The turns that it is about, by their positions in the account.
    pub shown: Range<usize>,
}

/// A gateway with so many servers, and no other setting.
fn configuration(servers: usize) -> String {
    let servers: Vec<String> =
        (0..servers).map(|it| format!("\"{}\"", server_address(it))).collect();
    format!(
        r#"
[server]
listen = ["203.0.113.1:80"]
workers = 1

[[upstream]]
name = "models"
endpoints = [{}]

[[route]]
path = "/*"
upstream = "models"
"#,
        servers.join(", ")
    )
}

/// All of them, in the order in which they are best read.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "request",
        title: "A request, from the first packet to the last",
        story: "\
A client connects and asks for a stream of two tokens. A connection to a server is opened for it: the \
first write is also the question whether it stands. Every read answers an edge, and none is followed \
by a read that finds nothing.",
        seed: 1,
        faults: |_| {},
        servers: 1,
        play: |stage| {
            stage.server(0, [stream(&["Hello", " world"]).raw(DONE).end_chunks()]);
            stage.world.client(asks());
            stage.play()
        },
    },
    Scenario {
        name: "token",
        title: "A token, from its server to its client in one turn",
        story: "\
A stream is under way, and two more tokens come. Each is one event, one read, one write. The read \
gives less than the room it was offered, so the bit is cleared, and no second read is made to be told \
that nothing is there. No timer is touched.",
        seed: 1,
        faults: |_| {},
        servers: 1,
        play: |stage| {
            let words = ["The", " gate", " is", " open", "."];
            stage.server(0, [stream(&words).raw(DONE).end_chunks()]);
            let client = stage.world.client(asks());
            // What a turn writes is at the client in the poll of the next one.
            stage.turn_until(|world| has_text(world, client, "The"))?;
            let first = stage.turns();
            stage.turn_until(|world| has_text(world, client, " is"))?;
            Ok(first..stage.turns())
        },
    },
    Scenario {
        name: "slow-client",
        title: "A client that reads slowly, and the server that has to wait for it",
        story: "\
The server sends faster than the client takes. A short write clears the writable bit; what is left \
stays in the one buffer it was read into, and the server's readable bit stays set, unused: that is \
all there is to back-pressure. When the client has taken some, one edge brings the drive back.",
        seed: 1,
        faults: |faults| faults.capacity = 6000..=6000,
        servers: 1,
        play: |stage| {
            let chunk = "x".repeat(5000);
            let answer = (0..3).fold(Answer::new(), |answer, _| answer.chunk(&chunk));
            stage.server(0, [answer.end_chunks()]);
            let slowly = Reading::Slowly { bytes: 4000, every: millis(10) };
            stage.world.client(Visit::new().read(slowly).get("/file"));
            stage.turn_until(|world| world.counts().bytes_read > 500)?;
            let first = stage.turns() - 1;
            stage.play()?;
            Ok(first..first + 3)
        },
    },
    Scenario {
        name: "client-leaves",
        title: "A client that leaves, and the server that stops working for it",
        story: "\
The client's FIN comes in the middle of its stream. A drive of an exchange asks first whether the \
client has left; it has, so the exchange ends, and both sockets are closed in the same turn. The \
server learns of it one packet later.",
        seed: 1,
        faults: |_| {},
        servers: 1,
        play: |stage| {
            let words: Vec<&str> = vec![" tok"; 50];
            stage.server(0, [stream(&words).raw(DONE).end_chunks()]);
            stage.world.client(asks().pause(millis(30)).leave());
            stage.turn_until(|world| world.descriptors() == 2)?;
            stage.turn_until(|world| world.descriptors() == 0)?;
            let last = stage.turns();
            Ok(last.saturating_sub(2)..last)
        },
    },
    Scenario {
        name: "stale",
        title: "A pooled connection that its server has closed, and the one that is taken instead",
        story: "\
The second request is written to an idle connection, which was silent when it was looked at. Its \
server had closed it: the connection ends without a byte of an answer. That says nothing about the \
request, so it is sent again, once, and on a fresh connection.",
        seed: 1,
        faults: |_| {},
        servers: 1,
        play: |stage| {
            let word = |word: &str| Answer::new().body(word.as_bytes());
            stage.server(0, [word("first"), Answer::new().close(), word("second")]);
            let visit = Visit::new().post("/v1/embeddings", "{}").await_answers();
            let client = stage.world.client(visit.pause(millis(600)).post("/v1/embeddings", "{}"));
            stage.turn_until(|world| has_answers(world, client, 1))?;
            let first = stage.turns() - 1;
            Ok(first..stage.play()?.end)
        },
    },
    Scenario {
        name: "retry",
        title: "A failure before the commit: another server answers, and the client sees nothing",
        story: "\
The head of an answer arrives, and is held back: another server may still do better. The connection \
breaks before an event has said anything. Nothing of it is with the client, so after a short pause \
the request goes to the other server, whose answer becomes the client's.",
        seed: 1,
        faults: |_| {},
        servers: 2,
        play: |stage| {
            stage.server(0, [events().chunk(": hello\n\n").pause(millis(10)).reset()]);
            stage.server(1, [stream(&["Hello", " world"]).raw(DONE).end_chunks()]);
            stage.world.client(asks());
            stage.turn_until(|world| world.counts().reads > 1)?;
            let first = stage.turns() - 1;
            Ok(first..stage.play()?.end)
        },
    },
    Scenario {
        name: "cut",
        title: "A failure after the commit: the client is told, and cut off",
        story: "\
The same break, behind two tokens. The client has a part of this answer, so no other can take its \
place, though another server stands by. It is told so by an event of ours and by the end of its \
connection: an answer that is not whole must not look whole.",
        seed: 1,
        faults: |_| {},
        servers: 2,
        play: |stage| {
            stage.server(0, [stream(&["Hello", " wor"]).pause(millis(BEAT)).reset()]);
            stage.server(1, [stream(&["Hello", " world"]).raw(DONE).end_chunks()]);
            let client = stage.world.client(asks());
            stage.turn_until(|world| has_text(world, client, "Hello"))?;
            let first = stage.turns();
            Ok(first..stage.play()?.end)
        },
    },
    Scenario {
        name: "drain",
        title: "A drain: the listener closes, the idle leave, a stream ends in peace",
        story: "\
One client is idle, one has a stream, and the order to drain comes by mail. The backlog is served \
once more, the listener closes, the idle client is told at once that nothing more comes. The stream \
goes on to its end, its connection is not kept, and then the loop stops.",
        seed: 1,
        faults: |_| {},
        servers: 1,
        play: |stage| {
            let words = ["One", " more", " minute", "."];
            let idle = Answer::new().body(b"ok");
            stage.server(0, [idle, stream(&words).raw(DONE).end_chunks()]);
            stage.world.client(Visit::new().get("/v1/models").await_answers().then(Act::AwaitEnd));
            let client = stage.world.client(asks().after(millis(5)));
            stage.turn_until(|world| has_text(world, client, "One"))?;
            let first = stage.turns();
            stage.tell(Command::Drain(Idle::Leave));
            Ok(first..stage.play()?.end)
        },
    },
    Scenario {
        name: "emfile",
        title: "Out of descriptors: accepting rests, and nothing spins",
        story: "\
Two clients wait in the backlog, and accept fails with EMFILE. The listener's bit stays set, for the \
clients are still there, and no new edge would tell of them; but nobody looks at it for 100 ms. Then \
descriptors are free again, and both are taken. The bit is cleared by the only thing that may: a \
backlog that says it is empty.",
        // The first seed whose first fault is the one of descriptors, and not of memory.
        seed: 7,
        faults: |faults| faults.accept_exhausted = 1000,
        servers: 1,
        play: |stage| {
            stage.server(0, [Answer::new().body(b"ok")]);
            for _ in 0..2 {
                stage.world.client(Visit::new().after(millis(1)).get("/v1/models"));
            }
            stage.turn_until(|world| world.backlog() > 0)?;
            let first = stage.turns() - 1;
            stage.world.change_faults(|faults| faults.accept_exhausted = 0);
            stage.turn_until(|world| world.descriptors() == 2)?;
            Ok(first..stage.turns())
        },
    },
];

/// The end of a stream, as OpenAI says it.
const DONE: &[u8] = b"e\r\ndata: [DONE]\n\n\r\n";
/// The pause between two tokens.
const BEAT: u64 = 20;

/// A client that asks for a stream.
fn asks() -> Visit {
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    Visit::new().post("/v1/chat/completions", body)
}

/// The head of an event stream.
fn events() -> Answer {
    Answer::new().field("Content-Type", "text/event-stream")
}

/// A stream of these words, a beat between two of them.
fn stream(words: &[&str]) -> Answer {
    words.iter().enumerate().fold(events(), |answer, (number, word)| {
        let answer = if number > 0 { answer.pause(millis(BEAT)) } else { answer };
        answer.chunk(format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n"
        ))
    })
}

fn has_text(world: &World, client: ClientId, text: &str) -> bool {
    let client = world.see(client);
    client.reader.messages.last().is_some_and(|message| message.text().contains(text))
}

fn has_answers(world: &World, client: ClientId, count: usize) -> bool {
    world.see(client).reader.completed() >= count
}

/// Plays the scenario of this name; `None`: there is none.
pub fn play(name: &str) -> Option<Result<Played, String>> {
    let scenario = ALL.iter().find(|scenario| scenario.name == name)?;
    Some(scenario.play())
}

/// Plays the small world of a seed.
pub fn play_seed(seed: u64) -> Result<Played, String> {
    let (mut stage, story) = drawn::stage(seed)?;
    let shown = stage.play()?;
    let (name, title) = (format!("seed-{seed}"), format!("The world of seed {seed}"));
    Ok(Played { name, title, story, account: end(stage)?, shown })
}

impl Scenario {
    fn play(&self) -> Result<Played, String> {
        let mut faults = Faults::none();
        (self.faults)(&mut faults);
        let mut stage = Stage::new(self.seed, faults, &configuration(self.servers))?;
        let shown = (self.play)(&mut stage)?;
        let (name, title) = (self.name.to_owned(), self.title.to_owned());
        Ok(Played { name, title, story: self.story.to_owned(), account: end(stage)?, shown })
    }
}

/// What was written down, if the worker has kept the rules of its world.
fn end(stage: Stage) -> Result<Account, String> {
    match stage.end() {
        (account, violations) if violations.is_empty() => Ok(account),
        (_, violations) => Err(violations.join("\n")),
    }
}
