//! The carriers' daemons: configuration, neighbours, keys; each on its own wire.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use super::super::edge::{Ends, until};
use super::super::run;
use super::super::support::text;
use super::net::Net;
use super::plan::{self, CARRIERS, NAMES, PREFIX, Writing};

/// A daemon under way.
pub struct Probe {
    process: Ends,
    n: usize,
}

/// Writes a carrier's configuration. `responder` is its section of that name.
pub fn configure(net: &Net, n: usize, responder: &str) {
    let folder = net.folder(n);
    fs::create_dir_all(&folder).unwrap();
    let config = format!(
        "[provider]\nname = \"{}\"\nportal_id = \"{}\"\n[run]\nuser = \"nobody\"\njudges = 1\n\
         [capture]\nring_megabytes = 8\n[[capture.interface]]\nname = \"sip0\"\n[peers]\nfile = \"peers.toml\"\n\
         [credentials]\ndirectory = \"../certs/x5u\"\nca_list = \"../certs/ca-list.jws\"\nsti_pa_root = \"../certs/sti-pa-root.pem\"\n\
         ca_list_signer = \"../certs/ca-list-signer.pem\"\ncrl = \"../certs/crl.der\"\ncrl_signer = \"../certs/crl-signer.pem\"\n\
         [store]\npath = \"state/store\"\n[http]\nlisten = \"127.0.0.1:9464\"\n{responder}",
        NAMES[n],
        plan::id(n)
    );
    fs::write(folder.join("tracehop.toml"), config).unwrap();
    fs::write(folder.join("peers.toml"), peers(n)).unwrap();
}

/// A library by which daemons take this host's clock for one that is kept in step: gives its variable of the environment.
pub fn kept_clock(net: &Net) -> String {
    let source = net.write("clock.c", include_str!("clock.c"));
    let library = text(&net.path("clock.so"));
    run("cc", &["-shared", "-fPIC", "-o", &library, &source]);
    format!("LD_PRELOAD={library}")
}

/// Its neighbours: all other carriers, its customers, who is abroad.
fn peers(n: usize) -> String {
    let mut out = String::new();
    let mut peer = |id: &str, name: &str, kind: &str, more: &str| {
        let _ = write!(
            out,
            "[[peer]]\nid = \"{id}\"\nname = \"{name}\"\nkind = \"{kind}\"\n{more}\n"
        );
    };
    peer("own", NAMES[n], "own", "");
    for other in (0..CARRIERS).filter(|o| *o != n) {
        let id = plan::id(other);
        let more = format!("country = \"US\"\nportal_id = \"{id}\"\n");
        peer(&format!("c{other}"), NAMES[other], "provider", &more);
    }
    peer("customers", "Customers", "customer", "");
    peer("subscribers", "Subscribers", "customer", "");
    peer(
        "abroad",
        "Overseas Carrier Ltd",
        "foreign",
        "country = \"GB\"\n",
    );
    let mut rule = |name: &str, peer: &str, address: String, more: &str| {
        let _ = write!(
            out,
            "[[rule]]\nname = \"{name}\"\npeer = \"{peer}\"\nnetworks = [\"{address}/32\"]\n{more}\n"
        );
    };
    rule("own", "own", plan::address(n).to_string(), "");
    for other in (0..CARRIERS).filter(|o| *o != n) {
        let (peer, address) = (format!("c{other}"), plan::address(other).to_string());
        if [n, other].map(plan::writing).contains(&Writing::Prefixed) {
            let more = format!("tech_prefix = \"{PREFIX}\"\n");
            rule(&format!("c{other}-product"), &peer, address.clone(), &more);
        }
        rule(&peer, &peer, address, "");
    }
    rule("customers", "customers", plan::caller(n).to_string(), "");
    rule("subscribers", "subscribers", plan::phone(n).to_string(), "");
    rule("abroad", "abroad", plan::ABROAD.to_string(), "");
    out
}

/// Everything that the daemon reads or writes is its own user's.
pub fn hand_over(net: &Net, n: usize) {
    run("chown", &["-R", "nobody", &text(&net.folder(n))]);
}

impl Probe {
    /// Starts it; it need not be ready yet.
    pub fn start(net: &Net, n: usize, variables: &[String]) -> Self {
        let config = text(&net.folder(n).join("tracehop.toml"));
        let mut arguments = vec!["env"];
        arguments.extend(variables.iter().map(String::as_str));
        let bin = env!("CARGO_BIN_EXE_tracehop");
        arguments.extend([bin, "run", "--config", &config]);
        let process = net.start(
            &net.carrier(n),
            &arguments,
            &format!("{}/daemon.log", plan::id(n)),
        );
        Self { process, n }
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Waits until it looks.
    pub fn ready(&mut self, net: &Net) {
        let begin = Instant::now();
        until("a daemon", || {
            if let Some(status) = self.process.0.try_wait().unwrap() {
                panic!("{} ended, {status}: {}", self.n, self.process.said());
            }
            assert!(begin.elapsed().as_secs() < 20, "{}", self.process.said());
            ask(net, self.n, "/readyz") == Some(200)
        });
    }
}

/// Status of a page of a carrier's daemon.
fn ask(net: &Net, n: usize, page: &str) -> Option<u16> {
    use std::io::{Read as _, Write as _};
    super::super::edge::within(&net.carrier(n), || {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:9464").ok()?;
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .ok()?;
        let request =
            format!("GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    })
}

/// A file that only its owner may read.
pub fn secret(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
