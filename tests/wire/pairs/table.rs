//! The callers and the servers: what each says, by its dialect.

use serde_json::{Value, json};

use crate::harness::Message;

/// What a client of a dialect sends, and how it reads a stream.
#[derive(Clone, Copy)]
pub struct Caller {
    pub path: &'static str,
    /// How its stream ends.
    pub end: &'static str,
    /// What its error event holds.
    pub error: &'static str,
}

pub const CHAT: Caller =
    Caller { path: "/v1/chat/completions", end: "data: [DONE]\n\n", error: "data: {\"error\":" };
pub const MESSAGES: Caller =
    Caller { path: "/v1/messages", end: "event: message_stop", error: "event: error\n" };
pub const RESPONSES: Caller =
    Caller { path: "/v1/responses", end: "event: response.completed", error: "event: error\n" };

impl Caller {
    fn body(self, stream: bool) -> Value {
        let mut body = json!({"model": "asked", "stream": stream});
        let messages = json!([{"role": "user", "content": "Hi."}]);
        match self.path {
            "/v1/responses" => body["input"] = "Hi.".into(),
            "/v1/messages" => {
                body["max_tokens"] = 64.into();
                body["messages"] = messages;
            }
            _ => body["messages"] = messages,
        }
        body
    }

    pub fn request(self, stream: bool, fields: &str) -> String {
        let body = self.body(stream).to_string();
        format!(
            "POST {}?x=1 HTTP/1.1\r\nHost: own\r\nContent-Type: application/json\r\n\
             Authorization: Bearer k\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            self.path,
            body.len()
        )
    }

    /// The text in a stream.
    pub fn text(self, body: &str) -> String {
        let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = data.filter(|data| *data != "[DONE]");
        events
            .map(|data| {
                let event: Value = serde_json::from_str(data).expect(data);
                let text = match self.path {
                    "/v1/responses" if event["type"] == "response.output_text.delta" => {
                        &event["delta"]
                    }
                    "/v1/responses" => &Value::Null,
                    "/v1/messages" => &event["delta"]["text"],
                    _ => &event["choices"][0]["delta"]["content"],
                };
                text.as_str().unwrap_or_default().to_owned()
            })
            .collect()
    }

    /// The text of a document.
    pub fn whole(self, body: &Value) -> Value {
        match self.path {
            "/v1/responses" => body["output"][0]["content"][0]["text"].clone(),
            "/v1/messages" => body["content"][0]["text"].clone(),
            _ => body["choices"][0]["message"]["content"].clone(),
        }
    }
}

/// What a server of a dialect is asked, and how it answers.
pub struct Served {
    pub to: &'static str,
    pub paths: [&'static str; 2],
    /// Name and value of the field with the key.
    pub key: (&'static str, &'static str),
    pub media: &'static str,
    pub begun: fn() -> String,
    pub said: fn(&str) -> String,
    pub ended: fn() -> String,
    /// An error inside a stream.
    pub failed: fn(&str) -> String,
    pub document: fn(&str) -> Value,
    /// Whether its stream has a mark of its end.
    pub marks_its_end: bool,
    /// The text of the user in the request.
    pub prompt: fn(&Value) -> &Value,
}

const BEARER: (&str, &str) = ("authorization", "Bearer k");

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn named(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type"))
}

fn delta(delta: Value, reason: Value) -> Value {
    json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

pub fn served() -> Vec<Served> {
    let error = |text: &str| event(&json!({"error": {"message": text, "code": 503}}));
    vec![
        Served {
            to: "openai",
            paths: ["/v1/chat/completions"; 2],
            key: BEARER,
            media: "text/event-stream",
            begun: || event(&delta(json!({"role": "assistant", "content": ""}), Value::Null)),
            said: |text| event(&delta(json!({"content": text}), Value::Null)),
            ended: || event(&delta(json!({}), json!("stop"))) + "data: [DONE]\n\n",
            failed: error,
            document: |text| json!({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}),
            marks_its_end: true,
            prompt: |body| &body["messages"][0]["content"],
        },
        Served {
            to: "anthropic",
            paths: ["/v1/messages"; 2],
            key: ("x-api-key", "k"),
            media: "text/event-stream",
            begun: || {
                let block = json!({"type": "text", "text": ""});
                named(&json!({"type": "message_start", "message": {"id": "m1", "model": "m"}}))
                    + &named(
                        &json!({"type": "content_block_start", "index": 0, "content_block": block}),
                    )
            },
            said: |text| {
                let delta = json!({"type": "text_delta", "text": text});
                named(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
            },
            ended: || {
                named(&json!({"type": "content_block_stop", "index": 0}))
                    + &named(
                        &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
                    )
                    + &named(&json!({"type": "message_stop"}))
            },
            failed: |text| {
                let error = json!({"type": "overloaded_error", "message": text});
                named(&json!({"type": "error", "error": error}))
            },
            document: |text| {
                json!({"type": "message", "content": [{"type": "text", "text": text}],
                       "stop_reason": "end_turn"})
            },
            marks_its_end: true,
            prompt: |body| &body["messages"][0]["content"],
        },
        Served {
            to: "ollama",
            paths: ["/api/chat"; 2],
            key: BEARER,
            media: "application/x-ndjson",
            begun: String::new,
            said: |text| {
                let message = json!({"role": "assistant", "content": text});
                format!("{}\n", json!({"model": "m", "message": message, "done": false}))
            },
            ended: || {
                let message = json!({"role": "assistant", "content": ""});
                format!(
                    "{}\n",
                    json!({"model": "m", "message": message, "done": true, "done_reason": "stop"})
                )
            },
            failed: |text| format!("{}\n", json!({ "error": text })),
            document: |text| json!({"model": "m", "message": {"content": text}, "done": true}),
            marks_its_end: true,
            prompt: |body| &body["messages"][0]["content"],
        },
        Served {
            to: "gemini",
            paths: [
                "/v1beta/models/asked:generateContent",
                "/v1beta/models/asked:streamGenerateContent?alt=sse",
            ],
            key: ("x-goog-api-key", "k"),
            media: "text/event-stream",
            begun: String::new,
            said: |text| event(&json!({"candidates": [{"content": {"parts": [{"text": text}]}}]})),
            ended: || {
                event(&json!({"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]}))
            },
            failed: error,
            document: |text| json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}),
            marks_its_end: true,
            prompt: |body| &body["contents"][0]["parts"][0]["text"],
        },
        Served {
            to: "tgi",
            paths: ["/generate", "/generate_stream"],
            key: BEARER,
            media: "text/event-stream",
            begun: String::new,
            said: |text| {
                event(&json!({"token": {"text": text, "special": false}, "generated_text": null}))
            },
            ended: || {
                let details = json!({"finish_reason": "eos_token", "generated_tokens": 1});
                let token = json!({"text": "</s>", "special": true});
                event(&json!({"token": token, "generated_text": "all", "details": details}))
            },
            failed: |text| event(&json!({"error": text, "error_type": "overloaded"})),
            document: |text| json!({ "generated_text": text }),
            marks_its_end: true,
            prompt: |body| &body["inputs"],
        },
        Served {
            to: "triton",
            paths: ["/v2/models/asked/generate", "/v2/models/asked/generate_stream"],
            key: BEARER,
            media: "text/event-stream",
            begun: String::new,
            said: |text| event(&json!({"model_name": "m", "text_output": text})),
            ended: String::new,
            failed: |text| event(&json!({ "error": text })),
            document: |text| json!({ "text_output": text }),
            marks_its_end: false,
            prompt: |body| &body["text_input"],
        },
    ]
}

pub fn pairs() -> impl Iterator<Item = (Caller, Served)> {
    let callers = [(CHAT, "openai"), (MESSAGES, "anthropic"), (RESPONSES, "")];
    callers.into_iter().flat_map(|(caller, own)| {
        served()
            .into_iter()
            .filter(move |served| served.to != own)
            .map(move |served| (caller, served))
    })
}

pub fn chunk(data: &str) -> String {
    if data.is_empty() { String::new() } else { format!("{:x}\r\n{data}\r\n", data.len()) }
}

impl Served {
    pub fn head(&self) -> String {
        let media = self.media;
        format!("HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    pub fn said(&self, text: &str) -> String {
        chunk(&(self.said)(text))
    }

    pub fn expect(&self, request: &Message, stream: bool) {
        let path = self.paths[usize::from(stream)];
        assert_eq!(request.start, format!("POST {path} HTTP/1.1"), "{}", self.to);
        let (name, value) = self.key;
        assert_eq!(request.all(name), [value], "{}", self.to);
        for gone in ["range", "if-none-match", "upgrade", "connection"] {
            assert_eq!(request.field(gone), None, "{gone}");
        }
        let body = request.json();
        let prompt = (self.prompt)(&body);
        assert_eq!(prompt, "Hi.", "{}: {body}", self.to);
    }
}
