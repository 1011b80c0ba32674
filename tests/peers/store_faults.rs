//! The store on a real ext4 of its own: the power is cut in mid-write, the disk is full, the file system turns read-only. A writing process says what is
//! committed, line by line; what it said must be there afterwards, field by field, and once.
//!
//! The file system lies in a file on a loop device. The power cut is `EXT4_IOC_SHUTDOWN` without flushing the journal: what was not synced is gone, as after
//! a real one.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use tracehop::base::Timestamp;
use tracehop::base::digest::IdDigest;
use tracehop::call::record::{
    Begin, Clock, ClockSource, Direction, End, Ids, Numbers, State, StoredCall, Verdict,
};
use tracehop::number::Tn;
use tracehop::store::embedded::{CheckOptions, EmbeddedStore, StoreSettings, check};
use tracehop::store::{Lookup, Store};
use tracehop::wire::{Provenance, Transport};

use super::run;
use super::support::{text, tracehop};

/// Where the child writes.
const CHILD: &str = "TRACEHOP_TEST_STORE_ON_DISK";
const NAME: &str = "store_faults::peer_ext4_child";
const CALLED: &str = "12025550123";
/// Power cuts, each on a file system of its own.
const CUTS: u64 = 6;

fn number() -> Tn {
    Tn::from_canonical(CALLED.as_bytes()).unwrap()
}

/// The record of a uid.
fn made(uid: u64) -> Begin {
    Begin {
        uid,
        at: Timestamp::from_secs(1_795_521_600 + i64::try_from(uid).unwrap() * 2),
        clock: Clock {
            source: ClockSource::Synchronised,
            error_ns: 1_000,
        },
        sensor: "edge1".into(),
        provenance: Provenance::Wire,
        config: 7,
        direction: Direction::Ingress,
        peer_rule: None,
        attribution: Default::default(),
        pair: None,
        peer: Some("up".into()),
        transport: Transport::Udp,
        source: "198.51.100.1:5060".parse().unwrap(),
        destination: "192.0.2.1:5060".parse().unwrap(),
        vlan: None,
        trunk: None,
        numbers: Numbers {
            called: Some(number()),
            from: Tn::from_canonical(b"13035550147"),
            ..Numbers::default()
        },
        called_text: Some(format!("sip:{uid}@example.net").into()),
        ids: Ids {
            call_id: IdDigest(uid.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict::default(),
        verstat: None,
        flags: Default::default(),
        notes: Default::default(),
    }
}

fn made_end(uid: u64) -> End {
    let begin = made(uid);
    End {
        uid,
        begun_at: begin.at,
        called: begin.numbers.called,
        state: State::Answered,
        code: 200,
        cause: Some(16),
        stir_cause: None,
        disagrees: false,
        ringing_ms: Some(1_500),
        final_ms: Some(6_000),
        duration_ms: u32::try_from(uid).ok(),
        released_by: None,
        one_way: false,
        retransmissions: 0,
        forks: 0,
        auth_retries: 0,
    }
}

fn settings() -> StoreSettings {
    StoreSettings {
        segment_records: 2_000,
        ..StoreSettings::default()
    }
}

/// Not a test: what the others start. It writes until it is killed or the disk refuses, says what is committed, and how it ended.
#[test]
#[ignore = "the writing process of the other tests"]
fn peer_ext4_child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let mut out = std::io::stdout();
    let mut store = EmbeddedStore::open(Path::new(&dir), settings()).unwrap();
    let mut uid = store.last_uid();
    // The last end may have been lost with its begin kept: a seal commits in between the two.
    for late in uid.saturating_sub(21)..=uid.saturating_sub(20) {
        if late > 0 {
            store.append_end(&made_end(late)).unwrap();
        }
    }
    let trouble = loop {
        let wrote = (|| {
            for _ in 0..50 {
                store.append_begin(&made(uid + 1))?;
                uid += 1;
                if uid > 20 {
                    store.append_end(&made_end(uid - 20))?;
                }
            }
            store.commit()
        })();
        match wrote {
            Ok(()) => writeln!(out, "acknowledged {uid}").unwrap(),
            Err(e) => break e,
        }
        out.flush().unwrap();
    };
    let after = store.append_begin(&made(uid + 1)).is_err();
    writeln!(out, "refused {after} {trouble}").unwrap();
    out.flush().unwrap();
    // Readers go on.
    let found = store.by_called(number(), Timestamp::MIN, Timestamp::MAX);
    writeln!(out, "found {}", found.map_or(0, |f| f.len())).unwrap();
    out.flush().unwrap();
    sleep(Duration::from_secs(60));
}

/// A writing process. What it says is noted as it comes.
struct Writer {
    child: Child,
    said: Arc<Mutex<Said>>,
    listener: JoinHandle<()>,
}

#[derive(Clone, Debug, Default)]
struct Said {
    acknowledged: u64,
    refused: Option<String>,
    found: u64,
    ended: bool,
}

impl Writer {
    fn start(store: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                NAME,
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD, store)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Said::default()));
        let noted = said.clone();
        let listener = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut said = noted.lock().unwrap();
                if let Some(uid) = line.strip_prefix("acknowledged ") {
                    said.acknowledged = uid.parse().unwrap();
                } else if let Some(why) = line.strip_prefix("refused ") {
                    said.refused = Some(why.to_owned());
                } else if let Some(found) = line.strip_prefix("found ") {
                    said.found = found.parse().unwrap();
                }
            }
            noted.lock().unwrap().ended = true;
        });
        Self {
            child,
            said,
            listener,
        }
    }

    fn said(&self) -> Said {
        self.said.lock().unwrap().clone()
    }

    fn wait_until(&self, mut done: impl FnMut(&Said) -> bool) {
        let begin = Instant::now();
        loop {
            let said = self.said();
            if done(&said) {
                return;
            }
            assert!(!said.ended, "the writer has died by itself: {said:?}");
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "nothing happens: {said:?}"
            );
            sleep(Duration::from_millis(1));
        }
    }

    fn kill(mut self) -> u64 {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.listener.join().unwrap();
        let said = self.said.lock().unwrap();
        said.acknowledged
    }
}

/// An ext4 in a file. It goes with the test.
struct Disk {
    dir: tempfile::TempDir,
    device: String,
}

impl Disk {
    fn new(mib: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", &text(&image)]);
        let device = run("losetup", &["--find", "--show", &text(&image)]);
        fs::create_dir(dir.path().join("disk")).unwrap();
        let disk = Self {
            device: device.trim().to_owned(),
            dir,
        };
        disk.mount();
        disk
    }

    fn at(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn store(&self) -> PathBuf {
        self.at().join("store")
    }

    fn mount(&self) {
        let options = ["-t", "ext4", "-o", "errors=remount-ro"];
        run(
            "mount",
            &[&options[..], &[&self.device, &text(&self.at())]].concat(),
        );
    }

    fn unmount(&self) {
        run("umount", &[&text(&self.at())]);
    }

    /// Stands ready to cut the power at once.
    fn switch(&self) -> Switch {
        let script = "import fcntl, os, struct, sys\n\
                      fd = os.open(sys.argv[1], os.O_RDONLY)\n\
                      print('ready', flush=True)\n\
                      sys.stdin.readline()\n\
                      fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))";
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", script, &text(&self.at())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Switch(child)
    }

    /// Takes all the space that there is.
    fn fill(&self) {
        let filler = self.at().join("filler");
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(filler)
            .unwrap();
        let block = [0; 4096];
        while file.write_all(&block).is_ok() {}
    }

    /// An error of the file system, after which it is read-only.
    fn break_it(&self) {
        let name = self.device.trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "a test").unwrap();
    }
}

/// Cuts the power: nothing that is not on the disk gets there any more.
struct Switch(Child);

impl Switch {
    fn cut(mut self) {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        let ended = self.0.wait().unwrap();
        assert!(ended.success(), "EXT4_IOC_SHUTDOWN: {ended}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["-l", &text(&self.at())])
            .status();
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}

fn found(store: &dyn Lookup) -> Vec<StoredCall> {
    store
        .by_called(number(), Timestamp::MIN, Timestamp::MAX)
        .unwrap()
}

/// Everything that was acknowledged is there, field by field, and once; a check says that the store is sound.
fn holds(store: &Path, acknowledged: u64) {
    let report = check(store, CheckOptions::default(), &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report:#?}");
    let begin = Instant::now();
    let opened = EmbeddedStore::open(store, settings()).unwrap();
    let took = begin.elapsed();
    let calls = found(&opened);
    let last = calls.len() as u64;
    assert!(last >= acknowledged, "{last} of {acknowledged}");
    for (call, uid) in calls.iter().zip(1..) {
        assert_eq!(call.begin, made(uid));
        match &call.end {
            Some(end) => assert_eq!(*end, made_end(uid)),
            None => assert!(uid + 20 > acknowledged, "the end of {uid} was acknowledged"),
        }
    }
    let r = opened.open_report();
    println!(
        "{acknowledged} acknowledged, {last} found, opened in {took:?}: {} from logs, {} octets torn, {} unfinished files",
        r.records, r.torn_bytes, r.void_files
    );
}

#[test]
#[ignore = "needs losetup, mkfs.ext4 and root"]
fn peer_ext4_power_cuts_lose_nothing_that_was_acknowledged() {
    for cut in 0..CUTS {
        let disk = Disk::new(256);
        let mut acknowledged = 0;
        // Twice: the second writer goes on where the first was cut off.
        for round in 0..2 {
            let writer = Writer::start(&disk.store());
            let switch = disk.switch();
            let enough = acknowledged + 500 + cut * 700;
            writer.wait_until(|s| s.acknowledged > enough);
            sleep(Duration::from_millis(cut * 17 + round * 5));
            // What it says from here on nobody would have heard: with the power, it would have died as well. Here it lives on for a moment, and the
            // kernel may tell it that a sync went well which the cut overtook (seen once).
            acknowledged = writer.said().acknowledged;
            switch.cut();
            writer.kill();
            disk.unmount();
            disk.mount();
            holds(&disk.store(), acknowledged);
        }
    }
}

#[test]
#[ignore = "needs losetup, mkfs.ext4 and root"]
fn peer_ext4_that_is_full_is_a_clear_error_and_the_store_goes_on_when_there_is_room() {
    let disk = Disk::new(64);
    let writer = Writer::start(&disk.store());
    writer.wait_until(|s| s.acknowledged > 3_000);
    writer.wait_until(|s| {
        disk.fill();
        s.refused.is_some()
    });
    let why = writer.said().refused.unwrap();
    assert!(
        why.starts_with("true ") && why.contains("No space left"),
        "{why}"
    );
    assert!(why.contains(&text(&disk.store())), "it names a file: {why}");
    writer.wait_until(|s| s.found > 0);
    let said = writer.said();
    assert!(said.found >= said.acknowledged);
    // The rest is readable, also by others.
    let (reader, _) = EmbeddedStore::open_read_only(&disk.store()).unwrap();
    assert!(found(&reader).len() as u64 >= said.acknowledged);
    drop(reader);
    let acknowledged = writer.kill();
    fs::remove_file(disk.at().join("filler")).unwrap();
    holds(&disk.store(), acknowledged);
    let writer = Writer::start(&disk.store());
    writer.wait_until(|s| s.acknowledged > acknowledged + 500);
    let acknowledged = writer.kill();
    holds(&disk.store(), acknowledged);
}

#[test]
#[ignore = "needs losetup, mkfs.ext4 and root"]
fn peer_ext4_that_turns_read_only_is_a_clear_error_and_readers_go_on() {
    let disk = Disk::new(128);
    let writer = Writer::start(&disk.store());
    writer.wait_until(|s| s.acknowledged > 3_000);
    disk.break_it();
    writer.wait_until(|s| s.refused.is_some());
    let why = writer.said().refused.unwrap();
    assert!(why.starts_with("true "), "nothing more is taken in: {why}");
    assert!(why.contains(&text(&disk.store())), "it names a file: {why}");
    writer.wait_until(|s| s.found > 0);
    let said = writer.said();
    assert!(said.found >= said.acknowledged);
    let (reader, _) = EmbeddedStore::open_read_only(&disk.store()).unwrap();
    assert!(found(&reader).len() as u64 >= said.acknowledged);
    drop(reader);
    let out = tracehop(&["store", "check", &text(&disk.store())]);
    assert_eq!(
        out.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&out.stdout)
    );
    let acknowledged = writer.kill();
    disk.unmount();
    disk.mount();
    holds(&disk.store(), acknowledged);
}
