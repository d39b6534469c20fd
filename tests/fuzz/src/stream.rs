//! Event streams as the HTML standard reads them, all at once; and lines.

/// Lines end in LF, CR or CR LF. What is behind the last end is no line.
fn lines(stream: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = stream;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&rest[..at]);
        let both = rest[at..].starts_with(b"\r\n");
        rest = &rest[at + 1 + usize::from(both)..];
    }
    lines
}

/// How many events with data a stream dispatches.
pub fn events(stream: &[u8]) -> u64 {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let (mut events, mut has_data) = (0, false);
    for line in lines(stream) {
        if line.is_empty() {
            events += u64::from(std::mem::take(&mut has_data));
        }
        let name = line.split(|byte| *byte == b':').next();
        has_data |= name == Some(b"data");
    }
    events
}

/// How many lines of JSON a body has: whatever is more than white space, and behind the last LF only what
/// ends as an object does.
pub fn json_lines(body: &[u8]) -> u64 {
    let parts: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    let (last, whole) = parts.split_last().expect("split gives one at least");
    let whole = whole.iter().filter(|line| !line.trim_ascii().is_empty()).count() as u64;
    whole + u64::from(last.trim_ascii_end().ends_with(b"}"))
}
