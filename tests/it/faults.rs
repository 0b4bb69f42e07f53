//! What is refused and what fails: strangers, nonsense, and a disk that takes no more.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bajavoz::cli::phones::PhoneReport;
use bajavoz::cli::phones::PressMethod;
use bajavoz::cli::phones::Script;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::harness::machine;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::process;
use crate::harness::site::Site;
use crate::harness::site::Wishes;
use crate::harness::wait_for;

/// When the key is pressed, counted from the answer.
const PRESS_AT: Duration = Duration::from_millis(300);

/// Mean magnitude above which the phones call a frame loud.
const LOUD_MEAN: i64 = 300;

/// Samples of a frame.
const FRAME: usize = 160;

/// How long media ports may rest after a call.
const RESTED_MAX: Duration = Duration::from_secs(20);

fn pressing(number: &str) -> Call {
    Call::new(number, "promo", Script::pressing('9', PRESS_AT, PressMethod::Event))
}

fn outcome(report: &PhoneReport) -> &str {
    report.outcome.as_deref().unwrap_or("nothing")
}

/// How many frames of a prompt are loud: its fingerprint, as a phone takes it.
fn loud_frames(prompt: &str) -> u64 {
    let path = format!("{}/audio/en/{prompt}.wav", env!("CARGO_MANIFEST_DIR"));
    let mut wav = hound::WavReader::open(Path::new(&path)).expect("the prompt is there");
    let samples: Vec<i16> = wav.samples().collect::<Result<_, _>>().expect("a whole WAV file");
    let is_loud = |frame: &&[i16]| {
        let sum: i64 = frame.iter().map(|&sample| i64::from(sample).abs()).sum();
        sum / frame.len() as i64 > LOUD_MEAN
    };
    samples.chunks(FRAME).filter(is_loud).count() as u64
}

/// The person heard `prompt` and not another one.
fn check_heard(report: &PhoneReport, prompt: &str) {
    let (heard, want) = (report.heard.loud_frames, loud_frames(prompt));
    // G.711 turns a frame at the edge of loudness either way.
    assert!(heard.abs_diff(want) <= 5, "{prompt} has {want} loud frames, {heard} were heard");
}

#[test]
fn a_full_disk_is_told_to_the_person_and_written_again_once_it_has_room() {
    let _machine = machine();
    assert!(loud_frames("optout-done").abs_diff(loud_frames("optout-failed")) > 10);
    let site = Site::with(Wishes { greeting: "[]", ..Wishes::default() });
    // A write beyond the limit is then an error like that of a full disk, and no signal. The log
    // goes through a pipe, which has no such limit.
    let script = "trap '' XFSZ; exec \"$0\" \"$@\" > >(exec cat) 2>&1";
    let mut command = Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_bajavoz"), "run", "--config"]);
    let engine = site.start_by(command.arg(site.config()));
    let kept = phones::call(site.sip, pressing("+34622000001"));
    assert!(outcome(&kept).starts_with("opt-out;digits=9"), "{}", outcome(&kept));
    check_heard(&kept, "optout-done");
    assert_eq!(site.metric("bajavoz_store_alarm"), Some(0.0));

    let id = engine.id().to_string();
    let limit = |fsize| {
        process::output(Command::new("prlimit").args([fsize, "--pid", &id]), Some("util-linux"))
    };
    limit("--fsize=0:unlimited");
    let lost = phones::call(site.sip, pressing("+34622000002"));
    assert!(outcome(&lost).starts_with("not-recorded"), "{}", outcome(&lost));
    check_heard(&lost, "optout-failed");
    wait_for("the alarm rises", Duration::from_secs(10), || {
        (site.metric("bajavoz_store_alarm") == Some(1.0)).then_some(())
    });
    let (status, body) = site.ready().expect("the health page answers");
    assert_eq!((status, body.contains("store-alarm")), (503, true), "{body}");
    for number in ["+34622000001", "+34622000002"] {
        let again = phones::call(site.sip, Call::new(number, "promo", Script::default()));
        assert_eq!(again.status, Some(603), "{number}");
        assert!(outcome(&again).starts_with("suppressed;list=comercial"), "{}", outcome(&again));
    }
    limit("--fsize=unlimited");
    wait_for("the alarm falls by itself", Duration::from_secs(30), || {
        (site.ready()?.0 == 200).then_some(())
    });
    let kept = phones::call(site.sip, pressing("+34622000003"));
    assert!(outcome(&kept).starts_with("opt-out;digits=9"), "{}", outcome(&kept));
    check_heard(&kept, "optout-done");
    engine.kill();
    let kept: Vec<_> =
        site.export().iter().map(|entry| entry.optout.number.reveal().to_string()).collect();
    assert_eq!(kept, ["+34622000001", "+34622000002", "+34622000003"]);
}

#[test]
fn whoever_may_not_call_is_told_why_and_the_engine_keeps_serving() {
    let _machine = machine();
    let site = Site::new();
    let engine = site.start();
    let stranger = IpAddr::from([127, 0, 0, 2]);
    let plain = || Call::new("+34622000011", "promo", Script::default());
    #[rustfmt::skip]
    let cases = [
        ("a stranger",                    Call { from: stranger, ..plain() },                   403),
        ("a campaign that is not there",  Call { campaign: Some("nobodys"), ..plain() },        404),
        ("no campaign at all",            Call { campaign: None, ..plain() },                   404),
        ("a number that is too long",     Call { number: "+3462200001122222".into(), ..plain() }, 484),
        ("a word for a number",           Call { number: "somebody".into(), ..plain() },        484),
    ];
    for (name, call, status) in cases {
        let report = phones::call(site.sip, call);
        assert_eq!(report.status, Some(status), "{name}: {:?}", report.trace);
    }
    for (name, number) in [("emergency", "112"), ("a short code", "1004")] {
        let report = phones::call(site.sip, Call { number: number.into(), ..plain() });
        assert!(report.status.is_some_and(|status| status >= 400), "{name}: {:?}", report.status);
    }
    let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n";
    let answer = ask(site.sip, &invite(site.sip, "promo", offer));
    assert!(answer.contains("SIP/2.0 488 "), "no codec in common: {answer}");
    let answer = ask(site.sip, &invite(site.sip, "promo", "v=0\r\nthis is no offer\r\n"));
    assert!(answer.contains("SIP/2.0 400 "), "a broken offer: {answer}");
    for nonsense in nonsense(site.sip) {
        send(site.sip, &nonsense);
    }
    let kept = phones::call(site.sip, pressing("+34622000012"));
    assert!(outcome(&kept).starts_with("opt-out;digits=9"), "{}", outcome(&kept));
    let unreadable = "bajavoz_refused_total{reason=\"sip_unreadable\"}";
    assert!(site.metric(unreadable).is_some_and(|count| count > 0.0), "nonsense is not counted");
    site.wait_until_idle();
    assert_eq!(site.export().len(), 1);
    assert!(engine.stop().success());
}

#[test]
fn a_call_for_which_there_are_no_ports_leaves_nothing_behind() {
    let _machine = machine();
    let site = Site::with(Wishes { calls_max: 1, ..Wishes::default() });
    let engine = site.start();
    // Another program has all of the call's ports.
    let held: Vec<Socket> = (site.media..site.media + 4).map(bound).collect();
    for campaign in ["promo", "survey"] {
        let report = phones::call(site.sip, Call::new("+34622000014", campaign, Script::default()));
        assert_eq!(report.status, Some(503), "{campaign}: {:?}", report.trace);
        site.wait_until_idle();
    }
    drop(held);
    // A port rests before its next call.
    let kept = wait_for("the ports have rested", RESTED_MAX, || {
        let report = phones::call(site.sip, pressing("+34622000015"));
        (report.status != Some(503)).then_some(report)
    });
    assert!(outcome(&kept).starts_with("opt-out;digits=9"), "{}", outcome(&kept));
    site.wait_until_idle();
    let live = process::output(&mut site.program(&["status", "--calls"]), None);
    assert_eq!(live, "");
    for campaign in ["survey", "promo"] {
        let active = format!("bajavoz_calls_active{{campaign=\"{campaign}\"}}");
        assert_eq!(site.metric(&active), Some(0.0), "{active}");
    }
    assert!(engine.stop().success());
}

/// An INVITE that no phone of ours would send.
fn invite(engine: SocketAddr, campaign: &str, offer: &str) -> String {
    format!(
        "INVITE sip:+34622000013@{engine} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;\
         branch=z9hG4bK-{len}\r\nMax-Forwards: 70\r\nFrom: <sip:dialer@127.0.0.1>;tag=1\r\n\
         To: <sip:+34622000013@{engine}>\r\nCall-ID: odd-{len}@127.0.0.1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:dialer@127.0.0.1>\r\nX-Campaign-ID: {campaign}\r\n\
         Content-Type: application/sdp\r\nContent-Length: {len}\r\n\r\n{offer}",
        len = offer.len(),
    )
}

/// Datagrams that are no SIP, or nearly.
fn nonsense(engine: SocketAddr) -> Vec<Vec<u8>> {
    let whole = invite(engine, "promo", "").into_bytes();
    let mut all = vec![
        Vec::new(),
        b"\r\n\r\n".to_vec(),
        vec![0; 1_200],
        vec![0xff; 1_200],
        b"INVITE sip:x SIP/2.0\r\n\r\n".to_vec(),
        b"SIP/2.0 200 OK\r\n\r\n".to_vec(),
        b"SIP/9.0 999999 ?\r\nVia:\r\n\r\n".to_vec(),
    ];
    all.extend((1..whole.len()).step_by(7).map(|len| whole[..len].to_vec()));
    all
}

fn bound(port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("a free port");
    socket
}

fn socket() -> Socket {
    let socket = bound(0);
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a deadline");
    socket
}

fn send(engine: SocketAddr, datagram: &[u8]) {
    socket().send_to(datagram, &engine.into()).expect("loopback takes a datagram");
}

/// The final response to a request.
fn ask(engine: SocketAddr, request: &str) -> String {
    use std::io::Read;

    let mut socket = socket();
    socket.connect(&engine.into()).expect("loopback");
    socket.send(request.as_bytes()).expect("loopback takes a datagram");
    loop {
        let mut datagram = [0; 4_096];
        let len = socket.read(&mut datagram).expect("the engine answers in time");
        let answer = String::from_utf8_lossy(&datagram[..len]).into_owned();
        if !answer.starts_with("SIP/2.0 1") {
            return answer;
        }
    }
}
