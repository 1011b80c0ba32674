//! Commands fed with garbage, and commands whose reader goes away.

use super::*;

/// Runs the binary with octets on standard input.
fn tracehop_fed(arguments: &[&str], input: &[u8]) -> process::Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracehop"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // It may stop reading before the end.
    let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let out = child.wait_with_output().unwrap();
    feed.join().unwrap();
    out
}

#[test]
fn verify_answers_garbage_with_a_message_and_an_exit_code() {
    let lab = Lab::new(42, 400);
    let config = text(&lab.path("tracehop.toml"));
    let mut random = Random(42);
    let noise: Vec<u8> = (0..100_000).map(|_| random.next() as u8).collect();
    let invite = signed_invite(&lab).bytes;
    let half = invite[..invite.len() / 2].to_vec();
    let cases: Vec<(&str, Vec<u8>, i32)> = vec![
        ("nothing", Vec::new(), 65),
        ("blank lines", b"\r\n\r\n\r\n".to_vec(), 65),
        ("a response", b"SIP/2.0 200 OK\r\n\r\n".to_vec(), 65),
        ("noise", noise, 1),
        ("zeros", vec![0; 100_000], 1),
        ("commas", vec![b','; 2 << 20], 1),
        (
            "many values",
            b"a.b.c;info=<https://cert.example.net/a.pem>;alg=ES256,".repeat(20_000),
            1,
        ),
        ("half an INVITE", half, 1),
        (
            "a terminal's controls in a claim",
            {
                let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
                let (jose, claims) = (
                    part(r#"{"x5u":"\u001b[2J","typ":"\u001b[31m","ppt":"shaken"}"#),
                    part(r#"{"attest":"\u001b[2J","orig":{"tn":"\u009b5m"}}"#),
                );
                format!("{jose}.{claims}.AAAA;info=<https://cert.example.net/a.pem>").into_bytes()
            },
            1,
        ),
        ("JSON", br#"{"passport":1}"#.to_vec(), 1),
    ];
    for (what, input, code) in cases {
        for form in [
            &["verify", "--config", &config][..],
            &["verify", "--config", &config, "--json"],
            &["verify", "--config", &config, "--all"],
        ] {
            let begin = Instant::now();
            let out = tracehop_fed(form, &input);
            let said = said(&out);
            assert_eq!(out.status.code(), Some(code), "{what}: {said:.2000}");
            assert!(
                !said.is_empty() && !said.contains("panicked"),
                "{what}: {said:.2000}"
            );
            assert!(
                !said.chars().any(|c| c.is_control() && c != '\n'),
                "{what}: {said:.2000}"
            );
            assert!(said.len() < 200_000, "{what}: {} octets", said.len());
            assert!(
                begin.elapsed() < Duration::from_secs(5),
                "{what}: {:?}",
                begin.elapsed()
            );
        }
    }
}

#[test]
fn trace_answers_garbage_with_a_message_and_an_exit_code() {
    let lab = Lab::new(43, 400);
    let config = text(&lab.path("tracehop.toml"));
    let replay: Vec<String> = lab.captures().iter().map(|c| text(c)).collect();
    let mut arguments = vec!["replay", "--config", &config];
    arguments.extend(replay.iter().map(String::as_str));
    assert_eq!(tracehop(&arguments).status.code(), Some(0));
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    for input in [
        &b""[..],
        b"\xff\xfe",
        b"{}",
        b"[1,2]",
        &deep,
        br#"{"call":{"called":5,"time":{"value":"9999999-99-99"}}}"#,
    ] {
        for form in [
            &["trace", "--request", "-", "--config", &config][..],
            &["trace", "--request", "-", "--config", &config, "--json"],
        ] {
            let out = tracehop_fed(form, input);
            let said = said(&out);
            assert!(out.status.code().is_some_and(|c| c != 101), "{said:.2000}");
            assert!(
                !said.is_empty() && !said.contains("panicked"),
                "{said:.2000}"
            );
        }
    }
}

/// Runs the binary with a standard output that nobody reads, or that can't be written.
fn tracehop_unread(arguments: &[&str], stdout: Stdio) -> process::Output {
    Command::new(env!("CARGO_BIN_EXE_tracehop"))
        .args(arguments)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .output()
        .unwrap()
}

/// A pipe whose reader has gone.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_goes_away_ends_every_command_quietly() {
    let lab = Lab::new(44, 400);
    let config = text(&lab.path("tracehop.toml"));
    let capture = text(&lab.captures()[0]);
    let message = lab.path("invite.sip");
    std::fs::write(&message, signed_invite(&lab).bytes).unwrap();
    let (message, new, other, demo) = (
        text(&message),
        text(&lab.path("new")),
        text(&lab.path("other")),
        text(&lab.path("demo")),
    );
    let commands: Vec<Vec<&str>> = vec![
        vec!["--help"],
        vec!["check", &config],
        vec!["check", &config, "--json"],
        vec!["replay", &capture, "--config", &config, "--again"],
        vec!["replay", &capture, "--config", &config, "--again", "--json"],
        vec!["verify", &message, "--config", &config],
        vec!["verify", &message, "--config", &config, "--json"],
        vec![
            "trace",
            "--case",
            "C-1",
            "--called",
            "+12025550123",
            "--time",
            "2026-11-24T15:00:00Z",
            "--config",
            &config,
        ],
        vec![
            "trace",
            "--case",
            "C-1",
            "--called",
            "+12025550123",
            "--time",
            "2026-11-24T15:00:00Z",
            "--config",
            &config,
            "--json",
        ],
        vec!["lab", &new, "--calls", "400"],
        vec!["lab", &other, "--calls", "400", "--json"],
        vec!["demo", "--dir", &demo],
    ];
    for arguments in &commands {
        let out = tracehop_unread(arguments, gone());
        assert_eq!(out.status.code(), Some(0), "{arguments:?}: {}", said(&out));
        assert_eq!(said(&out), "", "{arguments:?}");
    }
    // What was asked for is done all the same, where it was done before the printing.
    assert!(Path::new(&new).join("truth.jsonl").exists());
    #[cfg(target_os = "linux")]
    for arguments in commands
        .iter()
        .filter(|a| a[0] == "check" || a[0] == "verify")
    {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let out = tracehop_unread(arguments, full.into());
        assert_eq!(out.status.code(), Some(74), "{arguments:?}: {}", said(&out));
        assert!(
            said(&out).contains("standard output"),
            "{arguments:?}: {}",
            said(&out)
        );
    }
}

#[test]
fn odd_numbers_in_a_question_are_refused_or_answered() {
    let lab = Lab::new(46, 400);
    let config = text(&lab.path("tracehop.toml"));
    let capture = text(&lab.captures()[0]);
    assert_eq!(
        tracehop(&["replay", &capture, "--config", &config])
            .status
            .code(),
        Some(0)
    );
    for precision in [
        "-1",
        "nan",
        "inf",
        "-inf",
        "1e300",
        "1e-300",
        "-0.0",
        "99999999999999999999",
    ] {
        for time in [
            "2026-11-24T15:00:00Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1677-09-21T00:12:44Z",
            "2262-04-11T23:47:16Z",
        ] {
            let precision = format!("--precision={precision}");
            let out = tracehop(&[
                "trace",
                "--case",
                "C-1",
                "--called",
                "+12025550123",
                "--time",
                time,
                &precision,
                "--config",
                &config,
            ]);
            assert!(
                out.status.code().is_some_and(|c| c != 101),
                "{precision} {time}: {}",
                said(&out)
            );
            assert!(
                !said(&out).contains("panicked"),
                "{precision} {time}: {}",
                said(&out)
            );
        }
    }
}
