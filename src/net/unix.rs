//! The admin socket: a Unix socket that only the engine's own user may open.
//!
//! Its mode is 0600 from the moment it exists: the mode is set on the unbound socket, and Linux
//! gives the file that mode less the umask when it binds. So there is no moment with a wider
//! mode, and the process's umask, which all threads share, stays as it is.

use std::fs::{File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::net::NetError;
use crate::net::lines::JsonLines;

/// Most clients served at once; one more is closed at once and counted. Our choice: people and
/// scripts, not machines, speak here.
pub const CLIENTS_MAX: usize = 8;

/// The file mode of the socket.
const MODE: u32 = 0o600;

/// Connections that wait for [`AdminSocket::accept`].
const BACKLOG: i32 = 16;

/// The engine's side of the admin socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our file, so that nobody else's is removed at the end.
    file: (u64, u64),
    places: Arc<Semaphore>,
    refused: AtomicU64,
}

impl AdminSocket {
    /// Binds `path` at mode 0600. A socket file on which nobody answers (left by a crash) is
    /// replaced.
    ///
    /// # Errors
    ///
    /// [`NetError::AdminTaken`] when another process answers there, [`NetError::AdminOccupied`]
    /// when the path is something else than a socket, else [`NetError::Admin`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn bind(path: &Path) -> Result<Self, NetError> {
        let failed = |source| NetError::Admin { path: path.to_owned(), source };
        remove_stale(path)?;
        let listener = listen(path).map_err(failed)?;
        let metadata = fs::symlink_metadata(path).map_err(failed)?;
        if metadata.permissions().mode() & 0o777 & !MODE != 0 {
            return Err(failed(io::Error::other("the system gave the socket a wider mode")));
        }
        Ok(Self {
            listener,
            path: path.to_owned(),
            file: (metadata.dev(), metadata.ino()),
            places: Arc::new(Semaphore::new(CLIENTS_MAX)),
            refused: AtomicU64::new(0),
        })
    }

    /// Where it is bound.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many clients were closed at once because [`CLIENTS_MAX`] were being served.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The next client; may be dropped at any await. It counts as served until it is dropped.
    ///
    /// # Errors
    ///
    /// The system's, such as too many open files: wait a moment before the next try.
    pub async fn accept(&self) -> io::Result<JsonLines> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Ok(JsonLines::new(stream, Some(place)));
            }
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Speaks to the engine that is bound to `path`.
    ///
    /// # Errors
    ///
    /// [`NetError::Admin`]: `NotFound` or `ConnectionRefused` in it mean that no engine runs.
    pub async fn connect(path: &Path) -> Result<JsonLines, NetError> {
        match UnixStream::connect(path).await {
            Ok(stream) => Ok(JsonLines::new(stream, None)),
            Err(source) => Err(NetError::Admin { path: path.to_owned(), source }),
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if is_ours {
            // Should it fail, the next engine finds the file stale and removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes way for a new socket at `path`, if what stands there is a socket without a listener.
fn remove_stale(path: &Path) -> Result<(), NetError> {
    let failed = |source| NetError::Admin { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(NetError::AdminOccupied(path.to_owned()));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    // A listener whose backlog is full would block the probe.
    probe.set_nonblocking(true).map_err(failed)?;
    match SockAddr::unix(path).and_then(|address| probe.connect(&address)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        _ => Err(NetError::AdminTaken(path.to_owned())),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Through File, since the standard library changes the mode of files only.
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(MODE))?;
    let socket = Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path)
            .map(|metadata| metadata.permissions().mode() & 0o7777)
            .unwrap_or(0)
    }

    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_its_engine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        let again = AdminSocket::bind(&path);
        assert!(matches!(again, Err(NetError::AdminTaken(_))), "{again:?}");
        drop(socket);
        assert!(!path.exists());
        let nobody = AdminSocket::connect(&path).await;
        assert!(matches!(nobody, Err(NetError::Admin { .. })), "{nobody:?}");
    }

    #[tokio::test]
    async fn a_stale_file_is_replaced_and_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        // As a killed engine leaves it: the file stands, nobody listens.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        fs::write(&path, "precious").unwrap();
        let occupied = AdminSocket::bind(&path);
        assert!(matches!(occupied, Err(NetError::AdminOccupied(_))), "{occupied:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn another_engines_file_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = AdminSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = AdminSocket::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_that_no_socket_can_have_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["missing/admin.sock".to_owned(), "x".repeat(120)] {
            let refused = AdminSocket::bind(&folder.path().join(name));
            assert!(matches!(refused, Err(NetError::Admin { .. })), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_client_too_many_is_closed_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        let mut served = Vec::new();
        for _ in 0..CLIENTS_MAX {
            let client = AdminSocket::connect(&path).await.unwrap();
            served.push((client, socket.accept().await.unwrap()));
        }
        let mut late = AdminSocket::connect(&path).await.unwrap();
        let brief = timeout(Duration::from_millis(200), socket.accept()).await;
        assert!(brief.is_err(), "there is no place");
        assert_eq!(late.read::<u8>().await.unwrap(), None);
        assert_eq!(socket.refused(), 1);
        served.pop();
        let mut client = AdminSocket::connect(&path).await.unwrap();
        let mut engine = socket.accept().await.unwrap();
        client.write(&7).await.unwrap();
        assert_eq!(engine.read::<u8>().await.unwrap(), Some(7));
    }
}
