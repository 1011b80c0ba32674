//! SIGHUP: all of a new configuration, or nothing of it.

use std::sync::Arc;

use super::{Daemon, RunError};
use crate::capture::hep::HepError;
use crate::config::Config;
use crate::daemon::intake::Note;
use crate::daemon::pipeline::{Order, PipelineSettings};
use crate::engine::mirror::MirrorLimits;
use crate::fetch::held::Reload;
use crate::host::{clock, supervisor};

impl Daemon {
    /// Takes all of the configuration as it is now, or nothing of it.
    pub(super) fn reload(&mut self) {
        supervisor::reloading();
        let outcome = self.take_new();
        self.show(outcome.is_ok());
        // Ready either way: what was there goes on.
        match outcome {
            Ok(()) => {
                tracing::info!(version = self.config.version, "reloaded");
                supervisor::ready("reloaded");
            }
            Err(why) => {
                tracing::error!("not reloaded, everything stays as it was: {why}");
                supervisor::ready("not reloaded, everything stays as it was: see the log");
            }
        }
    }

    fn take_new(&mut self) -> Result<(), String> {
        let new = Config::load(&self.path).map_err(|p| RunError::Config(p).to_string())?;
        let world = new.world().transpose().map_err(|e| e.to_string())?;
        // These are the only parts that can still refuse: all the rest has been checked.
        self.take_agents(&new).map_err(|e| e.to_string())?;
        if let Reload::Kept(why) = self.trust.reload(&new, clock::now()) {
            let old = self.config.clone();
            self.take_agents(&old).map_err(|e| format!("{why}; {e}"))?;
            return Err(why);
        }
        for note in self.trust.notes() {
            tracing::warn!("{note}");
        }
        // After what may refuse: its desk takes everything that was checked, unless its disk does not.
        if let (Some(responder), Some(world)) = (&self.responder, world)
            && let Err(e) = responder.reload(world)
        {
            tracing::error!("portals are answered as before: {e}");
        }
        if let (Some(api), Some(settings)) = (&self.api, &new.responder)
            && let Err(e) = api.reload(settings)
        {
            tracing::error!("who may use the API stays as it was: {e}");
        }
        let restart = needs_restart(&self.config, &new);
        if !restart.is_empty() {
            tracing::warn!(
                "changed, and taken at the next start only: {}",
                restart.join(", ")
            );
        }
        if let Some(log) = &self.log {
            log.set_level(new.log.level);
        }
        if let Some(findings) = &mut self.findings
            && let Err(e) = findings.reload(&new.findings)
        {
            // No thread to be had: all the rest of the configuration is as good without.
            tracing::error!("findings go where they went before: {e}");
        }
        self.steering.verify.store(Arc::new(new.verify_settings()));
        let mut stages = PipelineSettings::new(&new, Default::default(), 0).collect;
        stages.sensors = self.sensors.0.clone();
        let _ = self.orders.send(Order::Settings(Box::new(stages)));
        self.ask_clock();
        self.config = new;
        Ok(())
    }

    /// Takes the allow-list of HEP, and tells the ledger who looks from now on.
    fn take_agents(&mut self, new: &Config) -> Result<(), HepError> {
        let (Some(hep), Some(settings)) = (&self.hep, &new.hep) else {
            return Ok(());
        };
        let known = self.sensors.0.len();
        let settings = self.sensors.number(settings.clone());
        hep.reload(&settings)?;
        let source = self.readers.len();
        for sensor in self.sensors.0.iter().skip(known) {
            let _ = self.notes.send(Note::Sensor(sensor.name.clone()));
        }
        for (sensor, _) in (0u16..).zip(&self.sensors.0) {
            let asked = settings.agents.iter().any(|a| a.sensor == sensor);
            let of_hep = usize::from(sensor) >= self.config.capture.sensors().len();
            let _ = match (of_hep, asked) {
                (true, true) => self.notes.send(Note::Begin { source, sensor }),
                (true, false) => self.notes.send(Note::End { source, sensor }),
                (false, _) => Ok(()),
            };
        }
        Ok(())
    }
}

/// Settings that sockets, threads and folders were made by.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("[capture]", old.capture != new.capture),
        ("[run]", old.run != new.run),
        ("[store]", old.store != new.store),
        ("[hep] addresses", addresses(old) != addresses(new)),
        ("[hep] limits", hep_limits(old) != hep_limits(new)),
        ("[http]", old.http != new.http),
        ("[responder]", responder(old) != responder(new)),
        ("[limits]", old.assemble != new.assemble),
        (
            "[fetch]",
            (old.fetch_enabled, &old.fetch) != (new.fetch_enabled, &new.fetch),
        ),
        ("[log] format", old.log.format != new.log.format),
    ];
    changed
        .into_iter()
        .filter(|(_, c)| *c)
        .map(|(n, _)| n)
        .collect()
}

/// What a reload does not take of the responder: whether it is on, its folder, and what its listener was made by.
fn responder(config: &Config) -> Option<(&std::path::Path, Option<std::net::SocketAddr>, bool)> {
    let r = config.responder.as_ref()?;
    Some((&r.state, r.listen, r.tls.is_some()))
}

/// Those that the listener does not take at a reload.
fn hep_limits(config: &Config) -> Option<(MirrorLimits, usize)> {
    let hep = config.hep.as_ref()?;
    Some((hep.mirror, hep.limits.receive_buffer))
}

fn addresses(config: &Config) -> Option<[&[std::net::SocketAddr]; 3]> {
    let hep = config.hep.as_ref()?;
    Some([&hep.udp, &hep.tcp, &hep.tls])
}
