//! A server that we speak to, as every adapter's table names it: URL, who we are there, whom we trust.

use std::path::Path;
use std::time::Duration;

use super::reader::Section;
use super::responder::{secret_file, token_file};
use crate::web::client::{BaseUrl, ClientIdentity, ClientSettings, SecretHeader};

/// Octets of an answer at most, in KiB: a page of requests.
const KILOBYTES: u64 = 1_024;

/// Reads `url`, `token_file`, `api_key_file` with `api_key_header`, `roots`, `certificate` with `key`, `timeout_seconds` and `answer_kilobytes` of a table. `None`
/// where something of it can't be, which is said then.
pub(super) fn read(s: &Section<'_, '_>) -> Option<ClientSettings> {
    let url = s.required("url", "\"https://portal.example.net\"");
    let url = url.and_then(|(text, span)| {
        let url = BaseUrl::parse(text);
        if url.is_none() {
            s.problem_at(
                &span,
                format!("{text:?} is no URL with https"),
                "write, for instance, https://portal.example.net; http is for this host alone",
            );
        }
        url
    });
    let secret = secret(s);
    let roots = s
        .text("roots")
        .and_then(|(t, span)| octets(s, &s.file(t), &span));
    let identity = identity(s);
    let timeout = s.integer("timeout_seconds", 15, 1..121);
    let most = s.integer("answer_kilobytes", KILOBYTES, 1..65_537) << 10;
    let settings = ClientSettings {
        url: url?,
        secret,
        roots,
        identity,
        timeout: Duration::from_secs(timeout),
        most: usize::try_from(most).unwrap_or(usize::MAX),
        inside: true,
    };
    if let Err(why) = settings.check() {
        s.problem_at(
            &s.span(),
            why.to_string(),
            "roots, certificate and key are files in PEM, and belong together",
        );
        return None;
    }
    Some(settings)
}

/// By what the server knows us: a bearer token, or a key in a header of another name.
fn secret(s: &Section<'_, '_>) -> Option<SecretHeader> {
    let token = s.text("token_file").map(|at| token_file(s, at));
    let key = s.text("api_key_file");
    let header = s.text("api_key_header");
    if let (Some(_), Some((_, span))) = (&token, &key) {
        s.problem_at(
            span,
            "token_file and api_key_file: one of them says who we are".to_owned(),
            "take the other out",
        );
    }
    if let Some(path) = token {
        // What can't be read was said.
        let text = std::fs::read_to_string(path).ok()?;
        return SecretHeader::bearer(text.trim());
    }
    let path = secret_file(s, key?);
    let (name, span) = header.unwrap_or(("x-api-key", s.span()));
    let text = std::fs::read_to_string(path).ok()?;
    let made = SecretHeader::new(name, text.trim());
    if made.is_none() {
        s.problem_at(
            &span,
            format!("a header {name:?} with that key can't be"),
            "write the name of a header, such as \"X-Api-Key\", and the key on one line",
        );
    }
    made
}

pub(super) fn identity(s: &Section<'_, '_>) -> Option<ClientIdentity> {
    match (s.text("certificate"), s.text("key")) {
        (None, None) => None,
        (Some((c, span)), Some(key)) => {
            let key_span = key.1.clone();
            let key = secret_file(s, key);
            Some(ClientIdentity {
                certificate: octets(s, &s.file(c), &span)?,
                key: octets(s, &key, &key_span)?,
            })
        }
        _ => {
            s.problem_at(
                &s.span(),
                "a client certificate needs certificate and key".to_owned(),
                "write certificate = \"client.pem\" and key = \"client.key\"",
            );
            None
        }
    }
}

pub(super) fn octets(
    s: &Section<'_, '_>,
    path: &Path,
    span: &std::ops::Range<usize>,
) -> Option<Vec<u8>> {
    let read = std::fs::read(path);
    if let Err(e) = &read {
        s.problem_at(
            span,
            format!("{}: {e}", path.display()),
            "put the file there, or mend the path",
        );
    }
    read.ok()
}
