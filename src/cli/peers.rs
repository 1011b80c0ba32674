//! `tracehop peers`: who the neighbours are, which rule matches and why the others don't, and who is not known.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{self, say};
use super::{Failure, Outcome, load};
use crate::base::text::escape;
use crate::call::attempt::Facts;
use crate::call::peer::explain::{Explanation, KeyLine, Outcome as Became, wanted};
use crate::call::peer::unknown::UnknownNeighbour;
use crate::call::peer::{PeerKind, PeerTable, Said, Seen, Words};
use crate::call::record::{Direction, Sensor};
use crate::capture::Merge;
use crate::config::{self, Config};
use crate::daemon::neighbours;
use crate::engine::Assembler;
use crate::stir::verify::CallVerdict;
use crate::wire::sip::{HeaderName, Message};
use crate::wire::tunnel::TunnelPath;
use crate::wire::{Flow, Mac, Macs, Provenance, Transport};

/// Lists neighbours, explains which rule names one, and lists addresses that no rule knows
#[derive(Debug, Subcommand)]
pub enum Peers {
    List(List),
    Explain(Box<Explain>),
    Unknown(Unknown),
}

impl Peers {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List(c) => c.run(),
            Self::Explain(c) => c.run(),
            Self::Unknown(c) => c.run(),
        }
    }
}

/// Neighbours and their rules, in the order in which rules are asked
#[derive(Debug, Args)]
pub struct List {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let table = &config.peers;
        if self.json {
            let rules: Vec<_> = table.rules.iter().map(|r| {
                let keys: serde_json::Map<_, _> = r.keys().iter()
                    .map(|k| (k.label().to_owned(), json!(wanted(r, k))))
                    .collect();
                let peer = table.peers.get(r.peer).map(|p| p.id.clone());
                json!({ "rule": r.name, "peer": peer, "direction": r.way.label(), "signers": r.signers, "keys": keys })
            }).collect();
            output::json(&json!({
                "version": table.version,
                "peers": table.peers,
                "rules": rules,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let peers = table.peers.iter().map(|p| {
            let text = |t: &Option<std::sync::Arc<str>>| t.as_deref().unwrap_or("").to_owned();
            vec![
                p.id.to_string(),
                p.name.to_string(),
                kind(p.kind).to_owned(),
                p.country.to_string(),
                text(&p.ocn),
                p.signers.join(", "),
                text(&p.portal_id),
                text(&p.rmd),
            ]
        });
        let header = [
            "id", "name", "kind", "country", "OCN", "signers", "portal", "RMD",
        ];
        say!("{}", output::table(&header, peers.collect(), usize::MAX));
        let rules = table.rules.iter().enumerate().map(|(n, r)| {
            let keys: Vec<_> = r
                .keys()
                .iter()
                .filter_map(|k| Some(format!("{} {}", k.label(), wanted(r, k)?)))
                .collect();
            let peer = table.peers.get(r.peer).map(|p| p.id.to_string());
            vec![
                (n + 1).to_string(),
                r.name.to_string(),
                peer.unwrap_or_default(),
                r.way.label().to_owned(),
                keys.join("; "),
            ]
        });
        let header = ["#", "rule", "peer", "direction", "all of"];
        say!("\n{}", output::table(&header, rules.collect(), usize::MAX));
        Ok(ExitCode::SUCCESS)
    }
}

const fn kind(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Provider => "provider",
        PeerKind::Customer => "customer",
        PeerKind::Foreign => "foreign",
        PeerKind::Own => "own",
    }
}

/// Which rule names the neighbour of an address or of captured calls, and why the others don't
#[derive(Debug, Args)]
pub struct Explain {
    /// The neighbour's address, with or without port (5060)
    #[arg(value_name = "ADDRESS", required_unless_present = "capture")]
    address: Option<String>,
    /// Our address [default: the first of our platform's rule]
    #[arg(long, value_name = "ADDRESS")]
    own: Option<String>,
    /// A call that goes to the address, not one that comes from it
    #[arg(long)]
    egress: bool,
    /// VLAN id; give it twice for two tags, outer first
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(0..4096))]
    vlan: Vec<u16>,
    /// Sensor that sees it, an interface
    #[arg(long, value_name = "SENSOR", conflicts_with = "agent")]
    interface: Option<String>,
    /// HEP agent that mirrors it
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Hardware address of the neighbour's router
    #[arg(long, value_name = "MAC", value_parser = mac)]
    mac: Option<Mac>,
    /// udp, tcp, tls, ws, wss, sctp
    #[arg(long, value_name = "NAME", default_value = "udp", value_parser = transport)]
    transport: Transport,
    /// Trunk group
    #[arg(long, value_name = "TEXT", alias = "trunk-group")]
    tgrp: Option<String>,
    /// Its context
    #[arg(long, value_name = "TEXT")]
    trunk_context: Option<String>,
    /// otg of From
    #[arg(long, value_name = "TEXT")]
    otg: Option<String>,
    /// orig-ioi of P-Charging-Vector
    #[arg(long, value_name = "TEXT")]
    orig_ioi: Option<String>,
    /// What was dialled, technical prefix included
    #[arg(long, value_name = "DIGITS")]
    called: Option<String>,
    /// A header; may be given several times
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Explain calls of a capture (pcap, pcapng) instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["address", "own", "egress", "vlan", "mac", "tgrp", "otg", "orig_ioi", "called", "header", "trunk_context"])]
    capture: Option<PathBuf>,
    /// Of that capture, only this call
    #[arg(long, value_name = "CALL-ID", requires = "capture")]
    call_id: Option<String>,
    /// Also list rules that have other addresses
    #[arg(long)]
    all: bool,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn mac(text: &str) -> Result<Mac, String> {
    config::mac(text).ok_or_else(|| "write six octets, such as 00:00:5e:00:53:01".to_owned())
}

fn transport(text: &str) -> Result<Transport, String> {
    use Transport::{Sctp, Tcp, Tls, Udp, Ws, Wss};
    [Udp, Tcp, Tls, Ws, Wss, Sctp]
        .into_iter()
        .find(|t| t.label() == text)
        .ok_or_else(|| "write udp, tcp, tls, ws, wss or sctp".to_owned())
}

/// INVITEs of a capture that are explained without --call-id: enough to see a pattern, few enough to read.
const CALLS: usize = 10;

/// One message that was explained.
struct Explained {
    /// What it is, for people.
    title: String,
    call_id: Option<String>,
    explanation: Explanation,
}

impl Explain {
    fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let all = match &self.capture {
            Some(file) => self.captured(file, &config)?,
            None => vec![self.asked(&config)?],
        };
        if self.json {
            let all: Vec<_> = all
                .iter()
                .map(|e| json!({ "message": e.title, "call_id": e.call_id, "explanation": e.explanation }))
                .collect();
            output::json(&json!({ "version": config.version, "messages": all }))?;
        } else {
            for e in &all {
                self.print(e);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What was asked on the command line.
    fn asked(&self, config: &Config) -> Result<Explained, Failure> {
        let text = self.address.as_deref().unwrap_or_default();
        let theirs = socket(text)?;
        let ours = match &self.own {
            Some(text) => socket(text)?,
            None => SocketAddr::new(own_address(&config.peers, theirs.ip())?, 5060),
        };
        let flow = Flow {
            source: theirs,
            destination: ours,
            transport: self.transport,
            vlans: self.vlan.iter().copied().collect(),
            path: TunnelPath::none(),
            macs: Macs {
                source: self.mac,
                destination: None,
            },
        };
        let flow = if self.egress { flow.reversed() } else { flow };
        let sensor = match (&self.interface, &self.agent) {
            (Some(name), _) => Some((name.as_str(), Provenance::Wire)),
            (None, Some(name)) => Some((name.as_str(), Provenance::Hep)),
            (None, None) => None,
        };
        let sensor = sensor.map(|(name, provenance)| Sensor {
            name: name.into(),
            provenance,
        });
        let seen = Seen {
            flow: &flow,
            sensor: sensor.as_ref(),
        };
        let boxed = |t: &Option<String>| t.as_deref().map(Box::from);
        let headers = self.header.iter().map(|h| {
            let (name, value) = h.split_once(':').ok_or_else(|| {
                Failure::usage(format!(
                    "--header {h:?} has no colon: write \"X-Trunk: ACME\""
                ))
            })?;
            Ok((name.trim().into(), value.trim().into()))
        });
        let said = Said {
            context: boxed(&self.trunk_context),
            otg: boxed(&self.otg),
            orig_ioi: boxed(&self.orig_ioi),
            dialled: self.called.as_deref().map(|c| c.as_bytes().into()),
            dialled_to: None,
            headers: headers.collect::<Result<_, Failure>>()?,
        };
        // As of a message: otg names the group where there is no tgrp.
        let words = Words {
            group: self.tgrp.as_deref().or(self.otg.as_deref()),
            said: &said,
        };
        let explanation = config.peers.explain(seen, words);
        Ok(Explained {
            title: format!("{} → {}", flow.source, flow.destination),
            call_id: None,
            explanation,
        })
    }

    /// INVITEs of a capture.
    fn captured(&self, file: &Path, config: &Config) -> Result<Vec<Explained>, Failure> {
        let sensor = match &self.agent {
            Some(name) => (name.as_str(), Provenance::Hep),
            None => (
                self.interface.as_deref().unwrap_or(&config.sensor),
                Provenance::File,
            ),
        };
        let sensor = Sensor {
            name: sensor.0.into(),
            provenance: sensor.1,
        };
        let kept = config.peers.headers();
        let mut source = Merge::open([(file.to_owned(), 0)]).map_err(Failure::no_input)?;
        let mut assembler = Assembler::new(config.assemble);
        let mut out: Vec<Explained> = Vec::new();
        let mut more = true;
        while more {
            match source.next_event() {
                Ok(Some(event)) => event.feed(&mut assembler),
                Ok(None) => {
                    assembler.finish();
                    more = false;
                }
                Err(e) => return Err(Failure::data(e)),
            }
            while assembler.poll_coverage().is_some() {}
            while let Some(message) = assembler.poll_message() {
                let Ok(sip) = Message::scan(&message.bytes) else {
                    continue;
                };
                let call_id = sip.headers.first(HeaderName::CallId).map(escape);
                let asked = self.call_id.is_none() || self.call_id == call_id;
                if !asked || !sip.is_initial_invite() {
                    continue;
                }
                let facts = Facts::of_invite(&sip, CallVerdict::default(), &config.plan, &kept);
                let Facts::Invite(invite) = facts else {
                    continue;
                };
                let seen = Seen {
                    flow: &message.flow,
                    sensor: Some(&sensor),
                };
                let title = format!(
                    "INVITE at {}, {} → {}",
                    message.at, message.flow.source, message.flow.destination
                );
                // Retransmissions say the same again.
                let again =
                    |e: &Explained| e.call_id == call_id && e.title.ends_with(&ends(&message.flow));
                if out.iter().any(again) {
                    continue;
                }
                out.push(Explained {
                    title,
                    call_id,
                    explanation: config.peers.explain(seen, invite.words()),
                });
                if self.call_id.is_none() && out.len() == CALLS {
                    return Ok(out);
                }
            }
        }
        if out.is_empty() {
            let what = match &self.call_id {
                Some(id) => format!("{}: no INVITE with the Call-ID {id}", file.display()),
                None => format!("{}: no INVITE that begins a call", file.display()),
            };
            return Err(Failure::data(what));
        }
        Ok(out)
    }

    fn print(&self, explained: &Explained) {
        let e = &explained.explanation;
        let direction = match e.direction {
            Direction::Ingress => "comes in",
            Direction::Egress => "goes out",
            Direction::Unknown => "crosses our edge in no way that the rules tell",
        };
        say!("{}: {direction}", explained.title);
        if let Some(id) = &explained.call_id {
            say!("  Call-ID {id}");
        }
        match (&e.peer, &e.rule) {
            (Some(peer), Some(rule)) => say!("  neighbour {peer}, by rule {rule}"),
            _ => say!("  no rule knows {}", e.address),
        }
        if e.attribution.shared {
            say!(
                "  shared: another neighbour has the same addresses, and only what the message says tells them apart"
            );
        }
        let elsewhere = |keys: &[KeyLine]| keys.iter().any(|k| k.key == "networks" && !k.matches);
        let near =
            |line: &&crate::call::peer::explain::RuleLine| self.all || !elsewhere(&line.keys);
        let rows = e.rules.iter().enumerate();
        let rows: Vec<_> = rows
            .filter(|(_, line)| near(line))
            .map(|(n, line)| {
                let keys: Vec<_> = line.keys.iter().map(key_text).collect();
                vec![
                    (n + 1).to_string(),
                    line.rule.to_string(),
                    line.peer.to_string(),
                    line.outcome.label().to_owned(),
                    keys.join("; "),
                ]
            })
            .collect();
        let others = e.rules.len() - rows.len();
        if !rows.is_empty() {
            let header = ["#", "rule", "peer", "outcome", "keys"];
            say!("{}", output::table(&header, rows, usize::MAX));
        }
        if others > 0 {
            say!("{others} rules have other addresses (--all lists them)");
        }
        if e.rules.iter().any(|l| l.outcome == Became::Late) {
            say!("late: it matches as well, and a rule that stands before it won");
        }
        say!("");
    }
}

fn ends(flow: &Flow) -> String {
    format!("{} → {}", flow.source, flow.destination)
}

fn key_text(k: &KeyLine) -> String {
    match (k.matches, &k.seen) {
        (true, _) => format!("{} ✓", k.key),
        (false, Some(seen)) => format!("{} ✗ wants {}, is {seen}", k.key, k.wanted),
        (false, None) => format!("{} ✗ wants {}, is not there", k.key, k.wanted),
    }
}

fn socket(text: &str) -> Result<SocketAddr, Failure> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let alone = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 5060));
    text.parse().or(alone).map_err(|_| {
        Failure::usage(format!(
            "{text:?} is no address: write 198.51.100.4, 198.51.100.4:5060 or [2001:db8::4]:5060"
        ))
    })
}

/// An address of our platform, of the same family.
fn own_address(table: &PeerTable, like: IpAddr) -> Result<IpAddr, Failure> {
    let own = |i: usize| table.peers.get(i).is_some_and(|p| p.kind == PeerKind::Own);
    let rules = table.rules.iter().filter(|r| own(r.peer));
    let mut networks = rules.flat_map(|r| &r.networks);
    networks
        .find(|n| n.addr().is_ipv4() == like.is_ipv4())
        .and_then(|n| n.hosts().next())
        .ok_or_else(|| {
            Failure::usage("our platform has no address of that family: give one with --own")
        })
}

/// Addresses that handed calls over and that no rule knows, as of the daemon or the last replay
#[derive(Debug, Args)]
pub struct Unknown {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Unknown {
    fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let list = neighbours::read_unknown(&config.store.path)
            .map_err(|e| Failure::data(format!("{}: {e}", config.store.path.display())))?;
        if self.json {
            output::json(&list)?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(list) = list else {
            say!(
                "nothing was written yet: neither the daemon nor a replay has met an unknown neighbour"
            );
            return Ok(ExitCode::SUCCESS);
        };
        say!("as of {}", list.written);
        say!("{}", unknown_table(list.neighbours.iter()));
        if list.evicted > 0 {
            say!(
                "{} addresses had to leave the list for want of room; counts marked ≤ may hold calls of theirs",
                list.evicted
            );
        }
        say!("tracehop peers explain ADDRESS says what each rule lacks");
        Ok(ExitCode::SUCCESS)
    }
}

/// Unknown neighbours as a table.
pub(super) fn unknown_table<'a>(
    all: impl Iterator<Item = &'a UnknownNeighbour>,
) -> comfy_table::Table {
    let rows = all.map(|u| {
        let most = if u.uncertain > 0 { "≤ " } else { "" };
        vec![
            u.address.to_string(),
            u.socket.port().to_string(),
            u.own.to_string(),
            u.vlan.map_or(String::new(), |v| v.to_string()),
            u.trunk.as_deref().unwrap_or("").to_owned(),
            u.sensor.to_string(),
            u.first.to_string(),
            u.last.to_string(),
            format!("{most}{}", u.calls),
        ]
    });
    let header = [
        "address", "port", "to", "VLAN", "trunk", "sensor", "first", "last", "calls",
    ];
    output::table(&header, rows.collect(), 8)
}
