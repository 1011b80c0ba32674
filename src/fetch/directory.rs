//! Credentials from files: a folder with providers' certificates by URL, the list of authorities and the revocation list.
//!
//! The folder holds PEM files, leaf first, and `index.toml` with a line for each URL: `"https://cert.example.net/a.pem" = "a.pem"`.
//! What can't be used costs a note, not the run: a missing revocation list leaves rule R5 as a finding, a broken certificate
//! fails rule X3 of the calls that name it. Only trust that can't be established at all is an error.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lists::Lists;
use crate::base::Timestamp;
use crate::stir::credential::{
    CaList, Credential, Credentials, Crl, MAX_BUNDLE, SkippedEntry, anchors_of_pem,
};

/// Which files there are.
#[derive(Clone, Debug, Default)]
pub struct CredentialFiles {
    /// Folder with `index.toml` and certificates.
    pub directory: Option<PathBuf>,
    /// The STI-PA's list of authorities, a JWS.
    pub ca_list: Option<PathBuf>,
    /// Certificate of its signer.
    pub ca_list_signer: Option<PathBuf>,
    /// Plain PEM bundle of authorities.
    pub anchors: Option<PathBuf>,
    /// Root of the STI-PA.
    pub sti_pa_root: Option<PathBuf>,
    /// Revocation list, DER.
    pub crl: Option<PathBuf>,
    /// Certificate of its signer.
    pub crl_signer: Option<PathBuf>,
}

/// What was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Prepared credentials by URL.
    pub credentials: Credentials,
    /// How many certificates by URL.
    pub certificates: usize,
    /// How many authorities.
    pub authorities: usize,
    /// What could not be used, and what has run out.
    pub notes: Vec<String>,
    /// What each certificate was prepared from, by URL.
    pub bundles: Vec<(String, Vec<u8>)>,
    /// What trust rests on.
    pub lists: Lists,
}

/// Why no trust could be established.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that the configuration names can't be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {what}\n    {remedy}")]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// Reads everything. `now` only decides which notes there are.
///
/// # Errors
///
/// [`LoadError`], when a named file is missing or the list of authorities can't be believed.
pub fn load(files: &CredentialFiles, now: Timestamp) -> Result<Loaded, LoadError> {
    let mut notes = Vec::new();
    let mut lists = Lists::default();
    anchors(files, now, &mut notes, &mut lists)?;
    let crl = match &files.crl {
        Some(path) => revocations(path, files, now, &mut notes)?,
        None if files.directory.is_none() => {
            notes.push("no certificates at hand: signed calls are undetermined (rule X2); see [credentials]".to_owned());
            None
        }
        None => {
            notes.push(
                "no revocation list: revoked certificates can't be told (finding R5)".to_owned(),
            );
            None
        }
    };
    lists.crl = crl;
    lists.pins.crl_signer = optional(files.crl_signer.as_ref())?;
    lists.pins.root = optional(files.sti_pa_root.as_ref())?;
    let trust = lists.trust();
    let mut bundles = Vec::new();
    let mut credentials = Credentials::default();
    if let Some(folder) = &files.directory {
        for (url, file) in index(folder)? {
            let path = folder.join(&file);
            match read_bundle(&path) {
                Ok(bytes) => {
                    let credential = Credential::prepare(&bytes, &trust);
                    if let Some(fault) = credential.fault() {
                        notes.push(format!(
                            "{}: {fault}; calls that name {url} fail rule X3",
                            path.display()
                        ));
                    }
                    credentials.insert(&url, Arc::new(credential));
                    bundles.push((url, bytes));
                }
                Err(e) => notes.push(format!(
                    "{}: {e}; calls that name {url} are undetermined",
                    path.display()
                )),
            }
        }
    }
    Ok(Loaded {
        certificates: credentials.len(),
        credentials,
        authorities: trust.anchor_count(),
        notes,
        bundles,
        lists,
    })
}

fn anchors(
    files: &CredentialFiles,
    now: Timestamp,
    notes: &mut Vec<String>,
    lists: &mut Lists,
) -> Result<(), LoadError> {
    if let (Some(path), Some(root)) = (&files.ca_list, &files.sti_pa_root) {
        // Without a file of its own the signer may be the root itself.
        let signer = read(files.ca_list_signer.as_ref().unwrap_or(root))?;
        let list = CaList::verify_at(&read(path)?, &signer, &read(root)?, now).map_err(|e| LoadError::Wrong {
            path: path.clone(),
            what: e.to_string(),
            remedy: "fetch the list and its signer's certificate again; compare the root's fingerprint (certs/README.md)",
        })?;
        if list.expired {
            notes.push(format!(
                "{} ran out at {}; it is used for captures of its days",
                path.display(),
                list.expires
            ));
        }
        notes.extend(list.skipped.iter().map(|s| skipped(path, s)));
        lists.ca_list = Some(list);
    }
    lists.pins.ca_list_signer = optional(files.ca_list_signer.as_ref())?;
    if let Some(path) = &files.anchors {
        let (found, odd) = anchors_of_pem(&read(path)?);
        notes.extend(odd.iter().map(|s| skipped(path, s)));
        if found.is_empty() {
            return Err(LoadError::Wrong {
                path: path.clone(),
                what: "no certificate in it can be trusted".to_owned(),
                remedy: "write PEM certificates of authorities into it",
            });
        }
        lists.anchors = found;
    }
    Ok(())
}

fn optional(path: Option<&PathBuf>) -> Result<Option<Vec<u8>>, LoadError> {
    path.map(|path| read(path)).transpose()
}

fn skipped(path: &Path, s: &SkippedEntry) -> String {
    let name = s.name.as_deref().unwrap_or("unnamed");
    format!(
        "{}: entry {} ({name}) is not used: {}",
        path.display(),
        s.index + 1,
        s.why
    )
}

fn revocations(
    path: &Path,
    files: &CredentialFiles,
    now: Timestamp,
    notes: &mut Vec<String>,
) -> Result<Option<Crl>, LoadError> {
    let (Some(root), signer) = (&files.sti_pa_root, &files.crl_signer) else {
        notes.push(format!(
            "{} is not used: without sti_pa_root its signature can't be checked",
            path.display()
        ));
        return Ok(None);
    };
    match Crl::verify(
        &read(path)?,
        &read(signer.as_ref().unwrap_or(root))?,
        &read(root)?,
    ) {
        Ok(crl) => {
            if let Some(next) = crl.window().next_update
                && next < now.secs()
            {
                notes.push(format!(
                    "{} should have been replaced by {}",
                    path.display(),
                    Timestamp::from_secs(next)
                ));
            }
            Ok(Some(crl))
        }
        Err(e) => {
            notes.push(format!(
                "{} is not used: {e}; revoked certificates can't be told (finding R5)",
                path.display()
            ));
            Ok(None)
        }
    }
}

fn index(folder: &Path) -> Result<BTreeMap<String, String>, LoadError> {
    let path = folder.join("index.toml");
    let text = read(&path)?;
    let wrong = |what: String| LoadError::Wrong {
        path: path.clone(),
        what,
        remedy: "write a line for each certificate: \"https://cert.example.net/a.pem\" = \"a.pem\"",
    };
    let text = String::from_utf8(text).map_err(|e| wrong(e.to_string()))?;
    toml::from_str(&text).map_err(|e| wrong(e.message().to_owned()))
}

/// Reads no more of a file than shows whether it is too long.
fn read_bundle(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let limit = u64::try_from(MAX_BUNDLE)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    fs::File::open(path)?.take(limit).read_to_end(&mut out)?;
    Ok(out)
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    })
}
