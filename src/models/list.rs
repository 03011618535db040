//! `floe models list`: a table for somebody who has never heard of Whisper.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    Error, Shelf,
    ggml::{
        read,
        shape::{Dims, SIZES},
    },
    manifest::{Family, MULTILINGUAL, Model},
    shelf::Known,
    speed::{self, Measure, Source, Speed},
};

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    #[serde(flatten)]
    model: &'a Model,
    bytes: u64,
    here: bool,
    in_use: bool,
    /// Seconds of work on one core per second of speech.
    speed: Option<f64>,
    /// How that is known.
    speed_source: Option<Source>,
}

/// Every model with what is known of it. Measures what is here and was never measured; with `again`, all that is here and the
/// sizes that are not.
pub(super) fn rows<'a>(
    shelf: &'a Shelf,
    in_use: Option<&str>,
    again: bool,
    measure: Measure<'_>,
    mut note: impl FnMut(&str),
) -> Vec<Row<'a>> {
    let recognisers = || shelf.manifest().models().iter().filter(|it| it.family == Family::Whisper);
    let mut known: Vec<(&str, Speed)> = Vec::new();
    let mut shapes: Vec<(Dims, f64)> = Vec::new();
    for model in recognisers().filter(|model| shelf.has(model)) {
        match factor(shelf, model, again, measure) {
            Ok(factor) => {
                known.push((&model.name, Speed { factor, source: Source::Measured }));
                shapes.extend(shape(shelf, model).map(|dims| (dims, factor)));
            }
            Err(error) => note(&error.to_string()),
        }
    }
    let sizes = if known.is_empty() { &[] } else { SIZES };
    for (like, dims) in sizes {
        let factor = match speed::stand_in(shelf, like) {
            Some(factor) if !again => factor,
            None if !again => continue,
            _ => match speed::measure_stand_in(shelf, like, measure) {
                Ok(factor) => factor,
                Err(error) => {
                    note(&error.to_string());
                    continue;
                }
            },
        };
        shapes.push((*dims, factor));
        let alike =
            recognisers().filter(|it| !is_variant(it) && speed::size(it).is_some_and(|(name, _)| name == *like));
        known.extend(alike.map(|it| (it.name.as_str(), Speed { factor, source: Source::StandIn })));
    }
    let row = |model: &'a Model| {
        let speed = known.iter().find(|(name, _)| *name == model.name).map(|(_, speed)| *speed);
        let speed = speed.or_else(|| speed::estimate(model, &shapes));
        Row {
            model,
            bytes: model.bytes(),
            here: shelf.has(model),
            in_use: in_use == Some(model.name.as_str()),
            speed: speed.map(|it| it.factor),
            speed_source: speed.map(|it| it.source),
        }
    };
    shelf.manifest().models().iter().map(row).collect()
}

/// The shape of a model that is here.
fn shape(shelf: &Shelf, model: &Model) -> Option<Dims> {
    speed::dims(model).or_else(|| {
        // The bundled one's name says nothing; its file is small.
        let bytes = std::fs::read(shelf.path(model.main_file())).ok()?;
        Some(read::Model::read(&bytes).ok()?.dims)
    })
}

fn factor(shelf: &Shelf, model: &Model, again: bool, measure: Measure<'_>) -> Result<f64, Error> {
    let path = shelf.path(model.main_file());
    if again {
        let factor = measure(&path)?;
        shelf.note_speed(&speed::processor(), &shelf.hash(&path)?, factor);
        return Ok(factor);
    }
    speed::of_file(shelf, &path, measure)
}

/// Prints the table. Without `all`, variants that save memory at the cost of accuracy are left out unless they are here.
pub(super) fn print(shelf: &Shelf, rows: &[Row<'_>], all: bool, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Understanding speech (Whisper models; bigger ones make fewer mistakes and are slower):\n")?;
    writeln!(
        out,
        "  {:<14}{:<14}{:>8}  {:<14}{:<26}GOOD FOR",
        "NAME", "LANGUAGE", "SIZE", "HERE", "KEEPS UP WITH SPEECH?"
    )?;
    for row in rows.iter().filter(|row| row.model.family == Family::Whisper && shown(row, all)) {
        let model = row.model;
        let speed = row.speed.zip(row.speed_source).map(|(factor, source)| Speed { factor, source });
        writeln!(
            out,
            "{} {:<14}{:<14}{:>8}  {:<14}{:<26}{}",
            if row.in_use { '*' } else { ' ' },
            model.name,
            language(&model.language),
            size(row.bytes),
            place(row),
            speed.map_or("?".into(), keeping_up),
            model.good_for
        )?;
    }
    writeln!(out, "\nSpeaking (Piper voices; without one, espeak-ng speaks):\n")?;
    writeln!(out, "  {:<24}{:<12}{:>8}  {:<6}{:<44}LICENCE", "NAME", "LANGUAGE", "SIZE", "HERE", "GOOD FOR")?;
    for row in rows.iter().filter(|row| row.model.family == Family::Piper) {
        let model = row.model;
        let language = language(&model.language);
        writeln!(
            out,
            "  {:<24}{:<12}{:>8}  {:<6}{:<44}{}",
            model.name,
            language,
            size(row.bytes),
            place(row),
            model.good_for,
            model.licence
        )?;
    }
    strangers(shelf, out)?;
    footer(rows, all, out)
}

fn strangers(shelf: &Shelf, out: &mut impl Write) -> io::Result<()> {
    let paths = shelf.strangers();
    if !paths.is_empty() {
        writeln!(out, "\nOther files in {}:\n", shelf.folder().display())?;
    }
    for path in paths {
        let known = shelf.hash(&path).ok().and_then(|sha256| shelf.knows(&sha256));
        let what = match known {
            Some(Known::Trusted(why)) => format!("trusted by {why}; use it with stt.model={}", path.display()),
            Some(Known::Manifest(name)) => format!("is {name} under another name"),
            None => format!("unknown; `floe models fetch --from {} --trust` vouches for it", path.display()),
        };
        writeln!(out, "  {:<38}{what}", path.file_name().unwrap_or_default().to_string_lossy())?;
    }
    Ok(())
}

fn footer(rows: &[Row<'_>], all: bool, out: &mut impl Write) -> io::Result<()> {
    writeln!(out)?;
    if rows.iter().any(|row| row.in_use) {
        writeln!(out, "* is what a server started now would use (stt.model).")?;
    }
    let says = |source| rows.iter().any(|row| shown(row, all) && row.speed_source == Some(source));
    if says(Source::StandIn) {
        writeln!(out, "(stand-in): measured with the bundled model blown up to that size.")?;
    }
    if says(Source::Estimate) {
        writeln!(
            out,
            "\"perhaps\" is reckoned, not measured; `floe models list --measure` measures every size (some seconds)."
        )?;
    }
    writeln!(
        out,
        "Get one with `floe models fetch NAME`. With stt.model = \"auto\" the best one that keeps up is used by itself."
    )?;
    let hidden = rows.iter().filter(|row| !shown(row, all)).count();
    if hidden > 0 {
        writeln!(out, "{hidden} smaller variants (-q8_0, -q5_1) are not shown: floe models list --all")?;
    }
    if !rows.iter().any(|it| it.here && !it.model.bundled && it.model.family == Family::Whisper) {
        writeln!(out, "For English, base.en is a good start: floe models fetch base.en")?;
    }
    Ok(())
}

fn shown(row: &Row<'_>, all: bool) -> bool {
    all || row.here || !is_variant(row.model)
}

fn is_variant(model: &Model) -> bool {
    model.family == Family::Whisper && !model.bundled && model.name.contains("-q")
}

fn place(row: &Row<'_>) -> &'static str {
    match (row.here, row.model.bundled) {
        (true, true) => "yes (bundled)",
        (true, false) => "yes",
        (false, _) => "-",
    }
}

/// `yes, 12 times as fast`; what is not measured with that very file says so.
fn keeping_up(speed: Speed) -> String {
    let yes = if speed.keeps_up() { "yes" } else { "no" };
    let times = 1.0 / speed.factor;
    let times = if times >= 10.0 { format!("{times:.0}") } else { format!("{times:.1}") };
    match speed.source {
        Source::Measured => format!("{yes}, {times} times as fast"),
        Source::StandIn => format!("{yes}, {times} times (stand-in)"),
        Source::Estimate => format!("{yes}? perhaps {times} times"),
    }
}

fn size(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

fn language(code: &str) -> &str {
    match code {
        MULTILINGUAL => "99 languages",
        "en" => "English",
        "de" => "German",
        "fr" => "French",
        "es" => "Spanish",
        "it" => "Italian",
        "pt" => "Portuguese",
        "zh" => "Chinese",
        "ru" => "Russian",
        "pl" => "Polish",
        other => other,
    }
}
