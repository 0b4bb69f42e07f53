//! Telephone-events (RFC 4733), in-band tones (ITU-T Q.23, Q.24), SIP INFO, and their fusion: one press, one key.
