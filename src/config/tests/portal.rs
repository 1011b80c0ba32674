//! `portal.toml`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::super::PortalConfig;
use crate::portal::settings::HintPolicy;
use crate::proof::sign::new_key;

const LEAST: &str = "[portal]\nname = \"tb\"\nkey_file = \"portal.key\"\n";

fn load(text: &str) -> Result<PortalConfig, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    new_key(&dir.path().join("portal.key")).unwrap();
    load_in(dir.path(), text)
}

fn load_in(dir: &Path, text: &str) -> Result<PortalConfig, Vec<String>> {
    let path = dir.join("portal.toml");
    fs::write(&path, text).unwrap();
    PortalConfig::load(&path).map_err(|all| {
        let line = |p: &super::super::Problem| format!("{}: {} | {}", p.line, p.what, p.remedy);
        all.iter().map(line).collect()
    })
}

#[test]
fn the_shipped_file_is_valid_and_says_the_defaults() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/portal.toml");
    let text = fs::read_to_string(shipped).unwrap();
    let config = load(&text).unwrap();
    let least = load(LEAST).unwrap();
    let mut said = config.settings.clone();
    said.state.clone_from(&least.settings.state);
    said.key_file.clone_from(&least.settings.key_file);
    assert_eq!(said, least.settings);
    assert_eq!((config.log, config.user), (least.log, least.user));
    assert!(said.push.inside, "its api listens on loopback");
    // What is commented out can be switched on.
    let on = text
        .replace("\n#inside", "\ninside")
        .replace("\n#deadline", "\ndeadline");
    let on = load(&on.replace("\n#grace", "\ngrace")).unwrap();
    assert!(!on.settings.push.inside);
    assert_eq!(on.settings.walk.deadline, Some(Duration::from_secs(60)));
    assert_eq!(on.settings.walk.grace, Duration::from_secs(5));
    assert_eq!(on.notes().len(), 1);
}

#[test]
fn every_problem_is_named_with_its_line() {
    let text = "[portal]\nname = \"A B\"\nkey_file = \"none.key\"\nfoo = 1\n[api]\nlisten = \"0.0.0.0:1\"\n[console]\nlisten = \"nowhere\"\n\
        certificate = \"x.pem\"\n[intake]\nfresh_days = 20\noldest_days = 10\n[walk]\nhint = \"always\"\nmost_hops = 0\n[[requester]]\nname = \"a\"\n[more]\n";
    let problems = load(text).unwrap_err();
    let says = |line: usize, what: &str| {
        let found = problems
            .iter()
            .any(|p| p.starts_with(&format!("{line}: ")) && p.contains(what));
        assert!(found, "{line} {what} in {problems:#?}");
    };
    says(2, "is no name");
    says(3, "none.key");
    says(4, "foo");
    says(5, "0.0.0.0:1 is reached by others");
    says(8, "no address with a port");
    says(9, "x.pem does not exist");
    says(10, "fresh_days is 20");
    says(14, "no choice \"always\"");
    says(15, "most_hops");
    says(16, "organisation is missing");
    says(18, "more");
}

#[test]
fn a_key_must_be_secret_and_of_ed25519() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("portal.key");
    new_key(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let why = load_in(dir.path(), LEAST).unwrap_err().join("\n");
    assert!(why.contains("chmod 600"), "{why}");
    let random = ring::rand::SystemRandom::new();
    let kind = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let der = ring::signature::EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    fs::write(&key, pem.as_bytes()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let why = load_in(dir.path(), LEAST).unwrap_err().join("\n");
    assert!(why.contains("Ed25519"), "{why}");
}

#[test]
fn doors_and_requesters_are_told_apart() {
    let same =
        format!("{LEAST}[api]\nlisten = \"127.0.0.1:9\"\n[console]\nlisten = \"127.0.0.1:9\"\n");
    assert!(load(&same).unwrap_err()[0].contains("another port"));
    let dir = tempfile::tempdir().unwrap();
    new_key(&dir.path().join("portal.key")).unwrap();
    let token = dir.path().join("t");
    fs::write(&token, "x".repeat(40)).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let one = "[[requester]]\nname = \"a\"\norganisation = \"Agency\"\ntoken_file = \"t\"\n";
    let config = load_in(
        dir.path(),
        &format!("{LEAST}[walk]\nhint = \"at-once\"\n{one}"),
    )
    .unwrap();
    assert_eq!(&*config.settings.requesters[0].organisation, "Agency");
    assert_eq!(config.settings.walk.hint, HintPolicy::AtOnce);
    let twice = load_in(dir.path(), &format!("{LEAST}{one}{one}")).unwrap_err();
    assert!(twice[0].contains("two requesters"), "{twice:?}");
}
