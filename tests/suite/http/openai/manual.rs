//! Row 40 on a real socket: clients that find the turns themselves are listened to from their clear to their commit, to the
//! millisecond.

use std::sync::Arc;

use floe::{
    audio::RATE_HZ,
    config::Config,
    session::Engines,
    stt::{Error, Feed, Options, SpeechToText, Update},
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde_json::json;
use tokio::sync::mpsc;

use super::{Client, talk};
use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
};

/// Says how many milliseconds it was given, how many of them were silent before the first sound, and how many were loud.
struct Meter;

impl SpeechToText for Meter {
    fn transcribe(&self, mut feed: mpsc::Receiver<Feed>, _: Options) -> BoxStream<'static, Result<Update, Error>> {
        let measured = async move {
            let (mut start, mut samples) = (None, Vec::new());
            while let Some(fed) = feed.recv().await {
                match fed {
                    Feed::Frame(frame) => {
                        start.get_or_insert(frame.end.0 - frame.samples.len() as u64);
                        samples.extend_from_slice(&frame.samples);
                    }
                    Feed::Finish(at) => {
                        let length = usize::try_from(at.0 - start.unwrap_or(at.0)).unwrap_or(usize::MAX);
                        samples.truncate(length);
                        let text = measure(&samples).into();
                        return Some(Ok(Update::Final { at, text, language: "en".into(), confidence: 1.0 }));
                    }
                }
            }
            None
        };
        stream::once(measured).filter_map(std::future::ready).boxed()
    }
}

fn measure(samples: &[f32]) -> String {
    let loud: Vec<bool> =
        samples.chunks(RATE_HZ as usize / 1_000).map(|ms| ms.iter().any(|it| it.abs() > 0.05)).collect();
    let silent = loud.iter().position(|loud| *loud).unwrap_or(loud.len());
    format!("{} {silent} {}", samples.len() * 1_000 / RATE_HZ as usize, loud.iter().filter(|loud| **loud).count())
}

async fn heard(client: &mut Client) -> [u64; 3] {
    client.send(json!({ "type": "input_audio_buffer.commit" })).await;
    let completed = client.until("conversation.item.input_audio_transcription.completed").await;
    let text = completed["transcript"].as_str().unwrap();
    let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[tokio::test]
async fn row_40_from_the_clear_to_the_commit_and_no_more() {
    let engines = Engines { stt: Arc::new(Meter), ..engines(&[], rhythm(1, 1, 1)) };
    let server = Server::start(Config::default(), engines).await;
    let (mut client, _) = talk(&server).await;
    let input = json!({ "turn_detection": null, "transcription": { "model": "any" } });
    client
        .send(json!({ "type": "session.update", "session": { "type": "realtime", "audio": { "input": input } } }))
        .await;
    // As pipecat does: the beginning of the turn is sent, cleared, and sent again as a pre-roll.
    for before in [5, 777, 1_003] {
        client.append(true, before).await;
        client.send(json!({ "type": "input_audio_buffer.clear" })).await;
        client.append(false, 301).await;
        client.append(true, 502).await;
        let [length, silent, loud] = heard(&mut client).await;
        assert!(length.abs_diff(803) <= 1, "{length} ms after {before}");
        assert!(silent.abs_diff(301) <= 4, "{silent} ms of silence after {before}: what was cleared is heard");
        assert!(loud.abs_diff(502) <= 4, "{loud} ms of sound after {before}");
    }
    // Turns that follow each other share nothing, and nothing is lost between them.
    for loud in [true, false, true] {
        client.append(loud, 203).await;
        let [length, _, sound] = heard(&mut client).await;
        assert!(length.abs_diff(203) <= 1, "{length} ms");
        assert!(sound.abs_diff(if loud { 203 } else { 0 }) <= 4, "{sound} ms of sound");
    }
}
