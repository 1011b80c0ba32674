//! The description in docs/api and the API are held against each other: every route is in it, and every request that was understood and every reply of the
//! tests here is what it says. Replies are held strictly: a member that it does not name is an error.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::routing::MethodFilter;

use super::*;
use crate::portal::api::routes::{For, ROUTES};
use crate::portal::word;
use crate::web::spec::Spec;

static SPEC: LazyLock<Spec> = LazyLock::new(|| {
    let mut spec = Spec::read("portal.yaml");
    // What it takes from the other side's description is put beside its own, under the same names.
    let other = Spec::read("hop-answer.yaml");
    for (name, schema) in other["components"]["schemas"].as_object().unwrap() {
        let ours = &mut spec["components"]["schemas"];
        if ours.get(name).is_none() {
            ours[name] = schema.clone();
        }
    }
    here(&mut spec);
    Spec::new(spec)
});

/// References to the other description, as ones to our own.
fn here(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" => {
                        *text = text.replace("hop-answer.yaml#", "#");
                    }
                    value => here(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(here),
        _ => {}
    }
}

pub(super) fn holds(method: &str, path: &str, body: &str, reply: &Reply) {
    let operation = SPEC.described(path).map(|d| &d[method.to_lowercase()]);
    let Some(operation) = operation.filter(|o| o.is_object()) else {
        let absent = &SPEC["components"]["schemas"]["Problem"];
        return SPEC.check(absent, true, &reply.json());
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
        None => assert_eq!(reply.body, "", "{reply:?}"),
        Some(content) => {
            let (kind, content) = content.iter().next().unwrap();
            let shown = reply.header("content-type").unwrap();
            assert_eq!(shown.split(';').next().unwrap(), &**kind);
            if kind == "text/plain" {
                return;
            }
            SPEC.check(&content["schema"], true, &reply.json());
        }
    }
    let understood = (200..300).contains(&reply.code);
    let wanted = &operation["requestBody"]["content"]["application/json"]["schema"];
    if understood && wanted.is_object() {
        let body: Value = serde_json::from_str(body).unwrap();
        SPEC.check(wanted, false, &body);
    }
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let methods = [
        ("get", MethodFilter::GET),
        ("post", MethodFilter::POST),
        ("put", MethodFilter::PUT),
    ];
    let name = |filter| methods.iter().find(|(_, f)| *f == filter).unwrap().0;
    let served: BTreeSet<(&str, &str)> = ROUTES.iter().map(|r| (r.path, name(r.method))).collect();
    assert_eq!(served.len(), ROUTES.len());
    let mut said = BTreeSet::new();
    for (path, of) in SPEC["paths"].as_object().unwrap() {
        let methods = of.as_object().unwrap().keys();
        said.extend(
            methods
                .filter(|k| *k != "parameters")
                .map(|m| (&**path, &**m)),
        );
    }
    assert_eq!(served, said);
}

#[test]
fn every_operation_says_for_whom_it_is_and_what_others_get() {
    for route in ROUTES {
        let method = if route.method == MethodFilter::GET {
            "get"
        } else if route.method == MethodFilter::POST {
            "post"
        } else {
            "put"
        };
        let operation = &SPEC["paths"][route.path][method];
        let tag = match route.whose {
            For::Providers => "providers",
            For::Requesters => "requesters",
            For::Everybody => "everybody",
            For::Watchers => "watchers",
        };
        assert_eq!(operation["tags"], json!([tag]), "{}", route.path);
        let known = matches!(route.whose, For::Providers | For::Requesters);
        let refused = &operation["responses"]["401"]["$ref"];
        assert_eq!(
            refused == "#/components/responses/Unknown",
            known,
            "{}",
            route.path
        );
    }
}

#[test]
fn every_problem_is_described() {
    let text = SPEC["components"]["schemas"]["Problem"]["description"]
        .as_str()
        .unwrap();
    for kind in super::super::problem::ALL {
        assert!(text.contains(&format!("`{}`", kind.name)), "{}", kind.name);
    }
}

#[test]
fn every_word_of_the_portal_is_described() {
    let of = |words: Vec<&str>, at: &str| {
        let said = SPEC
            .pointer(&format!("/components/schemas/{at}/enum"))
            .unwrap();
        assert_eq!(*said, json!(words), "{at}");
    };
    let states: Vec<_> = word::CaseState::ALL.iter().map(|w| w.label()).collect();
    of(states.clone(), "Submitted/properties/state");
    of(states, "Traceback/properties/state");
    let step = "Traceback/properties/path/items/properties";
    of(
        word::Branch::ALL.iter().map(|w| w.label()).collect(),
        &format!("{step}/branch"),
    );
    of(
        word::HopState::ALL.iter().map(|w| w.label()).collect(),
        &format!("{step}/state"),
    );
    let outcome =
        &SPEC["components"]["schemas"]["Traceback"]["properties"]["outcome"]["description"];
    for word in word::Outcome::ALL {
        assert!(outcome.as_str().unwrap().contains(word.label()), "{word}");
    }
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
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    SPEC.check(&problem, true, &json!({ "status": 404, "peer": "north" }));
}
