//! ONNX Runtime's library: where it is, whether it can be loaded, and loading it, once per process.
//!
//! `dlopen` runs the library's own code in this process: that cannot be made safe, only be refused where the file is plainly
//! not what it should be. So a file is looked at first (`dlopen` ends the process if it breaks off), then asked for its
//! version, before `ort` gets it, which panics where an answer is missing.

use std::{
    env::consts::{ARCH, DLL_SUFFIX},
    ffi::CStr,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ort::{
    environment::{Environment, GlobalThreadPoolOptions},
    logging::LogLevel,
    sys::OrtApiBase,
};

/// The library of this process. It is never unloaded: threads of its own are in it.
pub(super) struct Loaded {
    /// Where it is.
    path: PathBuf,
    /// What it calls itself: `1.23.2`.
    pub(super) version: String,
    /// Threads that it computes on, besides those that call it.
    threads: usize,
    pub(super) environment: Environment,
}

impl Loaded {
    /// For a log.
    pub(super) fn words(&self) -> String {
        format!("ONNX Runtime {} ({})", self.version, self.path.display())
    }
}

/// The one in use. Held while it is loaded, so that nobody loads a second one.
static LOADED: OnceLock<Loaded> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Where a library may be, if none is named: first match wins.
pub(super) fn folders(voices: &str) -> Vec<PathBuf> {
    let voices = Path::new(voices);
    let debian = format!("/usr/lib/{ARCH}-linux-gnu");
    let system: &[&str] = if cfg!(target_os = "macos") {
        &["/opt/homebrew/lib", "/usr/local/lib"]
    } else {
        &["/usr/local/lib", &debian, "/usr/lib64", "/usr/lib"]
    };
    let beside = [voices.join("onnxruntime"), voices.to_owned()];
    beside.into_iter().chain(system.iter().map(PathBuf::from)).collect()
}

/// The library in `folder` with the highest version, if there is one.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    let name_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = |path: &Path| -> Vec<u32> { name_of(path).split('.').filter_map(|part| part.parse().ok()).collect() };
    let entries = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let library = |path: &PathBuf| {
        let name = name_of(path);
        // Not libonnxruntime_providers_shared.so.
        name.starts_with("libonnxruntime.") && name.contains(DLL_SUFFIX) && path.is_file()
    };
    entries.filter(library).max_by_key(|path| version(path))
}

/// Loads the library at `path`, to compute on `threads` threads besides those that call it. A process has one library and
/// one pool: later calls get the first one, and fail if they name another file. Blocks for a moment.
pub(super) fn load(path: &Path, threads: usize) -> Result<&'static Loaded, String> {
    let words = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let path = path.canonicalize().map_err(|error| words(&error))?;
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = LOADED.get() {
        if loaded.path != path {
            return Err(words(&format_args!("this process has loaded {} already", loaded.path.display())));
        }
        if loaded.threads != threads {
            tracing::debug!(loaded.threads, "ONNX Runtime keeps the threads that it was loaded with");
        }
        return Ok(loaded);
    }
    whole(&path).map_err(|what| words(&what))?;
    let version = probe(&path).map_err(|what| words(&what))?;
    let environment = environment(&path, threads).map_err(|what| words(&what))?;
    Ok(LOADED.get_or_init(|| Loaded { path, version, threads, environment }))
}

fn environment(path: &Path, threads: usize) -> Result<Environment, String> {
    let builder = ort::init_from(path).map_err(|error| error.to_string())?;
    // The thread that calls counts as one of the pool's.
    let pool = GlobalThreadPoolOptions::default()
        .with_intra_threads(threads + 1)
        .and_then(|pool| pool.with_inter_threads(1))
        .and_then(|pool| pool.with_spin_control(false));
    let environment = pool
        .and_then(|pool| {
            let builder = builder.with_name("floe").with_telemetry(false).with_global_thread_pool(pool);
            // It names operators and the file, never what is said. A stopped run is an error to it, so nothing is louder here.
            builder.with_logger(Arc::new(|_, _, _, _, message| tracing::debug!("onnxruntime: {message}"))).build()
        })
        .map_err(|error| error.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// Whether all segments of an ELF file are there: those that are not end the process when they are touched. Other formats
/// and damage inside are left to `dlopen`.
fn whole(path: &Path) -> Result<(), String> {
    const HEADER_BYTES: usize = 64;
    const ENTRY_BYTES: usize = 56;
    const LOAD: u64 = 1;
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let broken = |_| "it breaks off".to_owned();
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|_| "it is no library")?;
    // 64 bits, the lowest byte first: what `ort` runs on.
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is no library for this machine".into());
    }
    file.seek(SeekFrom::Start(number(&header[32..40]))).map_err(broken)?;
    if number(&header[54..56]) != ENTRY_BYTES as u64 {
        return Err("it is no library for this machine".into());
    }
    for _ in 0..number(&header[56..58]) {
        let mut entry = [0; ENTRY_BYTES];
        file.read_exact(&mut entry).map_err(broken)?;
        let (kind, begin, bytes) = (number(&entry[0..4]), number(&entry[8..16]), number(&entry[32..40]));
        if kind == LOAD && begin.checked_add(bytes).is_none_or(|end| end > length) {
            return Err("it breaks off; get it again".into());
        }
    }
    Ok(())
}

/// The lowest byte first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Loads a library and asks for its version, which must be one that `ort` can use.
#[expect(unsafe_code, reason = "a library's own functions are called")]
fn probe(path: &Path) -> Result<String, String> {
    let oldest = ort::MINOR_VERSION;
    // SAFETY: loading runs the library's initialisers, which nobody here can vouch for: whoever put the file where Floe looks,
    // or named it, has done so, as for any program that he starts. It is whole, as far as can be seen.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| format!("it cannot be loaded: {error}"))?;
    // SAFETY: in every ONNX Runtime since 1.0 this name is a function of this signature.
    let base = unsafe { library.get::<unsafe extern "C" fn() -> *const OrtApiBase>(c"OrtGetApiBase") };
    let base = base.map_err(|_| "it is not ONNX Runtime's")?;
    // SAFETY: it takes nothing, and answers null or a pointer to a static with two functions, while the library is loaded.
    let base = unsafe { base().as_ref() }.ok_or("it offers no interface")?;
    // SAFETY: it takes nothing, and answers null or a static text that ends with a zero.
    let version = unsafe {
        let version = (base.GetVersionString)();
        if version.is_null() { None } else { Some(CStr::from_ptr(version)) }
    };
    let version = version.and_then(|version| version.to_str().ok()).ok_or("it does not say which version it is")?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    if !matches!((parts.next().flatten(), parts.next().flatten()), (Some(1), Some(minor)) if minor >= oldest) {
        return Err(format!("it is version {version}; Floe needs 1.{oldest} or later (of 1.x)"));
    }
    // SAFETY: it takes a number, and answers null or a pointer to a static table, which is not looked into.
    if unsafe { (base.GetApi)(oldest) }.is_null() {
        return Err(format!("it is version {version}, but does not offer the interface of version 1.{oldest}"));
    }
    Ok(version.to_owned())
}
