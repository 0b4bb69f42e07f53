//! A real PostgreSQL for tests: a cluster of its own in a temporary folder, on a free port of
//! loopback, stopped by its id when the test program ends, however it ends.
//!
//! The server is the child of a keeper, a shell that waits for the end of its input. The other end
//! of that pipe is ours: when this process is gone, killed or not, the keeper stops the server and
//! removes the folder. There is one cluster for a test program, and one database for a test.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a test is told whose machine lacks the server.
const MISSING: &str = "PostgreSQL is missing; this installs it: apt-get install postgresql";
/// The user that owns the cluster's databases, and its password.
pub(crate) const OWNER: (&str, &str) = ("owner", "a password: with %signs&");
/// Looks at a server that starts, 50 ms apart: 30 s.
const LOOKS_MAX: u32 = 600;

/// `$1` is the cluster's folder, `$2` that of the programs, `$3` the port. A line of input, which
/// names a signal, stops the server by that and keeps the folder; the end of the input stops it and
/// removes the folder.
const KEEPER: &str = r#"
"$2/postgres" -D "$1/data" -p "$3" -k "$1" -c listen_addresses=127.0.0.1 >>"$1/log" 2>&1 &
server=$!
echo "$server"
if read -r signal; then
    kill -"$signal" "$server"
    wait "$server"
else
    kill -QUIT "$server"
    wait "$server"
    rm -rf "$1"
fi
"#;

/// What the cluster is made with, once: `$1` is its folder, `$2` that of the programs.
const MAKE: &str = r#"
set -e
cd "$1"
"$2/initdb" -D data --no-sync --no-instructions -E UTF8 --locale=C.UTF-8 -U owner \
    --auth-local=trust --auth-host=scram-sha-256 --pwfile=password >log 2>&1
new_key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1"; chmod 600 "$1"; }
for ca in ca stranger; do
    new_key $ca.key
    openssl req -x509 -new -key $ca.key -days 2 -subj "/CN=$ca of the tests" -out $ca.pem
done
new_key server.key
printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >names
openssl req -new -key server.key -subj /CN=localhost -out server.request
openssl x509 -req -in server.request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile names -out server.crt >>log 2>&1
printf "ssl = on\nssl_cert_file = '%s/server.crt'\nssl_key_file = '%s/server.key'\n" "$1" "$1" \
    >>data/postgresql.conf
"#;

/// A server with its folder.
#[derive(Debug)]
pub(crate) struct Cluster {
    dir: PathBuf,
    programs: PathBuf,
    port: u16,
    keeper: Option<Child>,
}

impl Cluster {
    /// The one that all tests of this program share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A cluster for a test that stops it.
    pub(crate) fn start() -> Self {
        Self::start_in(&std::env::temp_dir())
    }

    /// The same, whose folder is made in `parent`, which others than its owner may enter.
    pub(crate) fn start_in(parent: &Path) -> Self {
        let programs = programs().unwrap_or_else(|| panic!("{MISSING}"));
        let dir = tempfile::Builder::new().prefix("bajavoz-pg-").tempdir_in(parent);
        let dir = dir.expect("a folder").keep();
        fs::write(dir.join("password"), OWNER.1).expect("the folder can be written");
        if let Some((user, group)) = other_user() {
            for path in [dir.join("password"), dir.clone()] {
                chown(path, Some(user), Some(group)).expect("root may give files away");
            }
        }
        let mut make = as_other_user("sh");
        make.args(["-c", MAKE, "make"]).arg(&dir).arg(&programs);
        let made = make.output().expect("a shell starts");
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        let told = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb or openssl failed: {told}\n{log}");
        let port = free_port();
        let mut cluster = Self { dir, programs, port, keeper: None };
        cluster.start_again();
        cluster
    }

    /// Starts the server that [`Self::stop`] has stopped, on the same port.
    pub(crate) fn start_again(&mut self) {
        let mut keeper = as_other_user("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&self.dir).arg(&self.programs);
        keeper.arg(self.port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().expect("a shell starts");
        let mut server = String::new();
        let told = keeper.stdout.take().expect("its output is ours");
        BufReader::new(told).read_line(&mut server).expect("the keeper names the server");
        self.keeper = Some(keeper);
        for _look in 0..LOOKS_MAX {
            if self.is_ready() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start: {log}");
    }

    fn is_ready(&self) -> bool {
        let mut ask = Command::new(self.programs.join("pg_isready"));
        ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        ask.status().is_ok_and(|status| status.success())
    }

    /// Stops the server, whose connections end, and keeps what it has.
    pub(crate) fn stop(&mut self) {
        self.end_by("INT");
    }

    /// Has the server end at once and write nothing more, as in a crash: what it finds at its next
    /// start is what it had put on disk until now.
    pub(crate) fn crash(&mut self) {
        self.end_by("QUIT");
    }

    fn end_by(&mut self, signal: &str) {
        let Some(mut keeper) = self.keeper.take() else { return };
        let input = keeper.stdin.as_mut().expect("its input is ours");
        writeln!(input, "{signal}").expect("the keeper reads");
        keeper.wait().expect("a child can be waited for");
    }

    /// A new, empty database.
    pub(crate) fn database(&self) -> TestDatabase {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let database = TestDatabase { dir: self.dir.clone(), port: self.port, name };
        TestDatabase { name: "postgres".to_owned(), ..database.clone() }
            .psql(&format!("CREATE DATABASE {}", database.name));
        database
    }

    /// The port of the server.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// A file of the cluster: `ca.pem` has signed the server's certificate, whose name is
    /// `localhost`, and `stranger.pem` has not.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.keeper.is_none() {
            self.start_again(); // So that its folder goes.
        }
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            // A keeper that is gone has nothing left to stop.
            let _ = keeper.wait();
        }
    }
}

/// One database of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct TestDatabase {
    dir: PathBuf,
    port: u16,
    /// Its name.
    pub(crate) name: String,
}

impl TestDatabase {
    /// How a program connects as the owner: over TCP, with a password.
    pub(crate) fn url(&self) -> String {
        self.url_of(OWNER, self.port)
    }

    /// The same for another user, by way of another port of loopback.
    pub(crate) fn url_of(&self, user: (&str, &str), port: u16) -> String {
        let quoted: String = user.1.bytes().map(|octet| format!("%{octet:02X}")).collect();
        format!("postgresql://{}:{quoted}@127.0.0.1:{port}/{}", user.0, self.name)
    }

    /// What another program, `psql`, answers to `sql`: a line for each row, columns apart by `|`.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.try_psql(sql).unwrap_or_else(|told| panic!("{sql}: {told}"))
    }

    /// The same, with what it says when it fails.
    pub(crate) fn try_psql(&self, sql: &str) -> Result<String, String> {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", OWNER.0, "-h"]);
        psql.arg(&self.dir).args(["-p", &self.port.to_string(), "-d", &self.name, "-c", sql]);
        let output = psql.output().unwrap_or_else(|_error| panic!("{MISSING}"));
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

/// The folder of the newest server's programs; Debian puts it on nobody's path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let version = |path: &Path| -> Option<u32> {
        path.parent()?.file_name()?.to_str()?.parse().ok() // e.g. 15
    };
    folders.filter(|path| path.join("initdb").exists()).max_by_key(|path| version(path))
}

/// Whom the server runs as, since it refuses to run as root; nobody else where we are not root.
fn other_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let of = |user: &str| id(&["-u", user]).zip(id(&["-g", user]));
    of("postgres").or_else(|| of("nobody"))
}

fn as_other_user(program: &str) -> Command {
    let Some((user, group)) = other_user() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}")]);
    command.args(["--clear-groups", program]);
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}
