//! Turn detection: OpenAI's fields in the words of our endpointing, and back.
//!
//! * `threshold` 0…1 is bent so that OpenAI's default, 0.5, is this server's own default, and both ends stay the ends.
//! * `prefix_padding_ms` is the pre-roll (at most 1,000), `silence_duration_ms` the pause (100 to 5,000).
//! * `semantic_vad` has no model of its own here: its eagerness chooses a pause, far below OpenAI's bounds of 8, 4 and 2 s.

use std::time::Duration;

use super::{
    error::{ErrorObject, invalid_value},
    wire::session::{Eagerness, TurnDetection, TurnDetectionPatch},
};
use crate::conversation::{Settings, SettingsPatch, TurnMode};

/// OpenAI's default, which stands for ours.
const THRESHOLD: f64 = 0.5;

/// The longest pre-roll.
const PADDING_MS_MAX: f64 = 1_000.0;

/// The shortest and the longest pause that ends a turn.
const SILENCE_MS: (f64, f64) = (100.0, 5_000.0);

/// What `idle_timeout_ms` may be.
const IDLE_MS: std::ops::RangeInclusive<f64> = 5_000.0..=30_000.0;

/// The pause that ends a turn.
pub const fn patience(eagerness: Eagerness) -> Duration {
    Duration::from_millis(match eagerness {
        Eagerness::Low => 1_500,
        Eagerness::Medium | Eagerness::Auto => 800,
        Eagerness::High => 400,
    })
}

/// What a server with these settings does for a client that says nothing.
pub(super) fn default(base: &Settings) -> TurnDetection {
    TurnDetection::ServerVad {
        threshold: THRESHOLD,
        prefix_padding_ms: ms(base.preroll),
        silence_duration_ms: ms(base.silence),
        create_response: true,
        interrupt_response: true,
        idle_timeout_ms: None,
    }
}

/// Turn detection with a change applied; a change of type begins with that type's defaults.
pub(super) fn apply(
    patch: &TurnDetectionPatch,
    now: Option<TurnDetection>,
    base: &Settings,
    path: &str,
) -> Result<TurnDetection, ErrorObject> {
    let kind = match (patch.kind.as_deref(), now) {
        (Some(kind), _) => kind,
        (None, Some(TurnDetection::SemanticVad { .. })) => "semantic_vad",
        (None, _) => "server_vad",
    };
    let mut turn = match (kind, now) {
        ("server_vad", Some(turn @ TurnDetection::ServerVad { .. }))
        | ("semantic_vad", Some(turn @ TurnDetection::SemanticVad { .. })) => turn,
        ("server_vad", _) => default(base),
        ("semantic_vad", _) => {
            TurnDetection::SemanticVad { eagerness: Eagerness::Auto, create_response: true, interrupt_response: true }
        }
        _ => return Err(invalid_value(format!("{path}.type"), "Supported types are 'server_vad' and 'semantic_vad'.")),
    };
    match &mut turn {
        TurnDetection::ServerVad {
            threshold,
            prefix_padding_ms,
            silence_duration_ms,
            create_response,
            interrupt_response,
            idle_timeout_ms,
        } => {
            if let Some(wanted) = patch.threshold {
                if !(0.0..=1.0).contains(&wanted) {
                    return Err(invalid_value(format!("{path}.threshold"), "The threshold lies between 0 and 1."));
                }
                *threshold = wanted;
            }
            let range = (0.0, PADDING_MS_MAX);
            clamped(prefix_padding_ms, patch.prefix_padding_ms, range, path, "prefix_padding_ms")?;
            clamped(silence_duration_ms, patch.silence_duration_ms, SILENCE_MS, path, "silence_duration_ms")?;
            match patch.idle_timeout_ms {
                None => {}
                Some(None) => *idle_timeout_ms = None,
                Some(Some(wanted)) if IDLE_MS.contains(&wanted) => *idle_timeout_ms = Some(whole(wanted)),
                Some(Some(_)) => {
                    let message = "The timeout lies between 5000 and 30000, or is null.";
                    return Err(invalid_value(format!("{path}.idle_timeout_ms"), message));
                }
            }
            *create_response = patch.create_response.unwrap_or(*create_response);
            *interrupt_response = patch.interrupt_response.unwrap_or(*interrupt_response);
        }
        TurnDetection::SemanticVad { eagerness, create_response, interrupt_response } => {
            *eagerness = match patch.eagerness.as_deref() {
                None => *eagerness,
                Some("low") => Eagerness::Low,
                Some("medium") => Eagerness::Medium,
                Some("high") => Eagerness::High,
                Some("auto") => Eagerness::Auto,
                Some(_) => {
                    let message = "Eagerness is 'low', 'medium', 'high' or 'auto'.";
                    return Err(invalid_value(format!("{path}.eagerness"), message));
                }
            };
            *create_response = patch.create_response.unwrap_or(*create_response);
            *interrupt_response = patch.interrupt_response.unwrap_or(*interrupt_response);
        }
    }
    Ok(turn)
}

/// Writes turn detection into a patch of settings. `None`: turns are the client's.
pub(super) fn project(turn: Option<TurnDetection>, base: &Settings, patch: &mut SettingsPatch) {
    let (mode, replies, barge_in) = match turn {
        None => (TurnMode::Manual, false, true),
        Some(
            TurnDetection::ServerVad { create_response, interrupt_response, .. }
            | TurnDetection::SemanticVad { create_response, interrupt_response, .. },
        ) => (TurnMode::Auto, create_response, interrupt_response),
    };
    patch.turn_mode = Some(mode);
    patch.reply_automatically = Some(replies);
    patch.barge_in = Some(barge_in);
    patch.speech_threshold = Some(base.speech_threshold);
    patch.preroll = Some(base.preroll);
    patch.silence = Some(base.silence);
    patch.prompt_after = Some(None);
    match turn {
        Some(TurnDetection::ServerVad {
            threshold, prefix_padding_ms, silence_duration_ms, idle_timeout_ms, ..
        }) => {
            let ms = |ms: u32| Duration::from_millis(u64::from(ms));
            patch.speech_threshold = Some(bent(threshold, base.speech_threshold));
            patch.preroll = Some(ms(prefix_padding_ms));
            patch.silence = Some(ms(silence_duration_ms));
            patch.prompt_after = Some(idle_timeout_ms.map(ms));
        }
        Some(TurnDetection::SemanticVad { eagerness, .. }) => patch.silence = Some(patience(eagerness)),
        None => {}
    }
}

/// OpenAI's threshold on our scale: 0 and 1 stay, 0.5 becomes `ours`, straight lines between.
fn bent(threshold: f64, ours: f32) -> f32 {
    let ours = f64::from(ours);
    let bent = if threshold <= THRESHOLD {
        threshold / THRESHOLD * ours
    } else {
        ours + (threshold - THRESHOLD) / (1.0 - THRESHOLD) * (1.0 - ours)
    };
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
    let bent = bent as f32;
    bent
}

fn clamped(
    field: &mut u32,
    wanted: Option<f64>,
    (min, max): (f64, f64),
    path: &str,
    name: &str,
) -> Result<(), ErrorObject> {
    match wanted {
        None => Ok(()),
        Some(wanted) if wanted >= 0.0 => {
            *field = whole(wanted.clamp(min, max));
            Ok(())
        }
        Some(_) => Err(invalid_value(format!("{path}.{name}"), "Milliseconds are not negative.")),
    }
}

fn whole(ms: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked or clamped before; saturates")]
    let whole = ms.round() as u32;
    whole
}

fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_threshold_is_ours_and_the_ends_are_the_ends() {
        let close = |threshold, expected: f32| (bent(threshold, 0.6) - expected).abs() < 1e-6;
        assert!(close(0.0, 0.0) && close(0.25, 0.3) && close(0.5, 0.6) && close(0.75, 0.8) && close(1.0, 1.0));
    }
}
