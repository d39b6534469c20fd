//! `docs/translation.md` says what the code does.

use super::super::reasons::{
    CHAT_OTHERWISE, MESSAGES_OTHERWISE, OF_GEMINI, OF_OLLAMA, OF_TGI, TO_CHAT, TO_MESSAGES,
};
use super::Leg;

fn request_rows(leg: Leg) -> String {
    let mut rows = String::from("| member | | what becomes of it |\n|---|---|---|\n");
    for object in leg.rules() {
        for rule in object.members {
            let place =
                if object.place.is_empty() { String::new() } else { format!("{}.", object.place) };
            let name = rule.treatment.name();
            rows += &format!("| `{place}{}` | {name} | {} |\n", rule.name, rule.note);
        }
    }
    rows
}

fn reason_rows(from: &str, to: &str, table: &[(&str, &str)], otherwise: &str) -> String {
    let mut rows = format!("| {from} | {to} |\n|---|---|\n");
    for (from, to) in table {
        rows += &format!("| `{from}` | `{to}` |\n");
    }
    rows + &format!("| anything else | `{otherwise}` |\n")
}

#[test]
fn the_page_shows_the_tables_of_the_code() {
    let page = include_str!("../../../../docs/translation.md");
    let requests = Leg::ALL.into_iter().map(request_rows);
    let reasons = [
        reason_rows("`stop_reason`", "`finish_reason`", TO_CHAT, CHAT_OTHERWISE),
        reason_rows("`finish_reason`", "`stop_reason`", TO_MESSAGES, MESSAGES_OTHERWISE),
        reason_rows("`done_reason` of Ollama", "`finish_reason`", OF_OLLAMA, CHAT_OTHERWISE),
        reason_rows("`finishReason` of Gemini", "`finish_reason`", OF_GEMINI, CHAT_OTHERWISE),
        reason_rows("`finish_reason` of TGI", "`finish_reason`", OF_TGI, CHAT_OTHERWISE),
    ];
    for table in requests.chain(reasons) {
        assert!(
            page.contains(&format!("\n\n{table}\n")),
            "docs/translation.md should have:\n\n{table}"
        );
    }
}

#[test]
fn no_member_has_two_rules() {
    for leg in Leg::ALL {
        for object in leg.rules() {
            let mut names: Vec<&str> = object.members.iter().map(|rule| rule.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{}", object.place);
        }
    }
}
