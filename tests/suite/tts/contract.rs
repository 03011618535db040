//! What every engine promises, whichever it is.

use std::time::Duration;

use floe::tts::{Config, Engine, Segment, engine};
use futures_util::{StreamExt as _, future::join_all};

use super::{Shared, joined, level, openai::Server, seconds, segment, spoken};

/// Every engine as the server builds it: with the cache and the speakable text.
async fn engines() -> Vec<(&'static str, Shared, Server)> {
    let mut all = Vec::new();
    let kinds = [
        ("espeak", Engine::Espeak),
        ("openai", Engine::Openai),
        ("scripted", Engine::Scripted),
        #[cfg(feature = "piper")]
        ("piper", Engine::Piper),
        #[cfg(feature = "piper")]
        ("auto", Engine::Auto),
    ];
    // Read when the engine is made, and not needed after that.
    #[cfg(feature = "piper")]
    let folder = super::piper::folder(1);
    for (name, kind) in kinds {
        let server = Server::start().await;
        let config = Config {
            engine: kind,
            openai: server.config(),
            #[cfg(feature = "piper")]
            piper: super::piper::config(folder.path(), floe::tts::piper::Runtime::Rten),
            ..Config::default()
        };
        all.push((name, engine(&config).unwrap(), server));
    }
    all
}

#[tokio::test]
async fn words_become_sound_of_one_rate_in_small_pieces() {
    for (name, engine, _server) in engines().await {
        let pieces = spoken(&*engine, segment("Your timer for ten minutes is set.")).await.unwrap();
        let rate_hz = pieces[0].rate_hz;
        assert!(pieces.iter().all(|piece| piece.rate_hz == rate_hz && !piece.data.is_empty()), "{name}");
        assert!(pieces.iter().all(|piece| piece.data.len() <= rate_hz as usize / 8), "{name}: at most 125 ms each");
        assert!((0.5..6.0).contains(&seconds(&pieces)), "{name}: {} s", seconds(&pieces));
        let samples = joined(&pieces);
        assert!(level(&samples) > 0.01, "{name}: it can be heard");
        assert!(samples.iter().all(|s| s.abs() <= 1.0), "{name}");
    }
}

#[tokio::test]
async fn impossible_speeds_are_refused() {
    for (name, engine, server) in engines().await {
        for speed in [0.0, -1.0, 0.2, 4.1, f32::NAN, f32::INFINITY] {
            let error = spoken(&*engine, Segment { speed, ..segment("Hello.") }).await.unwrap_err();
            assert_eq!(error.kind, floe::engine::ErrorKind::Rejected, "{name}: {speed}");
        }
        assert_eq!(server.requests(), 0, "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_an_empty_stream() {
    for (name, engine, server) in engines().await {
        for text in ["", " \n\t", "🎉🎉", "👩‍👩‍👧 ✅", "***", "---", "\0\u{1}\u{7f}", "…", "```\nlet x = 1;\n```", "<br>"]
        {
            assert!(spoken(&*engine, segment(text)).await.unwrap().is_empty(), "{name}: {text:?}");
        }
        assert_eq!(server.requests(), 0, "{name}: nobody was asked to say nothing");
    }
}

#[tokio::test]
async fn hostile_text_is_spoken_or_refused_but_harms_nothing() {
    let long = "word ".repeat(2_000);
    let texts = [
        "-v de --stdin -w /tmp/floe-owned.wav",
        "--help",
        "<speak><break time='60s'/>hello</speak>",
        "a < b && c > d",
        "hello [[h@loU]] [[[[x]]]]",
        "\u{1}50P\u{1}200S hello\0 there",
        "\u{202e}hello\u{feff}",
        "'; rm -rf / #",
        "$(reboot) `reboot`",
        "[x](y",
        "9999999999999999999999999999999999999999",
        &long,
    ];
    for (name, engine, _server) in engines().await {
        for text in texts {
            match spoken(&*engine, segment(text)).await {
                Ok(pieces) => assert!(seconds(&pieces) < 1_000.0, "{name}: {text:?}"),
                Err(error) => assert!(!error.kind.is_retryable(), "{name}: {text:?}: {error}"),
            }
        }
        let pieces = spoken(&*engine, segment("Still here.")).await.unwrap();
        assert!(seconds(&pieces) > 0.2, "{name} still speaks");
    }
    assert!(!std::path::Path::new("/tmp/floe-owned.wav").exists());
}

#[tokio::test]
async fn many_segments_at_once_all_arrive() {
    for (name, engine, _server) in engines().await {
        let all = (0..24).map(|n| {
            let engine = engine.clone();
            async move { spoken(&*engine, segment(&format!("This is segment number {n}."))).await }
        });
        for pieces in join_all(all).await {
            assert!(seconds(&pieces.unwrap()) > 0.3, "{name}");
        }
    }
}

#[tokio::test]
async fn a_dropped_stream_leaves_the_engine_whole() {
    for (name, engine, _server) in engines().await {
        for _ in 0..10 {
            let mut stream = engine.synthesize(segment("This one is given up before it has really begun."));
            assert!(stream.next().await.unwrap().is_ok(), "{name}");
            drop(stream);
            drop(engine.synthesize(segment("This one is never asked for.")));
        }
        let pieces = tokio::time::timeout(Duration::from_secs(20), spoken(&*engine, segment("All is well."))).await;
        assert!(seconds(&pieces.unwrap().unwrap()) > 0.2, "{name}");
    }
}

#[tokio::test]
async fn the_cache_gives_the_same_samples_again() {
    for (name, engine, server) in engines().await {
        let first = joined(&spoken(&*engine, segment("Good morning.")).await.unwrap());
        let asked = server.requests();
        let second = joined(&spoken(&*engine, segment("**Good** morning. 👋")).await.unwrap());
        assert_eq!(first, second, "{name}");
        assert_eq!(server.requests(), asked, "{name}: the same words, whatever they looked like");
    }
}

#[tokio::test]
async fn numbers_are_said_in_english_only() {
    let server = Server::start().await;
    let config = Config { engine: Engine::Openai, openai: server.config(), ..Config::default() };
    let engine = engine(&config).unwrap();
    for (language, text) in [("", "in nineteen eighty-four"), ("en-GB", "in nineteen eighty-four"), ("de", "in 1984")] {
        let segment = Segment { language: language.into(), ..segment("in 1984") };
        spoken(&*engine, segment).await.unwrap();
        assert_eq!(server.last_request()["input"], text);
    }
}

#[test]
fn the_configuration_knows_its_keys() {
    let config: Config = toml::from_str("engine = \"scripted\"\n[scripted]\nchar_ms = 10\n").unwrap();
    assert_eq!((config.engine, config.scripted.char_ms), (Engine::Scripted, 10));
    for wrong in ["voice = \"x\"", "engine = \"festival\"", "[espeak]\nspeed = 1"] {
        assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
    }
}
