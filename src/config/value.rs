//! Values that TOML has no type for: durations, port ranges, networks, names.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::model::Network;

/// Why a text is not such a value, and what was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: String,
    pub(super) hint: Option<String>,
    /// The corrected value, without quotes.
    pub(super) fix: Option<String>,
}

impl Fault {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None, fix: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The units of a duration, each with its milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// A duration as it is typed: a whole number and its unit, such as `8s`, `500ms`, `2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct TypedDuration(pub(super) Duration);

impl FromStr for TypedDuration {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (count, unit) = text.split_at(split);
        let form = "a duration is a whole number and a unit: ms, s, m or h";
        if count.is_empty() {
            return Err(Fault::new(form).hint("such as \"500ms\", \"8s\" or \"2h\""));
        }
        let count: u64 =
            count.parse().map_err(|_| Fault::new("this is longer than any duration may be"))?;
        if unit.is_empty() {
            let fix = format!("{count}s");
            return Err(Fault::new("the unit is missing").hint(form).fix(fix));
        }
        let factor = UNITS.iter().find(|(known, _)| *known == unit.trim()).map(|(_, ms)| *ms);
        let factor =
            factor.ok_or_else(|| Fault::new(format!("`{unit}` is no unit here")).hint(form))?;
        if unit.trim() != unit {
            let fix = format!("{count}{}", unit.trim());
            return Err(Fault::new("there is a space before the unit")
                .hint("leave it out")
                .fix(fix));
        }
        let millis = count.checked_mul(factor);
        let millis = millis.ok_or_else(|| Fault::new("this is longer than any duration may be"))?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl TryFrom<String> for TypedDuration {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        text.parse()
    }
}

impl fmt::Display for TypedDuration {
    /// In the largest unit that leaves no rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let fits = |(_, factor): &&(&str, u64)| millis.is_multiple_of(u128::from(*factor));
        match UNITS.iter().rev().filter(|_| millis > 0).find(fits) {
            Some((unit, factor)) => write!(f, "{}{unit}", millis / u128::from(*factor)),
            None => write!(f, "0s"),
        }
    }
}

/// The units in which it is said how long something is kept, each with its days. A year has a leap
/// day, so that no number of them is less than the calendar's.
const KEEP_UNITS: [(&str, u64); 2] = [("d", 1), ("y", 366)];

/// The word for what is never deleted.
const FOREVER: &str = "forever";

/// How long something is kept as it is typed: `90d`, `5y`, or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct TypedKeep(pub(super) Option<Duration>);

impl FromStr for TypedKeep {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if text == FOREVER {
            return Ok(Self(None));
        }
        let form = "it is a whole number of days or years, or \"forever\"";
        let fault = |reason: String| Fault::new(reason).hint("such as \"90d\" or \"5y\"");
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (count, unit) = text.split_at(split);
        let long = || fault("this is longer than anything is kept; write \"forever\"".to_owned());
        let count: u64 = match count.parse() {
            Ok(count) => count,
            Err(_) if count.is_empty() => return Err(fault(form.to_owned())),
            Err(_) => return Err(long()),
        };
        let days = KEEP_UNITS.iter().find(|(known, _days)| *known == unit);
        let (_unit, days) = days.ok_or_else(|| match unit {
            "" => fault("the unit is missing".to_owned()).hint(form).fix(format!("{count}d")),
            unit => fault(format!("`{unit}` is no unit here")).hint(form),
        })?;
        let seconds = count.checked_mul(days * 86_400).ok_or_else(long)?;
        Ok(Self(Some(Duration::from_secs(seconds))))
    }
}

impl TryFrom<String> for TypedKeep {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        text.parse()
    }
}

/// A range of UDP ports as it is typed, `20000-29999`: even to odd, so that each RTP port has the
/// odd port above it for RTCP (RFC 3550 section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PortRange {
    pub(super) min: u16,
    pub(super) max: u16,
}

/// Ports below are the system's own (RFC 6335 section 6).
const PORT_MIN: u16 = 1024;

impl FromStr for PortRange {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let form = "a port range is two ports, such as \"20000-29999\"";
        let bounds = text.split_once('-').and_then(|(min, max)| {
            Some((min.trim().parse::<u16>().ok()?, max.trim().parse::<u16>().ok()?))
        });
        let (min, max) = bounds.ok_or_else(|| Fault::new(form))?;
        if min < PORT_MIN {
            return Err(Fault::new(format!("ports below {PORT_MIN} are the system's own")));
        }
        if min >= max {
            return Err(Fault::new("the second port must be the greater").hint(form));
        }
        if !min.is_multiple_of(2) || max.is_multiple_of(2) {
            let fix = format!("{}-{}", min & !1, max | 1);
            return Err(Fault::new("the first port must be even and the last odd")
                .hint("RTP takes the even port of a pair and RTCP the odd one above")
                .fix(fix));
        }
        Ok(Self { min, max })
    }
}

impl TryFrom<String> for PortRange {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        text.parse()
    }
}

/// Networks wider than these are no dialer's: whoever may send us calls spends the trunk's money.
const PREFIX_MIN_V4: u8 = 8;
const PREFIX_MIN_V6: u8 = 16;

/// A network as it is typed: a lone address, or CIDR form without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct TypedNetwork(pub(super) Network);

impl FromStr for TypedNetwork {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let form = "a network is an address and the bits that are fixed";
        let example = "such as \"192.0.2.0/28\"; a lone address stands for itself";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| Fault::new(form).hint(example))?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(prefix) => prefix.parse().map_err(|_| Fault::new(form).hint(example))?,
        };
        if address.to_canonical() != address {
            return Err(Fault::new("this is an IPv4 address in IPv6 clothes")
                .hint("write it as IPv4; it is known in both")
                .fix(address.to_canonical().to_string()));
        }
        let network = Network::new(address, prefix)
            .ok_or_else(|| Fault::new(format!("the address has only {width} bits")))?;
        let least = if address.is_ipv4() { PREFIX_MIN_V4 } else { PREFIX_MIN_V6 };
        if prefix < least {
            return Err(Fault::new(format!("a dialer's network has at least {least} fixed bits"))
                .hint("whoever may send calls spends the trunk's money: name the machines"));
        }
        let whole = network.to_string();
        if whole != format!("{address}/{prefix}") {
            return Err(Fault::new("there are bits set beyond the fixed ones")
                .hint(format!("the network is `{whole}`"))
                .fix(whole));
        }
        Ok(Self(network))
    }
}

impl TryFrom<String> for TypedNetwork {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        text.parse()
    }
}

/// The known name that `typed` was probably meant to be: near by Damerau-Levenshtein, a third of
/// its letters wrong at most.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong_max = (typed.chars().count() / 3).max(1);
    let folded = typed.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(wrong, _)| *wrong <= wrong_max)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        #[rustfmt::skip]
        let cases = [
            ("milliseconds",           "500ms",  Ok("500ms")),
            ("seconds",                "8s",     Ok("8s")),
            ("the largest whole unit", "120m",   Ok("2h")),
            ("a rest keeps the unit",  "90s",    Ok("90s")),
            ("none",                   "0s",     Ok("0s")),
            ("no unit",                "8",      Err("the unit is missing")),
            ("no number",              "s",      Err("a duration is a whole number and a unit: ms, s, m or h")),
            ("nothing",                "",       Err("a duration is a whole number and a unit: ms, s, m or h")),
            ("a fraction",             "1.5s",   Err("`.5s` is no unit here")),
            ("a foreign unit",         "3d",     Err("`d` is no unit here")),
            ("a space",                "3 s",    Err("there is a space before the unit")),
            ("a sign",                 "-3s",    Err("a duration is a whole number and a unit: ms, s, m or h")),
            ("beyond 64 bits",         "18446744073709551616s", Err("this is longer than any duration may be")),
            ("beyond in milliseconds", "18446744073709551615h", Err("this is longer than any duration may be")),
            ("other digits",           "８s",    Err("a duration is a whole number and a unit: ms, s, m or h")),
        ];
        for (name, text, want) in cases {
            let got = text.parse::<TypedDuration>().map(|d| d.to_string()).map_err(|f| f.reason);
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{name}: {text}");
        }
    }

    #[test]
    fn port_ranges_are_pairs_of_ports() {
        #[rustfmt::skip]
        let cases = [
            ("the usual",               "20000-29999",  Ok((20000, 29999))),
            ("one pair",                "1024-1025",    Ok((1024, 1025))),
            ("the last pair",           "65534-65535",  Ok((65534, 65535))),
            ("an odd start",            "20001-29999",  Err(Some("20000-29999"))),
            ("an even end",             "20000-29998",  Err(Some("20000-29999"))),
            ("backwards",               "30000-20001",  Err(None)),
            ("a system port",           "1022-2001",    Err(None)),
            ("one port",                "20000",        Err(None)),
            ("beyond 16 bits",          "20000-65537",  Err(None)),
        ];
        for (name, text, want) in cases {
            let got = text.parse::<PortRange>().map(|p| (p.min, p.max)).map_err(|f| f.fix);
            assert_eq!(got, want.map_err(|fix| fix.map(str::to_owned)), "{name}: {text}");
        }
    }

    #[test]
    fn networks_are_read_as_written() {
        #[rustfmt::skip]
        let cases = [
            ("IPv4",                  "192.0.2.0/28",    Ok("192.0.2.0/28")),
            ("a lone address",        "192.0.2.7",       Ok("192.0.2.7/32")),
            ("IPv6",                  "2001:db8::/32",   Ok("2001:db8::/32")),
            ("a lone IPv6 address",   "::1",             Ok("::1/128")),
            ("the widest IPv4",       "10.0.0.0/8",      Ok("10.0.0.0/8")),
            ("host bits",             "192.0.2.9/28",    Err("there are bits set beyond the fixed ones")),
            ("everybody",             "0.0.0.0/0",       Err("a dialer's network has at least 8 fixed bits")),
            ("everybody in IPv6",     "::/0",            Err("a dialer's network has at least 16 fixed bits")),
            ("IPv4 in IPv6 clothes",  "::ffff:192.0.2.1", Err("this is an IPv4 address in IPv6 clothes")),
            ("too many bits",         "192.0.2.0/33",    Err("the address has only 32 bits")),
            ("a name",                "dialer.example",  Err("a network is an address and the bits that are fixed")),
            ("a port",                "192.0.2.1:5060",  Err("a network is an address and the bits that are fixed")),
        ];
        for (name, text, want) in cases {
            let got = text.parse::<TypedNetwork>().map(|n| n.0.to_string()).map_err(|f| f.reason);
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{name}: {text}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_and_no_far_one() {
        let known = ["ring-max", "call-max", "route", "check"];
        #[rustfmt::skip]
        let cases = [
            ("a letter too few", "rout",       Some("route")),
            ("letters swapped",  "chekc",      Some("check")),
            ("an underscore",    "ring_max",   Some("ring-max")),
            ("capitals",         "Check",      Some("check")),
            ("nothing like it",  "timezone",   None),
            ("empty",            "",           None),
        ];
        for (name, typed, want) in cases {
            assert_eq!(nearest(typed, known), want, "{name}");
        }
    }
}
