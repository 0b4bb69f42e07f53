//! A running engine as a service: its admin socket, its health page, its signals.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use super::Engine;
use super::EngineError;
use super::admin;
use super::admin::SOCKET_NAME;
use super::admin::Steer;
use crate::api;
use crate::config::Checked;
use crate::net::AdminSocket;

/// Runs an engine until a drain has ended, by signal or over the admin socket.
///
/// SIGHUP reloads, SIGTERM and SIGINT drain, and a second one of these hangs up what is left.
/// `started` is called once everything is open.
///
/// # Errors
///
/// [`EngineError`] when it does not start.
pub async fn run(
    checked: Checked,
    folder: &Path,
    started: impl FnOnce(&Engine),
) -> Result<(), EngineError> {
    let http = checked.http.bind;
    let socket_path = checked.store.path.join(SOCKET_NAME);
    let engine = Engine::start(checked, folder)?;
    let page = TcpListener::bind(http).await;
    let page = page.map_err(|source| EngineError::Http { address: http, source })?;
    if let Ok(address) = page.local_addr() {
        tracing::info!(%address, "health and metrics");
    }
    let socket = AdminSocket::bind(&socket_path)?;
    started(&engine);
    tokio::select! {
        () = admin::serve(socket, Arc::clone(engine.desk()), engine.steer()) => {}
        () = serve_page(page, engine.control()) => {}
        () = obey_signals(engine.steer()) => {}
        () = engine.ended() => {}
    }
    Ok(())
}

async fn serve_page(listener: TcpListener, control: Arc<dyn api::Control>) {
    if let Err(error) = api::serve(listener, control, std::future::pending()).await {
        tracing::error!(%error, "the health page ended; calls go on");
    }
    std::future::pending().await
}

/// Never ends by itself: what ends the service is that the engine has ended.
async fn obey_signals(steer: Arc<dyn Steer>) {
    let streams = [SignalKind::hangup(), SignalKind::terminate(), SignalKind::interrupt()];
    let [Ok(mut hangup), Ok(mut terminate), Ok(mut interrupt)] = streams.map(signal) else {
        tracing::error!("signals cannot be received; the admin socket steers the engine");
        return std::future::pending().await;
    };
    let mut is_draining = false;
    loop {
        tokio::select! {
            _ = hangup.recv() => reload(&*steer).await,
            _ = terminate.recv() => drain(&steer, &mut is_draining),
            _ = interrupt.recv() => drain(&steer, &mut is_draining),
        }
    }
}

async fn reload(steer: &dyn Steer) {
    match steer.reload().await {
        Ok(reloaded) => tracing::info!(config = %reloaded.config, "configuration reloaded"),
        Err(refusal) => {
            for finding in &refusal.findings {
                tracing::error!(file = %finding.file, line = finding.line, "{}", finding.message);
            }
            tracing::error!(why = %refusal.why, "configuration not reloaded");
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
