//! What time brings: deadlines that draw near, what is over, signed heads of the audit log, figures for whoever looks.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::Shared;
use crate::host::trouble::Trouble;
use crate::responder::audit::head;

/// How often figures are read for metrics and health; scrapers come every 15 s.
const FIGURES: Duration = Duration::from_secs(5);

/// How often deadlines are looked at, in turns of [`FIGURES`]: a percent of 24 h is a quarter of an hour.
const ALARMS: u64 = 6;

/// How often what is over is put away, in turns: ten minutes.
const SWEEP: u64 = 120;

/// How often it is looked whether a head is due, in turns: one minute.
const HEADS: u64 = 12;

/// Minds until it is told to stop.
pub(super) async fn mind(shared: Shared, mut stopped: watch::Receiver<bool>) {
    let mut trouble = Trouble::new("minding the desk");
    for turn in 0u64.. {
        let minded = one_turn(&shared, turn).await;
        trouble.handle(&minded);
        tokio::select! {
            () = sleep(FIGURES) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn one_turn(shared: &Shared, turn: u64) -> Result<(), String> {
    let said = |e: crate::responder::desk::DeskError| e.to_string();
    if turn.is_multiple_of(ALARMS) {
        let alarms = shared.at_desk(|desk, now| desk.alarms(now)).await;
        for a in alarms.map_err(said)? {
            let (percent, due) = (a.percent, a.due);
            match percent {
                100.. => {
                    tracing::error!(request = %a.key, case = %a.case_id, state = %a.state, %due, "its time is over");
                }
                _ => {
                    tracing::warn!(request = %a.key, case = %a.case_id, state = %a.state, %due, "{percent} percent of its time have run");
                }
            }
        }
    }
    if turn.is_multiple_of(SWEEP) {
        let swept = shared.at_desk(|desk, now| desk.sweep(now)).await;
        let swept = swept.map_err(said)?;
        if swept.expired + swept.undeliverable > 0 {
            tracing::warn!(
                expired = swept.expired,
                undeliverable = swept.undeliverable,
                "requests and reports whose time is over"
            );
        }
    }
    let signer = shared.world.load().signer.clone();
    if turn.is_multiple_of(HEADS)
        && let Some(signer) = signer
    {
        let kept = shared
            .at_desk(move |desk, now| desk.with(|t| head::keep_if_due(t, &signer, now).map(drop)))
            .await;
        kept.map_err(said)?;
    }
    let figures = shared.at_desk(|desk, _| desk.figures()).await;
    shared
        .view
        .figures_are(figures.map_err(said)?, (shared.now)());
    Ok(())
}
