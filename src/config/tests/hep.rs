//! Agents that mirror.

use super::*;

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
