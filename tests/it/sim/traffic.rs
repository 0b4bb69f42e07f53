//! The datagrams of a world: from whom, to whom, and what they set off.

use std::net::SocketAddr;

use rsip::SipMessage;

use bajavoz::cli::phones::Phone;
use bajavoz::cli::phones::PhoneOutput;
use bajavoz::sip::ListenerId;

use super::network::CARRIER;
use super::network::Datagram;
use super::network::ENGINE;
use super::network::STRANGER;
use super::network::caller_rtp;
use super::network::caller_sip;
use super::node::Said;
use super::world::Happening;
use super::world::World;

impl World {
    /// A key that nobody of the call has pressed.
    pub(super) fn stranger_sends(&mut self) {
        let nth = self.dice.next();
        let Some(to) = self.node.any_port(nth) else { return };
        let mut packet = vec![0x80, 0x80 | 99, 0, nth as u8, 0, 0, 0, 0, 9, 9, 9, 9];
        packet.extend([9, 0x80 | 10, 3, 0x20]);
        self.send(Datagram { from: STRANGER, to, bytes: packet.into() });
    }

    pub(super) fn send(&mut self, datagram: Datagram) {
        for after in self.plan.weather.arrivals(&mut self.dice) {
            self.schedule(after, Happening::Arrives(datagram.clone()));
        }
    }

    pub(super) fn arrives(&mut self, datagram: &Datagram) {
        let now = self.now;
        if datagram.to == ENGINE {
            self.witness.reaches_engine(now, self.life, &datagram.bytes);
            let calls = &mut self.node.calls;
            calls.handle_datagram(now, ListenerId(0), datagram.from, &datagram.bytes);
            self.pump();
        } else if datagram.to.ip() == ENGINE.ip() {
            let mut said = Said::default();
            if let Some(id) = self.node.rtp(now, datagram, &mut said) {
                self.said(id, said);
            }
        } else if datagram.to == CARRIER {
            self.reaches_carrier(&datagram.bytes);
        } else if datagram.to.ip() == CARRIER.ip() {
            self.carrier.handle_rtp(now, datagram.to, &datagram.bytes);
        } else {
            self.reaches_caller(datagram);
        }
    }

    fn reaches_carrier(&mut self, bytes: &[u8]) {
        if let Some(n) = self.witness.call_of_invite(bytes) {
            self.carrier.set_script(self.plan.calls[n].called.clone());
        }
        let ports = &mut self.carrier_ports;
        self.carrier.handle_sip(self.now, ENGINE, bytes, || {
            *ports += 2;
            SocketAddr::new(CARRIER.ip(), *ports)
        });
        self.pump_carrier();
    }

    fn reaches_caller(&mut self, datagram: &Datagram) {
        let at = |n: &usize| datagram.to.ip() == caller_sip(*n).ip();
        let Some(n) = (0..self.callers.len()).find(at) else { return };
        let Some(phone) = &mut self.callers[n] else { return };
        if datagram.to == caller_rtp(n) {
            phone.handle_rtp(self.now, &datagram.bytes);
        } else if let Ok(message) = SipMessage::try_from(&*datagram.bytes) {
            phone.handle_sip(self.now, message);
        }
        self.pump_caller(n);
    }

    pub(super) fn pump_caller(&mut self, n: usize) {
        while let Some(output) = self.callers[n].as_mut().and_then(Phone::poll) {
            let (from, to, bytes) = match output {
                PhoneOutput::Sip(to, bytes) => (caller_sip(n), to, bytes),
                PhoneOutput::Rtp(to, bytes) => (caller_rtp(n), to, bytes),
            };
            self.send(Datagram { from, to, bytes: bytes.into() });
        }
    }

    pub(super) fn pump_carrier(&mut self) {
        while let Some((rtp, output)) = self.carrier.poll() {
            let (from, to, bytes) = match output {
                PhoneOutput::Sip(to, bytes) => (CARRIER, to, bytes),
                PhoneOutput::Rtp(to, bytes) => (rtp, to, bytes),
            };
            self.send(Datagram { from, to, bytes: bytes.into() });
        }
    }
}
