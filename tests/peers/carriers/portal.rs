//! The portal, reached from all carriers over the office's network with TLS; and what every trace must have found.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tracehop::base::Timestamp;
use tracehop::config::PortalConfig;
use tracehop::host::clock;
use tracehop::portal::docket::directory::Card;
use tracehop::portal::docket::{Actor, Docket, Handed};
use tracehop::portal::settings::PortalSettings;
use tracehop::portal::word::Role;
use tracehop::proof::Who;
use tracehop::proof::sign::{Signer, new_key};
use tracehop::traceback::deadline::DeadlineRule;

use super::super::edge::{Ends, until};
use super::super::run;
use super::super::support::{text, tracehop};
use super::net::Net;
use super::plan::{self, CARRIERS, Call, DEAD, From, NAMES};
use super::probe::secret;
use super::records;

/// Where machines come.
const API: u16 = 8470;
/// Where a carrier is pushed to.
const PUSHED: u16 = 8443;
/// How long a carrier may take: the slow ones have a fifth of a processor, and six hundred questions come at once.
const DEADLINE_S: u64 = 35;
/// Longest that all traces together may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// The portal before it is started.
pub struct Prepared {
    folder: PathBuf,
}

/// The portal under way.
pub struct Portal {
    folder: PathBuf,
    docket: Docket,
    process: Ends,
}

impl Portal {
    /// Keys, certificates, and a directory of all carriers.
    pub fn set_up(net: &Net) -> Prepared {
        let folder = net.path("portal");
        fs::create_dir_all(&folder).unwrap();
        let authority = Authority::new();
        fs::write(net.path("office.pem"), authority.certificate.pem()).unwrap();
        authority.leaf(&folder, plan::PORTAL);
        let signer = Arc::new(new_key(&folder.join("portal.key")).unwrap());
        let own = signer.webhook_key().unwrap();
        let config = format!(
            "[portal]\nname = \"tb\"\nkey_file = \"portal.key\"\nstate = \"state\"\n\
             [api]\nlisten = \"{}:{API}\"\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n\
             [intake]\nper_day = 1000\n[walk]\ndeadline_seconds = {DEADLINE_S}\ngrace_seconds = 1\n\
             [push]\ninside = true\nroots = \"../office.pem\"\n[run]\nuser = \"nobody\"\n",
            plan::PORTAL
        );
        fs::write(folder.join("portal.toml"), config).unwrap();
        let settings = PortalSettings {
            state: folder.join("state"),
            ..PortalSettings::sample(&folder)
        };
        let docket = Docket::open(settings, signer).unwrap();
        for n in 0..CARRIERS {
            let carrier = net.folder(n);
            fs::create_dir_all(&carrier).unwrap();
            authority.leaf(&carrier, plan::management(n));
            enrol(&docket, n, &carrier, &own);
        }
        run("chown", &["-R", "nobody", &text(&folder)]);
        Prepared { folder }
    }

    /// Hands in a call as the called party would tell it: to the second.
    pub fn hand_in(&self, net: &Net, call: &Call) -> String {
        let last = call.traced()[0];
        let at = records(net, last, &call.rings())[0].begin.at;
        let handed = Handed {
            called: format!("+{}", call.rings()),
            calling: format!("+{}", call.calling),
            time: Timestamp::from_secs(at.secs()).to_string(),
            precision_s: Some(1.0),
            provider: plan::id(last),
            legal_basis: "47 CFR 64.1200(n)(1)".to_owned(),
            campaign: format!("Route {}", call.route.area),
            evidence: "A recorded voice; the called party has never dealt with the caller."
                .to_owned(),
            ..Handed::default()
        };
        let desk = Actor {
            who: Who::User("desk".into()),
            role: Role::Analyst,
            organisation: "portal".into(),
            provider: None,
        };
        let submitted = self.docket.submit(&desk, &handed, clock::now());
        submitted
            .unwrap_or_else(|e| panic!("{call:?}: {e}"))
            .case
            .to_string()
    }

    /// Waits until no case is open.
    pub fn wait_for_ends(&self, count: usize) {
        let begin = Instant::now();
        loop {
            let open = self.docket.tracebacks(Some("open"), 1_000).unwrap();
            if open.is_empty() {
                break;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{} of {count} are still open: {open:#?}\n{}",
                open.len(),
                self.said()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    pub fn said(&self) -> String {
        self.process.said()
    }

    /// What is wrong with a finished trace.
    pub fn wrong(&self, net: &Net, call: &Call, case: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let found = self.docket.traceback(case, None).unwrap();
        // Up to the dead one, or all.
        let mut path = call.traced();
        let dead = path.iter().position(|n| *n == DEAD);
        path.truncate(dead.map_or(path.len(), |d| d + 1));
        let last = *path.last().unwrap();
        let outcome = match (dead, call.route.from) {
            (Some(_), _) => "non-responsive",
            (None, From::Customer) => "originator",
            (None, From::Abroad) => "point-of-entry",
        };
        let ended = found.case.ended_at.as_deref();
        if found.case.outcome.as_deref() != Some(outcome) || ended != Some(NAMES[last]) {
            wrong.push(format!("wanted {outcome} at {}", NAMES[last]));
        }
        let asked: Vec<_> = found
            .path
            .iter()
            .map(|s| (&*s.provider, &*s.state))
            .collect();
        let state = |n: usize| {
            if n == DEAD {
                "non-responsive"
            } else {
                "answered"
            }
        };
        let expected: Vec<_> = path.iter().map(|n| (NAMES[*n], state(*n))).collect();
        if asked != expected {
            wrong.push(format!("asked {asked:?}"));
        }
        if !found.case.verified {
            wrong.push("its path is not verified".to_owned());
        }
        wrong.extend(self.unverified(net, case, expected.len() - usize::from(dead.is_some())));
        let about = format!("{case} {} over {:?}", call.dialled, call.route.path);
        wrong
            .into_iter()
            .map(|w| format!("{about}: {w}: {found:?}"))
            .collect()
    }

    /// The path as anybody checks it, with the answers as they came and the carriers' own public keys.
    fn unverified(&self, net: &Net, case: &str, answers: usize) -> Option<String> {
        let signed = self.docket.answers_of(case).unwrap();
        let file = net.path(&format!("{case}.jsonl"));
        let lines: Vec<Vec<u8>> = signed.into_iter().map(|(_, octets)| octets).collect();
        fs::write(&file, lines.join(&b'\n')).unwrap();
        let out = tracehop(&[
            "answer",
            "verify",
            &text(&file),
            "--keys",
            &text(&net.path("keys")),
            "--json",
        ]);
        let said: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        let hops = said["hops"].as_array().map_or(0, Vec::len);
        (out.status.code() != Some(0) || hops != answers)
            .then(|| format!("{hops} answers of {answers}, verified: {said}"))
    }

    /// The longest that a question waited for its answer.
    pub fn slowest(&self, cases: &[String]) -> f64 {
        let paths = cases
            .iter()
            .flat_map(|c| self.docket.traceback(c, None).unwrap().path);
        let waits = paths.filter_map(|s| Some(s.answered?.secs_since(s.asked)));
        waits.fold(0.0, f64::max)
    }

    /// A case as the portal gives it to anybody: files of signed answers, and of keys.
    pub fn export(&self, net: &Net, case: &str) {
        let out = net.path(&format!("export-{case}"));
        let config = text(&self.folder.join("portal.toml"));
        let ask = |arguments: &[&str]| {
            let done = tracehop(arguments);
            let said = [&*done.stdout, &*done.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert_eq!(done.status.code(), Some(0), "{arguments:?}: {said}");
        };
        ask(&[
            "portal",
            "case",
            "export",
            case,
            "--out",
            &text(&out),
            "--config",
            &config,
        ]);
        let keys = text(&net.path(&format!("keys-{case}")));
        ask(&["portal", "keys", "--out", &keys, "--config", &config]);
        let files = fs::read_dir(&out).unwrap().flatten().map(|e| e.path());
        let files: Vec<String> = files.filter(|f| f.is_file()).map(|f| text(&f)).collect();
        let mut verify = vec!["answer", "verify", "--keys", &keys];
        verify.extend(files.iter().map(String::as_str));
        ask(&verify);
    }
}

impl Prepared {
    /// A carrier's section `[responder]`.
    pub fn responder(&self, n: usize) -> String {
        format!(
            "[responder]\nenabled = true\nkey_file = \"answers.key\"\nlisten = \"{}:{PUSHED}\"\n\
             [responder.tls]\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n\
             [[responder.portal]]\nname = \"tb\"\nmode = \"automatic\"\n\
             automatic = [\"UPSTREAM_DOMESTIC\", \"UPSTREAM_FOREIGN\", \"ORIGIN_END_CUSTOMER\", \"DIVERTED_BY_OUR_SUBSCRIBER\"]\n\
             deadline = \"plain-24h\"\nrequests_per_minute = 6000\nwebhook_secrets = \"portal.secrets\"\nadapter = \"reference\"\n\
             [responder.portal.reference]\nurl = \"https://{}:{API}\"\nroots = \"../office.pem\"\ntoken_file = \"portal.token\"\nwait_seconds = 5\n",
            plan::management(n),
            plan::PORTAL
        )
    }

    /// Starts it in the office.
    pub fn start(self, net: &Net) -> Portal {
        let config = self.folder.join("portal.toml");
        let settings = PortalConfig::load(&config)
            .unwrap_or_else(|p| panic!("{p:#?}"))
            .settings;
        let bin = env!("CARGO_BIN_EXE_tracehop");
        let arguments = [bin, "portal", "--config", &text(&config)];
        let process = net.start(&net.hub(), &arguments, "portal.log");
        let door = format!("{}:{API}", plan::PORTAL);
        until("the portal", || {
            run("ip", &["netns", "exec", &net.hub(), "ss", "-Hltn"]).contains(&door)
        });
        let keys = net.path("keys");
        fs::create_dir(&keys).unwrap();
        for n in 0..CARRIERS {
            let signer = Signer::read(&net.folder(n).join("answers.key")).unwrap();
            let file = keys.join(format!("{}.json", plan::id(n)));
            fs::write(file, signer.jwks().to_string()).unwrap();
        }
        let signer = Signer::read(&self.folder.join("portal.key")).unwrap();
        Portal {
            docket: Docket::open(settings, Arc::new(signer)).unwrap(),
            folder: self.folder,
            process,
        }
    }
}

/// A carrier comes into the directory.
fn enrol(docket: &Docket, n: usize, folder: &Path, portal_key: &str) {
    let (by, now, id) = (Who::Automatic, clock::now(), plan::id(n));
    let signer = new_key(&folder.join("answers.key")).unwrap();
    let mut card = Card::new(&id, NAMES[n]);
    let url = format!("https://{}:{PUSHED}/v1/hop-requests", plan::management(n));
    card.push_url = Some(url.into());
    card.deadline = DeadlineRule::Plain;
    docket.add_provider(&by, &card, now).unwrap();
    let keys = signer.jwks().to_string();
    docket.add_keys(&by, &id, keys.as_bytes(), now).unwrap();
    secret(
        &folder.join("portal.token"),
        &docket.new_token(&by, &id, now).unwrap(),
    );
    secret(&folder.join("portal.secrets"), portal_key);
}

/// Who certifies the office's servers.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            certificate: ca.self_signed(&key).unwrap(),
            issuer: Issuer::new(ca, key),
        }
    }

    /// `tls.pem` and `tls.key` of a server at an address.
    fn leaf(&self, folder: &Path, address: Ipv4Addr) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![address.to_string()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("tls.pem"), certificate.pem()).unwrap();
        secret(&folder.join("tls.key"), &key.serialize_pem());
    }
}
