//! Who looks, by number.

use std::sync::Arc;

use crate::call::record::Sensor;
use crate::capture::hep::HepSettings;
use crate::config::Config;
use crate::wire::Provenance;

/// Sensors by number. Who has a number keeps it, over reloads too: messages on their way bear it.
pub(super) struct Sensors(pub Vec<Sensor>);

impl Sensors {
    /// Those of interfaces; [`crate::capture::live::open`] numbers them so.
    pub fn of(config: &Config) -> Self {
        let wire = config.capture.sensors().into_iter().map(|name| Sensor {
            name,
            provenance: Provenance::Wire,
        });
        Self(wire.collect())
    }

    pub fn names(&self) -> Vec<Arc<str>> {
        self.0.iter().map(|s| s.name.clone()).collect()
    }

    /// Gives each agent the number of its name, and new names the next ones.
    pub fn number(&mut self, mut hep: HepSettings) -> HepSettings {
        for agent in &mut hep.agents {
            let known = |s: &Sensor| s.provenance == Provenance::Hep && s.name == agent.name;
            let place = self.0.iter().position(known).unwrap_or_else(|| {
                self.0.push(Sensor {
                    name: agent.name.clone(),
                    provenance: Provenance::Hep,
                });
                self.0.len() - 1
            });
            agent.sensor = u16::try_from(place).unwrap_or(u16::MAX);
        }
        hep
    }
}
