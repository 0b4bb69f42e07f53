//! Method and header names, with the compact forms of IANA's header registry.
//!
//! Methods are case-sensitive, header names are not (RFC 3261 sections 7.1 and 7.3.1).

use std::fmt;

/// A request method that the engine has an opinion on; [`Method::Other`] stands for the rest,
/// whose token is kept by the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the method of its own name")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Info,
    Prack,
    Update,
    Refer,
    Notify,
    Register,
    Subscribe,
    Message,
    Publish,
    Other,
}

impl Method {
    /// Reads a token; case matters, so `invite` is [`Method::Other`].
    pub const fn from_token(token: &[u8]) -> Self {
        match token {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"INFO" => Self::Info,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"REFER" => Self::Refer,
            b"NOTIFY" => Self::Notify,
            b"REGISTER" => Self::Register,
            b"SUBSCRIBE" => Self::Subscribe,
            b"MESSAGE" => Self::Message,
            b"PUBLISH" => Self::Publish,
            _ => Self::Other,
        }
    }

    /// The token on the wire; `OTHER` for [`Method::Other`], which nobody may send.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Info => "INFO",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other => "OTHER",
        }
    }
}

impl AsRef<[u8]> for Method {
    fn as_ref(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes the enum, its text forms and its table from one list, so that they cannot differ.
macro_rules! header_names {
    ($($variant:ident = $text:literal $(, $compact:literal)?;)*) => {
        /// A header that the engine reads or writes; all others are [`HeaderName::Extension`],
        /// and are found by their text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "each variant is the header of its own name")]
        pub enum HeaderName {
            // First, so that an empty header table is all zero.
            Extension,
            $($variant,)*
        }

        impl HeaderName {
            /// Every name but [`HeaderName::Extension`].
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name as it is written, in its long form.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Extension => "Extension",
                }
            }

            const fn from_compact(letter: u8) -> Self {
                $($(if letter == $compact { return Self::$variant; })?)*
                Self::Extension
            }
        }
    };
}

header_names! {
    Accept = "Accept";
    AcceptContact = "Accept-Contact", b'a';
    Allow = "Allow";
    AllowEvents = "Allow-Events", b'u';
    Authorization = "Authorization";
    CallId = "Call-ID", b'i';
    Contact = "Contact", b'm';
    ContentDisposition = "Content-Disposition";
    ContentEncoding = "Content-Encoding", b'e';
    ContentLength = "Content-Length", b'l';
    ContentType = "Content-Type", b'c';
    CSeq = "CSeq";
    Date = "Date";
    Diversion = "Diversion";
    Event = "Event", b'o';
    Expires = "Expires";
    From = "From", b'f';
    HistoryInfo = "History-Info";
    Identity = "Identity", b'y';
    IdentityInfo = "Identity-Info", b'n';
    MaxForwards = "Max-Forwards";
    MinSe = "Min-SE";
    PAssertedIdentity = "P-Asserted-Identity";
    Privacy = "Privacy";
    ProxyAuthenticate = "Proxy-Authenticate";
    ProxyAuthorization = "Proxy-Authorization";
    ProxyRequire = "Proxy-Require";
    RAck = "RAck";
    Reason = "Reason";
    RecordRoute = "Record-Route";
    ReferTo = "Refer-To", b'r';
    ReferredBy = "Referred-By", b'b';
    RejectContact = "Reject-Contact", b'j';
    Replaces = "Replaces";
    RequestDisposition = "Request-Disposition", b'd';
    Require = "Require";
    RetryAfter = "Retry-After";
    Route = "Route";
    RSeq = "RSeq";
    Server = "Server";
    SessionExpires = "Session-Expires", b'x';
    Subject = "Subject", b's';
    Supported = "Supported", b'k';
    Timestamp = "Timestamp";
    To = "To", b't';
    Unsupported = "Unsupported";
    UserAgent = "User-Agent";
    Via = "Via", b'v';
    Warning = "Warning";
    WwwAuthenticate = "WWW-Authenticate";
}

impl HeaderName {
    /// Reads a name in its long or compact form, whatever its case.
    pub fn from_bytes(name: &[u8]) -> Self {
        if let [letter] = name {
            return Self::from_compact(letter.to_ascii_lowercase());
        }
        let guess = Self::guess(name);
        let text = guess.as_str().as_bytes();
        // Nearly everybody writes the usual case, which compares many octets at a time.
        if text == name || text.eq_ignore_ascii_case(name) { guess } else { Self::Extension }
    }

    /// The only name that `name` can be by its length and its first octet, or its third where two
    /// names share both: the hot path compares one text instead of fifty.
    const fn guess(name: &[u8]) -> Self {
        let [first, second, third, ..] = *name else {
            return Self::To;
        };
        match (name.len(), first | 0x20, second | 0x20, third | 0x20) {
            (3, b'v', ..) => Self::Via,
            (4, b'f', ..) => Self::From,
            (4, b'c', ..) => Self::CSeq,
            (4, b'd', ..) => Self::Date,
            (4, b'r', b'a', _) => Self::RAck,
            (4, b'r', ..) => Self::RSeq,
            (5, b'a', ..) => Self::Allow,
            (5, b'e', ..) => Self::Event,
            (5, b'r', ..) => Self::Route,
            (6, b'a', ..) => Self::Accept,
            (6, b'm', ..) => Self::MinSe,
            (6, b'r', ..) => Self::Reason,
            (6, b's', ..) => Self::Server,
            (7, b'c', b'o', _) => Self::Contact,
            (7, b'c', ..) => Self::CallId,
            (7, b'e', ..) => Self::Expires,
            (7, b'p', ..) => Self::Privacy,
            (7, b'r', ..) => Self::Require,
            (7, b's', ..) => Self::Subject,
            (7, b'w', ..) => Self::Warning,
            (8, b'i', ..) => Self::Identity,
            (8, b'r', _, b'p') => Self::Replaces,
            (8, b'r', ..) => Self::ReferTo,
            (9, b'd', ..) => Self::Diversion,
            (9, b's', ..) => Self::Supported,
            (9, b't', ..) => Self::Timestamp,
            (10, b'u', ..) => Self::UserAgent,
            (11, b'u', ..) => Self::Unsupported,
            (11, b'r', _, b't') => Self::RetryAfter,
            (11, b'r', ..) => Self::ReferredBy,
            (12, b'a', ..) => Self::AllowEvents,
            (12, b'c', ..) => Self::ContentType,
            (12, b'h', ..) => Self::HistoryInfo,
            (12, b'm', ..) => Self::MaxForwards,
            (12, b'r', ..) => Self::RecordRoute,
            (13, b'a', ..) => Self::Authorization,
            (13, b'i', ..) => Self::IdentityInfo,
            (13, b'p', ..) => Self::ProxyRequire,
            (14, b'a', ..) => Self::AcceptContact,
            (14, b'c', ..) => Self::ContentLength,
            (14, b'r', ..) => Self::RejectContact,
            (15, b's', ..) => Self::SessionExpires,
            (16, b'c', ..) => Self::ContentEncoding,
            (16, b'w', ..) => Self::WwwAuthenticate,
            (18, b'p', ..) => Self::ProxyAuthenticate,
            (19, b'c', ..) => Self::ContentDisposition,
            (19, b'p', b'-', _) => Self::PAssertedIdentity,
            (19, b'p', ..) => Self::ProxyAuthorization,
            (19, b'r', ..) => Self::RequestDisposition,
            _ => Self::Extension,
        }
    }
}

impl AsRef<str> for HeaderName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_by_its_text_in_any_case() {
        for &name in HeaderName::ALL {
            let text = name.as_str();
            for spelt in [text.to_owned(), text.to_lowercase(), text.to_uppercase()] {
                assert_eq!(HeaderName::from_bytes(spelt.as_bytes()), name, "{spelt}");
            }
        }
    }

    #[test]
    fn compact_forms_are_those_of_the_iana_registry() {
        // https://www.iana.org/assignments/sip-parameters, table "Header Fields".
        let table = "a=Accept-Contact b=Referred-By c=Content-Type d=Request-Disposition \
            e=Content-Encoding f=From i=Call-ID j=Reject-Contact k=Supported l=Content-Length \
            m=Contact n=Identity-Info o=Event r=Refer-To s=Subject t=To u=Allow-Events v=Via \
            x=Session-Expires y=Identity";
        for row in table.split_whitespace() {
            let (letter, long) = row.split_once('=').unwrap();
            let upper = letter.to_uppercase();
            assert_eq!(HeaderName::from_bytes(letter.as_bytes()).as_str(), long, "{letter}");
            assert_eq!(HeaderName::from_bytes(upper.as_bytes()).as_str(), long, "{upper}");
        }
        for letter in [b"g", b"h", b"p", b"q", b"w", b"z", b"1"] {
            assert_eq!(HeaderName::from_bytes(letter), HeaderName::Extension);
        }
    }

    #[test]
    fn methods_keep_their_case() {
        for (token, want) in [
            ("INVITE", Method::Invite),
            ("Invite", Method::Other),
            ("CANCEL", Method::Cancel),
            ("", Method::Other),
            ("OTHER", Method::Other),
        ] {
            assert_eq!(Method::from_token(token.as_bytes()), want, "{token}");
        }
    }
}
