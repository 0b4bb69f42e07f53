//! Which way media flows, and the rules by which an answer follows from an offer.

/// The direction of a stream, as the side that states it sees it (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// This side sends and does not want to receive: hold.
    SendOnly,
    /// This side receives and does not send.
    RecvOnly,
    /// Neither way; RTCP goes on.
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    /// The direction with these two halves.
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether this side sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether this side receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same flow as the other side sees it (RFC 3264 section 6.1).
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::of(self.receives(), self.sends())
    }

    /// What remains when both `self` and `other` must allow a flow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The name of the attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The direction that an attribute names.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| direction.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_mirrors_its_offer() {
        // RFC 3264 section 6.1.
        let cases = [
            (Direction::SendRecv, Direction::SendRecv),
            (Direction::SendOnly, Direction::RecvOnly),
            (Direction::RecvOnly, Direction::SendOnly),
            (Direction::Inactive, Direction::Inactive),
        ];
        for (offered, answered) in cases {
            assert_eq!(offered.reversed(), answered);
            assert_eq!(Direction::from_name(offered.name()), Some(offered));
        }
        assert_eq!(Direction::SendOnly.and(Direction::RecvOnly), Direction::Inactive);
    }
}
