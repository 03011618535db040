//! Who computes the graphs: ONNX Runtime where its library is installed, else rten.

#[cfg(feature = "onnxruntime")]
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "onnxruntime")]
use ort::session::RunOptions;
use rten::ThreadPool;

#[cfg(feature = "onnxruntime")]
use super::library;
use super::{Config, Runtime};
use crate::engine::{Error, ErrorKind};

/// How to get ONNX Runtime's library for voices in this folder, as one line for a shell.
#[cfg(feature = "onnxruntime")]
fn install(voices: &str) -> String {
    format!(
        "python3 -m pip download onnxruntime --no-deps --only-binary :all: -d /tmp/onnxruntime && unzip -jo '/tmp/onnxruntime/*.whl' 'onnxruntime/capi/libonnxruntime.so*' -d {voices}/onnxruntime"
    )
}

/// The one that computes. Cheap to clone.
#[derive(Clone)]
pub(super) enum Chosen {
    /// On these threads.
    Rten(Arc<ThreadPool>),
    #[cfg(feature = "onnxruntime")]
    OnnxRuntime(&'static library::Loaded),
}

/// What is known of the library.
enum Library {
    #[cfg(feature = "onnxruntime")]
    Loaded(&'static library::Loaded),
    /// Why there is none.
    Missing(String),
    /// Why the one that is there is not used.
    #[cfg(feature = "onnxruntime")]
    Unusable(String),
}

/// Workers, and the threads that they share: what a configured 0 stands for.
pub(super) fn sizes(config: &Config) -> (usize, usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.workers == 0 { cores.div_ceil(2) } else { config.workers };
    (workers, if config.threads == 0 { workers } else { config.threads })
}

/// The runtime that `config` asks for. Says in the log which it is, and why. Blocks for a moment.
pub(super) fn choose(config: &Config) -> Result<Chosen, Error> {
    let rten = || Chosen::Rten(Arc::new(ThreadPool::with_num_threads(sizes(config).1)));
    if config.runtime == Runtime::Rten {
        tracing::info!("rten computes the voices, as tts.piper.runtime says");
        return Ok(rten());
    }
    match library(config) {
        #[cfg(feature = "onnxruntime")]
        Library::Loaded(library) => {
            tracing::info!(version = library.version, "{} computes the voices", library.words());
            Ok(Chosen::OnnxRuntime(library))
        }
        Library::Missing(why) if config.runtime == Runtime::Auto && config.onnxruntime_library.is_empty() => {
            tracing::info!("rten computes the voices, several times slower than ONNX Runtime: {why}");
            Ok(rten())
        }
        #[cfg(feature = "onnxruntime")]
        Library::Unusable(why) if config.runtime == Runtime::Auto => {
            tracing::warn!("rten computes the voices, for ONNX Runtime cannot: {why}");
            Ok(rten())
        }
        #[cfg(feature = "onnxruntime")]
        Library::Unusable(why) => Err(refused(&why)),
        Library::Missing(why) => Err(refused(&why)),
    }
}

fn refused(why: &str) -> Error {
    let message = format!(
        "ONNX Runtime cannot compute the voices: {why}; set tts.piper.onnxruntime_library to its library, or tts.piper.runtime = \"rten\""
    );
    Error::new(ErrorKind::Rejected, message)
}

/// For `floe doctor`: which runtime computes the voices, or why the library that is there does not.
pub(super) fn describe(config: &Config) -> Result<String, Error> {
    if config.runtime == Runtime::Rten {
        return Ok("rten, as tts.piper.runtime says".into());
    }
    match library(config) {
        #[cfg(feature = "onnxruntime")]
        Library::Loaded(library) => Ok(library.words()),
        Library::Missing(why) if config.runtime == Runtime::Auto && config.onnxruntime_library.is_empty() => {
            Ok(format!("rten; ONNX Runtime is several times quicker: {why}"))
        }
        #[cfg(feature = "onnxruntime")]
        Library::Unusable(why) => Err(refused(&why)),
        Library::Missing(why) => Err(refused(&why)),
    }
}

#[cfg(feature = "onnxruntime")]
fn library(config: &Config) -> Library {
    let (workers, threads) = sizes(config);
    // Workers compute, too: what is left over are the pool's own.
    let load = |path: &Path| match library::load(path, threads.saturating_sub(workers)) {
        Ok(library) => Library::Loaded(library),
        Err(why) => Library::Unusable(why),
    };
    let named = Path::new(&config.onnxruntime_library);
    if !named.as_os_str().is_empty() && !named.is_dir() {
        return load(named);
    }
    let folders = if named.is_dir() { vec![named.to_owned()] } else { library::folders(&config.folder) };
    match folders.iter().find_map(|folder| library::find(folder)) {
        Some(path) => load(&path),
        None => {
            let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let install = install(&config.folder);
            Library::Missing(format!("no libonnxruntime in {}; to get it: {install}", folders.join(", ")))
        }
    }
}

#[cfg(not(feature = "onnxruntime"))]
fn library(_: &Config) -> Library {
    Library::Missing("this build has no ONNX Runtime (build with `--features onnxruntime`)".into())
}

impl Chosen {
    /// Its name, for a log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Rten(_) => "rten",
            #[cfg(feature = "onnxruntime")]
            Self::OnnxRuntime(_) => "onnxruntime",
        }
    }

    /// What can stop a run.
    pub(super) fn stop(&self) -> Stop {
        match self {
            Self::Rten(_) => Stop::default(),
            // Fails only without memory; what then cannot be stopped is computed to its end.
            #[cfg(feature = "onnxruntime")]
            Self::OnnxRuntime(_) => Stop { options: RunOptions::new().ok().map(Arc::new) },
        }
    }
}

/// Stops a run that nobody waits for any more, from any thread, where the runtime can. The default stops nothing.
#[derive(Clone, Default)]
pub(super) struct Stop {
    #[cfg(feature = "onnxruntime")]
    options: Option<Arc<RunOptions>>,
}

impl Stop {
    #[cfg(feature = "onnxruntime")]
    pub(super) fn options(&self) -> Option<&RunOptions> {
        self.options.as_deref()
    }

    fn end(&self) {
        #[cfg(feature = "onnxruntime")]
        if let Some(options) = self.options() {
            // Sets a flag; cannot fail.
            let _ = options.terminate();
        }
    }

    /// Stops it when the guard is dropped. Dropping it after the run does nothing.
    pub(super) fn on_drop(&self) -> StopOnDrop {
        StopOnDrop { stop: self.clone() }
    }
}

/// See [`Stop::on_drop`].
#[must_use]
pub(super) struct StopOnDrop {
    stop: Stop,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stop.end();
    }
}
