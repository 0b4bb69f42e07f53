//! TLS to the server: rustls under tokio-postgres.

use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio_postgres::tls::ChannelBinding;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::tls::TlsConnect;

/// Where the usual systems keep the certificates that they trust; the first that is there.
const SYSTEM_CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why no certificates can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No file of certificates.
    #[error("the system has no file of trusted certificates; name one")]
    NoSystemCertificates,
    /// The file cannot be read, or is not PEM.
    #[error("cannot read certificates from `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds none that can be trusted.
    #[error("there is no certificate of an authority in `{path}`")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The library refused.
    #[error("TLS cannot be set up")]
    Library(#[from] rustls::Error),
}

/// Sets TLS up on connections; without a configuration there is none.
#[derive(Clone)]
pub(super) struct Connector(Option<Arc<ClientConfig>>);

impl Connector {
    /// No TLS.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// The server's certificate must be signed by one of `ca`, or of those that the system trusts,
    /// and name the host that was connected to.
    pub(super) fn verifying(ca: Option<&Path>) -> Result<Self, TlsError> {
        let path = match ca {
            Some(path) => path.to_owned(),
            None => {
                let there =
                    SYSTEM_CERTIFICATES.iter().map(PathBuf::from).find(|path| path.exists());
                there.ok_or(TlsError::NoSystemCertificates)?
            }
        };
        let roots = roots(&path)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Some(Arc::new(config))))
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let fail = |source| TlsError::Read { path: path.to_owned(), source };
    let text = fs::read(path).map_err(|error| fail(rustls::pki_types::pem::Error::Io(error)))?;
    let certificates = CertificateDer::pem_slice_iter(&text);
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    let mut roots = RootCertStore::empty();
    // A system's file may hold some of kinds that are trusted by nobody any more.
    let (added, _ignored) = roots.add_parsable_certificates(certificates);
    if added == 0 { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(roots) }
}

impl<S> MakeTlsConnect<S> for Connector
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        let Some(config) = &self.0 else { return Ok(Handshake(None)) };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Handshake(Some((Arc::clone(config), name))))
    }
}

/// TLS that is to be set up on one connection.
pub(super) struct Handshake(Option<(Arc<ClientConfig>, ServerName<'static>)>);

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let Some((config, name)) = self.0 else {
                return Err(io::Error::from(io::ErrorKind::Unsupported));
            };
            let connector = tokio_rustls::TlsConnector::from(config);
            connector.connect(name, stream).await.map(Stream)
        })
    }
}

/// A connection in TLS.
pub(super) struct Stream<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Stream<S> {
    /// None: the certificate is verified, so that nobody stands between to be bound against.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}
