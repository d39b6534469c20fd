use crate::http::tests::every_cut;
use crate::service::refusal::{Blame, CODES, Refusal, refusal};
use crate::service::{Dialect, Observer};

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

/// Whose fault the error of an answer is, by any cut of it.
fn blamed(observer: impl Fn() -> Observer, answer: &str) -> Option<Blame> {
    let seen = |pieces: &[&[u8]]| {
        let mut observer = observer();
        pieces.iter().for_each(|piece| observer.feed(piece));
        observer.end();
        observer.error()
    };
    let whole = seen(&[answer.as_bytes()]);
    for pieces in every_cut(answer.as_bytes()) {
        assert_eq!(seen(&pieces), whole, "{answer}");
    }
    whole
}

/// The same words are judged alike wherever they stand: in a document, and as an event of a stream.
#[test]
fn an_error_is_judged_alike_in_a_document_and_in_a_stream() {
    use Dialect::*;
    for (dialect, error, expected) in [
        (Ollama, r#"{"error":"the request exceeds the available context size"}"#, Blame::TooLong),
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"api_error","message":"Output blocked by content filtering policy"}}"#,
            Blame::Client,
        ),
        (
            OpenAiChat,
            r#"{"error":{"message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            Blame::Client,
        ),
        (
            OpenAiChat,
            r#"{"error":{"message":"x","a":[{"b":{"c":{"d":{"e":"PROMPT is too long}"}}}}]}}"#,
            Blame::TooLong,
        ),
        (
            OpenAiChat,
            r#"{"message":"This model's maximum context length is 10 tokens","object":"error"}"#,
            Blame::TooLong,
        ),
        (OpenAiChat, r#"{"error":{"message":"{a} prompt is prompt is too long"}}"#, Blame::TooLong),
        (OpenAiChat, r#"{"error":{"code":"400","message":"bad"}}"#, Blame::Client),
        (OpenAiChat, r#"{"error":{"code":"429","message":"slowly"}}"#, Blame::Limit),
        (OpenAiChat, r#"{"error":{"code":"500","message":"m"}}"#, Blame::Server),
        (OpenAiChat, r#"{"error":{"code":408,"message":"m"}}"#, Blame::Server),
        (OpenAiChat, r#"{"error":{"code":501,"message":"m"}}"#, Blame::Client),
        (
            OpenAiChat,
            r#"{"error":{"type":"invalid_request_error","code":"invalid_api_key"}}"#,
            Blame::Credentials,
        ),
        (
            OpenAiChat,
            r#"{"error":{"message":"m","input":"prompt is too long","code":500}}"#,
            Blame::Server,
        ),
        (
            OpenAiChat,
            r#"{"error":{"message":"m"},"prompt":"prompt is too long","x":{"message":"prompt is too long"}}"#,
            Blame::Server,
        ),
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"authentication_error"}}"#,
            Blame::Credentials,
        ),
        (Anthropic, r#"{"type":"error","error":{"type":"permission_error"}}"#, Blame::Credentials),
        (Anthropic, r#"{"type":"error","error":{"type":"not_found_error"}}"#, Blame::Client),
        (Anthropic, r#"{"type":"error","error":{"type":"request_too_large"}}"#, Blame::Client),
        (Anthropic, r#"{"type":"error","error":{"type":"rate_limit_error"}}"#, Blame::Limit),
        (Anthropic, r#"{"type":"error","error":{"type":"overloaded_error"}}"#, Blame::Server),
        (
            Tgi,
            r#"{"error":"`inputs` must have less than 9 tokens","error_type":"validation"}"#,
            Blame::TooLong,
        ),
        (Tgi, r#"{"error":"m","error_type":"generation"}"#, Blame::Server),
    ] {
        let stream = match dialect {
            Ollama => format!("{error}\n"),
            _ => format!("data: {error}\n\n"),
        };
        let of_stream = blamed(|| Observer::of_stream(dialect), &stream);
        let of_document = blamed(|| Observer::of_answer(dialect, true), error);
        assert_eq!((of_stream, of_document), (Some(expected), Some(expected)), "{error}");
    }
}

#[test]
fn of_a_stream_the_error_is_read_and_nothing_beside_it() {
    use Dialect::*;
    let created = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":\
                   {\"instructions\":\"say context_length_exceeded on error\"}}\n\n";
    let failed = |code: &str| {
        format!(
            "event: response.failed\ndata: {{\"type\":\"response.failed\",\"response\":{{\"error\":\
             {{\"code\":\"{code}\",\"message\":\"m\"}},\"instructions\":\"say \\\"error\\\": \
             context_length_exceeded\"}}}}\n\n"
        )
    };
    let long = failed("context_length_exceeded");
    for (dialect, held, expected) in [
        (OpenAiResponses, format!("{created}{}", failed("server_error")), Some(Blame::Server)),
        (OpenAiResponses, format!("{created}{long}"), Some(Blame::TooLong)),
        (OpenAiResponses, format!("{long}data: [DONE]\n\n"), Some(Blame::TooLong)),
        (OpenAiResponses, long.replace('\n', "\r\n"), Some(Blame::TooLong)),
        (OpenAiResponses, failed("content_filter"), Some(Blame::Client)),
        // The first error counts.
        (OpenAiResponses, failed("server_error") + &long, Some(Blame::Server)),
        (
            OpenAiChat,
            "event: error\ndata: {\"message\":\"maximum context length\"}\n\n".to_owned(),
            Some(Blame::TooLong),
        ),
        (
            OpenAiChat,
            "error: {\"message\":\"exceeds the available context size\"}\n\n".to_owned(),
            Some(Blame::TooLong),
        ),
        (
            Ollama,
            "{\"message\":{},\"done\":false}\n{\"error\":\"prompt is too long\"}\n".to_owned(),
            Some(Blame::TooLong),
        ),
        (OpenAiChat, String::new(), None),
    ] {
        assert_eq!(blamed(|| Observer::of_stream(dialect), &held), expected, "{held}");
    }
}

#[test]
fn names_of_errors_are_in_order() {
    assert!(CODES.is_sorted());
    for (number, blame) in
        [Blame::Server, Blame::Client, Blame::Limit, Blame::Credentials, Blame::TooLong]
            .into_iter()
            .enumerate()
    {
        assert_eq!((blame as usize, Blame::of_number(number as u8)), (number, blame));
    }
}
