//! How much faster than rsip do we parse and answer a 1.3 kB carrier INVITE with SDP?
//!
//! Both sides do the same work on the same octets, in turns within one run, so that noise of the
//! machine falls on both: read the message and the facts a call needs (topmost branch, tags,
//! Call-ID, CSeq, host of the Contact, body), then write a 200 with an SDP answer. The ratio is
//! taken per round, of the thread's own CPU time; median and the span from the 5th to the 95th percentile are printed, and the
//! allocations of one message, which for our side must be none. Our side also validates the whole
//! message, which rsip has no word for.
//!
//! Run: `cargo bench --bench sip_message`

#![expect(
    unsafe_code,
    clippy::print_stdout,
    reason = "a bench reads the thread's clock and prints its figures"
)]

#[expect(dead_code, reason = "`tests/bounded.rs` asks for the rest")]
mod counting;

use std::hint::black_box;
use std::net::SocketAddr;

use rsip::Header;
use rsip::SipMessage;
use rsip::headers::ToTypedHeader;
use rsip::headers::UntypedHeader;
use rsip::message::HasHeaders;
use rsip::message::HeadersExt;

use bajavoz::sip::HeaderName;
use bajavoz::sip::Message;
use bajavoz::sip::ResponseBuilder;

const INVITE: &[u8] = include_bytes!("../tests/data/sip/carrier_invite.dat");
const CONTACT: &str = "<sip:203.0.113.5:5060>";
const TAG: &str = "1f.9c2ab7d0";
const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n";
const ROUNDS: usize = 101;
const MESSAGES_PER_ROUND: u32 = 1_000;

fn our_facts(message: &Message<'_>) -> usize {
    let via = message.via().expect("a Via");
    let (from, to) = (message.from().expect("a From"), message.to().expect("a To"));
    let (number, _) = message.cseq().expect("a CSeq");
    let contact = message.contact().expect("a Contact");
    let host = contact.uri().expect("a URI").host;
    black_box((via.branch(), from.tag(), to.tag(), number, host));
    message.call_id().expect("a Call-ID").len() + message.body().len()
}

fn our_parse() -> usize {
    let message = Message::parse(black_box(INVITE)).expect("a message");
    message.validate().expect("a good message");
    our_facts(&message)
}

fn our_answer(out: &mut Vec<u8>, source: SocketAddr) -> usize {
    let message = Message::parse(black_box(INVITE)).expect("a message");
    message.validate().expect("a good message");
    black_box(our_facts(&message));
    ResponseBuilder::new(out, &message, 200, "OK", source, Some(TAG))
        .header(HeaderName::Contact, CONTACT)
        .finish(Some(("application/sdp", ANSWER.as_bytes())))
        .expect("clean values");
    out.len()
}

fn rsip_facts(request: &rsip::Request) -> usize {
    let via = request.via_header().expect("a Via").typed().expect("a good Via");
    let from = request.from_header().expect("a From").typed().expect("a good From");
    let to = request.to_header().expect("a To").typed().expect("a good To");
    let cseq = request.cseq_header().expect("a CSeq").typed().expect("a good CSeq");
    let contact = request.contact_header().expect("a Contact").typed().expect("a good Contact");
    let call_id = request.call_id_header().expect("a Call-ID").value().len();
    black_box((via.branch(), from.tag(), to.tag(), cseq.seq, contact.uri.host()));
    call_id + request.body.len()
}

fn rsip_read() -> rsip::Request {
    match SipMessage::try_from(black_box(INVITE)).expect("a message") {
        SipMessage::Request(request) => request,
        SipMessage::Response(_) => unreachable!("an INVITE is a request"),
    }
}

fn rsip_parse() -> usize {
    rsip_facts(&rsip_read())
}

fn rsip_answer() -> usize {
    let request = rsip_read();
    black_box(rsip_facts(&request));
    let mut headers = rsip::Headers::default();
    for header in request.headers().iter() {
        match header {
            Header::To(to) => {
                let to = to.typed().expect("a good To").with_tag(TAG.into());
                headers.push(Header::To(to.into()));
            }
            Header::Via(_)
            | Header::From(_)
            | Header::CallId(_)
            | Header::CSeq(_)
            | Header::RecordRoute(_) => headers.push(header.clone()),
            _ => {}
        }
    }
    headers.push(Header::Contact(rsip::headers::Contact::new(CONTACT)));
    headers.push(Header::ContentType(rsip::headers::ContentType::new("application/sdp")));
    let length = u32::try_from(ANSWER.len()).expect("a short body");
    headers.push(Header::ContentLength(length.into()));
    let body = ANSWER.as_bytes().to_vec();
    let response =
        rsip::Response { status_code: 200.into(), version: rsip::Version::V2, headers, body };
    Vec::from(SipMessage::Response(response)).len()
}

/// Nanoseconds of CPU that this thread has had: what other programs take does not count.
fn cpu_ns() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of ours that the call fills.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "the thread has a CPU clock");
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds a message, over one round.
fn time(mut work: impl FnMut() -> usize) -> f64 {
    let start = cpu_ns();
    for _ in 0..MESSAGES_PER_ROUND {
        black_box(work());
    }
    (cpu_ns() - start) / f64::from(MESSAGES_PER_ROUND)
}

fn allocations(mut work: impl FnMut() -> usize) -> u64 {
    black_box(work()); // Grows a buffer that is used again.
    let before = counting::allocations();
    black_box(work());
    counting::allocations() - before
}

fn at_share(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted[(last as f64 * share) as usize]
}

fn compare(name: &str, mut ours: impl FnMut() -> usize, mut theirs: impl FnMut() -> usize) -> u64 {
    let (mut times, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (our_time, their_time) = (time(&mut ours), time(&mut theirs));
        times.push(our_time);
        ratios.push(their_time / our_time);
    }
    times.sort_by(f64::total_cmp);
    ratios.sort_by(f64::total_cmp);
    let (our_count, their_count) = (allocations(&mut ours), allocations(&mut theirs));
    println!(
        "{name}: rsip takes {:.1} times as long ({:.1} to {:.1}); ours {:.0} ns, \
         {our_count} allocations against {their_count}",
        at_share(&ratios, 0.5),
        at_share(&ratios, 0.05),
        at_share(&ratios, 0.95),
        at_share(&times, 0.5),
    );
    our_count
}

fn main() {
    let source = SocketAddr::from(([198, 51, 100, 11], 5060));
    let mut out = Vec::new();
    let parse = compare("parse and facts", our_parse, rsip_parse);
    let answer = compare("parse, facts, 200", || our_answer(&mut out, source), rsip_answer);
    assert_eq!((parse, answer), (0, 0), "our side allocated");
}
