//! The stage: keys, configurations, records of what was called, and the portal's database with its directory and people.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Plan;
use super::live::AGENT;
use crate::base::Timestamp;
use crate::cli::{Failure, load, replay};
use crate::host::clock;
use crate::lab::carriers::plan::{ALL, ASSISTED, CARRIERS, SILENT, carrier};
use crate::lab::carriers::{self, Made};
use crate::portal::docket::Docket;
use crate::portal::docket::directory::Card;
use crate::portal::docket::user::User;
use crate::portal::password::Secret;
use crate::portal::settings::PortalSettings;
use crate::portal::word::Role;
use crate::proof::Who;
use crate::proof::sign::{Signer, new_key};
use crate::traceback::deadline::DeadlineRule;

/// For whom the demonstration hands its requests in.
pub const AGENCY: &str = "Example Fraud Desk";

/// Who may log in to the console, and with what.
pub struct Login {
    /// His name.
    pub name: String,
    /// What he is there.
    pub what: &'static str,
    /// Made at this start.
    pub password: String,
}

/// Ports of one carrier.
pub struct Doors {
    /// Where the portal pushes to.
    pub push: u16,
    /// Its page of its own.
    pub page: u16,
    /// Where its switch mirrors to.
    pub mirror: u16,
}

/// What is ready to be started.
pub struct Stage {
    /// The folder.
    pub dir: PathBuf,
    /// The portal's two doors, and the slow way to the first.
    pub api: u16,
    pub console: u16,
    pub relay: u16,
    /// The carriers'.
    pub doors: Vec<Doors>,
    /// By which the agency's machine is known.
    pub token: String,
    /// People of the console.
    pub logins: Vec<Login>,
    /// The calls.
    pub made: Made,
}

/// Where ports are looked for: below those that systems give to connections (`ip_local_port_range`, from 32,768 on), which come and go.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Ports of loopback that nobody has now. They are held until all are chosen, so that no two are the same; where the look begins is left to chance, so that two
/// demonstrations don't meet.
fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    let chance = secret_text()?.bytes().map(usize::from).sum::<usize>();
    let first = usize::try_from(std::process::id()).unwrap_or(0) * 97 + chance * 31;
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).ok();
    let all: Vec<u16> = PORTS.collect();
    let from = first % all.len();
    let held: Vec<_> = all
        .iter()
        .cycle()
        .skip(from)
        .take(all.len())
        .filter_map(|port| Some((*port, free(port)?)))
        .take(count)
        .collect();
    match held.len() == count {
        true => Ok(held.into_iter().map(|(port, _)| port).collect()),
        false => Err(Failure::io("too few ports of this host are free")),
    }
}

/// Sets everything up in `dir`. `tell` hears what is being done.
pub fn set(dir: &Path, plan: &Plan, tell: &dyn Fn(&str)) -> Result<Stage, Failure> {
    let now = clock::now();
    let mut ports = free_ports(3 + 3 * CARRIERS)?.into_iter();
    let mut port = || ports.next().unwrap_or_default();
    let [api, console, relay] = [port(), port(), port()];
    let mut doors = Vec::new();
    doors.resize_with(CARRIERS, || Doors {
        push: port(),
        page: port(),
        mirror: port(),
    });

    tell("the portal: its key, its directory, its people");
    let portal = dir.join("portal");
    let (docket, signer) = open(&portal)?;
    let own = signer.webhook_key().unwrap_or_default();
    for (n, doors) in doors.iter().enumerate() {
        enrol(&docket, dir, n, doors.push, &own, now)?;
    }
    let logins = people(&docket, now)?;
    drop(docket);
    let token = secret_text()?;
    secret(&portal.join("agency.token"), &token)?;
    let config = portal_toml(api, console, plan);
    put(&portal.join("portal.toml"), &config)?;

    tell("calls between ten carriers, signed with real keys, as their probes saw them");
    let sections = |n: usize| {
        doors
            .get(n)
            .map_or_else(String::new, |d| sections(n, relay, d))
    };
    let made = carriers::write(dir, now, plan.each, &sections).map_err(Failure::io)?;
    for (n, carrier) in ALL.iter().enumerate() {
        tell(&format!(
            "{} of {CARRIERS}: {} judges and records what passed",
            n + 1,
            carrier.name
        ));
        let folder = dir.join(carrier.id);
        let config = load(&folder.join("tracehop.toml"))?;
        replay::replay(&config, &[folder.join("calls.pcap")], Some(1), false, false)?;
    }
    Ok(Stage {
        dir: dir.to_owned(),
        api,
        console,
        relay,
        doors,
        token,
        logins,
        made,
    })
}

fn open(portal: &Path) -> Result<(Docket, Arc<Signer>), Failure> {
    fs::create_dir_all(portal).map_err(Failure::io)?;
    let signer = Arc::new(new_key(&portal.join("portal.key")).map_err(Failure::io)?);
    let settings = PortalSettings {
        state: portal.join("state"),
        ..PortalSettings::sample(portal)
    };
    let docket = Docket::open(settings, signer.clone()).map_err(Failure::io)?;
    Ok((docket, signer))
}

/// A carrier comes into the directory: key, token, and where it is pushed to.
fn enrol(
    docket: &Docket,
    dir: &Path,
    n: usize,
    listen: u16,
    portal_key: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let by = Who::Automatic;
    let own = carrier(n);
    let folder = dir.join(own.id);
    fs::create_dir_all(&folder).map_err(Failure::io)?;
    let signer = new_key(&folder.join("answers.key")).map_err(Failure::io)?;
    secret(&folder.join("portal.secrets"), portal_key)?;
    let mut card = Card::new(own.id, own.name);
    card.push_url = Some(format!("http://127.0.0.1:{listen}/v1/hop-requests").into());
    card.deadline = DeadlineRule::Plain;
    docket
        .add_provider(&by, &card, now)
        .map_err(Failure::software)?;
    let keys = signer.jwks().to_string();
    docket
        .add_keys(&by, own.id, keys.as_bytes(), now)
        .map_err(Failure::software)?;
    let token = docket
        .new_token(&by, own.id, now)
        .map_err(Failure::software)?;
    secret(&folder.join("portal.token"), &token)
}

/// An analyst, and staff of the carrier whose answers wait for a click.
fn people(docket: &Docket, now: Timestamp) -> Result<Vec<Login>, Failure> {
    let staff = carrier(ASSISTED).id;
    let all = [
        (
            "analyst",
            "works on every case",
            Role::Analyst,
            AGENCY,
            None,
        ),
        (
            "fernhill",
            "staff of Fernhill Networks, whose answers wait for a click",
            Role::Provider,
            carrier(ASSISTED).name,
            Some(staff),
        ),
    ];
    let mut logins = Vec::new();
    for (name, what, role, organisation, provider) in all {
        let password = secret_text()?.chars().take(16).collect::<String>();
        let user = User {
            name: name.into(),
            full_name: name.into(),
            role,
            organisation: organisation.into(),
            provider: provider.map(Into::into),
            disabled: false,
        };
        let secret = Secret::of(&password, &[name]).map_err(Failure::software)?;
        docket
            .add_user(&Who::Automatic, &user, &secret, now)
            .map_err(Failure::software)?;
        logins.push(Login {
            name: name.to_owned(),
            what,
            password,
        });
    }
    Ok(logins)
}

fn portal_toml(api: u16, console: u16, plan: &Plan) -> String {
    format!(
        "# The portal of `tracehop demo --network`.\n[portal]\nname = \"demo\"\nkey_file = \"portal.key\"\nstate = \"state\"\n\
         [api]\nlisten = \"127.0.0.1:{api}\"\n[console]\nlisten = \"127.0.0.1:{console}\"\n\
         [intake]\nper_day = 10000\n[walk]\ndeadline_seconds = {}\ngrace_seconds = 1\n\
         [[requester]]\nname = \"fraud-desk\"\norganisation = \"{AGENCY}\"\ntoken_file = \"agency.token\"\n[log]\nlevel = \"warn\"\n",
        plan.deadline.as_secs()
    )
}

/// What a carrier's configuration says of sockets and the portal.
fn sections(n: usize, relay: u16, doors: &Doors) -> String {
    let Doors {
        push: listen,
        page,
        mirror,
    } = doors;
    let http = format!(
        "[http]\nlisten = \"127.0.0.1:{page}\"\n[log]\nlevel = \"warn\"\n\
         [hep]\ntcp = [\"127.0.0.1:{mirror}\"]\n[[hep.agent]]\nname = \"edge\"\nnetworks = [\"127.0.0.1/32\"]\nid = {AGENT}\n"
    );
    if n == SILENT {
        return format!(
            "{http}# It looks and records, and answers nobody.\n[responder]\nenabled = false\n"
        );
    }
    let mode = match n {
        ASSISTED => "mode = \"assisted\"\ndrafts = \"approve\"\n",
        _ => {
            "mode = \"automatic\"\nautomatic = [\"UPSTREAM_DOMESTIC\", \"UPSTREAM_FOREIGN\", \"ORIGIN_END_CUSTOMER\", \"DIVERTED_BY_OUR_SUBSCRIBER\"]\n"
        }
    };
    format!(
        "{http}[responder]\nenabled = true\nkey_file = \"answers.key\"\nlisten = \"127.0.0.1:{listen}\"\n\
         [[responder.portal]]\nname = \"portal\"\n{mode}deadline = \"plain-24h\"\nrequests_per_minute = 6000\n\
         webhook_secrets = \"portal.secrets\"\nadapter = \"reference\"\n\
         [responder.portal.reference]\nurl = \"http://127.0.0.1:{relay}\"\ntoken_file = \"portal.token\"\nwait_seconds = 5\n"
    )
}

/// 32 random octets in words of 16 characters each: tokens and passwords.
fn secret_text() -> Result<String, Failure> {
    use ring::rand::{SecureRandom as _, SystemRandom};
    let mut octets = [0u8; 32];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| Failure::software("the system gives no random numbers"))?;
    Ok(octets.iter().map(|o| format!("{o:02x}")).collect())
}

fn put(path: &Path, content: &str) -> Result<(), Failure> {
    fs::write(path, content).map_err(|e| Failure::io(format!("{}: {e}", path.display())))
}

/// A file that only its owner may read.
fn secret(path: &Path, content: &str) -> Result<(), Failure> {
    put(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|e| Failure::io(format!("{}: {e}", path.display())))
}
