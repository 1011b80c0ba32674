//! TLS of what listens: its own certificate, and whose certificate a client shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::engine::mirror::ClientCertificate;

/// Files of a listener's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate and those up to its authority, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates, PEM.
    pub client_ca: Option<PathBuf>,
}

/// Who must show a certificate, where there are authorities of client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Everybody.
    Must,
    /// Nobody; one that is shown must still be good.
    May,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct TlsError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// What is said where a file of ours can't be read: the daemon started as root reads it once more at a reload, as another user.
pub fn why_unreadable(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::PermissionDenied => format!(
            "{e}: it must be readable for the user that the daemon runs as ([run] user), at a reload too: chown it to that user"
        ),
        _ => e.to_string(),
    }
}

/// Reads the files.
///
/// # Errors
///
/// [`TlsError`], with the file.
pub fn load(files: &TlsFiles, clients: Clients) -> Result<Arc<ServerConfig>, TlsError> {
    let own = certificates(&files.certificate)?;
    // What a parser says of a key might show some of it.
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| wrong(&files.key, "no private key in PEM".to_owned()))?;
    let crypto = Arc::new(provider::default_provider());
    let builder = ServerConfig::builder_with_provider(crypto.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&files.certificate, e.to_string()))?;
    let builder = match &files.client_ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(|e| wrong(path, e.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), crypto);
            let verifier = match clients {
                Clients::Must => verifier,
                Clients::May => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|e| wrong(path, e.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder
        .with_single_cert(own, key)
        .map_err(|e| wrong(&files.certificate, e.to_string()))?;
    Ok(Arc::new(config))
}

fn wrong(path: &Path, what: String) -> TlsError {
    TlsError {
        path: path.to_owned(),
        what,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|e| wrong(path, why_unreadable(&e)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let all: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(wrong(path, "no certificate in PEM".to_owned())),
        Err(e) => Err(wrong(path, e.to_string())),
    }
}

/// By what a client can be known.
pub fn known_by(certificate: &CertificateDer<'_>) -> ClientCertificate {
    let mut names: Vec<Box<str>> = Vec::new();
    if let Ok((_, parsed)) = X509Certificate::from_der(certificate) {
        let common = parsed.subject().iter_common_name();
        names.extend(common.filter_map(|n| n.as_str().ok()).map(Box::from));
        if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
            names.extend(
                alternative
                    .value
                    .general_names
                    .iter()
                    .filter_map(|n| match n {
                        GeneralName::DNSName(name) => Some(Box::from(*name)),
                        _ => None,
                    }),
            );
        }
    }
    let print = digest(&SHA256, certificate);
    let fingerprint: String = print.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    ClientCertificate {
        names,
        fingerprint: fingerprint.into(),
    }
}
