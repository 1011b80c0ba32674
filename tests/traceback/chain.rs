//! A call through a chain of providers: each has a folder with configuration, neighbours, key and a store that holds its two legs.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tracehop::base::Timestamp;
use tracehop::config::Config;
use tracehop::host::clock;
use tracehop::proof::sign;

use crate::calls::{self, CALLED, CALLING};
use crate::node::{Node, free_port, run_section, secret};
use crate::portal::Portal;

/// Pushed events are signed with it.
pub const HOOK: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// By which the portal and the providers know each other.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The chain.
pub struct Chain {
    dir: tempfile::TempDir,
    pub hops: Vec<Hop>,
    at: Timestamp,
}

/// One provider of it.
pub struct Hop {
    pub id: String,
    folder: PathBuf,
    /// Its public keys.
    pub jwks: Value,
    /// Where the portal pushes to; `None` where it is asked.
    pub push: Option<u16>,
}

impl Chain {
    /// Provider 0 handed the call to somebody who asks; the last one got it from its customer.
    pub fn build(hops: usize, portal: &Portal, pushed: fn(usize) -> bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Daemons that were root go on as another user.
        fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        // The half-day on either side of the call is over, and its records are there.
        let now = clock::now().secs();
        let at = Timestamp::from_secs(now / 60 * 60 - 30 * 3_600 + 7);
        let mut chain = Self {
            dir,
            hops: Vec::new(),
            at,
        };
        for n in 0..hops {
            let hop = chain.build_one(n, n + 1 == hops, portal, pushed(n));
            chain.hops.push(hop);
        }
        chain
    }

    fn build_one(&self, n: usize, last: bool, portal: &Portal, push: bool) -> Hop {
        let id = format!("P-{n}");
        let folder = self.dir.path().join(&id);
        fs::create_dir(&folder).unwrap();
        let signer = sign::new_key(&folder.join("answers.key")).unwrap();
        secret(folder.join("portal.token"), &portal.token(&id));
        secret(folder.join("portal.secrets"), portal.hook());
        let port = push.then(free_port);
        let asks = format!(
            "adapter = \"reference\"\n[responder.portal.reference]\nurl = \"{}\"\ntoken_file = \"portal.token\"\nwait_seconds = 5\n",
            portal.url()
        );
        let way = match port {
            None => asks,
            Some(_) if portal.fetches() => {
                "webhook_secrets = \"portal.secrets\"\ntoken_file = \"portal.token\"\n".to_owned()
            }
            // Pushed to, and brings its answers itself.
            Some(_) => format!("webhook_secrets = \"portal.secrets\"\n{asks}"),
        };
        let listen = port.map_or(String::new(), |p| format!("listen = \"127.0.0.1:{p}\"\n"));
        let config = format!(
            "[provider]\nname = \"Provider {n}\"\nportal_id = \"{id}\"\n{}[sensor]\nname = \"edge1\"\n[peers]\nfile = \"peers.toml\"\n\
             [store]\npath = \"state/store\"\n[http]\nenabled = false\n\
             [responder]\nenabled = true\nkey_file = \"answers.key\"\n{listen}\
             [[responder.portal]]\nname = \"portal\"\nmode = \"automatic\"\nautomatic = [\"UPSTREAM_DOMESTIC\", \"ORIGIN_END_CUSTOMER\"]\n\
             deadline = \"plain-24h\"\n{way}",
            run_section()
        );
        let kind = if last { "customer" } else { "provider" };
        let down = match n {
            0 => "P-T".to_owned(),
            n => format!("P-{}", n - 1),
        };
        let peers = format!(
            "[[peer]]\nid = \"own\"\nname = \"Provider {n}\"\nkind = \"own\"\n\
             [[peer]]\nid = \"up\"\nname = \"Upstream of {n}\"\nkind = \"{kind}\"\ncountry = \"US\"\nportal_id = \"P-{}\"\n\
             [[peer]]\nid = \"down\"\nname = \"Downstream of {n}\"\nkind = \"provider\"\ncountry = \"US\"\nportal_id = \"{down}\"\n\
             [[rule]]\nname = \"own\"\npeer = \"own\"\nnetworks = [\"192.0.2.1/32\"]\n\
             [[rule]]\nname = \"up\"\npeer = \"up\"\nnetworks = [\"198.51.100.1/32\"]\n\
             [[rule]]\nname = \"down\"\npeer = \"down\"\nnetworks = [\"203.0.113.1/32\"]\n",
            n + 1
        );
        fs::write(folder.join("tracehop.toml"), config).unwrap();
        fs::write(folder.join("peers.toml"), peers).unwrap();
        let config =
            Config::load(&folder.join("tracehop.toml")).unwrap_or_else(|p| panic!("{p:#?}"));
        // Further up the call was there a little earlier.
        calls::fill(&config, self.at.minus(Duration::from_millis(40 * n as u64)));
        Hop {
            id,
            folder,
            jwks: signer.jwks(),
            push: port,
        }
    }

    /// Starts all daemons.
    pub fn start(&self) -> Vec<Node> {
        self.hops.iter().map(|h| Node::start(&h.folder)).collect()
    }

    pub fn provider(&self, n: usize) -> String {
        self.hops[n].id.clone()
    }

    /// The call as the terminating provider knows it.
    pub fn call(&self) -> Value {
        json!({
            "called": format!("+{CALLED}"),
            "calling": format!("+{CALLING}"),
            "time": { "value": self.at.to_string(), "precision_s": 1.0 },
        })
    }

    /// What the daemons said, for a test that fails.
    pub fn logs(&self) -> String {
        let read = |h: &Hop| {
            let log = fs::read_to_string(h.folder.join("log"));
            format!("--- {}\n{}", h.id, log.unwrap_or_default())
        };
        self.hops.iter().map(read).collect()
    }
}
