//! Each refusal of a policy: the line that is added to a good file, and the sentence it is answered
//! with.

use super::*;
use crate::config::show::effective;

/// What `LEAST` is answered with when its upstream says `line` too.
fn upstream(line: &str) -> String {
    refused(&LEAST.replace("[[route]]", &format!("{line}\n[[route]]")))
}

/// What `LEAST` is answered with when its route says `line` too.
fn route(line: &str) -> String {
    refused(&format!("{LEAST}{line}\n"))
}

#[test]
fn retry() {
    for (table, expected) in [
        ("3", ": must be a table or \"off\", not a number"),
        ("\"of\"", ": must be a table or \"off\", not a string"),
        ("{ attempts = 0 }", ".attempts: must be from 1 to 10, not 0"),
        ("{ on = [] }", ".on: must name at least one; to repeat nothing, write retry = \"off\""),
        (
            "{ on = [\"conect\"] }",
            ".on[0]: there is no condition \"conect\"; did you mean \"connect\"?",
        ),
        (
            "{ on = [\"always\"] }",
            ".on[0]: there is no condition \"always\"; known are connect, reset, bad_answer, \
             ttft_timeout, error_event, empty_stream, and statuses such as \"503\"",
        ),
        (
            "{ on = [\"404\"] }",
            ".on[0]: 404 speaks of the request, which would be the same again; of the 4xx only \
             408, 425 and 429 can be repeated",
        ),
        ("{ on = [\"200\"] }", ".on[0]: 200 is no status of a failure, 500 to 599"),
        ("{ on = [\"0503\"] }", ".on[0]: 0503 is no status of a failure, 500 to 599"),
        ("{ on = [503] }", ".on[0]: must be a string, not a number"),
        ("{ on = [\"503\", \"503\"] }", ".on[1]: is in the list already"),
        (
            "{ on = [\"stale\"] }",
            ".on[0]: a pooled connection that turns out dead has a rule of its own, \
             pool.replay_stale_post, and is always replaced",
        ),
        ("{ backoff = \"2s\" }", ".backoff_max: is less than backoff"),
        ("{ backoff = \"61s\" }", ".backoff: must be from \"0us\" to \"1m\", not \"61s\""),
        ("{ budget = 101 }", ".budget: must be from 0 to 100, not 101"),
        ("{ budgets = 1 }", ".budgets: unknown key; did you mean \"budget\"?"),
    ] {
        let expected = format!("line 6: upstream[0].retry{expected}\n");
        assert_eq!(upstream(&format!("retry = {table}")), expected, "{table}");
    }
}

#[test]
fn balance() {
    for (value, expected) in [
        (
            "\"roundrobin\"",
            ": must be \"least_outstanding\" or \"round_robin\" or \"peak_ewma\", not \
             \"roundrobin\"; did you mean \"round_robin\"?",
        ),
        ("{}", ".hash: is required"),
        ("{ hash = \"header:x\" }", ".hash: must be a table, not a string"),
        ("{ hash = {} }", ".hash: needs one of header, cookie, field and prompt"),
        (
            "{ hash = { header = \"a\", cookie = \"b\" } }",
            ".hash: needs one of header, cookie, field and prompt",
        ),
        ("{ hash = { header = \"a b\" } }", ".hash.header: \"a b\" is no name of a header field"),
        ("{ hash = { cookie = \"a;b\" } }", ".hash.cookie: \"a;b\" is no name of a cookie"),
        (
            "{ hash = { field = \"a..b\" } }",
            ".hash.field: \"a..b\" is no field of a JSON body; write a name, or names with dots between \
             them, as \"metadata.user_id\"",
        ),
        (
            "{ hash = { prompt = \"1MiB\" } }",
            ".hash.prompt: must be from \"16B\" to \"16KiB\", not \"1MiB\"",
        ),
        (
            "{ hash = { prompt = \"off\" } }",
            ".hash.prompt: cannot be \"off\": this limit always holds",
        ),
    ] {
        let told = upstream(&format!("balance = {value}"));
        let first = told.lines().next().unwrap_or_default();
        assert_eq!(first, format!("line 6: upstream[0].balance{expected}"), "{value}");
    }
}

#[test]
fn breaker_and_health() {
    for (line, expected) in [
        ("breaker = true", "breaker: must be a table or \"off\", not true or false"),
        ("breaker.rate = 0", "breaker.rate: must be from 1 to 100, not 0"),
        (
            "breaker.window = \"1500ms\"",
            "breaker.window: must be whole seconds: its slots last one each",
        ),
        ("breaker.open = \"3m\"", "breaker.open_max: is less than open"),
        ("breaker.open = \"off\"", "breaker.open: cannot be \"off\": this limit always holds"),
        ("breaker.panik = 1", "breaker.panik: unknown key; did you mean \"panic\"?"),
        ("health = \"on\"", "health: must be a table or \"off\", not a string"),
        ("health.path = \"health\"", "health.path: must begin with /; did you mean \"/health\"?"),
        (
            "health.path = \"/a*\"",
            "health.path: names one path, so it has no trailing *; did you mean \"/a\"?",
        ),
        ("health.status = 99", "health.status: must be from 200 to 599, not 99"),
        (
            "health.status = \"299-200\"",
            "health.status: \"299-200\" is no status and no range of statuses from 200 to 599: \
             write 200 or \"200-299\"",
        ),
        (
            "health.timeout = \"6s\"",
            "health.timeout: is more than interval: a check would begin before the last has ended",
        ),
        ("health.healthy = 0", "health.healthy: must be from 1 to 100, not 0"),
    ] {
        assert_eq!(upstream(line), format!("line 6: upstream[0].{expected}\n"), "{line}");
    }
}

/// Of the key `sk-1`.
const DIGEST: &str = "0f2c10bf3d128c719c6bfa4ecbae94b7fceebaea6e4438fef38a90e5acc326f3";

#[test]
fn admission() {
    for (line, expected) in [
        ("max_concurrency = 0", "max_concurrency: must be from 1 to 1000000, not 0"),
        ("max_concurrency = \"none\"", "max_concurrency: must be \"unlimited\", not \"none\""),
        ("queue = 10001", "queue: must be from 0 to 10000, not 10001"),
        ("queue_timeout = \"off\"", "queue_timeout: cannot be \"off\": this limit always holds"),
        ("priority = 4", "priority: must be from 0 to 3, not 4"),
        ("priority_header = \"\"", "priority_header: \"\" is no name of a header field"),
        ("concurrency = 1", "concurrency: unknown key; did you mean \"max_concurrency\"?"),
        (
            "keys = [{ sha256 = \"abc\", priority = 0 }]",
            "keys[0].sha256: must be a SHA-256, 64 hex digits",
        ),
        ("keys = [{ sha256 = \"DIGEST\" }]", "keys[0].priority: is required"),
        (
            "keys = [{ sha256 = \"DIGEST\", priority = 4 }]",
            "keys[0].priority: must be from 0 to 3, not 4",
        ),
        (
            "keys = [{ sha256 = \"DIGEST\", priority = 0 }, { sha256 = \"DIGEST\", priority = 1 }]",
            "keys[1]: this key is in the list already",
        ),
    ] {
        let line = line.replace("DIGEST", DIGEST);
        let told = upstream(&format!("admission.{line}"));
        assert_eq!(told, format!("line 6: upstream[0].admission.{expected}\n"), "{line}");
    }
    let model = "line 6: upstream[0].model: must have 1 to 256 visible ASCII characters and no \
                 space\n";
    assert_eq!(upstream("model = \"a b\""), model);
}

#[test]
fn chain() {
    for (from, to, expected) in [
        ("\"llama\"\n", "[]\n", "line 8: route[0].upstream: must name at least one upstream"),
        (
            "\"llama\"\n",
            "[\"llama\", \"llama\"]\n",
            "line 8: route[0].upstream[1]: is in the list already",
        ),
        (
            "\"llama\"\n",
            "[\"llama\", \"lama\"]\n",
            "line 8: route[0].upstream[1]: there is no upstream named \"lama\"; did you mean \
             \"llama\"?",
        ),
        ("\"llama\"\n", "3\n", "line 8: route[0].upstream: must be a string, not a number"),
    ] {
        let text = LEAST.replace(&format!("upstream = {from}"), &format!("upstream = {to}"));
        assert_eq!(refused(&text), format!("{expected}\n"));
    }
    for (line, expected) in [
        ("larger = \"llama\"", "larger: is the first in upstream, which is asked anyway"),
        (
            "larger = \"lama\"",
            "larger: \"lama\" is not in this route's upstream list; did you mean \"llama\"?",
        ),
        (
            "commit = \"first\"",
            "commit: must be \"first_event\" or \"head\", not \"first\"; did \
                                you mean \"first_event\"?",
        ),
        ("heartbeat = \"1ms\"", "heartbeat: must be from \"1s\" to \"1h\", not \"1ms\""),
        (
            "heartbeat = { every = \"1ms\" }",
            "heartbeat.every: must be from \"1s\" to \"1h\", not \"1ms\"",
        ),
        ("heartbeat = { before_head = true }", "heartbeat.every: is required"),
        ("continue = true", "continue: must be a table or \"off\", not true or false"),
        ("continue = { attempts = 0 }", "continue.attempts: must be from 1 to 8, not 0"),
        (
            "continue = { text_bytes = \"17MiB\" }",
            "continue.text_bytes: must be from \"1KiB\" to \"16MiB\", not \"17MiB\"",
        ),
        (
            "continue = { text_byte = \"1KiB\" }",
            "continue.text_byte: unknown key; did you mean \"text_bytes\"?",
        ),
        ("heartbeat = 15", "heartbeat: 15 has no unit: a duration is a string such as \"30s\""),
    ] {
        assert_eq!(route(line), format!("line 9: route[0].{expected}\n"), "{line}");
    }
}

#[test]
fn continuing_a_stream() {
    let on = LEAST.to_owned() + "continue = {}\n";
    for (from, to, expected) in [
        (
            "[[route]]",
            "prefill = \"off\"\n[[route]]",
            "line 10: route[0].continue: needs an upstream that takes the text so far; prefill is \
             \"off\" in all of this route",
        ),
        (
            "[[route]]",
            "prefill = \"promt\"\n[[route]]",
            "line 6: upstream[0].prefill: must be \"off\" or \"prompt\" or \"chat\", not \
             \"promt\"; did you mean \"prompt\"?",
        ),
        (
            "[[upstream]]",
            "[limits]\nreplay_bytes = \"off\"\n[[upstream]]",
            "line 11: route[0].continue: needs limits.replay_bytes: a request that is not kept is \
             not asked on",
        ),
        ("[[upstream]]", "[limits]\ncontinue_bytes = \"64KiB\"\n[[upstream]]\n", ""),
    ] {
        let text = on.replacen(from, to, 1);
        match expected {
            "" => drop(accepted(&text)),
            expected => assert_eq!(refused(&text), format!("{expected}\n"), "{to}"),
        }
    }
    let text = on.replacen("[[upstream]]", "[limits]\ncontinue_bytes = \"64KiB\"\n[[upstream]]", 1);
    let text = text.replace("{}", "{ text_bytes = \"65KiB\" }");
    let expected = "line 11: route[0].continue.text_bytes: is more than limits.continue_bytes: no \
                    text of that length could be kept\n";
    assert_eq!(refused(&text), expected);
}

#[test]
fn fallback() {
    for (table, expected) in [
        ("\"sorry\"", ": must be a table, not a string\n"),
        ("{}", ": needs one of text, json and file\n"),
        ("{ text = \"a\", json = \"{}\" }", ": needs one of text, json and file\n"),
        ("{ text = \"\" }", ".text: must not be empty: an answer says something\n"),
        (
            "{ json = \"{\" }",
            ".json: is not valid JSON: EOF while parsing an object at line 1 column 1\n",
        ),
        ("{ file = \"gone.txt\" }", ".file: /etc/gone.txt: no such file\n"),
        ("{ file = \"\" }", ".file: \"\" is no path of a file\n"),
        (
            "{ file = \"broken.json\" }",
            ".file: is not valid JSON: EOF while parsing an object at line 2 column 0\n",
        ),
        ("{ text = \"a\", status = 100 }", ".status: must be from 200 to 599, not 100\n"),
        (
            "{ text = \"a\", status = 204 }",
            ".status: an answer with status 204 cannot say anything\n",
        ),
        (
            "{ text = \"a\", headers = { X-Sluice-Attempts = \"1\" } }",
            ".headers.X-Sluice-Attempts: is written by the gateway itself\n",
        ),
        (
            "{ text = \"a\", headers = { Content-Length = \"1\" } }",
            ".headers.Content-Length: is written by the gateway itself\n",
        ),
        (
            "{ text = \"a\", headers = { X-A = \"1\", x-a = \"2\" } }",
            ".headers.x-a: is in the table already; names ignore case\n",
        ),
        (
            "{ text = \"a\", headers = { X-A = \"1\\r\\nx: 2\" } }",
            ".headers.X-A: must be at most 1024 visible ASCII characters and inner spaces\n",
        ),
        (
            "{ text = \"a\", headers = { \"x y\" = \"1\" } }",
            ".headers.\"x y\": \"x y\" is no name of a header field\n",
        ),
        (
            "{ text = \"a\", pace = \"11s\" }",
            ".pace: must be from \"0us\" to \"10s\", not \"11s\"\n",
        ),
    ] {
        let told = route(&format!("fallback = {table}"));
        let first = told.lines().next().unwrap_or_default();
        assert_eq!(format!("{first}\n"), format!("line 9: route[0].fallback{expected}"), "{table}");
    }
    let long = format!("fallback = {{ text = \"{}\" }}", "a".repeat((1 << 20) + 1));
    let expected = "line 9: route[0].fallback.text: is longer than 1MiB, which no predefined \
                    answer may be\n";
    assert_eq!(route(&long), expected);
}

#[test]
fn translating_requests() {
    for (line, shown) in [
        ("translate_to = \"openai\"", "translate_to = \"openai\""),
        ("translate_to = { dialect = \"anthropic\" }", "translate_to = \"anthropic\""),
        ("translate_to = \"gemini\"", "translate_to = \"gemini\""),
        ("translate_to = \"triton\"", "translate_to = \"triton\""),
        ("translate_to = \"kserve\"", "translate_to = \"kserve\""),
        (
            "translate_to = { dialect = \"kserve\", input = \"args\", output = \"out\" }",
            "translate_to.dialect = \"kserve\"\ntranslate_to.input = \"args\"\ntranslate_to.output = \"out\"",
        ),
        (
            "translate_to = { dialect = \"openai\", path = \"/d/chat/completions?api-version=1\" }",
            "translate_to.dialect = \"openai\"\ntranslate_to.path = \"/d/chat/completions?api-version=1\"",
        ),
        (
            "translate_to = { dialect = \"anthropic\", path = \"/base/v1/messages\" }",
            "translate_to.dialect = \"anthropic\"\ntranslate_to.path = \"/base/v1/messages\"",
        ),
    ] {
        let text = LEAST.replacen("[[route]]", &format!("{line}\n[[route]]"), 1);
        let printed = effective(&accepted(&text).snapshot);
        assert!(printed.contains(&format!("\n{shown}\n")), "{printed}");
        // And what is printed says the same.
        assert_eq!(effective(&accepted(&printed).snapshot), printed);
    }
    for (line, expected) in [
        (
            "translate_to = \"antropic\"",
            "line 6: upstream[0].translate_to: must be \"openai\" or \"anthropic\" or \"ollama\" or \"gemini\" or \"tgi\" or \"triton\" or \"kserve\", not \
             \"antropic\"; did you mean \"anthropic\"?",
        ),
        (
            "translate_to = { dialect = \"triton\", input = \"x\" }",
            "line 6: upstream[0].translate_to.input: names a tensor, which \"kserve\" alone has",
        ),
        (
            "translate_to = { dialect = \"kserve\", output = \"\" }",
            "line 6: upstream[0].translate_to.output: must be 1 to 256 bytes long",
        ),
        ("translate_to = {}", "line 6: upstream[0].translate_to.dialect: is required"),
        (
            "translate_to = { dialect = \"openai\", path = \"v1\" }",
            "line 6: upstream[0].translate_to.path: must begin with /; did you mean \"/v1\"?",
        ),
    ] {
        let text = LEAST.replacen("[[route]]", &format!("{line}\n[[route]]"), 1);
        assert_eq!(refused(&text), format!("{expected}\n"), "{line}");
    }
    let continued = LEAST.replacen("[[route]]", "translate_to = \"openai\"\n[[route]]", 1);
    assert_eq!(
        refused(&(continued + "continue = {}\n")),
        "line 10: route[0].continue: upstream \"llama\" has translate_to: what is translated cannot \
         be continued\n"
    );
}
