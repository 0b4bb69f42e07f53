//! What only shows when the rooms work together: one binary, so that it links once.

mod cli;
mod demo;
mod sim;
