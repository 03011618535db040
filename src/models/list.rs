//! `floe models list`: a table for somebody who has never heard of Whisper.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    Error, Shelf,
    ggml::shape::Dims,
    manifest::{Family, MULTILINGUAL, Model},
    shelf::Known,
    speed::{self, Measure, Speed},
};

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    #[serde(flatten)]
    model: &'a Model,
    bytes: u64,
    here: bool,
    in_use: bool,
    /// Seconds of work per second of speech.
    speed: Option<f64>,
    /// Whether that was measured here; otherwise it is reckoned from another model.
    speed_measured: bool,
}

/// Every model with what is known of it. Measures what is here and was never measured; with `again`, all that is here.
pub(super) fn rows<'a>(
    shelf: &'a Shelf,
    in_use: Option<&str>,
    again: bool,
    measure: Measure<'_>,
    mut note: impl FnMut(&str),
) -> Vec<Row<'a>> {
    let mut measured: Vec<(Dims, f64)> = Vec::new();
    let mut rows = Vec::new();
    for model in shelf.manifest().models() {
        let here = shelf.has(model);
        let mut speed = None;
        if here && model.family == Family::Whisper {
            match factor(shelf, model, again, measure) {
                Ok(factor) => {
                    speed = Some(Speed { factor, measured: true });
                    // The bundled model's shape is too small to tell much about others.
                    measured.extend(speed::dims(model).map(|dims| (dims, factor)));
                }
                Err(error) => note(&error.to_string()),
            }
        }
        rows.push((model, here, speed));
    }
    let row = |(model, here, speed): (&'a Model, bool, Option<Speed>)| {
        let speed = speed.or_else(|| speed::estimate(model, &measured));
        Row {
            model,
            bytes: model.bytes(),
            here,
            in_use: in_use == Some(model.name.as_str()),
            speed: speed.map(|it| it.factor),
            speed_measured: speed.is_some_and(|it| it.measured),
        }
    };
    rows.into_iter().map(row).collect()
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
    let shown = |row: &&Row<'_>| all || row.here || !is_variant(row.model);
    writeln!(out, "Understanding speech (Whisper models; bigger ones make fewer mistakes and are slower):\n")?;
    writeln!(
        out,
        "  {:<14}{:<14}{:>8}  {:<14}{:<30}GOOD FOR",
        "NAME", "LANGUAGE", "SIZE", "HERE", "KEEPS UP WITH SPEECH"
    )?;
    for row in rows.iter().filter(|row| row.model.family == Family::Whisper).filter(shown) {
        let model = row.model;
        let speed = row.speed.map(|factor| Speed { factor, measured: row.speed_measured });
        writeln!(
            out,
            "{} {:<14}{:<14}{:>8}  {:<14}{:<30}{}",
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
    writeln!(out, "  {:<24}{:<12}{:>8}  {:<9}{:<48}LICENCE", "NAME", "LANGUAGE", "SIZE", "HERE", "GOOD FOR")?;
    for row in rows.iter().filter(|row| row.model.family == Family::Piper) {
        let model = row.model;
        let language = language(&model.language);
        writeln!(
            out,
            "  {:<24}{:<12}{:>8}  {:<9}{:<48}{}",
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
        writeln!(out, "* is what stt.model takes now.")?;
    }
    writeln!(
        out,
        "Get one with `floe models fetch NAME`; with stt.model = \"auto\" the best that keeps up is then used by itself."
    )?;
    if !all {
        let hidden = rows.iter().filter(|row| is_variant(row.model) && !row.here).count();
        writeln!(out, "{hidden} smaller variants (-q8_0, -q5_1) are not shown: floe models list --all")?;
    }
    let whisper_only_bundled =
        !rows.iter().any(|it| it.here && !it.model.bundled && it.model.family == Family::Whisper);
    if whisper_only_bundled {
        writeln!(out, "For English, base.en is a good start: floe models fetch base.en")?;
    }
    Ok(())
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

/// `yes, 12 times as fast`, `about …, an estimate`.
fn keeping_up(speed: Speed) -> String {
    let yes = if speed.keeps_up() { "yes" } else { "no" };
    let times = 1.0 / speed.factor;
    let times = if times >= 10.0 { format!("{times:.0}") } else { format!("{times:.1}") };
    if speed.measured { format!("{yes}, {times} times as fast") } else { format!("{yes}, perhaps {times}x (estimate)") }
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
