//! Engines that share a PostgreSQL server: what one is told the others refuse, a store moves there
//! by a command, and a server that is away loses nothing.

use std::process::Output;
use std::time::Duration;

use super::cluster::Cluster;
use super::harness::machine;
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

#[test]
fn what_one_engine_is_told_the_others_refuse() {
    let _machine = machine();
    let mut cluster = Cluster::start();
    let url = cluster.database().url();
    let (one, other) = (Site::new(), Site::new());
    add(&one, "600123450");
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

    // While the server is away an opt-out is on disk, and the others hear of it later.
    cluster.stop();
    add(&one, "600123453");
    first.kill();
    let again = {
        cluster.start_again();
        one.start()
    };
    knows(&other, "600123453");
    knows(&one, "600123453");
    assert_eq!(one.export().len(), 4, "each once");
    assert!(again.stop().success() && second.stop().success());
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
