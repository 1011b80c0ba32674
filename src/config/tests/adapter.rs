//! Portals that do not speak our protocol: what docs/ADAPTERS.md shows is read, and the example of ITG is not.

use super::responder::{secret, with_files};
use super::*;
use crate::responder::adapter::{AdapterSettings, Verified};
use crate::responder::case::Mode;
use crate::responder::settings::PortalSettings;

const ON: &str = "\n[responder]\nenabled = true\nkey_file = \"answers.key\"\n";

fn with(more: &str) -> Result<Config, Vec<String>> {
    with_files(&format!("{ON}{more}"), |dir| {
        secret(&dir.join("example.secret"), "s3cret\n");
        fs::write(
            dir.join("example-providers.csv"),
            "peer,portal_id\nnorthstar,P-77\n",
        )
        .unwrap();
    })
}

/// The examples of the documentation, by the kind of adapter.
fn shown() -> Vec<String> {
    let text = include_str!("../../../docs/ADAPTERS.md");
    let blocks = text.split("```toml\n").skip(1);
    blocks
        .map(|b| b.split("```").next().unwrap().to_owned())
        .collect()
}

fn portal(toml: &str) -> PortalSettings {
    let config = with(toml).unwrap_or_else(|p| panic!("{}", p.join("\n")));
    config.responder.unwrap().portals.remove(0)
}

#[test]
fn every_example_of_the_documentation_is_read() {
    let shown = shown();
    assert_eq!(shown.len(), 3);
    let kinds: Vec<AdapterSettings> = shown.iter().map(|t| portal(t).adapter).collect();
    assert!(matches!(kinds[0], AdapterSettings::HttpJson(_)));
    assert!(matches!(kinds[1], AdapterSettings::FileDrop(_)));
    assert!(matches!(kinds[2], AdapterSettings::Mailbox(_)));
}

/// Automatic mode without the proof is worked as assisted, whatever `verified` says.
#[test]
fn what_is_not_proven_sends_nothing_by_itself() {
    let text = &shown()[0];
    assert!(text.contains("mode = \"automatic\"") && text.contains("verified = true"));
    let portal = portal(text);
    assert_eq!(portal.mode, Mode::Assisted);
    assert!(
        Verified::of(&portal)
            .why_not()
            .unwrap()
            .contains("adapter test")
    );
}

#[test]
fn the_example_of_itg_is_refused_by_name_and_line() {
    let text = include_str!("../../../config/itg.example.toml");
    let wrong = with(text).unwrap_err();
    let left = wrong
        .iter()
        .filter(|p| p.contains("is still REPLACE_ME"))
        .count();
    let written = text
        .lines()
        .filter(|l| !l.starts_with('#') && l.contains("REPLACE_ME"));
    assert!(left + 2 >= written.count(), "{wrong:#?}");
    assert!(
        wrong.iter().any(|p| p.contains("list.path is still")),
        "{wrong:#?}"
    );
    assert!(text.contains("verified = false"));
}

#[test]
fn what_can_not_be_is_named() {
    let text = &shown()[0];
    for (from, to, says) in [
        ("\"/call/called\"", "\"call\"", "no JSON pointer"),
        ("called = \"/call/called\"", "callee = \"/x\"", "callee"),
        ("zone = \"UTC\"", "zone = \"Mars\"", "no zone"),
        ("%m/%d/%Y %H:%M:%S", "%H:%M", "no format"),
        (
            "upstream.provider_id",
            "peer.provider_id",
            "peer is no value",
        ),
        (
            "UPSTREAM_DOMESTIC = \"PROVIDER\"",
            "NOT_FOUND = \"x\"",
            "has no word for it",
        ),
        ("northstar", "northstar", ""),
    ] {
        let changed = text.replace(from, to);
        match says {
            "" => drop(portal(&changed)),
            says => {
                let said = with(&changed).unwrap_err().join("; ");
                assert!(said.contains(says), "{to}: {said}");
            }
        }
    }
    let stranger = with_files(&format!("{ON}{text}"), |dir| {
        secret(&dir.join("example.secret"), "s3cret\n");
        fs::write(
            dir.join("example-providers.csv"),
            "peer,portal_id\nnobody,P-77\n",
        )
        .unwrap();
    });
    let said = stranger.unwrap_err().join("; ");
    assert!(said.contains("\"nobody\" is no neighbour"), "{said}");
}
