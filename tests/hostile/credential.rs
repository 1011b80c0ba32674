//! Broken certificates and indexes.

use super::*;

/// The lab's folder of certificates with one more file, under a URL of its own.
fn with_certificate(lab: &Lab, n: usize, content: &[u8]) -> String {
    let folder = lab.config.credentials.directory.clone().unwrap();
    let (url, name) = (
        format!("https://cert.example.net/broken-{n}.pem"),
        format!("broken-{n}.pem"),
    );
    std::fs::write(folder.join(&name), content).unwrap();
    let index = folder.join("index.toml");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::write(index, format!("{text}\n\"{url}\" = \"{name}\"\n")).unwrap();
    url
}

#[test]
fn broken_certificates_fail_the_calls_that_name_them_and_are_noted() {
    let lab = Lab::new(40, 400);
    let invite = signed_invite(&lab);
    let folder = lab.config.credentials.directory.clone().unwrap();
    let good: Vec<u8> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "pem"))
        .map(|p| std::fs::read(p).unwrap())
        .find(|b| b.starts_with(b"-----BEGIN CERTIFICATE-----"))
        .unwrap();
    let mut garbage = vec![0; 5_000];
    let mut random = Random(40);
    garbage.fill_with(|| random.next() as u8);
    let mut der = URL_SAFE_NO_PAD.decode("MIIB").unwrap();
    der.extend(&garbage);
    let contents: Vec<Vec<u8>> = vec![
        Vec::new(),
        garbage.clone(),
        der,
        good[..good.len() / 2].to_vec(),
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_vec(),
        good.repeat(1_000),
        vec![b'-'; 10 << 20],
        // Constructed DER, nested without end.
        [0x30, 0x80].repeat(2_000),
    ];
    let urls: Vec<String> = contents
        .iter()
        .enumerate()
        .map(|(n, c)| with_certificate(&lab, n, c))
        .collect();
    let begin = Instant::now();
    let loaded = directory::load(&lab.config.credentials, lab::DEFAULT_BASE).unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    for n in 0..contents.len() {
        let name = format!("broken-{n}.pem");
        assert!(
            loaded.notes.iter().any(|note| note.contains(&name)),
            "{name} is not in {:#?}",
            loaded.notes
        );
    }
    // A token that names one of them fails for that.
    let (head, identity, body) = taken_apart(&invite.bytes);
    let (token, params) = identity.split_once(';').unwrap();
    let (jose, rest) = token.split_once('.').unwrap();
    let jose: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jose).unwrap()).unwrap();
    let mut judge = Judge::new(
        Arc::new(loaded.credentials),
        settings(&lab.config, 1).verify,
    );
    for url in urls {
        let mut jose = jose.clone();
        let x5u = jose["x5u"].as_str().unwrap().to_owned();
        jose["x5u"] = url.clone().into();
        let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(jose.to_string()));
        let bytes = format!(
            "{head}Identity: {token};{}\r\n\r\n{body}",
            params.replace(&x5u, &url)
        )
        .into_bytes();
        let Ok(Facts::Invite(facts)) = judge
            .judge(Message {
                bytes,
                ..invite.clone()
            })
            .facts
        else {
            panic!("{url}")
        };
        assert_eq!(facts.verdict.decided_by, Some(Rule::X3), "{url}");
    }
    let out = tracehop(&["check", &text(&lab.path("tracehop.toml"))]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    assert!(said(&out).contains("broken-3.pem"), "{}", said(&out));
}

#[test]
fn a_broken_index_of_certificates_names_its_file() {
    let lab = Lab::new(41, 400);
    let index = lab
        .config
        .credentials
        .directory
        .clone()
        .unwrap()
        .join("index.toml");
    let mut random = Random(41);
    let noise: Vec<u8> = (0..3_000).map(|_| random.next() as u8).collect();
    for content in [
        &b"= = ="[..],
        b"\"https://cert.example.net/a.pem\" = 5\n",
        &noise,
        b"[a]\nb = \"c\"\n",
    ] {
        std::fs::write(&index, content).unwrap();
        let error = directory::load(&lab.config.credentials, lab::DEFAULT_BASE)
            .unwrap_err()
            .to_string();
        assert!(error.contains("index.toml"), "{error}");
        let out = tracehop(&["check", &text(&lab.path("tracehop.toml"))]);
        assert_eq!(out.status.code(), Some(78), "{}", said(&out));
        assert!(said(&out).contains("index.toml"), "{}", said(&out));
    }
}
