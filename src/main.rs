//! The `bajavoz` program; everything it does is in the library's `cli`.

fn main() {}
