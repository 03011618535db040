//! A server acknowledges words on its own disk, because the database is away; before it can write them, another server takes the
//! conversation over. Nothing acknowledged is lost, nothing of the new owner's is touched, and what was deleted stays deleted.

use floe::{
    ids::{ConversationId, SessionId},
    store::{
        Claim, Config, Scope, Scribe, Store,
        record::{Change, ItemRow},
    },
};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{Kept, caught_up, durable, opening, receipt, said};
use crate::support::postgres::Cluster;

/// Two items in the database, then three and a receipt on the disk of a server that goes away with them.
struct Acknowledged {
    session: SessionId,
    id: ConversationId,
    config: Config,
}

async fn begin(config: &Config) -> (Kept, Scribe, SessionId) {
    let kept = Kept::open(config).await;
    let session = SessionId::new();
    let mut scribe = kept.recorder.begin(session, opening("default", "default"));
    scribe.put(said(1, "one")).unwrap();
    let two = scribe.put(said(2, "two")).unwrap();
    durable(&scribe, two).await;
    (kept, scribe, session)
}

/// While the database is away.
async fn acknowledge(kept: Kept, mut scribe: Scribe, session: SessionId, config: Config) -> Acknowledged {
    scribe.put(said(2, "two, as it stood later")).unwrap();
    scribe.put(said(3, "three")).unwrap();
    scribe.put(reply(4, 7, "the beginning of a reply")).unwrap();
    scribe.put(reply(4, 7, "the whole reply")).unwrap();
    scribe.put(receipt(7, 20)).unwrap();
    let five = scribe.put(said(5, "five")).unwrap();
    durable(&scribe, five).await;
    assert!(kept.recorder.spooled() >= 6);
    let id = scribe.conversation();
    // As after a kill: its end is not written down.
    std::mem::forget(scribe);
    kept.stop().await;
    Acknowledged { session, id, config }
}

fn reply(item: i64, response: i64, text: &str) -> Change {
    let Change::Item(row) = said(item, text) else { unreachable!() };
    let (role, kind) = ("assistant".to_owned(), "reply".to_owned());
    Change::Item(Box::new(ItemRow { role, kind, response: Some(response), ..*row }))
}

/// The words in order.
async fn words(store: &Store, id: ConversationId) -> Vec<String> {
    store.timeline(id).await.unwrap().into_iter().map(|item| item.row.text).collect()
}

/// Another server goes on; then the first one is back.
async fn another_goes_on(other: &Config, Acknowledged { session, id, config }: Acknowledged) {
    let other = Kept::open(other).await;
    let epoch = other.store.claim(session, other.recorder.node()).await.unwrap().expect("it is known");
    let claim = Claim { session, epoch, conversation: id, opening: opening("default", "default") };
    let mut scribe = other.recorder.go_on(claim);
    let mine = scribe.put(said(3, "mine")).unwrap();
    durable(&scribe, mine).await;
    assert_eq!(words(&other.store, id).await, ["one", "two", "mine"]);

    let back = Kept::open(&config).await;
    caught_up(&back.recorder).await;
    let all = ["one", "two", "three", "the whole reply", "five", "mine"];
    assert_eq!(words(&other.store, id).await, all, "in order; what the new owner has is as it was");
    let receipts = other.store.receipts(id).await.unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.input_tokens).collect::<Vec<_>>(), [20]);

    // Numbers that the new owner gives out are its own, also the next ones.
    scribe.put(reply(4, 7, "my reply")).unwrap();
    scribe.put(receipt(7, 40)).unwrap();
    let last = scribe.put(said(5, "mine, too")).unwrap();
    durable(&scribe, last).await;
    let items = other.store.timeline(id).await.unwrap();
    assert_eq!(words(&other.store, id).await, [&all[..], &["my reply", "mine, too"]].concat());
    assert_eq!((items[2].row.item, items[5].row.item), ((1 << 32) | 3, 3));
    assert_eq!(items[3].row.response, Some((1 << 32) | 7));
    assert_eq!(other.store.receipts(id).await.unwrap().len(), 2);
    drop(scribe);
    back.stop().await;
    other.stop().await;
}

/// It is deleted; then the first server is back.
async fn it_is_deleted(other: &Config, Acknowledged { id, config, .. }: Acknowledged) {
    let other = Kept::open(other).await;
    assert!(other.store.delete(Scope::tenant("default"), id).await.unwrap().is_some());
    let back = Kept::open(&config).await;
    caught_up(&back.recorder).await;
    assert_eq!(words(&other.store, id).await, [""; 0]);
    assert!(other.store.conversation(Scope::tenant("default"), id).await.unwrap().is_none());
    back.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_before_another_postgres_server_went_on_is_added() {
    let mut cluster = Cluster::start().await;
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = cluster.database("floe", dir.path()).await;
    for is_deleted in [false, true] {
        let (kept, scribe, session) = begin(&config).await;
        cluster.kill();
        let acknowledged = acknowledge(kept, scribe, session, config.clone()).await;
        cluster.run().await;
        let other = cluster.config("floe", other.path());
        if is_deleted {
            it_is_deleted(&other, acknowledged).await;
        } else {
            another_goes_on(&other, acknowledged).await;
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_another_sqlite_server_went_on_is_added() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // One file for both.
    let config = Config { dir: dir.path().to_owned(), write_timeout_ms: 200, ..Config::default() };
    let other = Config { dir: other.path().to_owned(), path: config.file(), ..Config::default() };
    for is_deleted in [false, true] {
        let (kept, scribe, session) = begin(&config).await;
        let options = SqliteConnectOptions::new().filename(config.file());
        let mut lock = SqliteConnection::connect_with(&options).await.unwrap();
        let held = lock.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let acknowledged = acknowledge(kept, scribe, session, config.clone()).await;
        held.rollback().await.unwrap();
        if is_deleted {
            it_is_deleted(&other, acknowledged).await;
        } else {
            another_goes_on(&other, acknowledged).await;
        }
    }
}
