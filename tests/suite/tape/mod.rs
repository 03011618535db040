//! Sound on disk: where it lies, what is taken back, what a bad disk and a deleted conversation do.

use std::{f32::consts::TAU, fs, path::Path, sync::Arc, time::Duration};

use floe::{
    audio::{
        AudioPos, Codec, Egress, FRAME_SAMPLES, Format, Samples,
        container::{Limits, decode_file},
    },
    ids::{ConversationId, ResponseId},
    store::{Config, Scope, Store},
    tape::{self, Deck, Running, Side, Tape},
};

/// A deck that records into this directory.
async fn deck(dir: &Path) -> (Deck, Running) {
    let config = Config { dir: dir.to_owned(), audio: true, ..Config::default() };
    let store = Store::open(&config).await.unwrap().unwrap();
    Deck::start(&config, store, "here").unwrap()
}

fn tone(hz: f32, rate_hz: u32, from: u64, samples: usize) -> Vec<f32> {
    (0..samples).map(|at| 0.4 * ((from + at as u64) as f32 * hz * TAU / rate_hz as f32).sin()).collect()
}

/// The user from one place to another, frame by frame: a tone or nothing.
fn hear(tape: &mut Tape, from_ms: u64, to_ms: u64, is_loud: bool) {
    let mut at = from_ms * 16;
    assert_eq!(at % FRAME_SAMPLES as u64, 0, "tests begin at whole frames");
    while at < to_ms * 16 {
        let samples = if is_loud { tone(440.0, 16_000, at, FRAME_SAMPLES) } else { vec![0.0; FRAME_SAMPLES] };
        at += FRAME_SAMPLES as u64;
        tape.heard(AudioPos(at), Some(samples.into()));
    }
}

/// A reply of this length in this format.
fn say(tape: &mut Tape, response: u32, at_ms: u64, length_ms: usize, format: Format) {
    let mut egress = Egress::new(format).unwrap();
    let mut chunks = Vec::new();
    let samples = Samples { rate_hz: 24_000, data: tone(700.0, 24_000, 0, 24 * length_ms) };
    egress.push(&samples, &mut chunks).unwrap();
    egress.finish(&mut chunks).unwrap();
    let mut at = AudioPos::from_ms(at_ms);
    for chunk in chunks {
        let next = at + chunk.duration();
        tape.said(at, chunk, format, ResponseId(response));
        at = next;
    }
}

/// Decoded, at 16 kHz.
fn read(path: &Path) -> Vec<f32> {
    decode_file(fs::read(path).unwrap().into(), Limits::default()).unwrap().data
}

fn energy(samples: &[f32], from_ms: usize, to_ms: usize) -> f32 {
    let samples = &samples[from_ms * 16..to_ms * 16];
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}

const PCM: Format = Format { codec: Codec::PcmS16le, rate_hz: 24_000, frame_ms: 20 };
const OPUS: Format = Format { codec: Codec::Opus, rate_hz: 24_000, frame_ms: 20 };
const G711: Format = Format { codec: Codec::Pcmu, rate_hz: 8_000, frame_ms: 20 };

#[tokio::test]
async fn both_sides_lie_where_they_were_heard() {
    let dir = tempfile::tempdir().unwrap();
    let (deck, running) = deck(dir.path()).await;
    for (part, format) in (1..).zip([PCM, OPUS, G711]) {
        let id = ConversationId::new();
        let mut tape = deck.tape(id, part).unwrap();
        hear(&mut tape, 0, 992, false);
        hear(&mut tape, 992, 1_504, true);
        hear(&mut tape, 1_504, 2_000, false);
        say(&mut tape, 1, 2_000, 500, format);
        hear(&mut tape, 2_000, 4_000, false);
        // A reply that is talked over after 300 ms, of which 600 ms were sent.
        say(&mut tape, 2, 4_000, 600, format);
        hear(&mut tape, 4_000, 4_400, true);
        tape.cut(AudioPos::from_ms(4_300));
        hear(&mut tape, 4_400, 5_008, false);
        let taped = tape.finish().await.unwrap();
        let (user, assistant) = (taped.user.unwrap(), taped.assistant.unwrap());
        assert!(user.complete && assistant.complete);
        assert_eq!((user.length_ms, assistant.length_ms), (5_008, 5_008), "both have the same times");
        let files = [Side::User, Side::Assistant].map(|side| deck.file(id, part, side));
        assert_eq!(fs::metadata(&files[0]).unwrap().len(), user.bytes);
        assert_eq!(tape::length_ms(&files[1]).unwrap(), Some((5_008, assistant.bytes)));
        let (user, assistant) = (read(&files[0]), read(&files[1]));
        assert_eq!((user.len(), assistant.len()), (5_008 * 16, 5_008 * 16));
        let quiet = 0.01;
        assert!(energy(&user, 0, 980) < quiet && energy(&user, 1_530, 3_980) < quiet);
        assert!(energy(&user, 1_000, 1_500) > 0.2 && energy(&user, 4_010, 4_380) > 0.2, "{format:?}");
        assert!(energy(&assistant, 0, 1_980) < quiet, "{}", energy(&assistant, 0, 1_980));
        assert!(energy(&assistant, 2_010, 2_490) > 0.2);
        assert!(energy(&assistant, 2_540, 3_980) < quiet, "{}", energy(&assistant, 2_540, 3_980));
        assert!(energy(&assistant, 4_010, 4_290) > 0.2);
        assert!(energy(&assistant, 4_010, 4_050) > 0.2, "a voice is there at once after a pause");
        assert!(energy(&assistant, 4_330, 5_000) < quiet, "what was talked over is not there");
    }
    assert!(running.stop(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn what_is_missing_is_silence_and_what_is_muted_too() {
    let dir = tempfile::tempdir().unwrap();
    let (deck, _running) = deck(dir.path()).await;
    let id = ConversationId::new();
    let mut tape = deck.tape(id, 1).unwrap();
    hear(&mut tape, 0, 1_008, true);
    // Nothing came for a second; then the user muted.
    hear(&mut tape, 2_000, 2_400, true);
    for frame in 0..50 {
        tape.heard(AudioPos((2_400 + (frame + 1) * 16) * 16), None);
    }
    // The client ended something in the middle of a frame.
    tape.heard(AudioPos(3_200 * 16 + 100), Some(tone(440.0, 16_000, 0, FRAME_SAMPLES).into()));
    let user = tape.finish().await.unwrap().user.unwrap();
    assert_eq!(user.length_ms, 3_206);
    let user = read(&deck.file(id, 1, Side::User));
    assert_eq!(user.len(), 3_200 * 16 + 100);
    assert!(energy(&user, 10, 1_000) > 0.2 && energy(&user, 2_010, 2_390) > 0.2);
    assert!(energy(&user, 1_030, 1_980) < 0.01 && energy(&user, 2_430, 3_190) < 0.01);
    assert!(!deck.file(id, 1, Side::Assistant).exists(), "nobody said anything");
}

#[tokio::test]
async fn silence_costs_next_to_nothing_and_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let (deck, _running) = deck(dir.path()).await;
    let id = ConversationId::new();
    let mut tape = deck.tape(id, 1).unwrap();
    // The first words after an hour.
    say(&mut tape, 1, 3_600_000, 500, OPUS);
    let assistant = tape.finish().await.expect("within a second").assistant.unwrap();
    assert!((3_600_490..3_600_560).contains(&assistant.length_ms), "{assistant:?}");
    assert!(assistant.bytes < 800_000, "an hour of silence has {} bytes", assistant.bytes);
    // Muted for two and a half minutes, which come frame by frame.
    let mut tape = deck.tape(id, 2).unwrap();
    for frame in 1..=9_375 {
        tape.heard(AudioPos(frame * FRAME_SAMPLES as u64), None);
    }
    let user = tape.finish().await.unwrap().user.unwrap();
    assert_eq!((user.length_ms, user.complete), (150_000, true));
    assert!(user.bytes < 30_000, "two and a half minutes of silence have {} bytes", user.bytes);
}

#[tokio::test]
async fn a_file_that_is_there_is_not_written_over_and_a_disk_that_takes_nothing_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (deck, _running) = deck(dir.path()).await;
    let id = ConversationId::new();
    let mut first = deck.tape(id, 1).unwrap();
    hear(&mut first, 0, 1_008, true);
    assert!(first.finish().await.unwrap().user.unwrap().complete);
    let path = deck.file(id, 1, Side::User);
    let before = fs::read(&path).unwrap();
    let mut again = deck.tape(id, 1).unwrap();
    hear(&mut again, 0, 2_000, true);
    let user = again.finish().await.unwrap().user.unwrap();
    assert_eq!((user.complete, user.bytes), (false, 0));
    assert_eq!(fs::read(&path).unwrap(), before);

    // Where the directory should be there is a file.
    let other = ConversationId::new();
    fs::write(deck.folder(other), "in the way").unwrap();
    let mut tape = deck.tape(other, 1).unwrap();
    hear(&mut tape, 0, 2_000, true);
    say(&mut tape, 1, 500, 500, PCM);
    let taped = tape.finish().await.unwrap();
    assert!(!taped.user.unwrap().complete && !taped.assistant.unwrap().complete);
    // The next conversation is not touched by that.
    let third = ConversationId::new();
    let mut tape = deck.tape(third, 1).unwrap();
    hear(&mut tape, 0, 2_000, true);
    assert!(tape.finish().await.unwrap().user.unwrap().complete);
}

#[tokio::test]
async fn a_queue_that_is_full_costs_sound_and_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let (deck, _running) = deck(dir.path()).await;
    let id = ConversationId::new();
    let mut tape = deck.tape(id, 1).unwrap();
    let frame: Arc<[f32]> = tone(440.0, 16_000, 0, FRAME_SAMPLES).into();
    // Ten minutes at once: more than the queue holds, and than anybody encodes in the meantime.
    let frames = 600_000 / 16;
    for at in 1..=frames {
        tape.heard(AudioPos(at * FRAME_SAMPLES as u64), Some(Arc::clone(&frame)));
    }
    // The thread catches up.
    let mut last = None;
    while last.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let length = tape::length_ms(&deck.file(id, 1, Side::User)).ok().flatten();
        tokio::time::sleep(Duration::from_millis(500)).await;
        last = length.filter(|_| tape::length_ms(&deck.file(id, 1, Side::User)).ok().flatten() == length);
    }
    tape.heard(AudioPos((frames + 1) * FRAME_SAMPLES as u64), Some(frame));
    let user = tape.finish().await.unwrap().user.unwrap();
    assert!(!user.complete, "something was dropped");
    assert_eq!(user.length_ms, 600_016, "and what came after it is where it belongs");
}

#[tokio::test]
async fn whatever_is_cut_off_the_end_the_rest_can_be_heard() {
    let dir = tempfile::tempdir().unwrap();
    let (deck, _running) = deck(dir.path()).await;
    let id = ConversationId::new();
    let mut tape = deck.tape(id, 1).unwrap();
    hear(&mut tape, 0, 4_000, true);
    tape.finish().await.unwrap();
    let path = deck.file(id, 1, Side::User);
    let whole = fs::read(&path).unwrap();
    for part in 1..10 {
        let torn = whole.len() * part / 10;
        fs::write(&path, &whole[..torn]).unwrap();
        let (length_ms, _) = tape::length_ms(&path).unwrap().unwrap();
        if length_ms == 0 {
            assert!(part < 3, "{part}: less than half a second is no whole page");
            continue;
        }
        let heard = read(&path).len() as u64 / 16;
        assert!(heard.abs_diff(length_ms) <= 20, "{part}: {heard} ms, and it says {length_ms}");
        assert!(length_ms + 1_000 >= 400 * part as u64, "{part}: {length_ms} ms");
    }
}

#[tokio::test]
async fn what_is_erased_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (deck, _running) = deck(dir.path()).await;
    let id = ConversationId::new();
    let mut live = deck.tape(id, 1).unwrap();
    let mut idle = deck.tape(id, 2).unwrap();
    hear(&mut live, 0, 2_000, true);
    deck.erase(id).await.unwrap();
    assert!(!deck.folder(id).exists());
    say(&mut live, 1, 1_000, 500, PCM);
    hear(&mut live, 2_000, 4_000, true);
    hear(&mut idle, 0, 2_000, true);
    live.finish().await.unwrap();
    idle.finish().await.unwrap();
    assert!(!deck.folder(id).exists());
    deck.erase(id).await.expect("twice is no harm");
}

#[tokio::test]
async fn what_was_deleted_while_this_server_was_away_is_erased_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().to_owned(), audio: true, ..Config::default() };
    let store = Store::open(&config).await.unwrap().unwrap();
    let (recorder, recording) = floe::store::Recorder::start(store.clone()).await.unwrap();
    let node = recorder.node().to_owned();
    let (deck, running) = Deck::start(&config, store.clone(), &node).unwrap();
    let mut scribe = recorder.begin(floe::ids::SessionId::new(), floe::store::record::Opening::default());
    let id = scribe.conversation();
    let row = floe::store::record::TrackRow { track: "user".into(), ..Default::default() };
    let revision = scribe.put(floe::store::record::Change::Track(row)).unwrap();
    let mut progress = scribe.progress();
    progress.wait_for(|progress| progress.durable_to >= revision).await.unwrap();
    let mut tape = deck.tape(id, 1).unwrap();
    hear(&mut tape, 0, 2_000, true);
    tape.finish().await.unwrap();
    assert!(running.stop(Duration::from_secs(10)).await);
    assert!(store.delete(Scope::tenant(""), id).await.unwrap().is_some(), "by another server");
    assert!(deck.folder(id).exists());

    // Nothing is recorded any more; what was deleted is erased all the same.
    let config = Config { audio: false, ..config };
    let (again, running) = Deck::start(&config, store.clone(), &node).unwrap();
    assert!(again.tape(id, 2).is_none());
    let erased = async {
        while again.folder(id).exists() || !store.to_erase(&node, 1).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), erased).await.expect("it is erased");
    assert!(running.stop(Duration::from_secs(10)).await);
    drop(scribe);
    recording.stop(Duration::from_secs(10)).await;
}
