//! What time brings: reminders, silence, signed heads of the audit log, figures for whoever looks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::View;
use crate::base::Timestamp;
use crate::host::trouble::Trouble;
use crate::portal::docket::Docket;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often figures are read, in ticks; scrapers come every 15 s.
const FIGURES: u64 = 5;
/// How often it is looked whether a signed head is due, in ticks.
const HEADS: u64 = 60;

/// Minds until it is told to stop.
pub(super) async fn run(
    docket: Arc<Docket>,
    view: Arc<View>,
    now: fn() -> Timestamp,
    mut stopped: watch::Receiver<bool>,
) {
    let mut trouble = Trouble::new("minding deadlines");
    for turn in 0u64.. {
        let (docket, view) = (docket.clone(), view.clone());
        let minded = tokio::task::spawn_blocking(move || one_turn(&docket, &view, now(), turn));
        let minded = minded.await.map_err(|e| e.to_string()).flatten();
        trouble.handle(&minded);
        let wait = match minded {
            // There is more that is due: at once, but others write as well.
            Ok(true) => Duration::from_millis(10),
            _ => TICK,
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Gives whether there is more to do.
fn one_turn(docket: &Docket, view: &View, now: Timestamp, turn: u64) -> Result<bool, String> {
    let ticked = docket.tick(now).map_err(|e| e.to_string())?;
    view.ticked(now);
    if ticked.overdue > 0 {
        tracing::warn!(questions = ticked.overdue, "no answer in time");
    }
    if turn.is_multiple_of(HEADS) {
        docket.keep_head(now).map_err(|e| e.to_string())?;
    }
    if turn.is_multiple_of(FIGURES) {
        view.figures_are(docket.figures().map_err(|e| e.to_string())?);
    }
    Ok(ticked.more)
}
