//! Sessions dropped in every state leave nothing behind: no task, no engine stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use floe::{
    agent::{ChatModel, Delta, Request},
    engine::Error,
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde_json::json;
use tokio::{runtime::Handle, time};

use crate::support::duplex::{Peer, engines, rhythm};

/// An agent that counts its open streams.
struct Counted(Arc<AtomicUsize>, floe::agent::scripted::Scripted);

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ChatModel for Counted {
    fn generate(&self, request: Request) -> BoxStream<'static, Result<Delta, Error>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let open = Open(Arc::clone(&self.0));
        let deltas = self.1.generate(request);
        stream::unfold((deltas, open), |(mut deltas, open)| async move { Some((deltas.next().await?, (deltas, open))) })
            .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_sessions_dropped_in_every_state_leave_nothing() {
    let open = Arc::new(AtomicUsize::new(0));
    let mut engines = engines(&["hello there"], rhythm(80, 10, 20));
    engines.agent = Arc::new(Counted(Arc::clone(&open), floe::agent::scripted::Scripted::new(rhythm(80, 10, 20))));
    let before = Handle::current().metrics().num_alive_tasks();
    let (threads_before, mut resident) = (threads(), 0);
    for round in 0..1_000_u64 {
        if round == 100 {
            resident = resident_pages();
        }
        let mut peer = Peer::plain(engines.clone());
        // The states: silent, speaking, pausing, waiting for the transcript, thinking, speaking, playing out.
        match round % 8 {
            0 => {}
            1 => peer.sound(true, Duration::from_millis(40)).await,
            2 => peer.sound(true, Duration::from_millis(400)).await,
            3 => {
                peer.sound(true, Duration::from_millis(400)).await;
                peer.sound(false, Duration::from_millis(200)).await;
            }
            state => {
                peer.tell(json!({ "type": "text", "text": "go", "reply": true })).await;
                time::sleep(Duration::from_millis([10, 100, 500, 8_000][usize::try_from(state - 4).unwrap()])).await;
            }
        }
        peer.hang_up().await;
    }
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(open.load(Ordering::SeqCst), 0, "agent streams are still open");
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before, "tasks are still alive");
    assert_eq!(threads(), threads_before, "threads are still alive");
    let now = resident_pages();
    assert!(now * 100 <= resident * 105, "memory grew from {resident} pages after 100 sessions to {now} after 1,000");
}

/// Pages of this process in memory, as the kernel counts them.
fn resident_pages() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_reply_closes_its_agent_within_50_ms() {
    let open = Arc::new(AtomicUsize::new(0));
    let mut engines = engines(&["a story please"], rhythm(50, 50, 400));
    engines.agent = Arc::new(Counted(Arc::clone(&open), floe::agent::scripted::Scripted::new(rhythm(50, 50, 400))));
    let mut peer = Peer::plain(engines);
    peer.tell(json!({ "type": "text", "text": "go", "reply": true })).await;
    peer.sound(false, Duration::from_millis(1_500)).await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
    peer.sound(true, Duration::from_millis(300)).await;
    peer.until("reply.interrupted").await;
    // The paused clock only moves when everything is idle: 50 ms later every consequence has happened.
    time::sleep(Duration::from_millis(50)).await;
    assert_eq!(open.load(Ordering::SeqCst), 0, "the agent's stream outlived the interruption");
    peer.hang_up().await;
}
