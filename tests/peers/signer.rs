//! Independent signers and verifiers: openssl on its own, secsipidx, and PyJWT over Python's cryptography.

use super::*;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The Python that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";

/// Judges an INVITE from a number to 12025550123 with an Identity value under the PKI of [`openssl_pki`].
fn verify(dir: &Path, from: &str, identity: &str) -> Value {
    let message = format!(
        "INVITE sip:+12025550123@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK1\r\nFrom: <sip:{from}@example.net>;tag=1\r\n\
         To: <sip:+12025550123@example.net>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nIdentity: {}\r\nContent-Length: 0\r\n\r\n",
        identity.trim()
    );
    let file = dir.join("invite.sip");
    fs::write(&file, message).unwrap();
    let config = text(&dir.join("tracehop.toml"));
    let out = tracehop(&["verify", &text(&file), "--json", "--config", &config]);
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// Root, issuing CA and one provider's leaf with a TNAuthList, all made by openssl.
pub fn openssl_pki(dir: &Path) {
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
    let verify = |from: &str, identity: &str| verify(dir.path(), from, identity);
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
    let id = text(&lab.path("id.txt"));
    for (value, pem) in signed_by_the_lab(&lab, 20) {
        fs::write(&id, &value).unwrap();
        run(
            "secsipidx",
            &[
                "-check",
                "-fidentity",
                &id,
                "-fpubkey",
                &pem,
                "-expire",
                "2000000000",
            ],
        );
    }
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

const URL: &str = "https://cert.example.net/sp1.pem";

fn jose_header() -> String {
    format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{URL}"}}"#)
}

/// Claims as nobody else's code writes them: another order, blanks, two called numbers, a claim that nobody knows.
fn claims() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    format!(
        r#"{{ "origid": "123e4567-e89b-12d3-a456-426655440000", "iat": {}, "orig": {{"tn": "12025550100"}}, "x": [1, {{"y": null}}], "dest": {{"tn": ["12025550199", "12025550123"]}}, "attest": "B" }}"#,
        now.as_secs()
    )
}

fn parameters() -> String {
    format!(";info=<{URL}>;alg=ES256;ppt=shaken")
}

/// r and s of an ECDSA signature in DER, 32 octets each.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let len = usize::from(rest[1]);
        let number: Vec<u8> = rest[2..2 + len]
            .iter()
            .copied()
            .skip_while(|b| *b == 0)
            .collect();
        out.extend(std::iter::repeat_n(0, 32 - number.len()).chain(number));
        rest = &rest[2 + len..];
    }
    out
}

/// Undoes [`fixed`].
fn der(fixed: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for number in fixed.chunks(32) {
        let mut number: Vec<u8> = number.iter().copied().skip_while(|b| *b == 0).collect();
        if number.first().is_none_or(|b| b & 0x80 != 0) {
            number.insert(0, 0);
        }
        body.extend([2, number.len() as u8]);
        body.extend(number);
    }
    [vec![0x30, body.len() as u8], body].concat()
}

#[test]
#[ignore = "needs openssl"]
fn peer_openssl_signs_and_we_verify() {
    let dir = tempfile::tempdir().unwrap();
    openssl_pki(dir.path());
    let f = |name: &str| text(&dir.path().join(name));
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(jose_header()),
        URL_SAFE_NO_PAD.encode(claims())
    );
    fs::write(dir.path().join("input"), &input).unwrap();
    let (key, signature) = (f("sp1.key"), f("signature"));
    run(
        "openssl",
        &[
            "dgst",
            "-sha256",
            "-sign",
            &key,
            "-out",
            &signature,
            &f("input"),
        ],
    );
    let signature = fs::read(signature).unwrap();
    let identity = |signature: &[u8]| {
        format!(
            "{input}.{}{}",
            URL_SAFE_NO_PAD.encode(signature),
            parameters()
        )
    };
    let good = verify(dir.path(), "+12025550100", &identity(&fixed(&signature)));
    assert_eq!(good["call"]["validation"], "passed", "{good:#}");
    assert_eq!(good["call"]["attest"], "B");
    // openssl's own form is DER: a known mistake of signers.
    let as_der = verify(dir.path(), "+12025550100", &identity(&signature));
    assert_eq!(as_der["call"]["decided_by"], "S1", "{as_der:#}");
}

/// Valid Identity values of the lab with the PEM file of their signer.
fn signed_by_the_lab(lab: &Lab, most: usize) -> Vec<(String, String)> {
    let index = fs::read_to_string(lab.path("certs/x5u/index.toml")).unwrap();
    let files: BTreeMap<String, String> = toml::from_str(&index).unwrap();
    let truth = fs::read_to_string(lab.path("truth.jsonl")).unwrap();
    let valid: Vec<String> = truth
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        .filter(|t| t["validation"] == "passed" && t["leg"] == "ingress")
        .map(|t| t["call_id"].as_str().unwrap().to_owned())
        .collect();
    let mut out = Vec::new();
    for m in messages(lab) {
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
        // Two in one header, of which others read the first alone.
        let plain = plain && !value.contains(',');
        if !plain {
            continue;
        }
        let url = value.split(['<', '>']).nth(1).unwrap();
        // DER where PEM is meant: we read it, others need not.
        if url.contains("bare-der") {
            continue;
        }
        let pem = lab.path("certs/x5u").join(&files[url]);
        out.push((value, text(&pem)));
        if out.len() == most {
            break;
        }
    }
    assert_eq!(out.len(), most);
    out
}

#[test]
#[ignore = "needs openssl"]
fn peer_openssl_verifies_what_the_lab_signed() {
    let lab = Lab::new(5, 400);
    let f = |name: &str| text(&lab.path(name));
    for (value, pem) in signed_by_the_lab(&lab, 20) {
        let token = value.split(';').next().unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        fs::write(f("input"), input).unwrap();
        fs::write(
            f("signature"),
            der(&URL_SAFE_NO_PAD.decode(signature).unwrap()),
        )
        .unwrap();
        let key = run("openssl", &["x509", "-in", &pem, "-noout", "-pubkey"]);
        fs::write(f("key.pem"), key).unwrap();
        run(
            "openssl",
            &[
                "dgst",
                "-sha256",
                "-verify",
                &f("key.pem"),
                "-signature",
                &f("signature"),
                &f("input"),
            ],
        );
    }
}

#[test]
#[ignore = "needs python3-jwt"]
fn peer_pyjwt_signs_and_we_verify() {
    let dir = tempfile::tempdir().unwrap();
    openssl_pki(dir.path());
    let key = text(&dir.path().join("sp1.key"));
    let program = "import json, jwt, sys; print(jwt.encode(json.loads(sys.argv[1]), open(sys.argv[2]).read(), algorithm='ES256', headers=json.loads(sys.argv[3])))";
    let token = run(PYTHON, &["-c", program, &claims(), &key, &jose_header()]);
    let identity = format!("{}{}", token.trim(), parameters());
    let good = verify(dir.path(), "+12025550100", &identity);
    assert_eq!(good["call"]["validation"], "passed", "{good:#}");
    let other = verify(dir.path(), "+12025550101", &identity);
    assert_eq!(other["call"]["decided_by"], "O1", "{other:#}");
}

#[test]
#[ignore = "needs python3-jwt"]
fn peer_pyjwt_verifies_what_the_lab_signed() {
    let lab = Lab::new(6, 400);
    let program = "import jwt, sys\nfrom cryptography import x509\nkey = x509.load_pem_x509_certificate(open(sys.argv[2], 'rb').read()).public_key()\n\
                   print(jwt.decode(sys.argv[1], key, algorithms=['ES256'], options={'verify_iat': False})['attest'])";
    for (value, pem) in signed_by_the_lab(&lab, 20) {
        let token = value.split(';').next().unwrap();
        let attest = run(PYTHON, &["-c", program, token, &pem]);
        assert!(["A", "B", "C"].contains(&attest.trim()), "{attest}");
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
