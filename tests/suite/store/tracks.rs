//! What both databases know of files of sound.

use floe::{
    ids::SessionId,
    store::{
        Config, Scope,
        record::{Change, TrackRow},
    },
};

use super::{
    Kept, caught_up,
    contract::{entry, leave_in_spool},
    decided, durable, opening,
};

fn begun(track: &str) -> TrackRow {
    TrackRow { track: track.into(), offset_ms: 700, ..TrackRow::default() }
}

fn over(track: &str) -> TrackRow {
    TrackRow { length_ms: Some(61_500), bytes: Some(190_000), complete: true, ..begun(track) }
}

pub(super) async fn files_of_sound_are_listed_and_their_deletion_is_remembered(config: Config) {
    let session = SessionId::new();
    let kept = Kept::open(&config).await;
    let node = kept.recorder.node().to_owned();
    let mut scribe = kept.recorder.begin(session, opening("default", "default"));
    let id = scribe.conversation();
    scribe.put(Change::Track(begun("assistant"))).unwrap();
    let first = scribe.put(Change::Track(begun("user"))).unwrap();
    let last = scribe.put(Change::Track(over("user"))).unwrap();
    durable(&scribe, last).await;
    let tracks = kept.store.tracks(id).await.unwrap();
    assert_eq!(tracks.len(), 2);
    let user = tracks.iter().find(|track| track.row.track == "user").unwrap();
    assert_eq!((user.part, user.row.offset_ms, user.node.as_str()), (1, 700, node.as_str()));
    assert_eq!((user.row.length_ms, user.row.bytes, user.row.complete), (Some(61_500), Some(190_000), true));
    let assistant = tracks.iter().find(|track| track.row.track == "assistant").unwrap();
    assert_eq!((assistant.row.length_ms, assistant.row.complete), (None, false));

    // An older state that comes again changes nothing.
    kept.stop().await;
    leave_in_spool(&config, &[entry(id, session, first, Change::Track(begun("user")))]);
    let kept = Kept::open(&config).await;
    caught_up(&kept.recorder).await;
    assert_eq!(kept.store.tracks(id).await.unwrap(), tracks);

    assert!(kept.store.to_erase(&node, 10).await.unwrap().is_empty());
    assert!(kept.store.delete(Scope::tenant("default"), id).await.unwrap().is_some());
    assert!(kept.store.tracks(id).await.unwrap().is_empty());
    assert_eq!(kept.store.to_erase(&node, 10).await.unwrap(), [id]);
    assert!(kept.store.to_erase("another", 10).await.unwrap().is_empty());
    kept.store.erased(&node, id).await.unwrap();
    assert!(kept.store.to_erase(&node, 10).await.unwrap().is_empty());
    drop(scribe);
    kept.stop().await;
}

pub(super) async fn a_file_of_an_overtaken_session_is_known_all_the_same(config: Config) {
    let session = SessionId::new();
    let kept = Kept::open(&config).await;
    let mut scribe = kept.recorder.begin(session, opening("default", "default"));
    let id = scribe.conversation();
    let first = scribe.put(Change::Track(begun("user"))).unwrap();
    durable(&scribe, first).await;
    assert_eq!(kept.store.claim(session, "another").await.unwrap(), Some(2));
    let late = scribe.put(Change::Track(over("user"))).unwrap();
    let progress = decided(&mut scribe.progress(), late).await;
    assert!(progress.is_fenced, "its session learns of it all the same");
    let tracks = kept.store.tracks(id).await.unwrap();
    assert_eq!((tracks.len(), tracks[0].part, tracks[0].row.complete), (1, 1, true));

    // Not of a conversation that was deleted.
    assert!(kept.store.delete(Scope::tenant("default"), id).await.unwrap().is_some());
    let late = scribe.put(Change::Track(over("assistant"))).unwrap();
    decided(&mut scribe.progress(), late).await;
    assert!(kept.store.tracks(id).await.unwrap().is_empty());
    drop(scribe);
    kept.stop().await;
}
