//! What handlers take from a request, refused as a problem document when it is not what the resource takes.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request},
};
use http::request::Parts;
use mogul_tracker::command::Change;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;

use super::error::Problem;

/// An object and nothing else: serde would read a struct from an array, too.
type Object = serde_json::Map<String, Value>;

fn read<T: DeserializeOwned>(document: Object) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Value::Object(document)).map_err(|error| Problem::unreadable(&error))
}

/// What a body makes of a value that may be missing: left out it stays, `null` clears it.
pub(super) fn change<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    given: D,
) -> Result<Change<T>, D::Error> {
    let value = Option::deserialize(given)?;
    Ok(value.map_or(Change::Clear, Change::Set))
}

/// The JSON of a body.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let Json(document) = <Json<Object> as FromRequest<S>>::from_request(request, state).await?;
        read(document).map(Body)
    }
}

/// The JSON of a body that may be left out; then it is the default.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<OptionalBody<T>, Problem> {
        let body = <Json<Object> as OptionalFromRequest<S>>::from_request(request, state).await?;
        match body {
            Some(Json(document)) => read(document).map(OptionalBody),
            None => Ok(OptionalBody(T::default())),
        }
    }
}

/// The parameters of a query.
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Parameters<T>, Problem> {
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Parameters(query))
    }
}

/// What a path names.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Problem> {
        let Path(path) = Path::from_request_parts(parts, state).await?;
        Ok(Named(path))
    }
}

/// A number of a body as the databases hold it: at most 2^63 - 1, the largest that the document allows an `int64`.
///
/// # Errors
/// That it is larger.
pub(super) fn stored_number<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<u64>::deserialize(input)?;
    match number {
        Some(large) if i64::try_from(large).is_err() => Err(D::Error::custom(format_args!(
            "{large} is more than {}",
            i64::MAX
        ))),
        Some(_) | None => Ok(number),
    }
}
