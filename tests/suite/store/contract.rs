//! What both databases must do alike.

use floe::{
    ids::{ConversationId, SessionId},
    store::{
        Config, Filter, Reach, Scope,
        record::{Change, Entry, ItemRow, Opening},
        words::Query,
    },
};
use sha2::{Digest as _, Sha256};

use super::{
    Kept, PATIENCE, closed, decided, durable, opening, receipt, said,
    tracks::{
        a_file_of_an_overtaken_session_is_known_all_the_same,
        files_of_sound_are_listed_and_their_deletion_is_remembered,
    },
};
use crate::support::postgres::Cluster;

/// Every promise, once on each database. Postgres gets a fresh database per promise in one cluster: making a cluster takes
/// longer than all of them.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $promise() {
                let dir = tempfile::tempdir().unwrap();
                super::$promise(super::Config { dir: dir.path().to_owned(), ..super::Config::default() }).await;
            })*
        }

        #[tokio::test]
        async fn postgres_keeps_every_promise() {
            let cluster = Cluster::start().await;
            $({
                let dir = tempfile::tempdir().unwrap();
                let config = cluster.database(stringify!($promise), dir.path()).await;
                $promise(config).await;
            })*
        }
    };
}

promises!(
    what_was_said_is_read_again,
    the_newest_state_of_an_item_wins_in_whatever_order_they_come,
    what_was_deleted_stays_deleted,
    whoever_claims_a_session_fences_the_others,
    lists_come_in_parts_and_filtered,
    words_are_found_and_marked,
    words_before_a_beginning_are_found_be_they_rare_or_frequent,
    usage_is_summed_by_day,
    strange_texts_are_kept,
    tenants_do_not_see_each_other,
    users_do_not_see_each_other,
    a_server_that_died_leaves_its_conversations_marked,
    a_session_that_is_dropped_is_marked,
    files_of_sound_are_listed_and_their_deletion_is_remembered,
    a_file_of_an_overtaken_session_is_known_all_the_same,
);

fn any() -> Filter {
    Filter { limit: 100, ..Filter::default() }
}

async fn what_was_said_is_read_again(config: Config) {
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let id = scribe.conversation();
    scribe.put(said(1, "what time is it")).unwrap();
    let call = ItemRow {
        item: 2,
        position: 2.0,
        role: "assistant".into(),
        kind: "tool_call".into(),
        call: Some(1),
        response: Some(1),
        tool: Some("time".into()),
        arguments: Some("{\"zone\":\"UTC\"}".into()),
        ..ItemRow::default()
    };
    scribe.put(Change::Item(Box::new(call))).unwrap();
    let reply = ItemRow {
        item: 3,
        position: 1.5,
        role: "assistant".into(),
        kind: "reply".into(),
        text: "It is".into(),
        written: Some("It is noon.".into()),
        interrupted: true,
        response: Some(1),
        ..ItemRow::default()
    };
    scribe.put(Change::Item(Box::new(reply))).unwrap();
    scribe.put(receipt(1, 120)).unwrap();
    let last = scribe.put(closed()).unwrap();
    durable(&scribe, last).await;

    let conversation = kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap();
    assert_eq!((conversation.id, conversation.agent.as_str(), conversation.state.as_str()), (id, "default", "ended"));
    assert_eq!((conversation.audio_in_ms, conversation.audio_out_ms), (4_000, 2_500));
    assert_eq!(conversation.end_reason.as_deref(), Some("goodbye"));
    assert!(conversation.ended_at_ms.is_some_and(|ended| ended >= conversation.started_at_ms));
    let items = kept.store.timeline(id).await.unwrap();
    assert_eq!(items.iter().map(|item| item.row.item).collect::<Vec<_>>(), [1, 3, 2], "by place, not by number");
    assert_eq!(
        (items[0].row.text.as_str(), items[0].row.start_ms, items[0].row.end_ms),
        ("what time is it", Some(1_000), Some(1_900))
    );
    assert_eq!((items[1].row.text.as_str(), items[1].row.written.as_deref()), ("It is", Some("It is noon.")));
    assert!(items[1].row.interrupted && !items[0].row.interrupted);
    assert_eq!(items[2].row.arguments.as_deref(), Some("{\"zone\":\"UTC\"}"));
    let receipts = kept.store.receipts(id).await.unwrap();
    assert_eq!(receipts.len(), 1);
    assert_eq!((receipts[0].endpoint_ms, receipts[0].transcript_ms, receipts[0].input_tokens), (Some(510), None, 120));
    kept.store.ping().await.unwrap();
    assert!(kept.store.conversation(Scope::tenant("default"), ConversationId::new()).await.unwrap().is_none());
    drop(scribe);
    kept.stop().await;
}

/// Puts these into the spool of a directory, as a server that was killed would have left them.
pub(super) fn leave_in_spool(config: &Config, entries: &[Entry]) {
    let mut bytes = Vec::new();
    for entry in entries {
        let payload = serde_json::to_vec(entry).unwrap();
        bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.extend(&Sha256::digest(&payload)[..8]);
        bytes.extend(payload);
    }
    std::fs::write(config.dir.join("spool.v1"), bytes).unwrap();
}

pub(super) fn entry(conversation: ConversationId, session: SessionId, revision: i64, change: Change) -> Entry {
    Entry { conversation: conversation.uuid(), session: session.uuid(), epoch: 1, revision, at_ms: 1_000, change }
}

async fn the_newest_state_of_an_item_wins_in_whatever_order_they_come(config: Config) {
    let session = SessionId::new();
    let kept = Kept::open(&config).await;
    let mut scribe = kept.recorder.begin(session, opening("default", "default"));
    let id = scribe.conversation();
    scribe.put(said(1, "first")).unwrap();
    scribe.put(said(1, "second")).unwrap();
    let newest = scribe.put(said(1, "third")).unwrap();
    scribe.put(receipt(1, 10)).unwrap();
    let last = scribe.put(closed()).unwrap();
    durable(&scribe, last).await;
    drop(scribe);
    let before = kept.store.timeline(id).await.unwrap();
    kept.stop().await;

    let again = [
        entry(id, session, 1, Change::Opened(opening("default", "default"))),
        entry(id, session, newest, said(1, "third")),
        entry(id, session, newest - 1, said(1, "second")),
        entry(id, session, newest - 1, said(1, "second")),
        entry(id, session, newest + 1, receipt(1, 10)),
        entry(id, session, newest - 2, said(1, "first")),
    ];
    leave_in_spool(&config, &again);
    let kept = Kept::open(&config).await;
    super::caught_up(&kept.recorder).await;
    assert_eq!(kept.store.timeline(id).await.unwrap(), before, "replaying changes nothing");
    assert_eq!(before[0].row.text, "third");
    assert_eq!(kept.store.receipts(id).await.unwrap().len(), 1);
    assert_eq!(kept.store.conversations(Scope::tenant("default"), &any()).await.unwrap().conversations.len(), 1);
    let found = kept.store.search(Scope::tenant("default"), &Query::parse("first").unwrap(), None, 10).await.unwrap();
    assert!(found.hits.is_empty(), "words of an older state are not found");
    kept.stop().await;
}

async fn what_was_deleted_stays_deleted(config: Config) {
    let session = SessionId::new();
    let kept = Kept::open(&config).await;
    let mut scribe = kept.recorder.begin(session, opening("default", "default"));
    let id = scribe.conversation();
    let secret = scribe.put(said(1, "my secret")).unwrap();
    durable(&scribe, secret).await;
    assert!(kept.store.delete(Scope::tenant("default"), id).await.unwrap().is_some());
    assert!(kept.store.delete(Scope::tenant("default"), id).await.unwrap().is_none(), "it is gone");
    // Its session does not know, and goes on.
    let after = scribe.put(said(2, "another secret")).unwrap();
    assert!(decided(&mut scribe.progress(), after).await.lost_to >= after, "nobody is told that this is kept");
    drop(scribe);
    kept.stop().await;

    // A spool that still holds the beginning does not bring it back.
    leave_in_spool(
        &config,
        &[
            entry(id, session, 1, Change::Opened(opening("default", "default"))),
            entry(id, session, 2, said(1, "my secret")),
        ],
    );
    let kept = Kept::open(&config).await;
    super::caught_up(&kept.recorder).await;
    assert!(kept.store.conversation(Scope::tenant("default"), id).await.unwrap().is_none());
    assert!(kept.store.timeline(id).await.unwrap().is_empty());
    let found = kept.store.search(Scope::tenant("default"), &Query::parse("secret").unwrap(), None, 10).await.unwrap();
    assert!(found.hits.is_empty());
    kept.stop().await;
}

async fn whoever_claims_a_session_fences_the_others(config: Config) {
    let session = SessionId::new();
    let kept = Kept::open(&config).await;
    assert_eq!(kept.store.claim(session, "other").await.unwrap(), None, "nobody knows it yet");
    let mut scribe = kept.recorder.begin(session, opening("default", "default"));
    let id = scribe.conversation();
    let mine = scribe.put(said(1, "mine")).unwrap();
    durable(&scribe, mine).await;
    assert_eq!(kept.store.claim(session, "other").await.unwrap(), Some(2));
    assert_eq!(kept.store.claim(session, "third").await.unwrap(), Some(3));
    let stale = scribe.put(said(1, "stale")).unwrap();
    let progress = decided(&mut scribe.progress(), stale).await;
    assert!(progress.lost_to >= stale && progress.durable_to == mine, "{progress:?}");
    drop(scribe);
    assert_eq!(kept.store.timeline(id).await.unwrap()[0].row.text, "mine");
    let state = kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap().state;
    assert_eq!(state, "live", "the stale session cannot even end it");
    kept.stop().await;
}

async fn lists_come_in_parts_and_filtered(config: Config) {
    let kept = Kept::open(&config).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let mut scribe = kept.begin(if n % 2 == 0 { "even" } else { "odd" });
        let last = if n < 5 { scribe.put(closed()) } else { scribe.put(said(1, "still here")) };
        durable(&scribe, last.unwrap()).await;
        ids.insert(0, scribe.conversation());
        // Kept live until all are listed.
        std::mem::forget(scribe);
    }
    let list = async |filter: Filter| {
        let page = kept.store.conversations(Scope::tenant("default"), &filter).await.unwrap();
        (page.conversations.iter().map(|one| one.id).collect::<Vec<_>>(), page.has_more)
    };
    assert_eq!(list(any()).await, (ids.clone(), false), "newest first");
    let (first, more) = list(Filter { limit: 3, ..any() }).await;
    assert_eq!((first.as_slice(), more), (&ids[..3], true));
    let (second, more) = list(Filter { limit: 3, after: Some(ids[2]), ..any() }).await;
    assert_eq!((second.as_slice(), more), (&ids[3..6], true));
    let (third, more) = list(Filter { limit: 3, after: Some(ids[5]), ..any() }).await;
    assert_eq!((third.as_slice(), more), (&ids[6..], false));
    assert_eq!(list(Filter { agent: Some("odd".into()), ..any() }).await.0, [ids[1], ids[3], ids[5]]);
    assert_eq!(list(Filter { state: Some("live".into()), ..any() }).await.0, ids[..2]);
    let started = kept.store.conversation(Scope::tenant("default"), ids[0]).await.unwrap().unwrap().started_at_ms;
    let day_ms = 86_400_000;
    assert_eq!(list(Filter { since_ms: Some(started - day_ms), ..any() }).await.0.len(), 7);
    assert!(list(Filter { since_ms: Some(started + day_ms), ..any() }).await.0.is_empty());
    assert!(list(Filter { until_ms: Some(started - day_ms), ..any() }).await.0.is_empty());
    kept.stop().await;
}

async fn words_are_found_and_marked(config: Config) {
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let id = scribe.conversation();
    let texts = [
        "The train to Berlin leaves at 7:30.",
        "ÜBER die Brücke, isn't it?",
        "Trains train trainers",
        "a.b@example.org said 3.14 -- \"quoted\" OR not",
    ];
    for (item, text) in (1..).zip(texts) {
        scribe.put(said(item, text)).unwrap();
    }
    let last = scribe.put(said(9, "passing words")).unwrap();
    durable(&scribe, last).await;
    let find = async |words: &str| {
        let query = Query::parse(words).unwrap();
        let page = kept.store.search(Scope::tenant("default"), &query, None, 10).await.unwrap();
        // A full page is found by looking, one that is not by the index: both must see the same words.
        let any = kept.store.search(Scope::tenant("default"), &query, None, 0).await.unwrap();
        assert_eq!(any.has_more, !page.hits.is_empty(), "{words}");
        page.hits.iter().map(|hit| hit.item).collect::<Vec<_>>()
    };
    assert_eq!(find("train").await, [3, 1], "newest first, and beginnings of words");
    assert_eq!(find("berlin train").await, [1], "every word, in any order, in any case");
    assert_eq!(find("train berlin").await, [1]);
    assert_eq!(find("train x").await, [0; 0], "only the last word may be a beginning");
    assert_eq!(find("trai berlin").await, [0; 0]);
    assert_eq!(find("über brück").await, [2]);
    assert_eq!(find("uber").await, [0; 0], "letters are what they are");
    assert_eq!(find("isn't").await, [2]);
    assert_eq!(find("7:30").await, [1]);
    assert_eq!(find("example").await, [4], "addresses are words, too");
    assert_eq!(find("3.14").await, [4]);
    assert_eq!(find("\" OR 1=1 -- '").await, [0; 0]);
    assert_eq!(find("quoted or").await, [4]);
    assert_eq!(find("default").await, [0; 0], "whose it is is no word of it");

    let query = Query::parse("train").unwrap();
    let first = kept.store.search(Scope::tenant("default"), &query, None, 1).await.unwrap();
    assert!(first.has_more && first.hits[0].item == 3);
    let second = kept.store.search(Scope::tenant("default"), &query, Some(first.hits[0].number), 1).await.unwrap();
    assert!(!second.has_more && second.hits[0].item == 1 && second.hits[0].conversation == id);
    let marked = query.mark(&second.hits[0].text);
    assert_eq!(marked.iter().filter(|piece| piece.hit).map(|piece| piece.text.as_str()).collect::<Vec<_>>(), ["train"]);

    let changed = scribe.put(said(9, "other words")).unwrap();
    durable(&scribe, changed).await;
    assert_eq!(find("passing").await, [0; 0], "what was replaced is not found");
    assert_eq!(find("other").await, [9]);
    let gone = ItemRow { item: 9, kind: "deleted".into(), ..ItemRow::default() };
    let gone = scribe.put(Change::Item(Box::new(gone))).unwrap();
    durable(&scribe, gone).await;
    assert_eq!(find("other").await, [0; 0], "nor what was taken out");
    assert!(kept.store.timeline(id).await.unwrap().iter().all(|item| item.row.item != 9));
    drop(scribe);
    kept.stop().await;
}

async fn words_before_a_beginning_are_found_be_they_rare_or_frequent(config: Config) {
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let mut last = 0;
    for item in 1..=60 {
        let seldom = if item == 30 { " seldom" } else { "" };
        last = scribe.put(said(item, &format!("often{seldom} number{item}"))).unwrap();
    }
    durable(&scribe, last).await;
    let find = async |words: &str| {
        let page = kept.store.search(Scope::tenant("default"), &Query::parse(words).unwrap(), None, 100).await.unwrap();
        page.hits.iter().map(|hit| hit.item).collect::<Vec<_>>()
    };
    assert_eq!(find("often number3").await, [39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 3], "newest first");
    assert_eq!(find("seldom number").await, [30]);
    assert_eq!(find("seldom often number3").await, [30]);
    assert_eq!(find("seldom number31").await, [0; 0]);
    assert_eq!(find("never number").await, [0; 0]);
    drop(scribe);
    kept.stop().await;
}

async fn usage_is_summed_by_day(config: Config) {
    let kept = Kept::open(&config).await;
    for tokens in [100, 200] {
        let mut scribe = kept.begin("default");
        scribe.put(receipt(1, tokens)).unwrap();
        scribe.put(receipt(2, tokens)).unwrap();
        let last = scribe.put(closed()).unwrap();
        durable(&scribe, last).await;
    }
    let newest =
        kept.store.conversations(Scope::tenant("default"), &any()).await.unwrap().conversations[0].started_at_ms;
    let day_ms = 86_400_000;
    let days = kept.store.usage(Scope::tenant("default"), newest - day_ms, newest + day_ms).await.unwrap();
    let sum = |of: fn(&floe::store::Usage) -> i64| days.iter().map(of).sum::<i64>();
    assert_eq!((sum(|day| day.conversations), sum(|day| day.replies)), (2, 4));
    assert_eq!((sum(|day| day.input_tokens), sum(|day| day.output_tokens)), (600, 300));
    assert_eq!((sum(|day| day.audio_in_ms), sum(|day| day.audio_out_ms)), (8_000, 5_000));
    assert!(kept.store.usage(Scope::tenant("default"), newest + day_ms, newest + 2 * day_ms).await.unwrap().is_empty());
    kept.stop().await;
}

async fn strange_texts_are_kept(config: Config) {
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let id = scribe.conversation();
    let long = "ä".repeat(200_000);
    scribe.put(said(1, "a\0b")).unwrap();
    scribe.put(said(2, "'; DROP TABLE items; --")).unwrap();
    scribe.put(said(3, "👩‍👩‍👧‍👦 \u{202e}עברית")).unwrap();
    let last = scribe.put(said(4, &long)).unwrap();
    durable(&scribe, last).await;
    let items = kept.store.timeline(id).await.unwrap();
    assert_eq!(items[0].row.text, "a\u{fffd}b", "no database keeps a NUL");
    assert_eq!(items[1].row.text, "'; DROP TABLE items; --");
    assert_eq!(items[2].row.text, "👩‍👩‍👧‍👦 \u{202e}עברית");
    assert!(items[3].row.text.len() <= 256 * 1024 && long.starts_with(&items[3].row.text));
    drop(scribe);
    kept.stop().await;
}

async fn tenants_do_not_see_each_other(config: Config) {
    let kept = Kept::open(&config).await;
    let mut scribe = kept.recorder.begin(SessionId::new(), opening("them", "default"));
    let id = scribe.conversation();
    scribe.put(said(1, "between us")).unwrap();
    let last = scribe.put(closed()).unwrap();
    durable(&scribe, last).await;
    let query = Query::parse("between").unwrap();
    assert!(kept.store.conversation(Scope::tenant("us"), id).await.unwrap().is_none());
    assert!(kept.store.conversations(Scope::tenant("us"), &any()).await.unwrap().conversations.is_empty());
    assert!(kept.store.search(Scope::tenant("us"), &query, None, 10).await.unwrap().hits.is_empty());
    assert!(kept.store.usage(Scope::tenant("us"), 0, i64::MAX).await.unwrap().is_empty());
    assert!(kept.store.delete(Scope::tenant("us"), id).await.unwrap().is_none());
    assert_eq!(kept.store.search(Scope::tenant("them"), &query, None, 10).await.unwrap().hits.len(), 1);
    kept.stop().await;
}

async fn users_do_not_see_each_other(config: Config) {
    let kept = Kept::open(&config).await;
    let mut ids = Vec::new();
    for (tenant, user) in [("us", Some("ann")), ("us", Some("bob")), ("us", None), ("them", Some("ann"))] {
        let opening = Opening { user: user.map(str::to_owned), ..opening(tenant, "default") };
        let mut scribe = kept.recorder.begin(SessionId::new(), opening);
        scribe.put(said(1, "between you and me")).unwrap();
        let last = scribe.put(closed()).unwrap();
        durable(&scribe, last).await;
        ids.push(scribe.conversation());
    }
    let query = Query::parse("between").unwrap();
    let (ann, bob) = (Scope::user("us", "ann"), Scope::user("us", "bob"));
    let one = Scope { tenant: "us", reach: Reach::One(ids[1]) };
    let nothing = Scope { tenant: "us", reach: Reach::Nothing };
    for (scope, theirs) in [
        (ann, &[0][..]),
        (bob, &[1]),
        (Scope::tenant("us"), &[2, 1, 0]),
        (Scope::user("us", "eve"), &[]),
        (nothing, &[]),
    ] {
        let theirs: Vec<ConversationId> = theirs.iter().map(|at| ids[*at]).collect();
        for filter in [
            any(),
            Filter { agent: Some("default".into()), ..any() },
            Filter { state: Some("ended".into()), ..any() },
            Filter { agent: Some("default".into()), state: Some("ended".into()), ..any() },
        ] {
            let page = kept.store.conversations(scope, &filter).await.unwrap();
            assert_eq!(page.conversations.iter().map(|one| one.id).collect::<Vec<_>>(), theirs, "{scope:?} {filter:?}");
        }
        let found = kept.store.search(scope, &query, None, 10).await.unwrap();
        assert_eq!(found.hits.iter().map(|hit| hit.conversation).collect::<Vec<_>>(), theirs, "{scope:?}");
        let used = kept.store.usage(scope, 0, i64::MAX).await.unwrap();
        assert_eq!(used.iter().map(|day| day.conversations).sum::<i64>(), theirs.len() as i64, "{scope:?}");
        for id in &ids {
            let read = kept.store.conversation(scope, *id).await.unwrap();
            assert_eq!(read.is_some(), theirs.contains(id), "{scope:?}");
        }
    }
    let part = kept.store.search(ann, &Query::parse("me betw").unwrap(), None, 10).await.unwrap();
    assert_eq!((part.hits.len(), part.has_more), (1, false), "the last word may be a beginning");
    assert!(kept.store.conversation(one, ids[1]).await.unwrap().is_some_and(|one| one.user.as_deref() == Some("bob")));
    assert!(kept.store.conversation(one, ids[0]).await.unwrap().is_none());
    for scope in [ann, one, nothing, Scope::user("them", "bob")] {
        assert!(kept.store.delete(scope, ids[1]).await.unwrap().is_none(), "{scope:?}");
    }
    assert!(kept.store.delete(bob, ids[1]).await.unwrap().is_some());
    kept.stop().await;
}

async fn a_server_that_died_leaves_its_conversations_marked(config: Config) {
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let id = scribe.conversation();
    let one = scribe.put(said(1, "hello")).unwrap();
    durable(&scribe, one).await;
    // The process ends: no session ends in good order, and nobody drops anything.
    std::mem::forget(scribe);
    kept.stop().await;

    let kept = Kept::open(&config).await;
    let marked = async {
        while kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap().state == "live" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, marked).await.expect("it is marked");
    let conversation = kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap();
    assert_eq!((conversation.state.as_str(), conversation.end_reason.as_deref()), ("lost", Some("server_lost")));
    assert_eq!(kept.store.timeline(id).await.unwrap().len(), 1);
    kept.stop().await;
}

async fn a_session_that_is_dropped_is_marked(config: Config) {
    let kept = Kept::open(&config).await;
    let mut scribe = kept.begin("default");
    let (id, mut progress) = (scribe.conversation(), scribe.progress());
    let said = scribe.put(said(1, "hello")).unwrap();
    drop(scribe);
    assert_eq!(decided(&mut progress, said + 1).await.lost_to, 0);
    assert_eq!(kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap().state, "lost");
    kept.stop().await;
}
