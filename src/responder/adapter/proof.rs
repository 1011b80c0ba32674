//! Proof that a mapping does what the operator means, before anything leaves by it without a person.
//!
//! `tracehop adapter test` replays the operator's recorded examples ([`super::examples`]) and writes a [`ProofFile`]: the digest of the mapping that they ran
//! through. What is loaded later must have the same digest. One pointer, one word or one row of the directory changed, and it is another mapping.

use std::fmt;
use std::path::PathBuf;

use serde_json::json;

use super::AdapterSettings;
use crate::base::Timestamp;
use crate::responder::settings::PortalSettings;
use crate::traceback::request::sha256_hex;

/// Rises when the same settings mean something else than before: proofs of older ones are worth nothing then.
pub const ADAPTER_VERSION: u32 = 1;

/// Largest proof file; it has some 500 octets.
const MAX_PROOF: u64 = 64 * 1024;

/// The settings of an adapter that must be proven, and what the operator claims.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed<T> {
    /// The settings.
    pub settings: T,
    /// Whether the operator says that they are verified.
    pub verified: bool,
    /// Where the proof is.
    pub proof: PathBuf,
}

/// What a proof says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProofFile {
    /// Version of this file.
    pub v: u32,
    /// Name of the portal.
    pub portal: String,
    /// Digest of its mapping.
    pub mapping_sha256: String,
    /// Digest of the examples.
    pub examples_sha256: String,
    /// Requests that were replayed.
    pub requests: usize,
    /// Answers that were replayed.
    pub answers: usize,
    /// The program that did it.
    pub tracehop: String,
    /// When.
    pub at: Timestamp,
}

/// Whether answers may leave by an adapter without a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It speaks our own protocol: there is nothing to prove.
    NotNeeded,
    /// The proof is of the mapping that is loaded.
    Proven,
    /// They may not, and why.
    Unproven(String),
}

impl Verified {
    /// Looks at a portal's proof.
    pub fn of(portal: &PortalSettings) -> Self {
        let Some((verified, proof)) = portal.adapter.claim() else {
            return Self::NotNeeded;
        };
        let unproven = |why: String| Self::Unproven(why);
        if !verified {
            return unproven("verified = false".to_owned());
        }
        let test = "run `tracehop adapter test`";
        let said = |e: &dyn fmt::Display| format!("{}: {e}; {test}", proof.display());
        let read = std::fs::metadata(proof).and_then(|m| match m.len() <= MAX_PROOF {
            true => std::fs::read(proof),
            false => Err(std::io::Error::other("it is too large")),
        });
        let octets = match read {
            Ok(octets) => octets,
            Err(e) => return unproven(said(&e)),
        };
        let file: ProofFile = match serde_json::from_slice(&octets) {
            Ok(file) => file,
            Err(e) => return unproven(said(&e)),
        };
        if file.portal != *portal.name {
            return unproven(said(&format!("it is of portal {:?}", file.portal)));
        }
        match mapping_digest(portal) {
            Some(digest) if *digest == *file.mapping_sha256 => Self::Proven,
            _ => unproven(said(&"it is of another mapping than is loaded now")),
        }
    }

    /// Why nothing leaves by itself.
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Unproven(why) => Some(why),
            Self::NotNeeded | Self::Proven => None,
        }
    }
}

/// SHA-256 of what a portal's adapter means: its mapping, words, templates and directory, the resolutions that may leave by themselves, and our own version of all
/// that. Not of where it is, nor of secrets. `None` where there is nothing to prove.
pub fn mapping_digest(portal: &PortalSettings) -> Option<Box<str>> {
    let mapping = match &portal.adapter {
        AdapterSettings::PushOnly | AdapterSettings::Reference(_) => return None,
        AdapterSettings::HttpJson(c) => json!({ "http-json": c.settings.mapping }),
        AdapterSettings::FileDrop(c) => json!({ "file-drop": c.settings.mapping }),
        AdapterSettings::Mailbox(c) => json!({ "mailbox": c.settings.mapping }),
    };
    let mut automatic: Vec<&str> = portal.automatic.iter().map(|r| r.label()).collect();
    automatic.sort_unstable();
    let whole = json!({ "v": ADAPTER_VERSION, "mapping": mapping, "automatic": automatic });
    Some(sha256_hex(whole.to_string().as_bytes()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::file_drop::{FileDropMapping, FileDropSettings};
    use super::super::mapping::tests::settings as request;
    use super::super::submission::tests::words;
    use super::*;
    use crate::responder::case::Mode;
    use crate::traceback::answer::Resolution;
    use crate::traceback::deadline::DeadlineRule;

    pub(in crate::responder::adapter) fn portal(adapter: AdapterSettings) -> PortalSettings {
        PortalSettings {
            name: "p".into(),
            mode: Mode::Automatic,
            automatic: vec![Resolution::UpstreamDomestic],
            drafts: crate::responder::case::Drafts::Off,
            deadline: DeadlineRule::Plain,
            time_zone: "UTC".into(),
            requests_per_minute: 60,
            webhook_secrets: None,
            token_file: None,
            client_certificate: None,
            adapter,
            reports: Vec::new(),
            reports_per_day: 1,
        }
    }

    fn with_proof(folder: &std::path::Path) -> PortalSettings {
        let settings = FileDropSettings {
            folder: folder.to_owned(),
            every: Duration::from_secs(1),
            quiet: Duration::from_secs(1),
            mapping: FileDropMapping {
                request: request(),
                words: words(),
                ..FileDropMapping::default()
            },
        };
        let portal = portal(AdapterSettings::FileDrop(Box::new(Claimed {
            settings,
            verified: true,
            proof: folder.join("proof.json"),
        })));
        let proof = ProofFile {
            v: 1,
            portal: "p".to_owned(),
            mapping_sha256: mapping_digest(&portal).unwrap().into(),
            examples_sha256: String::new(),
            requests: 1,
            answers: 1,
            tracehop: "0".to_owned(),
            at: Timestamp::from_secs(0),
        };
        std::fs::write(
            folder.join("proof.json"),
            serde_json::to_vec(&proof).unwrap(),
        )
        .unwrap();
        portal
    }

    #[test]
    fn only_the_mapping_that_was_tested_sends_unattended() {
        let dir = tempfile::tempdir().unwrap();
        let good = with_proof(dir.path());
        assert_eq!(Verified::of(&good), Verified::Proven);
        type Change = fn(&mut Claimed<FileDropSettings>);
        let changes: [(&str, Change); 6] = [
            ("verified", |c| c.verified = false),
            ("proof", |c| c.proof = "/none".into()),
            ("word", |c| c.settings.mapping.words.0[0].1 = "other".into()),
            ("directory", |c| {
                c.settings.mapping.request.directory.rows[0].1 = "P-78".into()
            }),
            ("zone", |c| c.settings.mapping.request.time.zone = None),
            ("csv", |c| c.settings.mapping.written.csv = false),
        ];
        for (what, change) in changes {
            let mut portal = good.clone();
            let AdapterSettings::FileDrop(claimed) = &mut portal.adapter else {
                unreachable!()
            };
            change(claimed);
            assert!(Verified::of(&portal).why_not().is_some(), "{what}");
        }
        let mut portal = good.clone();
        portal.automatic.push(Resolution::NotFound);
        assert!(Verified::of(&portal).why_not().is_some(), "automatic");
        let mut portal = good.clone();
        portal.name = "q".into();
        assert!(Verified::of(&portal).why_not().is_some(), "portal");
        // Where it lies means nothing.
        let mut portal = good;
        let AdapterSettings::FileDrop(claimed) = &mut portal.adapter else {
            unreachable!()
        };
        claimed.settings.folder = "/elsewhere".into();
        assert_eq!(Verified::of(&portal), Verified::Proven);
    }
}
