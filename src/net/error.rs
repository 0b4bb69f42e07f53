//! What can go wrong in this room, with the facts an operator needs.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// A failure of a socket, a port pool or the operating system beneath them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetError {
    /// The address of a signalling socket could not be had.
    #[error("could not bind udp {address}: {source}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The media port range holds no even port with its odd neighbour.
    #[error("media ports {from} to {to} hold no pair of an even and the next odd port")]
    PortRange {
        /// The first port of the range.
        from: u16,
        /// The last port of the range.
        to: u16,
    },
    /// No media port pair is free.
    #[error("none of {pairs} media port pairs is free")]
    PortsExhausted {
        /// How many pairs the pool has.
        pairs: usize,
    },
    /// A media socket could not be opened.
    #[error("could not open a media socket: {0}")]
    Media(#[source] io::Error),
    /// The media thread serves as many pairs as it was set up for.
    #[error("the media thread already serves {pairs_max} port pairs")]
    MediaFull {
        /// The number it was set up for.
        pairs_max: usize,
    },
    /// A pair of sockets was handed over under a key that is in use.
    #[error("media key {0} is in use")]
    KeyTaken(u64),
    /// Another process answers on the admin socket.
    #[error("another engine answers on {}", .0.display())]
    AdminTaken(PathBuf),
    /// Something that is not a socket stands where the admin socket belongs.
    #[error("{} exists and is not a socket", .0.display())]
    AdminOccupied(PathBuf),
    /// The admin socket could not be made or reached.
    #[error("admin socket {}: {source}", path.display())]
    Admin {
        /// Its path.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}
