//! Handles by which the rooms above name what the endpoint owns.

/// One INVITE session of ours: one leg of a call. The upper eight bits are the shard
/// (`sip::slab` draws the layout); a handle of a session that is gone names nothing, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A request that waits for [`super::Endpoint::respond`]; laid out as [`SessionId`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub u64);

/// A listener, by its place in [`super::Settings::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u8);
