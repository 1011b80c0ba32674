//! Whole captures whose calls wait for their certificates.

use std::time::Instant;

use support::{Recorder, tracehop};
use tracehop::call::classify::{Flag, Flags, Notes};
use tracehop::call::record::Begin;
use tracehop::capture::Merge;
use tracehop::daemon::pipeline::{self, FetchLink, PipelineSettings, Report, WhenFull};
use tracehop::engine::park::ParkLimits;
use tracehop::fetch::Outcome;
use tracehop::stir::credential::Credentials;
use tracehop::stir::verify::{Rule, Validation};

use super::*;

fn replay(
    lab: &Lab,
    fetcher: &Fetcher,
    limits: ParkLimits,
    when_full: WhenFull,
    judges: usize,
) -> (Recorder, Report) {
    let mut settings = PipelineSettings::new(&lab.config, Credentials::default(), judges);
    settings.fetch = Some(FetchLink {
        client: fetcher.client(),
        limits,
        when_full,
    });
    let mut source = Merge::open(lab.captures().into_iter().map(|f| (f, 0))).unwrap();
    let mut store = Recorder::default();
    let (report, troubles) =
        pipeline::run_files(&settings, &mut store, &mut source, |_, _| ()).unwrap();
    assert!(troubles.is_empty());
    assert_eq!(report.imbalances(), Vec::<String>::new());
    assert_eq!(report.begins, store.begins.len() as u64);
    (store, report)
}

fn by_uid(store: &Recorder) -> Vec<&Begin> {
    let mut begins: Vec<_> = store.begins.iter().collect();
    begins.sort_by_key(|b| b.uid);
    begins
}

#[test]
fn verdicts_over_https_are_those_of_the_directory() {
    fetched_is_as_from_the_directory(&Lab::new(7, 1_000), Duration::ZERO);
}

#[test]
fn verdicts_do_not_depend_on_how_long_a_server_takes() {
    // The whole file is read meanwhile.
    fetched_is_as_from_the_directory(&Lab::new(7, 1_000), Duration::from_millis(500));
}

#[test]
fn n8_a_capture_of_years_ago_gets_the_verdicts_of_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lab");
    let options = lab::LabOptions {
        base: lab::DEFAULT_BASE.minus(Duration::from_secs(5 * 365 * 86_400)),
        seed: 7,
        calls: 1_000,
        ..lab::LabOptions::new(&out)
    };
    lab::generate(&options).unwrap();
    let config = tracehop_config(&out);
    fetched_is_as_from_the_directory(&Lab { dir, config }, Duration::ZERO);
}

fn tracehop_config(out: &Path) -> tracehop::config::Config {
    tracehop::config::Config::load(&out.join("tracehop.toml")).unwrap()
}

/// All but what is known of earlier verdicts: a call that waits for its certificate teaches later which numbers its neighbour signs.
fn lasting(flags: Flags) -> Flags {
    let lasts = |f: &Flag| *f != Flag::NewSignedNumber;
    flags.iter().filter(lasts).collect()
}

fn fetched_is_as_from_the_directory(lab: &Lab, delay: Duration) {
    let mut directory = Recorder::default();
    lab.replay(&mut directory, 2);
    let ca = WebCa::new();
    let server = serving(delay, &ca, pages(lab));
    let fetcher = start(&settings(&ca, server.at, lab.dir.path()), lab);
    let (fetched, report) = replay(lab, &fetcher, ParkLimits::default(), WhenFull::Wait, 2);
    assert_eq!(fetched.begins.len(), directory.begins.len());
    let (mut same, mut passed) = (0, 0);
    for (a, b) in directory.begins.iter().zip(by_uid(&fetched)) {
        let outcome = |b: &Begin| {
            let v = &b.verdict;
            (
                b.uid,
                v.validation,
                v.decided_by,
                v.failed,
                v.attest,
                lasting(b.flags),
            )
        };
        assert_eq!(outcome(a), outcome(b));
        // What fails before a certificate is needed asks for none (rules S3, N11): then less is known of it.
        if !b.verdict.undetermined.contains(Rule::X2) {
            let flags = lasting(b.flags);
            let taught = |b: &Begin| {
                let mut notes = Notes::default();
                for (flag, note) in b.notes.iter().filter(|(f, _)| flags.contains(*f)) {
                    notes.insert(flag, note);
                }
                Begin {
                    flags,
                    notes,
                    ..b.clone()
                }
            };
            assert_eq!(taught(a), taught(b));
            same += 1;
        }
        passed += usize::from(b.verdict.validation == Validation::Passed);
    }
    assert!(
        passed > 300 && same > 700,
        "{passed} passed, {same} the same"
    );
    let ends = |r: &Recorder| {
        let mut ends: Vec<_> = r
            .ends
            .iter()
            .map(|e| serde_json::to_string(e).unwrap())
            .collect();
        ends.sort();
        ends
    };
    assert_eq!(ends(&directory), ends(&fetched));
    // Each certificate once, however many calls name it.
    assert!(
        server.asked().values().all(|n| *n == 1),
        "{:?}",
        server.asked()
    );
    assert!(report.parked.wanting > 0);
    // And again, with everything at hand: nobody waits but for what is not to be had.
    let (again, _) = replay(lab, &fetcher, ParkLimits::default(), WhenFull::Wait, 3);
    assert_eq!(again.begins.len(), directory.begins.len());
    assert!(
        server.asked().values().all(|n| *n == 1),
        "{:?}",
        server.asked()
    );
}

#[test]
fn n12_a_certificate_renewed_at_the_same_url_is_found_by_the_next_call() {
    let lab = Lab::new(7, 600);
    let mut directory = Recorder::default();
    lab.replay(&mut directory, 2);
    let ca = WebCa::new();
    let all = pages(&lab);
    let names: Vec<String> = hosts(&all).iter().map(|h| (*h).to_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // At first every provider's URL has one and the same certificate: that of somebody else.
    let old = std::fs::read(lab.path("certs/x5u/sp-5678.pem")).unwrap();
    let server = Server::start(ca.tls(&names, |_| ()), {
        let all = all.clone();
        move |asked| match all.get(&asked.place) {
            Some(_) if asked.before == 0 && !asked.place.contains("flawed") => ok(&old),
            Some(page) => ok(page),
            None => respond("404 Not Found", "", b""),
        }
    });
    let mut settings = settings(&ca, server.at, lab.dir.path());
    settings.cache.settled = Duration::ZERO;
    let fetcher = start(&settings, &lab);
    for place in all.keys().filter(|p| !p.contains("flawed")) {
        assert_eq!(
            ask(&fetcher.client(), &format!("https://{place}")),
            Answer::News
        );
    }
    let (fetched, _) = replay(&lab, &fetcher, ParkLimits::default(), WhenFull::Wait, 2);
    for (a, b) in directory.begins.iter().zip(by_uid(&fetched)) {
        // A call that fails anyway asks nobody, and the old certificate adds to its faults: what decides it is the same, but that a
        // diversion which fails by itself breaks its chain before its age counts.
        let of = |b: &Begin| {
            let by = b.verdict.decided_by;
            (
                b.uid,
                b.verdict.validation,
                by.filter(|r| !matches!(r, Rule::V3 | Rule::F4)),
            )
        };
        assert_eq!(of(a), of(b));
    }
    assert!(fetcher.stop().of(Outcome::Renewed) > 3);
}

#[test]
fn with_a_server_that_hangs_calls_are_undetermined_and_the_replay_ends() {
    let lab = Lab::new(8, 400);
    let ca = WebCa::new();
    let pages = pages(&lab);
    let server = Server::start(ca.tls(&hosts(&pages), |_| ()), |_| Act::Hang(Vec::new()));
    let fetcher = start(&settings(&ca, server.at, lab.dir.path()), &lab);
    let limits = ParkLimits {
        wait: Duration::from_secs(2),
        ..ParkLimits::default()
    };
    let began = Instant::now();
    let (store, report) = replay(&lab, &fetcher, limits, WhenFull::Wait, 2);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert!(
        store
            .begins
            .iter()
            .all(|b| b.verdict.validation != Validation::Passed)
    );
    let waited = |why: &str| report.parked.iter().find(|(w, _)| *w == why).unwrap().1;
    assert!(waited("timed_out") > 100, "{:?}", report.parked);
    assert_eq!(waited("certificate"), 0);
    let lacking = store
        .begins
        .iter()
        .filter(|b| b.verdict.undetermined.contains(Rule::X2));
    assert!(lacking.count() as u64 >= report.parked.wanting);
}

#[test]
fn a_room_that_is_full_lets_calls_go_at_once_or_makes_the_file_wait() {
    let lab = Lab::new(9, 400);
    let ca = WebCa::new();
    let slow = serving(Duration::from_millis(100), &ca, pages(&lab));
    let few = ParkLimits {
        calls: 3,
        ..ParkLimits::default()
    };
    let settings = settings(&ca, slow.at, lab.dir.path());
    let fetcher = start(&settings, &lab);
    let (_, report) = replay(&lab, &fetcher, few, WhenFull::GoOn, 2);
    let full = report
        .parked
        .iter()
        .find(|(w, _)| *w == "room_full")
        .unwrap()
        .1;
    assert!(full > 50 && report.parked.most == 3, "{:?}", report.parked);
    fetcher.stop();
    let fetcher = start(&settings, &lab);
    let (store, report) = replay(&lab, &fetcher, few, WhenFull::Wait, 2);
    let full = report
        .parked
        .iter()
        .find(|(w, _)| *w == "room_full")
        .unwrap()
        .1;
    assert_eq!((full, report.parked.most), (0, 3));
    let passed = store
        .begins
        .iter()
        .filter(|b| b.verdict.validation == Validation::Passed);
    assert!(passed.count() > 100);
}

/// A laboratory's configuration without its directory and with `[fetch]`.
fn configure(lab: &Lab, ca: &WebCa, at: SocketAddr, more: &str) -> std::path::PathBuf {
    std::fs::write(lab.path("web-roots.pem"), &ca.pem).unwrap();
    let path = lab.path("fetching.toml");
    let text = std::fs::read_to_string(lab.path("tracehop.toml")).unwrap();
    let without: String = text
        .lines()
        .filter(|l| !l.starts_with("directory"))
        .map(|l| format!("{l}\n"))
        .collect();
    let fetch = format!(
        "[fetch]\ncache = \"cache\"\nallow_private = true\nextra_roots = \"web-roots.pem\"\nconnect_to = \"{at}\"\n{more}\n"
    );
    std::fs::write(&path, format!("{without}\n{fetch}")).unwrap();
    path
}

fn passed(output: &std::process::Output) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let json: serde_json::Value = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(json["imbalances"], serde_json::json!([]));
    let neighbours = json["neighbours"].as_array().unwrap();
    neighbours
        .iter()
        .map(|n| n["validation"]["passed"].as_u64().unwrap())
        .sum()
}

#[test]
fn n14_the_command_fetches_and_after_kill_9_and_offline_the_disk_serves() {
    let lab = Lab::new(10, 300);
    let ca = WebCa::new();
    let all = pages(&lab);
    let names: Vec<String> = hosts(&all).iter().map(|h| (*h).to_owned()).collect();
    // One of the pages never comes, so that the process is still there to be killed.
    let last = all.keys().find(|p| p.contains("granite")).unwrap().clone();
    let server = Server::start(
        ca.tls(
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
            |_| (),
        ),
        move |asked| match all.get(&asked.place) {
            Some(_) if asked.place == last && asked.before == 0 => Act::Hang(Vec::new()),
            Some(page) => ok(page),
            None => respond("404 Not Found", "", b""),
        },
    );
    let config = configure(&lab, &ca, server.at, "");
    let capture = support::text(&lab.captures()[0]);
    let args = [
        "replay",
        &capture,
        "--config",
        config.to_str().unwrap(),
        "--fetch",
        "--json",
        "--again",
    ];
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_tracehop"))
        .args(args)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let index = lab.path("cache/index.jsonl");
    let began = Instant::now();
    let lines = || std::fs::read_to_string(&index).map_or(0, |t| t.lines().count());
    while lines() < 5 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{} lines",
            lines()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = lines();
    let before = server.total();
    let whole = passed(&tracehop(&args));
    assert!(whole > 100);
    // What was kept was not asked for again.
    let again = server.total() - before;
    assert!(
        again + kept - 1 <= server.asked().len() + 2,
        "{again} asked again, {kept} kept"
    );
    drop(server);
    configure(&lab, &ca, "127.0.0.1:9".parse().unwrap(), "offline = true");
    assert_eq!(passed(&tracehop(&args)), whole);
    // Without --fetch nothing of it is used.
    let without: Vec<_> = args.iter().copied().filter(|a| *a != "--fetch").collect();
    assert_eq!(passed(&tracehop(&without)), 0);
}
