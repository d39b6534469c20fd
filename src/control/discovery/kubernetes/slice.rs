//! One EndpointSlice, and the members that the slices of a service come to.

use serde_json::Value;

use crate::config::snapshot::FoundMember;
use crate::control::discovery::api::authority;

/// A slice, of which only this is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    endpoints: Vec<SliceEndpoint>,
    /// Name and number of each port that can be connected to.
    ports: Vec<(String, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SliceEndpoint {
    address: String,
    ready: bool,
    /// It has begun to end, and still answers.
    lingers: bool,
    zone: Option<String>,
}

impl Slice {
    /// The name of a slice, and what it holds; `None`: this is none.
    pub fn read(object: &Value) -> Option<(String, Slice)> {
        let name = object["metadata"]["name"].as_str()?;
        let ports = object["ports"].as_array().map_or(&[][..], Vec::as_slice);
        let ports =
            ports.iter().filter(|port| matches!(port["protocol"].as_str(), None | Some("TCP")));
        let ports = ports.filter_map(|port| {
            let number = port["port"].as_u64().filter(|number| (1..=65_535).contains(number))?;
            Some((port["name"].as_str().unwrap_or_default().to_owned(), number))
        });
        let endpoints = object["endpoints"].as_array().map_or(&[][..], Vec::as_slice);
        let endpoints = endpoints.iter().filter_map(endpoint).collect();
        Some((name.to_owned(), Slice { endpoints, ports: ports.collect() }))
    }

    /// The port that is wanted: by its name, by its number, or the only one.
    fn port(&self, wanted: Option<&str>) -> Result<Option<u64>, String> {
        let Some(wanted) = wanted else {
            return match &self.ports[..] {
                [] => Ok(None),
                [(_, port)] => Ok(Some(*port)),
                several => {
                    let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
                    let names = names.join(", ");
                    Err(format!("the service has several ports ({names}): say which in port"))
                }
            };
        };
        let is_wanted =
            |(name, port): &&(String, u64)| name == wanted || port.to_string() == wanted;
        Ok(self.ports.iter().find(is_wanted).map(|(_, port)| *port))
    }
}

/// The first address is the endpoint's: Kubernetes itself uses no other.
fn endpoint(told: &Value) -> Option<SliceEndpoint> {
    let address = told["addresses"].as_array()?.first()?.as_str()?;
    let condition = |name: &str, default| told["conditions"][name].as_bool().unwrap_or(default);
    let ready = condition("ready", true);
    let (serving, terminating) = (condition("serving", ready), condition("terminating", false));
    Some(SliceEndpoint {
        address: address.to_owned(),
        ready: ready && !terminating,
        lingers: serving && terminating,
        zone: told["zone"].as_str().map(str::to_owned),
    })
}

/// The members of a service, in an order of their own.
pub(super) fn members<'s>(
    slices: impl Iterator<Item = &'s Slice> + Clone,
    port: Option<&str>,
) -> Result<Vec<FoundMember>, String> {
    let taken = |take: fn(&SliceEndpoint) -> bool| {
        let mut found = Vec::new();
        for slice in slices.clone() {
            let Some(port) = slice.port(port)? else { continue };
            let endpoints = slice.endpoints.iter().filter(|endpoint| take(endpoint));
            found.extend(endpoints.map(|endpoint| FoundMember {
                zone: endpoint.zone.clone(),
                ..FoundMember::at(authority(&endpoint.address, port))
            }));
        }
        found.sort();
        found.dedup_by(|one, other| one.address == other.address);
        Ok::<_, String>(found)
    };
    let ready = taken(|endpoint| endpoint.ready)?;
    // Somebody who still answers is better than nobody.
    if ready.is_empty() { taken(|endpoint| endpoint.lingers) } else { Ok(ready) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(endpoints: Value, ports: Value) -> Slice {
        let object = json!({ "metadata": { "name": "s" }, "endpoints": endpoints, "ports": ports });
        Slice::read(&object).expect("a slice").1
    }

    fn http() -> Value {
        json!([{ "name": "http", "port": 8000, "protocol": "TCP" }])
    }

    fn told(slices: &[Slice], port: Option<&str>) -> Result<Vec<String>, String> {
        let found = members(slices.iter(), port)?;
        Ok(found.into_iter().map(|member| member.address).collect())
    }

    #[test]
    fn conditions_say_who_is_taken() {
        let with = |name: &str, conditions: Value| json!({ "addresses": [name], "conditions": conditions, "zone": "z1" });
        let ready = json!({ "ready": true, "serving": true, "terminating": false });
        let unready = json!({ "ready": false, "serving": false, "terminating": false });
        let ending = json!({ "ready": false, "serving": true, "terminating": true });
        let ended = json!({ "ready": false, "serving": false, "terminating": true });
        // Where unready endpoints are published, those that end are ready too.
        let published = json!({ "ready": true, "serving": true, "terminating": true });
        for (endpoints, expected) in [
            (vec![with("a", ready.clone()), with("b", unready.clone())], vec!["a:8000"]),
            (vec![with("a", ready.clone()), with("b", ending.clone())], vec!["a:8000"]),
            (vec![with("a", unready), with("b", ending), with("c", ended)], vec!["b:8000"]),
            (vec![with("a", ready), with("b", published)], vec!["a:8000"]),
            // What is not told is ready.
            (vec![with("a", json!({})), json!({ "addresses": ["b"] })], vec!["a:8000", "b:8000"]),
            (vec![json!({ "addresses": [] }), json!({})], vec![]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(told(&[slice(json!(endpoints), http())], None), Ok(expected));
        }
    }

    #[test]
    fn slices_are_put_together_and_a_port_is_found_by_name_number_or_alone() {
        let one = json!([{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"] }]);
        let two = json!([{ "addresses": ["10.0.0.2"] }, { "addresses": ["fd00::3"] }]);
        let slices = [slice(one.clone(), http()), slice(two, http())];
        let all = ["10.0.0.1:8000", "10.0.0.2:8000", "[fd00::3]:8000"];
        assert_eq!(told(&slices, None), Ok(all.map(str::to_owned).to_vec()));
        let both = json!([{ "name": "http", "port": 8000 }, { "name": "metrics", "port": 9090 },
                          { "name": "dns", "port": 53, "protocol": "UDP" }]);
        let slices = [slice(one.clone(), both), slice(one.clone(), json!([]))];
        let at = |port: u64| Ok(vec![format!("10.0.0.1:{port}"), format!("10.0.0.2:{port}")]);
        assert_eq!(told(&slices, Some("metrics")), at(9090));
        assert_eq!(told(&slices, Some("8000")), at(8000));
        assert_eq!(told(&slices, Some("none")), Ok(vec![]));
        let several = "the service has several ports (http, metrics): say which in port";
        assert_eq!(told(&slices, None), Err(several.to_owned()));
        // A slice without a port, and one whose port is any.
        let any = [slice(one.clone(), json!(null)), slice(one, json!([{ "name": "" }]))];
        assert_eq!(told(&any, None), Ok(vec![]));
    }
}
