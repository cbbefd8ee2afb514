//! `/admin/v1/domains/{domain}/classes`: how files of a domain are kept, S3's storage classes.

use axum::{Json, extract::State};
use http::StatusCode;
use mogul_storage::HashType;
use mogul_tracker::{
    Error, Tracker,
    command::{
        Change,
        classes::{CreateClass, UpdateClass},
    },
    model::{Class, ClassName},
    policy::PolicyText,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answer::{Created, place},
    domains::{self, DOMAINS},
    error::Problem,
    extract::{Body, Named, change},
};

/// A digest that a class can keep of its files.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub(super) enum ClassHash {
    /// MD5.
    #[serde(rename = "MD5")]
    Md5,
    /// SHA-1.
    #[serde(rename = "SHA-1")]
    Sha1,
}

impl From<ClassHash> for HashType {
    fn from(hash: ClassHash) -> HashType {
        match hash {
            ClassHash::Md5 => HashType::Md5,
            ClassHash::Sha1 => HashType::Sha1,
        }
    }
}

/// A class.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Class)]
pub(super) struct ClassView {
    /// Its number in the domain; `default` has 0.
    classid: u8,
    /// Its name, unique in the domain, case ignored.
    name: String,
    /// Copies that each file shall have.
    mindevcount: u8,
    /// How they are spread, such as `MultipleHosts()`; empty is the same as that.
    replpolicy: String,
    /// The digest that is kept of each file, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hashtype: Option<ClassHash>,
}

impl From<&Class> for ClassView {
    fn from(class: &Class) -> ClassView {
        ClassView {
            classid: class.id.0,
            name: class.name.to_string(),
            mindevcount: class.mindevcount,
            replpolicy: class.policy.clone(),
            hashtype: class.hash.and_then(shown),
        }
    }
}

/// The table `checksum` knows two digests, and so does a class.
fn shown(hash: HashType) -> Option<ClassHash> {
    match hash {
        HashType::Md5 => Some(ClassHash::Md5),
        HashType::Sha1 => Some(ClassHash::Sha1),
        HashType::Sha256
        | HashType::Sha512
        | HashType::Crc32
        | HashType::Crc32c
        | HashType::Crc64Nvme
        | HashType::XxHash64
        | HashType::XxHash3
        | HashType::XxHash128 => None,
    }
}

/// A class to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClassToAdd)]
pub(super) struct AddBody {
    /// Its name, unique in the domain, case ignored.
    #[schema(min_length = 1, max_length = 50)]
    name: String,
    /// Copies that each file shall have.
    #[schema(minimum = 1, maximum = 255)]
    mindevcount: u8,
    /// How they are spread, such as `MultipleHosts(3)`; `MultipleHosts()` if it is left out.
    replpolicy: Option<String>,
    /// The digest that is kept of each file, if any.
    hashtype: Option<ClassHash>,
}

/// Changes of a class. What is left out stays; `null` clears the policy or the digest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClassChanges)]
pub(super) struct ChangeBody {
    /// Copies that each file shall have. Files that are there follow when fsck looks at them.
    #[schema(minimum = 1, maximum = 255)]
    mindevcount: Option<u8>,
    /// How they are spread.
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>)]
    replpolicy: Change<String>,
    /// The digest that is kept of each file.
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<ClassHash>)]
    hashtype: Change<ClassHash>,
}

/// The classes of a domain, at most 256.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Classes)]
pub(super) struct ClassesView {
    /// The classes by number.
    classes: Vec<ClassView>,
}

/// Lists the classes of a domain by number; there are at most 256.
#[utoipa::path(get, path = "/admin/v1/domains/{domain}/classes", operation_id = "list_classes", tag = "classes",
    params(("domain" = String, Path, description = "The domain's name.")),
    responses((status = 200, description = "The classes.", body = ClassesView)))]
pub(super) async fn list(
    State(tracker): State<Tracker>,
    Named(domain): Named<String>,
) -> Result<Json<ClassesView>, Problem> {
    let domain = domains::found(&tracker, &domain).await?;
    let classes = domain.classes.values().map(ClassView::from).collect();
    Ok(Json(ClassesView { classes }))
}

/// Makes a class of a domain.
#[utoipa::path(post, path = "/admin/v1/domains/{domain}/classes", operation_id = "add_class", tag = "classes",
    params(("domain" = String, Path, description = "The domain's name.")), request_body = AddBody,
    responses((status = 201, description = "The class.", body = ClassView,
        headers(("location" = String, description = "Where the class is.")))))]
pub(super) async fn add(
    State(tracker): State<Tracker>,
    Named(domain): Named<String>,
    Body(body): Body<AddBody>,
) -> Result<Created<ClassView>, Problem> {
    let request = CreateClass {
        domain: domain.clone(),
        name: class_name(&body.name)?,
        mindevcount: body.mindevcount,
        policy: body.replpolicy.as_deref().map(policy).transpose()?,
        hash: body.hashtype.map(HashType::from),
    };
    tracker.create_class(request).await?;
    let made = found(&tracker, &domain, &body.name).await?;
    let collection = place(DOMAINS, &domain) + "/classes";
    Ok(Created(place(&collection, &body.name), made))
}

/// Finds a class of a domain by name, case ignored.
#[utoipa::path(get, path = "/admin/v1/domains/{domain}/classes/{name}", operation_id = "find_class", tag = "classes",
    params(("domain" = String, Path, description = "The domain's name."),
        ("name" = String, Path, description = "The class's name.")),
    responses((status = 200, description = "The class.", body = ClassView)))]
pub(super) async fn find(
    State(tracker): State<Tracker>,
    Named((domain, name)): Named<(String, String)>,
) -> Result<Json<ClassView>, Problem> {
    Ok(Json(found(&tracker, &domain, &name).await?))
}

/// Changes a class of a domain; `default` gets a row if it had none.
#[utoipa::path(patch, path = "/admin/v1/domains/{domain}/classes/{name}", operation_id = "change_class", tag = "classes",
    params(("domain" = String, Path, description = "The domain's name."),
        ("name" = String, Path, description = "The class's name.")), request_body = ChangeBody,
    responses((status = 200, description = "The class as it is now.", body = ClassView)))]
pub(super) async fn modify(
    State(tracker): State<Tracker>,
    Named((domain, name)): Named<(String, String)>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<ClassView>, Problem> {
    let policy = match body.replpolicy {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(text) => Change::Set(policy(&text)?),
    };
    let hash = match body.hashtype {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(hash) => Change::Set(hash.into()),
    };
    let request = UpdateClass {
        domain: domain.clone(),
        name: ClassName::parse(&name).ok_or(Error::UnknownClass)?,
        mindevcount: body.mindevcount,
        policy,
        hash,
    };
    tracker.update_class(request).await?;
    Ok(Json(found(&tracker, &domain, &name).await?))
}

/// Removes a class that no file is of.
#[utoipa::path(delete, path = "/admin/v1/domains/{domain}/classes/{name}", operation_id = "remove_class", tag = "classes",
    params(("domain" = String, Path, description = "The domain's name."),
        ("name" = String, Path, description = "The class's name.")),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn remove(
    State(tracker): State<Tracker>,
    Named((domain, name)): Named<(String, String)>,
) -> Result<StatusCode, Problem> {
    tracker.delete_class(&domain, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn class_name(name: &str) -> Result<ClassName, Problem> {
    let reason = || format!("a class has a name of 1 to {} characters", ClassName::CHARS_MAX);
    ClassName::parse(name).ok_or_else(|| Problem::invalid("name", reason()))
}

fn policy(text: &str) -> Result<PolicyText, Problem> {
    PolicyText::parse(text).map_err(|error| Problem::invalid("replpolicy", error.to_string()))
}

async fn found(tracker: &Tracker, domain: &str, name: &str) -> Result<ClassView, Error> {
    let domain = domains::found(tracker, domain).await?;
    Ok(ClassView::from(&tracker.class_in(&domain, name).await?))
}
