//! Section `[responder]`: answers to traceback requests. Off unless it is switched on; what is written is checked all the same.
//!
//! Comes in: the section, and the files that it names. Goes out: [`ResponderSettings`]. Refused: a mode that sends without a key to sign with, a listener that
//! others reach without TLS, a portal that pushes where nobody listens, resolutions that only a person may give.

mod portal;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader::Section;
use crate::responder::case::Mode;
use crate::responder::settings::{OperatorSettings, ResponderSettings, Role, TlsSettings};

/// Portals at most: each costs two tasks and a place in every metric. Nobody has more than a few.
const PORTALS: usize = 16;

/// People and machines at most.
const OPERATORS: usize = 64;

/// Requests under way: ten weeks of the whole country's (traceback.md §1.5: 48 hop questions a day), some 20 MB.
const OPEN_REQUESTS: u64 = 10_000;

/// Shortest token: 32 characters of base64 or hexadecimal are 128 bits at least.
const TOKEN: usize = 32;

/// No file with a secret is longer.
const MAX_SECRET: u64 = 16 * 1024;

/// The responder; `None` where it is off. `us` is our id at portals, `store` the folder of the store.
pub(super) fn read(
    s: Section<'_, '_>,
    us: Option<&Arc<str>>,
    store: &Path,
) -> Option<ResponderSettings> {
    let enabled = s.flag("enabled", false);
    let state = s.place("state");
    let state = state.unwrap_or_else(|| store.with_file_name("responder"));
    let key_file = s.text("key_file").map(|at| secret_file(&s, at));
    let listen = listen(&s);
    let public_url = public_url(&s);
    let tls = tls(s.section("tls"), s.has("tls"));
    let open_requests = s.integer("open_requests", OPEN_REQUESTS, 1..1_000_001);
    let operators = operators(&s);
    let given = s.sections("portal");
    bounded(&s, given.len(), PORTALS, "portals");
    let mut portals = Vec::new();
    let mut names = BTreeSet::new();
    for p in given.into_iter().take(PORTALS) {
        let span = p.span();
        let Some(portal) = portal::read(p, us) else {
            continue;
        };
        if !names.insert(portal.name.clone()) {
            s.problem_at(
                &span,
                format!("two portals are called {:?}", portal.name),
                "give each a name of its own: requests, metrics and the audit log go by it",
            );
        }
        if portal.mode != Mode::Shadow && key_file.is_none() {
            s.problem_at(
                &span,
                format!(
                    "portal {:?} sends answers, and responder.key_file is missing: nothing could be signed",
                    portal.name
                ),
                "make a key with `tracehop answer key --new answers.key`, and write key_file = \"answers.key\" into [responder]; or mode = \"shadow\"",
            );
        }
        if portal.webhook_secrets.is_some() && listen.is_none() {
            s.problem_at(
                &span,
                format!(
                    "portal {:?} pushes, and nobody listens: responder.listen is missing",
                    portal.name
                ),
                "write listen = \"127.0.0.1:8443\" into [responder], or take webhook_secrets out",
            );
        }
        if portal.client_certificate.is_some() && tls.as_ref().is_none_or(|t| t.client_ca.is_none())
        {
            s.problem_at(
                &span,
                format!(
                    "portal {:?} must show a certificate, and nobody is asked for one",
                    portal.name
                ),
                "write client_ca = \"portals-ca.pem\" into [responder.tls]",
            );
        }
        portals.push(portal);
    }
    if let Some(at) = listen
        && !at.ip().is_loopback()
        && tls.is_none()
    {
        s.problem_at(
            &s.span(),
            format!("responder.listen {at} is reached by others, and there is no [responder.tls]"),
            "write [responder.tls] with certificate and key, or listen on 127.0.0.1 behind a proxy of yours",
        );
    }
    if enabled && us.is_none() {
        s.problem_at(
            &s.span(),
            "answers say who gives them, and provider.portal_id is missing".to_owned(),
            "write portal_id = \"…\", your id at the portal, into [provider]",
        );
    }
    if enabled && portals.is_empty() {
        s.problem_at(
            &s.span(),
            "the responder is on, and no portal could ask anything".to_owned(),
            "write a [[responder.portal]] with a name, or enabled = false",
        );
    }
    s.finish();
    enabled.then_some(ResponderSettings {
        state,
        key_file,
        listen,
        tls,
        public_url,
        portals,
        operators,
        open_requests: usize::try_from(open_requests).unwrap_or(usize::MAX),
    })
}

fn bounded(s: &Section<'_, '_>, n: usize, most: usize, what: &str) {
    if n > most {
        s.problem_at(
            &s.span(),
            format!("{n} {what}"),
            format!("write {most} at most"),
        );
    }
}

fn listen(s: &Section<'_, '_>) -> Option<SocketAddr> {
    let (text, span) = s.text("listen")?;
    let at = text.parse().ok();
    if at.is_none() {
        s.problem_at(
            &span,
            format!("{text:?} is no address with a port"),
            "write, for instance: listen = \"127.0.0.1:8443\"; names are not looked up",
        );
    }
    at
}

pub(super) fn public_url(s: &Section<'_, '_>) -> Option<Arc<str>> {
    let (text, span) = s.text("public_url")?;
    let known = crate::web::client::BaseUrl::parse(text).is_some();
    if !known {
        s.problem_at(
            &span,
            format!("{text:?} is no URL with https"),
            "write, for instance: public_url = \"https://traceback.example.net\"",
        );
    }
    known.then(|| Arc::from(text.trim_end_matches('/')))
}

fn tls(s: Section<'_, '_>, written: bool) -> Option<TlsSettings> {
    const PUT: &str = "put the file there, or mend the path";
    if !written {
        s.finish();
        return None;
    }
    let certificate = s
        .required("certificate", "\"responder.pem\"")
        .and_then(|at| s.existing_at(at, PUT));
    let key = s
        .required("key", "\"responder.key\"")
        .map(|at| secret_file(&s, at));
    let client_ca = s.existing("client_ca", PUT);
    s.finish();
    Some(TlsSettings {
        certificate: certificate?,
        key: key?,
        client_ca,
    })
}

fn operators(s: &Section<'_, '_>) -> Vec<OperatorSettings> {
    let given = s.sections("operator");
    bounded(s, given.len(), OPERATORS, "operators");
    let mut names = BTreeSet::new();
    let one = |o: Section<'_, '_>| {
        let name = o.required("name", "\"alice\"").filter(|at| named(&o, at));
        let token_file = o
            .required("token_file", "\"alice.token\"")
            .map(|at| token_file(&o, at));
        let mut roles = Vec::new();
        for (text, span) in o.texts("roles") {
            match Role::from_label(text) {
                Some(role) if !roles.contains(&role) => roles.push(role),
                Some(_) => {}
                None => o.problem_at(
                    &span,
                    format!("{text:?} is no role"),
                    "write of \"read\", \"lookup\", \"decide\", \"audit\" those that are wanted",
                ),
            }
        }
        if let Some((name, span)) = &name
            && !names.insert((*name).to_owned())
        {
            o.problem_at(
                span,
                format!("two operators are called {name:?}"),
                "give each a name of its own: the audit log goes by it",
            );
        }
        o.finish();
        Some(OperatorSettings {
            name: name?.0.into(),
            token_file: token_file?,
            roles,
        })
    };
    given.into_iter().take(OPERATORS).filter_map(one).collect()
}

/// Whether a name is one: it goes into URLs, metrics and the audit log.
pub(super) fn named(s: &Section<'_, '_>, (text, span): &(&str, Range<usize>)) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let good = text.len() <= 64 && text.bytes().all(letter);
    if !good {
        s.problem_at(
            span,
            format!("{text:?} is no name"),
            "write small letters, digits, and of - _ . what you like, 64 at most",
        );
    }
    good
}

/// A file with a secret: it must be there, and nobody but its owner may read it.
pub(super) fn secret_file(s: &Section<'_, '_>, (text, span): (&str, Range<usize>)) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = s.file(text);
    let wrong = match std::fs::metadata(&path) {
        Err(e) => Some(e.to_string()),
        Ok(file) if file.permissions().mode() & 0o077 != 0 => {
            Some("others than its owner may read it: chmod 600".to_owned())
        }
        Ok(file) if file.len() > MAX_SECRET => Some("it is too large for a secret".to_owned()),
        Ok(file) if file.len() == 0 => Some("it is empty".to_owned()),
        Ok(_) => None,
    };
    if let Some(why) = wrong {
        s.problem_at(
            &span,
            format!("{}: {why}", path.display()),
            "a file that only its owner may read, with the secret alone",
        );
    }
    path
}

/// The same with a token: one line, long enough that nobody guesses it.
pub(super) fn token_file(s: &Section<'_, '_>, at: (&str, Range<usize>)) -> PathBuf {
    let span = at.1.clone();
    let path = secret_file(s, at);
    // What can't be read was said above.
    if let Ok(text) = std::fs::read_to_string(&path) {
        let token = text.trim();
        let good = token.len() >= TOKEN && token.bytes().all(|b| b.is_ascii_graphic());
        if !good && !token.is_empty() {
            s.problem_at(
                &span,
                format!("{}: no token that nobody guesses", path.display()),
                format!(
                    "one line of {TOKEN} characters at least, as `openssl rand -hex 32` gives them"
                ),
            );
        }
    }
    path
}
