//! The phones of `bajavoz demo` between real sockets, as many as are wanted.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use bajavoz::cli::phones::Carrier;
use bajavoz::cli::phones::Phone;
use bajavoz::cli::phones::PhoneOutput;
use bajavoz::cli::phones::PhoneReport;
use bajavoz::cli::phones::Script;
use bajavoz::net::clock;
use rsip::SipMessage;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest datagram that a phone takes.
const DATAGRAM_LEN_MAX: usize = 4_096;

/// How long a call may last before the test gives up on it.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(60);

/// One call to be placed.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The number called.
    pub(crate) number: String,
    /// The value of `X-Campaign-ID`; none without.
    pub(crate) campaign: Option<&'static str>,
    /// What the phone does.
    pub(crate) script: Script,
    /// Where it sends from.
    pub(crate) from: IpAddr,
}

impl Call {
    /// A call from the dialer's address.
    pub(crate) fn new(number: &str, campaign: &'static str, script: Script) -> Self {
        let from = Ipv4Addr::LOCALHOST.into();
        Self { number: number.to_owned(), campaign: Some(campaign), script, from }
    }
}

/// A runtime for phones.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Calls in progress, each with its phone.
#[derive(Debug)]
pub(crate) struct Phones {
    calls: JoinSet<(String, PhoneReport)>,
    stop: watch::Sender<bool>,
}

impl Phones {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { calls: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// Places `call` at `engine`, `after` some time.
    pub(crate) fn place(&mut self, engine: SocketAddr, call: Call, after: Duration) {
        let stop = self.stop.subscribe();
        self.calls.spawn(async move {
            let number = call.number.clone();
            tokio::time::sleep(after).await;
            (number, play(engine, call, stop).await)
        });
    }

    /// Waits until every call is over; what the phones saw, by number.
    pub(crate) async fn finish(mut self) -> Vec<(String, PhoneReport)> {
        let mut reports = Vec::new();
        while let Some(report) = self.calls.join_next().await {
            reports.push(report.expect("a phone does not panic"));
        }
        reports
    }

    /// Ends every call where it stands; what the phones saw, by number.
    pub(crate) async fn stop(self) -> Vec<(String, PhoneReport)> {
        // A call that is over listens no more.
        let _ = self.stop.send(true);
        self.finish().await
    }
}

/// Places one call and plays it to its end.
pub(crate) fn call(engine: SocketAddr, call: Call) -> PhoneReport {
    runtime().block_on(async {
        let (_stop, stopped) = watch::channel(false);
        play(engine, call, stopped).await
    })
}

async fn play(engine: SocketAddr, call: Call, mut stop: watch::Receiver<bool>) -> PhoneReport {
    let socket = |from| async move { UdpSocket::bind((from, 0)).await.expect("a free port") };
    let (sip, rtp) = (socket(call.from).await, socket(call.from).await);
    let address = |socket: &UdpSocket| socket.local_addr().expect("a bound socket has an address");
    let headers: Vec<_> = call.campaign.map(|name| ("X-Campaign-ID", name)).into_iter().collect();
    let began_at = clock::now();
    let (local, heard_at) = (address(&sip), address(&rtp));
    let mut phone = Phone::call(
        began_at,
        call.script,
        local,
        heard_at,
        engine,
        &call.number,
        "910000000",
        &headers,
        seed(),
    );
    let (mut sip_buf, mut rtp_buf) = ([0; DATAGRAM_LEN_MAX], [0; DATAGRAM_LEN_MAX]);
    while !phone.is_over() && clock::now() < began_at + CALL_MAX {
        while let Some(output) = phone.poll() {
            send(&sip, &rtp, output).await;
        }
        let timeout = phone.poll_timeout();
        tokio::select! {
            // An engine that was killed makes loopback say so; the call goes on unheard.
            received = sip.recv_from(&mut sip_buf) => if let Ok((len, _)) = received
                && let Ok(message) = SipMessage::try_from(&sip_buf[..len])
            {
                phone.handle_sip(clock::now(), message);
            },
            received = rtp.recv_from(&mut rtp_buf) => if let Ok((len, _)) = received {
                phone.handle_rtp(clock::now(), &rtp_buf[..len]);
            },
            () = until(timeout) => {}
            _ = stop.changed() => return phone.report(),
        }
        phone.handle_timeout(clock::now());
    }
    while let Some(output) = phone.poll() {
        send(&sip, &rtp, output).await;
    }
    phone.report()
}

/// A seed that no other phone of this process has.
fn seed() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    std::process::id().wrapping_mul(65_537) ^ NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn until(timeout: Option<Instant>) {
    match timeout {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn send(sip: &UdpSocket, rtp: &UdpSocket, output: PhoneOutput) {
    // What cannot be sent is lost, as on any network.
    let _ = match output {
        PhoneOutput::Sip(to, bytes) => sip.send_to(&bytes, to).await,
        PhoneOutput::Rtp(to, bytes) => rtp.send_to(&bytes, to).await,
    };
}

/// The answer `status` to `request`, of a party that is none of ours.
pub(crate) fn answer_to(request: &str, status: &str) -> String {
    let mut answer = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        let tag = if name == "To" { ";tag=party" } else { "" };
        if ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name) {
            write!(answer, "{line}{tag}\r\n").expect("a String takes every write");
        }
    }
    answer.push_str("Content-Length: 0\r\n\r\n");
    answer
}

/// Serves a carrier at `address`, whose person follows `script`, until `during` has ended and the
/// person has hung up; what the person's phones saw.
///
/// One person at a time: they share the address at which they hear.
pub(crate) async fn with_carrier<T>(
    address: SocketAddr,
    script: Script,
    during: impl Future<Output = T>,
) -> (T, Vec<PhoneReport>) {
    let sip = UdpSocket::bind(address).await.expect("the carrier's port is free");
    let rtp = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let mut carrier = Carrier::new(address, script, seed());
    let mut during = std::pin::pin!(during);
    let result = loop {
        tokio::select! {
            result = &mut during => break result,
            () = step(&mut carrier, &sip, &rtp) => {}
        }
    };
    let until = clock::now() + CALL_MAX;
    while carrier.phones().any(|phone| !phone.is_over()) && clock::now() < until {
        step(&mut carrier, &sip, &rtp).await;
    }
    let reports = carrier.phones().map(Phone::report).collect();
    (result, reports)
}

/// One datagram or timer of the carrier, and what it says to it.
async fn step(carrier: &mut Carrier, sip: &UdpSocket, rtp: &UdpSocket) {
    let (mut sip_buf, mut rtp_buf) = ([0; DATAGRAM_LEN_MAX], [0; DATAGRAM_LEN_MAX]);
    let heard_at = rtp.local_addr().expect("a bound socket has an address");
    let timeout = carrier.poll_timeout();
    tokio::select! {
        received = sip.recv_from(&mut sip_buf) => if let Ok((len, from)) = received {
            carrier.handle_sip(clock::now(), from, &sip_buf[..len], || heard_at);
        },
        received = rtp.recv_from(&mut rtp_buf) => if let Ok((len, _)) = received {
            carrier.handle_rtp(clock::now(), heard_at, &rtp_buf[..len]);
        },
        () = until(timeout) => {}
    }
    carrier.handle_timeout(clock::now());
    while let Some((_, output)) = carrier.poll() {
        send(sip, rtp, output).await;
    }
}
