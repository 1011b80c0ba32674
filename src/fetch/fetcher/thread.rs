//! What runs on the two threads: the one that fetches, the one that writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel as queue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::engine::park::Answer;
use crate::fetch::cache::Body;
use crate::fetch::connect::Connector;
use crate::fetch::desk::{Desk, FetchReport};
use crate::fetch::directory::Loaded;
use crate::fetch::disk::{Disk, Kept, ListFile};
use crate::fetch::fetcher::WRITES;
use crate::fetch::http;
use crate::fetch::outcome::Outcome;
use crate::fetch::renewal::Renewal;
use crate::fetch::sti_pa::{CaListFound, StiPa};
use crate::host::clock;
use crate::stir::credential::Credentials;
use crate::stir::verify::Want;

/// Wishes taken at a time before requests are looked after again.
const WISHES_AT_ONCE: usize = 256;

/// How often time passes at the desk: a request that was held back by a rate goes that much later at most.
const TICK: Duration = Duration::from_millis(250);

/// What goes to disk.
pub(super) enum Write {
    Certificate(Kept),
    List(ListFile, Vec<u8>),
}

/// Writes until the fetching thread is gone.
pub(super) fn write(mut disk: Disk, queue: &queue::Receiver<Write>, report: &ArcSwap<FetchReport>) {
    let mut failed = 0u64;
    let mut one = |disk: &mut Disk, write: Write| {
        let done = match write {
            Write::Certificate(kept) => disk.put(&kept),
            Write::List(list, bytes) => disk.put_list(list, &bytes),
        };
        failed += u64::from(done.is_err());
    };
    while let Ok(first) = queue.recv() {
        one(&mut disk, first);
        // One index for all that came meanwhile.
        for next in queue.try_iter().take(WRITES) {
            one(&mut disk, next);
        }
        // The next one writes it again.
        let _ = disk.sync();
    }
    if disk.sync().is_err() {
        failed += 1;
    }
    if failed > 0 {
        // The fetching thread has ended: nobody else publishes.
        let mut last = FetchReport::clone(&report.load());
        last.not_kept += failed;
        report.store(Arc::new(last));
    }
}

enum Done {
    Certificate(Result<Body, Outcome>),
    CaList(Result<CaListFound, String>),
    Crl(Result<Vec<u8>, String>),
}

/// The fetching thread's own.
pub(super) struct Thread {
    pub desk: Desk,
    pub lists: Renewal,
    pub sti_pa: StiPa,
    pub connector: Connector,
    /// The list of authorities and the revocation list are being asked for.
    pub asking_lists: (bool, bool),
    pub to_park: queue::Sender<(Box<str>, Answer)>,
    pub credentials: Arc<ArcSwap<Credentials>>,
    pub report: Arc<ArcSwap<FetchReport>>,
    pub writes: Option<queue::Sender<Write>>,
    /// Told once, when the first lists came or did not: whether there is an authority.
    pub ready: Option<queue::Sender<bool>>,
}

impl Thread {
    /// Runs until it is stopped.
    pub async fn run(
        mut self,
        mut wishes: mpsc::Receiver<Want>,
        mut reloads: mpsc::Receiver<Loaded>,
        mut stop: oneshot::Receiver<()>,
    ) {
        let mut tasks = JoinSet::new();
        let mut urls: HashMap<task::Id, Arc<str>> = HashMap::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = &mut stop => break,
                Some(want) = wishes.recv() => {
                    let now = clock::now();
                    self.desk.handle_want(&want, now);
                    for _ in 0..WISHES_AT_ONCE {
                        let Ok(want) = wishes.try_recv() else { break };
                        self.desk.handle_want(&want, now);
                    }
                }
                Some(done) = tasks.join_next_with_id() => {
                    let (id, done) = match done {
                        Ok((id, done)) => (id, Some(done)),
                        // It panicked: a defect of ours, which costs this one request.
                        Err(e) => (e.id(), None),
                    };
                    self.ended(urls.remove(&id), done);
                }
                Some(loaded) = reloads.recv() => {
                    self.lists.handle_files(loaded.lists);
                    self.desk.handle_base(loaded.credentials);
                    self.desk.handle_trust(Arc::new(self.lists.trust()));
                }
                _ = tick.tick() => self.desk.handle_timeout(clock::now()),
            }
            self.start_lists(&mut tasks);
            while let Some(url) = self.desk.poll_start(clock::now()) {
                let (connector, asked) = (self.connector.clone(), url.clone());
                let task = tasks.spawn(async move {
                    Done::Certificate(http::certificate(&connector, &asked).await)
                });
                urls.insert(task.id(), url);
            }
            self.publish();
        }
        tasks.abort_all();
    }

    fn ended(&mut self, url: Option<Arc<str>>, done: Option<Done>) {
        let now = clock::now();
        match (url, done) {
            (Some(url), Some(Done::Certificate(end))) => self.desk.handle_end(&url, end, now),
            (Some(url), _) => self.desk.handle_end(&url, Err(Outcome::Interrupted), now),
            (None, Some(Done::CaList(end))) => {
                self.asking_lists.0 = false;
                self.ca_list(end);
            }
            (None, Some(Done::Crl(end))) => {
                self.asking_lists.1 = false;
                self.crl(end);
            }
            (None, _) => self.asking_lists = (false, false),
        }
    }

    /// Asks for lists that are due.
    fn start_lists(&mut self, tasks: &mut JoinSet<Done>) {
        let now = clock::now();
        let due = self.lists.next;
        if self.sti_pa.ca_list_url.is_some() && !self.asking_lists.0 && due.ca_list <= now {
            self.asking_lists.0 = true;
            let (pa, connector) = (self.sti_pa.clone(), self.connector.clone());
            let pinned = self.lists.lists.pins.ca_list_signer.is_some();
            tasks.spawn(async move { Done::CaList(pa.ca_list(&connector, pinned).await) });
        }
        if self.sti_pa.crl_url.is_some() && !self.asking_lists.1 && due.crl <= now {
            self.asking_lists.1 = true;
            let (pa, connector) = (self.sti_pa.clone(), self.connector.clone());
            tasks.spawn(async move { Done::Crl(pa.crl(&connector).await) });
        }
    }

    fn ca_list(&mut self, end: Result<CaListFound, String>) {
        let now = clock::now();
        let done = end.and_then(|(jws, signer)| {
            self.lists.handle_ca_list(&jws, signer.as_deref(), now)?;
            Ok((jws, signer))
        });
        match done {
            Ok((jws, signer)) => {
                self.keep(Write::List(ListFile::CaList, jws));
                if let Some(signer) = signer {
                    self.keep(Write::List(ListFile::CaListSigner, signer));
                }
                self.desk.handle_trust(Arc::new(self.lists.trust()));
            }
            Err(why) => {
                self.lists.handle_no_ca_list(now);
                self.desk.handle_note(format!("CA list: {why}"));
            }
        }
    }

    fn crl(&mut self, end: Result<Vec<u8>, String>) {
        let now = clock::now();
        let done = end.and_then(|der| {
            self.lists.handle_crl(&der, now)?;
            Ok(der)
        });
        match done {
            Ok(der) => {
                self.keep(Write::List(ListFile::Crl, der));
                self.desk.handle_trust(Arc::new(self.lists.trust()));
            }
            Err(why) => {
                self.lists.handle_no_crl(now);
                self.desk.handle_note(format!("revocation list: {why}"));
            }
        }
    }

    fn keep(&mut self, write: Write) {
        if let Some(writes) = &self.writes
            && writes.try_send(write).is_err()
        {
            self.desk.handle_not_kept();
        }
    }

    /// Credentials before the answers that speak of them, counts before either is acted on.
    fn publish(&mut self) {
        if let Some(credentials) = self.desk.poll_credentials(clock::now()) {
            self.credentials.store(credentials);
        }
        while let Some(kept) = self.desk.poll_kept() {
            self.keep(Write::Certificate(kept));
        }
        let report = FetchReport {
            lists: Some(self.lists.in_use()),
            ..self.desk.report()
        };
        self.report.store(Arc::new(report));
        while let Some(answer) = self.desk.poll_answer() {
            // Without room the call waits its time out.
            let _ = self.to_park.try_send(answer);
        }
        if self.asking_lists == (false, false)
            && let Some(ready) = self.ready.take()
        {
            // Whoever started us may be gone.
            let _ = ready.send(self.lists.trust().anchor_count() > 0);
        }
    }
}
