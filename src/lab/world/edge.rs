//! One provider's edge: its configuration, its probe, its store. What a daemon does between SIP messages and records is done here by the same
//! code: [`Judge`] and [`Collector`] with the provider's own peers.toml.
//!
//! What is left out: frames, fragments and streams (the messages come whole), threads, and fetching certificates (they are at hand).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::chance;
use super::leg::{End, Leg};
use super::network::{Network, PREFIX, SECOND, Writing};
use super::profile::Figures;
use super::sip;
use crate::base::Timestamp;
use crate::call::attempt::AttemptLimits;
use crate::call::classify::FlagSettings;
use crate::call::classify::behaviour::BehaviourSettings;
use crate::call::classify::campaign::CampaignSettings;
use crate::call::peer::PeerTable;
use crate::call::record::{Clock, ClockSource, Coverage, Down, Sensor};
use crate::config;
use crate::engine::collect::{CollectSettings, Collector, Output};
use crate::engine::judge::Judge;
use crate::number::NumberPlan;
use crate::stir::credential::Credentials;
use crate::stir::verify::VerifySettings;
use crate::store::{Store, StoreError};
use crate::traceback::TracebackSettings;
use crate::traceback::answer::Resolution;
use crate::wire::tunnel::TunnelPath;
use crate::wire::{self, Flow, Provenance, Transport};

/// Name of the one sensor at each edge.
pub const SENSOR: &str = "edge1";
/// Hours of the ledger before and after the traffic: the matcher measures twelve to both sides.
const LEDGER_HOURS: i64 = 13;

/// Id of a provider at the portal.
pub fn portal_id(provider: usize) -> String {
    format!("P-{provider:04}")
}

/// Id of a neighbour in peers.toml.
pub fn peer_id(end: End) -> String {
    match end {
        End::Provider(n) => format!("p{n}"),
        End::Customer(of, c) => format!("c{of}-{c}"),
    }
}

/// peers.toml of a provider, before or after its neighbours' addresses moved.
pub fn peers_toml(net: &Network, v: usize, moved: bool) -> String {
    let p = &net.providers[v];
    let at = if moved { 1.0 } else { 0.0 };
    let mut t = format!("# Neighbours of provider {v}.\n");
    let _ = write!(
        t,
        "[[peer]]\nid = \"own\"\nname = \"Provider {v} Voice LLC\"\nkind = \"own\"\nportal_id = \"{}\"\n",
        portal_id(v)
    );
    for n in &p.neighbours {
        let (kind, country) = match net.providers[*n].foreign {
            true => ("foreign", "GB"),
            false => ("provider", "US"),
        };
        let _ = write!(
            t,
            "\n[[peer]]\nid = \"p{n}\"\nname = \"Provider {n} Voice LLC\"\nkind = \"{kind}\"\ncountry = \"{country}\"\nportal_id = \"{}\"\n",
            portal_id(*n)
        );
    }
    for c in 0..p.customers {
        let _ = write!(
            t,
            "\n[[peer]]\nid = \"c{v}-{c}\"\nname = \"Customer {c} of provider {v}\"\nkind = \"customer\"\n"
        );
    }
    let own: BTreeSet<_> = (0..4).map(|trunk| net.own(v, trunk)).collect();
    let own: Vec<String> = own.iter().map(|a| format!("\"{a}/128\"")).collect();
    let _ = write!(
        t,
        "\n[[rule]]\nname = \"own-platform\"\npeer = \"own\"\nnetworks = [{}]\n",
        own.join(", ")
    );
    for c in 0..p.customers {
        let _ = write!(
            t,
            "\n[[rule]]\nname = \"customer-{c}\"\npeer = \"c{v}-{c}\"\nnetworks = [\"{}/128\"]\n",
            net.customer(v, c)
        );
    }
    // Rules for calls that come in are named by their address, which may go to another neighbour.
    let mut ingress = Vec::new();
    for n in &p.neighbours {
        for trunk in 0..net.trunks(*n, v) {
            let source = net.source(*n, v, trunk, at);
            let prefix = net.writing(*n, v, trunk).0 == Writing::Prefix;
            ingress.push((source, *n, trunk, prefix));
        }
    }
    ingress.sort_by_key(|r| {
        // Behind a shared address, the neighbour without a trunk group comes last.
        let last = p.shared.is_some_and(|s| !s.both_told && s.second == r.1);
        (last, r.0, r.1)
    });
    let mut named = BTreeSet::new();
    for (source, n, _, prefix) in ingress {
        let shared = p.shared.filter(|s| s.first == n || s.second == n);
        let name = match shared {
            Some(_) => format!("shared-p{n}"),
            None => format!("in-{source}").replace(':', "_"),
        };
        if !named.insert(name.clone()) {
            continue;
        }
        let _ = write!(
            t,
            "\n[[rule]]\nname = \"{name}\"\npeer = \"p{n}\"\nnetworks = [\"{source}/128\"]\ndirection = \"ingress\"\n"
        );
        match shared {
            Some(s) if s.both_told || s.first == n => {
                let _ = writeln!(t, "trunk_group = \"TG-{n}\"");
            }
            None if prefix => {
                let _ = writeln!(t, "tech_prefix = \"{PREFIX}\"");
            }
            _ => {}
        }
    }
    for n in &p.neighbours {
        for trunk in 0..net.trunks(v, *n) {
            let to = net.own(*n, trunk);
            let _ = write!(
                t,
                "\n[[rule]]\nname = \"out-p{n}-{trunk}\"\npeer = \"p{n}\"\nnetworks = [\"{to}/128\"]\ndirection = \"egress\"\n"
            );
            if p.strips_on_egress && net.writing(v, *n, trunk).0 == Writing::Prefix {
                let _ = writeln!(t, "tech_prefix = \"{PREFIX}\"");
            }
        }
    }
    t
}

/// tracehop.toml of a provider.
pub fn tracehop_toml(net: &Network, v: usize) -> String {
    let error_ms = net.providers[v].claimed_error_ns / 1_000_000;
    format!(
        "# Written by tracehop lab network. Paths are relative to this file.\n\
         [provider]\nname = \"Provider {v} Voice LLC\"\ncountry = \"US\"\nportal_id = \"{}\"\n\n\
         [sensor]\nname = \"{SENSOR}\"\nclock_error_ms = {error_ms}\n\n\
         [peers]\nfile = \"peers.toml\"\n\n\
         [credentials]\ndirectory = \"../certs/x5u\"\nanchors = \"../certs/anchors.pem\"\n\n\
         [store]\npath = \"store\"\nretention_days = 548\n\n\
         [traceback]\nthreshold = 0.99\n",
        portal_id(v)
    )
}

/// What a provider's daemon would have been configured with.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Which provider.
    pub provider: usize,
    /// Neighbours at the time of asking.
    pub peers: Arc<PeerTable>,
    /// Neighbours before their addresses moved, and when they did.
    earlier: Option<(Arc<PeerTable>, i64)>,
    clock: Clock,
}

/// A message that an edge sees: when, which leg, which step, in nanoseconds of the probe's clock.
pub type Seen = (i64, u32, u16);

impl Edge {
    /// The edge of a provider, for traffic within `span`.
    ///
    /// # Errors
    ///
    /// What is wrong with its peers.toml, which would be a defect of the lab.
    pub fn new(net: &Network, v: usize, span: (i64, i64)) -> Result<Self, String> {
        let table = |moved: bool| {
            let text = peers_toml(net, v, moved);
            config::peers_of_text(Path::new("peers.toml"), &text)
                .map(Arc::new)
                .map_err(|problems| format!("provider {v}: {problems:?}"))
        };
        let p = &net.providers[v];
        let remap = p
            .remaps_at
            .map(|m| span.0 + ((span.1 - span.0) as f64 * m) as i64);
        Ok(Self {
            provider: v,
            peers: table(remap.is_some())?,
            earlier: match remap {
                Some(at) => Some((table(false)?, at)),
                None => None,
            },
            clock: Clock {
                source: ClockSource::Synchronised,
                error_ns: p.claimed_error_ns,
            },
        })
    }

    fn collect_settings(&self, peers: &Arc<PeerTable>) -> CollectSettings {
        CollectSettings {
            peers: peers.clone(),
            plan: NumberPlan::default(),
            flags: FlagSettings::default(),
            window: Duration::from_secs(60),
            sensors: vec![Sensor {
                name: SENSOR.into(),
                provenance: Provenance::Wire,
            }],
            clock: self.clock,
            config: peers.version,
            behaviour: BehaviourSettings::default(),
            campaign: CampaignSettings::default(),
            limits: AttemptLimits::default(),
        }
    }

    /// How requests are answered here. Every kind of answer may be automatic: what the operator lets go out unseen is another question than
    /// whether it is right.
    pub fn traceback_settings(&self) -> TracebackSettings {
        TracebackSettings {
            own_ids: vec![portal_id(self.provider).into()],
            sensors: vec![SENSOR.into()],
            automatic: vec![
                Resolution::UpstreamDomestic,
                Resolution::UpstreamForeign,
                Resolution::OriginEndCustomer,
                Resolution::DivertedByOurSubscriber,
            ],
            ..TracebackSettings::default()
        }
    }

    /// Runs what the probe sees through judge and collector into a store. `seen` is sorted.
    ///
    /// # Errors
    ///
    /// What the store could not do.
    pub fn run(
        &self,
        seen: &[Seen],
        legs: &[Leg],
        identities: &[String],
        credentials: &Arc<Credentials>,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let mut judge = Judge::new(credentials.clone(), Arc::new(VerifySettings::default()));
        let first = self.earlier.as_ref().map_or(&self.peers, |(p, _)| p);
        let mut collector = Collector::new(self.collect_settings(first), store.last_uid() + 1);
        let mut remap = self.earlier.as_ref().map(|(_, at)| *at);
        for (seq, (at, place, step)) in (0u64..).zip(seen) {
            if remap.is_some_and(|r| *at >= r) {
                remap = None;
                collector.handle_settings(self.collect_settings(&self.peers));
            }
            let leg = &legs[*place as usize];
            let (_, what) = leg.steps[usize::from(*step)];
            let (mut source, mut destination) = (leg.source, leg.destination);
            if !what.forward() {
                std::mem::swap(&mut source, &mut destination);
            }
            let message = wire::Message {
                seq,
                at: Timestamp::from_nanos(*at),
                flow: Flow {
                    source,
                    destination,
                    transport: Transport::Udp,
                    vlans: Default::default(),
                    path: TunnelPath::default(),
                    macs: Default::default(),
                },
                sensor: 0,
                bytes: sip::render(leg, *place as usize, what, identities),
                cut: None,
            };
            collector.handle(judge.judge(message));
            take(&mut collector, store)?;
        }
        if let Some((at, ..)) = seen.last() {
            collector.handle_time(Timestamp::from_nanos(at + 300 * SECOND));
        }
        collector.finish();
        take(&mut collector, store)
    }

    /// The ledger's rows, minute by minute, from hours before the traffic to hours after.
    pub fn ledger(&self, net: &Network, seen: &[Seen], span: (i64, i64)) -> Vec<Coverage> {
        let minute = 60 * SECOND;
        let first = span.0.div_euclid(minute) - LEDGER_HOURS * 60;
        let last = span.1.div_euclid(minute) + LEDGER_HOURS * 60;
        let mut counts = vec![0u64; (last - first) as usize];
        for (at, ..) in seen {
            if let Some(n) = counts.get_mut((at.div_euclid(minute) - first) as usize) {
                *n += 1;
            }
        }
        let outages = &net.providers[self.provider].outages;
        let mut rows = Vec::with_capacity(counts.len());
        for (i, messages) in counts.into_iter().enumerate() {
            let from = (first + i as i64) * minute;
            let until = from + minute;
            let mut row = Coverage {
                sensor: SENSOR.into(),
                from: Timestamp::from_nanos(from),
                until: Timestamp::from_nanos(until),
                packets: messages,
                messages,
                ..Coverage::default()
            };
            for o in outages {
                let (begin, end) = (span.0 + o.from, span.0 + o.until);
                if end <= from || begin >= until {
                    continue;
                }
                if o.lost >= 1.0 {
                    row.down = Some(Down::Interface);
                    (row.packets, row.messages) = (0, 0);
                } else {
                    // What the kernel says that it dropped.
                    row.dropped += (messages as f64 * o.lost / (1.0 - o.lost)).ceil() as u64 + 1;
                }
            }
            rows.push(row);
        }
        rows
    }
}

fn take(collector: &mut Collector, store: &mut dyn Store) -> Result<(), StoreError> {
    while let Some(output) = collector.poll_output() {
        match output {
            Output::Begin(begin) => store.append_begin(&begin)?,
            Output::End(end) => store.append_end(&end)?,
            Output::Evidence(_) | Output::Finding(_) | Output::Campaign(_) => {}
        }
    }
    Ok(())
}

/// What every provider's probe sees of the legs, in order of its clock. Outages take their part, and so do legs that nobody saw.
pub fn sightings(
    net: &Network,
    legs: &[Leg],
    f: &Figures,
    seed: u64,
    span: (i64, i64),
) -> Vec<Vec<Seen>> {
    let mut out: Vec<Vec<Seen>> = vec![Vec::new(); net.providers.len()];
    // Half of the losses are those of one leg; the others take all legs of a call that pass within seconds, drawn once for each provider.
    for (place, leg) in legs.iter().enumerate() {
        for (end, receives) in [(leg.from, false), (leg.to, true)] {
            let v = match end {
                End::Provider(v) => v,
                // The provider sees its customers' trunks from its own side alone.
                End::Customer(..) => continue,
            };
            let p = &net.providers[v];
            if p.foreign || leg.lost_on_the_way && receives {
                continue;
            }
            let one = chance::fixed_unit(&[seed, 31, v as u64, place as u64]);
            let minute = (leg.at() - span.0).div_euclid(20 * SECOND);
            let both = chance::fixed_unit(&[seed, 32, v as u64, leg.head.called, minute as u64]);
            if one < f.legs_lost / 2.0 || both < f.legs_lost / 2.0 {
                continue;
            }
            for (i, (at, step)) in leg.steps.iter().enumerate() {
                let arrives = step.forward() == receives;
                let at = at + if arrives { leg.way } else { 0 } + p.probe_clock_ns;
                if !lost_in_outage(net, v, at - span.0, place, i) {
                    out[v].push((at, place as u32, i as u16));
                }
            }
        }
    }
    for seen in &mut out {
        seen.sort_unstable();
    }
    out
}

fn lost_in_outage(net: &Network, v: usize, at: i64, place: usize, step: usize) -> bool {
    net.providers[v].outages.iter().any(|o| {
        // Rows of a sensor that was down are whole minutes: nothing of them is there.
        let minute = 60 * SECOND;
        let (from, until) = match o.lost >= 1.0 {
            true => (
                o.from.div_euclid(minute) * minute,
                (o.until + minute - 1).div_euclid(minute) * minute,
            ),
            false => (o.from, o.until),
        };
        (from..until).contains(&at)
            && chance::fixed_unit(&[41, v as u64, place as u64, step as u64]) < o.lost
    })
}
