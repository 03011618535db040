//! What holds for every engine: exactly one end, after which nothing comes, and dropping the stream stops the work.

use std::{sync::Arc, time::Duration};

use floe::agent::{self, ChatModel, Config, Delta, EngineName, scripted, scripted::Scripted};
use futures_util::StreamExt as _;

use super::{all, ask, text_of};
use crate::support::fake_llm::{FakeLlm, words};

async fn engines() -> (FakeLlm, Vec<Arc<dyn ChatModel>>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = FakeLlm::start([words("One two three.")]).await;
    let mut engines: Vec<Arc<dyn ChatModel>> = Vec::new();
    for name in [EngineName::Offline, EngineName::Scripted, EngineName::Openai] {
        let mut config = Config { engine: name, ..Config::default() };
        config.openai.remote = server.remote();
        config.scripted = scripted::Config { first_delta_ms: 5, word_ms: 1, words: 12 };
        engines.push(agent::engine(&config).unwrap());
    }
    (server, engines)
}

#[tokio::test]
async fn every_reply_ends_exactly_once() {
    let (_server, engines) = engines().await;
    for engine in engines {
        let deltas = all(&*engine, ask("tell me about travel")).await;
        let (last, before) = deltas.split_last().unwrap();
        assert!(matches!(last, Ok(Delta::Finished { .. })), "{last:?}");
        assert!(before.iter().all(|delta| matches!(delta, Ok(Delta::Text(_)))), "{before:?}");
        assert!(before.len() > 2, "words come one by one: {before:?}");
        assert!(!text_of(before).is_empty());
    }
}

#[tokio::test]
async fn a_stream_may_be_dropped_at_any_point() {
    let (_server, engines) = engines().await;
    for engine in engines {
        for polled in 0..4 {
            let mut stream = engine.generate(ask("hello"));
            for _ in 0..polled {
                let _ = stream.next().await;
            }
            drop(stream);
        }
        // And the engine still answers.
        assert!(!text_of(&all(&*engine, ask("hello")).await).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_scripted_engine_keeps_its_rhythm() {
    let engine = Scripted::new(scripted::Config { first_delta_ms: 200, word_ms: 20, words: 6 });
    #[expect(clippy::disallowed_methods, reason = "measures on tokio's paused clock, which only sleeping moves")]
    let start = tokio::time::Instant::now();
    let mut stream = engine.generate(ask("hello"));
    assert_eq!(stream.next().await.unwrap().unwrap(), Delta::Text("Sure,".into()));
    assert_eq!(start.elapsed(), Duration::from_millis(200));
    let rest: Vec<_> = stream.collect().await;
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    assert_eq!(rest.len(), 6);
    assert_eq!(
        rest[5].as_ref().unwrap(),
        &Delta::Finished { input_tokens: 1, output_tokens: 6, stop: floe::agent::Stop::Finished }
    );
}

#[test]
fn auto_means_openai_once_a_key_or_a_server_is_named() {
    let mut config = Config::default();
    assert_eq!(config.resolved_engine(), EngineName::Offline);
    config.openai.remote.api_key = "k".to_owned().into();
    assert_eq!(config.resolved_engine(), EngineName::Openai);
    let mut config = Config::default();
    config.openai.remote.base_url = "http://localhost:11434/v1".into();
    assert_eq!(config.resolved_engine(), EngineName::Openai);
    config.engine = EngineName::Scripted;
    assert_eq!(config.resolved_engine(), EngineName::Scripted);
}

#[test]
fn a_key_no_header_may_hold_is_refused_at_the_start() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config { engine: EngineName::Openai, ..Config::default() };
    config.openai.remote.api_key = "a\nb".to_owned().into();
    let error = agent::engine(&config).err().unwrap();
    assert!(!error.message.contains('\n'));
    assert_eq!(error.kind, agent::ErrorKind::Rejected);
}

#[test]
fn the_configuration_reads_and_refuses_unknown_keys() {
    let config: Config = toml::from_str(
        "engine = 'openai'\ntime_zone = 'Europe/Berlin'\n[openai]\nmodel = 'm'\n[openai.remote]\nbase_url = 'http://x/v1'",
    )
    .unwrap();
    assert_eq!((config.engine, &*config.openai.model), (EngineName::Openai, "m"));
    assert!(toml::from_str::<Config>("engin = 'openai'").is_err());
    assert!(toml::from_str::<Config>("engine = 'acme'").is_err());
}
