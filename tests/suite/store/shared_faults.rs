//! Redis dies, hangs, is slow, forgets everything, has no room: nobody waits for it, and afterwards everything is there again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use floe::{
    ids::SessionId,
    store::shared::{Away, Beginning, Config, Held, Limit, NodeInfo, Owner, Shared, Standing, keys, look},
};
use redis::cmd;

use super::shared::{digest, lease, snapshot, start, until};
use crate::support::redis::{RedisServer, SlowWay, quick};

/// In an hour none comes back while the test runs.
const TEN: Limit = Limit { units: 10, window: Duration::from_secs(3_600) };

/// A session with everything that belongs to it, written.
async fn held(one: &Shared, token: u8) -> Held {
    let session = SessionId::new();
    let held = one.hold(session, 1);
    held.put_resume_token(digest(token));
    held.put_snapshot(snapshot(session, 1, 1));
    until("it is written", || async { is_whole(one, &held, 1).await }).await;
    held
}

/// Whether Redis has the session's lease and this state of it.
async fn is_whole(shared: &Shared, held: &Held, revision: i64) -> bool {
    let owner = shared.session_owner(held.session()).await;
    let state = shared.snapshot(held.session()).await;
    owner == Ok(Some(Owner { node: "one".into(), epoch: 1 }))
        && state.is_ok_and(|state| state.is_some_and(|state| state.revision == revision))
}

async fn until_away(shared: &Shared) {
    until("it is noticed", || async {
        let _whatever = shared.session_owner(SessionId::new()).await;
        shared.is_away()
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_found_when_it_comes() {
    let mut redis = RedisServer::make();
    let (one, running) = start(&redis.config());
    let held = one.hold(SessionId::new(), 1);
    held.put_snapshot(snapshot(held.session(), 1, 1));
    assert_eq!(one.snapshot(held.session()).await, Err(Away));
    assert!(one.take(digest(1), TEN, 1).await.is_allowed);
    until_away(&one).await;
    redis.run().await;
    until("what was put meanwhile is written", || async { is_whole(&one, &held, 1).await }).await;
    assert!(one.is_shared());
    assert!(running.stop(Duration::from_secs(30)).await);
}

#[tokio::test]
async fn a_killed_redis_that_comes_back_empty_is_told_everything_again() {
    let mut redis = RedisServer::start().await;
    let (one, _running) = start(&redis.config());
    let (live, over) = (held(&one, 1).await, held(&one, 2).await);
    redis.kill();
    live.put_snapshot(snapshot(live.session(), 1, 2));
    let ended = over.session();
    over.end();
    until_away(&one).await;
    assert_eq!(one.claim(SessionId::new(), 1).await, Err(Away));
    redis.run().await;
    until("the live session is back", || async { is_whole(&one, &live, 2).await }).await;
    assert_eq!(one.snapshot(ended).await.unwrap(), None, "the ended one is not");
    until("its token is back", || async { one.take_resume_token(digest(1)).await == Ok(Some(live.session())) }).await;
    assert_eq!(one.take_resume_token(digest(2)).await.unwrap(), None);
}

#[tokio::test]
async fn a_quick_restart_is_mended_by_the_connection_itself() {
    let mut redis = RedisServer::start().await;
    let (one, _running) = start(&redis.config());
    let live = held(&one, 1).await;
    for _ in 0..3 {
        redis.kill();
        redis.run().await;
        until("it is back", || async { is_whole(&one, &live, 1).await }).await;
    }
}

#[tokio::test]
async fn a_redis_that_hangs_holds_nobody_up_and_goes_on_with_nothing_stale() {
    let redis = RedisServer::start().await;
    let (one, _running) = start(&redis.config());
    let two = one.seen_from("two");
    let live = held(&one, 1).await;
    let moved = SessionId::new();
    redis.hang();
    // On its way, and done when it goes on.
    assert_eq!(one.claim(moved, 1).await, Err(Away));
    for revision in 2..=200 {
        live.put_snapshot(snapshot(live.session(), 1, revision));
        let _whatever = one.snapshot(live.session()).await;
    }
    assert!(one.is_away());
    for _ in 0..1_000 {
        assert_eq!(one.snapshot(live.session()).await, Err(Away), "at once, or this test would take minutes");
    }
    redis.go_on();
    until("the newest state is there", || async { is_whole(&one, &live, 200).await }).await;
    assert_eq!(two.claim(moved, 2).await, Ok(Standing::Ours));
    assert_eq!(
        one.renew(&[lease(moved, 1)]).await.unwrap()[0].standing,
        Standing::Lost(Owner { node: "two".into(), epoch: 2 })
    );
    assert_eq!(two.session_owner(moved).await.unwrap().unwrap().epoch, 2);
}

#[tokio::test]
async fn a_flush_is_noticed_and_everything_written_again() {
    let redis = RedisServer::start().await;
    let (one, _running) = start(&redis.config());
    let live = held(&one, 1).await;
    let info = NodeInfo { name: "two".into(), ..NodeInfo::default() };
    let before = one.announce(&info).await.unwrap();
    redis.flush().await;
    until("lease and state are back", || async { is_whole(&one, &live, 1).await }).await;
    until("the token is back", || async { one.take_resume_token(digest(1)).await == Ok(Some(live.session())) }).await;
    assert_ne!(one.announce(&info).await.unwrap(), before, "it is another generation");
    assert!(!live.taken_over().is_cancelled());
}

#[tokio::test]
async fn a_redis_without_room_refuses_and_is_not_given_up() {
    let redis = RedisServer::start().await;
    let (one, _running) = start(&redis.config());
    let live = held(&one, 1).await;
    let set = |bytes: &str| cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).to_owned();
    let _ok: String = redis.ask(&mut set("1mb")).await.unwrap();
    // The server alone needs as much.
    let refused = snapshot(SessionId::new(), 1, 1);
    until("there is no room", || async { one.put_snapshot(&refused).await == Err(Away) }).await;
    assert!(one.is_shared(), "it answers");
    assert!(is_whole(&one, &live, 1).await, "and can be read");
    live.put_snapshot(snapshot(live.session(), 1, 2));
    let taken = one.take(digest(1), TEN, 1).await;
    assert!(taken.is_allowed, "limits go on");
    let _ok: String = redis.ask(&mut set("0")).await.unwrap();
    until("what was refused is written", || async { is_whole(&one, &live, 2).await }).await;
}

#[tokio::test]
async fn a_slow_way_counts_as_away_until_it_is_quick_again() {
    let redis = RedisServer::start().await;
    let way = SlowWay::to(&redis).await;
    let (one, _running) = start(&way.config());
    let live = held(&one, 1).await;
    way.delay(Duration::from_millis(800));
    until_away(&one).await;
    live.put_snapshot(snapshot(live.session(), 1, 2));
    assert!(one.take(digest(1), TEN, 1).await.is_allowed);
    way.delay(Duration::ZERO);
    until("it is written", || async { is_whole(&one, &live, 2).await }).await;
}

#[tokio::test]
async fn limits_and_named_requests_go_on_alone_and_are_remembered() {
    let mut redis = RedisServer::start().await;
    let (one, _running) = start(&redis.config());
    let Beginning::New(begun) = one.begin(digest(1), digest(9)).await else { panic!("it is new") };
    redis.kill();
    for left in (0..10).rev() {
        assert_eq!(one.take(digest(1), TEN, 1).await.remaining, left);
    }
    assert!(!one.take(digest(1), TEN, 1).await.is_allowed);
    assert_eq!(begun.finish(Bytes::from_static(b"made")).await, Err(Away));
    let Beginning::Done(answer) = one.begin(digest(1), digest(9)).await else { panic!("this node knows it") };
    assert_eq!(answer, b"made"[..]);
    let Beginning::New(begun) = one.begin(digest(2), digest(9)).await else { panic!("it is new") };
    assert!(matches!(one.begin(digest(2), digest(9)).await, Beginning::Running));
    redis.run().await;
    until("it is back", || async { one.session_owner(SessionId::new()).await.is_ok() }).await;
    begun.finish(Bytes::from_static(b"made too")).await.unwrap();
}

#[tokio::test]
async fn phrases_are_shared_and_large_ones_are_not() {
    let redis = RedisServer::start().await;
    let config = Config { phrase_bytes_max: 100, ..redis.config() };
    let (one, _running) = start(&config);
    let two = one.seen_from("two");
    assert_eq!(two.phrase(digest(1)).await, None);
    one.put_phrase(digest(2), Bytes::from(vec![2; 101]));
    one.put_phrase(digest(1), Bytes::from(vec![1; 100]));
    until("the phrase is there", || async { two.phrase(digest(1)).await == Some(Bytes::from(vec![1; 100])) }).await;
    assert_eq!(two.phrase(digest(2)).await, None, "they were written in order");
    redis.hang();
    for _ in 0..1_000 {
        assert_eq!(two.phrase(digest(1)).await, None);
    }
    redis.go_on();
}

#[tokio::test]
async fn whatever_happens_and_whoever_is_late_the_newest_claim_stands() {
    let mut redis = RedisServer::start().await;
    let (one, _running) = start(&redis.config());
    let nodes = [one.clone(), one.seen_from("two")];
    let (live, session) = (held(&one, 1).await, SessionId::new());
    // A fixed seed: what fails once fails again.
    let mut noise = 0x5eed_u64;
    for epoch in 1..=24 {
        let [new, old] = if epoch % 2 == 0 { [&nodes[0], &nodes[1]] } else { [&nodes[1], &nodes[0]] };
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let is_hung = match noise >> 62 {
            0 => {
                redis.kill();
                let _whatever = old.claim(session, epoch - 1).await;
                redis.run().await;
                false
            }
            1 => {
                redis.hang();
                true
            }
            2 => {
                redis.flush().await;
                false
            }
            _ => false,
        };
        live.put_snapshot(snapshot(live.session(), 1, 1 + epoch));
        // While it hangs this is on its way, to be done whenever it goes on.
        let _whatever = old.claim(session, epoch - 1).await;
        let _whatever = old.put_snapshot(&snapshot(session, epoch - 1, 99)).await;
        if is_hung {
            redis.go_on();
        }
        until("the new node has it", || async { new.claim(session, epoch).await == Ok(Standing::Ours) }).await;
        let written = || async { new.put_snapshot(&snapshot(session, epoch, 1)).await == Ok(Standing::Ours) };
        until("and writes", written).await;
        let lost = Standing::Lost(Owner { node: new.node().to_owned(), epoch });
        until("the old one hears of it", || async { old.claim(session, epoch - 1).await == Ok(lost.clone()) }).await;
        assert_eq!(old.put_snapshot(&snapshot(session, epoch - 1, 100)).await, Ok(lost));
        assert_eq!(old.session_owner(session).await.unwrap().map(|owner| owner.epoch), Some(epoch));
        assert_eq!(old.snapshot(session).await.unwrap().map(|state| state.epoch), Some(epoch));
    }
    until("the live session is whole", || async { is_whole(&one, &live, 25).await }).await;
    assert!(!live.taken_over().is_cancelled());
}

#[tokio::test]
async fn every_key_stands_in_the_table_and_ends() {
    let redis = RedisServer::start().await;
    let config = redis.config();
    let (one, _running) = start(&config);
    let live = held(&one, 1).await;
    assert_eq!(one.take_resume_token(digest(1)).await.unwrap(), Some(live.session()));
    one.put_phrase(digest(1), Bytes::from_static(b"speech"));
    let two = one.seen_from("two");
    two.announce(&NodeInfo { name: "two".into(), ..NodeInfo::default() }).await.unwrap();
    assert!(two.take(digest(1), Limit::per_minute(60), 1).await.is_allowed);
    let Beginning::New(done) = two.begin(digest(1), digest(1)).await else { panic!("it is new") };
    let Beginning::New(_running) = two.begin(digest(2), digest(1)).await else { panic!("it is new") };
    done.finish(Bytes::from_static(b"made")).await.unwrap();
    let elsewhere = SessionId::new();
    two.put_grant(digest(1), Bytes::from_static(b"a grant"), Duration::from_secs(60)).await.unwrap();
    two.claim(elsewhere, 1).await.unwrap();
    two.renew(&[lease(elsewhere, 1)]).await.unwrap();
    until("the phrase is there", || async { two.phrase(digest(1)).await.is_some() }).await;

    let names: Vec<String> = redis.ask(cmd("KEYS").arg("*")).await.unwrap();
    let mut seen = BTreeSet::new();
    for name in &names {
        let kind = keys::TABLE.iter().find(|kind| {
            let (before, after) = kind.name.split_once('*').unwrap_or((kind.name, ""));
            let rest = name.strip_prefix("floe:").and_then(|name| name.strip_prefix(before));
            rest.is_some_and(|rest| {
                if kind.name.contains('*') { rest.ends_with(after) && !rest.contains(':') } else { rest.is_empty() }
            })
        });
        let kind = kind.unwrap_or_else(|| panic!("{name} stands in no row"));
        let left_ms: i64 = redis.ask(cmd("PTTL").arg(name)).await.unwrap();
        let longest = i64::try_from(keys::longest(kind, &config).as_millis()).unwrap();
        assert!((1..=longest).contains(&left_ms), "{name} has {left_ms} ms, of at most {longest}");
        let form: String = redis.ask(cmd("TYPE").arg(name)).await.unwrap();
        assert_eq!(form, kind.form.replace("sorted set", "zset"), "{name}");
        seen.insert(kind.name);
    }
    assert_eq!(seen, keys::TABLE.iter().map(|kind| kind.name).collect(), "every kind was written");

    let page = include_str!("../../../docs/operations.md");
    for kind in keys::TABLE {
        let row = format!("| `floe:{}` | {} | {} | {} |", kind.name, kind.form, kind.holds, kind.ttl);
        assert!(page.contains(&row), "docs/operations.md lacks: {row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `floe:")).count();
    assert_eq!(rows, keys::TABLE.len(), "docs/operations.md has keys that are none");
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough() {
    let redis = RedisServer::start().await;
    let page = include_str!("../../../docs/operations.md");
    let rights =
        page.split("An ACL user needs `").nth(1).and_then(|rest| rest.split('`').next()).expect("the page says so");
    let mut user = cmd("ACL").arg("SETUSER").arg("floe").arg("on").arg(">hush").to_owned();
    let _ok: String = redis.ask(user.arg(rights.split_whitespace().collect::<Vec<_>>())).await.unwrap();
    let url = redis.url().replace("redis://", "redis://floe:hush@");
    let (one, running) = start(&Config { url: url.into(), ..redis.config() });
    let live = held(&one, 1).await;
    assert_eq!(one.take_resume_token(digest(1)).await, Ok(Some(live.session())));
    assert_eq!(one.nodes().await.unwrap().len(), 1);
    let Beginning::New(begun) = one.begin(digest(1), digest(1)).await else { panic!("it is new") };
    begun.finish(Bytes::from_static(b"made")).await.unwrap();
    one.put_phrase(digest(1), Bytes::from_static(b"speech"));
    until("the phrase is there", || async { one.phrase(digest(1)).await.is_some() }).await;
    assert!(one.take(digest(1), TEN, 1).await.is_allowed);
    let counted: i64 = redis.ask(cmd("EXISTS").arg(format!("floe:limit:{}", "01".repeat(32)))).await.unwrap();
    assert_eq!(counted, 1, "counted there, and not alone");
    live.end();
    assert!(running.stop(Duration::from_secs(30)).await);
    let left: i64 = redis.ask(cmd("EXISTS").arg("floe:node:one").arg("floe:nodes")).await.unwrap();
    assert_eq!(left, 0, "it has said goodbye");
}

#[tokio::test]
async fn the_doctor_sees_which_redis_it_is_and_tells_no_address() {
    let mut redis = RedisServer::start().await;
    let found = look(&redis.config()).await.unwrap();
    assert!(found.starts_with("Redis 7") || found.starts_with("Redis 8"), "{found}");
    redis.kill();
    let error = look(&redis.config()).await.unwrap_err();
    assert!(!error.contains("127.0.0.1") && !error.is_empty(), "{error}");
}

#[test]
fn an_address_that_is_none_is_told_and_not_shown() {
    let config = Config { url: "postgres://user:hush@elsewhere/".into(), ..quick() };
    let error = Shared::start(&config, "one", floe::store::shared::Load::default).unwrap_err();
    assert!(error.to_string().contains("REDIS_URL") && !error.to_string().contains("hush"), "{error}");
    assert!(!format!("{config:?}").contains("hush"));
    let shared = Arc::new(Shared::alone(&quick()));
    assert!(!shared.is_shared() && !shared.is_away());
}
