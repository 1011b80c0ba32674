//! Credentials from files: a folder with providers' certificates by URL, the list of authorities and the revocation list.
//!
//! The folder holds PEM files, leaf first, and `index.toml` with a line for each URL: `"https://cert.example.net/a.pem" = "a.pem"`.
//! [`super::lists`] reads the lists. What can't be used costs a note, not the run: a missing revocation list leaves rule R5 as a finding, a broken certificate
//! fails rule X3 of the calls that name it. Only trust that can't be established at all is an error.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lists::Lists;
use crate::base::Timestamp;
use crate::stir::credential::calist::MAX_LIST;
use crate::stir::credential::{Credential, Credentials, MAX_BUNDLE, TrustStore};

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
    /// URLs under which certificates name that list beside its own (rule R2).
    pub crl_aliases: Vec<Box<str>>,
    /// Other countries' revocation lists (rule R7).
    pub other_crls: Vec<CrlFiles>,
    /// Whether calls after the end of the list of authorities are undetermined (rule L3).
    pub ca_list_must_be_current: bool,
}

impl CredentialFiles {
    /// Whether there is anything in them that a signed call could pass by.
    pub fn trust_anything(&self) -> bool {
        self.directory.is_some() || self.ca_list.is_some() || self.anchors.is_some()
    }
}

/// A revocation list and what proves it.
#[derive(Clone, Debug)]
pub struct CrlFiles {
    /// The list, DER.
    pub crl: PathBuf,
    /// Certificate of its signer; `None` where the root signs it.
    pub signer: Option<PathBuf>,
    /// Root of whoever governs it.
    pub root: PathBuf,
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
    /// What the credentials were prepared with, to prepare further ones.
    pub trust: Arc<TrustStore>,
    /// When the list of authorities ends, where there is one.
    pub ca_list_ends: Option<Timestamp>,
    /// What could not be used, and what has run out.
    pub notes: Vec<String>,
    /// What trust rests on, for whoever puts newer lists in their place.
    pub lists: Lists,
}

impl Loaded {
    /// Nothing at all.
    pub(super) fn empty() -> Self {
        Self {
            credentials: Credentials::default(),
            certificates: 0,
            authorities: 0,
            trust: Arc::default(),
            ca_list_ends: None,
            notes: Vec::new(),
            lists: Lists::default(),
        }
    }
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
    let lists = Lists::read(files, now)?;
    let certificates = certificates(files)?;
    Ok(prepare(lists, certificates))
}

/// A URL, the file behind it, and what is in it or why that can't be read.
pub(super) struct Found {
    pub url: String,
    pub path: PathBuf,
    pub content: Result<Arc<[u8]>, String>,
}

/// Reads the folder with providers' certificates.
pub(super) fn certificates(files: &CredentialFiles) -> Result<Vec<Found>, LoadError> {
    let Some(folder) = &files.directory else {
        return Ok(Vec::new());
    };
    let found = index(folder)?.into_iter().map(|(url, file)| {
        let path = folder.join(&file);
        Found {
            url,
            content: read_bundle(&path)
                .map(Into::into)
                .map_err(|e| e.to_string()),
            path,
        }
    });
    Ok(found.collect())
}

/// Judges each certificate by the lists.
pub(super) fn prepare(mut lists: Lists, found: Vec<Found>) -> Loaded {
    let trust = Arc::new(lists.trust());
    let mut notes = std::mem::take(&mut lists.notes);
    let mut credentials = Credentials::default();
    for Found { url, path, content } in found {
        match content {
            Ok(bytes) => {
                let credential = Credential::prepare_shared(bytes, &trust);
                if let Some(fault) = credential.fault() {
                    notes.push(format!(
                        "{}: {fault}; calls that name {url} fail rule X3",
                        path.display()
                    ));
                }
                credentials.insert(&url, Arc::new(credential));
            }
            Err(e) => notes.push(format!(
                "{}: {e}; calls that name {url} are undetermined",
                path.display()
            )),
        }
    }
    Loaded {
        certificates: credentials.len(),
        credentials,
        authorities: trust.anchor_count(),
        trust,
        ca_list_ends: lists.ca_list.as_ref().map(|l| l.expires),
        notes,
        lists,
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

fn read_bundle(path: &Path) -> std::io::Result<Vec<u8>> {
    read_at_most(path, MAX_BUNDLE)
}

/// Reads a list, or whatever else has a bound of its own below that of the list of authorities.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    read_at_most(path, MAX_LIST).map_err(|source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Reads no more of a file than shows whether it is too long.
fn read_at_most(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(path)?.take(limit).read_to_end(&mut out)?;
    Ok(out)
}
