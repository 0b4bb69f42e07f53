//! Engines that share a PostgreSQL server: what one is told the others refuse, a store moves there
//! by a command, and a server that is away loses nothing.

use std::net::SocketAddr;
use std::process::Output;
use std::sync::Mutex;
use std::time::Duration;

use bajavoz::cli::phones::Script;
use tokio::net::UdpSocket;

use super::cluster::Cluster;
use super::harness::machine;
use super::harness::phones;
use super::harness::phones::Call;
use super::harness::phones::Phones;
use super::harness::site::Site;
use super::harness::wait_for;

/// How soon an opt-out of one engine must be refused by another on a busy machine.
const SHARED_MAX: Duration = Duration::from_secs(30);

/// Has the site's engine keep its opt-outs on the server at `url`.
fn share(site: &Site, name: &str, url: &str) {
    let path = site.config().join("bajavoz.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let store = "path = \"../data\"\ndatabase = \"postgres\"\nurl = { file = \"../url\" }";
    let text = text.replace("path = \"../data\"", store);
    let text = text.replace("name = \"test\"", &format!("name = \"{name}\""));
    std::fs::write(path, text).expect("the configuration");
    std::fs::write(site.folder().join("url"), url).expect("the secret");
}

fn run(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        site.program(arguments).output().expect("the program runs");
    let told = [stdout, stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned());
    (status.code(), told.concat())
}

fn add(site: &Site, number: &str) {
    let list = ["--list", "comercial", "--campaign", "promo"];
    let (code, told) = run(site, &[&["optout", "add", number], &list[..]].concat());
    assert_eq!(code, Some(0), "{number}: {told}");
}

fn refuses(site: &Site, number: &str) -> bool {
    let (code, told) = run(site, &["explain", number, "--campaign", "promo"]);
    match code {
        Some(0) => false,
        Some(1) => true,
        _ => panic!("explain {number}: {told}"),
    }
}

/// The engine answers calls with 503, and everybody who asks it hears why.
fn tells_that_it_cannot_know(site: &Site) {
    let stale = || {
        let (code, told) = run(site, &["explain", "600123459", "--campaign", "promo"]);
        (code == Some(1)).then_some(told)
    };
    let told = wait_for("the engine is stale", SHARED_MAX, stale);
    assert!(told.contains("until opt-outs of other engines are known again"), "{told}");
    assert!(told.contains("The records cannot be read now"), "{told}");
    let (code, told) = run(site, &["explain", "600123450", "--campaign", "promo"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("REFUSED by list `comercial`"), "{told}");
    let (code, told) = run(site, &["optout", "show", "600123450"]);
    assert_eq!(code, Some(3), "no server can be reached: {told}");
    let (code, told) = run(site, &["status"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("ATTENTION    other engines' opt-outs are unknown for "), "{told}");
}

#[test]
fn what_one_engine_is_told_the_others_refuse() {
    let _machine = machine();
    let mut cluster = Cluster::start();
    let database = cluster.database();
    let url = database.url();
    let (one, other) = (Site::new(), Site::new());
    add(&one, "600123450");
    let (code, told) = run(&one, &["verify", "--server"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("[store] names no server"), "{told}");
    for (site, name) in [(&one, "madrid-1"), (&other, "madrid-2")] {
        share(site, name, &url);
    }
    let (code, told) = run(&one, &["store", "migrate"]);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = run(&one, &["store", "copy", "--from", "sqlite", "--to", "postgres"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("verified") && told.contains("optout"), "{told}");

    let (first, second) = (one.start(), other.start());
    let knows = |site: &Site, number: &str| {
        wait_for(&format!("{number} is refused"), SHARED_MAX, || {
            refuses(site, number).then_some(())
        });
    };
    knows(&other, "600123450");
    add(&one, "600123451");
    knows(&other, "600123451");
    add(&other, "600123452");
    knows(&one, "600123452");
    assert!(!refuses(&one, "600123459"), "nobody opted this one out");
    let (_code, told) = run(&one, &["status"]);
    assert!(told.contains("  others       known as of "), "{told}");
    add(&other, "600123451");
    let (code, told) = run(&one, &["proof", "600123451"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("\"elsewhere\":["), "the other's record is named: {told}");
    let (code, told) = run(&one, &["verify", "--server"]);
    assert_eq!(code, Some(0), "the engines go on meanwhile: {told}");
    assert!(told.contains("of other engines in 1 stream"), "{told}");
    database.psql("UPDATE optout SET body = body || ' '");
    let (code, told) = run(&one, &["verify", "--server"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("table `optout`, record "), "{told}");
    database.psql("UPDATE optout SET body = rtrim(body)");

    // While the server is away an opt-out is on disk, and the others hear of it later.
    cluster.stop();
    let (code, told) = run(&one, &["verify", "--server"]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("PostgreSQL cannot be reached"), "{told}");
    add(&one, "600123453");
    tells_that_it_cannot_know(&other);
    first.kill();
    let again = {
        cluster.start_again();
        one.start()
    };
    knows(&other, "600123453");
    knows(&one, "600123453");
    assert_eq!(one.export().len(), 5, "each once");
    assert!(again.stop().success() && second.stop().success());
}

/// A carrier where it rings until the call is cancelled; it notes what it is asked.
async fn ring(address: SocketAddr, asked: &Mutex<Vec<String>>) {
    let socket = UdpSocket::bind(address).await.expect("the carrier's port is free");
    let (mut datagram, mut invite) = ([0; 4_096], String::new());
    while let Ok((len, from)) = socket.recv_from(&mut datagram).await {
        let text = String::from_utf8_lossy(&datagram[..len]).into_owned();
        let method = text.split(' ').next().unwrap_or_default();
        asked.lock().expect("nobody panics here").push(method.to_owned());
        let answers = match method {
            "INVITE" => vec![phones::answer_to(&text, "180 Ringing")],
            "CANCEL" => vec![
                phones::answer_to(&text, "200 OK"),
                phones::answer_to(&invite, "487 Request Terminated"),
            ],
            _ => Vec::new(),
        };
        for answer in answers {
            socket.send_to(answer.as_bytes(), from).await.expect("loopback takes it");
        }
        if method == "INVITE" {
            invite = text;
        }
    }
}

#[test]
fn a_leg_that_rings_is_cancelled_when_its_number_opts_out_at_another_engine() {
    let _machine = machine();
    let cluster = Cluster::start();
    let url = cluster.database().url();
    let (one, other) = (Site::new(), Site::new());
    for (site, name) in [(&one, "madrid-1"), (&other, "madrid-2")] {
        share(site, name, &url);
    }
    let (first, second) = (one.start(), other.start());
    let asked: Mutex<Vec<String>> = Mutex::default();
    let was_asked = |method: &str| {
        wait_for(&format!("the carrier gets {method}"), SHARED_MAX, || {
            let asked = asked.lock().expect("nobody panics here");
            asked.iter().any(|it| it == method).then_some(())
        });
    };
    let number = "+34600123454";
    let report = std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            phones::runtime().block_on(async {
                let mut phones = Phones::new();
                let call = Call::new(number, "survey", Script::default());
                phones.place(one.sip, call, Duration::ZERO);
                let during = async {
                    let reports = phones.finish().await;
                    // The carrier may be asked a moment later than the dialer is answered.
                    for _look in 0..500 {
                        if asked.lock().expect("nobody panics here").contains(&"CANCEL".to_owned())
                        {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    reports
                };
                tokio::select! {
                    reports = during => reports,
                    () = ring(one.carrier, &asked) => unreachable!("a carrier that ends"),
                }
            })
        });
        was_asked("INVITE");
        let (code, told) = run(&other, &["optout", "add", number, "--list", "comercial"]);
        assert_eq!(code, Some(0), "{told}");
        was_asked("CANCEL");
        calling.join().expect("the phone does not panic").remove(0).1
    });
    assert_eq!(report.status, Some(603), "{:?}", report.trace);
    let outcome = report.outcome.unwrap_or_default();
    assert!(outcome.starts_with("suppressed"), "{outcome}");
    assert!(first.stop().success() && second.stop().success());
}

#[test]
fn a_server_that_cannot_be_used_is_told_in_words() {
    let site = Site::new();
    share(&site, "madrid-1", "postgresql://engine:secret@127.0.0.1:1/bajavoz");
    let (code, told) = run(&site, &["store", "migrate"]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("PostgreSQL cannot be reached") && !told.contains("secret"), "{told}");
    let wrong = "postgresql://engine:secret@127.0.0.1/bajavoz?sslmode=x";
    std::fs::write(site.folder().join("url"), wrong).expect("the secret");
    let (code, told) = run(&site, &["check"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("E-STORE") && !told.contains("secret"), "{told}");
    assert!(told.contains("bajavoz.toml:"), "{told}");
}
