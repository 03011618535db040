//! Changes of a session: what may change, and to what.

use serde_json::Value;

use super::{
    Kind,
    config::{Modality, SessionConfig},
    detection,
    error::{ErrorObject, invalid_value},
    formats,
    wire::session::{
        InputPatch, NoiseReduction, NoiseReductionPatch, OutputPatch, SessionPatch, Tool, ToolChoice, ToolPatch,
        Transcription, TranscriptionPatch, TurnDetectionPatch,
    },
};

/// Tools that a session may have.
pub const TOOLS_MAX: usize = 128;

/// Applies a change field by field; after an error `session` is to be thrown away.
pub(super) fn apply(session: &mut SessionConfig, patch: SessionPatch) -> Result<(), ErrorObject> {
    match (patch.kind.as_deref(), session.kind) {
        (None, _) | (Some("realtime"), Kind::Realtime) | (Some("transcription"), Kind::Transcription) => {}
        (Some("realtime" | "transcription"), _) => {
            return Err(invalid_value("session.type", "The type of a session cannot be changed."));
        }
        (Some(_), _) => return Err(invalid_value("session.type", "The type is 'realtime' or 'transcription'.")),
    }
    if patch.prompt.is_some_and(|prompt| !prompt.is_null()) {
        return Err(no_prompts("session.prompt"));
    }
    for (name, modalities) in [("output_modalities", patch.output_modalities), ("modalities", patch.modalities)] {
        if let Some(modalities) = modalities {
            session.modality = modality(&modalities, &format!("session.{name}"))?;
        }
    }
    if let Some(instructions) = patch.instructions {
        session.instructions = instructions;
    }
    if let Some(tools) = patch.tools {
        session.tools = declared(tools, "session.tools")?;
    }
    if let Some(choice) = patch.tool_choice {
        session.tool_choice = chosen(choice, "session.tool_choice")?;
    }
    session.max_output_tokens =
        patch.max_output_tokens.or(patch.max_response_output_tokens).unwrap_or(session.max_output_tokens);
    session.truncation = patch.truncation.filter(|truncation| !truncation.is_null()).unwrap_or_else(|| {
        // `null` and absence alike leave it.
        std::mem::take(&mut session.truncation)
    });
    if let Some(tracing) = patch.tracing {
        session.tracing = tracing;
    }
    if let Some(include) = patch.include {
        session.include = include;
    }
    let audio = patch.audio.unwrap_or_default();
    input(session, audio.input.unwrap_or_default())?;
    output(session, audio.output.unwrap_or_default(), "session.audio.output")?;

    // The beta's places.
    if let Some(format) = patch.input_audio_format {
        session.input = formats::accept_flat(&format, session.input, "session.input_audio_format")?;
    }
    if let Some(format) = patch.output_audio_format {
        session.output = formats::accept_flat(&format, session.output, "session.output_audio_format")?;
    }
    transcription(session, patch.input_audio_transcription);
    noise_reduction(session, patch.input_audio_noise_reduction, "session.input_audio_noise_reduction")?;
    turn_detection(session, patch.turn_detection, "session.turn_detection")?;
    output(session, OutputPatch { format: None, voice: patch.voice, speed: patch.speed }, "session")
}

fn input(session: &mut SessionConfig, patch: InputPatch) -> Result<(), ErrorObject> {
    if let Some(format) = patch.format {
        session.input = formats::accept(&format, session.input, "session.audio.input.format")?;
    }
    transcription(session, patch.transcription);
    noise_reduction(session, patch.noise_reduction, "session.audio.input.noise_reduction")?;
    turn_detection(session, patch.turn_detection, "session.audio.input.turn_detection")
}

fn output(session: &mut SessionConfig, patch: OutputPatch, path: &str) -> Result<(), ErrorObject> {
    if let Some(format) = patch.format {
        session.output = formats::accept(&format, session.output, &format!("{path}.format"))?;
    }
    if let Some(voice) = patch.voice {
        session.voice = voice.into_name();
    }
    match patch.speed {
        Some(speed) if (0.25..=1.5).contains(&speed) => session.speed = speed,
        Some(_) => return Err(invalid_value(format!("{path}.speed"), "Speed lies between 0.25 and 1.5.")),
        None => {}
    }
    Ok(())
}

#[expect(clippy::option_option, reason = "absent, null, there")]
fn transcription(session: &mut SessionConfig, patch: Option<Option<TranscriptionPatch>>) {
    match patch {
        None => {}
        Some(None) => session.transcription = None,
        Some(Some(patch)) => {
            let now = session.transcription.take().unwrap_or_default();
            session.transcription = Some(Transcription {
                model: patch.model.or(now.model),
                language: patch.language.filter(|language| !language.is_empty()).or(now.language),
                prompt: patch.prompt.or(now.prompt),
            });
        }
    }
}

#[expect(clippy::option_option, reason = "absent, null, there")]
fn noise_reduction(
    session: &mut SessionConfig,
    patch: Option<Option<NoiseReductionPatch>>,
    path: &str,
) -> Result<(), ErrorObject> {
    session.noise_reduction = match patch {
        None => return Ok(()),
        Some(None) => None,
        Some(Some(NoiseReductionPatch { kind: Some(kind) })) if matches!(kind.as_str(), "near_field" | "far_field") => {
            Some(NoiseReduction { kind })
        }
        Some(Some(_)) => {
            return Err(invalid_value(format!("{path}.type"), "The type is 'near_field' or 'far_field'."));
        }
    };
    Ok(())
}

#[expect(clippy::option_option, reason = "absent, null, there")]
fn turn_detection(
    session: &mut SessionConfig,
    patch: Option<Option<TurnDetectionPatch>>,
    path: &str,
) -> Result<(), ErrorObject> {
    session.turn_detection = match patch {
        None => return Ok(()),
        Some(None) => None,
        // The beta's clients switch it off like this, too.
        Some(Some(patch)) if patch.kind.as_deref() == Some("none") => None,
        Some(Some(patch)) => Some(detection::apply(&patch, session.turn_detection, &session.base, path)?),
    };
    Ok(())
}

/// The one thing that replies come in: speech includes its words.
pub(super) fn modality(modalities: &[String], path: &str) -> Result<Modality, ErrorObject> {
    if modalities.is_empty() || !modalities.iter().all(|modality| matches!(modality.as_str(), "audio" | "text")) {
        return Err(invalid_value(path, "Supported combinations are ['text'] and ['audio']."));
    }
    let speaks = modalities.iter().any(|modality| modality == "audio");
    Ok(if speaks { Modality::Audio } else { Modality::Text })
}

/// Tools as declared, checked.
pub(super) fn declared(tools: Vec<ToolPatch>, path: &str) -> Result<Vec<Tool>, ErrorObject> {
    if tools.len() > TOOLS_MAX {
        return Err(invalid_value(path, format!("A session has at most {TOOLS_MAX} tools.")));
    }
    let mut checked: Vec<Tool> = Vec::with_capacity(tools.len());
    for (index, tool) in tools.into_iter().enumerate() {
        match tool.kind.as_deref() {
            None | Some("function") => {}
            Some("mcp") => {
                let message = "MCP tools are not supported. Declare functions, and call the MCP server yourself.";
                return Err(ErrorObject::invalid("mcp_not_supported", message).about(path));
            }
            Some(_) => return Err(invalid_value(format!("{path}[{index}].type"), "The type of a tool is 'function'.")),
        }
        let name = tool.name.unwrap_or_default();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(letters) {
            return Err(invalid_value(format!("{path}[{index}].name"), "A name has 1 to 64 of A-Z a-z 0-9 _ -."));
        }
        if checked.iter().any(|other| other.name == name) {
            return Err(invalid_value(format!("{path}[{index}].name"), "This name is there twice."));
        }
        checked.push(Tool { kind: "function", name, description: tool.description, parameters: tool.parameters });
    }
    Ok(checked)
}

/// A choice among tools, checked.
pub(super) fn chosen(choice: ToolChoice, path: &str) -> Result<ToolChoice, ErrorObject> {
    let is_known = match &choice {
        ToolChoice::Mode(mode) => matches!(mode.as_str(), "auto" | "none" | "required"),
        ToolChoice::Tool { kind, name } => kind == "function" && name.is_some(),
    };
    if is_known {
        return Ok(choice);
    }
    let message = "Supported are 'auto', 'none', 'required' and {\"type\": \"function\", \"name\": …}.";
    Err(invalid_value(path, message))
}

/// There is no store of prompts here.
pub(super) fn no_prompts(path: &str) -> ErrorObject {
    ErrorObject::invalid("prompt_not_supported", "Stored prompts are not supported. Send `instructions`.").about(path)
}

/// Whether a value of the client's own is small enough to be kept.
pub(super) fn metadata(metadata: &serde_json::Map<String, Value>, path: &str) -> Result<(), ErrorObject> {
    let fits = |(key, value): (&String, &Value)| {
        key.chars().count() <= 64 && value.as_str().is_some_and(|value| value.chars().count() <= 512)
    };
    if metadata.len() <= 16 && metadata.iter().all(fits) {
        return Ok(());
    }
    Err(invalid_value(path, "Metadata holds at most 16 strings of up to 512 characters, with keys of up to 64."))
}
