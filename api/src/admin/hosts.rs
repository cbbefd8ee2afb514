//! `/admin/v1/hosts`: the machines that devices are in.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_tracker::{
    Error, Tracker,
    command::{
        Change,
        hosts::{CreateHost, UpdateHost},
    },
    model::{Host, HostStatus},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Created, PageQuery, next, place},
    error::Problem,
    extract::{Body, Named, Parameters, change},
};

/// Where the hosts are.
const HOSTS: &str = "/admin/v1/hosts";

/// The state of a host.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum HostState {
    /// In use.
    Alive,
    /// Away for now.
    Down,
    /// Gone for good.
    Dead,
    /// Read, not written.
    ReadOnly,
}

impl From<HostState> for HostStatus {
    fn from(state: HostState) -> HostStatus {
        match state {
            HostState::Alive => HostStatus::Alive,
            HostState::Down => HostStatus::Down,
            HostState::Dead => HostStatus::Dead,
            HostState::ReadOnly => HostStatus::ReadOnly,
        }
    }
}

impl From<HostStatus> for HostState {
    fn from(status: HostStatus) -> HostState {
        match status {
            HostStatus::Alive => HostState::Alive,
            HostStatus::Down => HostState::Down,
            HostStatus::Dead => HostState::Dead,
            HostStatus::ReadOnly => HostState::ReadOnly,
        }
    }
}

/// A host.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Host)]
pub(super) struct HostView {
    /// Its number, for life.
    hostid: u32,
    /// Its name, unique.
    name: String,
    /// The state it was set to.
    status: HostState,
    /// Its address, unique: IPv4 or a short name.
    ip: String,
    /// The port of its storage node.
    port: u16,
    /// The port for reads, if another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    get_port: Option<u16>,
    /// Its address for clients of another network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    alt_ip: Option<String>,
    /// The network whose clients use `alt_ip`, as `10.0.0.0/8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    alt_mask: Option<String>,
}

impl From<Host> for HostView {
    fn from(host: Host) -> HostView {
        HostView {
            hostid: host.id.0,
            name: host.name,
            status: host.status.into(),
            ip: host.ip,
            port: host.port,
            get_port: host.get_port,
            alt_ip: host.alt_ip,
            alt_mask: host.alt_mask,
        }
    }
}

/// A host to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HostToAdd)]
pub(super) struct AddBody {
    /// Its name, unique.
    #[schema(min_length = 1, max_length = 40)]
    name: String,
    /// Its address, unique: IPv4 or a short name.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,15}$")]
    ip: String,
    /// The port of its storage node.
    #[schema(minimum = 1, maximum = 65535)]
    port: u16,
    /// Its state; `down` if it is left out.
    status: Option<HostState>,
    /// The port for reads, if another.
    #[schema(minimum = 1, maximum = 65535)]
    get_port: Option<u16>,
    /// Its address for clients of another network, unique.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,15}$")]
    alt_ip: Option<String>,
    /// The network whose clients use `alt_ip`, as `10.0.0.0/8`.
    #[schema(min_length = 1, max_length = 18)]
    alt_mask: Option<String>,
}

/// Changes of a host. What is left out stays; what a host may lack is cleared by `null`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HostChanges)]
pub(super) struct ChangeBody {
    /// Its state.
    status: Option<HostState>,
    /// Its address.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,15}$")]
    ip: Option<String>,
    /// The port of its storage node.
    #[schema(minimum = 1, maximum = 65535)]
    port: Option<u16>,
    /// The port for reads, if another.
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 65535)]
    get_port: Change<u16>,
    /// Its address for clients of another network.
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9._:-]{1,15}$")]
    alt_ip: Change<String>,
    /// The network whose clients use `alt_ip`.
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 18)]
    alt_mask: Change<String>,
}

/// A page of hosts by number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hosts)]
pub(super) struct HostsPage {
    /// The hosts.
    hosts: Vec<HostView>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Lists the hosts by number.
#[utoipa::path(get, path = "/admin/v1/hosts", operation_id = "list_hosts", tag = "hosts", params(PageQuery),
    responses((status = 200, description = "A page of hosts.", body = HostsPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<HostsPage>, Problem> {
    let after = query.after_number::<u32>()?;
    let page = query.cut(tracker.hosts().await, after.as_ref(), |host| host.id.0)?;
    Ok(Json(HostsPage {
        next: next(&page, |host| host.id.0),
        hosts: page.entries.into_iter().map(HostView::from).collect(),
    }))
}

/// Makes a host.
#[utoipa::path(post, path = "/admin/v1/hosts", operation_id = "add_host", tag = "hosts", request_body = AddBody,
    responses((status = 201, description = "The host.", body = HostView,
        headers(("location" = String, description = "Where the host is.")))))]
pub(super) async fn add(
    State(tracker): State<Tracker>,
    Body(body): Body<AddBody>,
) -> Result<Created<HostView>, Problem> {
    let name = body.name.clone();
    let request = CreateHost {
        name: body.name,
        ip: body.ip,
        port: body.port,
        status: body.status.map_or(HostStatus::Down, HostStatus::from),
        get_port: body.get_port,
        alt_ip: body.alt_ip,
        alt_mask: body.alt_mask,
    };
    tracker.create_host(request).await?;
    Ok(Created(place(HOSTS, &name), found(&tracker, &name).await?))
}

/// Finds a host by name.
#[utoipa::path(get, path = "/admin/v1/hosts/{name}", operation_id = "find_host", tag = "hosts",
    params(("name" = String, Path, description = "The host's name.")),
    responses((status = 200, description = "The host.", body = HostView)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<Json<HostView>, Problem> {
    Ok(Json(found(&tracker, &name).await?))
}

/// Changes a host; its devices are looked at anew.
#[utoipa::path(patch, path = "/admin/v1/hosts/{name}", operation_id = "change_host", tag = "hosts",
    params(("name" = String, Path, description = "The host's name.")), request_body = ChangeBody,
    responses((status = 200, description = "The host as it is now.", body = HostView)))]
pub(super) async fn modify(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<HostView>, Problem> {
    let request = UpdateHost {
        name: name.clone(),
        status: body.status.map(HostStatus::from),
        ip: body.ip,
        port: body.port,
        get_port: body.get_port,
        alt_ip: body.alt_ip,
        alt_mask: body.alt_mask,
    };
    tracker.update_host(request).await?;
    Ok(Json(found(&tracker, &name).await?))
}

/// Removes a host that has no devices, dead ones included.
#[utoipa::path(delete, path = "/admin/v1/hosts/{name}", operation_id = "remove_host", tag = "hosts",
    params(("name" = String, Path, description = "The host's name.")),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    tracker.delete_host(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn found(tracker: &Tracker, name: &str) -> Result<HostView, Error> {
    let host = tracker.hosts().await.into_iter().find(|host| host.name == name);
    host.map(HostView::from).ok_or(Error::UnknownHost)
}
