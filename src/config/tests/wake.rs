//! `wake` and `while_loading`: what is refused, and how.

use super::*;

/// What an upstream with these endpoints and this line is answered with.
fn told(endpoints: &str, line: &str) -> String {
    refused(&format!(
        "[server]\nlisten = [\"127.0.0.1:80\"]\n[[upstream]]\nname = \"a\"\n\
         endpoints = [{endpoints}]\n{line}\n[[route]]\npath = \"/*\"\nupstream = \"a\"\n"
    ))
}

#[test]
fn what_starts_no_server_is_refused() {
    for (line, expected) in [
        ("wake = {}", "upstream[0].wake: needs command or url: what starts the server"),
        (
            "wake = { command = [] }",
            "upstream[0].wake.command: must be a program and its arguments, 256 words at most, none \
             with a NUL; there is no shell: write [\"sh\", \"-c\", \"…\"] for one",
        ),
        (
            "wake = { command = \"x\" }",
            "upstream[0].wake.command: must be a list, [ … ], not a string",
        ),
        (
            "wake = { command = [\"x\"], url = \"http://a:1/\" }",
            "upstream[0].wake.url: stands beside command: write one of them",
        ),
        (
            "wake = { url = \"https://a/\" }",
            "upstream[0].wake.url: must be http://host:port/path, in visible ASCII characters",
        ),
        (
            "wake = { url = \"http://a/\", idle = \"5m\" }",
            "upstream[0].wake.idle: needs stop_url or stop_command: nothing stops this server",
        ),
        (
            "wake = { url = \"http://a/\", group = \"g\" }",
            "upstream[0].wake.group: needs stop_url or stop_command: nothing stops this server",
        ),
        (
            "wake = { command = [\"x\"], group = \"a b\" }",
            "upstream[0].wake.group: must have 1 to 64 letters, digits, dots, hyphens or underscores",
        ),
        (
            "wake = { command = [\"x\"], idle = \"1ms\" }",
            "upstream[0].wake.idle: must be from \"1s\" to \"720h\", not \"1ms\"",
        ),
        (
            "while_loading = { wait = \"0s\" }",
            "upstream[0].while_loading.wait: must be from \"1ms\" to \"24h\", not \"0us\"",
        ),
    ] {
        assert_eq!(told("\"10.0.0.1:80\"", line), format!("line 6: {expected}\n"), "{line}");
    }
    let two = told("\"10.0.0.1:80\", \"10.0.0.2:80\"", "wake = { command = [\"x\"] }");
    let expected =
        "line 6: upstream[0].wake: is for an upstream with one endpoint: one server is started\n";
    assert_eq!(two, expected);
}
