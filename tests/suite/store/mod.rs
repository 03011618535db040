//! Keeping conversations: one contract for SQLite and a real Postgres, and what may go wrong with either.

mod contract;
mod faults;
mod migrations;
mod overtaken;
mod plans;
mod shared;
mod shared_faults;
mod tracks;

use std::time::Duration;

use floe::{
    ids::SessionId,
    store::{
        Config, Progress, Recorder, Running, Scribe, Store,
        record::{Change, Closing, ItemRow, Opening, ReceiptRow},
    },
};
use tokio::{sync::watch, time};

/// Longest wait for something that must come. Generous: it says that nothing hangs, not how quick it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps the tests' conversations.
struct Kept {
    store: Store,
    recorder: Recorder,
    running: Running,
}

impl Kept {
    async fn open(config: &Config) -> Self {
        let store = Store::open(config).await.unwrap().expect("a store is configured");
        let (recorder, running) = Recorder::start(store.clone()).await.unwrap();
        Self { store, recorder, running }
    }

    fn begin(&self, agent: &str) -> Scribe {
        self.recorder.begin(SessionId::new(), opening("default", agent))
    }

    async fn stop(self) {
        assert!(self.running.stop(PATIENCE).await, "the recorder ends");
        self.store.close().await;
    }
}

fn opening(tenant: &str, agent: &str) -> Opening {
    Opening { tenant: tenant.into(), user: None, agent: agent.into(), language: "en".into(), consent: None }
}

fn said(item: i64, text: &str) -> Change {
    Change::Item(Box::new(ItemRow {
        item,
        position: item as f64,
        role: "user".into(),
        kind: "speech".into(),
        text: text.into(),
        language: "en".into(),
        start_ms: Some(item * 1_000),
        end_ms: Some(item * 1_000 + 900),
        ..ItemRow::default()
    }))
}

fn receipt(response: i64, tokens: i64) -> Change {
    Change::Receipt(ReceiptRow {
        response,
        turn: Some(1),
        status: "completed".into(),
        endpoint_ms: Some(510),
        first_sent_ms: Some(911),
        input_tokens: tokens,
        output_tokens: tokens / 2,
        ..ReceiptRow::default()
    })
}

fn closed() -> Change {
    Change::Closed(Closing { lost: false, reason: "goodbye".into(), audio_in_ms: 4_000, audio_out_ms: 2_500 })
}

/// Waits until everything up to this revision is decided.
async fn decided(progress: &mut watch::Receiver<Progress>, revision: i64) -> Progress {
    let decided = progress.wait_for(|progress| progress.durable_to.max(progress.lost_to) >= revision);
    *time::timeout(PATIENCE, decided).await.expect("the recorder says what became of it").unwrap()
}

/// Waits until this revision, and everything before it, is durable.
async fn durable(scribe: &Scribe, revision: i64) {
    let progress = decided(&mut scribe.progress(), revision).await;
    assert_eq!(progress.lost_to, 0, "nothing is lost");
    assert!(progress.durable_to >= revision);
}

/// Waits until nothing waits in the spool.
async fn caught_up(recorder: &Recorder) {
    let waiting = async {
        while recorder.spooled() > 0 {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(PATIENCE, waiting).await.expect("the spool is caught up with");
}
