//! An allocator that counts, for benches, `tests/no_alloc.rs` and `tests/bounded.rs`: the system's
//! own, how often this thread asked it for memory, and how much it held at most.

#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Of this thread alone: a test harness has threads of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// What it holds, less what it was handed by others and gave back, and the most of it.
    static HELD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

fn hold(octets: usize) {
    let octets = i64::try_from(octets).unwrap_or(i64::MAX);
    HELD.with(|it| {
        let (held, most) = it.get();
        it.set((held + octets, most.max(held + octets)));
    });
}

fn release(octets: usize) {
    let octets = i64::try_from(octets).unwrap_or(i64::MAX);
    HELD.with(|it| it.set((it.get().0 - octets, it.get().1)));
}

// SAFETY: every call is handed to the system allocator unchanged; counting touches no memory of
// the caller, and its cells need neither allocation nor destruction. `realloc` and `alloc_zeroed`
// keep their defaults, which come through here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        hold(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        release(layout.size());
        // SAFETY: `pointer` came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread has allocated since it began.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// How much more memory this thread held at most in `work` than before it, in octets.
pub(crate) fn most_held<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.with(Cell::get).0;
    HELD.with(|it| it.set((before, before)));
    let done = work();
    (done, (HELD.with(Cell::get).1 - before).unsigned_abs())
}
