//! `/admin/v1/users`: the people and programs that own buckets.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_tracker::{
    Tracker,
    command::users::AddUser,
    model::{AccessKey, Credential, SecretKey, User},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Created, PageQuery, next, place},
    error::Problem,
    extract::{Body, Named, Parameters},
};

/// Where the users are.
const USERS: &str = "/admin/v1/users";

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserView {
    /// Its name, unique.
    name: String,
    /// Its canonical id: 64 hex digits.
    id: String,
    /// The name shown in listings.
    display_name: String,
    /// Its address, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    /// When it was made, in Unix milliseconds.
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

/// A key that was just made: the only document that has its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewKey)]
pub(super) struct NewKeyView {
    /// Whose it is.
    user: UserView,
    /// The id that requests name.
    access_key: String,
    /// The secret that signs them. It is told this once.
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
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyToAdd)]
pub(super) struct KeyBody {
    /// The id that requests name: 3 to 128 of `A-Z a-z 0-9 . _ -`. With `secret_key` or not at all.
    #[schema(pattern = "^[A-Za-z0-9._-]{3,128}$")]
    access_key: Option<String>,
    /// The secret that signs them: 8 to 128 printable ASCII characters without blanks. With `access_key` or not at all.
    #[schema(pattern = "^[!-~]{8,128}$")]
    secret_key: Option<String>,
}

impl KeyBody {
    /// Both halves or neither.
    pub(super) fn into_key(self) -> Result<Option<(AccessKey, SecretKey)>, Problem> {
        match (self.access_key, self.secret_key) {
            (None, None) => Ok(None),
            (Some(access), Some(secret)) => Ok(Some((AccessKey(access), SecretKey(secret)))),
            (Some(_), None) | (None, Some(_)) => Err(Problem::invalid(
                "secret_key",
                "access_key and secret_key belong together: give both or neither",
            )),
        }
    }
}

/// A user to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserToAdd)]
pub(super) struct AddBody {
    /// Its name, unique: 1 to 64 of `A-Z a-z 0-9 + = , . @ _ -`.
    #[schema(pattern = "^[A-Za-z0-9+=,.@_-]{1,64}$")]
    name: String,
    /// The name shown in listings; the name if it is left out. At most 255 bytes.
    #[schema(min_length = 1, max_length = 255)]
    display_name: Option<String>,
    /// Its address. At most 255 bytes.
    #[schema(min_length = 1, max_length = 255)]
    email: Option<String>,
    /// The id of its first key; made by the server if it is left out.
    #[schema(pattern = "^[A-Za-z0-9._-]{3,128}$")]
    access_key: Option<String>,
    /// The secret of its first key, given together with `access_key`.
    #[schema(pattern = "^[!-~]{8,128}$")]
    secret_key: Option<String>,
}

/// A page of users by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Users)]
pub(super) struct UsersPage {
    /// The users.
    users: Vec<UserView>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Lists the users by name. Root, who is always there, is not among them.
#[utoipa::path(get, path = "/admin/v1/users", operation_id = "list_users", tag = "users", params(PageQuery),
    responses((status = 200, description = "A page of users.", body = UsersPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<UsersPage>, Problem> {
    let page = tracker.list_users(query.after(), query.limit()?).await?;
    Ok(Json(UsersPage {
        next: next(&page, |user| user.name.clone()),
        users: page.entries.into_iter().map(UserView::from).collect(),
    }))
}

/// Adds a user with one key.
#[utoipa::path(post, path = "/admin/v1/users", operation_id = "add_user", tag = "users", request_body = AddBody,
    responses((status = 201, description = "The user with its first key.", body = NewKeyView,
        headers(("location" = String, description = "Where the user is.")))))]
pub(super) async fn add(
    State(tracker): State<Tracker>,
    Body(body): Body<AddBody>,
) -> Result<Created<NewKeyView>, Problem> {
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
    Ok(Created(place(USERS, &credential.user.name), credential.into()))
}

/// Finds a user by name.
#[utoipa::path(get, path = "/admin/v1/users/{name}", operation_id = "find_user", tag = "users",
    params(("name" = String, Path, description = "The user's name.")),
    responses((status = 200, description = "The user.", body = UserView)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<Json<UserView>, Problem> {
    Ok(Json(tracker.user_named(&name).await?.into()))
}

/// Removes a user that owns no bucket, and its keys.
#[utoipa::path(delete, path = "/admin/v1/users/{name}", operation_id = "remove_user", tag = "users",
    params(("name" = String, Path, description = "The user's name.")),
    responses((status = 204, description = "It is gone, and so are its keys.")))]
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    tracker.remove_user(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
