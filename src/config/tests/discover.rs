//! `discover` of an upstream, and `server.dns`.

use super::super::show::effective;
use super::super::snapshot::{DiscoverySource, FoundMember, Snapshot};
use super::*;

fn with(discover: &str) -> String {
    LEAST.replace("endpoints = [\"127.0.0.1:8081\"]", &format!("discover = {{ {discover} }}"))
}

fn refusal(discover: &str) -> String {
    let problems = super::super::parse(&with(discover), &environment()).expect_err(discover);
    told(&problems)
}

#[test]
fn an_upstream_may_have_nobody_but_those_that_are_told() {
    let loaded = accepted(&with("file = \"llama.json\", shrink = 0.25, empty = \"obey\""));
    let upstream = &loaded.snapshot.upstreams[0];
    let discover = upstream.discover.as_ref().expect("it has a source");
    assert_eq!(discover.source, DiscoverySource::File("/etc/llama.json".into()));
    assert_eq!((discover.belief.shrink, discover.belief.empty), (0.25, true));
    let nobody: Vec<_> =
        upstream.endpoints.iter().map(|it| (it.address, it.name.clone())).collect();
    assert_eq!(nobody, [(None, "file:/etc/llama.json".to_owned())], "one that is down");
    let again = effective(&loaded.snapshot);
    let same = accepted(&again);
    assert_eq!(effective(&same.snapshot), again, "what is shown is a configuration");
}

#[test]
fn members_become_endpoints_and_keep_their_ids() {
    let mut snapshot =
        accepted(&with("srv = \"_http._tcp.llama.internal\", base = \"/v1\"")).snapshot;
    let id = snapshot.upstreams[0].id;
    let tell = |snapshot: &mut Snapshot, members: &[FoundMember]| {
        let discover = snapshot.upstreams[0].discover.clone().expect("it has a source");
        let listed = members.iter().map(|member| discover.listed(member).expect("it is one"));
        let listed = listed.collect();
        snapshot.set_members(id, listed)
    };
    let ids = |snapshot: &Snapshot| -> Vec<u32> {
        snapshot.upstreams[0].endpoints.iter().map(|endpoint| endpoint.id.0).collect()
    };
    let named = FoundMember { name: Some("gpu:8000".into()), ..FoundMember::at("10.0.0.1:8000") };
    let url = FoundMember::at("http://10.0.0.2/other");
    assert!(tell(&mut snapshot, &[named.clone(), url.clone()]));
    let seen = snapshot.upstreams[0].endpoints.iter();
    let seen: Vec<_> = seen.map(|it| (it.name.as_str(), it.base(), it.host())).collect();
    let one = ("gpu:8000/v1 (10.0.0.1:8000)", "/v1", "gpu:8000");
    assert_eq!(seen, [one, ("10.0.0.2:80/other", "/other", "10.0.0.2:80")]);
    // A name is written into heads.
    let discover = snapshot.upstreams[0].discover.clone().expect("it has a source");
    let hostile = ["a\r\nX: b", "a b", "a/b", "a@b", "", "\u{e9}", &"a".repeat(300)];
    for name in hostile {
        let member = FoundMember { name: Some(name.to_owned()), ..named.clone() };
        assert!(discover.listed(&member).is_err(), "{name:?}");
    }
    let socket = FoundMember::at("unix:/run/docker.sock");
    assert!(discover.listed(&socket).is_err());
    let of_file = accepted(&with("file = \"llama.json\"")).snapshot;
    let of_file = of_file.upstreams[0].discover.clone().expect("it has a source");
    assert!(of_file.listed(&socket).is_ok());
    let first = ids(&snapshot);
    assert!(!tell(&mut snapshot, &[named.clone(), url.clone()]), "nothing is new");
    assert!(tell(&mut snapshot, std::slice::from_ref(&url)));
    assert_eq!(ids(&snapshot), first[1..]);
    // We are not asked ourselves, and who comes back is who it was.
    assert!(tell(&mut snapshot, &[named, url, FoundMember::at("127.0.0.1:8080")]));
    assert_eq!(ids(&snapshot), first);
    // A reload of the same source keeps what was told.
    let mut next = accepted(&with("srv = \"_http._tcp.llama.internal\", base = \"/v1\"")).snapshot;
    next.follow(&snapshot);
    assert_eq!(ids(&next), first);
    assert!(next.upstreams[0].version > snapshot.upstreams[0].version);
    let mut other = accepted(&with("srv = \"_http._tcp.other.internal\"")).snapshot;
    other.follow(&snapshot);
    assert_eq!(other.upstreams[0].endpoints[0].address, None);
}

#[test]
fn a_source_is_one_and_has_a_form() {
    for (discover, reason) in [
        ("", "must name a source"),
        ("dns = \"a:1\", srv = \"_a._tcp.b\"", "exclude each other"),
        ("dns = \"10.0.0.1:80\"", "is an address"),
        ("dns = \"llama\"", "port"),
        ("srv = \"_http._tcp.llama:80\"", "has a port"),
        ("srv = \"a..b\"", "is no name of SRV records"),
        ("dns = \"a:1\", shrink = 2", "from 0 to 1"),
        ("dns = \"a:1\", confirm = \"1ms\"", "confirm"),
        ("dns = \"a:1\", empty = \"never\"", "empty"),
        ("dns = \"a:1\", weight = 2", "weight"),
    ] {
        let told = refusal(discover);
        assert!(told.contains(reason), "{discover}: {told}");
    }
    let servers = |servers: &str| {
        let text = LEAST
            .replace("[[upstream]]", &format!("dns = {{ servers = {servers} }}\n[[upstream]]"));
        super::super::parse(&text, &environment()).map(|loaded| loaded.snapshot.server.dns.servers)
    };
    let two = servers("[\"127.0.0.1\", \"[::1]:5353\"]").expect("they are two");
    assert_eq!(two, ["127.0.0.1:53", "[::1]:5353"].map(|it| it.parse().expect("one")));
    for bad in ["[\"localhost:53\"]", "[\"127.0.0.1:0\"]", "[\"127.0.0.1\", \"127.0.0.1:53\"]"] {
        assert!(servers(bad).is_err(), "{bad}");
    }
}
