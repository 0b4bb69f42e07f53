//! The law: rooms, their doors, and the one place of each foreign crate.

/// What a room may touch of the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No socket, clock, thread, file, randomness or async.
    Pure,
    /// Owns one outside thing.
    Driver,
    /// Puts the others together.
    Wiring,
}

/// One folder under `src`.
#[derive(Debug)]
pub(crate) struct Room {
    /// The folder's name.
    pub(crate) name: &'static str,
    /// What it may touch.
    pub(crate) kind: Kind,
    /// Storey of the house; no door leads up, and lib.rs lists the storeys from the ground.
    pub(crate) level: u8,
    /// The other rooms it may name.
    pub(crate) doors: &'static [&'static str],
}

const fn storey(name: &'static str, kind: Kind, level: u8, doors: &'static [&'static str]) -> Room {
    Room { name, kind, level, doors }
}

/// Every room, from the ground up.
#[rustfmt::skip]
pub(crate) const ROOMS: &[Room] = &[
    storey("model",       Kind::Pure,   0, &[]),

    storey("dtmf",        Kind::Pure,   1, &["model"]),
    storey("media",       Kind::Pure,   1, &["model"]),
    storey("sdp",         Kind::Pure,   1, &["model"]),
    storey("sip",         Kind::Pure,   1, &["model"]),

    storey("campaign",    Kind::Pure,   2, &["model", "menu"]),
    storey("menu",        Kind::Pure,   2, &["model"]),
    storey("record",      Kind::Pure,   2, &["model"]),
    storey("suppression", Kind::Pure,   2, &["model"]),

    // The only pure room that knows both the wire and the domain.
    storey("call",        Kind::Pure,   3, &["model", "dtmf", "media", "sdp", "sip", "campaign", "menu",
                                           "record", "suppression"]),

    storey("api",         Kind::Driver, 4, &["model"]),
    storey("net",         Kind::Driver, 4, &["model"]),
    storey("store",       Kind::Driver, 4, &["model", "record", "suppression"]),
    storey("telemetry",   Kind::Driver, 4, &["model"]),

    // Fills the `Settings` of every room that has them; no room names it back.
    storey("config",      Kind::Wiring, 5, &["model", "dtmf", "media", "sdp", "sip", "campaign", "menu",
                                           "record", "suppression", "call", "api", "net", "store",
                                           "telemetry"]),
    storey("engine",      Kind::Wiring, 6, &["model", "dtmf", "media", "sdp", "sip", "campaign", "menu",
                                           "record", "suppression", "call", "api", "net", "store",
                                           "telemetry", "config"]),
    storey("cli",         Kind::Wiring, 7, &["model", "dtmf", "media", "sdp", "sip", "campaign", "menu",
                                           "record", "suppression", "call", "api", "net", "store",
                                           "telemetry", "config", "engine"]),
    // src/main.rs, which only starts the command line.
    storey("main",        Kind::Wiring, 8, &["cli"]),
];

/// One dependency and the places that may name it.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// As in Cargo.toml.
    pub(crate) name: &'static str,
    /// Rooms (`sip`) or single files (`model/number.rs`); `*` is everywhere.
    pub(crate) places: &'static [&'static str],
}

const fn foreign(name: &'static str, places: &'static [&'static str]) -> Foreign {
    Foreign { name, places }
}

/// Every dependency of Cargo.toml. Third-party types stop at the file that wraps them.
#[rustfmt::skip]
pub(crate) const FOREIGN: &[Foreign] = &[
    foreign("annotate-snippets",  &["config"]),
    foreign("anyhow",             &["cli", "main"]),
    foreign("arc-swap",           &["suppression", "engine"]),
    foreign("axum",               &["api", "engine"]),
    foreign("chacha20poly1305",   &["suppression"]),
    foreign("clap",               &["cli"]),
    foreign("crc32fast",          &["suppression", "store"]),
    foreign("csv",                &["suppression", "store", "cli"]),
    foreign("dashmap",            &["suppression", "engine"]),
    foreign("ed25519-dalek",       &["suppression/proof/signature.rs"]), // signed checkpoints and bundles
    foreign("flate2",             &["store/import/input.rs"]),
    foreign("futures-util",       &["store/postgres/link.rs"]),
    foreign("getrandom",           &["net", "store/random.rs"]), // in store: keys and salts of the sealed fields
    foreign("hmac",               &["suppression"]),
    foreign("hound",              &["media", "cli"]),
    foreign("indicatif",          &["cli/import.rs"]),
    foreign("jiff",               &["model", "campaign", "cli"]),
    foreign("libc",               &["net"]),
    foreign("memchr",              &["sip", "suppression", "net"]),
    foreign("prometheus-client",  &["telemetry"]),
    foreign("quick-xml",          &["store/import/xlsx/xml.rs"]),
    foreign("refinery",           &["store"]),
    foreign("rlibphonenumber",     &["model/number.rs", "model/number/exam.rs", "model/number/reader.rs"]),
    foreign("rsip",               &["cli"]), // the demo's phones: never judge our parser by itself
    foreign("rtp-rs",             &["media", "cli"]),
    foreign("rust_xlsxwriter",    &["cli/xlsx.rs"]),
    foreign("rusqlite",           &["store"]),
    foreign("rustls",             &["store/postgres/tls.rs"]),
    foreign("sdp-types",          &["sdp"]),
    foreign("serde",              &["*"]),
    foreign("serde_json",          &["suppression", "net", "store", "api", "engine", "cli"]),
    foreign("sha2",                &["media", "suppression", "store/exam/pieces.rs", "store/import/ahead.rs", "store/import/input.rs",
                                    "store/import/kept.rs", "store/transfer.rs", "config"]), // in config: which set of files a call started with
    foreign("siphasher",           &["model/keyed.rs", "model/token.rs", "sip/transaction/key.rs"]),
    foreign("socket2",            &["net"]),
    foreign("strsim",             &["config"]),
    foreign("tempfile",           &["store/import/runs.rs", "cli"]), // in cli: the demo's store
    foreign("thiserror",          &["*"]),
    foreign("tokio",              &["net", "store", "api", "engine", "cli"]),
    foreign("tokio-postgres",     &["store/postgres.rs", "store/postgres/error.rs", "store/postgres/link.rs",
                                    "store/postgres/migrate.rs", "store/postgres/rights.rs",
                                    "store/postgres/settings.rs", "store/postgres/tls.rs"]),
    foreign("tokio-rustls",       &["store/postgres/tls.rs"]),
    foreign("toml",               &["config"]),
    foreign("tracing",            &["*"]),
    foreign("tracing-subscriber", &["telemetry"]),
    foreign("uuid",               &["model"]),
    foreign("webrtc-util",        &["media"]), // the replay window only
    foreign("zip",                &["store/import/xlsx/archive.rs"]),
];

/// Crates that only tests, benches and examples name.
pub(crate) const DEV_ONLY: &[&str] = &["proc-macro2", "sqlparser", "syn"];

/// What a pure room may not name, by the beginning of the full path.
#[rustfmt::skip]
pub(crate) const NOT_PURE: &[(&str, &str)] = &[
    ("std::collections::hash_map::RandomState", "randomness: use model::keyed or a BTreeMap"),
    ("std::env",                    "the environment"),
    ("std::fs",                     "files"),
    ("std::hash::RandomState",      "randomness: use model::keyed or a BTreeMap"),
    ("std::io::stderr",             "a console"),
    ("std::io::stdin",              "a console"),
    ("std::io::stdout",             "a console"),
    ("std::net::TcpListener",       "sockets"),
    ("std::net::TcpStream",         "sockets"),
    ("std::net::ToSocketAddrs",     "name resolution"),
    ("std::net::UdpSocket",         "sockets"),
    ("std::os",                     "the operating system"),
    ("std::process",                "processes"),
    ("std::sync::Condvar",          "threads"),
    ("std::sync::mpsc",             "threads"),
    ("std::thread",                 "threads"),
    ("std::time::Instant::now",     "the clock: take `now`"),
    ("std::time::SystemTime",       "the clock: take `now`"),
    ("std::time::UNIX_EPOCH",       "the clock: take `now`"),
    ("std::collections::HashMap::from",          "randomness: name the hasher, or a BTreeMap"),
    ("std::collections::HashMap::from_iter",     "randomness: name the hasher, or a BTreeMap"),
    ("std::collections::HashMap::new",           "randomness: name the hasher, or a BTreeMap"),
    ("std::collections::HashMap::with_capacity", "randomness: name the hasher, or a BTreeMap"),
    ("std::collections::HashSet::from",          "randomness: name the hasher, or a BTreeSet"),
    ("std::collections::HashSet::from_iter",     "randomness: name the hasher, or a BTreeSet"),
    ("std::collections::HashSet::new",           "randomness: name the hasher, or a BTreeSet"),
    ("std::collections::HashSet::with_capacity", "randomness: name the hasher, or a BTreeSet"),
    ("jiff::Timestamp::now",        "the clock: take `now`"),
    ("jiff::Zoned::now",            "the clock: take `now`"),
    ("uuid::Uuid::new_v4",          "randomness: take a token source"),
    ("uuid::Uuid::now_v7",          "randomness and the clock"),
];

/// Methods that read the clock or the network whatever they are called on.
pub(crate) const NOT_PURE_METHODS: &[(&str, &str)] =
    &[("elapsed", "reads the clock: subtract from `now`"), ("to_socket_addrs", "resolves names")];

/// The room of that name.
pub(crate) fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}
