use crate::service::refusal::{Refusal, refusal, refusal_of_stream};

#[test]
fn refusals_of_real_servers_are_told_apart() {
    use Refusal::*;
    for (body, expected) in [
        // OpenAI.
        (
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            ContextLength,
        ),
        // vLLM.
        (
            r#"{"object":"error","message":"This model's maximum context length is 131072 tokens. However, you requested 156632 tokens","type":"BadRequestError","param":null,"code":400}"#,
            ContextLength,
        ),
        (
            r#"{"error":{"message":"The decoder prompt (length 9001) is longer than the maximum model length of 4096."}}"#,
            ContextLength,
        ),
        // SGLang.
        (
            r#"{"object":"error","message":"The input (61709 tokens) is longer than the model's context length (40960 tokens).","type":"BadRequestError","param":null,"code":400}"#,
            ContextLength,
        ),
        // llama.cpp, with a code and before.
        (
            r#"{"error":{"code":400,"message":"too much","type":"exceed_context_size_error","n_prompt_tokens":14429,"n_ctx":8192}}"#,
            ContextLength,
        ),
        (
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"invalid_request_error"}}"#,
            ContextLength,
        ),
        // Anthropic.
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            ContextLength,
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: 21333 > 4096, which is the maximum allowed number of output tokens"}}"#,
            Other,
        ),
        // TGI.
        (
            r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1244 `inputs` tokens and 1000 `max_new_tokens`","error_type":"validation"}"#,
            ContextLength,
        ),
        (
            r#"{"error":"Input validation error: `inputs` must have less than 1024 tokens. Given: 1872","error_type":"validation"}"#,
            ContextLength,
        ),
        (
            r#"{"error":"Input validation error: `temperature` must be strictly positive","error_type":"validation"}"#,
            Other,
        ),
        // Azure.
        (
            r#"{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ContentPolicy,
        ),
        (
            r#"{"error":{"code":"400","provider_specific_fields":{"innererror":{"code":"ResponsibleAIPolicyViolation"}}}}"#,
            ContentPolicy,
        ),
        // OpenAI.
        (
            r#"{"error":{"message":"Your request was rejected as a result of our safety system.","code":"content_policy_violation"}}"#,
            ContentPolicy,
        ),
        // FastAPI, with the client's own words.
        (
            r#"{"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required","input":{"prompt":"what is a maximum context length?"}}]}"#,
            Other,
        ),
        (r#"{"error":{"message":"No such model.","code":"model_not_found"}}"#, Other),
        ("", Other),
        ("<html>413 Request Entity Too Large</html>", Other),
    ] {
        assert_eq!(refusal(400, body.as_bytes()), expected, "{body}");
        assert_eq!(refusal(422, body.as_bytes()), expected, "{body}");
        assert_eq!(refusal(500, body.as_bytes()), Other);
        assert_eq!(refusal(200, body.as_bytes()), Other);
    }
}

#[test]
fn only_the_beginning_of_a_body_is_read() {
    let body = [vec![b' '; crate::service::refusal::BYTES_MAX], b"prompt is too long".to_vec()];
    assert_eq!(refusal(400, &body.concat()), Refusal::Other);
    assert_eq!(refusal(400, &body[1]), Refusal::ContextLength);
}

#[test]
fn of_a_stream_the_error_is_read_and_nothing_beside_it() {
    use Refusal::*;
    let created = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":\
                   {\"instructions\":\"say context_length_exceeded on error\"}}\n\n";
    let failed = |code: &str| {
        format!(
            "event: response.failed\ndata: {{\"type\":\"response.failed\",\"response\":{{\"error\":\
             {{\"code\":\"{code}\",\"message\":\"m\"}},\"instructions\":\"say \\\"error\\\": \
             context_length_exceeded\"}}}}\n\n"
        )
    };
    for (held, expected) in [
        (format!("{created}{}", failed("server_error")), Other),
        (format!("{created}{}", failed("context_length_exceeded")), ContextLength),
        (failed("context_length_exceeded") + "data: [DONE]\n\n", ContextLength),
        (failed("context_length_exceeded").replace('\n', "\r\n"), ContextLength),
        // Objects inside it, a brace in its sentence, a quote, and none of its own before.
        (
            "data: {\"error\":{\"metadata\":{\"a\":{}},\"message\":\"maximum context length\"}}\n\n".to_owned(),
            ContextLength,
        ),
        (
            "data: {\"error\":{\"message\":\"{x} \\\"}\\\" by content management policy\"}}\n\n".to_owned(),
            ContentPolicy,
        ),
        (
            "data: {\"error\":null,\"response\":{\"error\":{\"code\":\"content_policy_violation\"}}}\n\n"
                .to_owned(),
            ContentPolicy,
        ),
        (
            "data: {\"error\" : {\"innererror\":{\"code\":\"ResponsibleAIPolicyViolation\"}},\"b\":1}\n\n"
                .to_owned(),
            ContentPolicy,
        ),
        // In front of what says that it is one.
        (
            "data: {\"message\":\"maximum context length\",\"object\":\"error\"}\n\n".to_owned(),
            ContextLength,
        ),
        ("event: error\ndata: prompt is too long\n\n".to_owned(), ContextLength),
        (
            "data: {\"error\":{\"code\":1},\"prompt\":\"maximum context length\"}\n\n".to_owned(),
            Other,
        ),
        (
            "data: {\"error\":{\"message\":\"no\",\"code\":\"content_filter\"}}\n\n".to_owned(),
            ContentPolicy,
        ),
        (
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"prompt is too long\"}}\n\n"
                .to_owned(),
            ContextLength,
        ),
        (
            "data: {\"object\":\"error\",\"message\":\"maximum context length\"}\n\n".to_owned(),
            ContextLength,
        ),
        (
            "data:{\"error\":\"`inputs` must have less than 9 tokens\",\"error_type\":\"validation\"}\n\n"
                .to_owned(),
            ContextLength,
        ),
        ("{\"message\":{},\"done\":false}\n{\"error\":\"prompt is too long\"}\n".to_owned(), ContextLength),
        (String::new(), Other),
    ] {
        assert_eq!(refusal_of_stream(held.as_bytes()), expected, "{held}");
    }
}
