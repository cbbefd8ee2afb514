//! `/admin/v1/keys` and the keys of a user. No listing has a secret: that is told once, when the key is made.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
};
use http::StatusCode;
use mogul_tracker::{
    Tracker,
    model::{AccessKey, User},
};
use serde::Serialize;

use super::{
    error::Problem,
    users::{KeyBody, NewKeyView},
};

/// A key as JSON.
#[derive(Debug, Serialize)]
pub(super) struct KeyView {
    access_key: String,
    /// The name of its user.
    user: String,
}

impl From<(AccessKey, User)> for KeyView {
    fn from((access_key, user): (AccessKey, User)) -> KeyView {
        KeyView {
            access_key: access_key.0,
            user: user.name,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Keys {
    keys: Vec<KeyView>,
}

impl Keys {
    fn of(keys: Vec<(AccessKey, User)>) -> Json<Keys> {
        Json(Keys {
            keys: keys.into_iter().map(KeyView::from).collect(),
        })
    }
}

/// GET of the collection: all keys but root's own, which is not in the database.
pub(super) async fn list(State(tracker): State<Tracker>) -> Result<Json<Keys>, Problem> {
    Ok(Keys::of(tracker.list_keys(None).await?))
}

/// GET of the keys of one user.
pub(super) async fn list_of(
    State(tracker): State<Tracker>,
    Path(user): Path<String>,
) -> Result<Json<Keys>, Problem> {
    Ok(Keys::of(tracker.list_keys(Some(&user)).await?))
}

/// POST to the keys of one user: adds a key.
pub(super) async fn add(
    State(tracker): State<Tracker>,
    Path(user): Path<String>,
    body: Result<Json<KeyBody>, JsonRejection>,
) -> Result<(StatusCode, Json<NewKeyView>), Problem> {
    let Json(body) = body?;
    let credential = tracker.add_key(&user, body.into_key()?).await?;
    Ok((StatusCode::CREATED, Json(credential.into())))
}

/// GET of one key.
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Path(access_key): Path<String>,
) -> Result<Json<KeyView>, Problem> {
    let credential = tracker.credential(&AccessKey(access_key)).await?;
    Ok(Json((credential.access_key, credential.user).into()))
}

/// DELETE of one key.
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Path(access_key): Path<String>,
) -> Result<StatusCode, Problem> {
    tracker.remove_key(&AccessKey(access_key)).await?;
    Ok(StatusCode::NO_CONTENT)
}
