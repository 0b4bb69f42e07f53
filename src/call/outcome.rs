//! How a call ended, as the dialer is told it in a header, and the refusals of the gate.

use crate::model::Digits;
use crate::model::ListName;
use crate::model::RecordId;
use crate::sip::Headers;

/// The header that tells a dialer what became of its call, unless it wants another.
pub const OUTCOME_HEADER: &str = "X-Bajavoz-Outcome";

/// The Reason of a call that ended in the ordinary way (RFC 3326; Q.850 cause 16).
const NORMAL_CLEARING: &str = "Q.850;cause=16;text=\"Normal call clearing\"";

/// What a dialer's leg is told when it is hung up or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The person opted out, and the record is durable.
    OptOut {
        /// The keys pressed.
        digits: Digits,
        /// The durable record.
        record: RecordId,
    },
    /// The person opted out, but the record could not be made durable.
    NotRecorded {
        /// The keys pressed.
        digits: Digits,
    },
    /// The number stands on a list that the campaign checks.
    Suppressed {
        /// The first such list.
        list: ListName,
    },
    /// Refused for another reason than a list; a short word for it.
    Refused(&'static str),
    /// An ordinary end.
    Ended(&'static str),
}

impl Outcome {
    /// The value of the outcome header.
    pub fn header(&self) -> String {
        match self {
            Self::OptOut { digits, record } => format!("opt-out;digits={digits};record={record}"),
            Self::NotRecorded { digits } => format!("not-recorded;digits={digits}"),
            Self::Suppressed { list } => format!("suppressed;list={list}"),
            Self::Refused(why) => format!("refused;reason={why}"),
            Self::Ended(why) => format!("ended;reason={why}"),
        }
    }

    /// The headers of the BYE to the dialer, with this outcome under the name `outcome_header`.
    pub fn bye_headers(&self, outcome_header: &str) -> Headers {
        clearing_headers().with(outcome_header, &self.header())
    }
}

/// The headers of the BYE or CANCEL to a carrier: what came of the call is between its dialer and
/// us, and keys and records of a person are nobody else's.
pub(super) fn clearing_headers() -> Headers {
    Headers::new().with("Reason", NORMAL_CLEARING)
}
