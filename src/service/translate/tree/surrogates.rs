//! Half a pair of surrogates in a JSON text, which is an escape and no character: servers write one where
//! they cut a text between two tokens.

use std::borrow::Cow;

use memchr::memchr;

/// `text` with U+FFFD in place of each half.
pub(super) fn whole(text: &[u8]) -> Cow<'_, [u8]> {
    let mut whole = Cow::Borrowed(text);
    let mut at = 0;
    // The half before, which is lost unless its other half follows at once.
    let mut high = None;
    while let Some(next) = text.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        let escape = at + next;
        let code = unit(text.get(escape..).unwrap_or_default());
        at = escape + if code.is_some() { 6 } else { 2 };
        let before = high.take();
        match code {
            Some(0xd800..=0xdbff) => {
                before.inspect(|lost| put(&mut whole, *lost));
                high = Some(escape);
            }
            Some(0xdc00..=0xdfff) if before == escape.checked_sub(6) && before.is_some() => {}
            Some(0xdc00..=0xdfff) => {
                before.inspect(|lost| put(&mut whole, *lost));
                put(&mut whole, escape);
            }
            _ => drop(before.inspect(|lost| put(&mut whole, *lost))),
        }
    }
    high.inspect(|lost| put(&mut whole, *lost));
    whole
}

/// The number in the escape that begins here, if it is one with a number.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn put(text: &mut Cow<'_, [u8]>, at: usize) {
    if let Some(escape) = text.to_mut().get_mut(at..at + 6) {
        escape.copy_from_slice(b"\\ufffd");
    }
}
