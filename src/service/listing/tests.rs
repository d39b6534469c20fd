use serde_json::{Value, json};

use super::*;

fn ids(text: &str) -> Result<Vec<String>, NoList> {
    read(text.as_bytes()).map(|models| models.into_iter().map(|model| model.id).collect())
}

fn entry(id: &str, created: u64, owned_by: &str) -> ModelEntry {
    ModelEntry { created, owned_by: owned_by.to_owned(), ..ModelEntry::named(id) }
}

#[test]
fn the_lists_of_servers_are_read() {
    for (text, expected) in [
        // vLLM
        (
            r#"{"object":"list","data":[{"id":"meta-llama/Llama-3.1-8B","object":"model","created":1718000000,
                "owned_by":"vllm","root":"/models/x","parent":null,"max_model_len":8192,
                "permission":[{"id":"modelperm-1","object":"model_permission"}]}]}"#,
            vec![entry("meta-llama/Llama-3.1-8B", 1_718_000_000, "vllm")],
        ),
        // llama.cpp: both lists
        (
            r#"{"models":[{"name":"m.gguf","model":"m.gguf","modified_at":"","size":"","digest":""}],
                "object":"list","data":[{"id":"m.gguf","created":1735142223,"owned_by":"llamacpp",
                "meta":{"n_vocab":128256}}]}"#,
            vec![entry("m.gguf", 1_735_142_223, "llamacpp")],
        ),
        // Ollama
        (
            r#"{"models":[{"name":"deepseek-r1:latest","model":"deepseek-r1:latest",
                "modified_at":"2025-05-10T08:06:48.639712648-07:00","size":4683075271,
                "digest":"0a8c266910232fd3291e71e5ba1e058cc5af9d411192cf88b6d30e92b6e73163",
                "details":{"parent_model":"","format":"gguf","family":"qwen2","families":["qwen2"],
                "parameter_size":"7.6B","quantization_level":"Q4_K_M"}}]}"#,
            vec![ModelEntry {
                created: 1_746_889_608,
                file: Some(ModelFile {
                    size: 4_683_075_271,
                    digest: "0a8c266910232fd3291e71e5ba1e058cc5af9d411192cf88b6d30e92b6e73163".into(),
                    details: r#"{"parent_model":"","format":"gguf","family":"qwen2","families":["qwen2"],"parameter_size":"7.6B","quantization_level":"Q4_K_M"}"#.into(),
                }),
                ..ModelEntry::named("deepseek-r1:latest")
            }],
        ),
        // Anthropic
        (
            r#"{"data":[{"type":"model","id":"claude-sonnet-4-20250514","display_name":"Claude Sonnet 4",
                "created_at":"2025-02-19T00:00:00Z"}],"has_more":false,"first_id":"a","last_id":"a"}"#,
            vec![ModelEntry {
                created: 1_739_923_200,
                display_name: Some("Claude Sonnet 4".into()),
                ..ModelEntry::named("claude-sonnet-4-20250514")
            }],
        ),
        (r#" {"data" : [ ] } "#, vec![]),
        (r#"{"models":null}"#, vec![]),
        (r#"{"data":[{"id":"a","created":1.5e9,"owned_by":null}]}"#, vec![entry("a", 1, "")]),
    ] {
        assert_eq!(read(text.as_bytes()), Ok(expected), "{text}");
    }
}

#[test]
fn a_hostile_answer_is_no_list_or_a_shorter_one() {
    let nested = |depth: usize| format!("{{\"data\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let many = format!("{{\"data\":[{}{{\"id\":\"z\"}}]}}", "{\"id\":\"a\"},".repeat(100_000));
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for (text, expected) in [
        ("", Err(NoList::Shape)),
        ("null", Err(NoList::Shape)),
        ("Not Found", Err(NoList::Shape)),
        ("<html><body>data: []</body></html>", Err(NoList::Shape)),
        ("{", Err(NoList::Shape)),
        ("{\"data\":", Err(NoList::Shape)),
        ("{\"data\":[}", Err(NoList::Shape)),
        ("{\"data\":[{\"id\":\"a\"}", Err(NoList::Shape)),
        ("{\"data\":\"a\"}", Err(NoList::Shape)),
        ("{\"data\":{\"id\":\"a\"}}", Err(NoList::Shape)),
        ("{\"error\":{\"message\":\"no\"}}", Err(NoList::Shape)),
        ("[{\"id\":\"a\"}]", Err(NoList::Shape)),
        ("{\"data\":[1,true,null,\"a\",[]]}", Err(NoList::Names)),
        ("{\"data\":[{\"id\":1},{\"id\":null},{\"id\":[\"a\"]},{\"id\":{}}]}", Err(NoList::Names)),
        ("{\"data\":[{\"id\":\"\"},{\"id\":\"good\"}]}", Ok(vec!["good"])),
        (
            "{\"data\":[{\"id\":\"a\\nb\"},{\"id\":\"\\u001b[2J\"},{\"id\":\"\\u0000\"}]}",
            Err(NoList::Names),
        ),
        ("{\"data\":[{\"id\":\"half \\ud800\"},{\"id\":\"\\x\"},{\"id\":\"b\"}]}", Ok(vec!["b"])),
        (
            "{\"data\":[{\"id\":\"\\\"},{\\\"\"},{\"id\":\"caf\\u00e9\"}]}",
            Ok(vec!["\"},{\"", "café"]),
        ),
        (&format!("{{\"data\":[{{\"id\":\"{long}\"}},{{\"id\":\"short\"}}]}}"), Ok(vec!["short"])),
        (&nested(400_000), Err(NoList::Names)),
        // A first of two keys counts, as it does elsewhere.
        ("{\"data\":[{\"id\":\"a\",\"id\":\"b\"}],\"data\":[]}", Ok(vec!["a"])),
    ] {
        let expected = expected.map(|ids| ids.into_iter().map(str::to_owned).collect());
        assert_eq!(ids(text), expected, "{:.80}", text);
    }
    assert_eq!(ids(&many).map(|ids| ids.len()), Ok(MODELS_MAX));
    assert_eq!(read(b"{\"data\":[{\"id\":\"\xff\xfe\"}]}"), Err(NoList::Names));
}

#[test]
fn details_that_are_no_json_are_left_out() {
    for details in ["{\"a\":01}", "{\"a\":x}", "\"text\"", "[]", "{\"a\":\"\u{1}\"}"] {
        let text =
            format!("{{\"models\":[{{\"name\":\"a\",\"digest\":\"d\",\"details\":{details}}}]}}");
        assert_eq!(read(text.as_bytes()), Ok(vec![ModelEntry::named("a")]), "{details}");
    }
}

#[test]
fn any_cut_of_an_answer_is_no_list_and_hurts_nobody() {
    let text = br#"{"data":[{"id":"a","created":1,"owned_by":"x"},{"id":"b\u00e9"}]}"#;
    assert_eq!(read(text).map(|models| models.len()), Ok(2));
    for length in 0..text.len() {
        assert_eq!(read(&text[..length]), Err(NoList::Shape), "{length}");
    }
}

#[test]
fn lists_are_written_in_each_form() {
    let plain = entry("a\"b\\c", 1_739_923_200, "vllm");
    let shown = ModelEntry { display_name: Some("The B".into()), ..ModelEntry::named("b") };
    let models = [plain, shown].map(|model| WrittenModel::new(&model));
    let json = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    assert_eq!(
        json(openai_list(&models)),
        json!({ "object": "list", "data": [
            { "id": "a\"b\\c", "object": "model", "created": 1_739_923_200, "owned_by": "vllm" },
            { "id": "b", "object": "model", "created": 0, "owned_by": "" },
        ]})
    );
    assert_eq!(
        json(anthropic_page(&models, true)),
        json!({ "data": [
            { "type": "model", "id": "a\"b\\c", "display_name": "a\"b\\c", "created_at": "2025-02-19T00:00:00Z" },
            { "type": "model", "id": "b", "display_name": "The B", "created_at": "1970-01-01T00:00:00Z" },
        ], "has_more": true, "first_id": "a\"b\\c", "last_id": "b" })
    );
    assert_eq!(
        json(anthropic_page(&[], false)),
        json!({ "data": [], "has_more": false, "first_id": null, "last_id": null })
    );
    let details = json!({ "parent_model": "", "format": "", "family": "", "families": null,
                          "parameter_size": "", "quantization_level": "" });
    let ollama = json(ollama_list(&models));
    assert_eq!(ollama["models"][0]["name"], "a\"b\\c");
    assert_eq!(ollama["models"][0]["digest"].as_str().map(str::len), Some(64));
    assert_eq!(
        ollama["models"][1],
        json!({ "name": "b", "model": "b", "modified_at": "1970-01-01T00:00:00Z", "size": 0,
                "digest": "0".repeat(64), "details": details })
    );
    // What was read comes out as it went in.
    let text = r#"{"models":[{"name":"m","model":"m","modified_at":"2025-02-19T00:00:00Z","size":7,"digest":"0a8c266910232fd3","details":{"family":"qwen2"}}]}"#;
    let read = read(text.as_bytes()).expect("a list");
    let written: Vec<_> = read.iter().map(WrittenModel::new).collect();
    assert_eq!(ollama_list(&written), text);
}
