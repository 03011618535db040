//! Engines that never answer, and know whether somebody still waits for them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use floe::{
    engine,
    stt::{Feed, Options, SpeechToText, Update},
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio::sync::mpsc;

/// Says when it is dropped.
pub(crate) struct Dropped(pub(crate) Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A recogniser.
pub(crate) struct Silent(pub(crate) Arc<AtomicBool>);

impl SpeechToText for Silent {
    fn transcribe(&self, feed: mpsc::Receiver<Feed>, _: Options) -> BoxStream<'static, Result<Update, engine::Error>> {
        let held = (feed, Dropped(Arc::clone(&self.0)));
        stream::once(async move {
            let _held = held;
            std::future::pending().await
        })
        .boxed()
    }
}
