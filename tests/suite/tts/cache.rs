//! The cache around an engine.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use floe::{
    audio::Samples,
    engine::ErrorKind,
    tts::{
        Error, Segment, TextToSpeech,
        cache::Cache,
        phrases::{Key, Phrases},
        scripted::{Config, Scripted},
    },
};
use futures_util::{StreamExt as _, future::BoxFuture, stream, stream::BoxStream};

use super::{joined, segment, spoken};

/// Tones that count how often they are asked for; texts with "break" fail after the first piece.
struct Counted {
    tones: Scripted,
    asked: AtomicUsize,
}

impl TextToSpeech for Counted {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let broken = segment.text.contains("break");
        let tones = self.tones.synthesize(segment);
        if broken {
            let failure = stream::iter([Err(Error::new(ErrorKind::Broken, "as asked"))]);
            tones.take(1).chain(failure).boxed()
        } else {
            tones
        }
    }
}

fn cached(max_bytes: u64, longest_ms: u32) -> (Arc<Counted>, Cache) {
    let tones = Scripted::new(Config { char_ms: 10, rate_hz: 8_000, ..Config::default() }).unwrap();
    let engine = Arc::new(Counted { tones, asked: AtomicUsize::new(0) });
    (engine.clone(), Cache::new(engine, "tones", max_bytes, longest_ms))
}

#[tokio::test]
async fn a_phrase_is_made_once() {
    let (engine, cache) = cached(1 << 20, 10_000);
    let first = joined(&spoken(&cache, segment("One moment, please.")).await.unwrap());
    for _ in 0..5 {
        assert_eq!(joined(&spoken(&cache, segment("One moment, please.")).await.unwrap()), first);
    }
    assert_eq!(engine.asked.load(Ordering::Relaxed), 1);
    assert_eq!((cache.hits(), cache.misses(), cache.insertions()), (5, 1, 1));
}

#[tokio::test]
async fn voice_language_and_speed_tell_phrases_apart() {
    let (engine, cache) = cached(1 << 20, 10_000);
    let base = segment("Hello.");
    let voiced = Segment { voice: "a".into(), ..base.clone() };
    let foreign = Segment { language: "a".into(), ..base.clone() };
    let slow = Segment { speed: 0.5, ..base.clone() };
    for segment in [&base, &voiced, &foreign, &slow, &base, &voiced, &foreign, &slow] {
        spoken(&cache, segment.clone()).await.unwrap();
    }
    assert_eq!(engine.asked.load(Ordering::Relaxed), 4);
    let [normal, half] = [base, slow].map(|segment| spoken(&cache, segment));
    assert_eq!(joined(&normal.await.unwrap()).len() * 2, joined(&half.await.unwrap()).len());
}

#[tokio::test]
async fn only_what_came_to_its_end_is_kept() {
    let (engine, cache) = cached(1 << 20, 10_000);
    let text = "This is long enough for several pieces, which matters here.";
    for _ in 0..2 {
        let mut stream = cache.synthesize(segment(text));
        stream.next().await.unwrap().unwrap();
        drop(stream);
        assert!(spoken(&cache, segment("This will break in the middle.")).await.is_err());
    }
    assert_eq!(engine.asked.load(Ordering::Relaxed), 4);
    assert_eq!(cache.insertions(), 0);
}

#[tokio::test]
async fn long_segments_are_not_kept() {
    let (_, cache) = cached(1 << 20, 100);
    for (text, kept) in [("ten chars.", 1), ("eleven char", 1)] {
        spoken(&cache, segment(text)).await.unwrap();
        assert_eq!(cache.insertions(), kept, "{text}");
    }
}

#[tokio::test]
async fn two_at_once_leave_one_copy() {
    let (_, cache) = cached(1 << 20, 10_000);
    let (mut one, mut two) = (cache.synthesize(segment("Hello.")), cache.synthesize(segment("Hello.")));
    loop {
        let (a, b) = (one.next().await, two.next().await);
        assert_eq!(a.is_none(), b.is_none());
        if a.is_none() {
            break;
        }
    }
    assert_eq!((cache.misses(), cache.insertions()), (2, 1));
}

#[tokio::test]
async fn memory_is_bounded() {
    let (engine, cache) = cached(100_000, 10_000);
    // 16 kB each: six fit.
    let phrase = |n: usize| segment(&format!("phrase {n:03} {}", "x".repeat(39)));
    for n in 0..100 {
        spoken(&cache, phrase(n)).await.unwrap();
    }
    let before = engine.asked.load(Ordering::Relaxed);
    for n in 0..100 {
        spoken(&cache, phrase(n)).await.unwrap();
    }
    let again = engine.asked.load(Ordering::Relaxed) - before;
    assert!(again >= 60, "{again} of 100 had to be made again");
}

/// Where two caches meet.
#[derive(Default)]
struct Memory {
    phrases: Mutex<HashMap<Key, Bytes>>,
}

impl Phrases for Memory {
    fn find(&self, key: Key) -> BoxFuture<'static, Option<Bytes>> {
        let found = self.phrases.lock().unwrap().get(&key).cloned();
        Box::pin(async move { found })
    }

    fn keep(&self, key: Key, speech: Bytes) {
        self.phrases.lock().unwrap().insert(key, speech);
    }
}

#[tokio::test]
async fn what_one_node_said_twice_another_need_not_make() {
    let memory = Arc::new(Memory::default());
    let kept = || memory.phrases.lock().unwrap().len();
    let (first, one) = cached(1 << 20, 10_000);
    let (second, two) = cached(1 << 20, 10_000);
    one.share(memory.clone());
    two.share(memory.clone());
    let made = joined(&spoken(&one, segment("One moment, please.")).await.unwrap());
    assert_eq!(kept(), 0, "once may be a secret");
    for _ in 0..3 {
        spoken(&one, segment("One moment, please.")).await.unwrap();
    }
    assert_eq!(kept(), 1);
    let fetched = spoken(&two, segment("One moment, please.")).await.unwrap();
    assert_eq!((first.asked.load(Ordering::Relaxed), second.asked.load(Ordering::Relaxed)), (1, 0));
    let fetched = joined(&fetched);
    assert_eq!(made.len(), fetched.len());
    assert!(made.iter().zip(&fetched).all(|(one, other)| (one - other).abs() < 0.001));
    spoken(&two, segment("One moment, please.")).await.unwrap();
    assert_eq!((kept(), two.hits()), (1, 1), "from memory, and not shared again");
    spoken(&two, segment("Something else.")).await.unwrap();
    assert_eq!(second.asked.load(Ordering::Relaxed), 1, "what nobody has is made");
}

#[tokio::test]
async fn half_a_phrase_and_what_another_engine_says_is_not_shared() {
    let memory = Arc::new(Memory::default());
    let (_, one) = cached(1 << 20, 10_000);
    one.share(memory.clone());
    for _ in 0..3 {
        assert!(spoken(&one, segment("This will break.")).await.is_err());
        let mut half = one.synthesize(segment("A rather long phrase of which only the first piece is wanted."));
        half.next().await.unwrap().unwrap();
    }
    assert!(memory.phrases.lock().unwrap().is_empty());
    for _ in 0..2 {
        spoken(&one, segment("Hello.")).await.unwrap();
    }
    let (engine, other) = cached(1 << 20, 10_000);
    let other = other.identified("another voice");
    other.share(memory.clone());
    spoken(&other, segment("Hello.")).await.unwrap();
    assert_eq!(engine.asked.load(Ordering::Relaxed), 1);
    // Somebody wrote nonsense there: the engine speaks.
    memory.phrases.lock().unwrap().values_mut().for_each(|speech| *speech = Bytes::from_static(b"nonsense"));
    let (engine, third) = cached(1 << 20, 10_000);
    third.share(memory);
    assert!(!spoken(&third, segment("Hello.")).await.unwrap().is_empty());
    assert_eq!(engine.asked.load(Ordering::Relaxed), 1);
}
