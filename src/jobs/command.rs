//! `floe jobs …`: arguments, and what is printed. Asks the database, so it works beside a running server and without one.

use std::{io::Write, process::ExitCode};

use clap::Subcommand;

use crate::{
    ids::JobId,
    store::{
        Store,
        jobs::{Job, JobFilter},
    },
};

/// What to do with background jobs.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Shows jobs, newest first: what waits, what runs, what was given up.
    List {
        /// Only those in this state: queued, running, done or dead.
        #[arg(long, value_parser = ["queued", "running", "done", "dead"])]
        state: Option<String>,
        /// Only those of this kind: summarise, webhook, retention, erase or clean.
        #[arg(long)]
        kind: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Whose.
        #[arg(long, default_value = "default")]
        tenant: String,
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Shows one job.
    Show {
        /// Its id, as `floe jobs list` shows it.
        id: String,
        /// Whose.
        #[arg(long, default_value = "default")]
        tenant: String,
        /// As a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Makes a job due now that is dead, done or waits; its attempts count anew. A running server does it.
    Retry {
        /// Its id, as `floe jobs list` shows it.
        id: String,
        /// Whose.
        #[arg(long, default_value = "default")]
        tenant: String,
        /// As a JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Why nothing could be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// There is none.
    #[error("there is no job {0}")]
    Unknown(String),
    /// A server is at it.
    #[error("a server is at {0}; wait until it is done")]
    Running(String),
    /// Nobody reads what is printed.
    #[error(transparent)]
    Closed(#[from] std::io::Error),
}

/// Does it, and prints to `out`.
pub async fn run(store: &Store, command: Command, out: &mut impl Write) -> Result<ExitCode, Error> {
    match command {
        Command::List { state, kind, limit, tenant, json } => {
            let limit = limit.clamp(1, 10_000);
            let mut jobs = store.jobs(&tenant, &JobFilter { state, kind, limit, below: None }).await?;
            jobs.truncate(limit as usize);
            if json {
                let all: Vec<serde_json::Value> = jobs.iter().map(whole).collect();
                writeln!(out, "{}", serde_json::Value::from(all))?;
            } else {
                table(&jobs, out)?;
            }
        }
        Command::Show { id, tenant, json } => show(&found(store, &tenant, &id).await?, json, out)?,
        Command::Retry { id, tenant, json } => {
            let job = found(store, &tenant, &id).await?;
            if !store.retry_job(&tenant, job.id).await? {
                return Err(Error::Running(id));
            }
            show(&found(store, &tenant, &id).await?, json, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn found(store: &Store, tenant: &str, id: &str) -> Result<Job, Error> {
    let unknown = || Error::Unknown(id.to_owned());
    let known: JobId = id.parse().map_err(|_| unknown())?;
    store.job(tenant, known).await?.ok_or_else(unknown)
}

fn whole(job: &Job) -> serde_json::Value {
    let mut value = serde_json::to_value(job).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("id".to_owned(), job.id.to_string().into());
    }
    value
}

fn table(jobs: &[Job], out: &mut impl Write) -> Result<(), std::io::Error> {
    if jobs.is_empty() {
        return writeln!(out, "There are no such jobs.");
    }
    writeln!(out, "{:<37} {:<10} {:<8} {:>5}  {:<24} about", "id", "kind", "state", "tries", "since")?;
    for job in jobs {
        let since = time(job.finished_at_ms.unwrap_or(job.created_at_ms));
        let id = job.id.to_string();
        writeln!(out, "{id:<37} {:<10} {:<8} {:>5}  {since:<24} {}", job.kind, job.state, job.attempts, job.subject)?;
        if let Some(error) = &job.error {
            writeln!(out, "    {error}")?;
        }
    }
    Ok(())
}

fn show(job: &Job, json: bool, out: &mut impl Write) -> Result<(), std::io::Error> {
    if json {
        return writeln!(out, "{}", whole(job));
    }
    writeln!(out, "{}: {} {}", job.id, job.kind, job.subject)?;
    writeln!(out, "state     {}, {} attempts", job.state, job.attempts)?;
    writeln!(out, "put in    {}", time(job.created_at_ms))?;
    match (job.state.as_str(), &job.node, job.finished_at_ms) {
        (_, _, Some(at)) => writeln!(out, "ended     {}", time(at))?,
        ("running", Some(node), None) => writeln!(out, "at        {node}, who has it until {}", time(job.due_at_ms))?,
        _ => writeln!(out, "due       {}", time(job.due_at_ms))?,
    }
    if let Some(error) = &job.error {
        writeln!(out, "error     {error}")?;
    }
    Ok(())
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|at| format!("{at:.3}")).unwrap_or_default()
}
