//! The `floe` command: arguments, logging, configuration, and off.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use floe::{app, config, doctor, replay, shutdown, telemetry};
use tokio_util::sync::CancellationToken;

/// A voice server: clients stream speech, hear an answer while it is still being written, and may talk over it.
#[derive(Parser)]
#[command(name = "floe", version, max_term_width = 100)]
struct Cli {
    /// Configuration file (TOML). Every key can also be set as FLOE_SECTION_KEY.
    #[arg(long, global = true, env = "FLOE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key, over file and environment: --set stt.model=models/ggml-base.en.bin
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
    },
    /// Streams recordings like a live microphone and prints what was understood, the reply, and how long each stage took.
    Replay(replay::Args),
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
    if let Command::Serve { listen: Some(listen) } = &cli.command {
        set.push(format!("server.listen={listen}"));
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
    tracing::info!("Floe listens on http://{}", listener.local_addr()?);
    tokio::select! {
        served = app::run(listener, config, app, stop.clone()) => served,
        failed = shutdown::watch(stop.clone()) => Ok(failed?),
    }
}
