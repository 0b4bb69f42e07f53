//! The calls in progress, for people who watch: the shard writes, anybody reads.

use dashmap::DashMap;

use crate::call::LiveCall;
use crate::call::VoiceId;

/// The calls in progress of the shard that writes here. It has as many entries as there are calls, which
/// `limits.calls-max` of the configuration bounds.
#[derive(Debug, Default)]
pub(super) struct LiveCalls {
    calls: DashMap<VoiceId, LiveCall>,
}

impl LiveCalls {
    /// A call was let in.
    pub(super) fn begins(&self, voice: VoiceId, call: LiveCall) {
        self.calls.insert(voice, call);
    }

    /// A call is over.
    pub(super) fn ends(&self, voice: VoiceId) {
        self.calls.remove(&voice);
    }

    /// All of them, the oldest first. A call that begins or ends meanwhile may be in it or not.
    pub(super) fn list(&self) -> Vec<LiveCall> {
        let mut calls: Vec<LiveCall> = self.calls.iter().map(|entry| entry.clone()).collect();
        calls.sort_by_key(|call| (call.began_at, call.call));
        calls
    }
}
