//! Sockets, clock and randomness of the operating system.
