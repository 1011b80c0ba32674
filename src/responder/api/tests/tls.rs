//! TLS with client certificates, and reloads.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair as TlsKey};
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::responder::settings::TlsSettings;

struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, TlsKey>,
}

impl Authority {
    fn new() -> Self {
        let key = TlsKey::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            certificate: ca.self_signed(&key).unwrap(),
            issuer: Issuer::new(ca, key),
        }
    }

    fn leaf(&self, name: &str) -> (rcgen::Certificate, TlsKey) {
        let key = TlsKey::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn settings(&self, dir: &Path) -> TlsSettings {
        let (server, key) = self.leaf("localhost");
        TlsSettings {
            certificate: file(dir, "api.pem", &server.pem()),
            key: file(dir, "api.key", &key.serialize_pem()),
            client_ca: Some(file(dir, "ca.pem", &self.certificate.pem())),
        }
    }

    fn ask(&self, bench: &Bench, name: Option<&str>, headers: &str, path: &str) -> Reply {
        self.send(bench, name, headers, path, "")
    }

    fn send(
        &self,
        bench: &Bench,
        name: Option<&str>,
        headers: &str,
        path: &str,
        body: &str,
    ) -> Reply {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match name.map(|n| self.leaf(n)) {
            Some((certificate, key)) => {
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(client, TcpStream::connect(bench.at()).unwrap());
        let method = if body.is_empty() { "GET" } else { "POST" };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // The other side may end without a close_notify.
        let _ = stream.read_to_end(&mut answer);
        reply(&answer)
    }
}

#[test]
fn a_portal_that_is_bound_to_a_certificate_shows_it_with_everything() {
    let authority = Authority::new();
    let bench = Bench::with(|dir, s| {
        s.tls = Some(authority.settings(dir));
        s.portals[0].client_certificate = Some("portal.example.net".into());
        s.portals[1].client_certificate = Some("west.example.net".into());
        s.portals[1].token_file = None;
    });
    let push = |name: Option<&str>| {
        let body = created("HR-1").to_string();
        let headers = bench.east.headers(body.as_bytes());
        let path = "/v1/hop-requests";
        authority.send(&bench, name, &headers, path, &body).code
    };
    assert_eq!(push(None), 404);
    assert_eq!(push(Some("other.example.net")), 404);
    let good = push(Some("portal.example.net"));
    assert_eq!(good, 202, "{:?}", bench.api.counters());
    let path = "/v1/hop-requests/HR-1";
    // A token that was stolen is worth nothing without the certificate, nor the certificate of one who has a token.
    assert_eq!(authority.ask(&bench, None, &bearer("east"), path).code, 404);
    let good = Some("portal.example.net");
    assert_eq!(authority.ask(&bench, good, &bearer("east"), path).code, 200);
    assert_eq!(authority.ask(&bench, good, "", path).code, 404);
    // A portal without a token is known by its certificate: it is in, and has no such request.
    let unknown = authority.ask(&bench, Some("west.example.net"), "", path);
    assert_eq!(unknown.code, 404);
    let refused = bench.api.counters().refused;
    let count = |label: &str| refused.iter().find(|(w, _)| w.label() == label).unwrap().1;
    assert_eq!(
        (count("certificate"), count("not-there")),
        (4, 1),
        "{refused:?}"
    );
    // Operators need none.
    assert_eq!(
        authority.ask(&bench, None, &bearer("alice"), path).code,
        200
    );
}

#[test]
fn a_reload_changes_who_is_known_or_nothing() {
    let bench = Bench::new();
    let path = "/v1/hop-requests?limit=1";
    assert_eq!(bench.get("bob", path).code, 200);
    let mut settings = bench.settings.clone();
    settings.operators.retain(|o| &*o.name != "bob");
    bench.api.reload(&settings).unwrap();
    assert_eq!(bench.get("bob", path).code, 404);
    let open = bench.dir.path().join("alice.token");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let e = bench.api.reload(&bench.settings).unwrap_err().to_string();
    assert!(e.contains("alice.token") && e.contains("chmod 600"), "{e}");
    assert_eq!(bench.get("alice", path).code, 200);
    let mut twice = bench.settings.clone();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o600)).unwrap();
    twice.operators[1].token_file = open;
    let e = bench.api.reload(&twice).unwrap_err().to_string();
    assert!(e.contains("somebody else has this token"), "{e}");
}
