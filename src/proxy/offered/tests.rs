use super::*;
use crate::config::tests::snapshot_of;

/// Upstreams, each with keys of its own, and routes.
fn snapshot(upstreams: &[(&str, &str)], routes: &str) -> Snapshot {
    let upstreams = upstreams.iter().enumerate().map(|(index, (name, keys))| {
        format!("[[upstream]]\nname = \"{name}\"\nendpoints = [\"10.0.0.{index}:1\"]\n{keys}\n")
    });
    snapshot_of(&format!(
        "[server]\nlisten = [\"127.0.0.1:80\"]\n{}{routes}",
        upstreams.collect::<String>()
    ))
}

/// The names that are offered of `listed`, where each upstream has said this.
fn names(snapshot: &Snapshot, listed: &[usize], said: &[Option<&[&str]>]) -> Vec<String> {
    let learnt: Vec<Option<Vec<ModelEntry>>> = said
        .iter()
        .map(|said| said.map(|names| names.iter().map(|name| ModelEntry::named(name)).collect()))
        .collect();
    let offered = offered(snapshot, listed, |index| learnt[index].as_deref());
    offered.into_iter().map(|model| model.id).collect()
}

#[track_caller]
fn check(upstreams: &[(&str, &str)], routes: &str, said: &[Option<&[&str]>], expected: &[&str]) {
    let snapshot = snapshot(upstreams, routes);
    let all: Vec<usize> = (0..upstreams.len()).collect();
    assert_eq!(names(&snapshot, &all, said), expected, "{routes}");
}

const TWO: &[(&str, &str)] = &[("a", ""), ("b", "")];

fn route(keys: &str) -> String {
    format!("[[route]]\npath = \"/v1/*\"\n{keys}\n")
}

#[test]
fn what_the_servers_say_is_offered_where_a_route_leads_there() {
    let everything = route("upstream = \"a\"");
    check(TWO, &everything, &[None, None], &[]);
    check(TWO, &everything, &[Some(&["m", "n", "m"]), Some(&["o"])], &["m", "n"]);
    let get_only = route("upstream = \"a\"\nmethods = [\"GET\"]");
    check(TWO, &get_only, &[Some(&["m"]), None], &[]);
    let filtered = route("when = { model = \"gpt-4o*\" }\nupstream = \"a\"");
    check(
        TWO,
        &filtered,
        &[Some(&["gpt-4", "gpt-4o", "gpt-4o-mini"]), None],
        &["gpt-4o", "gpt-4o-mini"],
    );
    let each = route("when = { model = \"gpt-*\" }\nupstream = \"a\"") + &route("upstream = \"b\"");
    check(TWO, &each, &[Some(&["gpt-1", "x"]), Some(&["y", "gpt-1", "x"])], &["gpt-1", "y", "x"]);
    // What the first takes does not get to the second.
    check(TWO, &each, &[None, Some(&["y", "gpt-2"])], &["y"]);
}

#[test]
fn names_in_routes_are_aliases() {
    let alias =
        route("when = { model = [\"fast\", \"gpt-4o*\"] }\nmodel = \"llama\"\nupstream = \"a\"");
    check(TWO, &alias, &[None, None], &["fast"]);
    // What the server has is asked for by its own name nowhere.
    check(TWO, &alias, &[Some(&["llama", "gpt-4o"]), None], &["fast"]);
    let and_rest = alias.clone() + &route("upstream = \"a\"");
    check(TWO, &and_rest, &[Some(&["llama", "fast"]), None], &["fast", "llama"]);
    // A second route for a name that is taken.
    let twice = route("when = { model = \"x\" }\nupstream = \"a\"")
        + &route("when = { model = [\"x\", \"y\"] }\nupstream = \"b\"");
    check(TWO, &twice, &[None, None], &["x", "y"]);
}

#[test]
fn only_the_listed_upstreams_are_offered() {
    let routes = route("when = { model = [\"x\"] }\nupstream = \"a\"")
        + &route("when = { model = \"y*\" }\nupstream = \"a\"")
        + &route("upstream = \"b\"");
    let snapshot = snapshot(TWO, &routes);
    let said: [Option<&[&str]>; 2] = [Some(&["x", "y1", "z"]), Some(&["x", "y1", "z"])];
    assert_eq!(names(&snapshot, &[0, 1], &said), ["x", "y1", "z"]);
    assert_eq!(names(&snapshot, &[0], &said), ["x", "y1"]);
    // Requests for the others go to "a".
    assert_eq!(names(&snapshot, &[1], &said), ["z"]);
    assert_eq!(names(&snapshot, &[], &said), [""; 0]);
}

#[test]
fn a_route_in_front_hides_a_name_only_from_requests_it_takes() {
    for (when, hidden) in [
        ("model = \"x\"", true),
        ("model = \"*\"", true),
        ("model = \"y\"", false),
        ("model = \"x\", share = \"100%\"", true),
        ("model = \"x\", share = \"5%\"", false),
        ("model = \"x\", host = \"h\"", false),
        ("model = \"x\", header = { k = \"v\" }", false),
        ("model = \"x\", query = { k = \"v\" }", false),
    ] {
        let routes =
            route(&format!("when = {{ {when} }}\nupstream = \"a\"")) + &route("upstream = \"b\"");
        let snapshot = snapshot(TWO, &routes);
        let expected: &[&str] = if hidden { &[] } else { &["x"] };
        assert_eq!(names(&snapshot, &[1], &[None, Some(&["x"])]), expected, "{when}");
    }
    // Of another path, of another method, and with the same that both ask.
    let other =
        "[[route]]\npath = \"/v1/embeddings\"\nwhen = { model = \"x\" }\nupstream = \"a\"\n";
    let snapshot_of_path = snapshot(TWO, &(other.to_owned() + &route("upstream = \"b\"")));
    assert_eq!(names(&snapshot_of_path, &[1], &[None, Some(&["x"])]), ["x"]);
    let put = route("when = { model = \"x\" }\nmethods = [\"PUT\"]\nupstream = \"a\"");
    let snapshot_of_method = snapshot(TWO, &(put + &route("upstream = \"b\"")));
    assert_eq!(names(&snapshot_of_method, &[1], &[None, Some(&["x"])]), ["x"]);
    let gold = route("when = { model = \"x\", header = { tier = \"gold\" } }\nupstream = \"a\"")
        + &route("when = { model = \"*\", header = { tier = \"gold\" } }\nupstream = \"b\"");
    assert_eq!(names(&snapshot(TWO, &gold), &[1], &[None, Some(&["x", "y"])]), ["y"]);
}

#[test]
fn a_model_that_is_put_in_place_of_others_is_offered_by_its_name() {
    let served: &[(&str, &str)] = &[("a", "model = \"served\""), ("b", "")];
    check(served, &route("upstream = \"a\""), &[Some(&["served", "other"]), None], &["served"]);
    check(served, &route("upstream = \"a\""), &[None, None], &["served"]);
    let filtered = route("when = { model = \"gpt*\" }\nupstream = \"a\"");
    check(served, &filtered, &[Some(&["served"]), None], &[]);
    // One that stands in is not asked for by its name, and one behind it answers to nobody's.
    check(served, &route("upstream = [\"b\", \"a\"]"), &[None, Some(&["m"])], &["m"]);
    check(served, &route("upstream = [\"a\", \"b\"]"), &[None, Some(&["m"])], &["served"]);
}

#[test]
fn of_a_chain_the_first_that_is_known_decides() {
    let chain = route("upstream = [\"a\", \"b\"]");
    check(TWO, &chain, &[Some(&["m"]), Some(&["m", "n"])], &["m"]);
    // While nobody knows what the first has, the second may get the request.
    check(TWO, &chain, &[None, Some(&["m", "n"])], &["m", "n"]);
    check(&[("a", "models = \"off\""), ("b", "")], &chain, &[None, Some(&["n"])], &["n"]);
}

#[test]
fn a_canary_neither_offers_nor_hides_a_name() {
    let canary =
        route("when = { model = \"m\", share = \"5%\" }\nmodel = \"next\"\nupstream = \"b\"");
    let rest = route("when = { model = \"m\" }\nupstream = \"a\"");
    let said: [Option<&[&str]>; 2] = [Some(&["m", "other"]), Some(&["next"])];
    check(TWO, &(canary.clone() + &rest), &said, &["m"]);
    let snapshot = snapshot(TWO, &(canary + &rest));
    assert_eq!(names(&snapshot, &[1], &said), [""; 0]);
    let offered = offered(&snapshot, &[0, 1], |_| None);
    assert_eq!(offered[0].owned_by, "a", "it is the model of the rest");
    let any = route("when = { share = \"50%\" }\nupstream = \"b\"") + &route("upstream = \"a\"");
    check(TWO, &any, &said, &["m", "other"]);
}

#[test]
fn names_that_the_file_states_count_as_said() {
    let stated: &[(&str, &str)] = &[("a", "models = [\"s\", \"gpt-x\"]"), ("b", "")];
    check(stated, &route("upstream = \"a\""), &[Some(&["ignored"]), None], &["s", "gpt-x"]);
    let filtered = route("when = { model = \"gpt*\" }\nupstream = \"a\"");
    check(stated, &filtered, &[None, None], &["gpt-x"]);
}

#[test]
fn what_is_known_of_a_model_goes_with_its_name_and_its_alias() {
    let routes = route("when = { model = \"fast\" }\nmodel = \"llama\"\nupstream = \"a\"")
        + &route("upstream = \"a\"");
    let snapshot = snapshot(TWO, &routes);
    let llama = ModelEntry {
        created: 7,
        owned_by: "meta".into(),
        display_name: Some("Llama".into()),
        ..ModelEntry::named("llama")
    };
    let learnt = [llama.clone(), ModelEntry::named("bare")];
    let offered = offered(&snapshot, &[0], |index| (index == 0).then_some(&learnt[..]));
    let alias = ModelEntry { id: "fast".into(), display_name: None, ..llama.clone() };
    let bare = ModelEntry { owned_by: "a".into(), ..ModelEntry::named("bare") };
    assert_eq!(offered, [alias, llama, bare]);
}
