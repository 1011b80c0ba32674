//! What the API asks of the service: look-ups by operators, coverage, who we are.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Shared, World};
use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::proof::sign::Signer;
use crate::responder::api::{About, ApiBackend};
use crate::responder::case::RequestKey;
use crate::responder::{self, Answered};
use crate::store::Lookup;
use crate::store::engine;
use crate::traceback::answer::Party;
use crate::traceback::request::{HopRequest, Insufficient};

/// What an operator is told while the store is being opened anew.
const SHUT: &str = "the store can't be read at the moment";

impl Shared {
    fn world(&self) -> Arc<World> {
        self.world.load_full()
    }

    /// What one question is asked of.
    fn store(&self) -> Result<Box<dyn Lookup>, String> {
        let reader = self.reader.load_full().ok_or_else(|| SHUT.to_owned())?;
        engine::ask(self.engine.as_ref(), &reader).map_err(|e| e.to_string())
    }
}

impl ApiBackend for Shared {
    fn taken(&self, _: &RequestKey) {
        self.bell.ring();
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.bell.moved()
    }

    fn read(&self, octets: &[u8]) -> Result<HopRequest, Insufficient> {
        HopRequest::parse(octets, &self.world().plan)
    }

    fn look_up(&self, request: &HopRequest, now: Timestamp) -> Result<Answered, String> {
        let (world, store) = (self.world(), self.store()?);
        responder::answer(request, &*store, &world.peers, &world.traceback, now)
            .map_err(|e| e.to_string())
    }

    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, String> {
        self.store()?
            .coverage(from, until)
            .map_err(|e| e.to_string())
    }

    fn sensors(&self) -> Vec<Arc<str>> {
        self.world().traceback.sensors.clone()
    }

    fn party(&self, peer: &str) -> Option<(Arc<str>, Party)> {
        let world = self.world();
        let peer = world.peers.peer(peer)?;
        Some((peer.id.clone(), Party::of(peer)))
    }

    fn about(&self) -> About {
        let world = self.world();
        About {
            name: Some(world.name.clone()),
            ids: vec![world.provider.clone()],
            retention_days: world.traceback.retention_days,
        }
    }

    fn signer(&self) -> Option<Arc<Signer>> {
        self.world().signer.clone()
    }
}
