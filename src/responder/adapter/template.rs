//! Bodies and paths of what goes out, as templates of the operator's.
//!
//! A template gets the values of [`super::submission`] and nothing else: no file, no other template, no time. Each value is escaped for the kind of text that it
//! goes into, and escaping can't be switched off. A name that is not known, or a value that is not there, is an error and never an empty text: half an answer could
//! accuse the wrong carrier. Steps and octets are bounded.

use std::fmt;
use std::io::{self, Write};

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::web::client::escaped;

/// Longest template.
pub const MAX_TEMPLATE: usize = 64 * 1024;

/// Longest text that a template may give: an answer with its signature is a tenth of it.
pub const MAX_OUTPUT: usize = 256 * 1024;

/// Steps of the template engine: a loop over all that there is in an answer takes some hundreds.
const FUEL: u64 = 50_000;

/// What a template makes, and so how values are escaped in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Escape {
    /// JSON: each value is written as a JSON value, with its quotes.
    Json,
    /// A path, a query or a form: everything but unreserved characters in percent signs.
    Url,
    /// XML or HTML.
    Markup,
    /// Plain text: control characters become spaces.
    Plain,
    /// One line of plain text, such as the subject of a mail.
    Line,
}

impl Escape {
    /// By the type of a body; `None` for one that we don't know how to escape for.
    pub fn of_type(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        match &*kind {
            "application/x-www-form-urlencoded" => Some(Self::Url),
            "application/json" => Some(Self::Json),
            "text/plain" => Some(Self::Plain),
            "text/xml" | "application/xml" | "text/html" => Some(Self::Markup),
            k if k.ends_with("+json") => Some(Self::Json),
            k if k.ends_with("+xml") => Some(Self::Markup),
            _ => None,
        }
    }
}

/// A template that can be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Template {
    text: Box<str>,
    escape: Escape,
}

/// Why a template gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl From<Error> for TemplateError {
    fn from(e: Error) -> Self {
        let line = e.line().map_or(String::new(), |l| format!("line {l}: "));
        let detail = e.detail().map_or(String::new(), |d| format!(": {d}"));
        let source = std::error::Error::source(&e).map_or(String::new(), |s| format!(": {s}"));
        Self(format!("{line}{}{detail}{source}", e.kind()))
    }
}

impl Template {
    /// Reads one. `known` are the names of the values that it will get.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str, escape: Escape, known: &[&str]) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError(format!(
                "{} octets; at most {MAX_TEMPLATE}",
                text.len()
            )));
        }
        if text.contains("autoescape") {
            return Err(TemplateError("escaping is not to be changed".to_owned()));
        }
        let environment = environment(escape);
        let template = environment.template_from_str(text)?;
        let mut strange: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        strange.retain(|name| !known.contains(&&**name));
        strange.sort();
        if !strange.is_empty() {
            return Err(TemplateError(format!(
                "{} is no value that it gets; there are {}",
                strange.join(", "),
                known.join(", ")
            )));
        }
        Ok(Self {
            text: text.into(),
            escape,
        })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Fills it in.
    ///
    /// # Errors
    ///
    /// A value that is not there, a text that is too long, or JSON that is none.
    pub fn render(&self, values: &serde_json::Value) -> Result<String, TemplateError> {
        let environment = environment(self.escape);
        let template = environment.template_from_str(&self.text)?;
        let mut out = Bounded(Vec::new());
        template.render_captured_to(Value::from(Serde(values)), &mut out)?;
        let text = String::from_utf8(out.0).map_err(|e| TemplateError(e.to_string()))?;
        if self.escape == Escape::Json {
            serde_json::from_str::<serde::de::IgnoredAny>(&text)
                .map_err(|e| TemplateError(format!("what it gives is no JSON: {e}")))?;
        }
        Ok(text)
    }
}

fn environment(escape: Escape) -> Environment<'static> {
    let mut e = Environment::new();
    e.set_undefined_behavior(UndefinedBehavior::Strict);
    e.set_fuel(Some(FUEL));
    e.set_recursion_limit(32);
    e.remove_filter("safe");
    e.remove_global("debug");
    let auto = match escape {
        Escape::Json => AutoEscape::Json,
        Escape::Markup => AutoEscape::Html,
        Escape::Url | Escape::Plain | Escape::Line => AutoEscape::None,
    };
    e.set_auto_escape_callback(move |_| auto.clone());
    if let Escape::Url | Escape::Plain | Escape::Line = escape {
        e.set_formatter(move |out, _, value| {
            if value.is_undefined() || value.is_none() {
                let what = "a value that is not there can't be written";
                return Err(Error::new(ErrorKind::UndefinedError, what));
            }
            let text = value.to_string();
            let text = match escape {
                Escape::Url => escaped(&text),
                Escape::Line => text.replace(char::is_control, " "),
                _ => text.replace(|c: char| c.is_control() && c != '\n', " "),
            };
            fmt::Write::write_str(out, &text).map_err(Error::from)
        });
    }
    e
}

/// Takes so many octets and no more.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.0.len() + octets.len() > MAX_OUTPUT {
            return Err(io::Error::other(format!("more than {MAX_OUTPUT} octets")));
        }
        self.0.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn render(text: &str, escape: Escape, a: serde_json::Value) -> Result<String, TemplateError> {
        Template::parse(text, escape, &["a"])?.render(&json!({ "a": a }))
    }

    #[test]
    fn values_are_escaped_for_where_they_stand() {
        let hostile = json!("x\",\"upstream\":\"y</a>\r\n&z");
        let json = render(r#"{"a": {{ a }}}"#, Escape::Json, hostile.clone()).unwrap();
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read, json!({ "a": hostile }));
        let url = render("/h/{{ a }}/x", Escape::Url, json!("../a b?&é")).unwrap();
        assert_eq!(url, "/h/..%2Fa%20b%3F%26%C3%A9/x");
        assert_eq!(
            render("/{{ a }}", Escape::Url, json!("..")).unwrap(),
            "/%2E%2E"
        );
        let xml = render("<a>{{ a }}</a>", Escape::Markup, hostile.clone()).unwrap();
        assert!(!xml.contains("y</a>"), "{xml}");
        let line = render("Subject {{ a }}", Escape::Line, hostile).unwrap();
        assert!(!line.contains(['\r', '\n']), "{line}");
    }

    #[test]
    fn what_is_not_there_is_an_error_and_never_empty() {
        for escape in [Escape::Json, Escape::Url, Escape::Plain, Escape::Markup] {
            assert!(
                render("{{ a.b }}", escape, json!({})).is_err(),
                "{escape:?}"
            );
        }
        assert!(render("{{ a }}", Escape::Url, json!(null)).is_err());
        assert_eq!(
            render("{{ a }}", Escape::Json, json!(null)).unwrap(),
            "null"
        );
        let asked = "{% if a.b is defined %}{{ a.b }}{% else %}0{% endif %}";
        assert_eq!(render(asked, Escape::Json, json!({})).unwrap(), "0");
    }

    #[test]
    fn templates_reach_nothing_else_and_end() {
        for (text, says) in [
            ("{{ b }}", "b is no value"),
            (
                "{% autoescape false %}{{ a }}{% endautoescape %}",
                "escaping",
            ),
            ("{{ a|safe }}", "filter"),
            ("{% include 'x' %}", "template"),
            ("{{ a", "syntax"),
            ("{\"a\": {{ a }}", "no JSON"),
        ] {
            let long = json!("x".repeat(1000));
            let why = render(text, Escape::Json, long).unwrap_err().to_string();
            assert!(why.contains(says), "{text}: {why}");
        }
        let many = json!(vec!["x".repeat(2000); 300]);
        let twice = "{% for i in a %}{% for j in a %}x{% endfor %}{% endfor %}";
        let why = render(twice, Escape::Json, many.clone()).unwrap_err();
        assert!(why.to_string().contains("fuel"), "{why}");
        let why = render("{{ a }}", Escape::Json, many).unwrap_err();
        assert!(why.to_string().contains("octets"), "{why}");
        let long = " ".repeat(MAX_TEMPLATE + 1);
        assert!(Template::parse(&long, Escape::Plain, &[]).is_err());
    }

    #[test]
    fn a_type_that_nobody_can_escape_for_is_not_taken() {
        assert_eq!(
            Escape::of_type("application/json; charset=utf-8"),
            Some(Escape::Json)
        );
        assert_eq!(
            Escape::of_type("application/vnd.portal+json"),
            Some(Escape::Json)
        );
        assert_eq!(Escape::of_type("multipart/form-data"), None);
    }

    proptest! {
        #[test]
        fn json_holds_whatever_the_value_is(a in ".{0,60}") {
            let text = render(r#"{"a": {{ a }}, "b": [{{ a }}]}"#, Escape::Json, json!(a)).unwrap();
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read, json!({"a": a, "b": [a]}));
        }

        #[test]
        fn a_value_stays_one_segment(a in ".{0,60}") {
            let text = render("/h/{{ a }}", Escape::Url, json!(a)).unwrap();
            prop_assert_eq!(text.matches('/').count(), 2);
            prop_assert!(!text.contains(['?', '#', ' ']));
        }
    }
}
