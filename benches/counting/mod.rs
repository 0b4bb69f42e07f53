//! An allocator that counts, for benches and for `tests/no_alloc.rs`: the system's own, and how
//! often this thread asked it for memory.

#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Of this thread alone: a test harness has threads of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system allocator unchanged; counting touches no memory of
// the caller, and its cell needs neither allocation nor destruction. `realloc` and `alloc_zeroed`
// keep their defaults, which come through here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
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
