//! The admin face: JSON over HTTP for operators and their tools, on a port of its own.
//!
//! `/health/…` and `/metrics` are open to all who reach the port ([`health`], `metrics`). Everything else is open to root
//! alone, who signs like an S3 client or bears a token: the one authenticator of the process ([`crate::s3::auth`]) stands
//! before the routes here as it does there ([`admit`](mod@admit)). Errors are `application/problem+json` ([`mod@error`]).
//!
//! A file is a resource, a handler is an action: it calls the command that the tracker port calls, and renders. Routes
//! and their `OpenAPI` come from one list (`resources`).

mod admit;
mod answer;
mod classes;
mod cluster;
mod devices;
mod domains;
mod drains;
pub mod error;
mod extract;
mod fids;
mod files;
mod fsck;
mod health;
mod hosts;
mod jobs;
mod keys;
mod metrics;
mod openapi;
mod queues;
mod rebalance;
mod scrub;
mod settings;
mod stats;
mod tokens;
mod uploads;
mod users;

use std::borrow::Cow;

use axum::{
    Router,
    extract::{FromRef, MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use http::{HeaderName, HeaderValue};
use http_body::Body as _;
use mogul_tracker::Tracker;
use tracing::{error, info};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    metrics::{Answered, Face, hundred},
    s3::{RequestId, S3},
};
use admit::admit;
use error::Problem;
use openapi::Specification;

/// The header that names a request in answers and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who may read `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetricsAccess {
    /// Whoever reaches the port, as with health.
    #[default]
    Open,
    /// Root: with a token, as Prometheus can send one.
    Root,
}

/// What handlers share is the domain, and nothing else of the process.
impl FromRef<S3> for Tracker {
    fn from_ref(s3: &S3) -> Tracker {
        s3.tracker.clone()
    }
}

/// The admin face over the same tracker, keys and clock as the S3 face.
pub fn router(s3: S3, metrics: MetricsAccess) -> Router {
    let (resources, gathered) = resources().split_for_parts();
    let (open, open_gathered) = open().split_for_parts();
    let gathered = gathered.merge_from(open_gathered);
    let specification = Specification::of(&gathered);
    let mut signed = resources.route(
        "/admin/v1/openapi.json",
        get(async move || openapi::serve(&specification)),
    );
    let mut open = open;
    match metrics {
        MetricsAccess::Open => open = open.route("/metrics", get(metrics::scrape)),
        MetricsAccess::Root => signed = signed.route("/metrics", get(metrics::scrape)),
    }
    let signed = signed
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(s3.clone(), admit));
    open.method_not_allowed_fallback(wrong_method)
        .merge(signed)
        .layer(from_fn_with_state(s3.clone(), identify))
        .with_state(s3)
}

/// What needs no key.
fn open() -> OpenApiRouter<S3> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}

/// The resources, for root alone.
fn resources() -> OpenApiRouter<S3> {
    OpenApiRouter::new()
        .routes(routes!(classes::list, classes::add))
        .routes(routes!(classes::find, classes::modify, classes::remove))
        .routes(routes!(cluster::look_now))
        .routes(routes!(cluster::replicate_now))
        .routes(routes!(devices::list, devices::add))
        .routes(routes!(devices::find, devices::modify))
        .routes(routes!(devices::forget_mark))
        .routes(routes!(domains::list, domains::add))
        .routes(routes!(domains::find, domains::remove))
        .routes(routes!(drains::list))
        .routes(routes!(drains::begin_of_device, drains::cancel_of_device))
        .routes(routes!(drains::begin_of_host, drains::cancel_of_host))
        .routes(routes!(fids::list))
        .routes(routes!(fids::find))
        .routes(routes!(fids::copy))
        .routes(routes!(files::list))
        .routes(routes!(files::find, files::modify, files::remove))
        .routes(routes!(files::paths))
        .routes(routes!(fsck::find))
        .routes(routes!(fsck::start, fsck::stop))
        .routes(routes!(fsck::reset))
        .routes(routes!(fsck::log, fsck::clear_log))
        .routes(routes!(hosts::list, hosts::add))
        .routes(routes!(hosts::find, hosts::modify, hosts::remove))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::modify))
        .routes(routes!(keys::list))
        .routes(routes!(keys::find, keys::remove))
        .routes(routes!(keys::list_of, keys::add))
        .routes(routes!(queues::find))
        .routes(routes!(rebalance::set_policy))
        .routes(routes!(rebalance::test))
        .routes(routes!(rebalance::find, rebalance::reset))
        .routes(routes!(rebalance::start, rebalance::stop))
        .routes(routes!(scrub::find))
        .routes(routes!(scrub::run))
        .routes(routes!(settings::list))
        .routes(routes!(settings::find, settings::set))
        .routes(routes!(stats::find))
        .routes(routes!(tokens::list, tokens::add))
        .routes(routes!(tokens::remove))
        .routes(routes!(uploads::begin))
        .routes(routes!(uploads::end))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::find, users::remove))
}

async fn nothing_here() -> Problem {
    Problem::not_found()
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed()
}

/// Gives the request its id, counts it, and writes its line in the log.
async fn identify(State(s3): State<S3>, mut request: Request, next: Next) -> Response {
    let id = RequestId::new(s3.entropy.next_u64());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let operation = operation(&request);
    let received = request.body().size_hint().exact().unwrap_or(0);
    let began = s3.clock.now();
    request.extensions_mut().insert(id.clone());
    let mut answer = next.run(request).await;
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        if let Some(cause) = problem.cause() {
            error!(request_id = id.as_str(), cause, "admin request failed");
        }
        answer = problem.render(&id, answer.headers());
    }
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    let took = began.until(s3.clock.now());
    s3.metrics.answered(Answered {
        face: Face::Admin,
        operation,
        outcome: hundred(answer.status()),
        took,
        received,
        sent: answer.body().size_hint().exact().unwrap_or(0),
    });
    if path.starts_with("/admin/") {
        let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        info!(request_id = id.as_str(), %method, path, status = answer.status().as_u16(), elapsed_ms, "admin request");
    }
    answer
}

/// The route, which has the names of path parameters and not their values.
fn operation(request: &Request) -> Cow<'static, str> {
    match request.extensions().get::<MatchedPath>() {
        Some(route) => format!("{} {}", request.method(), route.as_str()).into(),
        None => "none".into(),
    }
}
