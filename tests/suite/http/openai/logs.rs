//! Row 6: what a log of everything we say, and of what libraries say at the default level, holds of keys and words.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt as _};

use super::{KEY, call, locked, open};
use crate::{
    http::routes::client,
    support::{
        duplex::{engines, rhythm},
        server::Server,
    },
};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// One thread: what the server logs is logged where the subscriber is.
#[tokio::test]
async fn no_key_and_no_word_reaches_the_log() {
    let captured = Captured::default();
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(captured.clone());
    let subscriber = tracing_subscriber::registry().with(EnvFilter::new("info,floe=trace")).with(layer);
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(locked(), engines(&["my secret words"], rhythm(1, 1, 5))).await;
    let bearer = format!("Bearer {KEY}");
    let secrets = client().post(server.http("/v1/realtime/client_secrets")).json(&json!({}));
    let (_, made) = call(secrets).await;
    let secret = made["value"].as_str().unwrap().to_owned();
    let offered = format!("realtime, openai-insecure-api-key.{secret}");
    let wrong = "Bearer sk_wrong_but_private";
    for headers in [("authorization", bearer.as_str()), ("api-key", KEY), ("sec-websocket-protocol", &offered)] {
        let (mut client, _) = open(&server, "/v1/realtime?model=m", &[headers]).await.unwrap();
        client.append(true, 800).await;
        client.append(false, 1_000).await;
        client.until("response.done").await;
    }
    assert!(open(&server, "/v1/realtime?model=m", &[("authorization", wrong)]).await.is_err());
    assert!(open(&server, &format!("/v1/realtime?api_key={KEY}"), &[]).await.is_err());
    let speech = json!({ "input": "read this secret aloud", "response_format": "pcm" });
    let _audio = call(client().post(server.http("/v1/audio/speech")).json(&speech)).await;
    server.ask_to_stop();
    server.stopped().await;
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("session over"), "the capture works: {log}");
    for private in [KEY, "sk_old_and_going", &secret, "sk_wrong_but_private", "secret words", "secret aloud"] {
        assert!(!log.contains(private), "the log holds {private:?}:\n{log}");
    }
}
