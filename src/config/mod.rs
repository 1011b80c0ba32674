//! Configuration: TOML as written becomes checked values. Every problem is found in one go and names file, line and remedy.
//!
//! Paths in a file are relative to the folder of that file. Every setting has a default but those that only the operator can know.

mod adapter;
mod behaviour;
mod capture;
mod client;
mod engine;
mod fetch;
mod findings;
mod hep;
mod http;
mod limits;
mod log;
mod numbers;
mod peers;
mod portal;
mod reader;
mod responder;
mod run;
mod store;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use peers::mac;
pub use portal::PortalConfig;
pub use reader::Problem;
use reader::{Reader, Section};
pub use run::RunSettings;
pub use store::StoreConfig;

use crate::call::classify::behaviour::BehaviourSettings;
use crate::call::classify::campaign::CampaignSettings;
use crate::call::classify::{FlagSettings, OwnNumbers};
use crate::call::peer::{PeerKind, PeerTable};
use crate::call::record::{Clock, ClockSource};
use crate::capture::hep::HepSettings;
use crate::capture::live::LiveSettings;
use crate::engine::AssembleLimits;
use crate::fetch::FetchSettings;
use crate::fetch::directory::{CredentialFiles, CrlFiles};
use crate::findings::FindingsSettings;
use crate::host::log::LogSettings;
use crate::number::NumberPlan;
use crate::responder::service::{World, WorldError};
use crate::responder::settings::ResponderSettings;
use crate::stir::verify::{CrlPolicy, Profile, VerifySettings, VerstatMapping};
use crate::traceback::{TracebackSettings, answer};
use crate::web::WebSettings;

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose edge this is.
    pub provider: Provider,
    /// How numbers are written here.
    pub plan: NumberPlan,
    /// What flags are set by.
    pub flags: FlagSettings,
    /// Name of the sensor, kept in every record.
    pub sensor: Arc<str>,
    /// How good capture times are.
    pub clock: Clock,
    /// Neighbours.
    pub peers: Arc<PeerTable>,
    /// Where behaviours begin.
    pub behaviour: BehaviourSettings,
    /// What makes a campaign.
    pub campaign: CampaignSettings,
    /// The text that says who they are.
    pub peers_text: Arc<str>,
    /// Half width of the freshness window.
    pub freshness: Duration,
    /// Whose rules of verification hold.
    pub profile: Profile,
    /// How `verstat` is derived.
    pub verstat: VerstatMapping,
    /// Whether policy wants an Identity header on every call.
    pub require_identity: bool,
    /// Service provider codes that may sign for priorities.
    pub priority_signers: Vec<Box<str>>,
    /// What an unknown revocation state means.
    pub crl: CrlPolicy,
    /// What is captured live.
    pub capture: LiveSettings,
    /// Where certificates, the list of authorities and the revocation list are.
    pub credentials: CredentialFiles,
    /// How certificates are fetched.
    pub fetch: FetchSettings,
    /// Whether they are, unless a command says so.
    pub fetch_enabled: bool,
    /// What putting fragments and streams together may cost.
    pub assemble: AssembleLimits,
    /// Agents that mirror to us; `None` where we don't listen.
    pub hep: Option<HepSettings>,
    /// Where records are, and how long.
    pub store: StoreConfig,
    /// How much is asked of an answer that nobody looks at.
    pub matching: crate::traceback::Profile,
    /// Posterior from which an answer is certain.
    pub threshold: f64,
    /// How the daemon runs.
    pub run: RunSettings,
    /// The folder of the configuration's file.
    pub folder: PathBuf,
    /// Every file and folder that it names to be read, now and at a reload.
    pub files: Vec<PathBuf>,
    /// Where the daemon keeps which lists it has accepted: a file in the folder of the store.
    pub history: PathBuf,
    /// Where metrics and health are served.
    pub http: WebSettings,
    /// Where findings go.
    pub findings: FindingsSettings,
    /// Answers to traceback requests; `None` where they are off.
    pub responder: Option<ResponderSettings>,
    /// The daemon's log.
    pub log: LogSettings,
    /// Checksum of the texts; records keep it.
    pub version: u32,
}

/// Whose edge this is.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Legal name.
    pub name: Arc<str>,
    /// ISO 3166 code.
    pub country: Arc<str>,
    /// Id at the traceback portal.
    pub portal_id: Option<Arc<str>>,
    /// Numbers that only our own customers may call from.
    pub own_numbers: OwnNumbers,
}

impl Config {
    /// Every sensor that must be looking: interfaces and agents, or where there are none the name that files are read under. A call could have passed in
    /// front of any of them alone.
    pub fn sensors(&self) -> Vec<Arc<str>> {
        let mut all = self.capture.sensors();
        let agents = self.hep.iter().flat_map(|h| &h.agents);
        all.extend(agents.map(|a| a.name.clone()));
        if all.is_empty() {
            all.push(self.sensor.clone());
        }
        all
    }

    /// What to write, where there is nothing to watch and nobody to answer.
    pub fn nothing_to_do(&self) -> Option<&'static str> {
        let watches = !self.capture.interfaces.is_empty() || self.hep.is_some();
        // An answering node has the store of another's captures.
        let idles = !watches && self.responder.is_none();
        idles.then_some(
            "write [[capture.interface]] with name = \"eth0\", or [hep] with udp = [\"127.0.0.1:9060\"], or [responder] with enabled = true",
        )
    }

    /// The same, where the daemon is to start all the same.
    pub fn idles(&self) -> Option<&'static str> {
        self.nothing_to_do().filter(|_| self.run.idle)
    }

    /// Reads and checks a configuration with all files that it names.
    ///
    /// # Errors
    ///
    /// Every problem that was found, by file and line.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let text = read(path).map_err(|p| vec![p])?;
        let (reader, table) = Reader::parse(path, &text);
        let root = reader.root(&table);

        let provider = provider(root.section("provider"));
        let sensor = root.section("sensor");
        let name = sensor.text("name").map_or("edge", |(t, _)| t);
        let error_ms = sensor.integer("clock_error_ms", 50, 0..4_000);
        let verify = root.section("verify");
        let freshness = verify.integer("freshness_seconds", 60, 1..3_601);
        let profile = verify
            .choice(
                "profile",
                &[("shaken", Profile::Shaken), ("generic", Profile::Generic)],
            )
            .unwrap_or_default();
        let verstat = verify
            .choice(
                "verstat",
                &[
                    ("strict", VerstatMapping::Strict),
                    ("attest-a", VerstatMapping::AttestA),
                ],
            )
            .unwrap_or_default();
        let require_identity = verify.truth("require_identity").unwrap_or(false);
        let priority_signers = verify.texts("priority_signers");
        let priority_signers = priority_signers
            .into_iter()
            .map(|(t, _)| t.into())
            .collect();
        let crl = crl_policy(&verify);
        let credentials = credentials(root.section("credentials"));
        let capture = capture::read(root.section("capture"));
        let (fetch_enabled, fetch) = fetch::read(root.section("fetch"), &credentials);
        let (behaviour, own_thresholds) = behaviour::read(root.section("behaviour"));
        let campaign = behaviour::campaign(root.section("campaign"));
        let assemble = limits::read(root.section("limits"));
        let hep = hep::read(root.section("hep"), &capture.sensors());
        let store = store::read(root.section("store"), reader.folder());
        let http = http::read(root.section("http"));
        let log = log::read(root.section("log"));
        let (findings, named) = findings::read(root.section("findings"));
        let us = provider.as_ref().and_then(|p| p.portal_id.as_ref());
        let mut responder = responder::read(root.section("responder"), us, &store.path);
        let traceback = root.section("traceback");
        let matching = traceback
            .choice(
                "profile",
                &crate::traceback::Profile::ALL.map(|p| (p.label(), p)),
            )
            .unwrap_or_default();
        let threshold = traceback.number("threshold", matching.threshold(), 0.9, 0.999_999);
        let run = run::read(root.section("run"));
        let peers_section = root.section("peers");
        let peers_file = peers_section
            .required("file", "\"peers.toml\"")
            .map(|(t, _)| peers_section.file(t));

        let own = provider.as_ref().map(|p| p.own_numbers.clone());
        let numbers = numbers::read(
            root.section("numbers"),
            root.section("flags"),
            own.unwrap_or_default(),
        );

        for section in [sensor, verify, traceback, peers_section] {
            section.finish();
        }
        let sensor = Arc::from(name);
        root.finish();

        let (mut peers, peers_text, peer_problems) = match &peers_file {
            Some(file) => match read(file) {
                Ok(text) => {
                    let (table, problems) = peers::read(file, &text);
                    (table, text, problems)
                }
                Err(problem) => (PeerTable::default(), String::new(), vec![problem]),
            },
            None => (PeerTable::default(), String::new(), Vec::new()),
        };
        let version = crc32c::crc32c_append(crc32c::crc32c(text.as_bytes()), peers_text.as_bytes());
        let version = crc32c::crc32c_append(version, &numbers.version.to_le_bytes());
        peers.version = version;

        for (peer, span) in own_thresholds {
            if peer_problems.is_empty() && peers.peer(&peer).is_none() {
                reader.problem(
                    &span,
                    format!("no neighbour is called {peer:?}"),
                    "write the id of a [[peer]] in the peers file",
                );
            }
        }
        for (name, span) in findings::strangers(&named, &peers) {
            reader.problem(
                span,
                format!("{name:?} is no neighbour of peers.toml"),
                "write the id of a [[peer]], or \"unknown\" for those that no rule names",
            );
        }
        let portals = responder.iter_mut().flat_map(|r| &mut r.portals);
        for portal in portals.filter(|_| peer_problems.is_empty()) {
            for why in portal.adapter.resolve(&peers) {
                reader.problem(
                    &(0..0),
                    format!("the directory of portal {:?}: {why}", portal.name),
                    "its column peer has ids of [[peer]] in the peers file",
                );
            }
        }
        let (folder, files) = (reader.folder().to_owned(), reader.files());
        let mut problems = reader.into_problems();
        problems.extend(peer_problems);
        problems.extend(numbers.problems);
        if problems.is_empty() && !peers.peers.iter().any(|p| p.kind == PeerKind::Own) {
            problems.push(Problem {
                file: peers_file.unwrap_or_default(),
                line: 0,
                what: "no peer of kind \"own\": ingress and egress can't be told apart".to_owned(),
                remedy: "write a [[peer]] with kind = \"own\" and a [[rule]] with the addresses of your platform".to_owned(),
            });
        }
        match (problems.is_empty(), provider) {
            (true, Some(provider)) => Ok(Self {
                provider,
                plan: numbers.plan,
                flags: numbers.flags,
                sensor,
                clock: Clock {
                    source: ClockSource::File,
                    error_ns: u32::try_from(error_ms * 1_000_000).unwrap_or(u32::MAX),
                },
                peers: Arc::new(peers),
                behaviour,
                campaign,
                peers_text: peers_text.into(),
                freshness: Duration::from_secs(freshness),
                profile,
                verstat,
                require_identity,
                priority_signers,
                crl,
                capture,
                credentials,
                fetch,
                fetch_enabled,
                folder,
                files,
                history: store.path.join("lists.json"),
                assemble,
                hep,
                store,
                run,
                matching,
                threshold,
                http,
                findings,
                responder,
                log,
                version,
            }),
            _ => Err(problems),
        }
    }
}

impl Config {
    /// What answers are made by; `None` where nobody is answered.
    pub fn world(&self) -> Option<Result<World, WorldError>> {
        let settings = self.responder.clone()?;
        Some(World::signer_of(&settings).map(|signer| World {
            traceback: self.traceback_settings(),
            plan: self.plan.clone(),
            peers: self.peers.clone(),
            name: self.provider.name.clone(),
            // Without one the section is refused.
            provider: self.provider.portal_id.clone().unwrap_or_default(),
            version: self.version,
            signer,
            settings,
        }))
    }

    /// What the matcher needs of it.
    pub fn traceback_settings(&self) -> TracebackSettings {
        TracebackSettings {
            profile: self.matching,
            threshold: self.threshold,
            provider: Some(answer::Provider {
                name: self.provider.name.clone(),
                portal_id: self.provider.portal_id.clone(),
            }),
            own_ids: self.provider.portal_id.iter().cloned().collect(),
            sensors: self.sensors(),
            retention_days: u32::try_from(self.store.settings.retention.as_secs() / 86_400)
                .unwrap_or(u32::MAX),
            ..TracebackSettings::default()
        }
    }

    /// What verification needs of it.
    pub fn verify_settings(&self) -> VerifySettings {
        VerifySettings {
            window: self.freshness,
            plan: self.plan.clone(),
            profile: self.profile,
            clock_error: Duration::from_nanos(self.clock.error_ns.into()),
            require_identity: self.require_identity,
            priority_signers: self.priority_signers.clone(),
            crl: self.crl,
            kept_headers: self.peers.headers(),
        }
    }
}

/// Reads the text of a peers.toml that stands in no file yet. Its version is a checksum of it.
pub(crate) fn peers_of_text(file: &Path, text: &str) -> Result<PeerTable, Vec<Problem>> {
    let (mut table, problems) = peers::read(file, text);
    table.version = crc32c::crc32c(text.as_bytes());
    match problems.is_empty() {
        true => Ok(table),
        false => Err(problems),
    }
}

fn read(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|e| Problem {
        file: path.to_owned(),
        line: 0,
        what: format!("can't be read: {e}"),
        remedy: "check the path and who may read it".to_owned(),
    })
}

fn provider(s: Section<'_, '_>) -> Option<Provider> {
    let name = s
        .required("name", "\"Example Voice\"")
        .map(|(t, _)| Arc::from(t));
    let country = s
        .text("country")
        .map_or(Arc::from("US"), |(t, _)| Arc::from(t));
    let portal_id = s.text("portal_id").map(|(t, _)| Arc::from(t));
    let mut own = Vec::new();
    for (text, span) in s.texts("own_numbers") {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            s.problem_at(
                &span,
                format!("{text:?} is no prefix of a number"),
                "write digits with the country code and without plus, such as \"1202555014\"",
            );
        } else {
            own.push(text.into());
        }
    }
    s.finish();
    Some(Provider {
        name: name?,
        country,
        portal_id,
        own_numbers: OwnNumbers(own),
    })
}

/// What to do about a file of trust that isn't there.
const GET_IT: &str = "put the file there (certs/README.md says where to get it), or mend the path";

fn crl_policy(s: &Section<'_, '_>) -> CrlPolicy {
    match s.text("crl") {
        None | Some(("prefer", _)) => CrlPolicy::Prefer,
        Some(("require", _)) => CrlPolicy::Require,
        Some(("off", _)) => CrlPolicy::Off,
        Some((other, span)) => {
            s.problem_at(
                &span,
                format!("{other:?} says nothing about revocation"),
                "write crl = \"prefer\", or \"require\" (unknown is undetermined), or \"off\"",
            );
            CrlPolicy::Prefer
        }
    }
}

/// Whether calls after the end of the list of authorities are undetermined.
fn ca_list_must_be_current(s: &Section<'_, '_>) -> bool {
    match s.text("ca_list_expired") {
        None | Some(("use", _)) => false,
        Some(("refuse", _)) => true,
        Some((other, span)) => {
            s.problem_at(
                &span,
                format!("{other:?} says nothing about a list that has ended"),
                "write ca_list_expired = \"use\" (with an alarm), or \"refuse\" (calls after its end are undetermined)",
            );
            false
        }
    }
}

fn credentials(s: Section<'_, '_>) -> CredentialFiles {
    let path = |key| s.existing(key, GET_IT);
    let other_crl = |s: Section<'_, '_>| {
        let path = |key| s.existing(key, GET_IT);
        let required = |key, example| s.existing_at(s.required(key, example)?, GET_IT);
        let files = CrlFiles {
            crl: required("crl", "\"certs/other-crl.der\"")?,
            signer: path("signer"),
            root: required("root", "\"certs/other-root.pem\"")?,
        };
        s.finish();
        Some(files)
    };
    let aliases = s.texts("crl_aliases").into_iter();
    let files = CredentialFiles {
        directory: path("directory"),
        ca_list: path("ca_list"),
        ca_list_signer: path("ca_list_signer"),
        anchors: path("anchors"),
        sti_pa_root: path("sti_pa_root"),
        crl: path("crl"),
        crl_signer: path("crl_signer"),
        crl_aliases: aliases.map(|(url, _)| url.into()).collect(),
        other_crls: s
            .sections("other_crl")
            .into_iter()
            .filter_map(other_crl)
            .collect(),
        ca_list_must_be_current: ca_list_must_be_current(&s),
    };
    if files.ca_list.is_some() && files.sti_pa_root.is_none() {
        s.problem_at(
            &s.span(),
            "ca_list without sti_pa_root: the list's signature can't be checked".to_owned(),
            "write sti_pa_root = \"certs/sti-pa-root.pem\"",
        );
    }
    if files.directory.is_some() && files.ca_list.is_none() && files.anchors.is_none() {
        s.problem_at(
            &s.span(),
            "directory without ca_list or anchors: no certificate in it could be trusted"
                .to_owned(),
            "write ca_list (the STI-PA's list) or anchors (a PEM bundle)",
        );
    }
    s.finish();
    files
}

#[cfg(test)]
mod tests;
