//! A provider's edge in two network namespaces: a neighbour's callers at `va`, and at `vb` our callee with the daemon beside it.
//!
//! Calls are sipp's, signed by the lab's signer at the moment they are placed; what tcpdump wrote on `vb` and tshark reads of it is the oracle.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;
use tracehop::host::clock;
use tracehop::lab::pki::{Pki, Signer};

use super::run;

/// Who calls in every test. Odd callers have attestation A, even ones B.
pub const CALLER: &str = "198.51.100.1";
/// Our callee, and where the daemon is.
pub const CALLEE: &str = "198.51.100.2";
/// An address at the callers' end that no rule names.
pub const STRANGER: &str = "198.51.100.5";
pub const CALLER_V6: &str = "2001:db8:100::1";
pub const CALLEE_V6: &str = "2001:db8:100::2";

/// Two namespaces with a veth pair, a PKI of today, and a configuration. All of it goes with the test.
pub struct Edge {
    pub dir: TempDir,
    pub a: String,
    pub b: String,
    pub signer: Signer,
}

impl Edge {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("td{}x{n}", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        // The daemon goes on as somebody else than we are.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let pki = Pki::new(11, clock::now()).unwrap();
        for (name, content) in &pki.files {
            let path = dir.path().join("certs").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::write(dir.path().join("peers.toml"), PEERS).unwrap();
        let edge = Self {
            dir,
            a: format!("{id}a"),
            b: format!("{id}b"),
            signer: pki.signers[1].clone(),
        };
        for name in [&edge.a, &edge.b] {
            run("ip", &["netns", "add", name]);
            run("ip", &["-n", name, "link", "set", "lo", "up"]);
        }
        edge.plug();
        edge
    }

    /// Makes the pair of interfaces, and waits until both have a carrier.
    pub fn plug(&self) {
        let (a, b) = (self.a.as_str(), self.b.as_str());
        let pair = [
            "link", "add", "va", "netns", a, "type", "veth", "peer", "name", "vb", "netns", b,
        ];
        run("ip", &pair);
        let ends = [
            (
                a,
                "va",
                [CALLER, "198.51.100.3", STRANGER].as_slice(),
                CALLER_V6,
            ),
            (b, "vb", &[CALLEE], CALLEE_V6),
        ];
        for (name, link, v4, v6) in ends {
            for address in v4 {
                let address = format!("{address}/24");
                run("ip", &["-n", name, "addr", "add", &address, "dev", link]);
            }
            let v6 = format!("{v6}/64");
            let add = ["-n", name, "-6", "addr", "add", &v6, "dev", link, "nodad"];
            run("ip", &add);
            run("ip", &["-n", name, "link", "set", link, "up"]);
        }
        self.settle();
    }

    pub fn unplug(&self) {
        run("ip", &["-n", &self.b, "link", "del", "vb"]);
    }

    /// Sets `vb` up or down. What goes with a link that is down, an IPv6 address, does not come back.
    pub fn set(&self, state: &str) {
        run("ip", &["-n", &self.b, "link", "set", "vb", state]);
    }

    pub fn settle(&self) {
        for (name, link) in [(&self.a, "va"), (&self.b, "vb")] {
            until(link, || {
                run("ip", &["-n", name, "link", "show", link]).contains("state UP")
            });
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the daemon's configuration: metrics and PKI, and `more`, which says what it watches.
    pub fn configure(&self, more: &str) {
        fs::write(self.path("tracehop.toml"), format!("{CONFIG}\n{more}")).unwrap();
    }

    /// A program in the callers' namespace, or in the callee's.
    pub fn command(&self, namespace: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace])
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts one that ends with the test.
    pub fn start(&self, namespace: &str, arguments: &[&str]) -> Ends {
        let mut command = self.command(namespace, arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ends::of(command)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        for name in [&self.a, &self.b] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// A program that ends with the test, or before.
pub struct Ends(pub Child, PathBuf);

impl Ends {
    pub fn of(mut command: Command) -> Self {
        let child = command.spawn().expect("ip; tests/run installs it");
        Self(child, PathBuf::new())
    }

    /// Waits for its end, which must be a good one and soon.
    pub fn finish(mut self) {
        let begin = Instant::now();
        let status = loop {
            match self.0.try_wait().unwrap() {
                Some(status) => break status,
                None if begin.elapsed() > Duration::from_secs(60) => panic!("it does not end"),
                None => sleep(Duration::from_millis(50)),
            }
        };
        assert!(status.success(), "{status}: {}", self.said());
    }

    /// What it wrote there.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.1).unwrap_or_default()
    }

    /// Where it writes its errors.
    pub fn said_in(&mut self, log: PathBuf) {
        self.1 = log;
    }

    pub fn signal(&self, name: &str) {
        run("kill", &[name, &self.0.id().to_string()]);
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does something with the network of a namespace. What sockets it makes stay there.
pub fn within<T: Send>(namespace: &str, what: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    scope(|s| {
        let thread = s.spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            what()
        });
        thread.join().unwrap()
    })
}

/// Waits for what must come soon.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{what} did not come"
        );
        sleep(Duration::from_millis(50));
    }
}

/// One neighbour's trunk and us.
pub const PEERS: &str = include_str!("edge/peers.toml");
const CONFIG: &str = include_str!("edge/tracehop.toml");
