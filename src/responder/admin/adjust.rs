//! `PUT /endpoints`: how an endpoint is to be treated from now on.

use super::{Process, Reply};

/// An order for one endpoint: what it does not say stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjust {
    pub upstream: String,
    /// As configured.
    pub endpoint: String,
    pub draining: Option<bool>,
    pub weight: Option<u32>,
}

impl Adjust {
    /// Reads the body of a request.
    fn parse(body: &[u8]) -> Option<Adjust> {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        let known = ["upstream", "endpoint", "draining", "weight"];
        if value.as_object()?.keys().any(|key| !known.contains(&&**key)) {
            return None;
        }
        let weight = match &value["weight"] {
            serde_json::Value::Null => None,
            weight => Some(u32::try_from(weight.as_u64()?).ok().filter(|it| WEIGHTS.contains(it))?),
        };
        let draining = match &value["draining"] {
            serde_json::Value::Null => None,
            draining => Some(draining.as_bool()?),
        };
        Some(Adjust {
            upstream: value["upstream"].as_str()?.to_owned(),
            endpoint: value["endpoint"].as_str()?.to_owned(),
            draining,
            weight,
        })
    }
}

/// As in a configuration.
const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=1000;

pub(super) fn adjust(process: &dyn Process, body: &[u8]) -> Reply {
    let Some(order) = Adjust::parse(body) else {
        return Reply::error(
            400,
            "no_order",
            "the body must be {\"upstream\": …, \"endpoint\": …} with \"draining\": true or false, \
             \"weight\": 1 to 1000, or both",
        );
    };
    match process.adjust(&order) {
        Ok(()) => Reply::json(
            200,
            &serde_json::json!({
                "upstream": order.upstream,
                "endpoint": order.endpoint,
                "draining": order.draining,
                "weight": order.weight,
            }),
        ),
        Err(reason) => Reply::error(404, "no_such_endpoint", reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_says_what_it_knows_and_nothing_else() {
        let order = |draining, weight| {
            let (upstream, endpoint) = ("a".to_owned(), "b:1".to_owned());
            Some(Adjust { upstream, endpoint, draining, weight })
        };
        let named = r#""upstream":"a","endpoint":"b:1""#;
        for (more, expected) in [
            ("", order(None, None)),
            (r#","draining":true"#, order(Some(true), None)),
            (r#","weight":1000,"draining":false"#, order(Some(false), Some(1000))),
            (r#","weight":0"#, None),
            (r#","weight":1001"#, None),
            (r#","weight":"3""#, None),
            (r#","draining":"yes""#, None),
            (r#","drain":true"#, None),
        ] {
            assert_eq!(Adjust::parse(format!("{{{named}{more}}}").as_bytes()), expected, "{more}");
        }
        for wrong in ["", "[]", "true", r#"{"upstream":"a"}"#, r#"{"endpoint":"b:1"}"#] {
            assert_eq!(Adjust::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
