//! Providers that are known by a client certificate are tested where the directory is; here: what the listener asks for is read as configured.

use super::*;
use crate::portal::settings::ListenSettings;
use crate::web::tls::TlsFiles;

#[test]
fn a_certificate_that_is_not_there_is_named() {
    let (_dir, docket) = docket_with(|_, _| {});
    let mut settings = (*docket.settings()).clone();
    settings.api = ListenSettings {
        tls: Some(TlsFiles {
            certificate: "/does/not/exist.pem".into(),
            key: "/does/not/exist.key".into(),
            client_ca: None,
        }),
        ..settings.api
    };
    let why = ApiServer::bind(&settings).unwrap_err().to_string();
    assert!(why.starts_with("api.tls: /does/not/exist.pem"), "{why}");
}

#[test]
fn figures_are_for_this_host_alone() {
    let place = place_with(|_, s| s.api.address = "0.0.0.0:0".parse().unwrap());
    let at = SocketAddr::from(([127, 0, 0, 1], place.at().port()));
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(exchange(at, "GET", path, "", "").code, 404, "{path}");
    }
    assert_eq!(
        exchange(at, "GET", "/.well-known/traceback-portal", "", "").code,
        200
    );
}
