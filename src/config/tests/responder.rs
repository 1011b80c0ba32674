//! Answers to traceback requests: off by default, and safe where they are on.

use super::*;
use crate::responder::adapter::AdapterSettings;
use crate::responder::case::Mode;
use crate::responder::settings::Role;
use crate::traceback::answer::Resolution;

/// Files with secrets, which only their owner may read.
const SECRETS: [&str; 6] = [
    "answers.key",
    "responder.key",
    "client.key",
    "alice.token",
    "portal.token",
    "other.token",
];

pub(super) fn secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The configuration that ships, with more behind it, beside files for all that it may name.
fn with(more: &str) -> Result<Config, Vec<String>> {
    with_files(more, |_| {})
}

/// The same, with more files.
pub(super) fn with_files(more: &str, files: impl Fn(&Path)) -> Result<Config, Vec<String>> {
    let (dir, path) = good();
    files(dir.path());
    for name in SECRETS {
        secret(&dir.path().join(name), &"0123456789abcdef".repeat(4));
    }
    secret(
        &dir.path().join("portal.secrets"),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
    );
    fs::write(dir.path().join("open.token"), "0".repeat(64)).unwrap();
    secret(&dir.path().join("short.token"), "guess\n");
    for name in ["responder.pem", "portals-ca.pem"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("#portal_id", "portal_id") + more;
    fs::write(&path, text).unwrap();
    Config::load(&path).map_err(|p| {
        let each = p.into_iter();
        each.map(|p| format!("{} / {}", p.what, p.remedy)).collect()
    })
}

#[test]
fn nothing_is_answered_unless_it_is_switched_on() {
    assert!(with("").unwrap().responder.is_none());
    let off = "[responder]\n[[responder.portal]]\nname = \"p\"\nwebhook_secrets = \"portal.secrets\"\ndeadline = \"plain-24h\"\n";
    assert!(
        with(off).unwrap_err()[0].contains("nobody listens"),
        "checked all the same"
    );
    let off = off.replace(
        "[responder]\n",
        "[responder]\nlisten = \"127.0.0.1:8443\"\n",
    );
    assert!(with(&off).unwrap().responder.is_none());
}

/// What stands in the file as comments is what would be read.
#[test]
fn the_section_that_ships_is_good_when_it_is_taken_out_of_its_comments() {
    let shipped = include_str!("../../../config/tracehop.toml");
    let (_, commented) = shipped.split_once("#[responder]").unwrap();
    let (commented, _) = commented.split_once("\n[http]").unwrap();
    let live = "\n[responder]".to_owned() + &commented.replace("\n#", "\n");
    let live = live.replace("roots = \"other-root.pem\"", "#");
    let live = live
        .replace("certificate = \"client.pem\"", "#")
        .replace("key = \"client.key\"", "#");
    let responder = with(&live).unwrap().responder.unwrap();
    assert!(responder.state.ends_with("state/responder"));
    assert_eq!(responder.open_requests, 10_000);
    assert_eq!(responder.operators[0].roles, [Role::Read, Role::Decide]);
    assert!(responder.tls.unwrap().client_ca.is_some());
    let [push, pull] = &responder.portals[..] else {
        panic!("two portals")
    };
    assert_eq!((push.mode, pull.mode), (Mode::Shadow, Mode::Shadow));
    assert_eq!(push.automatic, [Resolution::UpstreamDomestic]);
    assert_eq!(push.adapter, AdapterSettings::PushOnly);
    let AdapterSettings::Reference(reference) = &pull.adapter else {
        panic!("no reference")
    };
    assert_eq!(&*reference.provider, "PROVIDER-1");
    assert_eq!(&*pull.time_zone, "UTC");
    assert!(pull.reports.is_empty());
}

#[test]
fn what_can_not_be_is_named_with_what_to_write() {
    let portal = "name = \"p\"\ndeadline = \"plain-24h\"\nwebhook_secrets = \"portal.secrets\"\n";
    for (responder, more, says) in [
        ("", "x = 1", "unknown key responder.portal.x"),
        ("", "mode = \"live\"", "has no choice \"live\""),
        ("", "mode = \"assisted\"", "nothing could be signed"),
        (
            "",
            "automatic = [\"REFUSED\"]",
            "REFUSED is for a person to say",
        ),
        (
            "",
            "automatic = [\"LEGAL_HOLD\"]",
            "LEGAL_HOLD is for a person to say",
        ),
        (
            "",
            "automatic = [\"AMBIGUOUS\"]",
            "AMBIGUOUS is for a person to say",
        ),
        (
            "",
            "automatic = [\"CAPTURE_GAP\"]",
            "CAPTURE_GAP is for a person to say",
        ),
        ("", "automatic = [\"SURE\"]", "\"SURE\" is no resolution"),
        (
            "",
            "time_zone = \"Moon/Sea\"",
            "\"Moon/Sea\" is no time zone",
        ),
        (
            "",
            "token_file = \"open.token\"",
            "others than its owner may read it",
        ),
        (
            "",
            "token_file = \"short.token\"",
            "no token that nobody guesses",
        ),
        ("", "token_file = \"none.token\"", "none.token"),
        ("", "client_certificate = \"x\"", "nobody is asked for one"),
        ("", "reports = [\"no-such\"]", "\"no-such\" is no flag"),
        (
            "",
            "adapter = \"carrier-pigeon\"",
            "no choice \"carrier-pigeon\"",
        ),
        ("", "adapter = \"reference\"", "reference.url is missing"),
        (
            "",
            "adapter = \"reference\"\n[responder.portal.reference]\nurl = \"http://portal.example.net\"",
            "no URL with https",
        ),
        (
            "",
            "adapter = \"reference\"\n[responder.portal.reference]\nurl = \"https://portal.example.net\"\ncertificate = \"responder.pem\"",
            "needs certificate and key",
        ),
        ("listen = \"edge\"", "", "no address with a port"),
        ("listen = \"192.0.2.1:8443\"", "", "no [responder.tls]"),
        (
            "public_url = \"http://edge.example.net\"",
            "",
            "no URL with https",
        ),
        (
            "open_requests = 0",
            "",
            "open_requests is not a whole number",
        ),
    ] {
        let listen = if responder.contains("listen") {
            ""
        } else {
            "listen = \"127.0.0.1:8443\""
        };
        let text = format!(
            "\n[responder]\nenabled = true\n{listen}\n{responder}\n[[responder.portal]]\n{portal}{more}\n"
        );
        let all = with(&text).err().unwrap_or_default().join("; ");
        assert!(all.contains(says), "{responder} {more}: {all}");
    }
    let none = with("\n[responder]\nenabled = true\n")
        .unwrap_err()
        .join("; ");
    assert!(none.contains("no portal could ask anything"), "{none}");
    let us = "\n[responder]\nenabled = true\nlisten = \"127.0.0.1:1\"\n[[responder.portal]]\nname = \"p\"\nwebhook_secrets = \"portal.secrets\"\n";
    let zone = with(us).unwrap_err().join("; ");
    assert!(zone.contains("time_zone is missing"), "{zone}");
    let deaf = "\n[responder]\nenabled = true\n[[responder.portal]]\nname = \"p\"\ndeadline = \"plain-24h\"\n";
    let deaf = with(deaf).unwrap_err().join("; ");
    assert!(deaf.contains("neither pushes nor is asked"), "{deaf}");
}

#[test]
fn answers_need_to_say_who_gives_them() {
    let (dir, path) = good();
    secret(
        &dir.path().join("portal.secrets"),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
    );
    let text = fs::read_to_string(&path).unwrap();
    let on = "\n[responder]\nenabled = true\nlisten = \"127.0.0.1:1\"\n[[responder.portal]]\nname = \"p\"\nwebhook_secrets = \"portal.secrets\"\ndeadline = \"plain-24h\"\n";
    fs::write(&path, text + on).unwrap();
    let problems = Config::load(&path).unwrap_err();
    assert!(
        problems[0].what.contains("provider.portal_id is missing"),
        "{problems:?}"
    );
}
