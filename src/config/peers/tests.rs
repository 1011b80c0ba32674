use super::*;
use crate::call::peer::PeerKey;

const FRONT: &str = "[[peer]]\nid = \"us\"\nname = \"Us\"\nkind = \"own\"\n\
    [[peer]]\nid = \"north\"\nname = \"North\"\nkind = \"provider\"\nsigners = [\"709j\", \"1234\"]\nfrn = \"0012345678\"\n\
    [[rule]]\nname = \"us\"\npeer = \"us\"\nnetworks = [\"192.0.2.0/28\"]\n";

/// A rule for North with the lines given.
fn with(lines: &str) -> (PeerTable, Vec<Problem>) {
    let text = format!("{FRONT}[[rule]]\nname = \"n\"\npeer = \"north\"\n{lines}\n");
    read(Path::new("peers.toml"), &text)
}

fn problem(lines: &str) -> String {
    let (_, problems) = with(lines);
    let texts: Vec<_> = problems
        .iter()
        .map(|p| format!("{} / {}", p.what, p.remedy))
        .collect();
    texts.join("\n")
}

const NET: &str = "networks = [\"198.51.100.0/28\"]\n";

#[test]
fn every_key_is_read() {
    let (table, problems) = with(
        "interface = \"eth1\"\nmac = [\"00:00:5e:00:53:01\", \"00-00-5E-00-53-02\"]\nvlan = 7\ninner_vlan = 8\nnetworks = [\"198.51.100.0/28\"]\n\
         port = 5061\nown_networks = [\"192.0.2.1\"]\nown_port = 5062\ntransport = \"tls\"\ntrunk_group = \"TG\"\ntrunk_context = \"tc.example\"\notg = \"O\"\n\
         orig_ioi = \"ioi.example\"\ntech_prefix = \"9011#\"\nheader = { name = \"X-Trunk\", prefix = \"n-\" }\ndirection = \"ingress\"\nsigners = [\"5678\"]",
    );
    assert_eq!(problems, []);
    let rule = &table.rules[1];
    let asked: Vec<_> = rule.keys().iter().collect();
    let mut all = PeerKey::ALL.to_vec();
    all.retain(|k| *k != PeerKey::Agent);
    assert_eq!(asked, all);
    assert_eq!(rule.macs[1], [0, 0, 0x5e, 0, 0x53, 2]);
    assert_eq!((rule.port, rule.own_port), (Some(5061), Some(5062)));
    assert_eq!((rule.vlan, rule.inner_vlan), (Some(7), Some(8)));
    assert_eq!(rule.way, Way::Ingress);
    assert_eq!(rule.transport, Some(Transport::Tls));
    assert_eq!(rule.tech_prefix.as_deref(), Some("9011#"));
    assert_eq!(rule.signers, ["5678".into()]);
    let north = &table.peers[1];
    assert_eq!(north.signers, ["709J".into(), "1234".into()]);
    assert_eq!(north.frn.as_deref(), Some("0012345678"));
    assert_eq!(table.headers(), ["X-Trunk".into()]);
    let (table, problems) = with("agent = \"proxy\"");
    assert_eq!(
        (problems, table.rules[1].agent.as_deref()),
        (vec![], Some("proxy"))
    );
}

#[test]
fn words_without_networks_are_refused() {
    for words in [
        "trunk_group = \"TG\"",
        "trunk_context = \"tc.example\"",
        "otg = \"O\"",
        "orig_ioi = \"ioi.example\"",
        "tech_prefix = \"9\"",
        "header = { name = \"X-Trunk\", value = \"n\" }",
    ] {
        let key = words.split(' ').next().unwrap();
        let wrong = format!("asks for {key} and names no networks");
        assert!(problem(words).contains(&wrong), "{words}");
        // Nor does a VLAN make up for them: others may be on it.
        assert!(problem(&format!("{words}\nvlan = 7")).contains(&wrong));
        assert_eq!(problem(&format!("{NET}{words}")), "");
    }
}

#[test]
fn keys_that_can_t_be_are_named() {
    let wrong = |lines: &str, what: &str| {
        let found = problem(lines);
        assert!(found.contains(what), "{lines}: {found:?}");
    };
    wrong("", "has no key");
    wrong("direction = \"ingress\"", "has no key");
    wrong("mac = [\"00:00:5e:00:53\"]", "no hardware address");
    wrong("mac = [\"00:00:5e:00:53:1\"]", "no hardware address");
    wrong("direction = \"in\"\nvlan = 7", "no choice");
    wrong("transport = \"quic\"\nvlan = 7", "no choice");
    wrong(
        &format!("{NET}tech_prefix = \"90a\""),
        "no technical prefix",
    );
    wrong(
        &format!("{NET}tech_prefix = \"1234567890123\""),
        "no technical prefix",
    );
    wrong(
        &format!("{NET}header = {{ name = \"X-Trunk\" }}"),
        "needs one of",
    );
    wrong(
        &format!("{NET}header = {{ name = \"X-Trunk\", value = \"a\", prefix = \"b\" }}"),
        "needs one of",
    );
    wrong(
        &format!("{NET}header = {{ name = \"X-Trunk\", pattern = \"(\" }}"),
        "no regular expression",
    );
    wrong(
        &format!("{NET}header = {{ name = \"X Trunk\", value = \"a\" }}"),
        "no name of a header",
    );
    wrong(
        &format!("{NET}header = {{ name = \"X-Trunk\", walue = \"a\" }}"),
        "did you mean value?",
    );
    wrong(
        "interface = \"eth1\"\nagent = \"proxy\"",
        "no message comes from both",
    );
    wrong(
        "agent = \"proxy\"\nmac = [\"00:00:5e:00:53:01\"]",
        "agents show no hardware address",
    );
    wrong("vlan = 7\nsigners = [\"\"]", "no service provider code");
}

#[test]
fn our_platform_is_told_by_its_addresses() {
    let with = |lines: &str| {
        let text = FRONT.replace("networks = [\"192.0.2.0/28\"]", lines);
        let (_, problems) = read(Path::new("peers.toml"), &text);
        problems.iter().map(|p| p.what.clone()).collect::<String>()
    };
    let net = "networks = [\"192.0.2.0/28\"]";
    assert_eq!(with(&format!("{net}\nvlan = 7")), "");
    assert!(with("vlan = 7").contains("for your own platform and names no networks"));
    for more in ["direction = \"egress\"", "trunk_group = \"a\""] {
        let found = with(&format!("{net}\n{more}"));
        assert!(found.contains("asks which way"), "{more}: {found}");
    }
}

#[test]
fn a_rule_behind_a_wider_one_is_refused_and_our_platform_is_not_shadowed() {
    let after = |first: &str, second: &str| {
        let text = format!(
            "{FRONT}[[rule]]\nname = \"a\"\npeer = \"north\"\n{first}\n[[rule]]\nname = \"b\"\npeer = \"north\"\n{second}\n"
        );
        let (_, problems) = read(Path::new("peers.toml"), &text);
        problems.iter().any(|p| p.what.contains("can never match"))
    };
    let narrow = "networks = [\"198.51.100.4\"]";
    assert!(after(NET, narrow));
    assert!(!after(narrow, NET));
    assert!(!after(&format!("{NET}direction = \"ingress\""), narrow));
    assert!(!after(
        &format!("{NET}mac = [\"00:00:5e:00:53:01\"]"),
        narrow
    ));
    assert!(after(
        &format!("{NET}tech_prefix = \"9\""),
        &format!("{narrow}\ntech_prefix = \"91\"")
    ));
    assert!(!after(
        &format!("{NET}tech_prefix = \"91\""),
        &format!("{narrow}\ntech_prefix = \"9\"")
    ));
    // A VLAN takes no address of ours.
    assert!(after("vlan = 7", &format!("{narrow}\nvlan = 7")));
    assert!(!after(
        "vlan = 7",
        "networks = [\"192.0.2.0/24\"]\nvlan = 7"
    ));
}

#[test]
fn rules_that_ask_for_headers_are_bounded() {
    let rules = |count: usize| -> Vec<Problem> {
        let one = |n: usize| {
            format!(
                "[[rule]]\nname = \"h{n}\"\npeer = \"north\"\n{NET}header = {{ name = \"X-Trunk\", value = \"{n}\" }}\n"
            )
        };
        let text: String = (0..count).map(one).collect();
        read(Path::new("peers.toml"), &format!("{FRONT}{text}")).1
    };
    assert_eq!(rules(MAX_HEADER_RULES), []);
    let problems = rules(MAX_HEADER_RULES + 1);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .what
            .contains("65 rules ask for headers; 64 may")
    );
}

#[test]
fn a_neighbour_or_rule_without_its_name_is_one_problem() {
    for (text, says) in [
        (
            "[[peer]]\nname = \"West\"\nkind = \"provider\"\n",
            "peer.id is missing",
        ),
        (
            "[[peer]]\nid = \"west\"\nkind = \"provider\"\n",
            "peer.name is missing",
        ),
        (
            "[[rule]]\npeer = \"north\"\nnetworks = [\"203.0.113.0/28\"]\n",
            "rule.name is missing",
        ),
    ] {
        let (_, problems) = read(Path::new("peers.toml"), &format!("{FRONT}{text}"));
        let said: Vec<_> = problems.iter().map(|p| &*p.what).collect();
        assert_eq!(said, [says], "{text}");
    }
}
