//! The description in docs/api and the API are held against each other: every route is in it, and every request that was understood and every reply of the
//! tests here is what it says. Replies are held strictly: a member that it does not name is an error.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::routing::MethodFilter;

use super::*;
use crate::responder::api::problem::{Kind, TAG};
use crate::responder::api::provider::CAPABILITIES;
use crate::responder::api::routes::ROUTES;
use crate::web::spec::Spec;

static SPEC: LazyLock<Spec> = LazyLock::new(|| Spec::new(Spec::read("hop-answer.yaml")));

pub(super) fn holds(method: &str, path: &str, body: &str, reply: &Reply) {
    let operation = SPEC.described(path).map(|d| &d[method.to_lowercase()]);
    let Some(operation) = operation.filter(|o| o.is_object()) else {
        // What is not there is refused like all else.
        let refused = &SPEC["components"]["responses"]["Refused"];
        return SPEC.check(
            &refused["content"]["application/problem+json"]["schema"],
            true,
            &reply.json(),
        );
    };
    let response = &operation["responses"][reply.code.to_string()];
    assert!(
        response.is_object(),
        "{method} {path} gives {}: {reply:?}",
        reply.code
    );
    let response = SPEC.resolved(response);
    for name in response["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(n, _)| n)
    {
        assert!(
            reply.header(&name.to_lowercase()).is_some(),
            "{name} in {reply:?}"
        );
    }
    match response["content"].as_object() {
        None => assert_eq!(reply.body, ""),
        Some(content) => {
            let (kind, content) = content.iter().next().unwrap();
            assert_eq!(reply.header("content-type"), Some(&**kind));
            SPEC.check(&content["schema"], true, &reply.json());
        }
    }
    let understood = (200..300).contains(&reply.code);
    let wanted = &operation["requestBody"]["content"]["application/json"]["schema"];
    // A request that lacks something is taken, so that its question back is durable.
    if understood && wanted.is_object() && !body.contains("INSUFFICIENT") {
        let body: Value = serde_json::from_str(body).unwrap();
        if body["data"]["call"].is_object() || body["type"] != "hop_request.created" {
            SPEC.check(wanted, false, &body);
        }
    }
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let methods = [("get", MethodFilter::GET), ("post", MethodFilter::POST)];
    let name = |filter| methods.iter().find(|(_, f)| *f == filter).unwrap().0;
    let served: BTreeSet<(&str, &str)> = ROUTES.iter().map(|r| (r.path, name(r.method))).collect();
    assert_eq!(served.len(), ROUTES.len());
    let mut said = BTreeSet::new();
    for (path, of) in SPEC["paths"].as_object().unwrap() {
        let methods = of
            .as_object()
            .unwrap()
            .keys()
            .filter(|k| *k != "parameters");
        said.extend(methods.map(|m| (&**path, &**m)));
    }
    assert_eq!(served, said);
}

#[test]
fn every_operation_names_its_refusal() {
    for (path, of) in SPEC["paths"].as_object().unwrap() {
        for (method, operation) in of.as_object().unwrap() {
            if method == "parameters" || operation["security"] == json!([{}]) {
                continue;
            }
            let refused = &operation["responses"]["404"]["$ref"];
            assert_eq!(refused, "#/components/responses/Refused", "{method} {path}");
        }
    }
}

#[test]
fn every_problem_is_described() {
    let described = &SPEC["components"]["schemas"]["Problem"]["properties"]["type"]["enum"];
    let described: BTreeSet<&str> = described
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t.as_str().unwrap())
        .collect();
    let ours: Vec<String> = Kind::ALL
        .iter()
        .map(|k| format!("{TAG}{}", k.name))
        .collect();
    let refused = format!("{TAG}refused");
    let ours: BTreeSet<&str> = ours.iter().chain([&refused]).map(|t| &**t).collect();
    assert_eq!(described, ours);
}

#[test]
fn every_word_of_the_protocol_is_described() {
    let schemas = &SPEC["components"]["schemas"];
    let resolutions: Vec<&str> = Resolution::ALL.iter().map(|r| r.label()).collect();
    assert_eq!(schemas["Resolution"]["enum"], json!(resolutions));
    let states = crate::responder::case::RequestState::ALL;
    assert_eq!(schemas["State"]["enum"], json!(states));
    let told = &schemas["Standing"]["properties"]["state"]["enum"];
    for state in states {
        let told_of = crate::responder::api::requests::told(*state);
        assert!(
            told.as_array().unwrap().contains(&json!(told_of)),
            "{told_of}"
        );
    }
    assert!(!CAPABILITIES.is_empty());
}

#[test]
fn the_examples_are_what_they_show() {
    for (_, of) in SPEC["paths"].as_object().unwrap() {
        for (_, operation) in of.as_object().unwrap() {
            let content = &operation["requestBody"]["content"]["application/json"];
            for (_, example) in content["examples"].as_object().into_iter().flatten() {
                SPEC.check(&content["schema"], false, &example["value"]);
            }
        }
    }
}

/// The checks above can fail.
#[test]
#[should_panic(expected = "Additional properties")]
fn a_member_that_is_not_described_is_seen() {
    SPEC.check(
        &json!({ "$ref": "#/components/schemas/Receipt" }),
        true,
        &json!({ "id": "HR-1", "peer": "north" }),
    );
}
