//! A commented default becomes a page of section 5: its comments are the manual, so that it can't say anything else.
//!
//! Lines that it knows: `# text` at the top, `[section]  # text`, `key = value  # text`, and a line of white space and `# text` that goes on with the one
//! above. A `#` right before a section or key means that it is not set. `tests` hold the shipped file to that.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// A line, as it is meant.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Empty,
    /// The heading of a section, and what is said of it.
    Section(&'a str, &'a str),
    /// What is assigned, whether that is so by default, and what is said of it.
    Key(&'a str, bool, &'a str),
    /// Goes on with the line above.
    Text(&'a str),
    /// Nothing of these.
    Unknown(&'a str),
}

/// The page `name(5)`.
pub(super) fn page(name: &str, what: &str, text: &str) -> String {
    let mut page = Roff::new();
    page.control("TH", [name, "5", "", "tracehop", "File formats"]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {what}"))]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([
        roman("TOML. Below, each key stands with a value: its default, or an example where the page says "),
        italic("not set"),
        roman("."),
    ]);
    page.control("PP", []);
    for line in text.lines().map(read) {
        match line {
            Line::Empty => {}
            Line::Section(name, said) => {
                page.control("SH", [name]);
                page.text(said_of(said));
            }
            Line::Key(assigned, is_default, said) => {
                page.control("TP", []);
                let mut head: Vec<Inline> = vec![bold(assigned)];
                if !is_default {
                    head.extend([roman(" ("), italic("not set"), roman(")")]);
                }
                page.text(head);
                page.text(said_of(said));
            }
            Line::Text(said) | Line::Unknown(said) => {
                page.text(said_of(said));
            }
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("tracehop"), roman("(1)")]);
    page.to_roff()
}

fn said_of(said: &str) -> Vec<Inline> {
    match said {
        "" => Vec::new(),
        said => vec![roman(said)],
    }
}

fn read(line: &str) -> Line<'_> {
    if line.trim().is_empty() {
        return Line::Empty;
    }
    if let Some(said) = line.trim_start().strip_prefix("# ") {
        return Line::Text(said.trim());
    }
    let (set, rest) = match line.strip_prefix('#') {
        Some(rest) => (false, rest),
        None => (true, line),
    };
    let (code, said) = split(rest);
    if code.starts_with('[') && code.ends_with(']') {
        return Line::Section(code, said);
    }
    let key = code.split_once(" = ").map(|(key, _)| key);
    let is_key = |k: &str| k.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match key.filter(|k| is_key(k)) {
        Some(_) => Line::Key(code, set, said),
        None => Line::Unknown(line),
    }
}

/// What is assigned, and the comment behind it. A `#` in quotes is none.
fn split(line: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => {
                let (code, said) = line.split_at(at);
                return (code.trim(), said.trim_start_matches('#').trim());
            }
            _ => {}
        }
    }
    (line.trim(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_they_are_meant_as() {
        assert_eq!(read(""), Line::Empty);
        assert_eq!(read("# top"), Line::Text("top"));
        assert_eq!(read("      # more"), Line::Text("more"));
        assert_eq!(read("[run]"), Line::Section("[run]", ""));
        assert_eq!(read("#[[a.b]]  # x"), Line::Section("[[a.b]]", "x"));
        assert_eq!(read("a = 1  # x"), Line::Key("a = 1", true, "x"));
        assert_eq!(read("#a = \"9#\" # x"), Line::Key("a = \"9#\"", false, "x"));
        assert_eq!(read("#what is this"), Line::Unknown("#what is this"));
    }

    #[test]
    fn every_line_of_the_shipped_files_is_understood_and_on_the_page() {
        for (name, what, text) in super::super::FILES {
            let page = page(name, what, text);
            for (n, line) in text.lines().enumerate() {
                assert!(!matches!(read(line), Line::Unknown(_)), "{name}:{}", n + 1);
                if let Line::Key(assigned, ..) = read(line) {
                    let key = assigned.split_once(" = ").unwrap().0;
                    assert!(page.contains(&format!("\\fB{key} = ")), "{name}: {key}");
                }
            }
        }
    }

    #[test]
    fn what_groff_would_take_for_an_order_is_text() {
        let page = page("x", "y", "a = \"\\n\" # 'quoted'\n# .hidden\n");
        assert!(page.contains("\\\\n"), "{page}");
        assert!(!page.contains("\n.hidden"), "{page}");
    }
}
