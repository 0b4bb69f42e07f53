//! The routes, and the server around them.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::api::listener::LimitedListener;

/// How long connections may finish after the shutdown began; a scrape takes milliseconds.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// Media type of the metrics page, as the OpenMetrics specification names it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every answer carries: it is not for browsers to interpret, embed or keep.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// What this room asks of the engine; each call returns at once.
pub trait Control: Send + Sync {
    /// Whether new calls are taken, and if not, why.
    fn ready(&self) -> Readiness;

    /// The metrics page in OpenMetrics text.
    fn metrics(&self) -> String;
}

/// Why new calls are not taken; ready when there is no reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// The reasons.
    pub reasons: Vec<NotReady>,
}

impl Readiness {
    /// Whether new calls are taken.
    pub const fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// A reason not to send calls here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotReady {
    /// The index is being rebuilt or the sockets are not open yet.
    Starting,
    /// Running calls finish, new ones are refused.
    Draining,
    /// Opt-outs of other engines may be unknown here.
    Stale,
    /// Opt-outs cannot be made durable as configured.
    StoreAlarm,
}

/// Serves `control` on `listener` until `shutdown` completes, then lets what is under way finish
/// for two seconds at most.
///
/// # Errors
///
/// Those of the listener that waiting does not mend.
pub async fn serve(
    listener: TcpListener,
    control: Arc<dyn Control>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (began, begun) = oneshot::channel::<()>();
    let shutdown = async move {
        shutdown.await;
        // Nobody listens once the server has ended by itself.
        let _ = began.send(());
    };
    let server = axum::serve(LimitedListener::new(listener), router(control))
        .with_graceful_shutdown(shutdown);
    let patience = async move {
        match begun.await {
            Ok(()) => tokio::time::sleep(SHUTDOWN_MAX).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = server => result,
        () = patience => Ok(()),
    }
}

fn router(control: Arc<dyn Control>) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(control)
        .layer(middleware::map_response(secured))
}

async fn live() -> Response {
    json(StatusCode::OK, "{\"live\":true}".to_owned())
}

async fn ready(State(control): State<Arc<dyn Control>>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        ready: bool,
        reasons: Vec<NotReady>,
    }

    let readiness = control.ready();
    let ready = readiness.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&Answer { ready, reasons: readiness.reasons }) {
        Ok(body) => json(status, body),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn metrics(State(control): State<Arc<dyn Control>>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], control.metrics()).into_response()
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn secured(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use crate::api::listener::CONNECTIONS_MAX;

    use super::*;

    #[derive(Default)]
    struct Engine {
        reasons: Mutex<Vec<NotReady>>,
    }

    impl Control for Engine {
        fn ready(&self) -> Readiness {
            let reasons = self.reasons.lock().map(|reasons| reasons.clone()).unwrap_or_default();
            Readiness { reasons }
        }

        fn metrics(&self) -> String {
            "bajavoz_calls_active 0\n# EOF\n".to_owned()
        }
    }

    struct Server {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn start(engine: Arc<Engine>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            // A dropped sender stops the server as well.
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(listener, engine, shutdown));
        Server { address, stop, task }
    }

    async fn ask(address: SocketAddr, request_line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("loopback");
        let request =
            format!("{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }

    #[tokio::test]
    async fn each_route_answers_as_it_should() {
        let engine = Arc::new(Engine::default());
        let server = start(Arc::clone(&engine)).await;
        #[rustfmt::skip]
        let cases = [
            ("alive",             vec![],                                           "GET /health/live",   "200 OK",                  "{\"live\":true}"),
            ("ready",             vec![],                                           "GET /health/ready",  "200 OK",                  "{\"ready\":true,\"reasons\":[]}"),
            ("draining",          vec![NotReady::Draining],                         "GET /health/ready",  "503 Service Unavailable", "{\"ready\":false,\"reasons\":[\"draining\"]}"),
            ("starting, alarm",   vec![NotReady::Starting, NotReady::StoreAlarm],   "GET /health/ready",  "503 Service Unavailable", "{\"ready\":false,\"reasons\":[\"starting\",\"store-alarm\"]}"),
            ("draining is alive", vec![NotReady::Draining],                         "GET /health/live",   "200 OK",                  "{\"live\":true}"),
            ("metrics",           vec![],                                           "GET /metrics",       "200 OK",                  "# EOF\n"),
            ("an unknown path",   vec![],                                           "GET /admin",         "404 Not Found",           ""),
            ("a wrong method",    vec![],                                           "POST /metrics",      "405 Method Not Allowed",  ""),
        ];
        for (name, reasons, request, status, body) in cases {
            *engine.reasons.lock().unwrap() = reasons;
            let answer = ask(server.address, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{name}: {answer}");
            assert!(answer.ends_with(body), "{name}: {answer}");
            assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{name}: {answer}");
            assert!(answer.contains("cache-control: no-store\r\n"), "{name}: {answer}");
        }
        let page = ask(server.address, "GET /metrics").await;
        assert!(page.contains(&format!("content-type: {OPENMETRICS}\r\n")), "{page}");
        let garbage = ask(server.address, "\u{1}\u{2}").await;
        assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage}");
    }

    #[tokio::test]
    async fn a_shutdown_does_not_wait_for_idle_connections() {
        let server = start(Arc::default()).await;
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        idle.write_all(b"GET /health/live HTTP/1.1\r\nHo").await.unwrap();
        server.stop.send(()).unwrap();
        let ended = tokio::time::timeout(SHUTDOWN_MAX * 5, server.task).await;
        ended.expect("in time").unwrap().unwrap();
    }

    #[tokio::test]
    async fn more_connections_than_the_limit_wait_their_turn() {
        let server = start(Arc::default()).await;
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            held.push(TcpStream::connect(server.address).await.unwrap());
        }
        // The next one is in the kernel's backlog and is served once one of the others leaves.
        let address = server.address;
        let late = tokio::spawn(async move { ask(address, "GET /health/live").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!late.is_finished());
        held.pop();
        let answer = tokio::time::timeout(Duration::from_secs(10), late).await;
        assert!(answer.unwrap().unwrap().starts_with("HTTP/1.1 200"));
    }
}
