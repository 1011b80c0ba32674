//! One portal: what comes from it is put on the desk and then settled with it; what is in its outbox is carried there.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::{Backoff, Shared, random};
use crate::base::text::Masked;
use crate::responder::adapter::ends::{AnyInlet, AnyOutlet};
use crate::responder::adapter::{Arrival, Inlet, Outlet, Trouble};
use crate::responder::case::{Delivered, Incoming};
use crate::responder::desk::{DeskError, Heard, Refusal, Taken};
use crate::responder::settings::PortalSettings;

/// How often the outbox is looked at unbidden: a person at the terminal may have approved something.
const TICK: Duration = Duration::from_secs(1);

/// How long a portal that brought nothing new is left alone, if it did not wait by itself.
const LULL: Duration = Duration::from_secs(1);

/// While the desk is full.
const FULL: Duration = Duration::from_secs(30);

/// For a receipt, or a file to be moved.
const SETTLE: Duration = Duration::from_secs(30);

/// A delivery is given up after so long and tried again: adapters have limits of their own below it, and the desk leases a parcel for two minutes.
const DELIVER: Duration = Duration::from_secs(115);

/// Fetches until it is told to stop.
pub(super) async fn fetch(
    shared: Shared,
    portal: Rc<PortalSettings>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok((Some(mut inlet), _)) = portal.adapter.open() else {
        return;
    };
    let mut backoff = Backoff::new();
    let mut pace = Pace::new(portal.requests_per_minute);
    loop {
        let turn = turn(&shared, &portal, &mut inlet, &mut pace);
        let pause = tokio::select! {
            // One that is dropped in the middle has settled nothing that is not durable.
            turn = turn => match turn {
                Ok(pause) => {
                    backoff.good();
                    shared.view.fetched(&portal.name, None);
                    pause
                }
                Err(why) => {
                    let pause = backoff.next(random());
                    if shared.view.fetched(&portal.name, Some(why.to_string())) {
                        tracing::warn!(portal = %portal.name, "nothing can be fetched, it is tried again: {}", Masked(why));
                    }
                    pause
                }
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Asks once, and puts on the desk what came. Gives how long to wait before the next time.
async fn turn(
    shared: &Shared,
    portal: &PortalSettings,
    inlet: &mut AnyInlet,
    pace: &mut Pace,
) -> Result<Duration, Trouble> {
    let begun = Instant::now();
    let all = inlet.poll().await?;
    let (mut news, mut full) = (false, false);
    for arrival in &all {
        match put(shared, portal, arrival).await {
            Ok(Put::New) => {
                news = true;
                shared.bell.ring();
                settle(inlet, arrival).await?;
                sleep(pace.next()).await;
            }
            Ok(Put::Known) => settle(inlet, arrival).await?,
            // What is not settled comes again.
            Ok(Put::Full) => full = true,
            Ok(Put::Never(why)) => inlet.reject(arrival, why).await?,
            Err(e) => return Err(Trouble(format!("the desk: {e}"))),
        }
    }
    Ok(match (full, news) {
        (true, _) => FULL,
        (false, true) => Duration::ZERO,
        // A portal that waits until it has something need not be left alone.
        (false, false) => LULL.saturating_sub(begun.elapsed()),
    })
}

enum Put {
    New,
    Known,
    Full,
    Never(&'static str),
}

async fn put(
    shared: &Shared,
    portal: &PortalSettings,
    arrival: &Arrival,
) -> Result<Put, DeskError> {
    let (name, arrival) = (portal.name.clone(), arrival.clone());
    let done = shared
        .at_desk(move |desk, now| match &arrival.what {
            Incoming::Request(octets) => desk
                .take(&name, arrival.way, octets, now)
                .map(Done::Request),
            other => desk.event(&name, other, now).map(Done::Event),
        })
        .await?;
    Ok(match done {
        Done::Request(Taken::New(_) | Taken::Clarified(_)) => Put::New,
        Done::Request(Taken::Again(..)) => Put::Known,
        Done::Request(Taken::Refused(Refusal::Full)) => Put::Full,
        Done::Request(Taken::Refused(why)) => Put::Never(why.label()),
        // An event leaves a queue when it was heard, whatever it changed.
        Done::Event(Heard::As(_) | Heard::Noted | Heard::Unknown) => Put::Known,
    })
}

enum Done {
    Request(Taken),
    Event(Heard),
}

async fn settle(inlet: &mut AnyInlet, arrival: &Arrival) -> Result<(), Trouble> {
    let done = tokio::time::timeout(SETTLE, inlet.settle(arrival)).await;
    done.unwrap_or_else(|_| Err(Trouble("no end of a receipt".to_owned())))
}

/// Not more than so many new requests a minute.
#[derive(Debug)]
struct Pace {
    least: Duration,
    /// Those that may come at once after a quiet time.
    free: u32,
    most: u32,
    counted: Instant,
}

impl Pace {
    fn new(per_minute: u32) -> Self {
        let per_minute = per_minute.max(1);
        Self {
            least: Duration::from_secs(60) / per_minute,
            free: per_minute,
            most: per_minute,
            counted: Instant::now(),
        }
    }

    /// How long to wait after one more.
    fn next(&mut self) -> Duration {
        let quiet = self.counted.elapsed().as_nanos() / self.least.as_nanos().max(1);
        if let Ok(back) = u32::try_from(quiet)
            && back > 0
        {
            self.free = self.free.saturating_add(back).min(self.most);
            self.counted = Instant::now();
        }
        match self.free.checked_sub(1) {
            Some(left) => {
                self.free = left;
                Duration::ZERO
            }
            None => self.least,
        }
    }
}

/// Carries until it is told to stop; what is on its way then is finished.
pub(super) async fn carry(
    shared: Shared,
    portal: Rc<PortalSettings>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok((_, Some(mut outlet))) = portal.adapter.open() else {
        return;
    };
    let mut trouble = crate::host::trouble::Trouble::new("looking into the outbox");
    while !*stopped.borrow() {
        // One at a time: a lease is no longer than one delivery may take.
        let name = portal.name.clone();
        let ring = shared.bell.out.notified();
        tokio::pin!(ring);
        // Who looks first must not miss what comes while he looks.
        ring.as_mut().enable();
        let due = shared
            .at_desk(move |desk, now| desk.outbox(&name, 1, now))
            .await;
        trouble.handle(&due.as_ref().map(|_| ()).map_err(ToString::to_string));
        let parcel = due.ok().and_then(|all| all.into_iter().next());
        let Some(parcel) = parcel else {
            tokio::select! {
                () = ring => {}
                () = sleep(TICK) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
            continue;
        };
        let delivered = deliver(&mut outlet, &parcel).await;
        let failed = match &delivered {
            Delivered::Again { why, .. } => Some(why.clone()),
            _ => None,
        };
        if shared.view.carried(&portal.name, failed.clone())
            && let Some(why) = failed
        {
            tracing::warn!(portal = %portal.name, "nothing can be delivered, it is tried again: {}", Masked(why));
        }
        if let Delivered::Refused { why } = &delivered {
            tracing::error!(portal = %portal.name, request = %Masked(&parcel.subject), "the portal refuses an answer, a person must look: {}", Masked(why));
        }
        if delivered == Delivered::Gone {
            tracing::error!(portal = %portal.name, request = %Masked(&parcel.subject), "the portal knows nothing of what is answered; the request counts as taken back");
        }
        let settled = shared
            .at_desk(move |desk, now| desk.delivered(parcel.row, &delivered, random(), now))
            .await;
        if let Err(e) = settled {
            // It goes again when its lease is over, and the portal takes it once.
            tracing::error!(portal = %portal.name, "what became of a delivery could not be noted: {e}");
        }
    }
}

async fn deliver(outlet: &mut AnyOutlet, parcel: &crate::responder::case::Parcel) -> Delivered {
    let done = tokio::time::timeout(DELIVER, outlet.deliver(parcel)).await;
    done.unwrap_or_else(|_| Delivered::Again {
        why: "no end of a delivery".to_owned(),
        after: None,
    })
}
