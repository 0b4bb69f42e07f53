//! The command line.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

pub mod demo;
pub mod phones;
