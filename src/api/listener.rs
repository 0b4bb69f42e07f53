//! A listener with a stated number of connections, each with a stated life.
//!
//! Who opens connections and says nothing, or speaks a byte a minute, holds a place for
//! [`CONNECTION_LIFE`] at most. Prometheus and load balancers open a new connection when an old
//! one was closed.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Most connections at once; more wait in the kernel. Our choice: probes and scrapers, not people.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// How long a connection lives at most. Our choice: two scrapes at the usual 30 s.
const CONNECTION_LIFE: Duration = Duration::from_secs(65);

/// Pause after an error of accept that waiting mends, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// A TCP listener that keeps to the limits above.
pub(super) struct LimitedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for LimitedListener {
    type Io = LimitedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (LimitedStream, SocketAddr) {
        let place = loop {
            match Arc::clone(&self.places).acquire_owned().await {
                Ok(place) => break place,
                // Never closed; were it, nothing more would be accepted.
                Err(_) => std::future::pending::<()>().await,
            }
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let life = Box::pin(tokio::time::sleep(CONNECTION_LIFE));
                    return (LimitedStream { stream, life, _place: place }, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "an http connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends by itself.
pub(super) struct LimitedStream {
    stream: TcpStream,
    life: Pin<Box<Sleep>>,
    /// Held for as long as the connection is.
    _place: OwnedSemaphorePermit,
}

impl LimitedStream {
    /// An error once the life is over; else `poll` decides.
    fn while_alive<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.life.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        poll(Pin::new(&mut self.stream), context)
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.while_alive(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.while_alive(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
