//! Lists of endpoints that stand elsewhere than in the configuration: JSON or TOML.
//!
//! Strict: a list with one element that is no endpoint's is no list. A writer that has lost half of a
//! word would else lose a server.

use serde::Deserialize;

use super::snapshot::{FoundMember, MEMBERS_MAX};

#[derive(Deserialize)]
#[serde(untagged)]
enum Element {
    Address(String),
    Member(MemberText),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberText {
    address: String,
    name: Option<String>,
    #[serde(default = "one")]
    weight: u32,
    #[serde(default)]
    priority: u16,
    zone: Option<String>,
}

/// The same, of a writer that may be newer than we are.
#[derive(Deserialize)]
struct LenientMember {
    address: String,
    name: Option<String>,
    #[serde(default = "one")]
    weight: u32,
    #[serde(default)]
    priority: u16,
    zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum List {
    Bare(Vec<Element>),
    Named { endpoints: Vec<Element> },
}

fn one() -> u32 {
    1
}

/// The members that a document lists; or a clause that says why there are none.
pub fn read(bytes: &[u8], is_toml: bool) -> Result<Vec<FoundMember>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is no UTF-8: {error}"))?;
    let list: List = match is_toml {
        true => toml::from_str(text).map_err(|error| error.message().to_owned())?,
        false => serde_json::from_str(text).map_err(|error| error.to_string())?,
    };
    let (List::Bare(elements) | List::Named { endpoints: elements }) = list;
    if elements.len() > MEMBERS_MAX {
        return Err(format!("it has more than {MEMBERS_MAX} endpoints"));
    }
    elements.into_iter().map(member).collect()
}

/// The member that a text tells of: an object as in a list, or an address; or a clause that says why it is
/// none. It may have what a later version knows.
pub fn read_one(text: &str) -> Result<FoundMember, String> {
    let text = text.trim();
    if !text.starts_with('{') {
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let wrong = || "it is neither a JSON object nor an address".to_owned();
        return good.then(|| FoundMember::at(text)).ok_or_else(wrong);
    }
    let read: LenientMember = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let LenientMember { address, name, weight, priority, zone } = read;
    member(Element::Member(MemberText { address, name, weight, priority, zone }))
}

fn member(element: Element) -> Result<FoundMember, String> {
    let member = match element {
        Element::Address(address) => FoundMember::at(address),
        Element::Member(MemberText { address, name, weight, priority, zone }) => {
            FoundMember { address, name, weight, priority, zone }
        }
    };
    if !(1..=FoundMember::WEIGHT_MAX).contains(&member.weight) {
        let most = FoundMember::WEIGHT_MAX;
        return Err(format!("the weight of {} must be from 1 to {most}", member.address));
    }
    Ok(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let two = |text: &str, is_toml| {
            let found = read(text.as_bytes(), is_toml).expect(text);
            found.iter().map(|it| (it.address.clone(), it.weight, it.priority)).collect::<Vec<_>>()
        };
        let expected = vec![("a:1".to_owned(), 1, 0), ("b:1".to_owned(), 3, 2)];
        let json = r#"["a:1", {"address": "b:1", "weight": 3, "priority": 2, "zone": "z"}]"#;
        assert_eq!(two(json, false), expected);
        assert_eq!(two(&format!("{{\"endpoints\": {json}}}"), false), expected);
        let toml = "endpoints = [\"a:1\", { address = \"b:1\", weight = 3, priority = 2 }]";
        assert_eq!(two(toml, true), expected);
        assert_eq!(two("[]", false), []);
        for (bad, is_toml) in [
            ("", false),
            ("[\"a:1\", ", false),
            ("[1]", false),
            (r#"[{"address": "a:1", "wait": 3}]"#, false),
            (r#"[{"address": "a:1", "weight": 0}]"#, false),
            ("endpoints = [\"a", true),
            ("\u{feff}[]x", false),
        ] {
            assert!(read(bad.as_bytes(), is_toml).is_err(), "{bad:?}");
        }
        assert!(read(&[0xff, b'[', b']'], false).is_err());
        let many = vec!["\"a:1\""; MEMBERS_MAX + 1].join(",");
        assert!(read(format!("[{many}]").as_bytes(), false).is_err());
    }
}
