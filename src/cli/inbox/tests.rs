use super::show::span;
use super::*;

#[test]
fn spans_are_hours_and_minutes() {
    assert_eq!(span(3600.0 * 23.0 + 59.0 * 60.0), "23:59");
    assert_eq!(span(59.6 * 60.0), "1:00");
    assert_eq!(span(-125.0), "0:02 late");
}

#[test]
fn words_are_told_where_one_is_wrong() {
    assert_eq!(state("review"), Ok(RequestState::Review));
    assert!(state("revue").unwrap_err().contains("needs-info"));
    assert_eq!(resolution("NOT_FOUND"), Ok(Resolution::NotFound));
    assert!(resolution("not_found").unwrap_err().contains("CAPTURE_GAP"));
}

/// A configuration in a folder of its own, with one request that waits for a person.
fn office() -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    crate::proof::sign::new_key(&folder.path().join("answers.key")).unwrap();
    file("portal.secrets", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    file(
        "peers.toml",
        "[[peer]]\nid = \"north\"\nname = \"North Voice LLC\"\nkind = \"provider\"\ncountry = \"US\"\n[[rule]]\nname = \"north\"\npeer = \"north\"\nnetworks = [\"198.51.100.0/24\"]\n[[peer]]\nid = \"own\"\nname = \"Us\"\nkind = \"own\"\n[[rule]]\nname = \"own\"\npeer = \"own\"\nnetworks = [\"192.0.2.0/28\"]\n",
    );
    let config = file(
        "tracehop.toml",
        "[provider]\nname = \"Example Voice\"\ncountry = \"US\"\nportal_id = \"EV-01\"\n[peers]\nfile = \"peers.toml\"\n\
         [responder]\nenabled = true\nkey_file = \"answers.key\"\nlisten = \"127.0.0.1:8443\"\n\
         [[responder.portal]]\nname = \"itg\"\nmode = \"assisted\"\ndeadline = \"plain-24h\"\nwebhook_secrets = \"portal.secrets\"\n",
    );
    (folder, config)
}

fn type_in(config: &std::path::Path, words: &[&str]) -> Result<(), String> {
    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(subcommand)]
        inbox: Inbox,
    }
    let more = ["--config", config.to_str().unwrap()];
    let all = ["tracehop"].iter().chain(words).chain(&more);
    let typed = <Typed as clap::Parser>::try_parse_from(all).map_err(|e| e.to_string())?;
    typed.inbox.run().map(drop).map_err(|f| f.what)
}

#[test]
fn a_person_works_at_the_terminal() {
    let (_folder, config) = office();
    let early = type_in(&config, &["list"]).unwrap_err();
    assert!(early.contains("tracehop run"), "{early}");
    let settings = load(&config).unwrap().responder.unwrap();
    let desk = Desk::open(&settings.state, DeskSettings::from(&settings), None).unwrap();
    let now = clock::now();
    let way = crate::responder::case::Way::Push;
    let octets = br#"{"id":"HR-1","case_id":"C-7"}"#;
    desk.take("itg", way, octets, now).unwrap();
    let plan = crate::number::NumberPlan::default();
    let refused = crate::traceback::request::HopRequest::parse(octets, &plan).unwrap_err();
    let traceback = crate::traceback::TracebackSettings::default();
    let answered = crate::responder::insufficient(&refused, &traceback, 1);
    let key = RequestKey {
        portal: "itg".into(),
        id: "HR-1".into(),
    };
    desk.matched(&key, &answered, now).unwrap();
    let ok = |words: &[&str]| type_in(&config, words).unwrap();
    let no = |words: &[&str]| type_in(&config, words).unwrap_err();
    let state = || desk.show(&key, now).unwrap().unwrap().line.state;
    ok(&["list"]);
    ok(&["list", "--json", "--state", "review"]);
    ok(&["show", "HR-1"]);
    ok(&["show", "itg/HR-1", "--json"]);
    assert!(no(&["show", "HR-2"]).contains("no such request"));
    let edit = ["edit", "HR-1", "--resolution", "UPSTREAM_DOMESTIC"];
    assert!(no(&edit).contains("say whom"));
    let south = [&edit[..], &["--upstream", "south"]].concat();
    assert!(no(&south).contains("peers.toml"));
    ok(&["approve", "HR-1"]);
    assert_eq!(state(), RequestState::NeedsInfo);
    ok(&[
        &edit[..],
        &["--upstream", "north", "--comment", "by the bill"],
    ]
    .concat());
    assert_eq!(state(), RequestState::Outbox);
    let signed = desk.signed(&key).unwrap().unwrap();
    let text = String::from_utf8(signed.body).unwrap();
    assert!(
        text.contains("North Voice LLC") && text.contains("by the bill"),
        "{text}"
    );
    ok(&["halt", "--reason", "a look first"]);
    assert!(desk.halted().unwrap().is_some());
    ok(&["list"]);
    ok(&["resume"]);
    ok(&["reject", "HR-1", "--reason", "no case"]);
    ok(&["ask", "HR-1", "--what", "which zone?"]);
    assert_eq!(state(), RequestState::NeedsInfo);
    ok(&["compare", "HR-1", "--said", "INSUFFICIENT_REQUEST"]);
    ok(&["agreement"]);
    ok(&["agreement", "--json"]);
    ok(&["release"]);
    assert!(no(&["release", "north"]).contains("not held"));
}
