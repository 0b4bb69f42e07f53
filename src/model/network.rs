//! Ranges of IP addresses in CIDR form.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network in CIDR form, its host bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network of `address` and its first `prefix` bits; `None` beyond 32 or 128 bits.
    ///
    /// Host bits are cleared.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let network = Self { address, prefix };
        (prefix <= width).then(|| Self { address: network.masked(address), prefix })
    }

    /// Whether `address` lies in it; an IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.address
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// How many leading bits are fixed.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    fn masked(&self, address: IpAddr) -> IpAddr {
        let host_bits = |width: u8| u32::from(width.saturating_sub(self.prefix));
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(host_bits(32)).unwrap_or(0);
                IpAddr::from((v4.to_bits() & mask).to_be_bytes())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(host_bits(128)).unwrap_or(0);
                IpAddr::from((v6.to_bits() & mask).to_be_bytes())
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Why a text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a range such as 192.0.2.0/28, found `{found}`")]
pub struct NetworkError {
    /// The text.
    pub found: String,
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `192.0.2.0/28`, `2001:db8::/32`, or one address alone.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let read = || {
            let (address, prefix) =
                text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
            let address: IpAddr = address.parse().ok()?;
            let width = if address.is_ipv4() { 32 } else { 128 };
            Self::new(address, prefix.map_or(Some(width), |bits| bits.parse().ok())?)
        };
        read().ok_or_else(|| NetworkError { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        #[rustfmt::skip]
        let cases = [
            ("the first of a network",          "192.0.2.0",   28,  "192.0.2.0",          true),
            ("the last of a network",           "192.0.2.0",   28,  "192.0.2.15",         true),
            ("one past the last",               "192.0.2.0",   28,  "192.0.2.16",         false),
            ("one address",                     "192.0.2.7",   32,  "192.0.2.7",          true),
            ("host bits are cleared",           "192.0.2.9",   28,  "192.0.2.1",          true),
            ("IPv4 in IPv6 clothes",            "192.0.2.0",   28,  "::ffff:192.0.2.3",   true),
            ("IPv6",                            "2001:db8::",  32,  "2001:db8:1::2",      true),
            ("IPv6 beyond",                     "2001:db8::",  32,  "2001:db9::",         false),
            ("IPv4 is not in an IPv6 network",  "::",          0,   "192.0.2.3",          false),
            ("everything",                      "0.0.0.0",     0,   "255.255.255.255",    true),
        ];
        for (name, network, prefix, address, want) in cases {
            let network = Network::new(network.parse().unwrap(), prefix).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), want, "{name}");
        }
        assert_eq!(Network::new("::".parse().unwrap(), 129), None);
        assert_eq!(Network::new("0.0.0.0".parse().unwrap(), 33), None);
    }
}
