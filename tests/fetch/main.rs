//! Fetching over real HTTPS, from servers on loopback that behave well and badly (rules N1 to N15, L1).
//!
//! - [`server`]: the servers
//! - `edge`: single certificates: caps, deadlines, guards, caches
//! - `calls`: whole captures whose calls wait for their certificates

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod edge;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use server::{Act, Asked, Server, WebCa, ok, respond};
use support::Lab;
use tracehop::engine::park::Answer;
use tracehop::fetch::directory::{self, CredentialFiles};
use tracehop::fetch::{Client, FetchSettings, Fetcher};
use tracehop::lab;
use tracehop::stir::verify::Want;

/// What a laboratory's directory holds, by host and path as a server is asked for it.
fn pages(lab: &Lab) -> BTreeMap<String, Vec<u8>> {
    let folder = lab.path("certs/x5u");
    let index = std::fs::read_to_string(folder.join("index.toml")).unwrap();
    let index: BTreeMap<String, String> = toml::from_str(&index).unwrap();
    let https = |url: &str| url.strip_prefix("https://").map(str::to_owned);
    index
        .into_iter()
        .filter_map(|(url, file)| Some((https(&url)?, std::fs::read(folder.join(file)).unwrap())))
        .collect()
}

/// Hosts of some pages.
fn hosts(pages: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    let mut hosts: Vec<&str> = pages
        .keys()
        .map(|p| p.split(['/', ':']).next().unwrap())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// A server with these pages and 404 for all others, each after a delay.
fn serving(delay: Duration, ca: &WebCa, pages: BTreeMap<String, Vec<u8>>) -> Server {
    let tls = ca.tls(&hosts(&pages), |_| ());
    Server::start(tls, move |asked: &Asked| {
        std::thread::sleep(delay);
        match pages.get(&asked.place) {
            Some(page) => ok(page),
            None => respond("404 Not Found", "", b"no"),
        }
    })
}

/// Settings of a laboratory: every name is at `at`, and `ca` is a web authority.
fn settings(ca: &WebCa, at: SocketAddr, dir: &Path) -> FetchSettings {
    let roots = dir.join("web-roots.pem");
    std::fs::write(&roots, &ca.pem).unwrap();
    FetchSettings {
        allow_private: true,
        extra_roots: Some(roots),
        connect_to: Some(at),
        disk_octets: 1 << 30,
        ..FetchSettings::default()
    }
}

/// The laboratory's files without its certificates.
fn files(lab: &Lab) -> CredentialFiles {
    CredentialFiles {
        directory: None,
        ..lab.config.credentials.clone()
    }
}

fn start(settings: &FetchSettings, lab: &Lab) -> Fetcher {
    let loaded = directory::load(&files(lab), lab::DEFAULT_BASE).unwrap();
    Fetcher::start(settings, loaded).unwrap()
}

/// Asks and waits.
fn ask(client: &Client, url: &str) -> Answer {
    assert!(client.ask(Want::Missing(url.into())));
    answer(client)
}

fn answer(client: &Client) -> Answer {
    let answer = client.answers().recv_timeout(Duration::from_secs(20));
    answer.expect("every wish has an answer").1
}

fn resolver(
    f: impl Fn(&str) -> Vec<SocketAddr> + Send + Sync + 'static,
) -> Arc<dyn tracehop::fetch::connect::Resolve> {
    struct By<F>(F);
    impl<F: Fn(&str) -> Vec<SocketAddr> + Send + Sync + 'static> tracehop::fetch::connect::Resolve
        for By<F>
    {
        fn resolve<'a>(&'a self, host: &'a str, _: u16) -> tracehop::fetch::connect::Resolved<'a> {
            let at = (self.0)(host);
            Box::pin(async move { Ok(at) })
        }
    }
    Arc::new(By(f))
}
