//! `/admin/v1/keys` and the keys of a user. No listing has a secret: that is told once, when the key is made.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_tracker::{
    Tracker,
    command::buckets::Page,
    model::{AccessKey, User},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    answer::{Created, PageQuery, next, place},
    error::Problem,
    extract::{Named, OptionalBody, Parameters},
    users::{KeyBody, NewKeyView},
};

/// Where the keys are.
const KEYS: &str = "/admin/v1/keys";

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyView {
    /// The id that requests name.
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

/// A page of keys by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Keys)]
pub(super) struct KeysPage {
    /// The keys.
    keys: Vec<KeyView>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl KeysPage {
    fn of(page: Page<(AccessKey, User)>) -> Json<KeysPage> {
        Json(KeysPage {
            next: next(&page, |(key, _)| key.0.clone()),
            keys: page.entries.into_iter().map(KeyView::from).collect(),
        })
    }
}

/// Lists all keys but root's own, which is not in the database.
#[utoipa::path(get, path = "/admin/v1/keys", operation_id = "list_keys", tag = "keys", params(PageQuery),
    responses((status = 200, description = "A page of keys.", body = KeysPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<KeysPage>, Problem> {
    let page = tracker.list_keys(None, query.after(), query.limit()?).await?;
    Ok(KeysPage::of(page))
}

/// Lists the keys of one user.
#[utoipa::path(get, path = "/admin/v1/users/{name}/keys", operation_id = "list_user_keys", tag = "keys",
    params(("name" = String, Path, description = "The user's name."), PageQuery),
    responses((status = 200, description = "A page of its keys.", body = KeysPage)))]
pub(super) async fn list_of(
    State(tracker): State<Tracker>,
    Named(user): Named<String>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<KeysPage>, Problem> {
    let page = tracker
        .list_keys(Some(&user), query.after(), query.limit()?)
        .await?;
    Ok(KeysPage::of(page))
}

/// Adds a key to a user; made by the server if the request brings none.
#[utoipa::path(post, path = "/admin/v1/users/{name}/keys", operation_id = "add_key", tag = "keys",
    params(("name" = String, Path, description = "The user's name.")), request_body = Option<KeyBody>,
    responses((status = 201, description = "The key with its secret.", body = NewKeyView,
        headers(("location" = String, description = "Where the key is.")))))]
pub(super) async fn add(
    State(tracker): State<Tracker>,
    Named(user): Named<String>,
    OptionalBody(body): OptionalBody<KeyBody>,
) -> Result<Created<NewKeyView>, Problem> {
    let credential = tracker.add_key(&user, body.into_key()?).await?;
    Ok(Created(place(KEYS, &credential.access_key.0), credential.into()))
}

/// Finds a key by its id.
#[utoipa::path(get, path = "/admin/v1/keys/{access_key}", operation_id = "find_key", tag = "keys",
    params(("access_key" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The key, without its secret.", body = KeyView)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named(access_key): Named<String>,
) -> Result<Json<KeyView>, Problem> {
    let credential = tracker.credential(&AccessKey(access_key)).await?;
    Ok(Json((credential.access_key, credential.user).into()))
}

/// Removes a key.
#[utoipa::path(delete, path = "/admin/v1/keys/{access_key}", operation_id = "remove_key", tag = "keys",
    params(("access_key" = String, Path, description = "The key's id.")),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Named(access_key): Named<String>,
) -> Result<StatusCode, Problem> {
    tracker.remove_key(&AccessKey(access_key)).await?;
    Ok(StatusCode::NO_CONTENT)
}
