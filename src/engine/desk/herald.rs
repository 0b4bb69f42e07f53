//! Who is told of a number that is opted out at a desk: the shards, whose calls may ring for it.

use std::fmt;
use std::sync::Arc;

use crate::model::Number;

/// Tells of each number as soon as the index refuses it, before the disk has answered.
#[derive(Clone)]
pub struct Herald(Option<Arc<dyn Fn(Number) + Send + Sync>>);

impl Herald {
    /// Tells `listener`, on the thread that the desk is asked on; it may wait.
    pub fn new(listener: impl Fn(Number) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Tells nobody: there are no calls.
    pub const fn none() -> Self {
        Self(None)
    }

    /// The index refuses `number` from now on.
    pub(super) fn tell(&self, number: Number) {
        if let Some(listener) = &self.0 {
            listener(number);
        }
    }
}

impl fmt::Debug for Herald {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Herald").field("tells", &self.0.is_some()).finish()
    }
}
