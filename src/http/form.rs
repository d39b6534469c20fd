//! Parameters of a query, read as a form's are (WHATWG URL §5.1).

/// The values of a parameter of the query, decoded.
pub fn parameters(query: &str, name: &str) -> Vec<Vec<u8>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let named = pairs.filter(|(key, _)| decoded(key) == name.as_bytes());
    named.map(|(_, value)| decoded(value)).collect()
}

/// Each `+` a blank, each escape its byte; what is no escape stays as it is.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escape = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (first, escape.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(first),
        }
        rest = after;
    }
    out
}
