//! Background work: what waits, what runs, what was given up, and trying it again.

use axum::{
    Json,
    extract::{
        Path, Query as Parameters, State,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App, Problem,
    asked::{bad_cursor, limit, parameters},
    kept,
    who::{Asking, Asks as _},
    wire::{List, rfc3339},
};
use crate::{
    http::openapi::{Guarded, Stored},
    ids::JobId,
    store::jobs::{Job, JobFilter},
};

/// What can be asked of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct JobsQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next` of the answer before.
    after: Option<String>,
    /// Those in this state: queued, running, done or dead.
    state: Option<String>,
    /// Those of this kind: summarise, webhook, retention, erase, clean.
    kind: Option<String>,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobView {
    object: &'static str,
    id: String,
    kind: String,
    /// What it is about: an id.
    subject: String,
    state: String,
    attempts: i64,
    /// Queued: not before; running: how long its worker has it.
    due_at: String,
    node: Option<String>,
    error: Option<String>,
    created_at: String,
    finished_at: Option<String>,
}

impl JobView {
    pub(super) fn of(job: Job) -> Self {
        Self {
            object: "job",
            id: job.id.to_string(),
            kind: job.kind,
            subject: job.subject,
            state: job.state,
            attempts: job.attempts,
            due_at: rfc3339(job.due_at_ms),
            node: job.node,
            error: job.error,
            created_at: rfc3339(job.created_at_ms),
            finished_at: job.finished_at_ms.map(rfc3339),
        }
    }
}

/// `GET /jobs`: newest first.
#[utoipa::path(
    get, path = "/jobs", operation_id = "list_jobs", tag = "jobs", summary = "List background jobs, newest first", params(JobsQuery),
    responses((status = 200, description = "A part of the list", body = List<JobView>), Guarded, Stored),
)]
pub(super) async fn list(
    State(app): State<App>,
    who: Asking,
    query: Result<Parameters<JobsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    who.admin()?;
    let query = parameters(query)?;
    if query.state.as_deref().is_some_and(|state| !["queued", "running", "done", "dead"].contains(&state)) {
        return Err(Problem::bad_request("state is one of queued, running, done, dead."));
    }
    let limit = limit(query.limit)?;
    let below = query.after.as_deref().map(str::parse).transpose().map_err(|_| bad_cursor())?;
    let kind = query.kind.map(|kind| kind.replace('\0', "\u{fffd}"));
    let filter = JobFilter { state: query.state, kind, below, limit };
    let mut jobs = kept(&app)?.store.jobs(&who.tenant, &filter).await?;
    let has_more = jobs.len() > limit as usize;
    jobs.truncate(limit as usize);
    let next = jobs.last().filter(|_| has_more).map(|last| last.number.to_string());
    let data = jobs.into_iter().map(JobView::of).collect();
    Ok(Json(List { object: "list", data, has_more, next }).into_response())
}

/// `GET /jobs/{id}`.
#[utoipa::path(
    get, path = "/jobs/{id}", operation_id = "read_job", tag = "jobs", summary = "One background job", params(("id" = String, Path, description = "Id of the job")),
    responses((status = 200, description = "The job", body = JobView), Guarded, Stored),
)]
pub(super) async fn read(
    State(app): State<App>,
    who: Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    who.admin()?;
    let job = kept(&app)?.store.job(&who.tenant, id(path)?).await?.ok_or_else(unknown)?;
    Ok(Json(JobView::of(job)).into_response())
}

/// `POST /jobs/{id}/retry`: one that is dead, done or waits is due now, its attempts counted anew.
#[utoipa::path(
    post, path = "/jobs/{id}/retry", operation_id = "retry_job", tag = "jobs", summary = "Try a job again, now", params(("id" = String, Path, description = "Id of the job")),
    responses((status = 200, description = "The job", body = JobView), (status = 409, description = "A server is at it", body = Problem, content_type = "application/problem+json"), Guarded, Stored),
)]
pub(super) async fn retry(
    State(app): State<App>,
    who: Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    who.admin()?;
    let (store, id) = (&kept(&app)?.store, id(path)?);
    store.job(&who.tenant, id).await?.ok_or_else(unknown)?;
    who.note(&app, "retry_job", id)?;
    if !store.retry_job(&who.tenant, id).await? {
        return Err(Problem::conflict("running", "A server is at it. Wait until it is done."));
    }
    let job = store.job(&who.tenant, id).await?.ok_or_else(unknown)?;
    Ok(Json(JobView::of(job)).into_response())
}

fn id(path: Result<Path<String>, PathRejection>) -> Result<JobId, Problem> {
    path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("There is no job of this id.")
}
