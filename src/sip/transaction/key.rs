//! How requests that come in find their transaction: RFC 3261 section 17.2.3.
//!
//! What the RFC compares is folded into a 128-bit digest under a secret, so that a key is one
//! word to copy and compare, holds nothing on the heap, and cannot be made to collide by who
//! does not know the secret. Two requests of one hour share a digest by accident with a chance
//! below 2^-80.
//!
//! Compared are the branch with its sent-by, the method (an ACK's is INVITE), and, by our
//! choice, the address the request came from: a branch that a stranger guessed (SIPp's, for one,
//! are foreseeable) then neither hides a call from us nor cancels one. A branch without the
//! magic cookie is of RFC 2543; there the request as such is compared, as that section says.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip128::Hasher128;
use siphasher::sip128::SipHasher13;

use crate::model::token::TokenSource;
use crate::sip::message::Message;
use crate::sip::message::StartLine;
use crate::sip::mint::MAGIC_COOKIE;
use crate::sip::name::HeaderName;
use crate::sip::name::Method;
use crate::sip::via::Via;

/// The identity of a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerKey(u128);

/// The identity of a request whatever way it took: From tag, Call-ID and CSeq, by which a merged
/// request is known (RFC 3261 section 8.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey(u128);

/// The names that every request bears, read once; empty or 0 where one is missing, which
/// validation finds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// The From tag: the peer's; RFC 2543 did without.
    pub(crate) from_tag: &'a [u8],
    /// The To tag, once there is one: ours.
    pub(crate) to_tag: Option<&'a [u8]>,
    /// The Call-ID.
    pub(crate) call_id: &'a [u8],
    /// The number of CSeq.
    pub(crate) cseq: u32,
}

impl<'a> Names<'a> {
    /// The names in `request`.
    pub(crate) fn of(request: &Message<'a>) -> Self {
        Self {
            from_tag: request.from().ok().and_then(|from| from.tag()).unwrap_or_default(),
            to_tag: request.to().ok().and_then(|to| to.tag()),
            call_id: request.call_id().unwrap_or_default(),
            cseq: request.cseq().map_or(0, |(number, _)| number),
        }
    }
}

/// Makes the digests of one shard.
#[derive(Debug)]
pub(crate) struct Digester {
    k0: u64,
    k1: u64,
}

impl Digester {
    /// A digester under a secret of its own.
    pub(crate) fn new(tokens: &mut TokenSource) -> Self {
        Self { k0: tokens.next_u64(), k1: tokens.next_u64() }
    }

    /// The transaction of `request` if its method were `method`: INVITE for an ACK, and for a
    /// CANCEL that looks for what it cancels (section 9.2).
    pub(crate) fn server_key(
        &self,
        request: &Message<'_>,
        names: &Names<'_>,
        via: &Via<'_>,
        method: Method,
        source: IpAddr,
    ) -> ServerKey {
        let mut hasher = self.hasher();
        hasher.write_u8(method as u8);
        match source {
            IpAddr::V4(v4) => hasher.write_u32(u32::from(v4)),
            IpAddr::V6(v6) => hasher.write_u128(u128::from(v6)),
        }
        match via.branch().filter(|branch| has_cookie(branch)) {
            Some(branch) => {
                write(&mut hasher, branch);
                write(&mut hasher, via.sent_by);
            }
            None => Self::write_old(&mut hasher, request, names),
        }
        ServerKey(hasher.finish128().as_u128())
    }

    /// The request of these names, by whatever way it came.
    pub(crate) fn request_key(&self, names: &Names<'_>) -> RequestKey {
        let mut hasher = self.hasher();
        Self::write_identity(&mut hasher, names);
        RequestKey(hasher.finish128().as_u128())
    }

    /// The secret part of a To tag for a response that no transaction remembers: the same for
    /// each repetition of the request (section 8.2.7).
    pub(crate) fn stateless_tag(&self, names: &Names<'_>) -> u64 {
        let mut hasher = self.hasher();
        hasher.write_u8(u8::MAX);
        Self::write_identity(&mut hasher, names);
        hasher.finish128().h1
    }

    /// RFC 2543: Request-URI, From tag, Call-ID, CSeq and the topmost Via as a whole. The To tag
    /// is left out, since that of an ACK is ours and no two requests of a dialog share a CSeq.
    fn write_old(hasher: &mut SipHasher13, request: &Message<'_>, names: &Names<'_>) {
        if let StartLine::Request { uri, .. } = request.start() {
            write(hasher, uri);
        }
        Self::write_identity(hasher, names);
        write(hasher, request.list(HeaderName::Via).next().unwrap_or_default());
    }

    fn write_identity(hasher: &mut SipHasher13, names: &Names<'_>) {
        write(hasher, names.from_tag);
        write(hasher, names.call_id);
        hasher.write_u32(names.cseq);
    }

    fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.k0, self.k1)
    }
}

/// Whether the branch is the cookie and something that makes it unique (RFC 4475 section 3.2.1
/// has one that is the cookie alone).
fn has_cookie(branch: &[u8]) -> bool {
    let head = branch.get(..MAGIC_COOKIE.len()).unwrap_or_default();
    branch.len() > head.len() && head.eq_ignore_ascii_case(MAGIC_COOKIE)
}

/// Writes a field with its length, so that two fields cannot run into each other.
fn write(hasher: &mut SipHasher13, field: &[u8]) {
    hasher.write_usize(field.len());
    hasher.write(field);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use crate::model::token::Seed;

    use super::*;

    const INVITE: &str = "INVITE sip:a@b SIP/2.0\nVia: SIP/2.0/UDP h:5070;branch=z9hG4bK1;rport\n\
        From: <sip:x@y>;tag=1\nTo: <sip:a@b>\nCall-ID: c\nCSeq: 1 INVITE\n\n";

    fn key(text: &str, method: Method, source: [u8; 4]) -> ServerKey {
        let digester = Digester::new(&mut TokenSource::new(Seed(1, 2)));
        let message = Message::parse(text.as_bytes()).unwrap();
        let via = message.via().unwrap();
        digester.server_key(
            &message,
            &Names::of(&message),
            &via,
            method,
            IpAddr::V4(Ipv4Addr::from(source)),
        )
    }

    #[test]
    fn requests_find_their_transaction_and_no_other() {
        let old = INVITE.replace("z9hG4bK1", "77");
        let bare = INVITE.replace("z9hG4bK1", "z9hG4bK");
        #[rustfmt::skip]
        let cases = [
            ("the same again", INVITE, INVITE.to_owned(), true),
            ("other headers, same branch", INVITE, INVITE.replace("Call-ID: c", "Call-ID: d"), true),
            ("another branch", INVITE, INVITE.replace("z9hG4bK1", "z9hG4bK2"), false),
            ("another sent-by", INVITE, INVITE.replace("h:5070", "h:5071"), false),
            ("RFC 2543, the same again", &old, old.clone(), true),
            ("RFC 2543, its ACK with our tag", &old, old.replace("To: <sip:a@b>", "To: <sip:a@b>;tag=9"), true),
            ("a cookie alone is no branch", &bare, bare.replace("CSeq: 1", "CSeq: 2"), false),
            ("RFC 2543, another CSeq", &old, old.replace("CSeq: 1", "CSeq: 2"), false),
            ("RFC 2543, another Request-URI", &old, old.replace("INVITE sip:a@b", "INVITE sip:c@b"), false),
            ("RFC 2543, another Via", &old, old.replace("h:5070", "h:5071"), false),
        ];
        let home = [192, 0, 2, 1];
        for (name, first, second, want) in cases {
            let is_same = key(first, Method::Invite, home) == key(&second, Method::Invite, home);
            assert_eq!(is_same, want, "{name}");
        }
        let invite = key(INVITE, Method::Invite, home);
        assert_ne!(invite, key(INVITE, Method::Cancel, home), "a CANCEL is its own transaction");
        assert_ne!(invite, key(INVITE, Method::Invite, [192, 0, 2, 2]), "another source");
    }
}
