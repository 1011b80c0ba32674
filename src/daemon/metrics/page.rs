//! Families and values → Prometheus' text format 0.0.4.

use std::collections::BTreeMap;

use prometheus::{CounterVec, GaugeVec};
use prometheus::{Opts, Registry, TextEncoder};

use super::family::{Family, Kind};

/// A page being filled. Values of the same family and labels add up.
#[derive(Debug, Default)]
pub struct Page {
    registry: Registry,
    counters: BTreeMap<&'static str, CounterVec>,
    gauges: BTreeMap<&'static str, GaugeVec>,
    wrong: Vec<String>,
}

impl Page {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a count. Beyond 2^53 the last digits are lost, as everywhere in Prometheus.
    pub fn count(&mut self, family: &Family, labels: &[&str], n: u64) {
        self.value(family, labels, n as f64);
    }

    /// Puts a size.
    pub fn size(&mut self, family: &Family, labels: &[&str], n: usize) {
        self.value(family, labels, n as f64);
    }

    /// Puts yes as 1 and no as 0.
    pub fn truth(&mut self, family: &Family, labels: &[&str], yes: bool) {
        self.value(family, labels, f64::from(u8::from(yes)));
    }

    /// Puts a list of counts by name behind other labels: what the stages give by `iter()`.
    pub fn list(
        &mut self,
        family: &Family,
        labels: &[&str],
        counts: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        let mut all = labels.to_vec();
        for (name, n) in counts {
            all.push(name);
            self.count(family, &all, n);
            all.pop();
        }
    }

    /// Puts any number.
    pub fn value(&mut self, family: &Family, labels: &[&str], n: f64) {
        let put = match family.kind {
            Kind::Counter => self.put_counter(family, labels, n),
            Kind::Gauge => self.put_gauge(family, labels, n),
        };
        // A defect of ours, which costs this value and shows in the tests.
        if let Err(e) = put {
            self.wrong.push(format!("{}: {e}", family.name));
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }

    /// What was put wrongly: a family that does not exist so, or other labels than it has.
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    fn put_counter(&mut self, f: &Family, labels: &[&str], n: f64) -> prometheus::Result<()> {
        let vec = match self.counters.get(f.name) {
            Some(vec) => vec,
            None => {
                let vec = CounterVec::new(Opts::new(f.name, f.help), f.labels)?;
                self.registry.register(Box::new(vec.clone()))?;
                self.counters.entry(f.name).or_insert(vec)
            }
        };
        vec.get_metric_with_label_values(labels)?.inc_by(n);
        Ok(())
    }

    fn put_gauge(&mut self, f: &Family, labels: &[&str], n: f64) -> prometheus::Result<()> {
        let vec = match self.gauges.get(f.name) {
            Some(vec) => vec,
            None => {
                let vec = GaugeVec::new(Opts::new(f.name, f.help), f.labels)?;
                self.registry.register(Box::new(vec.clone()))?;
                self.gauges.entry(f.name).or_insert(vec)
            }
        };
        vec.get_metric_with_label_values(labels)?.add(n);
        Ok(())
    }
}
