//! Models brought along as files, for machines without a network.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Error, Shelf,
    manifest::Model,
    shelf::{Known, sync_folder},
};

/// What became of an imported file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Where it is now.
    pub path: PathBuf,
    /// The model that it belongs to; `None` for one that only the user vouches for.
    pub model: Option<String>,
}

/// Copies `source` into the shelf if its hash is known, or if the user vouches for it (`trust`). With `wanted`, it must be a
/// file of that model. Blocks while it copies.
pub fn import(shelf: &Shelf, source: &Path, wanted: Option<&Model>, trust: bool) -> Result<Imported, Error> {
    let sha256 = shelf.hash(source)?;
    if let Some((model, file)) = shelf.manifest().by_hash(&sha256) {
        refuse_other(wanted.filter(|wanted| wanted.name != model.name), &file.name, &sha256)?;
        let path = copy(shelf, source, &file.name, &sha256)?;
        return Ok(Imported { path, model: Some(model.name.clone()) });
    }
    let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    refuse_other(wanted, &name, &sha256)?;
    if !trust && !matches!(shelf.knows(&sha256), Some(Known::Trusted(_))) {
        return Err(Error::Untrusted { file: source.to_owned(), sha256 });
    }
    if shelf.manifest().models().iter().flat_map(|model| &model.files).any(|file| file.name == name) {
        return Err(Error::Usage(format!("{name} is the name of another model's file; rename it first")));
    }
    let target = shelf.folder().join(&name);
    if target.exists() && shelf.hash(&target)? != sha256 {
        return Err(Error::Exists(target));
    }
    let path = copy(shelf, source, &name, &sha256)?;
    shelf.trust(&sha256, &format!("the user, when importing {name}"))?;
    Ok(Imported { path, model: None })
}

fn refuse_other(wanted: Option<&Model>, file: &str, sha256: &str) -> Result<(), Error> {
    match wanted {
        None => Ok(()),
        Some(wanted) => {
            let expected = wanted.main_file().sha256.clone();
            Err(Error::WrongHash { file: file.to_owned(), expected, found: sha256.to_owned() })
        }
    }
}

/// Copies a file under this name, all of it or nothing. It stays where it is if it is there already.
fn copy(shelf: &Shelf, source: &Path, name: &str, sha256: &str) -> Result<PathBuf, Error> {
    shelf.create()?;
    let target = shelf.folder().join(name);
    let same = fs::canonicalize(source).ok().zip(fs::canonicalize(&target).ok()).is_some_and(|(a, b)| a == b);
    if same || shelf.hash(&target).is_ok_and(|there| there == sha256) {
        return Ok(target);
    }
    let writing = |error| Error::writing(shelf.folder(), error);
    let mut from = fs::File::open(source).map_err(|error| Error::file(source, error))?;
    shelf.make_sure_of_room(from.metadata().map_err(|error| Error::file(source, error))?.len())?;
    let fresh = shelf.folder().join(format!(".{name}.import-{}", std::process::id()));
    let copied = fs::File::create(&fresh).and_then(|mut to| {
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        fs::rename(&fresh, &target)
    });
    if let Err(error) = copied {
        let _gone = fs::remove_file(&fresh);
        return Err(writing(error));
    }
    sync_folder(&target)?;
    let found = shelf.hash_anew(&target)?;
    if found != sha256 {
        let _gone = fs::remove_file(&target);
        return Err(Error::WrongHash { file: name.to_owned(), expected: sha256.to_owned(), found });
    }
    Ok(target)
}
