//! Files that load is made of: prompts of one's own, and traces of what others have sent.
//!
//! | file | a line, or an entry |
//! |---|---|
//! | JSONL of prompts | `{"prompt":"…","output_len":128}`, or with `messages` |
//! | ShareGPT | one array: `[{"conversations":[{"from":"human","value":"…"},{"from":"gpt","value":"…"}]}]` |
//! | Mooncake | `{"timestamp":27482,"input_length":6955,"output_length":52,"hash_ids":[46,47]}`, milliseconds |
//! | Azure | CSV: `TIMESTAMP,ContextTokens,GeneratedTokens` |
//!
//! A line that cannot be read is told with its number, and nothing of the file is used.

use std::time::Duration;

use serde_json::Value;

use super::words;
use crate::http::timestamp;

/// A prompt as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    Text(String),
    /// The `messages` of a chat.
    Messages(Value),
}

/// One entry of a file of prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub prompt: Prompt,
    /// How long the answer is to be; `None`: as long as the others'.
    pub output: Option<u32>,
}

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Since the first one.
    pub at: Duration,
    pub input: u32,
    pub output: u32,
    /// Names of the blocks of 512 tokens that the prompt begins with: who has the same has the same
    /// beginning.
    pub blocks: Vec<u64>,
}

/// What is wrong with a file, and in which line.
fn wrong(line: usize, why: &str) -> String {
    format!("line {}: {why}", line + 1)
}

/// Lines that say something, with their numbers from 0.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
}

fn length(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// Reads prompts, in any of the two forms.
pub fn prompts(text: &str) -> Result<Vec<Sample>, String> {
    let samples = match text.trim_start_matches('\u{feff}').trim_start().starts_with('[') {
        true => array(text.trim_start_matches('\u{feff}')),
        false => lines(text)
            .map(|(number, line)| {
                let value: Value =
                    serde_json::from_str(line).map_err(|_| wrong(number, "no JSON"))?;
                sample(&value).ok_or_else(|| {
                    wrong(
                        number,
                        "an object with `prompt`, `messages` or `conversations` is wanted",
                    )
                })
            })
            .collect(),
    }?;
    if samples.is_empty() { Err("no prompt is in it".to_owned()) } else { Ok(samples) }
}

/// ShareGPT has conversations that nobody has begun, or that have no answer: they are left out, as
/// other tools leave them out.
fn array(text: &str) -> Result<Vec<Sample>, String> {
    let entries: Vec<Value> =
        serde_json::from_str(text).map_err(|why| format!("no array of JSON: {why}"))?;
    Ok(entries.iter().filter_map(sample).collect())
}

fn sample(entry: &Value) -> Option<Sample> {
    const OUTPUT: [&str; 5] =
        ["output_len", "output_length", "output_tokens", "output_tokens_count", "max_tokens"];
    let told = OUTPUT.iter().find_map(|name| entry.get(name).and_then(length));
    let output = told.filter(|length| *length > 0);
    if let Some(turns) = entry.get("conversations").and_then(Value::as_array) {
        let said = |who: &[&str]| {
            let is = |turn: &&Value| {
                let from = turn.get("from").and_then(Value::as_str);
                from.is_some_and(|from| who.contains(&from))
            };
            turns.iter().find(is)?.get("value")?.as_str().filter(|text| !text.is_empty())
        };
        let (asked, answered) = (said(&["human", "user"])?, said(&["gpt", "assistant"])?);
        let output = output.or(Some(words::estimated(answered)));
        return Some(Sample { prompt: Prompt::Text(asked.to_owned()), output });
    }
    if let Some(messages) = entry.get("messages").filter(|messages| messages.is_array()) {
        return Some(Sample { prompt: Prompt::Messages(messages.clone()), output });
    }
    let text =
        ["prompt", "text_input", "text"].iter().find_map(|name| entry.get(name)?.as_str())?;
    Some(Sample { prompt: Prompt::Text(text.to_owned()), output })
}

/// Reads a trace, in any of the two forms. Instants are those since the first request.
pub fn trace(text: &str) -> Result<Vec<Recorded>, String> {
    let json = lines(text).next().is_some_and(|(_, line)| line.trim_start().starts_with('{'));
    let mut rows = if json { mooncake(text)? } else { azure(text)? };
    rows.sort_by_key(|row| row.at);
    let first = rows.first().map(|row| row.at).ok_or("no request is in it")?;
    rows.iter_mut().for_each(|row| row.at -= first);
    Ok(rows)
}

fn mooncake(text: &str) -> Result<Vec<Recorded>, String> {
    let row = |(number, line): (usize, &str)| {
        let value: Value = serde_json::from_str(line).map_err(|_| wrong(number, "no JSON"))?;
        let of = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| value.get(name));
            found.ok_or_else(|| wrong(number, &format!("`{}` is missing", names[0])))
        };
        let at = of(["timestamp", "created_time"])?.as_f64().unwrap_or(-1.0);
        let at = Duration::try_from_secs_f64(at / 1_000.0)
            .map_err(|_| wrong(number, "`timestamp` is no number of milliseconds"))?;
        let count = |names: [&str; 2]| {
            let why = || wrong(number, &format!("`{}` is no number of tokens", names[0]));
            length(of(names)?).ok_or_else(why)
        };
        let blocks = value.get("hash_ids").and_then(Value::as_array);
        Ok(Recorded {
            at,
            input: count(["input_length", "input_tokens"])?.max(1),
            output: count(["output_length", "output_tokens"])?.max(1),
            blocks: blocks.into_iter().flatten().filter_map(Value::as_u64).collect(),
        })
    };
    lines(text).map(row).collect()
}

fn azure(text: &str) -> Result<Vec<Recorded>, String> {
    let mut all = lines(text);
    let (_, head) = all.next().ok_or("no request is in it")?;
    let names: Vec<String> = head.split(',').map(|name| name.trim().to_lowercase()).collect();
    let column = |name: &str| {
        let found = names.iter().position(|column| column == name);
        found.ok_or_else(|| {
            format!(
                "neither lines of JSON with `timestamp`, nor a CSV with the columns TIMESTAMP, \
                 ContextTokens and GeneratedTokens (`{name}` is missing)"
            )
        })
    };
    let columns = [column("timestamp")?, column("contexttokens")?, column("generatedtokens")?];
    let row = |(number, line): (usize, &str)| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let [at, input, output] = columns.map(|column| cells.get(column).copied().unwrap_or(""));
        let count = |text: &str| {
            text.parse::<u32>()
                .map_err(|_| wrong(number, &format!("`{text}` is no number of tokens")))
        };
        let at = moment(at).ok_or_else(|| wrong(number, &format!("`{at}` is no moment")))?;
        Ok(Recorded {
            at,
            input: count(input)?.max(1),
            output: count(output)?.max(1),
            blocks: Vec::new(),
        })
    };
    all.map(row).collect()
}

/// `2023-11-16 18:17:03.9799600`, or seconds as a number.
fn moment(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let text = text.trim_end_matches('Z').trim_end_matches("+00:00");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds = timestamp::read(&format!("{whole}Z"))?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    Some(Duration::from_secs(seconds) + Duration::try_from_secs_f64(fraction).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(prompt: &str, output: Option<u32>) -> Sample {
        Sample { prompt: Prompt::Text(prompt.to_owned()), output }
    }

    #[test]
    fn prompts_are_read_line_by_line() {
        let file = "\u{feff}{\"prompt\":\"a\",\"output_len\":7}\n\n{\"text_input\":\"b\"}\n\
                    {\"messages\":[{\"role\":\"user\",\"content\":\"c\"}],\"max_tokens\":3}\n";
        let messages = serde_json::json!([{"role": "user", "content": "c"}]);
        let chat = Sample { prompt: Prompt::Messages(messages), output: Some(3) };
        assert_eq!(prompts(file), Ok(vec![text("a", Some(7)), text("b", None), chat]));
    }

    #[test]
    fn conversations_give_their_first_question_and_the_length_of_its_answer() {
        let file = r#" [{"id":"1","conversations":[{"from":"human","value":"why?"},
            {"from":"gpt","value":"because of it"},{"from":"human","value":"no"}]},
            {"id":"2","conversations":[{"from":"gpt","value":"nobody asked"}]}]"#;
        assert_eq!(prompts(file), Ok(vec![text("why?", Some(4))]));
    }

    #[test]
    fn traces_begin_with_their_first_request() {
        let mooncake = "{\"timestamp\":1500,\"input_length\":600,\"output_length\":5,\"hash_ids\":[1,2]}\n\
                        {\"timestamp\":1000,\"input_tokens\":9,\"output_tokens\":0}\n";
        let row = |millis, input, output, blocks: &[u64]| Recorded {
            at: Duration::from_millis(millis),
            input,
            output,
            blocks: blocks.to_vec(),
        };
        assert_eq!(trace(mooncake), Ok(vec![row(0, 9, 1, &[]), row(500, 600, 5, &[1, 2])]));
        let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                     2023-11-16 18:17:03.9800000,4808,10\n2023-11-16 18:17:04.2300000,3180,8\n";
        assert_eq!(trace(azure), Ok(vec![row(0, 4808, 10, &[]), row(250, 3180, 8, &[])]));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_told() {
        for (read, part) in [
            (prompts("{\"prompt\":\"a\"}\n{").err(), "line 2: no JSON"),
            (prompts("{\"question\":\"a\"}").err(), "line 1: an object with `prompt`"),
            (prompts("").err(), "no prompt"),
            (prompts("[1,").err(), "no array"),
            (prompts("[]").err(), "no prompt"),
            (trace("").err(), "no request"),
            (trace("a,b\n1,2").err(), "TIMESTAMP"),
            (trace("{\"timestamp\":1}").err(), "line 1: `input_length` is missing"),
            (
                trace("{\"timestamp\":-5,\"input_length\":1,\"output_length\":1}").err(),
                "milliseconds",
            ),
            (trace("TIMESTAMP,ContextTokens,GeneratedTokens\nnow,1,2").err(), "line 2: `now`"),
            (trace("TIMESTAMP,ContextTokens,GeneratedTokens\n1.5,x,2").err(), "line 2: `x`"),
        ] {
            assert!(read.as_ref().is_some_and(|why| why.contains(part)), "{part}: {read:?}");
        }
    }
}
