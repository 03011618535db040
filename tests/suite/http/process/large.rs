//! An hour of silence, and files that unfold to more than they may: what they cost.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use floe::{
    audio::{AudioChunk, ogg_opus::OggOpus},
    config::Config,
    stt,
};
use serde_json::json;

use super::{form, get, keeping, process, sent, talkers};

/// Silence in Opus, as small as it gets: packets of two bytes, which say that there are six frames of 20 ms, all of them empty.
fn silence(seconds: usize) -> Vec<u8> {
    let packet = AudioChunk { payload: Bytes::from_static(&[0x0b, 0x06]), samples: 5_760, clock_hz: 48_000 };
    let mut file = OggOpus::new(24_000, 120, 7).unwrap();
    let mut written = Vec::new();
    for _ in 0..seconds * 1_000 / 120 {
        written.extend_from_slice(&file.push(packet.clone()).unwrap());
    }
    written.extend_from_slice(&file.finish().unwrap());
    written
}

/// The most memory that this process has had since [`forget_peak`], in kilobytes.
fn peak_kb() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[tokio::test]
async fn an_hour_of_silence_costs_no_recognition_and_little_memory() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut engines = talkers();
    engines.stt = Arc::new(stt::scripted::Scripted::with(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok("a ghost".into())
    }));
    let dir = tempfile::tempdir().unwrap();
    let server = keeping(&dir, Config::default(), engines).await;
    let file = silence(3_590);
    forget_peak();
    let before_kb = peak_kb();
    let (status, _, told) = sent(process(&server, "").multipart(form(file, &[]))).await;
    assert_eq!((status, &told["text"], &told["turns"]), (200, &json!(""), &json!([])), "{told}");
    assert!(told["audio_ms"].as_u64().unwrap() > 3_500_000, "{told}");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "silence is not recognised");
    // Its samples would be 230 MB.
    let grown_kb = peak_kb() - before_kb;
    assert!(grown_kb < 60_000, "{grown_kb} kB");
}

#[tokio::test]
async fn a_file_that_unfolds_is_refused_before_anybody_hears_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = keeping(&dir, Config::default(), talkers()).await;
    let file = silence(12 * 3_600);
    assert!(file.len() < 4 << 20, "{} bytes", file.len());
    forget_peak();
    let before_kb = peak_kb();
    let (status, _, told) = sent(process(&server, "").multipart(form(file, &[]))).await;
    assert_eq!((status, &told["code"]), (413, &json!("audio_file_too_long")), "{told}");
    let grown_kb = peak_kb() - before_kb;
    assert!(grown_kb < 60_000, "{grown_kb} kB");
    assert_eq!(get(&server, "/api/v1/conversations").await["data"], json!([]));
}
