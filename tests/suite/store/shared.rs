//! What nodes share: one contract for a real Redis and for one process' own memory.

use std::time::Duration;

use bytes::Bytes;
use floe::{
    ids::{ConversationId, SessionId},
    store::{
        record::ItemRow,
        shared::{Beginning, Config, Digest, Lease, Limit, Load, NodeInfo, Owner, Running, Shared, Snapshot, Standing},
    },
};
use futures_util::future::join_all;
use tokio::time;

use super::PATIENCE;
use crate::support::redis::{RedisServer, quick};

/// Two nodes on one memory.
struct Nodes {
    one: Shared,
    two: Shared,
    _running: Running,
    /// Lives as long as they do.
    _redis: Option<RedisServer>,
}

async fn both() -> [Nodes; 2] {
    let redis = RedisServer::start().await;
    let (one, running) = start(&patient(redis.config()));
    let shared = Nodes { two: one.seen_from("two"), one, _running: running, _redis: Some(redis) };
    let (one, running) = start(&patient(quick()));
    [shared, Nodes { two: one.seen_from("two"), one, _running: running, _redis: None }]
}

/// What is right is asked here, not how quick it is on a busy machine.
fn patient(config: Config) -> Config {
    Config { timeout_ms: 10_000, lease_ms: 2_000, ..config }
}

/// Node `one`.
pub(super) fn start(config: &Config) -> (Shared, Running) {
    Shared::start(config, "one", || Load { sessions: 3, draining: false }).unwrap()
}

pub(super) fn digest(number: u8) -> Digest {
    [number; 32]
}

pub(super) fn snapshot(session: SessionId, epoch: i64, revision: i64) -> Snapshot {
    let item = ItemRow {
        item: revision,
        role: "user".into(),
        kind: "text".into(),
        text: "Hello".into(),
        ..ItemRow::default()
    };
    Snapshot {
        session,
        conversation: ConversationId::new(),
        epoch,
        revision,
        node: "one".into(),
        tenant: "default".into(),
        agent: "default".into(),
        language: "en".into(),
        items: vec![item],
        items_left_out: 0,
        at_ms: 1_700_000_000_000,
        more: serde_json::Map::new(),
    }
}

pub(super) fn lease(session: SessionId, epoch: i64) -> Lease {
    Lease { session, epoch, token: None }
}

fn lost(node: &str, epoch: i64) -> Standing {
    Standing::Lost(Owner { node: node.into(), epoch })
}

/// Waits until it is so.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let waiting = async {
        while !is_so().await {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(time::timeout(PATIENCE, waiting).await.is_ok(), "it never came about that {what}");
}

#[tokio::test]
async fn a_lower_epoch_never_replaces_a_higher_one() {
    for Nodes { one, two, .. } in &both().await {
        let session = SessionId::new();
        assert_eq!(one.session_owner(session).await.unwrap(), None);
        assert_eq!(one.claim(session, 1).await.unwrap(), Standing::Ours);
        assert_eq!(one.claim(session, 1).await.unwrap(), Standing::Ours, "again");
        assert_eq!(two.claim(session, 1).await.unwrap(), lost("one", 1), "whoever came first");
        assert_eq!(two.claim(session, 2).await.unwrap(), Standing::Ours);
        assert_eq!(one.claim(session, 1).await.unwrap(), lost("two", 2));
        let renewed = one.renew(&[lease(session, 1), lease(SessionId::new(), 1)]).await.unwrap();
        assert_eq!((&renewed[0].standing, &renewed[1].standing), (&lost("two", 2), &Standing::Ours));
        one.release(session, 1).await.unwrap();
        assert_eq!(one.session_owner(session).await.unwrap(), Some(Owner { node: "two".into(), epoch: 2 }));
        two.release(session, 2).await.unwrap();
        assert_eq!(one.session_owner(session).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_nobody_renews_runs_out() {
    for Nodes { one, two, .. } in &both().await {
        let (renewed, left) = (SessionId::new(), SessionId::new());
        assert_eq!(two.claim(renewed, 1).await.unwrap(), Standing::Ours);
        assert_eq!(two.claim(left, 1).await.unwrap(), Standing::Ours);
        two.announce(&NodeInfo { name: "two".into(), ..NodeInfo::default() }).await.unwrap();
        until("a lease runs out, and one that is renewed does not", || async {
            assert_eq!(two.renew(&[lease(renewed, 1)]).await.unwrap()[0].standing, Standing::Ours);
            two.session_owner(left).await.unwrap().is_none()
        })
        .await;
        assert!(one.session_owner(renewed).await.unwrap().is_some());
        assert_eq!(two.renew(&[lease(left, 1)]).await.unwrap()[0].standing, Standing::Ours, "it is made again");
        assert_eq!(one.session_owner(left).await.unwrap(), Some(Owner { node: "two".into(), epoch: 1 }));
        until("a node that says nothing is gone", || async {
            !one.nodes().await.unwrap().iter().any(|node| node.name == "two")
        })
        .await;
    }
}

#[tokio::test]
async fn the_newest_state_of_a_conversation_stays_and_a_fenced_node_writes_none() {
    for Nodes { one, two, .. } in &both().await {
        let session = SessionId::new();
        assert_eq!(two.snapshot(session).await.unwrap(), None);
        let newest = snapshot(session, 1, 5);
        assert_eq!(one.put_snapshot(&newest).await.unwrap(), Standing::Ours);
        assert_eq!(one.put_snapshot(&snapshot(session, 1, 4)).await.unwrap(), Standing::Ours, "late, and ignored");
        assert_eq!(two.snapshot(session).await.unwrap(), Some(newest.clone()));
        assert_eq!(two.claim(session, 2).await.unwrap(), Standing::Ours);
        assert_eq!(one.put_snapshot(&snapshot(session, 1, 6)).await.unwrap(), lost("two", 2));
        one.remove(session, 1).await.unwrap();
        assert_eq!(two.snapshot(session).await.unwrap(), Some(newest), "who lost it takes nothing along");
        let theirs = snapshot(session, 2, 1);
        assert_eq!(
            two.put_snapshot(&theirs).await.unwrap(),
            Standing::Ours,
            "a higher epoch counts from the beginning"
        );
        assert_eq!(one.snapshot(session).await.unwrap(), Some(theirs));
        two.remove(session, 2).await.unwrap();
        assert_eq!(one.snapshot(session).await.unwrap(), None);
        assert_eq!(one.session_owner(session).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_resume_token_is_good_once() {
    for Nodes { one, two, .. } in &both().await {
        let session = SessionId::new();
        assert_eq!(one.take_resume_token(digest(1)).await.unwrap(), None);
        one.put_resume_token(digest(1), session).await.unwrap();
        let takers = (0..20).map(|taker| if taker % 2 == 0 { one } else { two }.take_resume_token(digest(1)));
        let taken = join_all(takers).await;
        let good: Vec<SessionId> = taken.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(good, [session], "one of twenty");
        one.put_resume_token(digest(1), session).await.unwrap();
        assert_eq!(two.take_resume_token(digest(1)).await.unwrap(), None, "a late write revives nothing");
    }
}

#[tokio::test]
async fn nodes_see_each_other_and_say_goodbye() {
    for Nodes { one, two, .. } in &both().await {
        let info = |sessions| NodeInfo {
            name: "two".into(),
            version: "0.1.0".into(),
            sessions,
            draining: true,
            since_ms: 1_700_000_000_000,
        };
        until("the keeper has said that node one is there", || async { !one.nodes().await.unwrap().is_empty() }).await;
        let generation = two.announce(&info(1)).await.unwrap();
        assert_eq!(two.announce(&info(2)).await.unwrap(), generation);
        let nodes = one.nodes().await.unwrap();
        assert_eq!(nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!((nodes[0].sessions, &nodes[1]), (3, &info(2)));
        two.withdraw().await.unwrap();
        assert_eq!(one.nodes().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_caller_gets_what_the_limit_says_and_not_one_more() {
    // In an hour none comes back while the test runs.
    let limit = Limit { units: 10, window: Duration::from_secs(3_600) };
    for Nodes { one, two, .. } in &both().await {
        let takers = (0..50).map(|taker| if taker % 2 == 0 { one } else { two }.take(digest(1), limit, 1));
        let taken = join_all(takers).await;
        assert_eq!(taken.iter().filter(|taken| taken.is_allowed).count(), 10);
        let refused = one.take(digest(1), limit, 1).await;
        assert_eq!((refused.is_allowed, refused.limit, refused.remaining), (false, 10, 0));
        assert!((1..=360_000).contains(&refused.retry_after_ms), "{refused:?}");
        assert!((3_000_000..=3_600_000).contains(&refused.reset_ms), "{refused:?}");
        let other = two.take(digest(2), limit, 4).await;
        assert_eq!((other.is_allowed, other.remaining), (true, 6), "others have their own");
        assert!(!two.take(digest(3), limit, 11).await.is_allowed);
        let quick = Limit { units: 2, window: Duration::from_millis(200) };
        until("used units come back", || async { one.take(digest(4), quick, 2).await.is_allowed }).await;
        until("used units come back", || async { one.take(digest(4), quick, 2).await.is_allowed }).await;
    }
}

#[tokio::test]
async fn a_named_request_is_done_once() {
    for Nodes { one, two, .. } in &both().await {
        let begun = join_all((0..20).map(|at| if at % 2 == 0 { one } else { two }.begin(digest(1), digest(9)))).await;
        let (mut new, rest): (Vec<_>, Vec<_>) =
            begun.into_iter().partition(|beginning| matches!(beginning, Beginning::New(_)));
        assert_eq!(new.len(), 1, "one of twenty");
        assert!(rest.iter().all(|beginning| matches!(beginning, Beginning::Running)));
        assert!(matches!(two.begin(digest(1), digest(8)).await, Beginning::Mismatch));
        let Some(Beginning::New(begun)) = new.pop() else { unreachable!("it was partitioned") };
        begun.finish(Bytes::from_static(b"\0made\xff")).await.unwrap();
        let Beginning::Done(answer) = two.begin(digest(1), digest(9)).await else { panic!("it is done") };
        assert_eq!(answer, b"\0made\xff"[..]);
        assert!(matches!(two.begin(digest(1), digest(8)).await, Beginning::Mismatch));
        let Beginning::New(given_up) = one.begin(digest(2), digest(9)).await else { panic!("it is new") };
        drop(given_up);
        until("a request that was not answered is new again", || async {
            matches!(one.begin(digest(2), digest(9)).await, Beginning::New(_))
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_session_holds_is_kept_until_it_ends() {
    for Nodes { one, two, .. } in &both().await {
        let session = SessionId::new();
        let held = one.hold(session, 1);
        held.put_resume_token(digest(7));
        for revision in 1..=50 {
            held.put_snapshot(snapshot(session, 1, revision));
        }
        let newest = async || two.snapshot(session).await.unwrap().is_some_and(|state| state.revision == 50);
        until("the newest state is there", newest).await;
        until("the lease is there", || async { two.session_owner(session).await.unwrap().is_some() }).await;
        // Longer than a lease: somebody renews it.
        let since = two.announce(&NodeInfo { name: "clock".into(), ..NodeInfo::default() }).await;
        since.unwrap();
        until("as much time has passed as a lease has", || async {
            assert!(two.session_owner(session).await.unwrap().is_some(), "it is renewed");
            !two.nodes().await.unwrap().iter().any(|node| node.name == "clock")
        })
        .await;
        drop(held);
        until("the lease is given up", || async { two.session_owner(session).await.unwrap().is_none() }).await;
        assert!(newest().await, "for whoever goes on with it");
        assert_eq!(two.take_resume_token(digest(7)).await.unwrap(), Some(session));
        let again = one.hold(session, 2);
        until("it is held again", || async { two.session_owner(session).await.unwrap().is_some() }).await;
        again.end();
        until("nothing is left", || async {
            two.snapshot(session).await.unwrap().is_none() && two.session_owner(session).await.unwrap().is_none()
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_hears_that_another_node_has_it() {
    for Nodes { one, two, .. } in &both().await {
        let session = SessionId::new();
        let held = one.hold(session, 1);
        until("it is held", || async { two.session_owner(session).await.unwrap().is_some() }).await;
        assert!(!held.taken_over().is_cancelled());
        assert_eq!(two.claim(session, 2).await.unwrap(), Standing::Ours);
        assert_eq!(two.put_snapshot(&snapshot(session, 2, 1)).await.unwrap(), Standing::Ours);
        time::timeout(PATIENCE, held.taken_over().cancelled()).await.expect("it is told");
        held.put_snapshot(snapshot(session, 1, 99));
        drop(held);
        until("the other node goes on", || async {
            let renewed = two.renew(&[lease(session, 2)]).await.unwrap();
            renewed[0].standing == Standing::Ours && renewed[0].has_snapshot
        })
        .await;
        assert_eq!(two.snapshot(session).await.unwrap().unwrap().epoch, 2);
    }
}
