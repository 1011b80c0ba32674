//! What time brings: deadlines that draw near, what is over, signed heads of the audit log, figures for whoever looks.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::Shared;
use crate::base::text::Masked;
use crate::host::trouble::Trouble;
use crate::proof::audit::head;

/// How often figures are read for metrics and health; scrapers come every 15 s.
const FIGURES: Duration = Duration::from_secs(5);

/// How often deadlines are looked at, in turns of [`FIGURES`]: a percent of 24 h is a quarter of an hour.
const ALARMS: u64 = 6;

/// How often what is over is put away, in turns: ten minutes.
const SWEEP: u64 = 120;

/// How often campaigns are looked at that may be reported: ten minutes, as often as a campaign that grows is stored.
const REPORTS: u64 = 120;

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
                    tracing::error!(request = %Masked(&a.key), case = %Masked(&a.case_id), state = %a.state, %due, "its time is over");
                }
                _ => {
                    tracing::warn!(request = %Masked(&a.key), case = %Masked(&a.case_id), state = %a.state, %due, "{percent} percent of its time have run");
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
    if turn.is_multiple_of(REPORTS) {
        report(shared).await?;
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

/// Campaigns of kinds that are switched on go to their portals.
async fn report(shared: &Shared) -> Result<(), String> {
    let world = shared.world.load_full();
    let Some(reader) = shared.reader.load_full() else {
        return Ok(());
    };
    // Without a key nothing can be signed.
    let portals = &world.settings.portals;
    if world.signer.is_none() || portals.iter().all(|p| p.reports.is_empty()) {
        return Ok(());
    }
    let rounds = shared.at_desk(move |desk, now| {
        let provider = world.traceback.provider.as_ref();
        let one = |p| {
            crate::responder::report::post(desk, reader.as_ref(), &world.peers, p, provider, now)
        };
        let posted = world.settings.portals.iter().map(one);
        Ok(posted
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string()))
    });
    let rounds = rounds.await.map_err(|e| e.to_string())??;
    if rounds.iter().any(|r| r.posted > 0) {
        shared.bell.ring();
    }
    Ok(())
}
