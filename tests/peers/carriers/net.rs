//! The network: a namespace for each carrier, one for customers, one that joins them all.
//!
//! ```text
//! carrier n: sip0 (probe, switch) ─┐                 mgmt0 (probe) ─┐
//! customers: sip0 ────────────────┴─ bridge `calls`      portal ─────┴─ bridge `office`
//! ```
//!
//! The bridges are in a namespace of their own, and nothing leads out of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::super::edge::{Ends, until};
use super::super::run;
use super::super::support::text;
use super::plan::{self, CARRIERS};

/// Namespaces, and a folder. All of it goes with the test.
pub struct Net {
    pub dir: TempDir,
    id: String,
}

impl Net {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Daemons go on as somebody else than we are.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let net = Self {
            dir,
            id: format!("tc{}", std::process::id()),
        };
        for name in net.all() {
            run("ip", &["netns", "add", &name]);
            run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        }
        let hub = net.hub();
        for bridge in ["calls", "office"] {
            run("ip", &["-n", &hub, "link", "add", bridge, "type", "bridge"]);
            run("ip", &["-n", &hub, "link", "set", bridge, "up"]);
        }
        let portal = format!("{}/24", plan::PORTAL);
        run("ip", &["-n", &hub, "addr", "add", &portal, "dev", "office"]);
        for n in 0..CARRIERS {
            let name = net.carrier(n);
            net.plug(&name, "sip0", "calls", &[plan::address(n)]);
            net.plug(&name, "mgmt0", "office", &[plan::management(n)]);
        }
        let callers = (0..CARRIERS).map(plan::caller);
        let phones = (0..CARRIERS).map(plan::phone);
        let customers: Vec<_> = callers.chain(phones).chain([plan::ABROAD]).collect();
        net.plug(&net.customers(), "sip0", "calls", &customers);
        for name in net.all().iter().filter(|n| **n != hub) {
            until("a carrier of the link", || {
                run("ip", &["-n", name, "link", "show", "sip0"]).contains("state UP")
            });
        }
        net
    }

    /// A pair of interfaces: one in the namespace, the other on a bridge.
    fn plug(&self, name: &str, link: &str, bridge: &str, addresses: &[std::net::Ipv4Addr]) {
        let hub = self.hub();
        let end = format!("{}{}", &link[..1], name.strip_prefix(&self.id).unwrap());
        let pair = [
            "link", "add", link, "netns", name, "type", "veth", "peer", "name", &end, "netns", &hub,
        ];
        run("ip", &pair);
        run("ip", &["-n", &hub, "link", "set", &end, "master", bridge]);
        run("ip", &["-n", &hub, "link", "set", &end, "up"]);
        for address in addresses {
            let address = format!("{address}/24");
            run("ip", &["-n", name, "addr", "add", &address, "dev", link]);
        }
        run("ip", &["-n", name, "link", "set", link, "up"]);
    }

    fn all(&self) -> Vec<String> {
        let mut all: Vec<_> = (0..CARRIERS).map(|n| self.carrier(n)).collect();
        all.extend([self.customers(), self.hub()]);
        all
    }

    /// A carrier's namespace.
    pub fn carrier(&self, n: usize) -> String {
        format!("{}n{n}", self.id)
    }

    /// Callers' and phones'.
    pub fn customers(&self) -> String {
        format!("{}c", self.id)
    }

    /// Where the bridges and the portal are.
    pub fn hub(&self) -> String {
        format!("{}h", self.id)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A carrier's folder.
    pub fn folder(&self, n: usize) -> PathBuf {
        self.path(&plan::id(n))
    }

    /// A program in a namespace.
    pub fn command(&self, namespace: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace])
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts one that ends with the test, and writes into a log.
    pub fn start(&self, namespace: &str, arguments: &[&str], log: &str) -> Ends {
        let mut command = self.command(namespace, arguments);
        let log = self.path(log);
        let file = fs::File::options().create(true).append(true).open(&log);
        let file = file.unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let mut ends = Ends::of(command);
        ends.said_in(log);
        ends
    }

    /// Waits until somebody listens there, by UDP.
    pub fn listens(&self, namespace: &str, socket: &str) {
        until(socket, || {
            run("ip", &["netns", "exec", namespace, "ss", "-Hlun"]).contains(socket)
        });
    }

    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        text(&path)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in self.all() {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}
