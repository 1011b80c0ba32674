//! `portal.toml`: a traceback portal, read and checked. It is a file of its own, since a portal is no provider.
//!
//! Comes in: the file, and those that it names. Goes out: [`PortalConfig`]. Refused: a listener that others reach without TLS, a key that can't sign what is
//! pushed, anything that is written and not known.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Problem;
use super::reader::{Reader, Section};
use super::responder::{named, public_url, secret_file, token_file};
use crate::host::log::LogSettings;
use crate::portal::settings::{
    HintPolicy, IntakeSettings, ListenSettings, PER_MINUTE, PortalSettings, PushSettings,
    RequesterSettings, WalkSettings,
};
use crate::proof::sign::Signer;
use crate::web::tls::TlsFiles;

/// Ports on loopback, where none is written; nobody has registered them.
const API_PORT: u16 = 8470;
const CONSOLE_PORT: u16 = 8480;
/// Machines that hand requests in, at most.
const REQUESTERS: usize = 64;
/// Longest deadline in place of the rules': an hour less than the shortest of them would be no demonstration.
const MOST_DEADLINE: u64 = 7 * 86_400;

/// A portal's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct PortalConfig {
    /// What the portal is.
    pub settings: PortalSettings,
    /// Its log.
    pub log: LogSettings,
    /// The user to go on as, when started as root.
    pub user: Option<String>,
    /// Whether the file system is confined to what it needs.
    pub sandbox: bool,
    /// The folder of the file.
    pub folder: PathBuf,
    /// Every file that it names.
    pub files: Vec<PathBuf>,
}

impl PortalConfig {
    /// Reads and checks it, with the files that it names.
    ///
    /// # Errors
    ///
    /// Every problem that was found, by file and line.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let text = super::read(path).map_err(|p| vec![p])?;
        let (reader, table) = Reader::parse(path, &text);
        let root = reader.root(&table);
        let portal = root.section("portal");
        let name = portal
            .required("name", "\"tb\"")
            .filter(|at| named(&portal, at))
            .map(|(name, _)| Arc::<str>::from(name));
        let state = portal.place("state");
        let state = state.unwrap_or_else(|| reader.folder().join("state"));
        let key_file = portal
            .required("key_file", "\"portal.key\"")
            .map(|at| key(&portal, at));
        portal.finish();
        let api_section = root.section("api");
        let per_minute = api_section.integer("per_minute", PER_MINUTE.into(), 1..1_000_001);
        let api = listen(&api_section, "api", API_PORT);
        let console_section = root.section("console");
        let console = listen(&console_section, "console", CONSOLE_PORT);
        if api.address == console.address && api.address.port() != 0 {
            console_section.problem_at(
                &console_section.span(),
                format!("console.listen is {} as api.listen is", api.address),
                "give the console another port: people and machines come to different doors",
            );
        }
        api_section.finish();
        console_section.finish();
        let intake = intake(root.section("intake"));
        let walk = walk(root.section("walk"));
        let push = push(root.section("push"), api.address);
        let requesters = requesters(&root);
        let run = super::run::read_identity(root.section("run"));
        let log = super::log::read(root.section("log"));
        root.finish();
        let (folder, files) = (reader.folder().to_owned(), reader.files());
        let problems = reader.into_problems();
        match (name, key_file, problems.is_empty()) {
            (Some(name), Some(key_file), true) => Ok(Self {
                settings: PortalSettings {
                    name,
                    state,
                    key_file,
                    api,
                    console,
                    intake,
                    walk,
                    push,
                    per_minute: u32::try_from(per_minute).unwrap_or(u32::MAX),
                    requesters,
                },
                log,
                user: run.0,
                sandbox: run.1,
                folder,
                files,
            }),
            _ => Err(problems),
        }
    }

    /// What the operator should know, and what is no problem.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.settings.walk.deadline.is_some() {
            notes.push(
                "walk.deadline_seconds takes the place of every provider's own rule: for demonstrations and tests alone".to_owned(),
            );
        }
        if self.settings.push.inside && !self.settings.api.address.ip().is_loopback() {
            notes.push(
                "push.inside: whoever owns a name in the directory can have us post to addresses inside".to_owned(),
            );
        }
        notes
    }
}

/// The portal's key: a secret file, of Ed25519.
fn key(s: &Section<'_, '_>, at: (&str, std::ops::Range<usize>)) -> PathBuf {
    let span = at.1.clone();
    let path = secret_file(s, at);
    // What can't be read was said.
    if let Ok(signer) = Signer::read(&path)
        && signer.webhook_key().is_none()
    {
        s.problem_at(
            &span,
            format!(
                "{}: events are pushed with a key of Ed25519, and this is another",
                path.display()
            ),
            "make one with `tracehop answer key --new portal.key`, or with `tracehop portal init`",
        );
    } else if let Err(why) = Signer::read(&path)
        && path.exists()
    {
        s.problem_at(
            &span,
            format!("{}: {why}", path.display()),
            "make one with `tracehop answer key --new portal.key`, or with `tracehop portal init`",
        );
    }
    path
}

fn listen(s: &Section<'_, '_>, name: &str, port: u16) -> ListenSettings {
    const PUT: &str = "put the file there, or mend the path";
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Some((text, span)) = s.text("listen") {
        match text.parse() {
            Ok(at) => address = at,
            Err(_) => s.problem_at(
                &span,
                format!("{text:?} is no address with a port"),
                format!(
                    "write, for instance: listen = \"127.0.0.1:{port}\"; names are not looked up"
                ),
            ),
        }
    }
    let public_url = public_url(s);
    let certificate = s.existing("certificate", PUT);
    let key = s.text("key").map(|at| secret_file(s, at));
    let client_ca = s.existing("client_ca", PUT);
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate,
            key,
            client_ca,
        }),
        (None, None) if client_ca.is_none() => None,
        _ => {
            s.problem_at(
                &s.span(),
                "TLS needs certificate and key".to_owned(),
                "write certificate = \"portal.pem\" and key = \"portal-tls.key\"",
            );
            return ListenSettings {
                address,
                public_url,
                tls: None,
            };
        }
    };
    if !address.ip().is_loopback() && tls.is_none() {
        s.problem_at(
            &s.span(),
            format!("{name}.listen {address} is reached by others, and has no TLS"),
            "write certificate and key, or listen on 127.0.0.1 behind a proxy of yours",
        );
    }
    ListenSettings {
        address,
        public_url,
        tls,
    }
}

fn intake(s: Section<'_, '_>) -> IntakeSettings {
    let default = IntakeSettings::default();
    let days = |key, days: u32| {
        let n = s.integer(key, days.into(), 1..3_661);
        u32::try_from(n).unwrap_or(days)
    };
    let (fresh_days, oldest_days) = (
        days("fresh_days", default.fresh_days),
        days("oldest_days", default.oldest_days),
    );
    if fresh_days > oldest_days {
        s.problem_at(
            &s.span(),
            format!("fresh_days is {fresh_days}, and calls of {oldest_days} days are refused"),
            "write fresh_days below oldest_days",
        );
    }
    let per_day = s.integer("per_day", default.per_day.into(), 1..1_000_001);
    let settings = IntakeSettings {
        open_at_once: s.flag("open_at_once", default.open_at_once),
        per_day: u32::try_from(per_day).unwrap_or(u32::MAX),
        fresh_days,
        oldest_days,
    };
    s.finish();
    settings
}

fn walk(s: Section<'_, '_>) -> WalkSettings {
    let default = WalkSettings::default();
    let grace = s.integer("grace_minutes", default.grace.as_secs() / 60, 0..10_081);
    // A portal that only shows how it goes counts in seconds.
    let grace = match s.integer_if("grace_seconds", 0..3_601) {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::from_secs(grace * 60),
    };
    let most_hops = s.integer("most_hops", default.most_hops.into(), 1..101);
    let hint = s.choice(
        "hint",
        &[
            ("never", HintPolicy::Never),
            ("when-stuck", HintPolicy::WhenStuck),
            ("at-once", HintPolicy::AtOnce),
        ],
    );
    let deadline = s.integer_if("deadline_seconds", 1..MOST_DEADLINE);
    s.finish();
    WalkSettings {
        grace,
        most_hops: u32::try_from(most_hops).unwrap_or(default.most_hops),
        hint: hint.unwrap_or_default(),
        deadline: deadline.map(Duration::from_secs),
    }
}

fn push(s: Section<'_, '_>, api: SocketAddr) -> PushSettings {
    // A portal that only this host reaches is one to look at: its providers are here as well.
    let inside = s.flag("inside", api.ip().is_loopback());
    let mut roots = None;
    if let Some((text, span)) = s.text("roots") {
        let path = s.file(text);
        match std::fs::read(&path) {
            Ok(pem) => match crate::fetch::connect::check_roots(&pem) {
                Ok(()) => roots = Some(pem),
                Err(why) => s.problem_at(
                    &span,
                    format!("{}: {why}", path.display()),
                    "a file of certificates in PEM",
                ),
            },
            Err(e) => s.problem_at(
                &span,
                format!("{}: {e}", path.display()),
                "put the file there, or mend the path",
            ),
        }
    }
    s.finish();
    PushSettings { inside, roots }
}

fn requesters(root: &Section<'_, '_>) -> Vec<RequesterSettings> {
    let given = root.sections("requester");
    if given.len() > REQUESTERS {
        root.problem_at(
            &root.span(),
            format!("{} requesters", given.len()),
            format!("write {REQUESTERS} at most; people come by the console"),
        );
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut one = |s: Section<'_, '_>| {
        let name = s
            .required("name", "\"agency-1\"")
            .filter(|at| named(&s, at));
        let organisation = s.required("organisation", "\"Example Agency\"");
        let token = s
            .required("token_file", "\"agency-1.token\"")
            .map(|at| token_file(&s, at));
        if let Some((name, span)) = &name {
            match names.iter().any(|n| **n == **name) {
                true => s.problem_at(
                    span,
                    format!("two requesters are called {name:?}"),
                    "give each a name of its own: the audit log goes by it",
                ),
                false => names.push((*name).into()),
            }
        }
        s.finish();
        Some(RequesterSettings {
            name: name?.0.into(),
            organisation: organisation?.0.into(),
            token_file: token?,
        })
    };
    given
        .into_iter()
        .take(REQUESTERS)
        .filter_map(&mut one)
        .collect()
}
