//! A dialog: what two user agents must remember to speak within a call (RFC 3261 section 12).

use std::net::SocketAddr;

use super::address::NameAddr;
use super::message::Message;
use super::name::HeaderName;
use super::transaction::key::Names;
use super::transport;

/// One side's state of a dialog. The Call-ID and our tag stand in the session.
#[derive(Debug)]
pub(crate) struct Dialog {
    /// Our From, with our tag.
    pub(crate) local: Box<[u8]>,
    /// Our To, with the peer's tag if it has one.
    pub(crate) remote: Box<[u8]>,
    /// The peer's tag; empty for one of RFC 2543.
    pub(crate) remote_tag: Box<[u8]>,
    /// The CSeq of our last request.
    pub(crate) local_cseq: u32,
    /// The CSeq of the peer's last request.
    pub(crate) remote_cseq: Option<u32>,
    /// Where our next request goes.
    pub(crate) next_hop: SocketAddr,
    /// The peer's Contact URI.
    target: Box<[u8]>,
    /// The route set, in the order in which we write it.
    routes: Vec<Box<[u8]>>,
    /// Whether the first route is of RFC 2543 and wants to stand in the Request-URI.
    is_strict: bool,
    /// Where the peer has been heard, should its URIs not say where it is.
    known: SocketAddr,
}

impl Dialog {
    /// The dialog that our 2xx or tagged 1xx to `invite` opens: section 12.1.1. `local_tag` is
    /// ours, `known` where the peer is heard.
    pub(crate) fn of_request(
        invite: &Message<'_>,
        names: &Names<'_>,
        local_tag: &[u8],
        known: SocketAddr,
    ) -> Self {
        let mut local = unfolded(invite.header(HeaderName::To).unwrap_or_default());
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag);
        let routes = invite.list(HeaderName::RecordRoute).map(boxed).collect();
        // RFC 2543 did without a Contact: who sent it is where it is sent.
        let target = invite.contact().or_else(|_| invite.from()).map(|contact| contact.address);
        let mut dialog = Self {
            local: local.into_boxed_slice(),
            remote: boxed(invite.header(HeaderName::From).unwrap_or_default()),
            remote_tag: names.from_tag.into(),
            local_cseq: 0,
            remote_cseq: Some(names.cseq),
            target: target.unwrap_or(b"sip:unknown@invalid").into(),
            routes,
            is_strict: false,
            known,
            next_hop: known,
        };
        dialog.find_next_hop();
        dialog
    }

    /// The dialog that a 2xx to our `invite` opens: section 12.1.2.
    pub(crate) fn of_response(
        invite: &Message<'_>,
        response: &Message<'_>,
        known: SocketAddr,
    ) -> Self {
        let to = response.to().ok();
        let request_target = match invite.start() {
            super::StartLine::Request { uri, .. } => uri,
            super::StartLine::Response { .. } => b"",
        };
        let mut routes: Vec<_> = response.list(HeaderName::RecordRoute).map(boxed).collect();
        routes.reverse();
        let mut dialog = Self {
            local: boxed(invite.header(HeaderName::From).unwrap_or_default()),
            remote: boxed(response.header(HeaderName::To).unwrap_or_default()),
            remote_tag: to.and_then(|to| to.tag()).unwrap_or_default().into(),
            local_cseq: invite.cseq().map_or(1, |(number, _)| number),
            remote_cseq: None,
            target: response.contact().map_or(request_target, |contact| contact.address).into(),
            routes,
            is_strict: false,
            known,
            next_hop: known,
        };
        dialog.find_next_hop();
        dialog
    }

    /// Replaces the remote target by that of a re-INVITE or UPDATE (section 12.2).
    pub(crate) fn refresh(&mut self, target: &[u8]) {
        self.target = target.into();
        self.find_next_hop();
    }

    /// Takes note of the peer's CSeq; false when it is not above the last (section 12.2.2: a
    /// lower one is to be refused, a gap is not; the same one again is a replay).
    pub(crate) fn accept_cseq(&mut self, number: u32) -> bool {
        accept_cseq(&mut self.remote_cseq, number)
    }

    /// The Request-URI of our requests (section 12.2.1.1).
    pub(crate) fn request_uri(&self) -> &[u8] {
        match self.routes.first() {
            Some(route) if self.is_strict => address_of(route),
            _ => &self.target,
        }
    }

    /// The Route values of our requests; the last of them needs angle brackets where it is the
    /// target, which the flag says.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let skipped = usize::from(self.is_strict);
        let last = self.is_strict.then_some((&*self.target, true));
        self.routes.iter().skip(skipped).map(|route| (&**route, false)).chain(last)
    }

    fn find_next_hop(&mut self) {
        self.is_strict = self.routes.first().is_some_and(|route| is_strict(route));
        let uri = self.routes.first().map_or(&*self.target, |route| address_of(route));
        self.next_hop = transport::next_hop(uri, self.known);
    }
}

/// Section 12.2.2 for a sequence number that may not be known yet.
pub(crate) fn accept_cseq(last: &mut Option<u32>, number: u32) -> bool {
    let is_new = last.is_none_or(|last| number > last);
    if is_new {
        *last = Some(number);
    }
    is_new
}

fn address_of(route: &[u8]) -> &[u8] {
    NameAddr::parse(route).map_or(route, |address| address.address)
}

fn is_strict(route: &[u8]) -> bool {
    let uri = NameAddr::parse(route).and_then(|address| address.uri());
    uri.is_ok_and(|uri| !uri.params.contains("lr"))
}

/// A value of another message, with its folding as spaces, so that it stands on one line.
fn unfolded(value: &[u8]) -> Vec<u8> {
    value.iter().map(|&octet| if matches!(octet, b'\r' | b'\n') { b' ' } else { octet }).collect()
}

fn boxed(value: &[u8]) -> Box<[u8]> {
    unfolded(value).into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:600@192.0.2.10 SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\n\
        From: \"A\"\r\n <sip:x@y>;tag=their\nTo: <sip:600@y>\nCall-ID: c\nCSeq: 7 INVITE\n\
        Contact: <sip:x@192.0.2.7:5070;transport=udp>\n";

    fn text(octets: &[u8]) -> String {
        String::from_utf8_lossy(octets).into_owned()
    }

    /// Request-URI, routes and next hop of the dialog that an INVITE with these further headers
    /// opens for its receiver.
    fn play(headers: &str) -> String {
        let request = format!("{INVITE}{headers}\n");
        let message = Message::parse(request.as_bytes()).unwrap();
        let dialog = Dialog::of_request(
            &message,
            &Names::of(&message),
            b"ours",
            "192.0.2.1:5060".parse().unwrap(),
        );
        assert_eq!(text(&dialog.local), "<sip:600@y>;tag=ours");
        assert_eq!(text(&dialog.remote), "\"A\"   <sip:x@y>;tag=their", "folding is undone");
        assert_eq!((text(&dialog.remote_tag), dialog.remote_cseq), ("their".to_owned(), Some(7)));
        let routes: Vec<_> = dialog
            .routes()
            .map(|(route, bare)| format!("{}{}", text(route), if bare { "!" } else { "" }))
            .collect();
        format!("{} [{}] {}", text(dialog.request_uri()), routes.join(" "), dialog.next_hop)
    }

    #[test]
    fn a_route_set_is_followed() {
        let cases = [
            ("no route: the Contact", "", "sip:x@192.0.2.7:5070;transport=udp [] 192.0.2.7:5070"),
            (
                "loose routes, in order, over two lines",
                "Record-Route: <sip:192.0.2.20;lr>, <sip:192.0.2.21;lr>\nRecord-Route: <sip:p.y;lr>\n",
                "sip:x@192.0.2.7:5070;transport=udp [<sip:192.0.2.20;lr> <sip:192.0.2.21;lr> \
                 <sip:p.y;lr>] 192.0.2.20:5060",
            ),
            (
                "a strict route goes into the Request-URI, the target to the end",
                "Record-Route: <sip:192.0.2.20>, <sip:192.0.2.21;lr>\n",
                "sip:192.0.2.20 [<sip:192.0.2.21;lr> sip:x@192.0.2.7:5070;transport=udp!] \
                 192.0.2.20:5060",
            ),
            (
                "a route by name goes where the peer is heard",
                "Record-Route: <sip:proxy.example;lr>\n",
                "sip:x@192.0.2.7:5070;transport=udp [<sip:proxy.example;lr>] 192.0.2.1:5060",
            ),
        ];
        for (name, headers, want) in cases {
            assert_eq!(play(headers), want, "{name}");
        }
    }

    #[test]
    fn the_caller_reverses_the_routes_and_takes_the_contact() {
        let invite = format!("{INVITE}\n");
        let invite = Message::parse(invite.as_bytes()).unwrap();
        let response = "SIP/2.0 200 OK\nTo: <sip:600@y>;tag=far\nRecord-Route: <sip:192.0.2.20;lr>\n\
            Record-Route: <sip:192.0.2.21;lr>\nContact: <sip:f@192.0.2.9>\n\n";
        let response = Message::parse(response.as_bytes()).unwrap();
        let known = "192.0.2.1:5060".parse().unwrap();
        let mut dialog = Dialog::of_response(&invite, &response, known);
        let routes: Vec<_> = dialog.routes().map(|(route, _)| text(route)).collect();
        assert_eq!(routes, ["<sip:192.0.2.21;lr>", "<sip:192.0.2.20;lr>"]);
        assert_eq!(dialog.next_hop.to_string(), "192.0.2.21:5060");
        assert_eq!((text(dialog.request_uri()), dialog.local_cseq), ("sip:f@192.0.2.9".into(), 7));
        dialog.refresh(b"sip:g@192.0.2.9:5099");
        assert_eq!(text(dialog.request_uri()), "sip:g@192.0.2.9:5099");

        let bare = Message::parse(b"SIP/2.0 200 OK\nTo: <sip:600@y>;tag=far\n\n").unwrap();
        let dialog = Dialog::of_response(&invite, &bare, known);
        assert_eq!(text(dialog.request_uri()), "sip:600@192.0.2.10", "no Contact: as dialled");
    }

    #[test]
    fn sequence_numbers_only_rise() {
        let mut last = None;
        let cases = [(7, true), (7, false), (6, false), (8, true), (1_000, true), (999, false)];
        for (number, want) in cases {
            assert_eq!(accept_cseq(&mut last, number), want, "{number}");
        }
    }
}
