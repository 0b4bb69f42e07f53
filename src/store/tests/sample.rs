//! The opt-out that the store's tests, the crash sweep and the benches put on record, as long as
//! one of a real call.
//!
//! Whoever includes this file has the rooms `model` and `suppression` beside it by these names.

use super::model::Number;
use super::model::UnixMicros;
use super::suppression::OptOut;
use super::suppression::Origin;

/// The number of the opt-out `n`.
pub(crate) fn number(n: u64) -> Number {
    Number::from_e164_digits(34_600_000_000 + n).expect("the number is E.164")
}

/// The opt-out `n`, on two lists.
pub(crate) fn optout(n: u64) -> OptOut {
    OptOut {
        account: Some("acme".into()),
        campaign: Some("spring".into()),
        dialer: Some("vicidial".into()),
        digits: "9".parse().expect("9 is a key"),
        sip_call_id: Some(format!("call-{n}@host")),
        prompt_sha256: Some([7; 32]),
        ..OptOut::new(
            number(n),
            vec!["global".into(), "acme".into()],
            Origin::DialledCode,
            "madrid-1".into(),
            UnixMicros(1_795_000_000_000_000 + n.cast_signed()),
        )
    }
}
