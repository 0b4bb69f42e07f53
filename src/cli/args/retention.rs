//! The arguments of `retention`, which are those of every verb.

pub(super) const RETENTION_EXAMPLES: &str = "\
Examples:
  bajavoz retention                        what keep-evidence and keep-calls would delete today
  bajavoz retention --config next/         the same by a configuration that is not in force yet

Nothing is deleted by asking: a running engine looks after that at its start and once a day. An
opt-out is refused for ever; what goes is what proves it, once the newest record of its number is
older than keep-evidence. Exits with 0 when nothing would be deleted, and with 1 when something would.";
