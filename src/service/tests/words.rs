use crate::http::tests::every_cut;
use crate::service::model::{AnswerText, MODEL_BYTES_MAX};

fn name(body: &str) -> Option<String> {
    let read = |pieces: &[&[u8]]| {
        let mut model = AnswerText::model();
        pieces.iter().for_each(|piece| model.feed(piece));
        model.name().map(str::to_owned)
    };
    let whole = read(&[body.as_bytes()]);
    for pieces in every_cut(body.as_bytes()) {
        assert_eq!(read(&pieces), whole, "{body}");
    }
    whole
}

#[test]
fn the_model_that_answered_is_named() {
    for (body, expected) in [
        ("data: {\"id\":\"1\",\"model\":\"m-1\",\"choices\":[]}\n\ndata: {\"model\":\"x\"}", "m-1"),
        (": ping\n\nevent: a\ndata: {\"message\":{\"model\":\"claude\"}}\n\n", "claude"),
        ("data: {\"type\":\"response.created\",\"response\":{\"model\":\"gpt\"}}\n\n", "gpt"),
        ("data: {\"choices\":[{\"model\":\"no\"}]}\n\ndata:{\"model\":\"late\"}\n\n", "late"),
        (": {\"model\":\"no\"}\nid: {\ndata: \"model\"\n\ndata: {\"model\":\"m\"}\n", "m"),
        ("{\n  \"choices\": [{\"a\": [1, {}]}],\n  \"model\": \"pretty\"\n}\n", "pretty"),
        ("{\"a\":1}\n{\"model\":\"second\"}\n", "second"),
        ("{\"model\":\"llama\\/3\",\"done\":false}\n", "llama/3"),
    ] {
        assert_eq!(name(body).as_deref(), Some(expected), "{body}");
    }
    for body in [
        "",
        "data: [DONE]\n\n",
        "data: {\"model\":\"\"}\n\n",
        "data: {\"model\":null}\n\n",
        "data: {\"model\":\"unfinis",
    ] {
        assert_eq!(name(body), None, "{body}");
    }
    let long = format!("data: {{\"model\":\"{}\"}}", "m".repeat(MODEL_BYTES_MAX + 1));
    assert_eq!(name(&long), None);
}
