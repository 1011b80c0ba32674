//! What anybody can check: the audit log of look-ups, and the signed answers of a trace. By the binary, as people use it.

#[allow(unreachable_pub)]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{Lab, text, tracehop};
use tracehop::proof::sign::{Kind, Signed, Signer, new_key};
use tracehop::traceback::answer::answer_id;

fn code(out: &Output) -> i32 {
    out.status.code().unwrap()
}

fn said(out: &Output) -> String {
    let both = [&*out.stdout, b"\n", &*out.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn value(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(out)))
}

/// A laboratory with a store.
fn replayed() -> (Lab, String) {
    let lab = Lab::new(5, 400);
    let config = text(&lab.path("tracehop.toml"));
    let captures: Vec<String> = lab.captures().iter().map(|c| text(c)).collect();
    let mut arguments = vec!["replay", "--config", &config];
    arguments.extend(captures.iter().map(String::as_str));
    assert_eq!(code(&tracehop(&arguments)), 0);
    (lab, config)
}

fn trace(config: &str, further: &[&str]) -> Output {
    let mut arguments = vec![
        "trace",
        "--called",
        "+12025550123",
        "--time",
        "2026-11-24T15:00:00Z",
        "--config",
        config,
    ];
    arguments.extend(further);
    tracehop(&arguments)
}

#[test]
fn no_look_up_without_a_case_and_none_that_is_not_written_down() {
    let (lab, config) = replayed();
    assert_eq!(code(&trace(&config, &[])), 64, "a case is compulsory");
    assert!(!lab.path("responder").exists(), "nothing was looked up");

    // A window of more than two hours is no look-up: the answer is a question back, and nothing was read.
    let out = trace(&config, &["--case", "C-7", "--precision", "3481", "--json"]);
    assert_eq!(value(&out)["answer"]["resolution"], "INSUFFICIENT_REQUEST");
    assert!(!lab.path("responder").exists());

    for n in 0..3 {
        let out = trace(&config, &["--case", "C-7", "--json"]);
        assert_eq!(code(&out), 0, "{n}: {}", said(&out));
    }
    let out = tracehop(&[
        "audit", "show", "--case", "C-7", "--config", &config, "--json",
    ]);
    let lines: Vec<Value> = said(&out)
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect();
    assert_eq!(lines.len(), 3, "{}", said(&out));
    assert_eq!(
        (&lines[2]["act"], &lines[2]["case_id"], &lines[2]["index"]),
        (&json!("look-up"), &json!("C-7"), &json!(2))
    );
    assert!(lines[2]["who"].as_str().unwrap().starts_with("terminal:"));
    assert!(!said(&out).contains("2025550123"), "the log has no numbers");
    let out = tracehop(&[
        "audit", "show", "--case", "C-8", "--config", &config, "--json",
    ]);
    assert_eq!(said(&out).trim(), "");

    // Where the log can't be written, nothing is looked up, and the message says what to do.
    fs::remove_dir_all(lab.path("responder")).unwrap();
    fs::write(lab.path("responder"), "").unwrap();
    let out = trace(&config, &["--case", "C-7", "--json"]);
    assert_eq!((code(&out), out.stdout.len()), (74, 0), "{}", said(&out));
    assert!(
        said(&out).contains("Nothing was looked up") && said(&out).contains("sudo -u"),
        "{}",
        said(&out)
    );
}

#[test]
fn a_log_that_was_changed_or_cut_off_is_found() {
    let (lab, plain) = replayed();
    let key = lab.path("answer.pem");
    assert_eq!(code(&tracehop(&["answer", "key", "--new", &text(&key)])), 0);
    let config = lab.path("answering.toml");
    let added = "\n[responder]\nenabled = true\nkey_file = \"answer.pem\"\nlisten = \"127.0.0.1:8443\"\n\
        [[responder.portal]]\nname = \"portal\"\ntime_zone = \"UTC\"\nwebhook_secrets = \"portal.secrets\"\n";
    let secrets = lab.path("portal.secrets");
    fs::write(
        &secrets,
        "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n",
    )
    .unwrap();
    fs::set_permissions(&secrets, PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&config, fs::read_to_string(&plain).unwrap() + added).unwrap();
    let config = text(&config);
    let verify = |further: &[&str]| {
        let mut arguments = vec!["audit", "verify", "--config", &config];
        arguments.extend(further);
        tracehop(&arguments)
    };
    assert_eq!(code(&verify(&[])), 66, "there is no log yet");
    for _ in 0..5 {
        assert_eq!(code(&trace(&config, &["--case", "C-1"])), 0);
    }
    let out = tracehop(&["audit", "head", "--config", &config]);
    assert_eq!(code(&out), 0, "{}", said(&out));
    let head = lab.path("head.json");
    fs::write(&head, &out.stdout).unwrap();
    let out = verify(&["--head", &text(&head)]);
    assert_eq!(code(&out), 0, "{}", said(&out));
    assert!(
        said(&out).contains("lines: 5; heads compared: 2; signatures of heads that hold: 1"),
        "{}",
        said(&out)
    );

    let out = tracehop(&["audit", "proof", "3", "--config", &config]);
    let proof = value(&out);
    assert_eq!(
        (&proof["inclusion"]["size"], &proof["line"]["index"]),
        (&json!(5), &json!(3))
    );
    assert_eq!(proof["inclusion"]["root"], proof["head"]["root"]);
    assert_eq!(
        code(&tracehop(&["audit", "proof", "9", "--config", &config])),
        65
    );

    let export = text(&lab.path("export.jsonl"));
    let exporting = [
        "audit", "export", "--case", "C-9", "--out", &export, "--config", &config,
    ];
    assert_eq!(code(&tracehop(&exporting)), 0);
    let lines: Vec<Value> = fs::read_to_string(&export)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(
        (lines.len(), &lines[5]["act"], &lines[6]["head"]["size"]),
        (7, &json!("export"), &json!(6))
    );
    assert_eq!(
        code(&tracehop(&exporting)),
        74,
        "a file that is there is not written over"
    );

    let database = Connection::open(lab.path("responder").join("responder.db")).unwrap();
    database
        .execute_batch("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;")
        .unwrap();
    database
        .execute("DELETE FROM audit WHERE idx = 5", [])
        .unwrap();
    let out = verify(&[]);
    assert_eq!(code(&out), 1);
    assert!(
        said(&out).contains("cut off: it has 5 lines, and a head was signed at 6"),
        "{}",
        said(&out)
    );
    database
        .execute("UPDATE audit SET case_id = 'C-2' WHERE idx = 2", [])
        .unwrap();
    let out = verify(&["--json"]);
    assert_eq!(code(&out), 1);
    assert!(
        value(&out)["faults"][0]
            .as_str()
            .unwrap()
            .starts_with("line 2 was changed"),
        "{}",
        said(&out)
    );
}

#[test]
fn a_new_key_is_made_once_and_its_public_half_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("k.pem");
    let made = tracehop(&["answer", "key", "--new", &text(&file)]);
    assert_eq!(code(&made), 0, "{}", said(&made));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(value(&made)["crv"], "Ed25519");
    assert_eq!(value(&made).get("d"), None);
    assert_eq!(
        value(&tracehop(&["answer", "key", &text(&file)])),
        value(&made)
    );
    assert_eq!(
        code(&tracehop(&["answer", "key", "--new", &text(&file)])),
        74
    );
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(code(&tracehop(&["answer", "key", &text(&file)])), 65);
}

/// A trace of n hops, signed by n providers, as a portal keeps it.
struct Trace {
    dir: tempfile::TempDir,
    signers: Vec<Signer>,
    answers: Vec<Signed>,
}

impl Trace {
    fn new(n: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("keys")).unwrap();
        let mut trace = Self {
            dir,
            signers: Vec::new(),
            answers: Vec::new(),
        };
        for i in 1..=n {
            let signer = new_key(&trace.dir.path().join(format!("{i}.pem"))).unwrap();
            let keys = trace.keys().join(format!("P{i}.json"));
            fs::write(keys, signer.jwks().to_string()).unwrap();
            let answer = signer.sign_value(Kind::Answer, &trace.hop(i, n)).unwrap();
            trace.signers.push(signer);
            trace.answers.push(answer);
        }
        trace
    }

    fn keys(&self) -> PathBuf {
        self.dir.path().join("keys")
    }

    fn hop(&self, i: usize, n: usize) -> Value {
        let request = format!("HR-{i}");
        let mut hop = json!({
            "id": answer_id(&request, 1), "request_id": request, "case_id": "C-1", "hop_no": i, "request_sha256": "0".repeat(64),
            "revision": 1, "provider": {"name": format!("Provider {i}"), "portal_id": format!("P{i}")},
            "resolution": if i < n { "UPSTREAM_DOMESTIC" } else { "ORIGIN_END_CUSTOMER" },
            "produced_by": "auto", "matcher_version": "1.0",
        });
        if i < n {
            hop["upstream"] =
                json!({"name": format!("Provider {}", i + 1), "portal_id": format!("P{}", i + 1)});
        }
        if let Some(before) = i.checked_sub(2) {
            hop["previous_hop_digest"] = json!(self.answers[before].digest());
        }
        hop
    }

    /// Writes answers, one a line, and checks them.
    fn verify(&self, answers: &[Vec<u8>], keys: &Path) -> (i32, Value) {
        let file = self.dir.path().join("answers.jsonl");
        fs::write(&file, answers.join(&b'\n')).unwrap();
        let out = tracehop(&[
            "answer",
            "verify",
            &text(&file),
            "--keys",
            &text(keys),
            "--json",
        ]);
        (code(&out), value(&out))
    }

    fn all(&self) -> Vec<Vec<u8>> {
        self.answers.iter().map(|a| a.json.clone()).collect()
    }
}

/// What is wrong with each hop, in the order of the path.
fn wrong(verified: &Value) -> Vec<String> {
    let hops = verified["hops"].as_array().unwrap();
    hops.iter()
        .map(|h| format!("{} {}", h["request_id"].as_str().unwrap(), h["wrong"]))
        .collect()
}

#[test]
fn the_answers_of_a_trace_are_a_path_that_anybody_can_check() {
    let t = Trace::new(6);
    let mut shuffled = t.all();
    shuffled.rotate_left(2);
    shuffled.swap(0, 3);
    let (code_, verified) = t.verify(&shuffled, &t.keys());
    assert_eq!(code_, 0, "{verified}");
    assert_eq!(
        (&verified["holds"], &verified["end"]),
        (&json!(true), &json!("origin"))
    );
    let order: Vec<_> = verified["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["hop_no"].clone())
        .collect();
    assert_eq!(order, [1, 2, 3, 4, 5, 6]);

    // As a table, from files of each form.
    let array = t.dir.path().join("array.json");
    let rest = t.dir.path().join("last.json");
    let all = t.all();
    fs::write(&array, [b"[", &all[..5].join(&b',')[..], b"]"].concat()).unwrap();
    fs::write(&rest, &all[5]).unwrap();
    let out = tracehop(&[
        "answer",
        "verify",
        &text(&array),
        &text(&rest),
        "--keys",
        &text(&t.keys()),
    ]);
    assert_eq!(code(&out), 0, "{}", said(&out));
    assert!(
        said(&out).contains("The path holds, hop by hop; it ends with who made the call."),
        "{}",
        said(&out)
    );
    let out = tracehop(&["answer", "verify", &text(&array)]);
    assert_eq!(code(&out), 1, "without keys nothing holds");
}

#[test]
fn whatever_is_done_to_a_path_is_found() {
    let t = Trace::new(4);
    let replaced = |at: usize, by: Vec<u8>| {
        let mut all = t.all();
        all[at] = by;
        t.verify(&all, &t.keys())
    };
    let visible = |at: usize| String::from_utf8(t.answers[at].json.clone()).unwrap();

    // A visible member.
    let (code_, v) = replaced(
        1,
        visible(1).replace("Provider 3", "Provider 9").into_bytes(),
    );
    assert_eq!(code_, 1);
    assert!(wrong(&v)[1].contains("is not what was signed"), "{v}");

    // A payload: signed anew by its own provider, the later hop goes on from what is not here.
    let mut other = t.hop(2, 4);
    other["comment"] = json!("changed my mind");
    let anew = t.signers[1].sign_value(Kind::Answer, &other).unwrap();
    let (code_, v) = replaced(1, anew.json);
    assert_eq!(code_, 1);
    assert!(
        wrong(&v)
            .iter()
            .any(|w| w.starts_with("HR-3") && w.contains("not here")),
        "{v}"
    );

    // By another provider's key, under its own name and under the right one.
    let foreign = t.signers[3].sign_value(Kind::Answer, &t.hop(2, 4)).unwrap();
    let (code_, v) = replaced(1, foreign.json);
    assert_eq!(code_, 1);
    assert!(
        wrong(&v)
            .iter()
            .any(|w| w.contains(r#"signed with the key of \"P4\""#)),
        "{v}"
    );

    // A key that nobody knows.
    let stranger = new_key(&t.dir.path().join("stranger.pem")).unwrap();
    let unknown = stranger.sign_value(Kind::Answer, &t.hop(2, 4)).unwrap();
    let (code_, v) = replaced(1, unknown.json);
    assert_eq!(code_, 1);
    assert!(
        wrong(&v)
            .iter()
            .any(|w| w.contains("a key that is not known")),
        "{v}"
    );

    // No signature at all, and one by "none".
    let unsigned = t.hop(2, 4);
    let (code_, v) = replaced(1, unsigned.to_string().into_bytes());
    assert_eq!(code_, 1);
    assert!(wrong(&v).iter().any(|w| w.contains("not signed")), "{v}");
    let mut none = unsigned;
    none["jws"] = json!("eyJhbGciOiJub25lIiwidHlwIjoiaG9wLWFuc3dlcitqd3MifQ.e30.");
    let (code_, v) = replaced(1, none.to_string().into_bytes());
    assert_eq!(code_, 1);
    assert!(wrong(&v).iter().any(|w| w.contains("algorithm")), "{v}");

    // A hop that is not there, and what is no answer.
    let mut fewer = t.all();
    fewer.remove(1);
    assert_eq!(t.verify(&fewer, &t.keys()).0, 1);
    let (code_, v) = replaced(3, b"{\"x\":1}".to_vec());
    assert_eq!((code_, v["unreadable"].as_array().unwrap().len()), (1, 1));

    // Keys in one file, each with its provider; a key with the wrong provider is found.
    let set = |owner: &dyn Fn(usize) -> usize| {
        let keys: Vec<Value> = (0..4)
            .map(|i| {
                let mut jwk = t.signers[i].jwk().clone();
                jwk["provider"] = json!(format!("P{}", owner(i)));
                jwk
            })
            .collect();
        let file = t.dir.path().join("all.json");
        fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
        file
    };
    assert_eq!(t.verify(&t.all(), &set(&|i| i + 1)).0, 0);
    assert_eq!(t.verify(&t.all(), &set(&|i| 4 - i)).0, 1);
    fs::write(
        t.dir.path().join("all.json"),
        t.signers[0].jwks().to_string(),
    )
    .unwrap();
    let (code_, v) = t.verify(&t.all()[..1], &t.dir.path().join("all.json"));
    assert_eq!(code_, 1, "a key of nobody: {v}");
}

#[test]
fn a_revision_takes_the_place_of_what_it_replaces() {
    let t = Trace::new(2);
    let mut second = t.hop(2, 2);
    second["revision"] = json!(2);
    second["supersedes"] = second["id"].clone();
    second["id"] = json!(answer_id("HR-2", 2));
    second["comment"] = json!("the caller was warned");
    let by_its_own = t.signers[1].sign_value(Kind::Answer, &second).unwrap();
    let mut all = t.all();
    all.push(by_its_own.json);
    let (code_, v) = t.verify(&all, &t.keys());
    assert_eq!(
        (code_, &v["replaced"][0]),
        (0, &json!(answer_id("HR-2", 1))),
        "{v}"
    );
    // By another provider it is none.
    let by_another = t.signers[0].sign_value(Kind::Answer, &second).unwrap();
    all[2] = by_another.json;
    assert_eq!(t.verify(&all, &t.keys()).0, 1);
}
