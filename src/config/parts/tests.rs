use super::*;

const SERVER: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\n";
const LLAMA: &str = "[[upstream]]\nname = \"llama\"\nendpoints = [\"127.0.0.1:9\"]\n[upstream.pool]\nidle_timeout = \"60s\"";
const CHAT: &str = "[[route]]\npath = \"/*\"\nupstream = \"llama\"\n";

fn of(parts: &[(&str, &str)]) -> Result<ConfigText, Vec<String>> {
    ConfigText::of_parts("etcd:/p", parts.iter().map(|(name, text)| (*name, text.as_bytes())))
}

#[test]
fn parts_become_one_text_in_the_order_of_their_names() {
    let text = of(&[("upstreams/llama", LLAMA), ("routes/b", CHAT), ("config", SERVER)]);
    let text = text.expect("they are parts");
    assert_eq!(text.text(), format!("{SERVER}{CHAT}{LLAMA}\n"));
}

#[test]
fn a_problem_is_told_by_its_part_and_the_line_in_it() {
    let text = of(&[("upstreams/llama", LLAMA), ("routes/chat", CHAT), ("config", SERVER)]);
    let text = text.expect("they are parts");
    let problem = |line| Problem { line, key: "k".into(), reason: "r".into(), hint: None };
    for (line, told) in [
        (Some(1), "etcd:/p/config:1: k: r"),
        (Some(2), "etcd:/p/config:2: k: r"),
        (Some(3), "etcd:/p/routes/chat:1: k: r"),
        (Some(5), "etcd:/p/routes/chat:3: k: r"),
        (Some(6), "etcd:/p/upstreams/llama:1: k: r"),
        (Some(10), "etcd:/p/upstreams/llama:5: k: r"),
        (None, "etcd:/p: k: r"),
    ] {
        assert_eq!(text.tell(&problem(line)), told);
    }
    let file = ConfigText::of_file(Path::new("/etc/s.toml"), SERVER.into());
    assert_eq!(file.tell(&problem(Some(2))), "/etc/s.toml:2: k: r");
    assert_eq!(file.tell(&problem(None)), "/etc/s.toml: k: r");
}

#[test]
fn what_is_no_part_is_told_by_its_name_and_all_of_it() {
    let two = format!("{LLAMA}\n{}", LLAMA.replace("llama", "other"));
    let wrong = of(&[
        ("config", SERVER),
        ("routes/quote", "[[route]]\npath = \"\"\"/*\n"),
        ("upstreams/other", LLAMA),
        ("upstreams/two", &two),
        ("routes/server", SERVER),
        ("routes/empty", ""),
        ("upstreams/a/b", LLAMA),
        ("upstream/llama", LLAMA),
        ("\u{1b}[2J", ""),
    ]);
    let wrong = wrong.expect_err("hardly any is one").join("\n");
    for (part, why) in [
        ("routes/quote", "line 3: TOML syntax: "),
        ("upstreams/other", "the [[upstream]] in here has to have the name \"other\""),
        ("upstreams/two", "this has to hold one [[upstream]] and nothing else"),
        ("routes/server", "this has to hold one [[route]] and nothing else"),
        ("routes/empty", "this has to hold one [[route]] and nothing else"),
        ("upstreams/a/b", "there is no such part"),
        ("upstream/llama", "there is no such part"),
        ("\\u001b[2J", "there is no such part"),
    ] {
        assert!(wrong.contains(&format!("etcd:/p/{part}: {why}")), "{part}: {wrong}");
    }
    let bytes = ConfigText::of_parts("p", [("config", &b"\xff"[..])]);
    assert!(bytes.is_err_and(|wrong| wrong[0].contains("not valid UTF-8")));
}

#[test]
fn a_key_is_a_part_of_its_name() {
    let key = "[keys.team-a]\nhash = \"sha256:0\"\n";
    assert!(of(&[("config", SERVER), ("keys/team-a", key)]).is_ok());
    let wrong = of(&[("keys/other", key), ("keys/two", &format!("{key}{CHAT}"))]);
    assert_eq!(
        wrong.expect_err("they are no parts"),
        [
            "etcd:/p/keys/other: this has to hold [keys.other] and nothing else",
            "etcd:/p/keys/two: this has to hold one [keys.NAME] and nothing else",
        ]
    );
}
