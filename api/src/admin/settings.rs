//! `/admin/v1/settings`: what all trackers of a database share, `MogileFS`'s `server_settings`.

use axum::{Json, extract::State};
use mogul_tracker::Tracker;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{PageQuery, next},
    error::Problem,
    extract::{Body, Named, Parameters},
};

/// A setting.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Setting)]
pub(super) struct SettingView {
    /// Its key.
    key: String,
    /// Its value; empty if it has none.
    value: String,
}

impl From<(String, String)> for SettingView {
    fn from((key, value): (String, String)) -> SettingView {
        SettingView { key, value }
    }
}

/// The value that a setting shall have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SettingToSet)]
pub(super) struct SetBody {
    /// The value: what it may be depends on the key.
    value: String,
}

/// A page of settings by key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settings)]
pub(super) struct SettingsPage {
    /// The settings.
    settings: Vec<SettingView>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Lists the settings that have a value, by key.
#[utoipa::path(get, path = "/admin/v1/settings", operation_id = "list_settings", tag = "settings", params(PageQuery),
    responses((status = 200, description = "A page of settings.", body = SettingsPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<SettingsPage>, Problem> {
    let after = query.after().map(str::to_owned);
    let all = tracker.server_settings().await?;
    let page = query.cut(all, after.as_ref(), |(key, _)| key.clone())?;
    Ok(Json(SettingsPage {
        next: next(&page, |(key, _)| key.clone()),
        settings: page.entries.into_iter().map(SettingView::from).collect(),
    }))
}

/// Tells the value of a setting; empty if it has none.
#[utoipa::path(get, path = "/admin/v1/settings/{key}", operation_id = "find_setting", tag = "settings",
    params(("key" = String, Path, description = "The setting's key.")),
    responses((status = 200, description = "The setting.", body = SettingView)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named(key): Named<String>,
) -> Result<Json<SettingView>, Problem> {
    let value = tracker.server_setting(&key).await?.unwrap_or_default();
    Ok(Json(SettingView { key, value }))
}

/// Sets a setting that operators may write, or removes it where that is what the value says.
#[utoipa::path(put, path = "/admin/v1/settings/{key}", operation_id = "set_setting", tag = "settings",
    params(("key" = String, Path, description = "The setting's key.")), request_body = SetBody,
    responses((status = 200, description = "The setting as it is stored.", body = SettingView)))]
pub(super) async fn set(
    State(tracker): State<Tracker>,
    Named(key): Named<String>,
    Body(body): Body<SetBody>,
) -> Result<Json<SettingView>, Problem> {
    tracker.set_server_setting(&key, &body.value).await?;
    let value = tracker.server_setting(&key).await?.unwrap_or_default();
    Ok(Json(SettingView { key, value }))
}
