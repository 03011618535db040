//! `floe models …`: arguments, and what is printed.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use super::{
    Config, Error, Shelf, choose,
    fetch::{Fetched, Fetcher, Patience},
    import::import,
    list, progress, speed, verify, widen,
};

/// What to do with models.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Shows the models that Floe knows: how big they are, what they are good for, which are here and in use, and whether this
    /// machine is fast enough for them.
    ///
    /// Models that are here are measured the first time (a second or two each); the result is kept beside them. The speed of
    /// others is reckoned from that, and marked as such.
    List {
        /// Also the smaller, slightly less accurate variants of each model.
        #[arg(long)]
        all: bool,
        /// Measure again what is here, and the sizes that are not: the bundled model is blown up to each in a temporary file of up
        /// to half a gigabyte. Takes some seconds.
        #[arg(long)]
        measure: bool,
        /// As a JSON array with everything that is known.
        #[arg(long)]
        json: bool,
    },
    /// Downloads models, or takes them from files.
    ///
    /// An interrupted download goes on where it stopped when the same command is given again. Every file is checked against its
    /// known hash before it gets its name. Behind a proxy set HTTPS_PROXY; a mirror is set with FLOE_MODELS_URL and asked for
    /// FLOE_MODELS_URL/FILE-NAME.
    Fetch {
        /// Names as `floe models list` shows them. With --from at most one: what the files must be.
        #[arg(required_unless_present = "from", value_name = "NAME")]
        names: Vec<String>,
        /// Takes a file that was brought here instead of the network. May be given several times.
        #[arg(long, value_name = "FILE")]
        from: Vec<PathBuf>,
        /// Takes a file with an unknown hash too: you vouch for it, and it may be loaded from now on.
        #[arg(long, requires = "from")]
        trust: bool,
    },
    /// Reads all models that are here again and compares their hashes. Fails if one is not what it should be.
    Verify {
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Prints where a model's file is. Fails if it is not here.
    Path {
        /// Its name, as `floe models list` shows it.
        name: String,
    },
    /// Makes a file that computes the same as a small model, at the size of a bigger one.
    ///
    /// For measuring how fast a bigger model would be here without having it: the tensors have exactly the published model's
    /// shapes, so time and memory are its own, and what it says is what the small model says.
    Widen {
        /// Whose size: tiny.en, base.en or small.en.
        #[arg(long, value_name = "NAME")]
        like: String,
        /// Widen a model that Floe does not know.
        #[arg(long)]
        trust: bool,
        /// A small model in whisper.cpp's format, such as models/floe-demo.en.bin.
        input: PathBuf,
        /// The file to write.
        output: PathBuf,
    },
}

/// Which model the recogniser is configured to use, for `list`.
#[derive(Debug, Clone, Copy)]
pub struct InUse<'a> {
    /// `stt.model`.
    pub wanted: &'a Path,
    /// The language that it must know.
    pub language: &'a str,
}

/// Does it.
pub async fn run(config: &Config, in_use: InUse<'_>, command: Command) -> Result<ExitCode, Error> {
    let shelf = Shelf::configured(config)?;
    match command {
        Command::List { all, measure, json } => {
            let rows = list::rows(&shelf, used(&shelf, in_use).as_deref(), measure, &speed::measure, say);
            print(|out| {
                if json {
                    return writeln!(out, "{}", serde_json::to_string(&rows)?);
                }
                list::print(&shelf, &rows, all, out)
            })?;
        }
        Command::Fetch { names, from, trust } if !from.is_empty() => take(&shelf, &names, &from, trust)?,
        Command::Fetch { names, .. } => fetch(config, &shelf, &names).await?,
        Command::Verify { json } => return check(&shelf, json),
        Command::Path { name } => {
            let model = shelf.manifest().find(&name)?;
            if !shelf.has(model) {
                return Err(Error::NotHere { name, folder: shelf.folder().to_owned() });
            }
            let path = shelf.path(model.main_file());
            print(|out| writeln!(out, "{}", std::path::absolute(&path)?.display()))?;
        }
        Command::Widen { like, trust, input, output } => {
            widen::widen(&shelf, &like, &input, &output, trust)?;
            say(&format!("{} computes what {} does, at the size of {like}", output.display(), input.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of the model that a server started now would use.
fn used(shelf: &Shelf, in_use: InUse<'_>) -> Option<String> {
    let choice = choose::choose(shelf, in_use.wanted, in_use.language, false, &speed::measure);
    choice.ok().map(|it| it.name)
}

async fn fetch(config: &Config, shelf: &Shelf, names: &[String]) -> Result<(), Error> {
    let models = names.iter().map(|name| shelf.manifest().find(name)).collect::<Result<Vec<_>, Error>>()?;
    let fetcher = Fetcher::new(&config.url, Patience::default())?;
    let progress = progress::on_standard_error();
    for model in models {
        let fetched = tokio::select! {
            fetched = fetcher.fetch(shelf, model, progress.as_ref()) => fetched?,
            _ = tokio::signal::ctrl_c() => {
                progress.end();
                return Err(Error::Interrupted);
            }
        };
        let path = shelf.path(model.main_file());
        say(&match fetched {
            Fetched::New => {
                format!("{} is here and verified: {} (licence: {})", model.name, path.display(), model.licence)
            }
            Fetched::AlreadyHere => format!("{} was here already and is right: {}", model.name, path.display()),
        });
    }
    Ok(())
}

fn take(shelf: &Shelf, names: &[String], from: &[PathBuf], trust: bool) -> Result<(), Error> {
    if names.len() > 1 {
        return Err(Error::Usage("with --from give at most one name".into()));
    }
    let wanted = names.first().map(|name| shelf.manifest().find(name)).transpose()?;
    for file in from {
        let imported = import(shelf, file, wanted, trust)?;
        let what = imported
            .model
            .map_or_else(|| "trusted on your word".to_owned(), |name| format!("part of {name}, verified"));
        say(&format!("{}: {what}", imported.path.display()));
    }
    Ok(())
}

fn check(shelf: &Shelf, json: bool) -> Result<ExitCode, Error> {
    let checked = verify::verify(shelf)?;
    print(|out| {
        if json {
            return writeln!(out, "{}", serde_json::to_string(&checked)?);
        }
        for it in &checked {
            writeln!(out, "{} {:<34} {}", if it.ok { "ok   " } else { "WRONG" }, it.file, it.found)?;
        }
        if checked.is_empty() {
            writeln!(out, "there are no models in {}", shelf.folder().display())?;
        }
        Ok(())
    })?;
    Ok(if checked.iter().all(|it| it.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) -> Result<(), Error> {
    match write(&mut io::stdout().lock()) {
        // Whoever reads, `head` for instance, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| Error::file("standard output", error)),
    }
}

/// What happened goes to standard error: standard output is for what was asked for.
fn say(text: &str) {
    let _closed = writeln!(io::stderr(), "{text}");
}
