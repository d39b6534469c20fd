//! A message as a test reads it: the head as text, the body as its framing says.

/// A request or a response.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line, without its line end.
    pub start: String,
    /// Names in lower case, in the order they came.
    pub fields: Vec<(String, String)>,
    /// The payload.
    pub body: Vec<u8>,
    /// The bytes of the body as they came: chunk lines, trailers and all.
    pub framed: Vec<u8>,
    /// Fields behind the last chunk, names in lower case.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// Reads a head, blank line included.
    pub fn of_head(head: &[u8]) -> Message {
        let text = std::str::from_utf8(head).expect("a head in ASCII");
        let (start, fields) = text.split_once("\r\n").expect("a start line");
        let (body, framed, trailers) = (Vec::new(), Vec::new(), Vec::new());
        Message { start: start.to_owned(), fields: parse_fields(fields), body, framed, trailers }
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let status = self.start.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no response: {:?}", self.start))
    }

    /// The values of all fields of this name (in lower case).
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|field| field.0 == name).map(|field| &*field.1).collect()
    }

    /// The value of the only field of this name, if there is one.
    pub fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} is repeated in {self:#?}");
        all.first().copied()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }
}

/// Field lines up to a blank one.
pub fn parse_fields(lines: &str) -> Vec<(String, String)> {
    let lines = lines.split("\r\n").take_while(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a field has a colon");
            (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned())
        })
        .collect()
}
