//! Where findings go, and from where on there are some.

use super::*;

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
    let shipped = include_str!("../../../config/tracehop.toml");
    let (_, commented) = shipped.split_once("#[findings]").unwrap();
    let (commented, _) = commented.split_once("\n#[responder]").unwrap();
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
