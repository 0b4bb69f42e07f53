//! A running engine as a service: its admin socket, its health page, its signals.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::Engine;
use super::EngineError;
use super::admin;
use super::admin::SOCKET_NAME;
use super::admin::Steer;
use super::admin::tell_reload;
use crate::api;
use crate::config::Checked;
use crate::net::AdminSocket;

/// How long calls have to end once a thread has died: the BYE of most leaves at once, and an
/// opt-out under way may still be recorded and told. Behind it every leg that is left gets its BYE,
/// as [`Engine::stop`] has it.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// Runs an engine until a drain has ended, by signal or over the admin socket.
///
/// SIGHUP reloads, SIGTERM and SIGINT drain, and a second one of these hangs up what is left.
/// `started` is called once everything is open.
///
/// # Errors
///
/// [`EngineError`] when it does not start, and [`EngineError::Died`] when it cannot go on: its
/// calls have been hung up then, except when the signalling thread itself died.
pub async fn run(
    checked: Checked,
    folder: &Path,
    started: impl FnOnce(&Engine),
) -> Result<(), EngineError> {
    let (http, store) = (checked.http.bind, checked.store.path.clone());
    let engine = Engine::start(checked, folder)?;
    serve(&engine, http, &store, |_| started(&engine)).await
}

/// Serves an engine that was started: its admin socket in the folder `store`, its health page at
/// `http`, and its signals, as [`run`] does.
///
/// `started` is called once everything is open, with the address of the health page.
///
/// # Errors
///
/// [`EngineError`] when an address or the socket cannot be had, and [`EngineError::Died`] as [`run`].
pub async fn serve(
    engine: &Engine,
    http: SocketAddr,
    store: &Path,
    started: impl FnOnce(SocketAddr),
) -> Result<(), EngineError> {
    let unbound = |source| EngineError::Http { address: http, source };
    let page = TcpListener::bind(http).await.map_err(unbound)?;
    let address = page.local_addr().map_err(unbound)?;
    tracing::info!(%address, "health and metrics");
    let socket = AdminSocket::bind(&store.join(SOCKET_NAME))?;
    // Before anybody knows that we are there, so that no early signal ends us without a drain.
    let signals = [SignalKind::hangup(), SignalKind::terminate(), SignalKind::interrupt()];
    let signals = signals.map(signal);
    started(address);
    let end = tokio::select! {
        end = engine.ended() => end,
        () = admin::serve(socket, Arc::clone(engine.desk()), engine.steer()) => Ok(()),
        () = serve_page(page, engine.control()) => Ok(()),
        () = obey(signals, engine.steer()) => Ok(()),
        () = engine.remind() => Ok(()),
    };
    if let Err(error) = &end {
        tracing::error!(%error, "the engine ends");
        // It answers when no call is left, which may be never without the thread that died.
        let steer = engine.steer();
        let hung_up = steer.drain(Some(Duration::ZERO));
        let _ = tokio::time::timeout(LAST_WORDS_MAX, hung_up).await;
    }
    end
}

async fn serve_page(listener: TcpListener, control: Arc<dyn api::Control>) {
    if let Err(error) = api::serve(listener, control, std::future::pending()).await {
        tracing::error!(%error, "the health page ended; calls go on");
    }
    std::future::pending().await
}

/// Never ends by itself: what ends the service is that the engine has ended.
async fn obey(signals: [io::Result<Signal>; 3], steer: Arc<dyn Steer>) {
    let [Ok(mut hangup), Ok(mut terminate), Ok(mut interrupt)] = signals else {
        tracing::error!("signals cannot be received; the admin socket steers the engine");
        return std::future::pending().await;
    };
    let mut is_draining = false;
    loop {
        tokio::select! {
            _ = hangup.recv() => tell_reload(steer.reload().await.as_ref()),
            _ = terminate.recv() => drain(&steer, &mut is_draining),
            _ = interrupt.recv() => drain(&steer, &mut is_draining),
        }
    }
}

/// Begins to drain; the second time, whoever is left is hung up.
fn drain(steer: &Arc<dyn Steer>, is_draining: &mut bool) {
    let patience = is_draining.then_some(Duration::ZERO);
    *is_draining = true;
    tracing::info!(?patience, "draining: no new call is taken");
    let steer = Arc::clone(steer);
    tokio::spawn(async move {
        // The engine's end, which everybody here waits for, is the answer.
        let _ = steer.drain(patience).await;
    });
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config;
    use crate::engine::Rooms;
    use crate::engine::desk::Claim;
    use crate::suppression::import::Shape;
    use crate::suppression::import::Tally;

    const TEXT: &str = r#"
        [node]
        name = "test"
        default-region = "ES"
        language = "en"
        [listen.loopback]
        bind = "127.0.0.1:0"
        [dialers.dialer]
        allow = ["127.0.0.1/32"]
        [lists.comercial]
        title = "Commercial calls"
        scope = "account"
        [store]
        path = "../data"
        [http]
        bind = "127.0.0.1:0"
        [campaigns.promo]
        title = "Promo"
        account = "acme"
        mode = "ivr"
        check = ["comercial"]
        match.header."X-Campaign-ID" = ["promo"]
        greeting.play = ["welcome"]
        codes."9".add-to = ["comercial"]
    "#;

    /// A configuration written into `folder`, and read from there.
    fn configured(folder: &Path) -> (PathBuf, Checked) {
        let audio = concat!(env!("CARGO_MANIFEST_DIR"), "/audio");
        std::os::unix::fs::symlink(audio, folder.join("audio")).unwrap();
        let config = folder.join("config");
        std::fs::create_dir(&config).unwrap();
        std::fs::write(config.join("bajavoz.toml"), TEXT).unwrap();
        let checked = config::load(&config, &Rooms).unwrap_or_else(|faults| {
            panic!("{}", faults.iter().map(ToString::to_string).collect::<String>())
        });
        (config, checked)
    }

    #[test]
    fn the_same_file_twice_at_once_is_imported_once() {
        let folder = tempfile::tempdir().unwrap();
        let (config, checked) = configured(folder.path());
        let engine = Engine::start(checked, &config).unwrap();
        let claim = Claim {
            list: "comercial".into(),
            account: None,
            campaign: None,
            topic: None,
            said: None,
            source: String::new(),
            as_of: None,
            shape: Shape::Txt,
            tally: Tally::default(),
            file_sha256: [7; 32],
            listed: None,
            taken_off: None,
            actor: None,
            may_shrink: false,
        };
        let import =
            || engine.desk().import(vec![claim.clone()], &mut |_, _| {}).unwrap().remove(0);
        let (first, second) = (import(), import());
        assert_eq!((first.is_earlier, second.is_earlier), (false, true));
        assert_eq!(first.record, second.record);
    }

    #[test]
    fn an_engine_ends_with_an_error_when_a_thread_dies() {
        for thread in ["signalling", "media", "commit", "projection"] {
            let folder = tempfile::tempdir().unwrap();
            let (config, checked) = configured(folder.path());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let started = |engine: &Engine| engine.break_down(thread);
            let running = async {
                let run = run(checked, &config, started);
                tokio::time::timeout(Duration::from_secs(20), run).await
            };
            let end = runtime.unwrap().block_on(running).expect("it ends");
            let Err(EngineError::Died { thread: died }) = end else { panic!("{thread}: {end:?}") };
            assert_eq!(died, thread);
        }
    }
}
