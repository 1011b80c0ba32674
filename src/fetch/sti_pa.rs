//! What the STI-PA publishes, got over HTTPS (rules L1, N15): the list of authorities behind a log-in, the revocation list without.
//!
//! The same guarded exchange as for certificates, with caps of its own, and only with the hosts that the operator's own URLs name: what a
//! list says of where its signer's certificate is leads nowhere else. User and password come from a file and are never shown.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::cache::Body;
use super::connect::Connector;
use super::http::{Ask, exchange};
use super::outcome::Outcome;
use super::policy::{HostList, Place};
use crate::stir::credential::{MAX_BUNDLE, signer_url};

/// Largest list of authorities (rule N15), with what is around it.
const MAX_CA_LIST: usize = 4 << 20;

/// Largest revocation list (rule N15).
const MAX_CRL: usize = 2 << 20;

/// Largest answer to a log-in: a token.
const MAX_LOGIN: usize = 64 * 1024;

/// Largest file with a user and a password.
const MAX_SECRET: usize = 4096;

/// Where the lists are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StiPa {
    /// List of authorities.
    pub ca_list_url: Option<Box<str>>,
    /// Where to log in for it; without one it is got without a token.
    pub login_url: Option<Box<str>>,
    /// User and password.
    pub secret: Option<Secret>,
    /// Revocation list.
    pub crl_url: Option<Box<str>>,
}

/// User and password at the STI-PA. Shows neither.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    user: String,
    password: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads `user = "…"` and `password = "…"`.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, without a word of what is in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = std::fs::metadata(path).map_err(|e| e.to_string())?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if file.permissions().mode() & 0o077 != 0 {
                return Err("others than its owner may read it: chmod 600".to_owned());
            }
        }
        if file.len() > u64::try_from(MAX_SECRET).unwrap_or(0) {
            return Err("it is too large for a user and a password".to_owned());
        }
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        toml::from_str(&text).map_err(|_| "write user = \"…\" and password = \"…\"".to_owned())
    }
}

#[derive(Deserialize)]
struct LoginAnswer {
    #[serde(rename = "accessToken")]
    access_token: String,
}

#[derive(Deserialize)]
struct CaListAnswer {
    #[serde(rename = "caList")]
    ca_list: String,
}

/// A list of authorities as it came, with its signer's certificate where that was got as well.
pub(super) type CaListFound = (Vec<u8>, Option<Vec<u8>>);

impl StiPa {
    /// Hosts that may be asked: those of its own URLs.
    fn hosts(&self) -> HostList {
        let urls = [&self.ca_list_url, &self.login_url, &self.crl_url];
        let places = urls.into_iter().flatten().filter_map(|url| Place::of(url));
        HostList(places.map(|p| p.host).collect())
    }

    async fn get(&self, connector: &Connector, ask: &Ask<'_>) -> Result<Body, Outcome> {
        let place = Place::of(ask.url).ok_or(Outcome::BadUrl)?;
        if !self.hosts().allows(&place.host) {
            return Err(Outcome::HostNotListed);
        }
        exchange(connector, ask).await
    }

    /// Gets the list of authorities. `signer_known`: its signer's certificate is pinned, and not got.
    pub(super) async fn ca_list(
        &self,
        connector: &Connector,
        signer_known: bool,
    ) -> Result<CaListFound, String> {
        let url = self.ca_list_url.as_deref().ok_or("no ca_list_url")?;
        let token = self.log_in(connector).await?;
        let ask = Ask {
            url,
            post: None,
            accept: "application/jose+json",
            authorization: token.as_deref(),
            most: MAX_CA_LIST,
        };
        let answer = self.get(connector, &ask).await.map_err(failed(url))?;
        let jws = match serde_json::from_slice::<CaListAnswer>(&answer.bytes) {
            Ok(answer) => answer.ca_list.into_bytes(),
            Err(_) => answer.bytes.to_vec(),
        };
        if signer_known {
            return Ok((jws, None));
        }
        let at = signer_url(&jws).ok_or_else(|| format!("{url}: no CA list in the answer"))?;
        let ask = Ask {
            url: &at,
            post: None,
            accept: "*/*",
            authorization: None,
            most: MAX_BUNDLE,
        };
        let signer = self.get(connector, &ask).await.map_err(failed(&at))?;
        Ok((jws, Some(signer.bytes.to_vec())))
    }

    async fn log_in(&self, connector: &Connector) -> Result<Option<String>, String> {
        let (Some(url), Some(secret)) = (self.login_url.as_deref(), &self.secret) else {
            return Ok(None);
        };
        let body =
            serde_json::json!({"userId": secret.user, "password": secret.password}).to_string();
        let ask = Ask {
            url,
            post: Some(body.as_bytes()),
            accept: "application/json",
            authorization: None,
            most: MAX_LOGIN,
        };
        let answer = self.get(connector, &ask).await.map_err(failed(url))?;
        // The parser's own words may quote the answer.
        let answer: LoginAnswer = serde_json::from_slice(&answer.bytes)
            .map_err(|_| format!("{url}: no accessToken in the answer"))?;
        Ok(Some(answer.access_token))
    }

    /// Gets the revocation list.
    pub(super) async fn crl(&self, connector: &Connector) -> Result<Vec<u8>, String> {
        let url = self.crl_url.as_deref().ok_or("no crl_url")?;
        let ask = Ask {
            url,
            post: None,
            accept: "application/pkix-crl, */*;q=0.8",
            authorization: None,
            most: MAX_CRL,
        };
        let answer = self.get(connector, &ask).await.map_err(failed(url))?;
        Ok(answer.bytes.to_vec())
    }
}

fn failed(url: &str) -> impl Fn(Outcome) -> String {
    move |outcome| format!("{url}: {}", outcome.label())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_the_secret_is_read_from_a_file_of_its_owner_and_never_shown() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sti-pa.toml");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let good = "user = \"edge\"\npassword = \"hidden\"\n";
        write(good, 0o600);
        let secret = Secret::read(&path).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
        for (text, mode) in [
            (good, 0o640),
            ("user = \"edge\"\npassword = hidden", 0o600),
            ("", 0o600),
        ] {
            write(text, mode);
            let why = Secret::read(&path).unwrap_err();
            assert!(!why.contains("hidden"), "{why}");
        }
    }

    #[test]
    fn n15_only_hosts_of_its_own_urls() {
        let pa = StiPa {
            ca_list_url: Some("https://api.sti-pa.example/ca-list".into()),
            crl_url: Some("https://crl.sti-pa.example/crl".into()),
            ..StiPa::default()
        };
        let hosts = pa.hosts();
        assert!(hosts.allows("api.sti-pa.example") && hosts.allows("crl.sti-pa.example"));
        assert!(!hosts.allows("cert.example.net"));
        assert!(
            StiPa::default().hosts().allows("any.example"),
            "and none of its URLs is asked"
        );
    }
}
