use super::*;
use std::ffi::OsStr;
use std::fs;

/// A folder with a configuration that has no fault, to break.
fn good() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().join("certs");
    fs::create_dir_all(certs.join("x5u")).unwrap();
    for file in [
        "ca-list.jws",
        "ca-list-signer.pem",
        "sti-pa-root.pem",
        "crl.der",
        "crl-signer.pem",
    ] {
        fs::write(certs.join(file), "").unwrap();
    }
    let config = include_str!("../../config/tracehop.toml").replace("../certs", "certs");
    let path = dir.path().join("tracehop.toml");
    fs::write(&path, config).unwrap();
    fs::write(
        dir.path().join("peers.toml"),
        include_str!("../../config/peers.example.toml"),
    )
    .unwrap();
    (dir, path)
}

fn problems(edit: impl Fn(&str) -> String) -> Vec<String> {
    let (_dir, path) = good();
    let text = edit(&fs::read_to_string(&path).unwrap());
    fs::write(&path, text).unwrap();
    match Config::load(&path) {
        Ok(_) => Vec::new(),
        Err(p) => p
            .into_iter()
            .map(|p| format!("{}: {} / {}", p.line, p.what, p.remedy))
            .collect(),
    }
}

fn peer_problems(edit: impl Fn(&str) -> String) -> Vec<String> {
    let text = edit(include_str!("../../config/peers.example.toml"));
    let (_, problems) = peers::read(Path::new("peers.toml"), &text);
    problems
        .into_iter()
        .map(|p| format!("{}: {}", p.line, p.what))
        .collect()
}

#[test]
fn the_files_that_ship_have_no_problem() {
    assert_eq!(problems(str::to_owned), Vec::<String>::new());
    let (_dir, path) = good();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.freshness, Duration::from_secs(60));
    let verify = config.verify_settings();
    assert_eq!(verify.profile, Profile::Shaken);
    assert_eq!(config.verstat, VerstatMapping::Strict);
    assert_eq!(verify.clock_error, Duration::from_millis(50));
    assert!(!verify.require_identity && verify.priority_signers.is_empty());
    assert_eq!(config.peers.peers.len(), 5);
    assert_eq!(config.retention, Duration::from_secs(548 * 86_400));
}

#[test]
fn every_problem_is_found_in_one_go_with_its_line() {
    let found = problems(|t| {
        t.replace("freshness_seconds = 60", "freshness_seconds = \"often\"")
            .replace("retention_days = 548", "retention_day = 548")
            .replace("name = \"Example Voice\"", "")
            .replace("crl.der", "nowhere.der")
    });
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].contains("provider.name is missing"));
    assert!(
        found
            .iter()
            .any(|p| p.contains("verify.freshness_seconds is not a whole number from 1 to 3600"))
    );
    assert!(
        found
            .iter()
            .any(|p| p.contains("unknown key store.retention_day / did you mean retention_days?"))
    );
    assert!(
        found
            .iter()
            .any(|p| p.contains("nowhere.der does not exist"))
    );
}

#[test]
fn a_syntax_error_names_its_line() {
    let found = problems(|t| t.replace("[numbers]", "[numbers"));
    let line = 1 + include_str!("../../config/tracehop.toml")
        .lines()
        .position(|l| l == "[numbers]")
        .unwrap();
    assert!(found[0].starts_with(&format!("{line}: ")), "{found:#?}");
}

#[test]
fn a_list_without_its_root_can_not_be_checked() {
    let found = problems(|t| t.replace("sti_pa_root =", "#sti_pa_root ="));
    assert!(
        found[0].contains("ca_list without sti_pa_root"),
        "{found:#?}"
    );
}

#[test]
fn what_peers_files_get_wrong() {
    assert_eq!(peer_problems(str::to_owned), Vec::<String>::new());
    let one = |from: &str, to: &str| peer_problems(|t| t.replacen(from, to, 1)).join("\n");
    assert!(one("peer = \"clinic\"", "peer = \"clinc\"").contains("no [[peer]] has the id"));
    assert!(one("kind = \"foreign\"", "kind = \"alien\"").contains("kind \"alien\" is unknown"));
    assert!(one("203.0.113.64/29", "203.0.113.64/99").contains("is no network"));
    assert!(one("id = \"resale\"", "id = \"northstar\"").contains("stands twice"));
    assert!(one("vlan = 130", "vlan = 5000").contains("rule.vlan is not a whole number"));
    // Without its trunk group the reseller's rule takes all of Northstar's IPv4 calls, but not its IPv6 ones.
    assert_eq!(one("trunk_group = \"RT-1\"", ""), "");
    let swapped = one(
        "networks = [\"198.51.100.0/28\"]\ntrunk_group = \"RT-1\"",
        "vlan = 1",
    ) + &one(
        "networks = [\"198.51.100.0/28\", \"2001:db8:7::/64\"]",
        "networks = [\"198.51.100.4\"]\ntrunk_group = \"rt-1\"",
    );
    assert!(
        swapped.contains("rule \"northstar\" can never match"),
        "{swapped}"
    );
}

#[test]
fn profiles_of_verification_are_words_and_others_are_named_with_their_line() {
    let (_dir, path) = good();
    let text = fs::read_to_string(&path).unwrap();
    let text = text
        .replace("profile = \"shaken\"", "profile = \"generic\"")
        .replace("verstat = \"strict\"", "verstat = \"attest-a\"")
        .replace("require_identity = false", "require_identity = true")
        .replace("priority_signers = []", "priority_signers = [\"709J\"]");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    let verify = config.verify_settings();
    assert_eq!(verify.profile, Profile::Generic);
    assert_eq!(config.verstat, VerstatMapping::AttestA);
    assert!(verify.require_identity);
    assert_eq!(verify.priority_signers, [Box::from("709J")]);
    let found = problems(|t| {
        t.replace("verstat = \"strict\"", "verstat = \"lenient\"")
            .replace("require_identity = false", "require_identity = \"no\"")
    });
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("verify.verstat has no choice \"lenient\""));
    assert!(found[0].contains("write one of \"strict\", \"attest-a\""));
    assert!(found[1].contains("verify.require_identity is not true or false"));
}

#[test]
fn what_unknown_revocation_means_is_one_of_three_words() {
    let with = |word: &str| {
        let (_dir, path) = good();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            text.replace("crl = \"prefer\"", &format!("crl = {word:?}")),
        )
        .unwrap();
        Config::load(&path).map(|c| c.crl).map_err(|p| p.len())
    };
    assert_eq!(with("prefer"), Ok(CrlPolicy::Prefer));
    assert_eq!(with("require"), Ok(CrlPolicy::Require));
    assert_eq!(with("off"), Ok(CrlPolicy::Off));
    assert_eq!(with("maybe"), Err(1));
}

#[test]
fn further_lists_need_a_file_and_a_root_that_are_there() {
    let add = |text: &str, lines: &str| text.replace("\n[fetch]", &format!("\n{lines}\n[fetch]"));
    let other =
        "[[credentials.other_crl]]\ncrl = \"certs/crl.der\"\nroot = \"certs/sti-pa-root.pem\"";
    assert_eq!(problems(|t| add(t, other)), [""; 0]);
    let (_dir, path) = good();
    let more = format!(
        "crl_aliases = [\"https://sti-pa.example/crl2\"]\nca_list_expired = \"refuse\"\n{other}"
    );
    let text = add(&fs::read_to_string(&path).unwrap(), &more);
    fs::write(&path, text).unwrap();
    let files = Config::load(&path).unwrap().credentials;
    assert_eq!(
        files.crl_aliases[..],
        ["https://sti-pa.example/crl2".into()]
    );
    assert!(files.ca_list_must_be_current);
    assert_eq!(
        (files.other_crls.len(), files.other_crls[0].signer.is_none()),
        (1, true)
    );
    for (wrong, expected) in [
        (other.replace("crl.der", "gone.der"), "does not exist"),
        (other.replace("root =", "#"), "root is missing"),
        (format!("{other}\nurl = \"x\""), "url"),
        (
            "ca_list_expired = \"maybe\"".to_owned(),
            "a list that has ended",
        ),
    ] {
        let found = problems(|t| add(t, &wrong));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn what_the_section_on_fetching_gets_wrong() {
    let with = |line: &str| {
        let line = format!("enabled = false\n{line}");
        problems(|t| t.replacen("enabled = false", &line, 1)).join("\n")
    };
    let one = |from: &str, to: &str| {
        let found = problems(|t| {
            assert!(t.contains(from), "{from}");
            t.replacen(from, to, 1)
        });
        found.join("\n")
    };
    assert_eq!(one("enabled = false", "enabled = true"), "");
    assert!(
        one("enabled = false", "enabled = \"yes\"").contains("fetch.enabled is not true or false")
    );
    assert!(one("hosts = []", "hosts = [\"https://a.example/\"]").contains("is no name of a host"));
    assert_eq!(
        one(
            "hosts = []",
            "hosts = [\"Cert.example.net\", \".example.org\"]"
        ),
        ""
    );
    assert!(
        one("per_host = 2", "per_host = 0")
            .contains("fetch.per_host is not a whole number from 1 to 64")
    );
    assert!(one("wait_seconds = 30", "wait_secs = 30").contains("did you mean wait_seconds?"));
    for good in [
        "http://proxy.example.net:3128",
        "http://192.0.2.1:80/",
        "http://[2001:db8::1]:3128",
    ] {
        assert_eq!(with(&format!("proxy = \"{good}\"")), "", "{good}");
    }
    for bad in [
        "proxy.example.net:3128",
        "http://proxy.example.net",
        "http://me@proxy.example.net:1",
        "http://:1",
    ] {
        assert!(
            with(&format!("proxy = \"{bad}\"")).contains("is no proxy"),
            "{bad}"
        );
    }
    assert!(with("connect_to = \"127.0.0.1:8443\"").contains("goes with allow_private"));
    assert_eq!(
        with("connect_to = \"127.0.0.1:8443\"\nallow_private = true"),
        ""
    );
    assert!(with("extra_roots = \"nowhere.pem\"").contains("nowhere.pem does not exist"));
    assert!(
        problems(|t| t
            .replace("enabled = false                    #", "enabled = true #")
            .replace("offline = false", "offline = true")
            .replace("cache = ", "#cache = "))
        .join("\n")
        .contains("fetch.offline without fetch.cache")
    );
}

#[test]
fn where_the_lists_are() {
    let with = |lines: &str| {
        problems(|t| t.replace("[store]", &format!("[fetch.sti_pa]\n{lines}\n[store]"))).join("\n")
    };
    assert_eq!(with("crl_url = \"https://sti-pa.example/crl\""), "");
    assert!(with("crl_url = \"http://sti-pa.example/crl\"").contains("is no URL with https"));
    assert!(
        with("login_url = \"https://sti-pa.example/login\"")
            .contains("login_url without secret_file")
    );
    assert!(with("secret_file = \"nowhere.toml\"").contains("nowhere.toml"));
}

const INTERFACE: &str = "[[capture.interface]]\nname = \"eth1\"\n";

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

#[test]
fn http_and_log_are_read_and_what_is_wrong_is_said_with_a_remedy() {
    let (_dir, path) = good();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.http.listen, "127.0.0.1:9464".parse().ok());
    assert_eq!(config.http.note(), None);
    assert_eq!(config.log, LogSettings::default());
    let text = fs::read_to_string(&path).unwrap();
    let text = text
        .replace("127.0.0.1:9464", "[::]:9464")
        .replace("level = \"info\"", "level = \"debug\"");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    assert!(config.http.note().unwrap().contains("[::]:9464"));
    assert_eq!(config.log.level, crate::host::log::LogLevel::Debug);
    let found = problems(|t| {
        t.replace("\"127.0.0.1:9464\"", "\"localhost\"")
            .replace("connections = 32", "connections = 0")
            .replace("level = \"info\"", "level = \"loud\"")
            .replace("format = \"auto\"", "form = \"auto\"")
    });
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].contains("no address with a port"), "{found:#?}");
    assert!(found[2].contains("one of \"error\""), "{found:#?}");
}

/// The commented example of HEP, uncommented, beside the files that it names.
fn with_hep(dir: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    for (file, mode) in [
        ("hep.pem", 0o644),
        ("hep-clients.pem", 0o644),
        ("hep.key", 0o640),
        ("proxy-a.key", 0o600),
    ] {
        let path = dir.join(file);
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let begin = text.find("#[hep]").unwrap();
    let length = text[begin..].find("\n[store]").unwrap();
    let (before, rest) = text.split_at(begin);
    let (example, after) = rest.split_at(length);
    format!(
        "{before}{}{after}",
        example.replace("\n#", "\n").trim_start_matches('#')
    )
}

#[test]
fn the_example_of_hep_loads_when_it_is_uncommented() {
    let (dir, path) = good();
    let text = with_hep(dir.path(), &fs::read_to_string(&path).unwrap());
    fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    let files = config.files.iter().map(|p| p.file_name().unwrap());
    let files: Vec<_> = files.collect();
    let hep = config.hep.unwrap();
    assert_eq!((hep.udp.len(), hep.tcp.len(), hep.tls.len()), (1, 1, 1));
    assert_eq!(hep.limits, crate::capture::hep::ListenLimits::default());
    assert_eq!(hep.mirror, crate::engine::mirror::MirrorLimits::default());
    let agent = &hep.agents[0];
    assert_eq!((&*agent.name, agent.id), ("proxy-a", Some(2001)));
    assert_eq!(
        agent.key,
        Some(crate::engine::mirror::AgentKey::new(b"secret"))
    );
    for file in [
        "hep.pem",
        "hep.key",
        "hep-clients.pem",
        "proxy-a.key",
        "peers.toml",
    ] {
        assert!(files.contains(&OsStr::new(file)), "{file}: {files:?}");
    }
}

#[test]
fn every_interface_and_agent_must_be_looking_or_else_the_files_sensor() {
    let (dir, path) = good();
    let names = |c: Config| -> Vec<String> {
        let all = c.sensors();
        all.iter().map(|s| s.to_string()).collect()
    };
    assert_eq!(names(Config::load(&path).unwrap()), ["edge1"]);
    let text = with_hep(dir.path(), &fs::read_to_string(&path).unwrap());
    let text = text.replace(
        "[peers]",
        &format!("{INTERFACE}[[capture.interface]]\nname = \"eth2\"\nsensor = \"eth1\"\n[peers]"),
    );
    fs::write(&path, &text).unwrap();
    assert_eq!(names(Config::load(&path).unwrap()), ["eth1", "proxy-a"]);
    fs::write(
        &path,
        text.replace("sensor = \"eth1\"", "sensor = \"proxy-a\""),
    )
    .unwrap();
    let problems = Config::load(&path).unwrap_err();
    assert!(
        problems[0]
            .what
            .contains("an agent and an interface's sensor")
    );
}

#[test]
fn what_is_wrong_with_hep_is_said_with_a_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let found = |edit: &dyn Fn(&str) -> String, spoil: &dyn Fn(&Path)| -> Vec<String> {
        let (dir, path) = good();
        let text = with_hep(dir.path(), &fs::read_to_string(&path).unwrap());
        spoil(dir.path());
        fs::write(&path, edit(&text)).unwrap();
        let problems = Config::load(&path).err().unwrap_or_default();
        let said = problems
            .into_iter()
            .map(|p| format!("{}: {} / {}", p.line, p.what, p.remedy));
        said.collect()
    };
    let mode = |file: &'static str, mode| {
        move |dir: &Path| {
            fs::set_permissions(dir.join(file), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let as_is = |t: &str| t.to_owned();
    let nothing = |_: &Path| ();
    assert_eq!(found(&as_is, &nothing), Vec::<String>::new());
    // What is written in place of what, and what is said of it.
    let agent = "[[hep.agent]]\nname = \"proxy-a\"\nnetworks = [\"192.0.2.1\"]\n\n[store]";
    for (old, new, said) in [
        (
            "udp = [\"127.0.0.1:9060\"]",
            "udp = [\"localhost\"]",
            "\"localhost\" is no address with a port / write udp = [",
        ),
        (
            "certificate = \"hep.pem\"",
            "",
            "hep.tls needs a certificate and its key / write certificate =",
        ),
        (
            "key = \"hep.key\"",
            "key = \"none.key\"",
            "none.key does not exist / put the file there",
        ),
        (
            "client_ca =",
            "#",
            "hep.agent.certificate without hep.client_ca",
        ),
        (
            "clock_distance_seconds = 2 ",
            "clock_distance_seconds = 0 ",
            "clock_distance_seconds",
        ),
        (
            "udp_quiet_seconds = 120",
            "udp_quiet_seconds = 90000",
            "udp_quiet_seconds",
        ),
        ("\nconnections = 256", "\nconnections = 0", "connections"),
        (
            "connections_per_address = 64",
            "connections_per_address = 70000",
            "connections_per_address",
        ),
        ("idle_seconds = 600 ", "idle_seconds = 0 ", "idle_seconds"),
        ("slow_seconds = 10 ", "slow_seconds = 601 ", "slow_seconds"),
        (
            "receive_buffer_kilobytes = 8192",
            "receive_buffer_kilobytes = 63",
            "receive_buffer_kilobytes",
        ),
        ("\nconnections = 256", "\nconexions = 256", "conexions"),
        ("name = \"proxy-a\"", "", "name"),
        (
            "networks = [\"192.0.2.10/32\"]",
            "",
            "hep.agent.networks is missing or empty / write, for instance",
        ),
        (
            "networks = [\"192.0.2.10/32\"]",
            "networks = [\"192.0.2.10\", \"proxy\"]",
            "\"proxy\" is no network / write, for instance",
        ),
        ("id = 2001 ", "id = 4294967296 ", "id"),
        ("carrier = \"tls\"", "carrier = \"sctp\"", "one of \"udp\""),
        ("id = 2001 ", "ident = 2001 ", "ident"),
        (
            "[store]",
            agent,
            "two agents are called \"proxy-a\" / give each a name of its own",
        ),
    ] {
        let edit = |t: &str| {
            assert!(t.contains(old), "{old}");
            t.replacen(old, new, 1)
        };
        let problems = found(&edit, &nothing);
        assert!(
            problems.len() == 1 && problems[0].contains(said),
            "{new}: {problems:#?}"
        );
    }
    let alone = |t: &str| {
        let from = t.find("[[hep.agent]]").unwrap();
        let until = t.find("\n[store]").unwrap();
        format!("{}{}", &t[..from], &t[until..])
    };
    let problems = found(&alone, &nothing);
    assert!(
        problems[0].contains("listens without any agent"),
        "{problems:#?}"
    );
    for (spoil, said) in [
        (
            &mode("proxy-a.key", 0o640) as &dyn Fn(&Path),
            "others than its owner may read it: chmod 600",
        ),
        (&mode("hep.key", 0o644), "everybody may read"),
        (
            &|d: &Path| fs::write(d.join("proxy-a.key"), "\n").unwrap(),
            "it is empty",
        ),
        (
            &|d: &Path| fs::write(d.join("proxy-a.key"), "k".repeat(5_000)).unwrap(),
            "too large for a key",
        ),
        (
            &|d: &Path| fs::remove_file(d.join("proxy-a.key")).unwrap(),
            "No such file",
        ),
    ] {
        let problems = found(&as_is, spoil);
        assert!(
            problems.len() == 1 && problems[0].contains(said),
            "{said}: {problems:#?}"
        );
    }
}

#[test]
fn limits_are_today_s_defaults_and_have_bounds() {
    let (_dir, path) = good();
    let shipped = Config::load(&path).unwrap().assemble;
    assert_eq!(shipped, AssembleLimits::default());
    let text = fs::read_to_string(&path).unwrap();
    let changed = text
        .replace("datagrams = 20000", "datagrams = 400")
        .replace("megabytes = 48", "megabytes = 8")
        .replace("count = 16384", "count = 64")
        .replace("idle_seconds = 64", "idle_seconds = 30");
    fs::write(&path, changed).unwrap();
    let l = Config::load(&path).unwrap().assemble;
    assert_eq!(
        (l.reassembly.datagrams, l.reassembly.per_source),
        (400, 100)
    );
    assert_eq!(l.reassembly.octets, 8 << 20);
    assert_eq!((l.streams.sip, l.streams.unknown), (64, 64));
    assert_eq!(l.streams.idle, Duration::from_secs(30));
    let wrong = problems(|t| {
        t.replace("datagrams = 20000", "datagrams = 1")
            .replace("idle_seconds = 64", "idle_second = 64")
    });
    assert_eq!(wrong.len(), 2, "{wrong:?}");
}

/// The configuration that ships, with more behind it.
fn with_findings(more: &str) -> Result<Config, Vec<String>> {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = good();
    let secret = dir.path().join("webhook-secret");
    fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(&path).unwrap() + more;
    fs::write(&path, text).unwrap();
    Config::load(&path).map_err(|p| {
        let each = p.into_iter();
        each.map(|p| format!("{} / {}", p.what, p.remedy)).collect()
    })
}

#[test]
fn findings_go_nowhere_by_default() {
    assert!(with_findings("").unwrap().findings.sinks.is_empty());
}

/// What stands in the file as comments is what would be read.
#[test]
fn the_sinks_in_the_file_that_ships_are_good_when_they_are_taken_out_of_their_comments() {
    let shipped = include_str!("../../config/tracehop.toml");
    let (_, commented) = shipped.split_once("#[findings]").unwrap();
    let (commented, _) = commented.split_once("\n[http]").unwrap();
    let mut live = "\n[findings]".to_owned() + commented;
    live = live.replace("\n#", "\n");
    live = live.replace("flags = []  ", "flags = [\"protected-flood\"]  ");
    live = live.replace("roots = \"noc-root.pem\"", "#");
    let findings = with_findings(&live).unwrap().findings;
    let names: Vec<&str> = findings.sinks.iter().map(|s| &*s.name).collect();
    assert_eq!(names, ["file-1", "journald-2", "syslog-3", "webhook-4"]);
    assert!(findings.sinks.iter().all(|s| s.queue == 10_000));
    assert_eq!(findings.host.as_deref(), Some("edge-1.example.net"));
    assert!(findings.folders()[0].ends_with("state/findings"));
}

#[test]
fn a_sink_that_can_not_be_is_named_with_what_to_write() {
    let wrong = |more: &str| {
        let sink = format!("\n[[findings.sink]]\n{more}\n");
        with_findings(&sink).unwrap_err().join("; ")
    };
    for (more, says) in [
        ("", "kind is missing"),
        ("kind = \"mail\"", "no choice \"mail\""),
        ("kind = \"file\"", "path is missing"),
        (
            "kind = \"journald\"\nflags = [\"no-such\"]",
            "\"no-such\" is no flag",
        ),
        (
            "kind = \"journald\"\nkinds = [\"calls\"]",
            "\"calls\" is no kind",
        ),
        (
            "kind = \"journald\"\npeers = [\"nobody\"]",
            "\"nobody\" is no neighbour",
        ),
        (
            "kind = \"journald\"\nflags = [\"loop\"]\nexcept_flags = [\"loop\"]",
            "nothing would ever go there",
        ),
        ("kind = \"journald\"\npath = \"x\"", "path"),
        (
            "kind = \"syslog\"\nto = \"log.example.net\"",
            "no place of syslog",
        ),
        ("kind = \"webhook\"", "url is missing"),
        (
            "kind = \"webhook\"\nurl = \"http://noc.example.net/\"\nsecret_file = \"webhook-secret\"",
            "no URL with https",
        ),
        (
            "kind = \"webhook\"\nurl = \"https://noc.example.net/\"\nsecret_file = \"peers.toml\"",
            "peers.toml",
        ),
        (
            "kind = \"journald\"\nname = \"a\"\n[[findings.sink]]\nkind = \"journald\"\nname = \"a\"",
            "two sinks are called",
        ),
    ] {
        let said = wrong(more);
        assert!(said.contains(says), "{more}: {said}");
    }
}

#[test]
fn thresholds_of_a_neighbour_that_nobody_knows_are_no_thresholds() {
    let more = "\n[[behaviour.neighbour]]\npeer = \"nobody\"\nhigh_volume_hour = 5\n";
    let said = with_findings(more).unwrap_err().join("; ");
    assert!(said.contains("no neighbour is called \"nobody\""), "{said}");
    let known = more.replace("nobody", "northstar");
    let config = with_findings(&known).unwrap();
    let northstar = config.behaviour.of(Some("northstar"));
    assert_eq!(northstar.high_volume_hour, 5);
}

#[test]
fn a_sink_without_its_kind_is_one_problem() {
    let said =
        with_findings("\n[[findings.sink]]\nflags = [\"loop\"]\nmegabytes = 3\n").unwrap_err();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("kind is missing"), "{said:#?}");
}

#[test]
fn strangers_may_be_asked_for_and_sinks_are_bounded() {
    let sink = "\n[[findings.sink]]\nkind = \"journald\"\n";
    let strangers = format!("{sink}peers = [\"unknown\"]\n");
    assert_eq!(with_findings(&strangers).unwrap().findings.sinks.len(), 1);
    assert_eq!(
        with_findings(&sink.repeat(16))
            .unwrap()
            .findings
            .sinks
            .len(),
        16
    );
    let said = with_findings(&sink.repeat(17)).unwrap_err().join("; ");
    assert!(said.contains("17 sinks / write 16 at most"), "{said}");
    for (more, says) in [
        ("queue = 0", "findings.sink.queue"),
        ("numbers = \"none\"", "\"masked\""),
        ("flag = [\"loop\"]", "did you mean flags?"),
    ] {
        let said = with_findings(&format!("{sink}{more}\n"))
            .unwrap_err()
            .join("; ");
        assert!(said.contains(says), "{more}: {said}");
    }
}
