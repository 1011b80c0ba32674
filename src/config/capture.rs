//! Section `[capture]`: what is read live from interfaces.

use std::sync::Arc;

use super::reader::Section;
use crate::capture::live::filter::{FilterSettings, MAX_PORTS};
use crate::capture::live::{Backend, InterfaceSettings, LiveSettings};
use crate::wire::tunnel::Tunnels;

/// Longest name of an interface: `IFNAMSIZ` with its final zero.
const LONGEST_NAME: usize = 15;

/// What to read, and how.
pub(super) fn read(s: Section<'_, '_>) -> LiveSettings {
    let default = LiveSettings::default();
    let sip_ports = ports(&s, "sip_ports", &default.filter.sip_ports);
    if sip_ports.is_empty() {
        s.problem_at(
            &s.span(),
            "capture.sip_ports is empty: no SIP could be seen".to_owned(),
            "write sip_ports = [5060], or take the line out",
        );
    }
    let megabytes = u64::try_from(default.ring_octets >> 20).unwrap_or(64);
    let ring = s.integer("ring_megabytes", megabytes, 1..4_096) << 20;
    // Below 65,535 merged segments would be cut; above 262,144 a small ring's block would be.
    let snap = s.integer("snap_octets", default.filter.snap.into(), 65_535..262_145);
    let promiscuous = s.flag("promiscuous", default.promiscuous);
    let tunnels = tunnels(s.section("tunnels"));
    let mut interfaces: Vec<InterfaceSettings> = Vec::new();
    for i in s.sections("interface") {
        let span = i.span();
        let Some(interface) = interface(i) else {
            continue;
        };
        if interfaces.iter().any(|o| o.name == interface.name) {
            s.problem_at(
                &span,
                format!("interface {:?} is there twice", interface.name),
                "take one out: each of its frames would be read twice",
            );
        }
        interfaces.push(interface);
    }
    s.finish();
    LiveSettings {
        filter: FilterSettings {
            sip_ports,
            tunnels,
            snap: u32::try_from(snap).unwrap_or(default.filter.snap),
        },
        ring_octets: usize::try_from(ring).unwrap_or(default.ring_octets),
        promiscuous,
        interfaces,
    }
}

fn interface(s: Section<'_, '_>) -> Option<InterfaceSettings> {
    let name = s.required("name", "\"eth1\"");
    if let Some((text, span)) = &name {
        let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
        if text.len() > LONGEST_NAME || text.contains(odd) || *text == "any" {
            s.problem_at(
                span,
                format!("{text:?} is no name of an interface"),
                "write one that `ip link` lists, each in a [[capture.interface]] of its own",
            );
        }
    }
    let sensor = s.text("sensor").map(|(t, _)| Arc::from(t));
    let threads = s.integer("threads", 1, 1..65);
    let backends = [
        ("auto", Backend::Auto),
        ("ring", Backend::Ring),
        ("pnet", Backend::Pnet),
    ];
    let backend = s.choice("backend", &backends).unwrap_or_default();
    let ignore_outgoing = s.flag("ignore_outgoing", false);
    s.finish();
    let name: Arc<str> = Arc::from(name?.0);
    Some(InterfaceSettings {
        sensor: sensor.unwrap_or_else(|| Arc::clone(&name)),
        name,
        threads: u16::try_from(threads).unwrap_or(1),
        backend,
        ignore_outgoing,
    })
}

fn tunnels(s: Section<'_, '_>) -> Tunnels {
    let default = Tunnels::default();
    let out = Tunnels {
        mpls: s.flag("mpls", default.mpls),
        pppoe: s.flag("pppoe", default.pppoe),
        gre: s.flag("gre", default.gre),
        ip_in_ip: s.flag("ip_in_ip", default.ip_in_ip),
        vxlan_ports: ports(&s, "vxlan_ports", &default.vxlan_ports),
        geneve_ports: ports(&s, "geneve_ports", &default.geneve_ports),
    };
    s.finish();
    out
}

fn ports(s: &Section<'_, '_>, key: &'static str, default: &[u16]) -> Vec<u16> {
    let Some(numbers) = s.integers(key, 1..65_536) else {
        return default.to_vec();
    };
    if numbers.len() > MAX_PORTS {
        s.problem_at(
            &s.span(),
            format!("{key} has {} ports", numbers.len()),
            format!("write {MAX_PORTS} at most: the kernel's filter has room for no more"),
        );
    }
    let ports = numbers.into_iter().filter_map(|n| u16::try_from(n).ok());
    ports.take(MAX_PORTS).collect()
}
