//! The parts of an object or an array, by where they lie.
//!
//! For whoever has all of a text and wants to change a little of it: the bytes around stay as they
//! are. One level at a time; what lies inside a value is passed over with an eye on strings alone.

use std::ops::Range;

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'t> {
    /// As written, without the quotes.
    pub key: &'t [u8],
    /// Where its value lies in the text.
    pub value: Range<usize>,
}

/// The members of the object that lies at `place`. `None`: it is none.
pub fn members(text: &[u8], place: Range<usize>) -> Option<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut at = inside(text, &place, b'{', b'}')?;
    let end = at.end;
    while at.start < end {
        let key = string(text, at.start..end)?;
        let colon = skip(text, key.end..end);
        if text.get(colon) != Some(&b':') {
            return None;
        }
        let value = value(text, skip(text, colon + 1..end)..end)?;
        members.push(Member { key: &text[key.start + 1..key.end - 1], value: value.clone() });
        at = next(text, value.end..end)?;
    }
    Some(members)
}

/// Where the elements of the array at `place` lie. `None`: it is none.
pub fn elements(text: &[u8], place: Range<usize>) -> Option<Vec<Range<usize>>> {
    let mut elements = Vec::new();
    let mut at = inside(text, &place, b'[', b']')?;
    let end = at.end;
    while at.start < end {
        let element = value(text, at.start..end)?;
        elements.push(element.clone());
        at = next(text, element.end..end)?;
    }
    Some(elements)
}

/// Where the value lies of the first member `name` of the object that lies at `place`, as far as the text
/// goes: it may end in the middle. A name is compared as it is written.
pub fn member(text: &[u8], place: Range<usize>, name: &[u8]) -> Option<Range<usize>> {
    let end = place.end.min(text.len());
    let brace = skip(text, place.start.min(end)..end);
    if text[..end].get(brace) != Some(&b'{') {
        return None;
    }
    let mut at = skip(text, brace + 1..end);
    while at < end {
        let key = string(text, at..end)?;
        let colon = skip(text, key.end..end);
        if text[..end].get(colon) != Some(&b':') {
            return None;
        }
        let value = value(text, skip(text, colon + 1..end)..end)?;
        if &text[key.start + 1..key.end - 1] == name {
            // One that reaches the end may go on behind it.
            return (value.end < end).then_some(value);
        }
        at = next(text, value.end..end)?.start;
    }
    None
}

/// What lies between the brackets, without the white space in front.
fn inside(text: &[u8], place: &Range<usize>, open: u8, close: u8) -> Option<Range<usize>> {
    let written = text.get(place.clone())?.trim_ascii_end();
    let start = skip(text, place.clone());
    let end = place.start + written.len();
    let brackets = text.get(start) == Some(&open) && written.last() == Some(&close);
    if !brackets || end < start + 2 {
        return None;
    }
    Some(skip(text, start + 1..end - 1)..end - 1)
}

/// Behind a value: what comes behind the comma, or the end.
fn next(text: &[u8], rest: Range<usize>) -> Option<Range<usize>> {
    let at = skip(text, rest.clone());
    match at == rest.end {
        true => Some(at..rest.end),
        false if text[at] == b',' => {
            let after = skip(text, at + 1..rest.end);
            (after < rest.end).then_some(after..rest.end)
        }
        false => None,
    }
}

/// The value that begins with `rest`.
fn value(text: &[u8], rest: Range<usize>) -> Option<Range<usize>> {
    let start = rest.start;
    match text[rest.clone()].first()? {
        b'"' => string(text, rest),
        b'{' | b'[' => {
            let (mut at, mut depth) = (start, 0usize);
            while at < rest.end {
                match text[at] {
                    b'"' => at = string(text, at..rest.end)?.end - 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(start..at);
                }
            }
            None
        }
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b':' | b'"' | b'{' | b'[' | b'}' | b']');
            let ends = |byte: &u8| ends(byte) || byte.is_ascii_whitespace();
            let length = text[rest.clone()].iter().position(ends).unwrap_or(rest.len());
            (length > 0).then_some(start..start + length)
        }
    }
}

/// The string that begins with `rest`, its quotes included.
fn string(text: &[u8], rest: Range<usize>) -> Option<Range<usize>> {
    let start = rest.start;
    if text.get(start) != Some(&b'"') {
        return None;
    }
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..rest.end)?)?;
        if text[at] == b'"' {
            return Some(start..at + 1);
        }
        // What is escaped ends nothing.
        at += 2;
    }
}

/// Where something other than white space stands.
fn skip(text: &[u8], rest: Range<usize>) -> usize {
    let length = text[rest.clone()].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    rest.start + length
}
