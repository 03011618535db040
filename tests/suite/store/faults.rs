//! The database dies, hangs, is away; the disk is full; the server is dropped: nothing that was told to be durable is lost,
//! doubled or out of order.

use std::{path::Path, time::Duration};

use floe::{
    ids::ConversationId,
    store::{Config, Error, Recorder, Scope, Scribe, Store},
};
use sqlx::{Connection as _, PgConnection};
use tokio::time;

use super::{Kept, PATIENCE, caught_up, closed, decided, durable, said};
use crate::support::postgres::Cluster;

/// The numbers of the items, in the order in which they were written.
async fn written(store: &Store, id: ConversationId) -> Vec<i64> {
    let items = store.timeline(id).await.unwrap();
    assert!(items.is_sorted_by_key(|item| item.revision), "in order");
    items.iter().map(|item| item.row.item).collect()
}

/// Says the next words, waiting like a client that speaks no faster than it is understood.
async fn say(scribe: &mut Scribe, item: i64) {
    let revision = scribe.put(said(item, &format!("words {item}"))).expect("the queue takes it");
    if item % 50 == 0 {
        durable(scribe, revision).await;
    }
}

#[tokio::test]
async fn a_thousand_records_survive_a_postgres_that_is_killed_twice() {
    let mut cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(&cluster.database("floe", dir.path()).await).await;
    let mut scribes: Vec<Scribe> = (0..4).map(|_| kept.begin("default")).collect();
    for item in 1..=250 {
        for scribe in &mut scribes {
            say(scribe, item).await;
        }
        match item {
            60 | 150 => cluster.kill(),
            110 | 220 => cluster.run().await,
            _ => {}
        }
    }
    for scribe in &mut scribes {
        let last = scribe.put(closed()).unwrap();
        durable(scribe, last).await;
    }
    caught_up(&kept.recorder).await;
    for scribe in &scribes {
        let id = scribe.conversation();
        assert_eq!(written(&kept.store, id).await, (1..=250).collect::<Vec<_>>(), "each once, none missing");
        assert_eq!(kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap().state, "ended");
    }
    drop(scribes);
    kept.stop().await;
}

#[tokio::test]
async fn a_postgres_that_hangs_holds_nobody_up() {
    let cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = cluster.database("floe", dir.path()).await;
    config.write_timeout_ms = 300;
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let one = scribe.put(said(1, "before")).unwrap();
    durable(&scribe, one).await;
    cluster.hang();
    for item in 2..=20 {
        let revision = scribe.put(said(item, "while it hangs")).unwrap();
        durable(&scribe, revision).await;
    }
    assert!(kept.recorder.spooled() >= 19, "they are on this server's disk");
    assert!(kept.store.ping().await.is_err(), "a reader is told, and does not wait for ever");
    cluster.go_on();
    caught_up(&kept.recorder).await;
    assert_eq!(written(&kept.store, scribe.conversation()).await, (1..=20).collect::<Vec<_>>());
    // No write was left half-way in a connection that somebody else works in.
    let mut connection = PgConnection::connect(&cluster.url("floe")).await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'floe' AND state LIKE 'idle in transaction%'";
    let left = async {
        loop {
            let (open,): (i64,) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
            if open == 0 {
                return;
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(PATIENCE, left).await.expect("no transaction stays open");
    drop(scribe);
    kept.stop().await;
}

#[tokio::test]
async fn a_lock_pile_up_goes_to_the_spool_and_drains() {
    let cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = cluster.database("floe", dir.path()).await;
    config.write_timeout_ms = 300;
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let one = scribe.put(said(1, "before")).unwrap();
    durable(&scribe, one).await;
    let mut connection = PgConnection::connect(&cluster.url("floe")).await.unwrap();
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("LOCK TABLE items IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    for item in 2..=5 {
        let revision = scribe.put(said(item, "behind the lock")).unwrap();
        durable(&scribe, revision).await;
    }
    assert!(kept.recorder.spooled() > 0);
    lock.rollback().await.unwrap();
    caught_up(&kept.recorder).await;
    assert_eq!(written(&kept.store, scribe.conversation()).await, [1, 2, 3, 4, 5]);
    drop(scribe);
    kept.stop().await;
}

#[tokio::test]
async fn a_read_only_postgres_is_one_that_is_away() {
    let cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = cluster.database("floe", dir.path()).await;
    let kept = Kept::open(&config).await;
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let mut switch = async |to: &str| {
        let sql = sqlx::AssertSqlSafe(format!("ALTER DATABASE floe SET default_transaction_read_only = {to}"));
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'floe'";
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    };
    let mut scribe = kept.begin("default");
    let one = scribe.put(said(1, "before")).unwrap();
    durable(&scribe, one).await;
    switch("on").await;
    let two = scribe.put(said(2, "during")).unwrap();
    durable(&scribe, two).await;
    assert!(kept.recorder.spooled() > 0);
    switch("off").await;
    caught_up(&kept.recorder).await;
    assert_eq!(written(&kept.store, scribe.conversation()).await, [1, 2]);
    drop(scribe);
    kept.stop().await;
}

#[tokio::test]
async fn a_postgres_that_comes_late_gets_everything() {
    let mut cluster = Cluster::make();
    let dir = tempfile::tempdir().unwrap();
    let config = cluster.config("postgres", dir.path());
    let kept = Kept::open(&config).await;
    assert!(!kept.store.is_ready());
    let mut scribe = kept.begin("default");
    let id = scribe.conversation();
    let last = (1..=10).map(|item| scribe.put(said(item, "early")).unwrap()).last().unwrap();
    durable(&scribe, last).await;
    std::mem::forget(scribe);
    kept.stop().await;

    // The next server finds the spool, and then the database.
    let kept = Kept::open(&config).await;
    assert_eq!(kept.recorder.spooled(), 11, "ten items and the beginning");
    cluster.run().await;
    caught_up(&kept.recorder).await;
    assert!(kept.store.is_ready());
    assert_eq!(written(&kept.store, id).await, (1..=10).collect::<Vec<_>>());
    kept.stop().await;
}

#[tokio::test]
async fn when_the_disk_is_full_too_the_session_is_told_and_later_goes_on() {
    let mut cluster = Cluster::make();
    let dir = tempfile::tempdir().unwrap();
    let config = Config { spool_bytes_max: 2_500, ..cluster.config("postgres", dir.path()) };
    let kept = Kept::open(&config).await;
    let mut full = kept.begin("default");
    let mut lost = None;
    for item in 1..=20 {
        let revision = full.put(said(item, "words")).unwrap();
        if decided(&mut full.progress(), revision).await.lost_to >= revision {
            lost = Some(item);
            break;
        }
    }
    let lost = lost.expect("a spool of 2,500 bytes does not hold twenty items");
    assert!(lost > 1);
    // Not even its beginning fits.
    let mut late = kept.begin("default");
    let refused = late.put(said(1, "nobody keeps this")).unwrap();
    assert!(decided(&mut late.progress(), refused).await.lost_to >= refused);

    cluster.run().await;
    caught_up(&kept.recorder).await;
    let again = late.put(said(2, "kept again")).unwrap();
    let progress = decided(&mut late.progress(), again).await;
    assert!(progress.durable_to >= again, "{progress:?}");
    assert_eq!(written(&kept.store, full.conversation()).await, (1..lost).collect::<Vec<_>>(), "what was told");
    assert_eq!(written(&kept.store, late.conversation()).await, [2], "its beginning was made up for");
    drop((full, late));
    kept.stop().await;
}

#[tokio::test]
async fn stopping_writes_what_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().to_owned(), ..Config::default() };
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let id = scribe.conversation();
    for item in 1..=500 {
        scribe.put(said(item, "on its way")).unwrap();
    }
    let progress = scribe.progress();
    scribe.put(closed()).unwrap();
    kept.stop().await;
    assert!(scribe.put(said(501, "too late")).is_err(), "and takes nothing more");
    assert_eq!(progress.borrow().durable_to, 502);
    drop(scribe);
    let kept = Kept::open(&config).await;
    assert_eq!(written(&kept.store, id).await, (1..=500).collect::<Vec<_>>());
    kept.stop().await;
}

#[tokio::test]
async fn a_recorder_dropped_in_the_middle_keeps_its_word() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().to_owned(), ..Config::default() };
    let mut promised = Vec::new();
    for round in 0..10 {
        let kept = open_soon(&config).await;
        let mut scribe = kept.begin("default");
        for item in 1..=300 {
            scribe.put(said(item, "in the middle")).unwrap();
        }
        // At a different place each time: nobody waits for the rest.
        let progress = decided(&mut scribe.progress(), 1 + round * 25).await;
        promised.push((scribe.conversation(), progress.durable_to));
        std::mem::forget(scribe);
        drop(kept);
    }
    let kept = open_soon(&config).await;
    for (id, durable_to) in promised {
        let items = kept.store.timeline(id).await.unwrap();
        // The first revision is the beginning.
        let told: Vec<i64> = (1..durable_to).collect();
        let found: Vec<i64> = items.iter().map(|item| item.row.item).collect();
        assert!(found.starts_with(&told), "told {durable_to}, found {}", found.len());
        assert_eq!(found, (1..=i64::try_from(found.len()).unwrap()).collect::<Vec<_>>(), "no hole, nothing twice");
    }
    kept.stop().await;
}

/// A dropped server's directory is free a moment later.
async fn open_soon(config: &Config) -> Kept {
    let opening = async {
        loop {
            let store = Store::open(config).await.unwrap().unwrap();
            match Recorder::start(store.clone()).await {
                Ok((recorder, running)) => return Kept { store, recorder, running },
                Err(Error::InUse(_)) => time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    time::timeout(PATIENCE, opening).await.expect("the directory becomes free")
}

#[tokio::test]
async fn a_torn_spool_loses_only_what_was_never_told() {
    let cluster = Cluster::make();
    let dir = tempfile::tempdir().unwrap();
    let config = cluster.config("postgres", dir.path());
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    for item in 1..=5 {
        let revision = scribe.put(said(item, "spooled")).unwrap();
        durable(&scribe, revision).await;
    }
    let id = scribe.conversation();
    std::mem::forget(scribe);
    kept.stop().await;
    append(&dir.path().join("spool.v1"), &[200, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, b'{', b'"']);

    let mut cluster = cluster;
    cluster.run().await;
    let kept = Kept::open(&config).await;
    caught_up(&kept.recorder).await;
    assert_eq!(written(&kept.store, id).await, [1, 2, 3, 4, 5]);
    kept.stop().await;
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[tokio::test]
async fn two_servers_do_not_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().to_owned(), ..Config::default() };
    let kept = Kept::open(&config).await;
    let second = Recorder::start(kept.store.clone()).await;
    assert!(matches!(second, Err(Error::InUse(_))));
    kept.stop().await;
    Kept::open(&config).await.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_says_so() {
    let mut cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(&cluster.database("floe", dir.path()).await).await;
    let mut scribe = kept.begin("default");
    cluster.kill();
    // Nobody takes anything while this task does not yield.
    let mut taken = 0;
    while scribe.put(said(taken + 1, &"long ".repeat(20_000))).is_ok() {
        taken += 1;
    }
    assert!((10..=100).contains(&taken), "eight megabytes are {taken} items of a hundred kilobytes");
    let last = taken + 1;
    assert!(decided(&mut scribe.progress(), last).await.durable_to >= last, "what was taken is kept");
    let after = scribe.put(said(last + 1, "there is room again")).expect("there is room again");
    durable(&scribe, after).await;
    drop(scribe);
    kept.stop().await;
}
