//! The `floe` command: arguments, logging, configuration, and off.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use floe::{app, auth, config, doctor, jobs, models, replay, shutdown, telemetry};
use tokio_util::sync::CancellationToken;

/// A voice server: clients stream speech, hear an answer while it is still being written, and may talk over it.
#[derive(Parser)]
#[command(name = "floe", version, max_term_width = 100)]
struct Cli {
    /// Configuration file (TOML). Every key can also be set as FLOE_SECTION_KEY.
    #[arg(long, global = true, env = "FLOE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key, over file and environment: --set stt.model=base.en
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves conversations and the page.
    Serve {
        /// Address and port; the same as --set server.listen=…
        #[arg(long)]
        listen: Option<String>,
        /// Loads models and voices of unknown origin; the same as --set stt.trust_model=true --set tts.piper.trust_voice=true
        #[arg(long)]
        trust: bool,
        /// Speaks TLS with a certificate made at start, for development: some clients insist on wss://. The same as
        /// --set server.tls_self_signed=true
        #[arg(long)]
        tls_self_signed: bool,
    },
    /// Lists, fetches and checks the models that recognise speech and speak.
    ///
    /// Begin with `floe models list`. For real English speech: `floe models fetch base.en`; servers then use it by themselves.
    #[command(subcommand)]
    Models(models::command::Command),
    /// Streams recordings like a live microphone and prints what was understood, the reply, and how long each stage took.
    Replay(replay::Args),
    /// Makes, lists and revokes API keys.
    ///
    /// On the server, with its configuration: keys are in its database. `floe keys create web` prints a key; programs send it as
    /// "Authorization: Bearer KEY".
    #[command(subcommand)]
    Keys(auth::command::Command),
    /// Shows background jobs (summaries, webhooks, erasures), and tries them again.
    #[command(subcommand)]
    Jobs(jobs::command::Command),
    /// Makes the tables of the database what this version needs. `floe serve` does the same when it starts.
    Migrate,
    /// Says what every setting is, and where it comes from.
    CheckConfig {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Says what is installed, what is missing, and how to get it.
    Doctor {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "floe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut set = cli.set;
    if let Command::Serve { listen, trust, tls_self_signed } = &cli.command {
        set.extend(listen.iter().map(|listen| format!("server.listen={listen}")));
        if *trust {
            set.extend(["stt.trust_model=true", "tts.piper.trust_voice=true"].map(str::to_owned));
        }
        set.extend(tls_self_signed.then(|| "server.tls_self_signed=true".to_owned()));
    }
    let loaded = config::load(cli.config.as_deref(), std::env::vars(), &set)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command {
        Command::Serve { .. } => {
            telemetry::start(&loaded.config.telemetry)?;
            let engines = app::engines(&loaded.config)?;
            runtime.block_on(serve(&loaded.config, app::app(&loaded.config, engines)))?;
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            Ok(ExitCode::SUCCESS)
        }
        Command::Replay(args) => {
            // Its output is the report; only warnings may stand beside it.
            let telemetry = telemetry::Config { log: "warn".into(), ..loaded.config.telemetry.clone() };
            telemetry::start(&telemetry)?;
            runtime.block_on(app::replay(&loaded.config, args))
        }
        Command::Models(command) => {
            let telemetry = telemetry::Config { log: "warn".into(), ..loaded.config.telemetry.clone() };
            telemetry::start(&telemetry)?;
            runtime.block_on(app::models(&loaded.config, command))
        }
        Command::Keys(command) => {
            let telemetry = telemetry::Config { log: "warn".into(), ..loaded.config.telemetry.clone() };
            telemetry::start(&telemetry)?;
            let done = runtime.block_on(app::keys(&loaded.config, command))?;
            Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Jobs(command) => {
            let telemetry = telemetry::Config { log: "warn".into(), ..loaded.config.telemetry.clone() };
            telemetry::start(&telemetry)?;
            runtime.block_on(app::jobs(&loaded.config, command))
        }
        Command::Migrate => {
            telemetry::start(&loaded.config.telemetry)?;
            let done = runtime.block_on(app::migrate(&loaded.config))?;
            writeln!(std::io::stdout(), "{done}")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::CheckConfig { json } => doctor::print_config(&loaded, json),
        Command::Doctor { json } => runtime.block_on(doctor::print(&loaded.config, json)),
    }
}

async fn serve(config: &config::Config, app: floe::http::App) -> anyhow::Result<()> {
    let listener = app::listen(config).await?;
    let stop = CancellationToken::new();
    let server = &config.server;
    let scheme = if server.tls_self_signed || !server.tls_cert.is_empty() { "https" } else { "http" };
    tracing::info!("Floe listens on {scheme}://{}", listener.local_addr()?);
    if server.tls_self_signed {
        let path = std::path::absolute(&server.tls_self_signed_cert)?;
        tracing::info!(
            "The certificate is in {0}. Clients trust it by NODE_EXTRA_CA_CERTS={0} (Node) or SSL_CERT_FILE={0} (Python).",
            path.display()
        );
    }
    tokio::select! {
        served = app::run(listener, config, app, stop.clone()) => served,
        failed = shutdown::watch(stop.clone()) => Ok(failed?),
    }
}
