//! The sentences that tell of a refusal, found in a text that comes in any pieces.

use std::collections::VecDeque;
use std::sync::LazyLock;

use super::Refusal;

/// In lower case.
const CONTEXT_LENGTH: &[&str] = &[
    // Codes: OpenAI and those who follow it; llama.cpp.
    "context_length_exceeded",
    "exceed_context_size_error",
    // OpenAI, vLLM.
    "maximum context length",
    // OpenAI's Responses.
    "input tokens exceed the configured limit",
    // vLLM.
    "longer than the maximum model length",
    "is too long to fit into the model",
    // llama.cpp before it had a code.
    "exceeds the available context size",
    // llama-cpp-python.
    "exceed context window",
    // SGLang.
    "longer than the model's context length",
    "exceeds the maximum allowed length",
    // Anthropic.
    "prompt is too long",
    "exceed context limit",
    // TGI.
    "`inputs` tokens + `max_new_tokens` must be <=",
    "`inputs` must have less than",
    // Gemini.
    "exceeds the maximum number of tokens allowed",
    // Bedrock.
    "input is too long for",
];
const CONTENT_POLICY: &[&str] = &[
    // Codes: Azure outside and inside, OpenAI.
    "\"content_filter\"",
    "responsibleaipolicyviolation",
    "content_policy_violation",
    // Azure.
    "content management policy",
    // OpenAI.
    "as a result of our safety system",
    // Anthropic.
    "blocked by content filtering policy",
];

/// All the sentences.
pub static SENTENCES: LazyLock<Sentences> = LazyLock::new(Sentences::new);

/// Finds sentences without regard to case. Where a text stands among them is one number, so whoever
/// reads it needs no room for its words (Aho and Corasick's automaton).
#[derive(Debug)]
pub struct Sentences {
    /// The first is the beginning of all sentences.
    nodes: Vec<Node>,
}

/// The beginning of one sentence or more.
#[derive(Debug)]
struct Node {
    /// The beginnings that are longer by one byte.
    longer: Vec<(u8, u32)>,
    /// The longest other beginning that this one ends with.
    other: u32,
    /// The sentence that ends here.
    says: Refusal,
}

impl Node {
    const EMPTY: Node = Node { longer: Vec::new(), other: 0, says: Refusal::Other };

    fn longer_by(&self, byte: u8) -> Option<u32> {
        self.longer.iter().find(|(next, _)| *next == byte).map(|(_, place)| *place)
    }
}

impl Sentences {
    fn new() -> Sentences {
        let mut sentences = Sentences { nodes: vec![Node::EMPTY] };
        let lists =
            [(CONTENT_POLICY, Refusal::ContentPolicy), (CONTEXT_LENGTH, Refusal::ContextLength)];
        for (list, says) in lists {
            list.iter().for_each(|sentence| sentences.add(sentence, says));
        }
        sentences.link();
        sentences
    }

    fn add(&mut self, sentence: &str, says: Refusal) {
        let mut place = 0;
        for &byte in sentence.as_bytes() {
            place = match self.nodes[place].longer_by(byte) {
                Some(longer) => longer as usize,
                None => {
                    let new = self.nodes.len();
                    self.nodes.push(Node::EMPTY);
                    self.nodes[place].longer.push((byte, new as u32));
                    new
                }
            };
        }
        self.nodes[place].says = says;
    }

    /// Links each beginning with the longest other one that it ends with, the short ones first.
    fn link(&mut self) {
        let mut places = VecDeque::from([0]);
        while let Some(place) = places.pop_front() {
            for (byte, longer) in self.nodes[place].longer.clone() {
                let other = match place {
                    0 => 0,
                    _ => self.step(self.nodes[place].other, byte),
                };
                let says = self.nodes[other as usize].says;
                let node = &mut self.nodes[longer as usize];
                (node.other, node.says) = (other, node.says.max(says));
                places.push_back(longer as usize);
            }
        }
    }

    /// From one place to the next.
    fn step(&self, mut place: u32, byte: u8) -> u32 {
        loop {
            let node = &self.nodes[place as usize];
            match node.longer_by(byte) {
                Some(longer) => return longer,
                None if place == 0 => return 0,
                None => place = node.other,
            }
        }
    }

    /// What a sentence says that ends in this piece of a text. `place` is 0 before the first piece, and
    /// is kept for the next.
    pub fn find(&self, place: &mut u32, piece: &[u8]) -> Refusal {
        let mut says = Refusal::Other;
        for byte in piece {
            *place = self.step(*place, byte.to_ascii_lowercase());
            says = says.max(self.nodes[*place as usize].says);
        }
        says
    }
}
