//! Usage that a client has not asked for: `stream_options.include_usage` of OpenAI's chats and completions.
//!
//! A server tells what a stream has cost only where the request says so, in an event of its own with empty
//! `choices` behind the last token. Where the operator wants to know, the request is made to ask
//! ([`question`]), and that event is taken out of the stream again ([`UsageHider`]): the client gets what
//! it has asked for.
//!
//! * All other bytes pass as they came. Some servers put `"usage":null` into every event then, as OpenAI
//!   does; that passes too.
//! * An event leaves when it is whole. One that is longer than [`EVENT_BYTES_MAX`] is not the usage's, and
//!   passes as it comes.

use memchr::memmem;

use crate::http::json::member;

/// An event with nothing but usage in it is a tenth of that.
const EVENT_BYTES_MAX: usize = 16 << 10;

/// What has to stand in a request, whole as it is here, so that it asks for usage: what is put in, and
/// where. `None`: it asks for no stream, says itself whether it wants usage, or is no JSON object.
pub fn question(body: &[u8]) -> Option<(usize, &'static [u8])> {
    let all = 0..body.len();
    if &body[member(body, all.clone(), b"stream")?] != b"true" {
        return None;
    }
    let Some(options) = member(body, all, b"stream_options") else {
        let brace = memchr::memchr(b'{', body)?;
        return Some((brace + 1, br#""stream_options":{"include_usage":true},"#));
    };
    if body.get(options.start) != Some(&b'{')
        || member(body, options.clone(), b"include_usage").is_some()
    {
        return None;
    }
    let empty = body[options.start + 1..options.end].trim_ascii_start() == b"}";
    let member: &[u8] =
        if empty { br#""include_usage":true"# } else { br#""include_usage":true,"# };
    Some((options.start + 1, member))
}

/// Passes a stream of events, without the one that tells nothing but usage.
#[derive(Debug, Default)]
pub struct UsageHider {
    /// The event that is coming.
    held: Vec<u8>,
    /// The line that is coming has no byte so far.
    line_empty: bool,
    after_cr: bool,
    /// The event that is coming is too long to be held.
    passes: bool,
    /// The event before was taken out.
    dropped: bool,
}

impl UsageHider {
    /// Takes the next bytes of the stream, and appends what passes to `out`.
    pub fn feed(&mut self, data: &[u8], out: &mut Vec<u8>) {
        for &byte in data {
            let ends_cr = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            let behind_event = ends_cr && self.held.is_empty();
            match self.passes || behind_event {
                true if behind_event && self.dropped => {}
                true => out.push(byte),
                false => self.held.push(byte),
            }
            if ends_cr {
                // The second half of a line's end.
            } else if !matches!(byte, b'\n' | b'\r') {
                self.line_empty = false;
            } else if !std::mem::replace(&mut self.line_empty, true) {
                // A line with something in it has ended.
            } else {
                self.end_event(out);
            }
            if self.held.len() > EVENT_BYTES_MAX {
                self.passes = true;
                out.append(&mut self.held);
            }
        }
    }

    /// Whether what has passed ends with an event.
    pub fn is_between_events(&self) -> bool {
        !self.passes
    }

    /// The stream has ended: what has no end passes.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    fn end_event(&mut self, out: &mut Vec<u8>) {
        self.passes = false;
        self.dropped = tells_only_usage(&self.held);
        match self.dropped {
            true => self.held.clear(),
            false => out.append(&mut self.held),
        }
    }
}

/// Whether the one `data` of an event is an object with empty `choices` and a `usage`, and tells nothing
/// else that a client could want: an event with a name, an error or a text is none, and one in which
/// `choices` stand twice can be read in two ways.
fn tells_only_usage(event: &[u8]) -> bool {
    let named =
        event.split(|byte| matches!(byte, b'\n' | b'\r')).any(|it| it.starts_with(b"event"));
    let more: [&[u8]; 5] =
        [b"\"error\"", b"\"content\"", b"\"delta\"", b"\"message\"", b"\"text\""];
    let tells_more = more.iter().any(|name| memmem::find(event, name).is_some());
    if named || tells_more || memmem::find_iter(event, b"\"choices\"").count() != 1 {
        return false;
    }
    let lines = event.split(|byte| matches!(byte, b'\n' | b'\r'));
    let mut data = lines.filter_map(|line| line.strip_prefix(b"data:"));
    let (Some(data), None) = (data.next(), data.next()) else { return false };
    let is = |name: &[u8], first: u8| {
        let place = member(data, 0..data.len(), name)?;
        (data.get(place.start) == Some(&first)).then_some(place)
    };
    let empty =
        |place: std::ops::Range<usize>| data[place.start + 1..place.end].trim_ascii_start() == b"]";
    is(b"choices", b'[').is_some_and(empty) && is(b"usage", b'{').is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_says_nothing_of_usage_is_made_to_ask() {
        for (body, expected) in [
            (
                r#"{"model":"a","stream":true}"#,
                Some(r#"{"stream_options":{"include_usage":true},"model":"a","stream":true}"#),
            ),
            (
                r#" { "stream" : true , "stream_options" : { } }"#,
                Some(r#" { "stream" : true , "stream_options" : {"include_usage":true } }"#),
            ),
            (
                r#"{"stream_options":{"x":{}},"stream":true}"#,
                Some(r#"{"stream_options":{"include_usage":true,"x":{}},"stream":true}"#),
            ),
            (r#"{"stream":true,"stream_options":{"include_usage":false}}"#, None),
            (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, None),
            (r#"{"stream":true,"stream_options":null}"#, None),
            (r#"{"stream":false}"#, None),
            (r#"{"messages":[{"stream":true}]}"#, None),
            (r#"[{"stream":true}]"#, None),
            ("", None),
        ] {
            let asked = question(body.as_bytes())
                .map(|(at, put)| [&body.as_bytes()[..at], put, &body.as_bytes()[at..]].concat());
            assert_eq!(asked.as_deref(), expected.map(str::as_bytes), "{body}");
        }
    }

    /// What passes of a stream that comes in these pieces.
    fn passed<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> String {
        let (mut hider, mut out) = (UsageHider::default(), Vec::new());
        pieces.for_each(|piece| hider.feed(piece, &mut out));
        hider.end(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn only_the_event_of_the_usage_is_taken_out_at_any_split() {
        const USAGE: &str = r#"data: {"id":"1","choices":[ ],"usage":{"prompt_tokens":1}}"#;
        let token = r#"data: {"choices":[{"delta":{"content":"a"}}],"usage":null}"#;
        for end in ["\n", "\r\n", "\r"] {
            let event = |line: &str| format!("{line}{end}{end}");
            let others = [
                ": a comment",
                token,
                r#"data: {"choices":[],"prompt_filter_results":[]}"#,
                r#"data: {"choices":[],"usage":null}"#,
                r#"data: {"choices":[{"index":0,"finish_reason":"stop"}],"usage":{"x":1}}"#,
                r#"data: {"error":{"message":"no"},"choices":[],"usage":{"x":1}}"#,
                r#"data: {"content":"keep me","choices":[],"usage":{"x":1}}"#,
                r#"data: {"choices":[],"choices":[{"text":"a"}],"usage":{"x":1}}"#,
            ];
            let before: String = others.iter().map(|line| event(line)).collect();
            let behind = format!("{}{}", event("data: [DONE]"), "data: {\"cut");
            let stream = format!("{before}{}{behind}", event(USAGE));
            let expected = format!("{before}{behind}");
            let bytes = stream.as_bytes();
            assert_eq!(passed(bytes.chunks(1)), expected);
            for cut in 0..=bytes.len() {
                assert_eq!(passed([&bytes[..cut], &bytes[cut..]].into_iter()), expected, "{cut}");
            }
        }
    }

    #[test]
    fn a_token_leaves_with_its_last_byte_and_a_long_event_as_it_comes() {
        let (mut hider, mut out) = (UsageHider::default(), Vec::new());
        hider.feed(b"data: {\"choices\":[{}]}\n\ndata:", &mut out);
        assert_eq!(out, b"data: {\"choices\":[{}]}\n\n");
        out.clear();
        let long = "x".repeat(2 * EVENT_BYTES_MAX);
        hider.feed(long.as_bytes(), &mut out);
        assert_eq!(out.len(), "data:".len() + long.len(), "nothing is held any more");
        assert!(!hider.is_between_events());
        hider.feed(b"\n\ndata: {\"choices\":[],\"usage\":{}}\n\n", &mut out);
        assert!(out.ends_with(b"x\n\n"));
        assert!(hider.is_between_events());
    }
}
