//! `/admin/v1/domains`: namespaces of files, which are S3's buckets.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_tracker::{Error, Tracker, model::DomainName, view::DomainView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Created, PageQuery, next, place},
    classes::ClassView,
    error::Problem,
    extract::{Body, Named, Parameters},
};

/// Where the domains are.
pub(super) const DOMAINS: &str = "/admin/v1/domains";

/// A domain with its classes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Domain)]
pub(super) struct DomainDocument {
    /// Its number, for life.
    dmid: u16,
    /// Its name, unique: that of the bucket, too.
    name: String,
    /// The id of the user who owns the bucket: 64 hex digits.
    owner: String,
    /// Its classes; `default` is always there.
    classes: Vec<ClassView>,
}

impl From<&DomainView> for DomainDocument {
    fn from(domain: &DomainView) -> DomainDocument {
        DomainDocument {
            dmid: domain.bucket.domain.id.0,
            name: domain.bucket.domain.name.to_string(),
            owner: domain.bucket.owner.0.clone(),
            classes: domain.classes.values().map(ClassView::from).collect(),
        }
    }
}

/// A domain to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DomainToAdd)]
pub(super) struct AddBody {
    /// Its name, unique: at most 255 bytes without control characters. Names that S3 would not allow are reached by path.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
}

/// A page of domains by number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Domains)]
pub(super) struct DomainsPage {
    /// The domains.
    domains: Vec<DomainDocument>,
    /// What to give as `after` for the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Lists the domains with their classes, by number.
#[utoipa::path(get, path = "/admin/v1/domains", operation_id = "list_domains", tag = "domains", params(PageQuery),
    responses((status = 200, description = "A page of domains.", body = DomainsPage)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<DomainsPage>, Problem> {
    let after = query.after_number::<u16>()?;
    let number = |domain: &Arc<DomainView>| domain.bucket.domain.id.0;
    let page = query.cut(tracker.domains().await, after.as_ref(), number)?;
    Ok(Json(DomainsPage {
        next: next(&page, number),
        domains: page.entries.iter().map(|domain| (&**domain).into()).collect(),
    }))
}

/// Makes a domain. It belongs to root, and is a bucket at once.
#[utoipa::path(post, path = "/admin/v1/domains", operation_id = "add_domain", tag = "domains", request_body = AddBody,
    responses((status = 201, description = "The domain.", body = DomainDocument,
        headers(("location" = String, description = "Where the domain is.")))))]
pub(super) async fn add(
    State(tracker): State<Tracker>,
    Body(body): Body<AddBody>,
) -> Result<Created<DomainDocument>, Problem> {
    let name = DomainName::parse(&body.name).ok_or(Error::InvalidDomainName)?;
    tracker.create_domain(&name).await?;
    let made = found(&tracker, name.as_str()).await?;
    Ok(Created(place(DOMAINS, name.as_str()), (&*made).into()))
}

/// Finds a domain by name.
#[utoipa::path(get, path = "/admin/v1/domains/{domain}", operation_id = "find_domain", tag = "domains",
    params(("domain" = String, Path, description = "The domain's name.")),
    responses((status = 200, description = "The domain.", body = DomainDocument)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<Json<DomainDocument>, Problem> {
    Ok(Json((&*found(&tracker, &name).await?).into()))
}

/// Removes a domain that has neither files nor classes besides `default`.
#[utoipa::path(delete, path = "/admin/v1/domains/{domain}", operation_id = "remove_domain", tag = "domains",
    params(("domain" = String, Path, description = "The domain's name.")),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    tracker.delete_domain(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The domain of a name, as the database has it now.
pub(super) async fn found(tracker: &Tracker, name: &str) -> Result<Arc<DomainView>, Error> {
    let all = tracker.domains().await;
    let found = all
        .into_iter()
        .find(|domain| domain.bucket.domain.name.as_str() == name);
    found.ok_or(Error::UnknownDomain)
}
