//! A carrier: a signalling address behind which there is a phone for every INVITE.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use rsip::Method;
use rsip::SipMessage;
use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;

use super::phone::Phone;
use super::report::PhoneOutput;
use super::script::Script;

/// A carrier and the phones it has rung.
#[derive(Debug)]
pub struct Carrier {
    sip: SocketAddr,
    script: Script,
    phones: HashMap<String, Phone>,
    seed: u32,
    invites: u64,
}

impl Carrier {
    /// A carrier at `sip` whose phones all follow `script`.
    pub fn new(sip: SocketAddr, script: Script, seed: u32) -> Self {
        Self { sip, script, phones: HashMap::new(), seed, invites: 0 }
    }

    /// From now on new phones follow `script`.
    pub fn set_script(&mut self, script: Script) {
        self.script = script;
    }

    /// How many INVITEs came that were no repetition.
    pub fn invites(&self) -> u64 {
        self.invites
    }

    /// The phones, in no particular order.
    pub fn phones(&self) -> impl Iterator<Item = &Phone> {
        self.phones.values()
    }

    /// A datagram came in from `engine`; a new phone hears RTP at the address that `rtp` gives.
    pub fn handle_sip(
        &mut self,
        now: Instant,
        engine: SocketAddr,
        datagram: &[u8],
        rtp: impl FnOnce() -> SocketAddr,
    ) {
        let Ok(message) = SipMessage::try_from(datagram) else { return };
        let Ok(call_id) = message.call_id_header().map(|id| id.value().to_owned()) else { return };
        if let Some(phone) = self.phones.get_mut(&call_id) {
            return phone.handle_sip(now, message);
        }
        let SipMessage::Request(request) = message else { return };
        if *request.method() == Method::Invite {
            self.invites += 1;
            self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let script = self.script.clone();
            let phone = Phone::called(now, script, self.sip, rtp(), engine, request, self.seed);
            self.phones.insert(call_id, phone);
        }
    }

    /// An RTP packet came in at `rtp`, where one phone at a time hears.
    pub fn handle_rtp(&mut self, now: Instant, rtp: SocketAddr, datagram: &[u8]) {
        let mut phones = self.phones.values_mut();
        if let Some(phone) = phones.find(|phone| phone.rtp() == rtp && !phone.is_over()) {
            phone.handle_rtp(now, datagram);
        }
    }

    /// The next moment at which a phone does something by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.phones.values().filter_map(Phone::poll_timeout).min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.phones.values_mut().for_each(|phone| phone.handle_timeout(now));
    }

    /// The next thing to send, with the RTP address of the phone that sends it.
    pub fn poll(&mut self) -> Option<(SocketAddr, PhoneOutput)> {
        self.phones.values_mut().find_map(|phone| Some((phone.rtp(), phone.poll()?)))
    }
}
