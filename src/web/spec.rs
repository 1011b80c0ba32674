//! An API's description in docs/api, for tests that hold an API against it.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

/// Schemas by their text, and whether what they don't name is refused.
type Compiled = HashMap<(String, bool), Arc<Validator>>;

/// A description.
pub(crate) struct Spec {
    whole: Value,
    /// Its schemas, which allow what they name alone.
    strict: Value,
    compiled: Mutex<Compiled>,
}

impl Deref for Spec {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.whole
    }
}

impl Spec {
    /// Reads a file of docs/api.
    pub fn read(name: &str) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs/api")
            .join(name);
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// Takes a description that was read.
    pub fn new(whole: Value) -> Self {
        let mut strict = whole["components"].clone();
        close(&mut strict);
        Self {
            whole,
            strict,
            compiled: Mutex::default(),
        }
    }

    /// Fails where `what` is not as a schema says; strictly, where it has members that the schema does not name.
    pub fn check(&self, schema: &Value, strict: bool, what: &Value) {
        let validator = {
            let mut all = self.compiled.lock().unwrap_or_else(|e| e.into_inner());
            let compile = || {
                let components = match strict {
                    true => &self.strict,
                    false => &self.whole["components"],
                };
                let whole = json!({
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "allOf": [schema],
                    "components": components,
                });
                let options = jsonschema::options().should_validate_formats(true);
                Arc::new(options.build(&whole).unwrap())
            };
            all.entry((schema.to_string(), strict))
                .or_insert_with(compile)
                .clone()
        };
        let errors: Vec<String> = validator
            .iter_errors(what)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\nby {schema}\nin {what:#}");
    }

    /// The description of a path, by its template.
    pub fn described(&self, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let (mut a, mut b) = (template.split('/'), path.split('/'));
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return true,
                    (Some(t), Some(p)) if t == p || t.starts_with('{') => {}
                    _ => return false,
                }
            }
        };
        let paths = self.whole["paths"].as_object().unwrap();
        paths.iter().find(|(t, _)| fits(t)).map(|(_, d)| d)
    }

    /// What a reference leads to; anything else is itself.
    pub fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(at) => self.whole.pointer(at.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }
}

fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".into(), false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
