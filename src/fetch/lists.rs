//! The list of authorities and the revocation lists, from files.
//!
//! A list of authorities that can't be believed is an error: without it there is no trust. A revocation list that can't be believed costs
//! a note, and leaves the revocation of the certificates that it speaks for unknown (rule R5).

use std::path::{Path, PathBuf};

use super::directory::{CredentialFiles, CrlFiles, LoadError, read};
use crate::base::Timestamp;
use crate::stir::credential::{CaList, Certificate, Crl, SkippedEntry, TrustStore, anchors_of_pem};

/// What was read, each part on its own so that one can be replaced by the last good one.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// The STI-PA's list of authorities.
    pub ca_list: Option<CaList>,
    /// Of a plain PEM bundle.
    pub anchors: Vec<Certificate>,
    /// The national revocation list.
    pub crl: Option<Crl>,
    /// One for each of [`CredentialFiles::other_crls`].
    pub other_crls: Vec<Option<Crl>>,
    /// URLs under which certificates name the national one, beside its own.
    pub crl_aliases: Vec<Box<str>>,
    /// Whether calls after the end of the list of authorities are undetermined.
    pub must_be_current: bool,
    /// What newer lists are to be held against.
    pub pins: Pins,
    /// What could not be used, and what has run out.
    pub notes: Vec<String>,
}

/// Certificates that lists are held against, in PEM.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// Root of the STI-PA.
    pub root: Option<Vec<u8>>,
    /// Who signs the list of authorities.
    pub ca_list_signer: Option<Vec<u8>>,
    /// Who signs the revocation list.
    pub crl_signer: Option<Vec<u8>>,
}

impl Pins {
    fn read(files: &CredentialFiles) -> Result<Self, LoadError> {
        let optional = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
        Ok(Self {
            root: optional(&files.sti_pa_root)?,
            ca_list_signer: optional(&files.ca_list_signer)?,
            crl_signer: optional(&files.crl_signer)?,
        })
    }
}

impl Lists {
    /// Reads everything that is named. `now` only decides which notes there are.
    pub(super) fn read(files: &CredentialFiles, now: Timestamp) -> Result<Self, LoadError> {
        let mut out = Self {
            crl_aliases: files.crl_aliases.clone(),
            must_be_current: files.ca_list_must_be_current,
            pins: Pins::read(files)?,
            ..Self::default()
        };
        out.read_anchors(files, now)?;
        out.crl = match (&files.crl, &files.sti_pa_root) {
            (Some(crl), Some(root)) => {
                let files = CrlFiles {
                    crl: crl.clone(),
                    signer: files.crl_signer.clone(),
                    root: root.clone(),
                };
                out.read_crl(&files, now)?
            }
            (Some(path), None) => {
                out.note(
                    path,
                    "is not used: without sti_pa_root its signature can't be checked",
                );
                None
            }
            (None, _) => {
                out.notes.push(without_list(files).to_owned());
                None
            }
        };
        for other in &files.other_crls {
            let crl = out.read_crl(other, now)?;
            out.other_crls.push(crl);
        }
        Ok(out)
    }

    /// What certificates are judged by.
    pub fn trust(&self) -> TrustStore {
        let listed = self.ca_list.iter().flat_map(|l| &l.anchors);
        let anchors = listed.chain(&self.anchors).cloned().collect();
        let mut trust = TrustStore::new(anchors, self.crl.clone())
            .with_crl_aliases(self.crl_aliases.iter().cloned());
        for crl in self.other_crls.iter().flatten() {
            trust = trust.with_other_crl(crl.clone());
        }
        match &self.ca_list {
            Some(list) if self.must_be_current => trust.ending(list.expires.secs()),
            _ => trust,
        }
    }

    fn read_anchors(&mut self, files: &CredentialFiles, now: Timestamp) -> Result<(), LoadError> {
        if let (Some(path), Some(root)) = (&files.ca_list, &files.sti_pa_root) {
            // Without a file of its own the signer may be the root itself.
            let signer = files.ca_list_signer.as_ref().unwrap_or(root);
            let list = CaList::verify_at(&read(path)?, &read(signer)?, &read(root)?, now).map_err(|e| LoadError::Wrong {
                path: path.clone(),
                what: e.to_string(),
                remedy: "fetch the list and its signer's certificate again; compare the root's fingerprint (certs/README.md)",
            })?;
            if list.expired {
                let use_of_it = if files.ca_list_must_be_current {
                    "calls after that are undetermined (rule X4)"
                } else {
                    "it is used for captures of its days"
                };
                self.note(path, &format!("ran out at {}; {use_of_it}", list.expires));
            }
            self.notes
                .extend(list.skipped.iter().map(|s| skipped(path, s)));
            self.ca_list = Some(list);
        }
        if let Some(path) = &files.anchors {
            let (found, odd) = anchors_of_pem(&read(path)?);
            self.notes.extend(odd.iter().map(|s| skipped(path, s)));
            if found.is_empty() {
                return Err(LoadError::Wrong {
                    path: path.clone(),
                    what: "no certificate in it can be trusted".to_owned(),
                    remedy: "write PEM certificates of authorities into it",
                });
            }
            self.anchors = found;
        }
        Ok(())
    }

    fn read_crl(&mut self, files: &CrlFiles, now: Timestamp) -> Result<Option<Crl>, LoadError> {
        let signer = files.signer.as_ref().unwrap_or(&files.root);
        match Crl::verify(&read(&files.crl)?, &read(signer)?, &read(&files.root)?) {
            Ok(crl) => {
                if let Some(next) = crl.window().next_update
                    && next < now.secs()
                {
                    let due = Timestamp::from_secs(next);
                    self.note(&files.crl, &format!("should have been replaced by {due}"));
                }
                Ok(Some(crl))
            }
            Err(e) => {
                let what =
                    format!("is not used: {e}; revoked certificates can't be told (finding R5)");
                self.note(&files.crl, &what);
                Ok(None)
            }
        }
    }

    pub(super) fn note(&mut self, path: &Path, what: &str) {
        self.notes.push(format!("{} {what}", path.display()));
    }
}

fn without_list(files: &CredentialFiles) -> &'static str {
    if files.directory.is_none() {
        "no certificates at hand: signed calls are undetermined (rule X2); see [credentials]"
    } else {
        "no revocation list: revoked certificates can't be told (finding R5)"
    }
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
