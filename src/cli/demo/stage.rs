//! The demo's dialer and carrier in real time: each phone's machine between two sockets.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use rsip::SipMessage;
use tokio::net::UdpSocket;

use crate::cli::phones::Carrier;
use crate::cli::phones::Phone;
use crate::cli::phones::PhoneOutput;
use crate::cli::phones::PhoneReport;
use crate::cli::phones::Script;
use crate::net::clock;

/// Longest datagram a phone takes.
const DATAGRAM_LEN_MAX: usize = 4_096;

/// A call of the demo, as both ends saw it.
pub(super) struct Played {
    /// When the dialer sent its INVITE.
    pub(super) began_at: Instant,
    /// What the dialer's phone saw.
    pub(super) dialer: PhoneReport,
    /// What the person's phone behind the carrier saw, in a bridged call.
    pub(super) person: Option<PhoneReport>,
}

/// The carrier with its sockets; the dialer's phones get theirs for each call.
pub(super) struct Stage {
    carrier: Carrier,
    sip: UdpSocket,
    rtp: UdpSocket,
}

impl Stage {
    /// A carrier on free ports.
    pub(super) async fn new() -> Result<Self> {
        let (sip, rtp) = (socket().await?, socket().await?);
        let carrier = Carrier::new(sip.local_addr()?, Script::default(), 0xCA44);
        Ok(Self { carrier, sip, rtp })
    }

    /// Where the carrier receives SIP.
    pub(super) fn carrier_address(&self) -> SocketAddr {
        self.sip.local_addr().expect("a bound socket has an address")
    }

    /// How many INVITEs the carrier has received.
    pub(super) fn carrier_invites(&self) -> u64 {
        self.carrier.invites()
    }

    /// Places the calls at once; whoever is behind the carrier follows `person`.
    pub(super) async fn play(
        &mut self,
        engine: SocketAddr,
        calls: [(&str, &str, Script); 4],
        person: Script,
    ) -> Result<Vec<Played>> {
        self.carrier.set_script(person);
        let [one, two, three, four] = calls;
        let calls = async {
            let (one, two, three, four) = tokio::join!(
                place(engine, one, 1),
                place(engine, two, 2),
                place(engine, three, 3),
                place(engine, four, 4)
            );
            Ok::<_, anyhow::Error>(vec![one?, two?, three?, four?])
        };
        let mut played = tokio::select! {
            played = calls => played?,
            error = serve(&mut self.carrier, &self.sip, &self.rtp) => return Err(error),
        };
        self.finish(&mut played).await
    }

    /// Answers every call that reaches the carrier, with `person` behind it, until an error of
    /// its sockets.
    pub(super) async fn stay(&mut self, person: Script) -> anyhow::Error {
        self.carrier.set_script(person);
        serve(&mut self.carrier, &self.sip, &self.rtp).await
    }

    /// Lets the person's phone come to its end, and takes down what it saw.
    async fn finish(&mut self, played: &mut Vec<Played>) -> Result<Vec<Played>> {
        let patience = clock::now() + std::time::Duration::from_secs(30);
        while self.carrier.phones().any(|phone| !phone.is_over()) && clock::now() < patience {
            step(&mut self.carrier, &self.sip, &self.rtp).await?;
        }
        if let (Some(bridged), Some(phone)) = (played.last_mut(), self.carrier.phones().next()) {
            bridged.person = Some(phone.report());
        }
        Ok(std::mem::take(played))
    }
}

async fn socket() -> Result<UdpSocket> {
    UdpSocket::bind("127.0.0.1:0").await.context("a free UDP port on loopback")
}

/// Places one call and plays it to its end.
async fn place(engine: SocketAddr, call: (&str, &str, Script), seed: u32) -> Result<Played> {
    let (number, campaign, script) = call;
    let (sip, rtp) = (socket().await?, socket().await?);
    let began_at = clock::now();
    let headers = [("X-Campaign-ID", campaign)];
    let (local, heard_at) = (sip.local_addr()?, rtp.local_addr()?);
    let seed = seed.wrapping_add(u32::from(local.port()) << 8);
    let mut phone =
        Phone::call(began_at, script, local, heard_at, engine, number, "910000000", &headers, seed);
    let (mut sip_buf, mut rtp_buf) = (vec![0; DATAGRAM_LEN_MAX], vec![0; DATAGRAM_LEN_MAX]);
    loop {
        while let Some(output) = phone.poll() {
            send(&sip, &rtp, output).await?;
        }
        if phone.is_over() {
            return Ok(Played { began_at, dialer: phone.report(), person: None });
        }
        let timeout = phone.poll_timeout();
        tokio::select! {
            received = sip.recv_from(&mut sip_buf) => {
                let (len, _) = received?;
                if let Ok(message) = SipMessage::try_from(sip_buf.get(..len).unwrap_or_default()) {
                    phone.handle_sip(clock::now(), message);
                }
            }
            received = rtp.recv_from(&mut rtp_buf) => {
                let (len, _) = received?;
                phone.handle_rtp(clock::now(), rtp_buf.get(..len).unwrap_or_default());
            }
            () = until(timeout) => {}
        }
        phone.handle_timeout(clock::now());
    }
}

async fn until(timeout: Option<Instant>) {
    match timeout {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn send(sip: &UdpSocket, rtp: &UdpSocket, output: PhoneOutput) -> Result<()> {
    match output {
        PhoneOutput::Sip(to, bytes) => sip.send_to(&bytes, to).await?,
        PhoneOutput::Rtp(to, bytes) => rtp.send_to(&bytes, to).await?,
    };
    Ok(())
}

/// Serves the carrier until an error of its sockets.
async fn serve(carrier: &mut Carrier, sip: &UdpSocket, rtp: &UdpSocket) -> anyhow::Error {
    loop {
        if let Err(error) = step(carrier, sip, rtp).await {
            return error;
        }
    }
}

async fn step(carrier: &mut Carrier, sip: &UdpSocket, rtp: &UdpSocket) -> Result<()> {
    let heard_at = rtp.local_addr()?;
    let (mut sip_buf, mut rtp_buf) = (vec![0; DATAGRAM_LEN_MAX], vec![0; DATAGRAM_LEN_MAX]);
    let timeout = carrier.poll_timeout();
    tokio::select! {
        received = sip.recv_from(&mut sip_buf) => {
            let (len, from) = received?;
            let datagram = sip_buf.get(..len).unwrap_or_default();
            carrier.handle_sip(clock::now(), from, datagram, || heard_at);
        }
        received = rtp.recv_from(&mut rtp_buf) => {
            let (len, _) = received?;
            carrier.handle_rtp(clock::now(), heard_at, rtp_buf.get(..len).unwrap_or_default());
        }
        () = until(timeout) => {}
    }
    carrier.handle_timeout(clock::now());
    while let Some((_, output)) = carrier.poll() {
        send(sip, rtp, output).await?;
    }
    Ok(())
}
