//! Files that change, break and roll back under a daemon that holds trust.

use super::*;
use crate::stir::credential::Credential;
use crate::stir::credential::testpki::{self as pki, CrlBuilder, Issuer};
use tempfile::TempDir;

const URL: &str = "https://cert.example.net/sp.pem";
const DAY: i64 = 86_400;

/// The files of a provider in order, to be changed.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir(site.path("x5u")).unwrap();
        site.write("root.pem", &pki::pem(&[&pki::sti_pa_root().der]));
        site.write("list-signer.pem", &pki::pem(&[&list_signer().der]));
        site.write("crl-signer.pem", &pki::pem(&[&crl_signer().der]));
        site.write(
            "x5u/index.toml",
            format!("\"{URL}\" = \"sp.pem\"\n").as_bytes(),
        );
        site.certificate(&pki::root());
        site.list(&[&pki::root()], pki::NOW + DAY);
        site.crl(&CrlBuilder::new(vec![]));
        site
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, content: &[u8]) {
        fs::write(self.path(file), content).unwrap();
    }

    fn certificate(&self, issuer: &Issuer) {
        let leaf = pki::leaf(issuer, "709J").build();
        self.write("x5u/sp.pem", &pki::pem(&[&leaf]));
    }

    fn list(&self, authorities: &[&Issuer], exp: i64) {
        let entries: Vec<_> = authorities
            .iter()
            .map(|ca| String::from_utf8(pki::pem(&[&ca.der])).unwrap())
            .collect();
        let payload =
            serde_json::json!({"version": "1.0", "sequence": 0, "exp": exp, "trustList": entries});
        let header = r#"{"alg":"ES256","typ":"JWT","x5u":"https://sti-pa.example/signer.pem"}"#;
        let jws = pki::jws(header, &payload.to_string(), &list_signer().key);
        self.write("ca-list.jws", jws.as_bytes());
    }

    fn crl(&self, list: &CrlBuilder) {
        self.write("crl.der", &list.build(&crl_signer()));
    }

    fn files(&self) -> CredentialFiles {
        CredentialFiles {
            directory: Some(self.path("x5u")),
            ca_list: Some(self.path("ca-list.jws")),
            ca_list_signer: Some(self.path("list-signer.pem")),
            sti_pa_root: Some(self.path("root.pem")),
            crl: Some(self.path("crl.der")),
            crl_signer: Some(self.path("crl-signer.pem")),
            ..CredentialFiles::default()
        }
    }

    fn open(&self) -> HeldTrust {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<HeldTrust, LoadError> {
        HeldTrust::open(self.files(), Some(self.path("history.json")), now())
    }
}

fn list_signer() -> Issuer {
    pki::list_signer(43, 0x80)
}

fn crl_signer() -> Issuer {
    pki::list_signer(41, 0x02)
}

fn now() -> Timestamp {
    Timestamp::from_secs(pki::NOW)
}

fn revoking(number: u8, serial: u8) -> CrlBuilder {
    let issuer = pki::certificate_issuer(&pki::root().name());
    let mut list = CrlBuilder::new(vec![(vec![serial], pki::NOW - 7200, vec![issuer])]);
    list.extensions[0].2 = pki::tlv(0x02, &[number]);
    list
}

fn credential(held: &HeldTrust) -> Arc<Credential> {
    held.current().credentials.get(URL).unwrap().clone()
}

fn is_trusted(held: &HeldTrust) -> bool {
    !credential(held).chain_at(None, now()).is_empty()
}

fn is_revoked(held: &HeldTrust) -> bool {
    let credential = credential(held);
    credential.chain_at(None, now())[0].revocation.is_some()
}

#[track_caller]
fn kept(held: &mut HeldTrust, why: &str) {
    let before = held.current().clone();
    let Reload::Kept(said) = held.reload_at(now()) else {
        panic!("it was swapped in")
    };
    assert!(said.contains(why), "{said}");
    assert_eq!(held.trouble(), Some(&*said));
    assert!(Arc::ptr_eq(held.current(), &before));
}

#[track_caller]
fn swapped(held: &mut HeldTrust) {
    assert_eq!(held.reload_at(now()), Reload::Swapped);
    assert_eq!(held.trouble(), None);
}

#[test]
fn l5_an_authority_that_was_removed_carries_no_new_call_and_what_was_taken_before_stays() {
    let site = Site::new();
    let mut held = site.open();
    let before = held.current().clone();
    assert!(is_trusted(&held));
    site.list(&[&pki::other_root()], pki::NOW + DAY + 1);
    swapped(&mut held);
    assert!(!is_trusted(&held));
    let old = before.credentials.get(URL).unwrap();
    assert!(!old.chain_at(None, now()).is_empty());
    site.certificate(&pki::other_root());
    swapped(&mut held);
    assert!(is_trusted(&held));
}

#[test]
fn l3_a_list_that_is_broken_older_or_ended_keeps_the_trust_at_hand() {
    let site = Site::new();
    let mut held = site.open();
    site.write("ca-list.jws", b"a.b.c");
    kept(&mut held, "no compact JWS");
    site.write("ca-list.jws", b"");
    kept(&mut held, "no compact JWS");
    site.list(&[&pki::other_root()], pki::NOW + DAY - 1);
    kept(&mut held, "an older list is not taken back");
    fs::remove_file(site.path("ca-list.jws")).unwrap();
    kept(&mut held, "ca-list.jws");
    assert!(is_trusted(&held));
    // The one at hand may come again, and a newer one may.
    site.list(&[&pki::root()], pki::NOW + DAY);
    swapped(&mut held);
    site.list(&[&pki::root(), &pki::other_root()], pki::NOW + 2 * DAY);
    swapped(&mut held);
    assert_eq!(held.current().authorities, 2);
    assert_eq!(
        held.current().ca_list_ends,
        Some(Timestamp::from_secs(pki::NOW + 2 * DAY))
    );
}

#[test]
fn l3_a_list_that_ends_while_it_is_held_stays_with_an_alarm_and_a_new_one_that_ended_is_not_taken()
{
    let site = Site::new();
    let mut held = site.open();
    let later = Timestamp::from_secs(pki::NOW + DAY + 1);
    assert!(!held.ca_list_has_expired(now()));
    assert!(held.ca_list_has_expired(later));
    assert_eq!(held.reload_at(later), Reload::Swapped);
    assert!(is_trusted(&held));
    assert!(held.current().notes.iter().any(|n| n.contains("ran out")));
    site.list(&[&pki::root(), &pki::other_root()], pki::NOW + DAY);
    let Reload::Kept(why) = held.reload_at(later) else {
        panic!()
    };
    assert!(why.contains("the new CA list ended at"), "{why}");
    assert_eq!(held.current().authorities, 1);
}

#[test]
fn l3_what_was_accepted_is_remembered_over_a_restart() {
    let site = Site::new();
    drop(site.open());
    let older = Site::new();
    fs::copy(site.path("history.json"), older.path("history.json")).unwrap();
    older.list(&[&pki::other_root()], pki::NOW + DAY - 1);
    let error = older.try_open().unwrap_err().to_string();
    assert!(error.contains("an older list is not taken back"), "{error}");
    assert!(error.contains("delete the history file"));
    fs::remove_file(older.path("history.json")).unwrap();
    assert!(older.try_open().is_ok());
    // A broken history is no empty one.
    older.write("history.json", b"{\"ca_list_exp\":");
    let error = older.try_open().unwrap_err().to_string();
    assert!(error.contains("history.json"), "{error}");
}

#[test]
fn r5_a_revocation_list_that_is_broken_or_older_is_replaced_by_the_last_good_one() {
    let site = Site::new();
    site.crl(&revoking(9, 0x11));
    let mut held = site.open();
    assert!(is_revoked(&held));
    for older in [
        revoking(8, 0x12).build(&crl_signer()),
        b"garbage".to_vec(),
        CrlBuilder::new(vec![]).build(&list_signer()),
    ] {
        site.write("crl.der", &older);
        swapped(&mut held);
        assert!(is_revoked(&held));
        let notes = &held.current().notes;
        let told = |n: &String| n.contains("the last good one stays in use");
        assert!(notes.iter().any(told), "{notes:?}");
    }
    site.crl(&revoking(10, 0x12));
    swapped(&mut held);
    assert!(!is_revoked(&held));
    assert_eq!(held.current().notes, [""; 0]);
}

#[test]
fn r5_certificates_are_judged_again_by_a_new_revocation_list() {
    let site = Site::new();
    let mut held = site.open();
    assert!(!is_revoked(&held));
    site.crl(&revoking(9, 0x11));
    swapped(&mut held);
    assert!(is_revoked(&held));
}

#[test]
fn x3_a_certificate_that_breaks_is_replaced_by_the_last_good_one_and_one_that_goes_is_gone() {
    let site = Site::new();
    let mut held = site.open();
    let good = credential(&held);
    site.write("x5u/sp.pem", b"-----BEGIN CERTIFICATE-----\nMII");
    swapped(&mut held);
    assert_eq!(*credential(&held), *good);
    let notes = &held.current().notes;
    assert!(
        notes.iter().any(|n| n.contains("last good certificate")),
        "{notes:?}"
    );
    fs::remove_file(site.path("x5u/sp.pem")).unwrap();
    swapped(&mut held);
    assert_eq!(*credential(&held), *good);
    site.write("x5u/index.toml", b"\"https://a\" = ");
    kept(&mut held, "index.toml");
    site.write("x5u/index.toml", b"");
    swapped(&mut held);
    assert!(held.current().credentials.is_empty());
}

#[test]
fn r7_another_countrys_list_is_held_as_well() {
    let site = Site::new();
    let governor = pki::other_root();
    let b = pki::leaf(&governor, "x")
        .usage(0x02)
        .subject_name(pki::name(&[("CN", "Other CRL")]));
    let signer = Issuer::new(b, pki::key(44));
    let list = |number| {
        let mut list = revoking(number, 0x11);
        list.extensions[1].2 = pki::idp_at("https://other-pa.example/crl");
        list.build(&signer)
    };
    site.write("other.der", &list(5));
    site.write("other-signer.pem", &pki::pem(&[&signer.der]));
    site.write("other-root.pem", &pki::pem(&[&governor.der]));
    let files = CredentialFiles {
        other_crls: vec![directory::CrlFiles {
            crl: site.path("other.der"),
            signer: Some(site.path("other-signer.pem")),
            root: site.path("other-root.pem"),
        }],
        ..site.files()
    };
    let mut held = HeldTrust::open(files, None, now()).unwrap();
    assert!(!is_revoked(&held), "the leaf names the national list");
    let leaf =
        pki::leaf(&pki::root(), "709J").revocation_point(&["https://other-pa.example/crl"], None);
    site.write("x5u/sp.pem", &pki::pem(&[&leaf.build()]));
    swapped(&mut held);
    assert!(is_revoked(&held));
    site.write("other.der", &list(4));
    swapped(&mut held);
    assert!(is_revoked(&held));
    assert!(held.current().notes[0].contains("the last good one stays in use"));
}

#[test]
fn other_files_are_taken_whole_or_the_old_ones_stay() {
    let (site, other) = (Site::new(), Site::new());
    let mut held = site.open();
    other.write("ca-list.jws", b"a.b.c");
    let before = held.current().clone();
    assert!(matches!(
        held.reload_files_at(other.files(), now()),
        Reload::Kept(_)
    ));
    assert!(Arc::ptr_eq(held.current(), &before));
    swapped(&mut held);
    other.list(&[&pki::other_root()], pki::NOW + DAY);
    assert_eq!(held.reload_files_at(other.files(), now()), Reload::Swapped);
    assert!(!is_trusted(&held));
    site.write("ca-list.jws", b"a.b.c");
    swapped(&mut held);
}
