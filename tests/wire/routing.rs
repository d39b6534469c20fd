//! Which route a path goes to, and which path leaves.

use crate::harness::{Gateway, Upstream};

/// A gateway with a guarded route beside one for everything else, and routes that rewrite.
fn gateway(guarded: &Upstream, open: &Upstream) -> Gateway {
    let upstream = |name: &str, upstream: &Upstream| {
        format!("[[upstream]]\nname = \"{name}\"\nendpoints = [\"{}\"]\n", upstream.address())
    };
    let route = |path: &str, upstream: &str, rewrite: &str| {
        format!("[[route]]\npath = \"{path}\"\nupstream = \"{upstream}\"\n{rewrite}\n")
    };
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n{}{}{}{}{}{}{}",
        upstream("guarded", guarded),
        upstream("open", open),
        route("/admin/*", "guarded", ""),
        route("/exact", "guarded", ""),
        route("/a*", "open", "rewrite = \"/b/*\""),
        route("/c*", "open", "rewrite = \"/*\""),
        route("/*", "open", ""),
    ))
}

/// Asks for a path: `upstream` is to see another, or the client the code of a refusal.
fn ask(gateway: &Gateway, upstream: &Upstream, path: &str, expected: Result<&str, &str>) {
    let mut client = gateway.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: own\r\nConnection: close\r\n\r\n"));
    match expected {
        Ok(target) => {
            let mut server = upstream.accept();
            assert_eq!(server.read_request().start, format!("GET {target} HTTP/1.1"), "{path}");
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            assert_eq!(client.read_response().status(), 200);
        }
        Err(code) => {
            let answer = client.read_response();
            let status = if code == "no_route" { 404 } else { 400 };
            assert_eq!(answer.status(), status, "{path}: {answer:?}");
            assert_eq!(answer.json()["error"]["code"], code, "{path}");
        }
    }
}

#[test]
fn a_guarded_route_is_not_passed_by_another_spelling_of_its_path() {
    let (guarded, open) = (Upstream::listen(), Upstream::listen());
    let gateway = gateway(&guarded, &open);
    for path in [
        "/admin/x",
        "/%61dmin/x",
        "/admi%6E/x",
        "//admin/x",
        "/admin//x",
        "///%61dmin///x?q=//",
        "/admin%2fx",
        "/admin%2F",
        "/%2fadmin/x",
        "/exact",
        "//exact",
        "/e%78act",
        "/exact?a=b",
    ] {
        // And what the server gets is what the client has sent.
        ask(&gateway, &guarded, path, Ok(path));
    }
    for (path, expected) in [
        ("/Admin/x", "/Admin/x"),
        ("/%2561dmin/x", "/%2561dmin/x"),
        ("/x/admin/", "/x/admin/"),
        ("/exact/", "/exact/"),
        ("/admin", "/b/dmin"),
    ] {
        ask(&gateway, &open, path, Ok(expected));
    }
    guarded.expect_nobody();
    open.expect_nobody();
}

#[test]
fn a_path_that_a_rewrite_makes_is_judged_as_one_that_comes() {
    let (guarded, open) = (Upstream::listen(), Upstream::listen());
    let gateway = gateway(&guarded, &open);
    for (path, expected) in [
        ("/a/x", Ok("/b/x")),
        ("/ab/x?y=../z", Ok("/b/b/x?y=../z")),
        ("/a", Ok("/b/")),
        ("/a...", Ok("/b/...")),
        ("/%61/x%2Fy//z", Ok("/b/x%2Fy//z")),
        ("/a../secret", Err("dot_segment")),
        ("/a..", Err("dot_segment")),
        ("/a./x", Err("dot_segment")),
        ("/a%2e%2e/secret", Err("dot_segment")),
        ("/a%2E./secret", Err("dot_segment")),
        ("/a..%2fsecret", Err("dot_segment")),
        ("/a..%5csecret", Err("dot_segment")),
        ("/a..;x/secret", Err("dot_segment")),
        ("/a..;x", Err("dot_segment")),
        // No host is made of a path.
        ("/c/evil.example/x", Ok("/evil.example/x")),
        ("/c//evil.example/x", Ok("/evil.example/x")),
        ("//c%2f%2Fevil.example//x", Ok("/evil.example//x")),
        ("/cx", Ok("/x")),
        ("/c../x", Err("dot_segment")),
    ] {
        ask(&gateway, &open, path, expected);
    }
    guarded.expect_nobody();
    open.expect_nobody();
}

#[test]
fn names_of_a_path_go_where_its_rewrite_says() {
    let (guarded, open) = (Upstream::listen(), Upstream::listen());
    let gateway = Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n\
         [[upstream]]\nname = \"open\"\nendpoints = [\"{}\"]\n\
         [[upstream]]\nname = \"guarded\"\nendpoints = [\"{}\"]\n\
         [[route]]\npath = \"/openai/*\"\nupstream = \"guarded\"\n\
         [[route]]\npath = \"/openai/deployments/{{name}}/*\"\nrewrite = \"/v1/*\"\nupstream = \"open\"\n\
         [[route]]\npath = \"/{{tenant}}/ask/{{what}}\"\nrewrite = \"/{{what}}/of/{{tenant}}\"\nupstream = \"open\"\n",
        open.address(),
        guarded.address(),
    ));
    for (path, expected) in [
        (
            "/openai/deployments/gpt-4o/chat/completions?api-version=1",
            Ok("/v1/chat/completions?api-version=1"),
        ),
        ("/openai//deployments/a%20b/x%2Fy", Ok("/v1/x%2Fy")),
        ("/a%3Fb/ask/c%23d", Ok("/c%23d/of/a%3Fb")),
        ("//a/ask/%68", Ok("/%68/of/a")),
        ("/../ask/x", Err("dot_segment")),
        ("/%2e%2e/ask/x", Err("dot_segment")),
        ("/..;a/ask/x", Err("dot_segment")),
        ("/a%0d%0ab/ask/x", Err("invalid_target")),
        ("/a/ask/b%2fc", Err("no_route")),
        ("/a/ask/", Err("no_route")),
    ] {
        ask(&gateway, &open, path, expected);
    }
    guarded.expect_nobody();
    open.expect_nobody();
}
