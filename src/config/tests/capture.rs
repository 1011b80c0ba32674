//! Interfaces.

use super::*;

fn with_capture(text: &str) -> LiveSettings {
    let (_dir, path) = good();
    let config = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        config.replace("\n[peers]", &format!("\n{text}\n[peers]")),
    )
    .unwrap();
    Config::load(&path).unwrap().capture
}

#[test]
fn nothing_is_captured_live_unless_it_is_said() {
    let (_dir, path) = good();
    let capture = Config::load(&path).unwrap().capture;
    assert_eq!(capture, LiveSettings::default());
    assert!(capture.interfaces.is_empty());
}

#[test]
fn interfaces_have_defaults_and_a_sensor_may_have_several() {
    use crate::capture::live::{Backend, InterfaceSettings};
    let one = with_capture(INTERFACE);
    assert_eq!(one.interfaces, [InterfaceSettings::new("eth1")]);
    let two = with_capture(&format!(
        "{INTERFACE}sensor = \"edge\"\n{}sensor = \"edge\"\nthreads = 3\nbackend = \"pnet\"\nignore_outgoing = true\n[capture.tunnels]\ngre = false\nvxlan_ports = []\n",
        INTERFACE.replace("eth1", "eth2"),
    ));
    assert_eq!(two.sensors().len(), 1);
    let second = &two.interfaces[1];
    assert_eq!((&*second.name, second.threads), ("eth2", 3));
    assert_eq!(second.backend, Backend::Pnet);
    assert!(second.ignore_outgoing);
    assert!(!two.filter.tunnels.gre && two.filter.tunnels.mpls);
    assert!(two.filter.tunnels.vxlan_ports.is_empty());
}

#[test]
fn what_is_wrong_with_capture_is_said_with_a_remedy() {
    let with = |text: &str| {
        problems(|t| t.replace("\n[peers]", &format!("\n{text}\n[peers]")))
            .first()
            .cloned()
            .unwrap_or_default()
    };
    for (text, says) in [
        (format!("{INTERFACE}{INTERFACE}"), "is there twice"),
        (
            "[[capture.interface]]\nthreads = 2".into(),
            "capture.interface.name is missing",
        ),
        (INTERFACE.replace("eth1", "any"), "no name of an interface"),
        (
            INTERFACE.replace("eth1", "a-name-too-long-for-it"),
            "no name of an interface",
        ),
        (
            format!("{INTERFACE}backend = \"xdp\""),
            "write one of \"auto\", \"ring\", \"pnet\"",
        ),
        (format!("{INTERFACE}threads = 0"), "from 1 to 64"),
        (format!("{INTERFACE}thread = 2"), "did you mean threads?"),
        (
            "[capture.tunnels]\nvxlan_ports = 4789".into(),
            "a list of whole numbers",
        ),
    ] {
        let found = with(&text);
        assert!(found.contains(says), "{text}: {found}");
    }
    for (from, to, says) in [
        (
            "sip_ports = [5060, 5080]",
            "sip_ports = []",
            "no SIP could be seen",
        ),
        (
            "sip_ports = [5060, 5080]",
            "sip_ports = [5060, 70000]",
            "from 1 to 65535",
        ),
        (
            "snap_octets = 262144",
            "snap_octets = 1500",
            "from 65535 to 262144",
        ),
        (
            "ring_megabytes = 64",
            "ring_megabytes = 0",
            "from 1 to 4095",
        ),
    ] {
        let found = problems(|t| t.replace(from, to)).concat();
        assert!(found.contains(says), "{to}: {found}");
    }
}
