//! Every metric, on one page. Base units, no ids as labels.

use std::{sync::OnceLock, time::Duration};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::conversation::{Event, Status};

/// Upper bounds in seconds of every latency histogram: what a voice conversation notices.
const BUCKETS_S: &[f64] = &[0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts recording; later calls change nothing. `None` if another recorder is installed in this process.
pub fn start() -> Option<&'static PrometheusHandle> {
    HANDLE.get_or_init(install).as_ref()
}

fn install() -> Option<PrometheusHandle> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS_S).ok()?;
    let handle = builder.install_recorder().ok()?;
    describe_gauge!("voice_sessions_active", "Sessions now");
    describe_gauge!("voice_asr_predicted_wait_seconds", Unit::Seconds, "Wait of a transcript asked for now");
    describe_counter!("voice_sessions_total", "Sessions by how they ended");
    describe_counter!("voice_peers_total", "Clients lost, come back, or gone on with a stored conversation, by what");
    describe_counter!("voice_refused_total", "Sessions refused before they began, by reason");
    describe_histogram!("voice_session_duration_seconds", Unit::Seconds, "Length of a session");
    describe_counter!("voice_turns_total", "User turns by outcome");
    describe_counter!("voice_responses_total", "Replies by how they ended");
    describe_counter!("voice_interruptions_total", "Replies the user talked over");
    describe_histogram!("voice_endpointing_delay_seconds", Unit::Seconds, "End of speech until the turn was over");
    describe_histogram!("voice_asr_final_seconds", Unit::Seconds, "End of speech until the final transcript");
    describe_histogram!("voice_llm_first_token_seconds", Unit::Seconds, "End of speech until the agent's first word");
    describe_histogram!("voice_tts_first_audio_seconds", Unit::Seconds, "End of speech until the voice's first sound");
    describe_histogram!("voice_response_latency_seconds", Unit::Seconds, "End of speech until first audio out");
    describe_counter!("voice_ws_close_total", "Connections the server closed, by code");
    describe_counter!("voice_protocol_errors_total", "Wrong messages, by code");
    describe_counter!("voice_slow_consumers_total", "Clients that did not read");
    describe_gauge!("voice_store_up", "Whether the database took the last write");
    describe_gauge!("voice_store_spooled_records", "Records that wait in the spool for the database");
    describe_counter!("voice_store_records_total", "Records by what became of them");
    describe_counter!("voice_recordings_total", "Files of sound by whether anything is missing in them");
    describe_gauge!("voice_shared_up", "Whether Redis answered when it was last asked");
    describe_counter!("voice_shared_calls_total", "Calls of Redis by what for and what became of them");
    describe_counter!("voice_shared_fallbacks_total", "Answers from this process' memory because Redis was away");
    describe_counter!("voice_shared_dropped_total", "What was not written to Redis, by kind");
    describe_counter!("voice_shared_resets_total", "Times that Redis had lost everything");
    describe_counter!("voice_shared_taken_over_total", "Sessions that another node went on with");
    describe_counter!("voice_shared_phrases_total", "Phrases looked for in Redis, by whether they were there");
    describe_counter!("voice_jobs_total", "Attempts at background jobs by kind and what became of them");
    describe_counter!("voice_rate_limited_total", "Requests refused because their caller asked too much");
    Some(handle)
}

/// A session began or ended.
pub(crate) fn sessions(now: usize) {
    gauge!("voice_sessions_active").set(u32::try_from(now).unwrap_or(u32::MAX));
}

/// How long a final transcript asked for now would wait for a worker.
pub(crate) fn predicted_wait(wait_ms: u64) {
    gauge!("voice_asr_predicted_wait_seconds").set(Duration::from_millis(wait_ms).as_secs_f64());
}

/// A session ended.
pub(crate) fn session_over(outcome: &'static str, length: Duration) {
    counter!("voice_sessions_total", "outcome" => outcome).increment(1);
    histogram!("voice_session_duration_seconds").record(length);
}

/// Nobody was let in.
pub(crate) fn refused(reason: &'static str) {
    counter!("voice_refused_total", "reason" => reason).increment(1);
}

/// A client lost its socket (`lost`), came back and missed nothing (`resumed`) or too much (`back`), or went on with a stored
/// conversation (`went_on`).
pub(crate) fn peer(what: &'static str) {
    counter!("voice_peers_total", "what" => what).increment(1);
}

/// A client did not read.
pub(crate) fn slow_consumer() {
    counter!("voice_slow_consumers_total").increment(1);
}

/// The server closed a connection.
pub(crate) fn closed(code: u16) {
    counter!("voice_ws_close_total", "code" => code.to_string()).increment(1);
}

/// A message was wrong.
pub(crate) fn protocol_error(code: &'static str) {
    counter!("voice_protocol_errors_total", "code" => code).increment(1);
}

/// The database took a write, or did not.
pub(crate) fn store_up(is_up: bool) {
    gauge!("voice_store_up").set(f64::from(u8::from(is_up)));
}

/// Records now in the spool.
pub(crate) fn spooled(records: u64) {
    gauge!("voice_store_spooled_records").set(f64::from(u32::try_from(records).unwrap_or(u32::MAX)));
}

/// What became of records.
pub(crate) fn records(outcome: &'static str, records: usize) {
    counter!("voice_store_records_total", "outcome" => outcome).increment(records as u64);
}

/// A file of sound is over.
pub(crate) fn recorded(is_complete: bool) {
    let outcome = if is_complete { "complete" } else { "incomplete" };
    counter!("voice_recordings_total", "outcome" => outcome).increment(1);
}

/// Redis answers, or does not any more.
pub(crate) fn shared_up(is_up: bool) {
    gauge!("voice_shared_up").set(f64::from(u8::from(is_up)));
}

/// What became of one call of Redis.
pub(crate) fn shared_call(what: &'static str, outcome: &'static str) {
    counter!("voice_shared_calls_total", "what" => what, "outcome" => outcome).increment(1);
}

/// Something was answered from this process' memory alone.
pub(crate) fn shared_fallback(what: &'static str) {
    counter!("voice_shared_fallbacks_total", "what" => what).increment(1);
}

/// Something is not written to Redis.
pub(crate) fn shared_dropped(what: &'static str) {
    counter!("voice_shared_dropped_total", "what" => what).increment(1);
}

/// Redis was flushed, or began empty.
pub(crate) fn shared_reset() {
    counter!("voice_shared_resets_total").increment(1);
}

/// Another node has a session that was ours.
pub(crate) fn shared_taken_over() {
    counter!("voice_shared_taken_over_total").increment(1);
}

/// A phrase was looked for.
pub(crate) fn shared_phrase(is_hit: bool) {
    counter!("voice_shared_phrases_total", "outcome" => if is_hit { "hit" } else { "miss" }).increment(1);
}

/// What became of an attempt at a job.
pub(crate) fn job(kind: &str, outcome: &'static str) {
    counter!("voice_jobs_total", "kind" => kind.to_owned(), "outcome" => outcome).increment(1);
}

/// Somebody asked too much.
pub(crate) fn rate_limited() {
    counter!("voice_rate_limited_total").increment(1);
}

/// What the numbers make of one event.
pub(crate) fn event(event: &Event) {
    match event {
        Event::TranscriptFinal { text, .. } => {
            let outcome = if text.is_empty() { "empty" } else { "words" };
            counter!("voice_turns_total", "outcome" => outcome).increment(1);
        }
        Event::TranscriptFailed { .. } => counter!("voice_turns_total", "outcome" => "failed").increment(1),
        Event::ResponseDone { status, timings, .. } => {
            let outcome = match status {
                Status::Completed => "completed",
                Status::Interrupted => "interrupted",
                Status::Cancelled => "cancelled",
                Status::Incomplete(_) => "incomplete",
                Status::Failed(_) => "failed",
            };
            counter!("voice_responses_total", "outcome" => outcome).increment(1);
            if matches!(status, Status::Interrupted) {
                counter!("voice_interruptions_total").increment(1);
            }
            let stages = [
                ("voice_endpointing_delay_seconds", timings.endpoint),
                ("voice_asr_final_seconds", timings.transcript),
                ("voice_llm_first_token_seconds", timings.first_text),
                ("voice_tts_first_audio_seconds", timings.first_audio),
                ("voice_response_latency_seconds", timings.first_sent),
            ];
            for (name, duration) in stages {
                if let Some(duration) = duration {
                    histogram!(name).record(duration);
                }
            }
        }
        _ => {}
    }
}
