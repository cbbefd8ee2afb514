//! `/admin/v1/tokens`: bearer tokens for tools that cannot sign. A token speaks as root, on the admin port only.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_tracker::{
    Tracker,
    model::{BearerToken, Token},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Created, PageQuery, next, place},
    error::Problem,
    extract::{Body, Named, Parameters},
};

/// Where the tokens are.
const TOKENS: &str = "/admin/v1/tokens";

/// A token, without its secret: that is told once, when the token is made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    /// Its name.
    name: String,
    /// When it was made, in Unix milliseconds.
    created_ms: i64,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> TokenView {
        TokenView {
            name: token.name,
            created_ms: token.created.millis(),
        }
    }
}

/// A token that was just made, with its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewToken)]
pub(super) struct NewTokenView {
    /// Its name.
    name: String,
    /// What `Authorization: Bearer` carries. It is told this once.
    token: String,
    /// When it was made, in Unix milliseconds.
    created_ms: i64,
}

impl From<(Token, BearerToken)> for NewTokenView {
    fn from((token, text): (Token, BearerToken)) -> NewTokenView {
        NewTokenView {
            name: token.name,
            token: text.0,
            created_ms: token.created.millis(),
        }
    }
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenToAdd)]
pub(super) struct AddBody {
    /// Its name, unique: 1 to 64 of `A-Z a-z 0-9 + = , . @ _ -`.
    #[schema(pattern = "^[A-Za-z0-9+=,.@_-]{1,64}$")]
    name: String,
}

/// A page of tokens by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct TokensPage {
    /// The tokens.
    tokens: Vec<TokenView>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Lists the tokens by name, without their secrets.
#[utoipa::path(get, path = "/admin/v1/tokens", operation_id = "list_tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, description = "A page of tokens.", body = TokensPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<TokensPage>, Problem> {
    let page = tracker.list_tokens(query.after(), query.limit()?).await?;
    Ok(Json(TokensPage {
        next: next(&page, |token| token.name.clone()),
        tokens: page.entries.into_iter().map(TokenView::from).collect(),
    }))
}

/// Makes a token and tells its text, this once.
#[utoipa::path(post, path = "/admin/v1/tokens", operation_id = "add_token", tag = "tokens", request_body = AddBody,
    responses((status = 201, description = "The token with its text.", body = NewTokenView,
        headers(("location" = String, description = "Where the token is.")))))]
pub(super) async fn add(
    State(tracker): State<Tracker>,
    Body(body): Body<AddBody>,
) -> Result<Created<NewTokenView>, Problem> {
    let added = tracker.add_token(&body.name).await?;
    Ok(Created(place(TOKENS, &body.name), added.into()))
}

/// Removes a token: whoever bears it is refused from now on.
#[utoipa::path(delete, path = "/admin/v1/tokens/{name}", operation_id = "remove_token", tag = "tokens",
    params(("name" = String, Path, description = "The token's name.")),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    tracker.remove_token(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
