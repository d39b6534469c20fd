//! What a model peer does, written down beforehand: an [`Answer`] of a server, a [`Visit`] of a
//! client.
//!
//! Both are lists of [`Act`]s, at the level of bytes: a script can say anything a socket can, also
//! what no honest peer would. What is written without a pause in between leaves in one segment.

use std::rc::Rc;
use std::time::Duration;

use super::message::Asked;

/// One thing a peer does before it does the next.
#[derive(Clone, Debug)]
pub enum Act {
    Send {
        bytes: Rc<[u8]>,
        fin: bool,
    },
    /// Speaks although nobody has asked, and is heard at once. Not done if a request is on its way:
    /// it would pass for the answer.
    Unasked {
        bytes: Rc<[u8]>,
        fin: bool,
    },
    Wait(Duration),
    /// As `Wait`, but another request ends it and all that was to come after it.
    Idle(Duration),
    /// A request leaves now; this is how its answer is to be read.
    Ask(Asked),
    /// Until so many answers have arrived whole.
    AwaitAnswers(usize),
    /// Until so many interim answers have arrived.
    AwaitInterims(usize),
    /// Until the request that is being answered has arrived whole.
    AwaitRequest,
    /// Until the tunnel is open and so many bytes have come through it. A client that gets another
    /// answer instead gives up.
    AwaitTunnel(usize),
    /// Until the other side has ended the connection.
    AwaitEnd,
    /// The connection becomes a tunnel, and every byte that comes is sent back.
    Echo,
    Read(Reading),
    /// FIN. Reading goes on.
    Finish,
    Close,
    /// As a process dies: closed without a farewell. The same as `Close`, where no session has one.
    Vanish,
    Reset,
    /// A record that says nothing, where a session seals them; else nothing.
    Ticket,
    /// A record that nobody can open; else nothing.
    SpoiltRecord,
}

/// How a connection dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Fin,
    Reset,
}

/// How fast a peer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Eagerly,
    Slowly { bytes: usize, every: Duration },
    Never,
}

/// A list of acts in the making.
#[derive(Clone, Debug, Default)]
struct Acts {
    done: Vec<Act>,
    /// Bytes that will leave together.
    unsent: Vec<u8>,
}

impl Acts {
    fn write(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    fn send(&mut self, fin: bool) {
        if !self.unsent.is_empty() {
            let bytes = std::mem::take(&mut self.unsent).into();
            self.done.push(Act::Send { bytes, fin });
        } else if fin {
            self.done.push(Act::Finish);
        }
    }

    fn then(&mut self, act: Act) {
        self.send(false);
        self.done.push(act);
    }

    fn finish(mut self) -> Vec<Act> {
        self.send(false);
        self.done
    }
}

/// How a server answers one request. Without a word about the head it is
/// `200 OK`, chunked if [`Answer::chunk`] is used, else with the length of [`Answer::body`].
#[derive(Clone, Debug)]
pub struct Answer {
    acts: Acts,
    status: String,
    fields: String,
    headed: bool,
}

impl Default for Answer {
    fn default() -> Answer {
        Answer::new()
    }
}

impl Answer {
    pub fn new() -> Answer {
        Answer {
            acts: Acts::default(),
            status: "200 OK".into(),
            fields: String::new(),
            headed: false,
        }
    }

    pub fn status(mut self, status: &str) -> Answer {
        self.status = status.into();
        self
    }

    pub fn field(mut self, name: &str, value: &str) -> Answer {
        self.fields.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// The head as it stands; nothing is added to it.
    pub fn head(mut self) -> Answer {
        if !self.headed {
            let Answer { acts, status, fields, .. } = &mut self;
            acts.write(format!("HTTP/1.1 {status}\r\n{fields}\r\n").as_bytes());
            self.headed = true;
        }
        self
    }

    /// An interim answer, ahead of the head.
    pub fn interim(self, status: &str) -> Answer {
        self.raw(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes())
    }

    /// The whole body, with its length in the head.
    pub fn body(self, body: &[u8]) -> Answer {
        self.field("Content-Length", &body.len().to_string()).head().raw(body)
    }

    /// One chunk, in a frame of its own.
    pub fn chunk(self, data: impl AsRef<[u8]>) -> Answer {
        let data = data.as_ref();
        let answer =
            if self.headed { self } else { self.field("Transfer-Encoding", "chunked").head() };
        answer.raw(format!("{:x}\r\n", data.len()).as_bytes()).raw(data).raw(b"\r\n")
    }

    pub fn end_chunks(self) -> Answer {
        self.raw(b"0\r\n\r\n")
    }

    /// These bytes, whatever they mean.
    pub fn raw(mut self, bytes: &[u8]) -> Answer {
        self.acts.write(bytes);
        self
    }

    pub fn pause(self, duration: Duration) -> Answer {
        self.then(Act::Wait(duration))
    }

    /// `count` chunks of `data`, one `every` so often.
    pub fn tokens(mut self, count: usize, data: &str, every: Duration) -> Answer {
        for _ in 0..count {
            self = self.chunk(data).pause(every);
        }
        self
    }

    pub fn await_request(self) -> Answer {
        self.then(Act::AwaitRequest)
    }

    /// A 101, and from then on every byte comes back.
    pub fn echo_tunnel(self, protocol: &str) -> Answer {
        self.status("101 Switching Protocols")
            .field("Connection", "upgrade")
            .field("Upgrade", protocol)
            .head()
            .then(Act::Echo)
    }

    /// Waits for the next request, at most so long. What follows happens if none has come.
    pub fn idle(self, duration: Duration) -> Answer {
        self.then(Act::Idle(duration))
    }

    /// These bytes, although nobody has asked for them.
    pub fn unasked(self, text: &str, fin: bool) -> Answer {
        self.then(Act::Unasked { bytes: text.as_bytes().into(), fin })
    }

    /// Nothing more, for ever.
    pub fn stall(self) -> Answer {
        self.then(Act::AwaitEnd)
    }

    /// The FIN travels with the last bytes: one segment, one edge.
    pub fn close_in_same_segment(mut self) -> Answer {
        self.acts.send(true);
        self.then(Act::Close)
    }

    pub fn close(self) -> Answer {
        self.then(Act::Close)
    }

    pub fn reset(self) -> Answer {
        self.then(Act::Reset)
    }

    pub fn die(self, death: Death) -> Answer {
        match death {
            Death::Fin => self.then(Act::Vanish),
            Death::Reset => self.reset(),
        }
    }

    pub fn then(mut self, act: Act) -> Answer {
        self.acts.then(act);
        self
    }

    pub(super) fn into_acts(self) -> Vec<Act> {
        self.acts.finish()
    }
}

/// What a client does on one connection.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    acts: Acts,
    asked: usize,
    pub(super) delay: Duration,
    pub(super) body_room: usize,
    /// It knows no sessions, whatever the others do.
    pub(super) plain: bool,
}

impl Visit {
    pub fn new() -> Visit {
        Visit::default()
    }

    /// Connects so long after the visit has begun.
    pub fn after(mut self, delay: Duration) -> Visit {
        self.delay = delay;
        self
    }

    /// Speaks without a session, even where clients have one.
    pub fn plain(mut self) -> Visit {
        self.plain = true;
        self
    }

    /// Makes room for so many bytes of body beforehand, so that reading them allocates nothing.
    pub fn expecting(mut self, bytes: usize) -> Visit {
        self.body_room = bytes;
        self
    }

    /// A request that carries no body.
    pub fn get(self, target: &str) -> Visit {
        self.request("GET", target, "")
    }

    pub fn post(self, target: &str, body: &str) -> Visit {
        let fields = format!("Content-Length: {}\r\n", body.len());
        self.request("POST", target, &fields).raw(body.as_bytes())
    }

    /// The head of a request, with these fields beside `Host`.
    pub fn request(self, method: &str, target: &str, fields: &str) -> Visit {
        let asked = Asked { head: method == "HEAD", upgrade: fields.contains("Upgrade:") };
        self.ask(asked)
            .raw(format!("{method} {target} HTTP/1.1\r\nHost: gateway\r\n{fields}\r\n").as_bytes())
    }

    /// A request follows, whose answer is to be read like this.
    pub fn ask(mut self, asked: Asked) -> Visit {
        self.asked += 1;
        self.then(Act::Ask(asked))
    }

    pub fn raw(mut self, bytes: &[u8]) -> Visit {
        self.acts.write(bytes);
        self
    }

    pub fn chunk(self, data: &str) -> Visit {
        self.raw(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes())
    }

    pub fn end_chunks(self) -> Visit {
        self.raw(b"0\r\n\r\n")
    }

    pub fn pause(self, duration: Duration) -> Visit {
        self.then(Act::Wait(duration))
    }

    /// Until every request so far has been answered.
    pub fn await_answers(self) -> Visit {
        let asked = self.asked;
        self.then(Act::AwaitAnswers(asked))
    }

    pub fn await_interim(self) -> Visit {
        self.then(Act::AwaitInterims(1))
    }

    pub fn read(self, reading: Reading) -> Visit {
        self.then(Act::Read(reading))
    }

    /// Waits for nothing and closes: a client that goes away.
    pub fn leave(self) -> Visit {
        self.then(Act::Close)
    }

    pub fn then(mut self, act: Act) -> Visit {
        self.acts.then(act);
        self
    }

    pub(super) fn into_acts(self) -> Vec<Act> {
        self.await_answers().then(Act::Close).acts.finish()
    }
}
