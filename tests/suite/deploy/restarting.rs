//! Instances that crash, instances that are replaced, and a proxy that reads its configuration again.

use std::time::Duration;

use floe::{
    caller::{self, Error, Failed, Report},
    protocol::native::wire::ReplyStatus,
    replay,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time};
use tokio_tungstenite::{
    Connector, connect_async_tls_with_config,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::site::{Instance, KEY, Site, until, version};
use crate::support::fixture;

/// An agent that talks for some ten seconds, and instances that say five seconds beforehand that they will leave.
const TALKATIVE: &[(&str, &str)] =
    &[("FLOE_AGENT_ENGINE", "scripted"), ("FLOE_AGENT_SCRIPTED_WORDS", "30"), ("FLOE_SERVER_DRAIN_NOTICE_MS", "5000")];

const SESSIONS: &str = "voice_sessions_active";
const TURNS: &str = "voice_turns_total{outcome=\"words\"}";
const ENDED: &str = "voice_sessions_total{outcome=\"ended\"}";

/// Makes a call beside the test.
async fn call(site: &Site) -> JoinSet<Result<Report, Failed>> {
    let clip = replay::read(&fixture("audio/17-slt.wav")).await.unwrap();
    let options = site.options();
    let mut calls = JoinSet::new();
    calls.spawn(async move { caller::call(&clip, &options).await });
    calls
}

/// Its reply was said from its first word to its last.
fn assert_heard_whole(report: &Report) {
    let [reply] = report.replies.as_slice() else { panic!("{report:?}") };
    assert_eq!(reply.status, Some(ReplyStatus::Completed), "{report:?}");
    assert_eq!((report.frames.missing, reply.stale_frames), (0, 0));
    assert!(reply.audio > Duration::from_secs(5), "{report:?}");
}

/// Opens a conversation and leaves it at once.
async fn look_in(site: &Site) {
    let mut request = site.wss("/v1/stream").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
    // As the page does: its origin is the site's, although Floe itself knows nothing of that name.
    headers.insert("origin", HeaderValue::try_from(site.https("")).unwrap());
    headers.insert("authorization", HeaderValue::try_from(format!("Bearer {KEY}")).unwrap());
    let connector = Some(Connector::Rustls(site.trust.clone()));
    let (mut socket, _) = connect_async_tls_with_config(request, None, true, connector).await.expect("let in");
    socket.send(Message::text(json!({ "type": "hello" }).to_string())).await.unwrap();
    let first = time::timeout(Duration::from_secs(30), socket.next()).await.unwrap().unwrap().unwrap();
    let first: Value = serde_json::from_str(first.to_text().unwrap()).unwrap();
    assert_eq!(first["type"], "ready", "{first}");
    socket.send(Message::text(json!({ "type": "bye" }).to_string())).await.unwrap();
    let rest = async { while let Some(Ok(_)) = socket.next().await {} };
    time::timeout(Duration::from_secs(30), rest).await.expect("it says goodbye");
}

/// Opens conversations until this instance gets one. None of them may fail.
async fn reaches(site: &Site, instance: &Instance) {
    let before = instance.number(ENDED).await;
    until("conversations reach the instance", async || {
        look_in(site).await;
        (instance.number(ENDED).await > before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_everybody_new_is_served_by_the_other() {
    let mut site = Site::start(&[]).await;
    reaches(&site, &site.instances[0]).await;
    site.instances[0].crash();
    // At once, not after the next health check: Caddy tries until somebody takes it.
    let report = call(&site).await.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(report.turns[0].text.as_deref().map(str::to_lowercase).as_deref(), Some("what time is it"));
    assert!(site.instances[1].number(ENDED).await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_replaced_and_nobody_notices() {
    let mut site = Site::start(TALKATIVE).await;
    let mut calls = call(&site).await;
    until("the reply begins", async || (site.instances[0].number(TURNS).await > 0.0).then_some(())).await;
    site.instances[0].ask_to_stop();
    // From now on nobody is refused, whoever serves him.
    reaches(&site, &site.instances[1]).await;

    let failed = calls.join_next().await.unwrap().unwrap().expect_err("it ends when the server leaves");
    assert!(matches!(&failed.error, Error::Fatal { code, .. } if code == "restart"), "{failed:?}");
    assert_heard_whole(&failed.report);
    let status = site.instances[0].stopped().await;
    assert!(status.success(), "{status}");

    let port = site.instances[0].port;
    site.instances[0] = Instance::spawn(port, TALKATIVE);
    site.instances[0].ready().await;
    reaches(&site, &site.instances[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_reloads_during_a_conversation() {
    let site = Site::start(TALKATIVE).await;
    let mut calls = call(&site).await;
    until("the reply begins", async || (site.instances[0].number(TURNS).await > 0.0).then_some(())).await;
    assert!((site.instances[0].number(SESSIONS).await - 1.0).abs() < f64::EPSILON);
    for _ in 0..10 {
        site.reload();
    }
    let ended = calls.join_next().await.unwrap().unwrap();
    if version() >= (2, 7) {
        assert_heard_whole(&ended.expect("no socket is closed"));
    } else {
        // What Debian 12 has cannot do better, and docs/operations.md says so: every reload closes every socket.
        let failed = ended.expect_err("this Caddy closes sockets when it reloads");
        assert!(matches!(failed.error, Error::Closed { .. }), "{failed:?}");
    }
    reaches(&site, &site.instances[0]).await;
}
