//! Streams that are translated, whatever the network does: a client reads a text that the server has said, in
//! its own dialect, and it is whole or seen to be cut.

use std::time::Duration;

use serde_json::Value;

use crate::harness::scenario::Simulation;
use crate::seed;
use sluicegate::config::snapshot::{Condition, Conditions, Target, TranslateTo};
use sluicegate::service::Dialect;
use sluicegate::sim::Answer;

const TEXTS: [&str; 5] = ["Once", " upon", " a \\\"time\\\"", " \u{fc}\u{1f600}", " there"];

/// A client: its path, its request, how its stream ends.
struct Client {
    path: &'static str,
    request: &'static str,
    end: &'static str,
}

const CHAT: Client = Client {
    path: "/relay/chat/completions",
    request: r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#,
    end: "data: [DONE]\n\n",
};
const MESSAGES: Client = Client {
    path: "/relay/v1/messages",
    request: r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
    end: "{\"type\":\"message_stop\"}\n\n",
};
const RESPONSES: Client = Client {
    path: "/relay/v1/responses",
    request: r#"{"model":"m","stream":true,"input":"x"}"#,
    end: "event: response.completed",
};

impl Client {
    /// The text that it reads, event by event.
    fn text(&self, body: &str) -> String {
        let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
        let texts = data.filter_map(|data| serde_json::from_str::<Value>(data).ok()).map(|event| {
            let text = match self.path {
                "/relay/v1/messages" => &event["delta"]["text"],
                "/relay/v1/responses" if event["type"] == "response.output_text.delta" => {
                    &event["delta"]
                }
                "/relay/v1/responses" => &Value::Null,
                _ => &event["choices"][0]["delta"]["content"],
            };
            text.as_str().unwrap_or_default().to_owned()
        });
        texts.collect()
    }
}

/// The stream of a server, with the texts as they are written in JSON.
fn stream(dialect: Dialect) -> String {
    let mut stream = String::new();
    match dialect {
        Dialect::Anthropic => {
            stream += "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\"}}\n\n";
            stream += "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
            for text in TEXTS {
                stream += &format!(
                    "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
                );
            }
            stream += "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
            stream += "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
            stream += "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        }
        Dialect::Ollama => {
            for text in TEXTS {
                stream += &format!(
                    "{{\"model\":\"m\",\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"done\":false}}\n"
                );
            }
            stream += "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";
        }
        _ => {
            for text in TEXTS {
                stream += &format!(
                    "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
                );
            }
            stream +=
                "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
            stream += "data: [DONE]\n\n";
        }
    }
    stream
}

fn said() -> String {
    let texts = TEXTS.concat();
    serde_json::from_str(&format!("\"{texts}\"")).expect("a text")
}

fn begun(answer: Answer, dialect: Dialect) -> Answer {
    answer.field("Content-Type", dialect.stream_type()).field("Transfer-Encoding", "chunked").head()
}

/// A server's stream in chunks of `size` bytes, up to `cut` bytes of it.
fn chunks(stream: &str, size: usize, cut: usize) -> Vec<u8> {
    let mut framed = Vec::new();
    for piece in stream.as_bytes()[..cut].chunks(size) {
        framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
    }
    framed
}

fn translating(simulation: Simulation, dialect: Dialect) -> Simulation {
    simulation.configure(|snapshot| {
        for upstream in &mut snapshot.upstreams {
            upstream.translate_to =
                Some(TranslateTo { dialect, path: None, tensors: Default::default() });
            let on = upstream.retry.on.iter().chain([Condition::Status(503)]);
            upstream.retry.on = Conditions::new(on.collect());
            (upstream.retry.attempts, upstream.retry.budget) = (4, 100);
        }
        for route in &mut snapshot.routes {
            if let Target::Chain(chain) = &mut route.target {
                chain.translates = true;
            }
        }
    })
}

#[test]
fn whatever_the_network_does_a_translated_text_has_no_gap_and_no_overlap() {
    let pairs = [
        (CHAT, Dialect::Anthropic),
        (CHAT, Dialect::Ollama),
        (MESSAGES, Dialect::OpenAiChat),
        (MESSAGES, Dialect::Ollama),
        (RESPONSES, Dialect::OpenAiChat),
        (RESPONSES, Dialect::Anthropic),
    ];
    let all = said();
    for (client, dialect) in pairs {
        let stream = stream(dialect);
        let (mut whole, mut cut) = (0, 0);
        for round in 0..60_u64 {
            let (size, at) =
                (1 + (round as usize * 37) % 300, (round as usize * 131) % (stream.len() * 2));
            let mut world = translating(Simulation::new(seed!() + round), dialect)
                // One that is busy is asked no more, and nothing of it is told.
                .upstream(|u| u.status("503 Service Unavailable").body(b"{\"error\":\"busy\"}"))
                .upstream(|u| {
                    let answer =
                        begun(u, dialect).raw(&chunks(&stream, size, at.min(stream.len())));
                    match at < stream.len() {
                        true => answer.pause(Duration::from_micros(round)).close(),
                        false => answer.end_chunks(),
                    }
                })
                // Who gave nothing away is tried elsewhere.
                .upstream(|u| begun(u, dialect).chunk(&stream).end_chunks())
                .faults(|faults| {
                    (faults.short_read, faults.read_would_block) = (300, 200);
                    (faults.short_write, faults.write_would_block) = (300, 200);
                    (faults.arrival_in_call, faults.spurious_event) = (200, 100);
                    faults.split = 500;
                });
            let answer = world.client().post(client.path, client.request).finish();
            let body = answer.body();
            let text = client.text(&body);
            assert!(all.starts_with(&text), "round {round}: {text:?} in {body}");
            if answer.is_whole() {
                assert!(text == all && body.contains(client.end), "round {round}: {body}");
                whole += 1;
            } else {
                assert!(!body.contains(client.end) || text == all, "round {round}: {body}");
                cut += 1;
            }
            world.assert_clean();
        }
        assert!(whole > 10 && cut > 10, "{}: {whole} whole, {cut} cut", client.path);
    }
}
