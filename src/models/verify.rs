//! Whether the files on the shelf still are what they were.

use serde::Serialize;

use super::{Error, Shelf, manifest::Model, shelf::Known};

/// What was found about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its name in the folder.
    pub file: String,
    /// The model, if the manifest has it.
    pub model: Option<String>,
    /// Whether it may be used.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

/// Reads every model file here again, and compares. Blocks: about a second per gigabyte.
pub fn verify(shelf: &Shelf) -> Result<Vec<Checked>, Error> {
    let mut all = Vec::new();
    for model in shelf.manifest().models() {
        all.extend(of_model(shelf, model)?);
    }
    for path in shelf.strangers() {
        let sha256 = shelf.hash_anew(&path)?;
        let known = shelf.knows(&sha256);
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = match &known {
            Some(Known::Trusted(why)) => format!("trusted by {why}"),
            Some(Known::Manifest(model)) => format!("a file of {model} under another name"),
            None => format!(
                "unknown, SHA-256 {sha256}; `floe models fetch --from {} --trust` vouches for it",
                path.display()
            ),
        };
        all.push(Checked { file, model: None, ok: known.is_some(), found });
    }
    Ok(all)
}

fn of_model(shelf: &Shelf, model: &Model) -> Result<Vec<Checked>, Error> {
    let paths: Vec<_> = model.files.iter().map(|file| (file, shelf.path(file))).collect();
    if !paths.iter().any(|(_, path)| path.exists()) {
        return Ok(Vec::new());
    }
    let fix = if model.bundled { "take it from Floe's repository" } else { "fetch it again" };
    let mut all = Vec::new();
    for (file, path) in paths {
        let (ok, found) = if !path.exists() {
            (false, format!("missing; {fix}"))
        } else if shelf.hash_anew(&path)? == file.sha256 {
            (true, "right".to_owned())
        } else {
            (false, format!("damaged; {fix}"))
        };
        all.push(Checked { file: file.name.clone(), model: Some(model.name.clone()), ok, found });
    }
    Ok(all)
}
