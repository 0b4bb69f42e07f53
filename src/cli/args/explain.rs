//! Arguments of `explain`.

use clap::Args;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// The number, as +34600123456 or as people write it in node.default-region.
    #[arg(allow_hyphen_values = true)]
    pub(in crate::cli) number: String,
    /// The campaign that would call.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) campaign: String,
}

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  bajavoz explain +34600123456 --campaign promo-otono
  bajavoz explain '600 123 456' --campaign promo-otono && dial 600123456

Exits with 0 when the number may be called and 1 when it must not, so that a script can ask.";
