//! Requests that the end of their session has overtaken: what they say was said in time.
//!
//! ```text
//! peer   INFO 7 ----\    /---- BYE 8
//!                    \  /
//!                     \/      the key of INFO 7 was pressed before the hang-up
//!                     /\
//! us     <-----------/  \------>
//!        BYE 8: over     INFO 7: told once, answered with 481
//! ```

use std::time::Duration;
use std::time::Instant;

/// How long an INFO may lag behind the end of its session: as long as packets of its media count
/// after a hang-up.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(500);

/// Most INFOs that are told of after the end. Ours: as many keys as a person presses in that time.
const LATE_INFOS_MAX: usize = 8;

/// What is remembered of a session that is over.
#[derive(Debug)]
pub(crate) struct Late {
    /// When nothing counts any more.
    ends_at: Instant,
    /// The peer's last CSeq before its BYE: what is not above it was told before, or is stale.
    after: Option<u32>,
    /// The CSeq of the peer's BYE, if that ended the session: nothing follows that.
    before: Option<u32>,
    /// The CSeqs that were told since.
    told: Vec<u32>,
}

impl Late {
    /// The session has ended at `now`.
    pub(crate) fn new(now: Instant, after: Option<u32>, before: Option<u32>) -> Self {
        Self { ends_at: now + LATE_MAX, after, before, told: Vec::new() }
    }

    /// Whether the INFO of this CSeq was sent before the end, and is heard of for the first time.
    pub(crate) fn accept(&mut self, cseq: u32) -> bool {
        let is_fresh = self.after.is_none_or(|after| cseq > after)
            && self.before.is_none_or(|before| cseq < before)
            && !self.told.contains(&cseq)
            && self.told.len() < LATE_INFOS_MAX;
        if is_fresh {
            self.told.push(cseq);
        }
        is_fresh
    }

    /// When nothing counts any more.
    pub(crate) const fn poll_timeout(&self) -> Instant {
        self.ends_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::transaction::schedule::zero;

    #[test]
    fn what_was_sent_before_the_end_counts_once() {
        let cases = [
            ("between the last request and the BYE", Some(3), Some(6), vec![4, 5], vec![4, 5]),
            ("in any order", Some(3), Some(6), vec![5, 4], vec![5, 4]),
            ("once each", Some(3), Some(6), vec![4, 4], vec![4]),
            ("nothing that is stale", Some(3), Some(6), vec![2, 3], vec![]),
            ("nothing behind the BYE", Some(3), Some(6), vec![6, 7], vec![]),
            ("the first request of a peer", None, Some(6), vec![1], vec![1]),
            ("anything new where we have hung up", Some(3), None, vec![3, 900], vec![900]),
            ("eight and no ninth", None, None, (1..=9).collect(), (1..=8).collect()),
        ];
        for (name, after, before, heard, want) in cases {
            let mut late = Late::new(zero(), after, before);
            let taken: Vec<u32> = heard.into_iter().filter(|&cseq| late.accept(cseq)).collect();
            assert_eq!(taken, want, "{name}");
        }
    }
}
