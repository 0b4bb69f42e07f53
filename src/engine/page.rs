//! What the health and metrics page is told of a running engine.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::figures::Figures;
use super::registries::RegistryStanding;
use super::registries::standings;
use crate::api;
use crate::config::Checked;
use crate::net::clock;
use crate::store::Store;
use crate::suppression::Index;
use crate::telemetry::log;

/// What the health and metrics page reads.
pub(super) struct Page {
    pub(super) figures: Arc<Figures>,
    pub(super) index: Arc<Index>,
    pub(super) checked: Arc<ArcSwap<Checked>>,
    pub(super) store: Option<Arc<Store>>,
}

impl Page {
    /// Whether opt-outs cannot be made durable, or some were not and only this process knows them,
    /// or the database was to have some and does not.
    fn is_alarmed(&self) -> bool {
        let is_failing = |store: &Arc<Store>| {
            let is_unwritten = store.counters().optouts_unwritten > 0;
            store.failure().is_some() || is_unwritten || store.is_behind()
        };
        self.figures.is_alarmed() || self.store.as_ref().is_none_or(is_failing)
    }
}

impl api::Control for Page {
    fn ready(&self) -> api::Readiness {
        let mut reasons = Vec::new();
        if self.figures.is_draining() {
            reasons.push(api::NotReady::Draining);
        }
        if self.is_alarmed() {
            reasons.push(api::NotReady::StoreAlarm);
        }
        if self.index.is_stale(clock::now()) {
            reasons.push(api::NotReady::Stale);
        }
        api::Readiness { reasons }
    }

    fn metrics(&self) -> String {
        self.figures.metrics.store_alarm(self.is_alarmed());
        if let Some(store) = &self.store {
            let counters = store.counters();
            let is_away = self.figures.is_database_down() || store.is_behind();
            self.figures.metrics.database(is_away, counters.facts_waiting);
            self.figures.note_store(&counters, self.index.reversals_waiting());
        }
        if let Some(followed) = self.store.as_ref().and_then(|store| store.followed()) {
            self.figures.note_feed(&followed);
        }
        self.figures.note_log(log::lines_lost());
        let all = standings(&self.checked.load(), &self.index);
        for RegistryStanding { list, age_days, max_age_days, .. } in all {
            self.figures.metrics.registry_age(&list, age_days, max_age_days);
        }
        self.figures.metrics.render()
    }
}
