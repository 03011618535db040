//! What lists are asked, and how it is read.

use axum::extract::{Query as Parameters, rejection::QueryRejection};

use super::Problem;

pub(super) fn parameters<T>(query: Result<Parameters<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Parameters(query)| query).map_err(|rejection| Problem::bad_request(rejection.body_text()))
}

pub(super) fn bad_cursor() -> Problem {
    Problem::bad_request("after is the next of an earlier answer.")
}

pub(super) fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::bad_request("limit is 1 to 100.")),
    }
}

const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;
