//! `/admin/v1/users`: the people and programs that own buckets.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
};
use http::StatusCode;
use mogul_tracker::{
    Tracker,
    command::users::AddUser,
    model::{AccessKey, Credential, SecretKey, User},
};
use serde::{Deserialize, Serialize};

use super::error::Problem;

/// Users on a page, unless the request says otherwise.
const PAGE_DEFAULT: usize = 100;

/// Most users on a page.
const PAGE_MAX: usize = 1000;

/// A user as JSON.
#[derive(Debug, Serialize)]
pub(super) struct UserView {
    name: String,
    id: String,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// Unix milliseconds.
    created_ms: i64,
}

impl From<User> for UserView {
    fn from(user: User) -> UserView {
        UserView {
            name: user.name,
            id: user.id.0,
            display_name: user.display_name,
            email: user.email,
            created_ms: user.created.millis(),
        }
    }
}

/// A new key as JSON: the only document that has a secret.
#[derive(Debug, Serialize)]
pub(super) struct NewKeyView {
    user: UserView,
    access_key: String,
    secret_key: String,
}

impl From<Credential> for NewKeyView {
    fn from(credential: Credential) -> NewKeyView {
        NewKeyView {
            user: credential.user.into(),
            access_key: credential.access_key.0,
            secret_key: credential.secret_key.0,
        }
    }
}

/// The key that a request may bring along; made by the server if it brings none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyBody {
    access_key: Option<String>,
    secret_key: Option<String>,
}

impl KeyBody {
    /// Both halves or neither.
    pub(super) fn into_key(self) -> Result<Option<(AccessKey, SecretKey)>, Problem> {
        match (self.access_key, self.secret_key) {
            (None, None) => Ok(None),
            (Some(access), Some(secret)) => Ok(Some((AccessKey(access), SecretKey(secret)))),
            (Some(_), None) | (None, Some(_)) => Err(mogul_tracker::Error::Invalid {
                field: "key",
                reason: "access_key and secret_key belong together: give both or neither".to_owned(),
            }
            .into()),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddBody {
    name: String,
    display_name: Option<String>,
    email: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct Users {
    users: Vec<UserView>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// GET of the collection: a page of users by name, behind `after`, at most `limit`.
pub(super) async fn list(
    State(tracker): State<Tracker>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Users>, Problem> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let page = tracker.list_users(query.after.as_deref(), limit).await?;
    let next = page
        .entries
        .last()
        .filter(|_| page.more)
        .map(|user| user.name.clone());
    let users = page.entries.into_iter().map(UserView::from).collect();
    Ok(Json(Users { users, next }))
}

/// POST to the collection: adds a user with one key.
pub(super) async fn add(
    State(tracker): State<Tracker>,
    body: Result<Json<AddBody>, JsonRejection>,
) -> Result<(StatusCode, Json<NewKeyView>), Problem> {
    let Json(body) = body?;
    let key = KeyBody {
        access_key: body.access_key,
        secret_key: body.secret_key,
    };
    let request = AddUser {
        name: body.name,
        display_name: body.display_name,
        email: body.email,
        key: key.into_key()?,
    };
    let credential = tracker.add_user(request).await?;
    Ok((StatusCode::CREATED, Json(credential.into())))
}

/// GET of one user.
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Path(name): Path<String>,
) -> Result<Json<UserView>, Problem> {
    Ok(Json(tracker.user_named(&name).await?.into()))
}

/// DELETE of one user and its keys.
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    tracker.remove_user(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
