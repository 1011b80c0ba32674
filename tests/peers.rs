//! Independent programs as judges: tshark, openssl, secsipidx, sipp with tcpdump, promtool. `tests/run` installs and runs them;
//! a plain `cargo test` leaves them out.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Lab, text, tracehop};
use tracehop::capture::Merge;
use tracehop::engine::assemble::{AssembleLimits, Assembler};
use tracehop::stir::credential::extensions::ConstraintState;
use tracehop::stir::credential::{Credential, TrustStore, anchors_of_pem};
use tracehop::wire::sip::{HeaderName, Message};

/// Runs a program to its end and gives its output; fails with what it said.
fn run(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; tests/run installs it"));
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Call-ID and number of Identity headers of every INVITE, how often each was seen.
type Invites = BTreeMap<(String, usize), usize>;

/// Every message of the laboratory's captures.
fn messages(lab: &Lab) -> Vec<tracehop::wire::Message> {
    let mut source = Merge::open(lab.captures().into_iter().map(|f| (f, 0))).unwrap();
    let mut assembler = Assembler::new(AssembleLimits::default());
    while let Some(event) = source.next_event().unwrap() {
        event.feed(&mut assembler);
    }
    assembler.finish();
    std::iter::from_fn(|| assembler.poll_message()).collect()
}

fn our_invites(lab: &Lab) -> Invites {
    let mut out = Invites::new();
    for m in messages(lab) {
        let Ok(sip) = Message::scan(&m.bytes) else {
            continue;
        };
        if m.cut.is_none() && sip.start.is_method("INVITE") {
            let call_id = sip.headers.first(HeaderName::CallId).unwrap_or_default();
            let identities = sip.headers.all(HeaderName::Identity).count();
            let key = (String::from_utf8_lossy(call_id).into_owned(), identities);
            *out.entry(key).or_default() += 1;
        }
    }
    out
}

#[test]
#[ignore = "needs tshark"]
fn peer_tshark_sees_the_same_invites() {
    let lab = Lab::new(3, 400);
    let ours = our_invites(&lab);
    let mut theirs = Invites::new();
    for file in lab.captures() {
        let out = run(
            "tshark",
            &[
                "-r",
                &text(&file),
                "-o",
                "tcp.reassemble_out_of_order:TRUE",
                "-Y",
                "sip.Method == \"INVITE\"",
                "-T",
                "fields",
                "-E",
                "occurrence=a",
                "-E",
                "aggregator=|",
                "-E",
                "separator=;",
                "-e",
                "sip.Method",
                "-e",
                "sip.Call-ID",
                "-e",
                "sip.Identity",
            ],
        );
        for line in out.lines().filter(|l| !l.is_empty()) {
            let mut fields = line.splitn(3, ';');
            // Several messages may share a segment: their methods and Call-IDs stand joined.
            let methods: Vec<&str> = fields.next().unwrap().split('|').collect();
            let call_ids: Vec<&str> = fields.next().unwrap().split('|').collect();
            let identity = fields.next().unwrap_or("");
            let identities = identity.split('|').filter(|v| !v.is_empty()).count();
            if methods.len() == 1 && call_ids.len() == 1 {
                *theirs
                    .entry((call_ids[0].to_owned(), identities))
                    .or_default() += 1;
            }
        }
    }
    assert!(theirs.len() > 250, "{}", theirs.len());
    let odd: Vec<_> = theirs
        .iter()
        .filter(|(k, n)| ours.get(*k) != Some(n))
        .collect();
    // tshark does not put every message of a shared segment or a stream with gaps on a line of its own; where it names one, we agree.
    assert!(
        odd.len() * 100 <= theirs.len(),
        "{} of {}: {odd:?}",
        odd.len(),
        theirs.len()
    );
}

/// Root, issuing CA and one provider's leaf with a TNAuthList, all made by openssl.
fn openssl_pki(dir: &Path) {
    let config = "[req]\ndistinguished_name = dn\n[dn]\n[ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n\
                  [sp]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\ncertificatePolicies = 2.16.840.1.114569.1.1.3\n\
                  1.3.6.1.5.5.7.1.26 = ASN1:SEQUENCE:tnauth\n[tnauth]\ne1 = EXP:0,IA5STRING:1234\n";
    fs::write(dir.join("sti.cnf"), config).unwrap();
    let f = |name: &str| text(&dir.join(name));
    let make = |name: &str, extensions: &str, subject: &str, issuer: Option<&str>| {
        run(
            "openssl",
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
                &f(&format!("{name}.key")),
            ],
        );
        let mut a = vec![
            "req".to_owned(),
            "-new".into(),
            "-x509".into(),
            "-config".into(),
            f("sti.cnf"),
            "-extensions".into(),
            extensions.into(),
            "-utf8".into(),
            "-subj".into(),
            subject.into(),
            "-key".into(),
            f(&format!("{name}.key")),
            "-days".into(),
            "30".into(),
            "-out".into(),
            f(&format!("{name}.pem")),
        ];
        if let Some(issuer) = issuer {
            a.extend([
                "-CA".into(),
                f(&format!("{issuer}.pem")),
                "-CAkey".into(),
                f(&format!("{issuer}.key")),
            ]);
        }
        run("openssl", &a.iter().map(String::as_str).collect::<Vec<_>>());
    };
    make("root", "ca", "/C=US/O=Example STI-CA/CN=Example Root", None);
    make(
        "inter",
        "ca",
        "/C=US/O=Example STI-CA/CN=Example Issuing CA",
        Some("root"),
    );
    make(
        "sp1",
        "sp",
        "/C=US/O=Carrier 1234/CN=SHAKEN 1234",
        Some("inter"),
    );
    let chain = fs::read_to_string(dir.join("sp1.pem")).unwrap()
        + &fs::read_to_string(dir.join("inter.pem")).unwrap();
    fs::create_dir_all(dir.join("x5u")).unwrap();
    fs::write(dir.join("x5u/sp1.pem"), chain).unwrap();
    fs::write(
        dir.join("x5u/index.toml"),
        "\"https://cert.example.net/sp1.pem\" = \"sp1.pem\"\n",
    )
    .unwrap();
    fs::write(
        dir.join("tracehop.toml"),
        "[provider]\nname = \"Example Voice\"\n[peers]\nfile = \"peers.toml\"\n[credentials]\ndirectory = \"x5u\"\nanchors = \"root.pem\"\n",
    )
    .unwrap();
    fs::write(
        dir.join("peers.toml"),
        "[[peer]]\nid = \"own\"\nname = \"Example Voice\"\nkind = \"own\"\n[[rule]]\nname = \"own\"\npeer = \"own\"\nnetworks = [\"127.0.0.1\"]\n",
    )
    .unwrap();
}

#[test]
#[ignore = "needs openssl and secsipidx"]
fn peer_secsipidx_signs_under_an_openssl_pki_and_we_verify() {
    let dir = tempfile::tempdir().unwrap();
    openssl_pki(dir.path());
    let key = text(&dir.path().join("sp1.key"));
    let identity = run(
        "secsipidx",
        &[
            "-sign-full",
            "-orig-tn",
            "12025550100",
            "-dest-tn",
            "12025550123",
            "-attest",
            "A",
            "-x5u",
            "https://cert.example.net/sp1.pem",
            "-k",
            &key,
        ],
    );
    let verify = |from: &str, identity: &str| -> Value {
        let message = format!(
            "INVITE sip:+12025550123@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK1\r\nFrom: <sip:{from}@example.net>;tag=1\r\n\
             To: <sip:+12025550123@example.net>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nIdentity: {}\r\nContent-Length: 0\r\n\r\n",
            identity.trim()
        );
        let file = dir.path().join("invite.sip");
        fs::write(&file, message).unwrap();
        let out = tracehop(&[
            "verify",
            &text(&file),
            "--json",
            "--config",
            &text(&dir.path().join("tracehop.toml")),
        ]);
        serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)))
    };
    let good = verify("+12025550100", &identity);
    assert_eq!(good["call"]["validation"], "passed", "{good:#}");
    assert_eq!(good["call"]["attest"], "A");
    let other = verify("+12025550101", &identity);
    assert_eq!(other["call"]["decided_by"], "O1", "{other:#}");
    // One letter in the middle of the signature changed.
    let (token, parameters) = identity.split_once(';').unwrap();
    let at = token.rfind('.').unwrap() + 20;
    let letter = if &token[at..=at] == "A" { "B" } else { "A" };
    let broken = format!("{}{letter}{};{parameters}", &token[..at], &token[at + 1..]);
    assert_eq!(verify("+12025550100", &broken)["call"]["decided_by"], "S2");
}

#[test]
#[ignore = "needs secsipidx and openssl"]
fn peer_secsipidx_verifies_what_the_lab_signed() {
    let lab = Lab::new(5, 400);
    let index = fs::read_to_string(lab.path("certs/x5u/index.toml")).unwrap();
    let files: BTreeMap<String, String> = toml::from_str(&index).unwrap();
    let truth = fs::read_to_string(lab.path("truth.jsonl")).unwrap();
    let valid: Vec<String> = truth
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        .filter(|t| t["validation"] == "passed" && t["leg"] == "ingress")
        .map(|t| t["call_id"].as_str().unwrap().to_owned())
        .collect();
    let mut checked = 0;
    for m in messages(&lab) {
        let Ok(sip) = Message::scan(&m.bytes) else {
            continue;
        };
        let call_id = sip.headers.first(HeaderName::CallId).unwrap_or_default();
        let call_id = String::from_utf8_lossy(call_id).into_owned();
        let values: Vec<_> = sip.headers.all(HeaderName::Identity).collect();
        let [value] = values[..] else { continue };
        let value = String::from_utf8_lossy(value).replace(['\r', '\n', ' ', '\t'], "");
        let plain =
            sip.is_initial_invite() && valid.contains(&call_id) && value.contains("ppt=shaken");
        if !plain || checked == 20 {
            continue;
        }
        let url = value.split(['<', '>']).nth(1).unwrap();
        // DER where PEM is meant: we read it, others need not.
        if url.contains("bare-der") {
            continue;
        }
        let pem = lab.path("certs/x5u").join(&files[url]);
        let id = lab.path("id.txt");
        fs::write(&id, &value).unwrap();
        run(
            "secsipidx",
            &[
                "-check",
                "-fidentity",
                &text(&id),
                "-fpubkey",
                &text(&pem),
                "-expire",
                "2000000000",
            ],
        );
        checked += 1;
    }
    assert!(checked >= 20, "{checked}");
}

#[test]
#[ignore = "needs openssl"]
fn peer_openssl_reads_the_labs_certificates_and_crl() {
    let lab = Lab::new(5, 400);
    let crl = run(
        "openssl",
        &[
            "crl",
            "-inform",
            "DER",
            "-in",
            &text(&lab.path("certs/crl.der")),
            "-noout",
            "-text",
        ],
    );
    assert!(crl.contains("Indirect CRL"), "{crl}");
    assert!(crl.contains("X509v3 Certificate Issuer"), "{crl}");
    run(
        "openssl",
        &[
            "verify",
            "-no_check_time",
            "-CAfile",
            &text(&lab.path("certs/sti-pa-root.pem")),
            &text(&lab.path("certs/crl-signer.pem")),
        ],
    );
    for entry in fs::read_dir(lab.path("certs/x5u")).unwrap() {
        let path = entry.unwrap().path();
        // One file is garbage on purpose.
        if path.extension().is_some_and(|e| e == "pem") && !path.ends_with("garbage.pem") {
            run("openssl", &["x509", "-in", &text(&path), "-noout", "-text"]);
        }
    }
}

/// An authority of each kind of key with a leaf that has claim constraints, all made by openssl and read by us; and our P-521 authority
/// and our delegate, checked by openssl.
#[test]
#[ignore = "needs openssl"]
fn peer_openssl_and_we_agree_on_authorities_of_every_kind_of_key() {
    let dir = tempfile::tempdir().unwrap();
    let f = |name: &str| text(&dir.path().join(name));
    let config = "[req]\ndistinguished_name = dn\n[dn]\n[ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
                  [sp]\nkeyUsage = critical,digitalSignature\n1.3.6.1.5.5.7.1.26 = ASN1:SEQUENCE:tnauth\n\
                  1.3.6.1.5.5.7.1.33 = ASN1:SEQUENCE:limits\n\
                  [tnauth]\ncode = EXP:0,IA5STRING:1234\nrange = EXP:1,SEQUENCE:range\n\
                  [range]\nstart = IA5STRING:12025550100\ncount = INTEGER:50\n\
                  [limits]\nm = EXP:0,SEQUENCE:names\np = EXP:1,SEQUENCE:permitted\nx = EXP:2,SEQUENCE:excluded\n\
                  [names]\nn = IA5STRING:rcd\n[permitted]\np = SEQUENCE:attest\n\
                  [attest]\nn = IA5STRING:attest\nv = SEQUENCE:values\n[values]\na = UTF8:A\nb = UTF8:B\n\
                  [excluded]\nn = IA5STRING:crn\n";
    fs::write(dir.path().join("sti.cnf"), config).unwrap();
    let make = |out: &str, more: &[&str]| {
        let subject = format!("/C=US/O=Example/CN={out}");
        let (conf, pem) = (f("sti.cnf"), f(&format!("{out}.pem")));
        let mut all = vec!["req", "-new", "-x509", "-config", &conf, "-subj", &subject];
        all.extend(["-days", "30", "-out", &pem]);
        all.extend(more);
        run("openssl", &all);
        fs::read(&pem).unwrap()
    };
    let key = |name: &str, kind: &[&str]| {
        let out = f(name);
        let mut all = vec!["genpkey", "-out", &out];
        all.extend(kind);
        run("openssl", &all);
        out
    };
    let curve = |name| ["-algorithm", "EC", "-pkeyopt", name];
    let leaf_key = key("leaf.key", &curve("ec_paramgen_curve:P-256"));
    for (kind, arguments) in [
        ("P-256", &curve("ec_paramgen_curve:P-256")[..]),
        ("P-384", &curve("ec_paramgen_curve:P-384")),
        ("P-521", &curve("ec_paramgen_curve:P-521")),
        (
            "RSA",
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        ),
    ] {
        let ca_key = key("ca.key", arguments);
        for digest in ["-sha256", "-sha384", "-sha512"] {
            if (kind, digest) == ("P-384", "-sha512") {
                continue;
            }
            let root = make("root", &["-extensions", "ca", "-key", &ca_key, digest]);
            let issuer = ["-CA", &f("root.pem"), "-CAkey", &ca_key];
            let mut more = vec!["-extensions", "sp", "-key", &leaf_key, digest];
            more.extend(issuer);
            let leaf = make("leaf", &more);
            let (anchors, skipped) = anchors_of_pem(&root);
            assert!(skipped.is_empty(), "{kind}: {skipped:?}");
            let credential = Credential::prepare(&leaf, &TrustStore::new(anchors, None));
            let chain = credential.chain_at(None, tracehop::host::clock::now());
            let seen: Vec<_> = chain.iter().map(|l| (l.key, &*l.authority)).collect();
            let speaks_for = "code 1234, 50 numbers from 12025550100";
            assert_eq!(seen, [("P-256", speaks_for), (kind, "")], "{kind} {digest}");
            let ConstraintState::Read(limits) = &credential.leaf().unwrap().extensions.constraints
            else {
                panic!("openssl's constraints can't be read")
            };
            assert_eq!(limits.must_include, ["rcd".into()]);
            assert_eq!(limits.permitted[0].values, ["A".into(), "B".into()]);
            assert_eq!(limits.must_exclude, ["crn".into()]);
        }
    }
    let lab = Lab::new(5, 400);
    for file in ["p521-authority.pem", "not-encompassed.pem"] {
        let path = text(&lab.path("certs/x5u").join(file));
        let anchors = text(&lab.path("certs/anchors.pem"));
        let all = [
            "verify",
            "-no_check_time",
            "-CAfile",
            &anchors,
            "-untrusted",
            &path,
            &path,
        ];
        run("openssl", &all);
    }
}

/// A program that ends with the test.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}; tests/run installs it"));
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs sipp, tcpdump and root"]
fn peer_sipp_calls_are_captured_and_replayed() {
    for (transport, port) in [("u1", 15_060u16), ("t1", 15_070)] {
        let dir = tempfile::tempdir().unwrap();
        openssl_pki(dir.path());
        let pcap = dir.path().join("sipp.pcap");
        let (uas, uac) = (port.to_string(), (port + 1).to_string());
        let capture = Running::start(
            "tcpdump",
            &[
                "-i",
                "lo",
                "-U",
                "-s",
                "0",
                "-w",
                &text(&pcap),
                "-Z",
                "root",
                "port",
                &uas,
            ],
        );
        let begin = Instant::now();
        while fs::metadata(&pcap).map_or(0, |m| m.len()) < 24 {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "tcpdump did not begin"
            );
            sleep(Duration::from_millis(50));
        }
        let _uas = Running::start(
            "sipp",
            &[
                "-sn",
                "uas",
                "-i",
                "127.0.0.1",
                "-p",
                &uas,
                "-t",
                transport,
                "-nostdin",
            ],
        );
        sleep(Duration::from_millis(500));
        run(
            "sipp",
            &[
                &format!("127.0.0.1:{uas}"),
                "-sn",
                "uac",
                "-s",
                "+12025550123",
                "-i",
                "127.0.0.1",
                "-p",
                &uac,
                "-t",
                transport,
                "-r",
                "50",
                "-m",
                "40",
                "-d",
                "300",
                "-timeout",
                "30",
                "-nostdin",
            ],
        );
        sleep(Duration::from_millis(500));
        drop(capture);
        let config = text(&dir.path().join("tracehop.toml"));
        let out = tracehop(&["replay", &text(&pcap), "--config", &config, "--json"]);
        let report: Value = serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
        assert_eq!(report["records"], 40, "{transport}: {report:#}");
        assert_eq!(report["messages"]["attempt"], 40);
        // INVITE, 180, 200, ACK, BYE, 200: nothing is lost on the way.
        assert!(
            report["messages"]["response"].as_u64().unwrap() >= 120,
            "{report:#}"
        );
        assert!(
            report["messages"]["dialog_request"].as_u64().unwrap() >= 80,
            "{report:#}"
        );
    }
}

#[test]
#[ignore = "needs promtool"]
fn peer_promtool_accepts_the_metrics() {
    let lab = Lab::new(5, 400);
    let metrics = lab.path("metrics.prom");
    let mut arguments = vec!["replay".to_owned()];
    arguments.extend(lab.captures().iter().map(|c| text(c)));
    let config = text(&lab.path("tracehop.toml"));
    arguments.extend([
        "--config".into(),
        config,
        "--metrics".into(),
        text(&metrics),
        "--json".into(),
    ]);
    let out = tracehop(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; tests/run installs it");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(&fs::read(&metrics).unwrap())
        .unwrap();
    let out = promtool.wait_with_output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}
