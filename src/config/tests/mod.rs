mod adapter;
mod capture;
mod engine;
mod findings;
mod hep;
mod portal;
mod responder;

use std::ffi::OsStr;
use std::fs;

use super::*;
use crate::store::embedded::MinFree;

const INTERFACE: &str = "[[capture.interface]]\nname = \"eth1\"\n";

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
    let config = include_str!("../../../config/tracehop.toml").replace("../certs", "certs");
    let path = dir.path().join("tracehop.toml");
    fs::write(&path, config).unwrap();
    fs::write(
        dir.path().join("peers.toml"),
        include_str!("../../../config/peers.example.toml"),
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
    let text = edit(include_str!("../../../config/peers.example.toml"));
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
    assert_eq!(
        config.store.settings.retention,
        Duration::from_secs(548 * 86_400)
    );
    assert_eq!(config.store.settings.min_free, MinFree::Usual);
}

#[test]
fn how_much_of_the_disk_stays_free_can_be_said() {
    let (dir, path) = good();
    let text = fs::read_to_string(&path).unwrap();
    for (written, means) in [("0", 0), ("4096", 4096 << 20)] {
        let set = format!("[store]\nmin_free_mb = {written}\n");
        fs::write(&path, text.replace("[store]\n", &set)).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.store.settings.min_free, MinFree::Octets(means));
    }
    drop(dir);
    let said = problems(|t| t.replace("[store]\n", "[store]\nmin_free_mb = -1\n"));
    assert!(said.join("\n").contains("min_free_mb"), "{said:?}");
}

#[test]
fn how_often_the_store_is_made_durable_has_bounds() {
    for (name, least, most) in [
        ("sync_ms", 10, 1_000),
        ("sync_records", 1, 1_000_000),
        ("compact_mb_per_second", 0, 1_024),
    ] {
        let set = |n: i64| {
            move |text: &str| {
                let lines = text.lines().map(|line| match line.starts_with(name) {
                    true => format!("{name} = {n}\n"),
                    false => format!("{line}\n"),
                });
                lines.collect::<String>()
            }
        };
        for good in [least, most] {
            let said = problems(set(good));
            assert!(said.is_empty(), "{name} = {good}: {said:?}");
        }
        for bad in [least - 1, most + 1] {
            let said = problems(set(bad)).join("\n");
            assert!(said.contains(name), "{name} = {bad}: {said}");
        }
    }
}

#[test]
fn the_store_is_encrypted_by_a_file_or_a_command() {
    let with = |lines: &str| {
        let section = format!("[store.encryption]\n{lines}\n\n[traceback]");
        move |t: &str| t.replacen("[traceback]", &section, 1)
    };
    assert_eq!(problems(with("key_file = \"store.key\"")), [""; 0]);
    assert_eq!(
        problems(with("key_command = [\"/usr/bin/key\", \"tracehop\"]")),
        [""; 0]
    );
    for (lines, expected) in [
        ("", "store.encryption has no key"),
        (
            "key_file = \"a\"\nkey_command = [\"b\"]",
            "store.encryption has two keys",
        ),
        (
            "key_file = \"certs/crl.der\"",
            "others than its owner may use",
        ),
        ("key = \"0011\"", "unknown key store.encryption.key"),
    ] {
        let found = problems(with(lines)).join("\n");
        assert!(found.contains(expected), "{found}");
    }
}

/// The package's own: what it says of where things are is the unit's, and it starts with nothing to watch yet.
#[test]
fn the_configuration_of_the_package_has_no_problem_and_idles() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/etc/tracehop.toml");
    let config = Config::load(&shipped).unwrap();
    assert_eq!(config.store.path, Path::new("/var/lib/tracehop/store"));
    assert!(config.idles().is_some());

    // What is commented out there can be switched on.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tracehop.toml");
    let text = fs::read_to_string(&shipped).unwrap();
    let mut rest = text.replace("#[[capture.interface]]", "[[capture.interface]]");
    rest = rest.replace("#name = \"eth1\"", "name = \"eth1\"");
    fs::write(&path, rest).unwrap();
    fs::copy(
        shipped.with_file_name("peers.toml"),
        dir.path().join("peers.toml"),
    )
    .unwrap();
    let config = Config::load(&path).unwrap();
    assert!(config.run.idle && config.idles().is_none());
    assert_eq!(config.nothing_to_do(), None);
}

#[test]
fn a_daemon_without_anything_to_do_idles_only_where_it_is_told_to() {
    let (_dir, path) = good();
    let config = Config::load(&path).unwrap();
    assert!(config.nothing_to_do().is_some() && config.idles().is_none());
    let wrong = problems(|c| c.replace("idle = false", "idle = \"yes\""));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
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
    let line = 1 + include_str!("../../../config/tracehop.toml")
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
