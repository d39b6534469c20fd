//! How the models read HTTP/1.1: slowly, strictly, and without the gateway's own parser.
//!
//! An oracle that used the code under test would share its mistakes. So this is a second reading
//! of RFC 9112, written for clarity: whole lines, owned strings, one message after another.
//!
//! * Bytes go in at any split; messages grow in [`Reader::messages`].
//! * The first thing that is not HTTP/1.1 to the letter sets [`Reader::fault`], for good.

use std::collections::VecDeque;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Empty,
    Length(usize),
    Chunked,
    UntilClose,
    /// What follows belongs to another protocol.
    Tunnel,
}

/// One message as far as it has arrived: from the end of its head on.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub ending: Ending,
    /// The payload, out of its framing. Of a tunnel, what came through.
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    pub complete: bool,
}

impl Message {
    /// The value of the only field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The status of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        let code = self.start.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status()) && self.status() != 101
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a client must remember of a request to read its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The answer to a HEAD has no body whatever its head says.
    pub head: bool,
    /// A 101 is allowed.
    pub upgrade: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Requests,
    Responses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Data { left: usize },
    ChunkSize,
    ChunkData { left: usize },
    ChunkEnd,
    Trailer,
    Rest,
    Broken,
}

#[derive(Debug)]
pub struct Reader {
    role: Role,
    state: State,
    /// Bytes that are not understood yet: at most a head, or a line of chunked framing.
    pending: Vec<u8>,
    asked: VecDeque<Asked>,
    pub messages: Vec<Message>,
    pub fault: Option<String>,
    /// Room made for a body before it comes, so that reading it allocates nothing.
    pub body_room: usize,
}

type Fields = Vec<(String, String)>;

impl Reader {
    pub fn of_requests() -> Reader {
        Reader::new(Role::Requests)
    }

    pub fn of_responses() -> Reader {
        Reader::new(Role::Responses)
    }

    fn new(role: Role) -> Reader {
        Reader {
            role,
            state: State::Head,
            pending: Vec::with_capacity(4096),
            asked: VecDeque::new(),
            messages: Vec::new(),
            fault: None,
            body_room: 0,
        }
    }

    /// A request has been sent whose answer this reader is to read.
    pub fn ask(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    /// Final messages that have arrived to their end.
    pub fn completed(&self) -> usize {
        self.messages.iter().filter(|message| message.complete && !message.is_interim()).count()
    }

    pub fn interims(&self) -> usize {
        self.messages.iter().filter(|message| message.is_interim()).count()
    }

    /// Whether part of a message has arrived and part of it has not.
    pub fn is_inside_message(&self) -> bool {
        !self.pending.is_empty() || self.messages.last().is_some_and(|message| !message.complete)
    }

    /// Whether every answer that was asked for has arrived.
    pub fn all_answered(&self) -> bool {
        self.asked.is_empty() && !self.is_inside_message()
    }

    /// Whether what comes now belongs to another protocol.
    pub fn in_tunnel(&self) -> bool {
        self.messages.last().is_some_and(|message| message.ending == Ending::Tunnel)
    }

    /// Where bytes that have arrived are put. [`Reader::read_on`] makes sense of them.
    pub fn inbox(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    pub fn read_on(&mut self) {
        let mut at = 0;
        while self.fault.is_none() {
            match self.step(at) {
                Ok(Some(taken)) => at += taken,
                Ok(None) => break,
                Err(fault) => {
                    self.fault = Some(fault);
                    self.state = State::Broken;
                }
            }
        }
        self.pending.drain(..at);
    }

    /// The connection has ended without an error.
    pub fn end(&mut self) {
        if let Some(message) = self.messages.last_mut()
            && matches!(message.ending, Ending::UntilClose | Ending::Tunnel)
        {
            message.complete = true;
        }
    }

    /// Reads one step further. `None`: not before more bytes come.
    fn step(&mut self, at: usize) -> Result<Option<usize>, String> {
        let input = &self.pending[at..];
        match self.state {
            State::Head => {
                let Some(length) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
                    return Ok(None);
                };
                let (start, fields) = head(&input[..length])?;
                self.begin(start, fields)?;
                Ok(Some(length + 4))
            }
            State::Data { left } => {
                let length = self.payload(at, left);
                self.state = State::Data { left: left - length };
                self.complete_if(left == length);
                Ok((length > 0).then_some(length))
            }
            State::ChunkSize => {
                let Some(text) = line(input)? else {
                    return Ok(None);
                };
                let digits = text.split(';').next().unwrap_or("");
                let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let size = usize::from_str_radix(digits, 16).ok().filter(|_| hex);
                let left = size.ok_or_else(|| format!("chunk size {text:?}"))?;
                self.state = if left == 0 { State::Trailer } else { State::ChunkData { left } };
                Ok(Some(text.len() + 2))
            }
            State::ChunkData { left } => {
                let length = self.payload(at, left);
                let left = left - length;
                self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData { left } };
                Ok((length > 0).then_some(length))
            }
            State::ChunkEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkSize;
                    Ok(Some(2))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err("a chunk is longer than its size".into()),
            },
            State::Trailer => {
                let Some(text) = line(input)? else {
                    return Ok(None);
                };
                let taken = text.len() + 2;
                let trailer = if text.is_empty() { None } else { Some(field(text)?) };
                match (trailer, self.messages.last_mut()) {
                    (Some(trailer), Some(message)) => message.trailers.push(trailer),
                    _ => self.complete_if(true),
                }
                Ok(Some(taken))
            }
            State::Rest => {
                let length = self.payload(at, usize::MAX);
                Ok((length > 0).then_some(length))
            }
            State::Broken => Ok(None),
        }
    }

    fn payload(&mut self, at: usize, limit: usize) -> usize {
        let length = limit.min(self.pending.len() - at);
        if let Some(message) = self.messages.last_mut() {
            message.body.extend_from_slice(&self.pending[at..at + length]);
        }
        length
    }

    fn complete_if(&mut self, ended: bool) {
        if let (true, Some(message)) = (ended, self.messages.last_mut()) {
            message.complete = true;
            self.state = State::Head;
        }
    }

    fn begin(&mut self, start: String, fields: Fields) -> Result<(), String> {
        let declared = declared(&fields)?;
        let mut message = Message {
            start,
            fields,
            ending: declared.unwrap_or(Ending::Empty),
            body: Vec::with_capacity(self.body_room),
            trailers: Vec::new(),
            complete: false,
        };
        match self.role {
            Role::Requests => {
                if !message.start.ends_with(" HTTP/1.1") {
                    return Err(format!("request line {:?}", message.start));
                }
                // What follows the request is judged by the answer; a server that refuses the
                // upgrade reads on as if nothing had been asked.
            }
            Role::Responses => self.answer(&mut message, declared)?,
        }
        self.state = match message.ending {
            Ending::Empty | Ending::Length(0) => State::Head,
            Ending::Length(left) => State::Data { left },
            Ending::Chunked => State::ChunkSize,
            Ending::UntilClose | Ending::Tunnel => State::Rest,
        };
        message.complete = self.state == State::Head;
        self.messages.push(message);
        Ok(())
    }

    /// What a response's head means depends on what was asked.
    fn answer(&mut self, message: &mut Message, declared: Option<Ending>) -> Result<(), String> {
        let status = message.status();
        if !(100..600).contains(&status) {
            return Err(format!("status line {:?}", message.start));
        }
        if message.is_interim() {
            message.ending = Ending::Empty;
            return match self.asked.is_empty() {
                true => Err(format!("an interim {status} that nobody waits for")),
                false => Ok(()),
            };
        }
        let asked = self.asked.pop_front().ok_or_else(|| format!("a {status} nobody asked for"))?;
        message.ending = match status {
            101 if asked.upgrade => Ending::Tunnel,
            101 => return Err("a 101 nobody asked for".into()),
            204 | 304 => Ending::Empty,
            _ if asked.head => Ending::Empty,
            _ => declared.unwrap_or(Ending::UntilClose),
        };
        Ok(())
    }

    /// A server has agreed to an upgrade: what follows the request is no HTTP.
    pub fn upgrade(&mut self) {
        if let Some(message) = self.messages.last_mut() {
            message.ending = Ending::Tunnel;
            message.complete = false;
            self.state = State::Rest;
        }
    }
}

/// A line that ends with CR LF, without them. `None`: its end has not arrived.
fn line(input: &[u8]) -> Result<Option<&str>, String> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let text = input[..end].strip_suffix(b"\r").ok_or("a bare LF in the framing")?;
    std::str::from_utf8(text).map(Some).map_err(|_| "framing that is no text".into())
}

fn head(bytes: &[u8]) -> Result<(String, Fields), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "a head that is no text")?;
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or("").to_owned();
    let fields = lines.map(field).collect::<Result<Fields, String>>()?;
    match text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        true => Err("a bare CR, LF or NUL in a head".into()),
        false => Ok((start, fields)),
    }
}

fn field(line: &str) -> Result<(String, String), String> {
    let is_token = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    match line.split_once(':') {
        Some((name, value)) if is_token(name) => {
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(format!("field line {line:?}")),
    }
}

/// The framing that the fields declare, if any. Two readings are none.
fn declared(fields: &Fields) -> Result<Option<Ending>, String> {
    let all = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    };
    match (all("transfer-encoding").as_slice(), all("content-length").as_slice()) {
        ([], []) => Ok(None),
        (["chunked"], []) => Ok(Some(Ending::Chunked)),
        ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
            .parse()
            .map(|length| Some(Ending::Length(length)))
            .map_err(|_| "a length too long".into()),
        (codings, lengths) => Err(format!("framing {codings:?} with lengths {lengths:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut reader: Reader, bytes: &[u8], piece: usize) -> Reader {
        for part in bytes.chunks(piece) {
            reader.inbox().extend_from_slice(part);
            reader.read_on();
        }
        reader
    }

    fn responses(asked: &[Asked], bytes: &[u8], piece: usize) -> Reader {
        let mut reader = Reader::of_responses();
        asked.iter().for_each(|asked| reader.ask(*asked));
        read(reader, bytes, piece)
    }

    #[test]
    fn any_split_reads_alike() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        for piece in 1..=bytes.len() {
            let reader = responses(&[Asked::default(); 2], bytes, piece);
            assert_eq!(reader.fault, None);
            let texts: Vec<_> = reader.messages.iter().map(Message::text).collect();
            assert_eq!(texts, ["", "abcde", "hi"]);
            assert_eq!(reader.messages[1].trailers, [("t".to_owned(), "v".to_owned())]);
            assert_eq!((reader.completed(), reader.interims()), (2, 1));
        }
    }

    #[test]
    fn a_body_ends_where_its_framing_says_or_not_at_all() {
        let ask = Asked::default();
        let cut = responses(&[ask], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", 100);
        assert!(!cut.messages[0].complete);
        let mut open = responses(&[ask], b"HTTP/1.1 200 OK\r\n\r\nhi", 100);
        assert!(!open.messages[0].complete);
        open.end();
        assert!(open.messages[0].complete);
        let head = Asked { head: true, ..ask };
        let none = responses(&[head], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 100);
        assert!(none.messages[0].complete);
    }

    #[test]
    fn what_has_two_readings_is_a_fault() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
            b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert!(responses(&[Asked::default()], bytes, 7).fault.is_some(), "{bytes:?}");
        }
    }
}
