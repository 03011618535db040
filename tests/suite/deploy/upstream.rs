//! What arrives behind the proxy, seen by an upstream that is no Floe.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, body::Body, extract::State, http::HeaderMap, routing::get};
use futures_util::StreamExt as _;
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

use super::site::Site;

/// Serves these routes, and is always ready.
async fn serve(routes: Router) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = routes.route("/readyz", get(async || "ready\n")).route("/", get(async || "page\n"));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (port, tasks)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_say_where_he_comes_from() {
    let echo = async |headers: HeaderMap| {
        let value =
            |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join("|");
        format!("{} {} {}", value("x-forwarded-for"), value("x-forwarded-proto"), value("x-forwarded-host"))
    };
    let (port, _tasks) = serve(Router::new().route("/echo", get(echo))).await;
    let site = Site::before(&[port]).await;
    let request = site
        .client()
        .get(site.https("/echo"))
        .header("x-forwarded-for", "192.0.2.1")
        .header("x-forwarded-proto", "gopher")
        .header("x-forwarded-host", "elsewhere");
    let seen = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(seen, format!("127.0.0.1 https localhost:{}", site.port));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_as_they_are_sent() {
    let seen = Arc::new(Notify::new());
    let events = async |State(seen): State<Arc<Notify>>| {
        let first = futures_util::stream::iter([Ok::<_, Infallible>("data: one\n\n")]);
        // The second is sent only when the first has been read at the other end.
        let second = futures_util::stream::once(async move {
            seen.notified().await;
            Ok("data: two\n\n")
        });
        ([("content-type", "text/event-stream")], Body::from_stream(first.chain(second)))
    };
    let (port, _tasks) = serve(Router::new().route("/events", get(events)).with_state(Arc::clone(&seen))).await;
    let site = Site::before(&[port]).await;
    let mut stream = site.client().get(site.https("/events")).send().await.unwrap().bytes_stream();
    assert_eq!(stream.next().await.unwrap().unwrap(), "data: one\n\n");
    seen.notify_one();
    assert_eq!(stream.next().await.unwrap().unwrap(), "data: two\n\n");
    assert!(stream.next().await.is_none());
}
