//! The thread that fetches: a tokio runtime of its own around [`Desk`], and a second thread that writes the disk cache.
//!
//! Wishes and answers go over bounded channels; credentials and counts are published by swapping a pointer, so that nobody who judges
//! ever waits for anybody who fetches.

mod thread;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel as queue;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use super::cache::{Cache, CacheLimits};
use super::connect::{Connector, ConnectorError, Everywhere, Proxy, Resolve, System};
use super::desk::{Desk, FetchReport};
use super::directory::Loaded;
use super::disk::{Disk, ListFile};
use super::policy::{HostList, Limits, Policy};
use super::renewal::Renewal;
use super::sti_pa::StiPa;
use crate::engine::park::{Answer, ParkLimits};
use crate::host::clock;
use crate::stir::credential::Credentials;
use crate::stir::verify::Want;
use thread::{Thread, write};

/// Wishes between two threads: twice what may wait behind them. Beyond it a wish is refused as [`super::Outcome::QueueFull`].
const WISHES: usize = 4096;

/// Answers between two threads: more than can be asked before one is taken, with as many calls waiting as may.
const ANSWERS: usize = 131_072;

/// Certificates between memory and disk. Beyond it one is not kept, and counted.
const WRITES: usize = 256;

/// Reloads that may wait: an operator's second one while the first is being taken in.
const RELOADS: usize = 2;

/// How long a start waits for the STI-PA's lists: log-in, list, its signer and the revocation list, each within its deadline of 5 s.
const FIRST_LISTS: Duration = Duration::from_secs(25);

/// What fetching is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchSettings {
    /// What may be under way.
    pub limits: Limits,
    /// Which hosts may be asked; empty: all.
    pub hosts: HostList,
    /// Bounds of the memory.
    pub cache: CacheLimits,
    /// Folder of the disk cache.
    pub folder: Option<PathBuf>,
    /// Most octets in it.
    pub disk_octets: u64,
    /// Ask nobody; use what is on disk, however old.
    pub offline: bool,
    /// Let names lead to inside addresses: for laboratories.
    pub allow_private: bool,
    /// More roots of the web, PEM.
    pub extra_roots: Option<PathBuf>,
    /// Proxy.
    pub proxy: Option<Proxy>,
    /// Take every name for this address: for laboratories.
    pub connect_to: Option<std::net::SocketAddr>,
    /// Where the lists are.
    pub sti_pa: StiPa,
    /// How calls wait.
    pub park: ParkLimits,
}

/// Why fetching can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk cache, or a file of roots.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS.
    #[error("fetch: {0}")]
    Connector(#[from] ConnectorError),
    /// No thread, or no runtime.
    #[error("can't start a thread: {0}")]
    NoThread(std::io::Error),
    /// No authority to trust, and none came.
    #[error(
        "no authority to hold certificates against{}\n    write ca_list or anchors in [credentials], or mend what is said above",
        .0.iter().map(|n| format!("\n    {n}")).collect::<String>()
    )]
    NoTrust(Vec<String>),
}

/// What the stages need of a fetcher.
#[derive(Clone, Debug)]
pub struct Client {
    wishes: mpsc::Sender<Want>,
    answers: queue::Receiver<(Box<str>, Answer)>,
    credentials: Arc<ArcSwap<Credentials>>,
    report: Arc<ArcSwap<FetchReport>>,
}

impl Client {
    /// Asks for a certificate; `false` where there is no room for the wish. One answer follows on [`Client::answers`].
    pub fn ask(&self, want: Want) -> bool {
        self.wishes.try_send(want).is_ok()
    }

    /// Answers to wishes, by URL. Credentials that an answer speaks of are published before it.
    pub fn answers(&self) -> &queue::Receiver<(Box<str>, Answer)> {
        &self.answers
    }

    /// Credentials as they are now.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.load_full()
    }

    /// Counts as they are now.
    pub fn report(&self) -> FetchReport {
        FetchReport::clone(&self.report.load())
    }
}

/// A running fetcher. Ends when dropped; requests under way are let go.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    reloads: mpsc::Sender<Loaded>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    /// What the start found.
    pub notes: Vec<String>,
}

impl Fetcher {
    /// Starts with what is in files. Where lists of the STI-PA are to be had over HTTPS, waits for the first of them.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(settings: &FetchSettings, loaded: Loaded) -> Result<Self, StartError> {
        let resolver: Arc<dyn Resolve> = match settings.connect_to {
            Some(at) => Arc::new(Everywhere(at)),
            None => Arc::new(System::new(settings.limits.in_flight)),
        };
        Self::start_with(settings, loaded, resolver)
    }

    /// [`Fetcher::start`] with another resolver.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start_with(
        settings: &FetchSettings,
        loaded: Loaded,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, StartError> {
        let roots = settings.extra_roots.as_deref().map(read).transpose()?;
        let connector = Connector::new(
            resolver,
            settings.allow_private,
            settings.proxy.clone(),
            roots.as_deref(),
        )?;
        let now = clock::now();
        let mut lists = Renewal::new(loaded.lists);
        let mut notes = Vec::new();
        let mut lists_changed = false;
        let (disk, kept) = match &settings.folder {
            Some(folder) => {
                let opened = Disk::open(folder, settings.disk_octets, settings.cache.entries);
                let (disk, opened) = opened.map_err(|source| StartError::File {
                    path: folder.clone(),
                    source,
                })?;
                notes.extend(opened.notes);
                lists_changed = kept_lists(&disk, &mut lists);
                (Some(disk), opened.kept)
            }
            None => (None, Vec::new()),
        };
        let mut desk = Desk::new(
            Policy::new(settings.limits.clone(), settings.hosts.clone()),
            Cache::new(settings.cache, settings.offline),
            Arc::new(lists.trust()),
            loaded.credentials,
            settings.offline,
        );
        if lists_changed {
            desk.handle_trust(Arc::new(lists.trust()));
        }
        // The oldest first, so that what leaves for want of room is that.
        for kept in kept.into_iter().rev() {
            desk.handle_kept(kept, now);
        }

        let (wishes, from_park) = mpsc::channel(WISHES);
        let (to_park, answers) = queue::bounded(ANSWERS);
        let (reloads, reloaded) = mpsc::channel(RELOADS);
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = queue::bounded(1);
        let (writes, to_write) = queue::bounded(WRITES);
        let client = Client {
            wishes,
            answers,
            credentials: Arc::new(ArcSwap::from(
                desk.poll_credentials(now).unwrap_or_default(),
            )),
            report: Arc::default(),
        };
        let sti_pa = if settings.offline {
            StiPa::default()
        } else {
            settings.sti_pa.clone()
        };
        let waits = sti_pa.ca_list_url.is_some() || sti_pa.crl_url.is_some();
        let authorities = lists.trust().anchor_count();
        let thread = Thread {
            desk,
            lists,
            sti_pa,
            connector,
            asking_lists: (false, false),
            to_park,
            credentials: client.credentials.clone(),
            report: client.report.clone(),
            writes: disk.is_some().then_some(writes),
            ready: Some(ready),
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run)
        };
        let mut threads = Vec::new();
        if let Some(disk) = disk {
            let report = client.report.clone();
            let run = Box::new(move || write(disk, &to_write, &report));
            threads.push(spawn("fetch-disk", run).map_err(StartError::NoThread)?);
        }
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // For the resolver alone.
            .max_blocking_threads(settings.limits.in_flight.max(1))
            .build()
            .map_err(StartError::NoThread)?;
        let run = Box::new(move || {
            runtime.block_on(thread.run(from_park, reloaded, stopped));
            // A resolver may hang for longer than anybody wants to wait.
            runtime.shutdown_background();
        });
        threads.push(spawn("fetch", run).map_err(StartError::NoThread)?);
        let mut fetcher = Self {
            client,
            reloads,
            stop: Some(stop),
            threads,
            notes,
        };
        let mut trusted = authorities > 0;
        if waits {
            trusted = is_ready.recv_timeout(FIRST_LISTS).unwrap_or(trusted);
            fetcher.notes.extend(fetcher.client.report().notes);
        }
        if !trusted {
            let notes = std::mem::take(&mut fetcher.notes);
            return Err(StartError::NoTrust(notes));
        }
        Ok(fetcher)
    }

    /// What the stages need.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Files have changed: what was loaded from them takes the place of what was. `false` where an earlier reload is still waiting.
    pub fn reload(&self, loaded: Loaded) -> bool {
        self.reloads.try_send(loaded).is_ok()
    }

    /// Ends the threads; everything fetched is on disk then.
    pub fn stop(mut self) -> FetchReport {
        self.end();
        self.client.report()
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        // The fetching thread holds the writer's queue: it ends first.
        for thread in self.threads.drain(..).rev() {
            let _ = thread.join();
        }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.end();
    }
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|source| StartError::File {
        path: path.to_owned(),
        source,
    })
}

/// Takes lists of an earlier run, where they are better than those in files, and says whether there was one.
fn kept_lists(disk: &Disk, lists: &mut Renewal) -> bool {
    let now = clock::now();
    let before = lists.next;
    let mut changed = false;
    // Why one is not used is of no matter: the one at hand is.
    if let Some(jws) = disk.list(ListFile::CaList) {
        let signer = disk.list(ListFile::CaListSigner);
        changed |= lists.handle_ca_list(&jws, signer.as_deref(), now).is_ok();
    }
    if let Some(der) = disk.list(ListFile::Crl) {
        changed |= lists.handle_crl(&der, now).is_ok();
    }
    lists.next = before;
    changed
}
