//! Response codes, and the matcher that turns a person's keys into verdicts.
//!
//! Pure: keys and `now` go in, [`Verdict`]s come out. What a verdict means (a list, a prompt, a
//! hang-up) is the campaign's business. Deliberately absent: what to do with keys before answer;
//! the caller does not hand them in.

pub mod code;
pub mod matcher;

pub use code::Code;
pub use code::CodeBook;
pub use code::CodeBookError;
pub use code::CodeId;
pub use code::Confirm;
pub use matcher::Matcher;
pub use matcher::Settings;
pub use matcher::Verdict;
