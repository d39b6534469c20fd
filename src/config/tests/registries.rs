//! `discover` by a registry: what is read, and what is refused.

use super::*;
use crate::config::show::registry_keys;
use crate::config::snapshot::{DiscoverySource, TokenPlace};

const BEFORE: &str = "[server]\nlisten = [\"127.0.0.1:80\"]\n[[upstream]]\nname = \"llama\"\n";
const BEHIND: &str = "\n[[route]]\npath = \"/*\"\nupstream = \"llama\"\n";

fn source(discover: &str) -> DiscoverySource {
    let loaded = accepted(&format!("{BEFORE}discover = {{ {discover} }}{BEHIND}"));
    loaded.snapshot.upstreams[0].discover.as_ref().expect("there is one").source.clone()
}

fn keys(source: &DiscoverySource) -> String {
    let keys = registry_keys(source);
    let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    keys.join(", ")
}

#[test]
fn a_registry_is_named_by_one_key_and_what_belongs_to_it() {
    for (written, shown) in [
        (
            "etcd = \"etcd://gate@a,b:1/p/q/\"",
            "etcd = \"etcd://gate@a:2379,b:1/p/q\", service = \"llama\"",
        ),
        (
            "consul = \"http://127.0.0.1:8500/\", service = \"vllm\", tags = [\"gpu\", \"a \\\"b\\\"\"], \
             datacenter = \"dc1\", token = { env = \"CONSUL_HTTP_TOKEN\" }",
            "consul = \"http://127.0.0.1:8500\", service = \"vllm\", tags = [\"gpu\", \"a \\\"b\\\"\"], \
             datacenter = \"dc1\", token = { env = \"CONSUL_HTTP_TOKEN\" }",
        ),
        (
            "kubernetes = \"in-cluster\", port = 8000",
            "kubernetes = \"in-cluster\", service = \"llama\", port = \"8000\"",
        ),
        (
            "kubernetes = \"http://k/api\", namespace = \"models\", port = \"http\", \
             token = { file = \"/t\" }",
            "kubernetes = \"http://k:80/api\", service = \"llama\", namespace = \"models\", \
             port = \"http\", token = { file = \"/t\" }",
        ),
    ] {
        let read = source(written);
        assert_eq!(keys(&read), shown);
        assert_eq!(source(&keys(&read)), read, "{shown}");
    }
}

#[test]
fn a_token_is_named_and_not_read() {
    let read = source("consul = \"http://c:1\", token = { file = \"/none/such\" }");
    let DiscoverySource::Consul(source) = read else { panic!("{read:?}") };
    assert_eq!(source.api.token, Some(TokenPlace::File("/none/such".into())));
}

#[test]
fn a_registry_that_cannot_be_meant_is_refused() {
    for (discover, expected) in [
        ("etcd = \"http://h/p\"", "discover.etcd: \"http:\" is no HOST:PORT"),
        ("etcd = \"etcd://h\"", "discover.etcd: a prefix is missing"),
        ("etcd = \"etcds://h/p?ca=/none\"", "discover.etcd: /none: "),
        ("etcd = \"etcd://h/p\", service = \"a/b\"", "discover.service: must have 1 to 253"),
        ("etcd = \"etcd://h/p\", token = { env = \"A\" }", "discover.token: unknown key"),
        ("consul = \"127.0.0.1:8500\"", "discover.consul: must be a URL"),
        ("consul = \"http://me:pw@c\"", "takes neither a user nor a password"),
        ("consul = \"http://c/?dc=1\"", "has a character in its path that no base has"),
        (
            "consul = \"http://c\", ca = \"x\"",
            "discover.ca: is for a registry that is asked at https",
        ),
        ("consul = \"https://c\", ca = \"/none\"", "discover.consul: /none: "),
        (
            "consul = \"https://c\", key = \"x\"",
            "discover.key: certificate and key belong together",
        ),
        ("consul = \"http://c\", token = { }", "discover.token: must be { env = "),
        ("consul = \"http://c\", token = { env = \"A B\" }", "must be the name of a variable"),
        ("consul = \"http://c\", token = \"s3cret\"", "discover.token: must be"),
        ("consul = \"http://c\", tags = \"a\"", "discover.tags: "),
        ("consul = \"http://c\", dns = \"a:1\"", "exclude each other"),
        ("kubernetes = \"http://k\"", "discover.kubernetes: needs namespace"),
        ("kubernetes = \"in-cluster\", port = 0", "discover.port: "),
        ("kubernetes = \"in-cluster\", port = \"a b\"", "discover.port: must have 1 to 253"),
    ] {
        let told = refused(&format!("{BEFORE}discover = {{ {discover} }}{BEHIND}"));
        assert!(told.contains(expected), "{expected}: {told}");
        assert!(!told.contains("s3cret") && !told.contains("pw"), "{told}");
    }
}
