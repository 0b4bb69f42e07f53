//! Call records: what happened on each call, leg by leg.
