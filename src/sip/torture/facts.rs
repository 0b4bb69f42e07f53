//! What torture messages say once they are read.

use std::net::IpAddr;

use super::super::message::Message;
use super::super::message::StartLine;
use super::super::name::HeaderName;
use super::super::name::Method;
use super::super::uri::Host;
use super::super::uri::Scheme;
use super::named;

fn read(name: &str) -> Message<'static> {
    Message::parse(named(name)).expect("a torture message that can be read")
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.unwrap_or_default().escape_ascii().to_string()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn folded_and_spaced_headers_say_the_same_as_tidy_ones() {
    let message = read("wsinv");
    let (from, to) = (message.from().unwrap(), message.to().unwrap());
    assert_eq!(text(from.display), r#"J Rosenberg \\\\\\\""#);
    assert_eq!(text(from.tag()), "98asjd8");
    assert_eq!(text(to.tag()), "1918181833n");
    assert_eq!(to.uri().unwrap().host, Host::Name(b"chair-dnrc.example.com"));
    assert_eq!(message.cseq(), Ok((9, Method::Invite)));
    assert_eq!(message.max_forwards(), Ok(Some(68)));
    let vias: Vec<_> = message.vias().map(Result::unwrap).collect();
    let hosts: Vec<_> = vias.iter().map(|via| via.host).collect();
    let (first, third) = (ip("192.0.2.2"), ip("192.168.255.111"));
    assert_eq!(hosts, [Host::Ip(first), Host::Name(b"spindle.example.com"), Host::Ip(third)]);
    let branches: Vec<_> = vias.iter().map(|via| text(via.branch())).collect();
    assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
    let contact = message.contact().unwrap();
    assert_eq!(text(contact.params.value("newparam")), "newvalue");
    assert_eq!(contact.params.find("secondparam"), Some(None));
    assert_eq!(text(contact.params.value("q")), "0.33");
    let route = message.addresses(HeaderName::Route).next().unwrap().unwrap().uri().unwrap();
    assert!(route.params.contains("lr") && route.params.contains("unknown-no-value"));
    assert_eq!(message.body().len(), 150);
}

#[test]
fn a_method_keeps_every_octet_of_its_token() {
    let message = read("intmeth");
    let StartLine::Request { method, method_token, uri } = message.start() else {
        panic!("intmeth is a request")
    };
    assert_eq!(method, Method::Other);
    assert_eq!(method_token, b"!interesting-Method0123456789_*+`.%indeed'~");
    assert!(uri.ends_with(b"(doesn't-it)@example.com"));
    let uri = message.request_uri().unwrap();
    assert!(uri.password.is_some_and(|password| password.ends_with(b"(doesn't-it)")));
    assert_eq!(text(message.from().unwrap().tag()), "_token~1\\'+`*%!-.");
    assert!(message.extension("EXTENSIONHEADER-!.%*+_`'~").is_some());
}

#[test]
fn users_are_decoded_and_hosts_are_not() {
    let cases: [(&str, &[u8], &[u8]); 5] = [
        ("esc01", b"sips:user@example.com", b"example.net"),
        ("semiuri", b"user;par=u@example.net", b"example.com"),
        ("wsinv", b"vivekg", b"chair-dnrc.example.com"),
        ("lwsdisp", b"user", b"example.com"),
        ("longreq", b"user", b"example.com"),
    ];
    for (name, user, host) in cases {
        let message = read(name);
        let uri = message.request_uri().unwrap();
        assert_eq!(uri.decoded_user().as_deref(), Some(user), "{name}");
        assert_eq!(uri.host, Host::Name(host), "{name}");
        assert_eq!(uri.scheme, Scheme::Sip, "{name}");
    }
    let users = read("escnull");
    let users: Vec<_> = users
        .addresses(HeaderName::Contact)
        .map(|contact| contact.unwrap().uri().unwrap().decoded_user().unwrap().into_owned())
        .collect();
    assert_eq!(users, [vec![0], vec![0, 0]]);
}

#[test]
fn parameters_belong_to_the_contact_or_to_its_uri() {
    for (name, of_contact, of_uri) in [("cparam01", true, false), ("cparam02", false, true)] {
        let message = read(name);
        let contact = message.contact().unwrap();
        assert_eq!(contact.params.contains("unknownparam"), of_contact, "{name}");
        assert_eq!(contact.uri().unwrap().params.contains("unknownparam"), of_uri, "{name}");
    }
    assert!(read("regescrt").contact().unwrap().uri().unwrap().headers.is_some());
}

#[test]
fn bodies_end_where_content_length_says() {
    for (name, len) in [("dblreq", 0), ("mpart01", 553), ("unreason", 154), ("inv2543", 105)] {
        assert_eq!(read(name).body().len(), len, "{name}");
    }
}

#[test]
fn every_via_of_a_long_request_is_found() {
    let message = read("longreq");
    assert_eq!(message.vias().filter(Result::is_ok).count(), 34);
    let last = message.vias().last().unwrap().unwrap();
    assert_eq!(last.received(), Some(ip("192.0.2.5")));
    let transports: Vec<_> =
        read("transports").vias().map(|via| text(Some(via.unwrap().transport))).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn option_tags_are_listed() {
    let message = read("bext01");
    let tags = |name| message.option_tags(name).map(|tag| text(Some(tag))).collect::<Vec<_>>();
    assert_eq!(tags(HeaderName::Require), ["nothingSupportsThis", "nothingSupportsThisEither"]);
    assert_eq!(
        tags(HeaderName::ProxyRequire),
        ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]
    );
    assert_eq!(read("invut").content_type(), Some(&b"application/unknownformat"[..]));
}

#[test]
fn addresses_of_version_six_are_read_with_their_ports() {
    let cases = [
        ("ipv6-good", "2001:db8::10", None),
        ("port-ambiguous", "2001:db8::10:5070", None),
        ("port-unambiguous", "2001:db8::10", Some(5070)),
        ("ipv6-bug-abnf-3-colons", "2001:db8::192.0.2.1", None),
        ("ipv6-correct-abnf-2-colons", "2001:db8::192.0.2.1", None),
        ("ipv6-in-sdp", "2001:db8::10", None),
    ];
    for (name, host, port) in cases {
        let message = read(name);
        let uri = message.request_uri().unwrap();
        assert_eq!((uri.host, uri.port), (Host::Ip(ip(host)), port), "{name}");
    }
    let mapped = read("ipv4-mapped-ipv6");
    let via = mapped.via().unwrap();
    assert_eq!((via.host, via.port), (Host::Ip(ip("::ffff:192.0.2.10")), Some(19823)));
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        assert_eq!(read(name).via().unwrap().received(), Some(ip("2001:db8::9:255")), "{name}");
    }
    let hosts = read("mult-ip-in-header");
    let hosts: Vec<_> = hosts.vias().map(|via| via.unwrap().host).collect();
    let want = ["2001:db8::9:1", "192.0.2.1", "2001:db8::9:255"].map(|text| Host::Ip(ip(text)));
    assert_eq!(hosts, want);
}
