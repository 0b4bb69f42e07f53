//! The command line.

pub mod phones;
