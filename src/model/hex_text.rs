//! Octets as people compare them.

/// Two lower-case hexadecimal digits for each of `octets`.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_octet_has_two_digits() {
        assert_eq!(super::hex(&[0, 0x0f, 0xf0, 255]), "000ff0ff");
        assert_eq!(super::hex(&[]), "");
    }
}
