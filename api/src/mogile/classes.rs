//! `create_class`, `update_class`, `delete_class` (mogilefs.md §4.3).

use mogul_storage::HashType;
use mogul_tracker::{
    Error,
    command::{
        Change,
        classes::{CreateClass, UpdateClass},
    },
    model::{Class, ClassName},
    policy::PolicyText,
};

use super::{
    Face,
    domains::in_domain,
    error::{Code, Refusal},
    line::{Answer, Args},
};

/// What a class without a policy of its own is shown to have.
const DEFAULT_POLICY: &str = "MultipleHosts()";

/// `create_class`: makes a class of a domain.
pub(super) async fn create_class(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let wanted = Wanted::of(args)?;
    let hash = wanted.hash.as_set().copied();
    let request = CreateClass {
        domain: wanted.domain.to_owned(),
        name: wanted.name()?,
        mindevcount: wanted.mindevcount()?,
        policy: wanted.policy.clone(),
        hash,
    };
    face.tracker().create_class(request).await.map_err(in_domain)?;
    Ok(wanted.answer())
}

/// `update_class`: changes a class of a domain. An empty policy leaves the one it has.
pub(super) async fn update_class(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let wanted = Wanted::of(args)?;
    let request = UpdateClass {
        domain: wanted.domain.to_owned(),
        name: wanted.name()?,
        mindevcount: Some(wanted.mindevcount()?),
        policy: wanted.policy.clone().map_or(Change::Keep, Change::Set),
        hash: wanted.hash,
    };
    face.tracker().update_class(request).await.map_err(in_domain)?;
    Ok(wanted.answer())
}

/// `delete_class`: removes a class without files.
pub(super) async fn delete_class(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let domain = args.required("domain", Code::NoDomain)?;
    // A missing name is one that no class has, as in the original.
    let class = args.text("class")?.unwrap_or_default();
    face.tracker()
        .delete_class(domain, class)
        .await
        .map_err(in_domain)?;
    Ok(Answer::new().pair("class", class).pair("domain", domain))
}

/// A class as `get_domains` lists it.
pub(super) fn listed(answer: Answer, prefix: &str, class: &Class) -> Answer {
    let policy = if class.policy.is_empty() {
        DEFAULT_POLICY
    } else {
        &class.policy
    };
    answer
        .pair(format!("{prefix}name"), &class.name)
        .pair(format!("{prefix}mindevcount"), class.mindevcount)
        .pair(format!("{prefix}replpolicy"), policy)
        .pair(
            format!("{prefix}hashtype"),
            class.hash.map_or("NONE", HashType::mogile_name),
        )
}

/// The arguments of a class, tested in the original's order.
struct Wanted<'a> {
    domain: &'a str,
    name: &'a str,
    mindevcount: i64,
    policy: Option<PolicyText>,
    hash: Change<HashType>,
}

impl<'a> Wanted<'a> {
    fn of(args: &'a Args) -> Result<Wanted<'a>, Refusal> {
        let domain = args.required("domain", Code::NoDomain)?;
        let name = args.required("class", Code::NoClass)?;
        let mindevcount = args.number("mindevcount").filter(|count| *count >= 1);
        let mindevcount = mindevcount.ok_or(Code::InvalidMindevcount)?;
        let policy = args.text("replpolicy")?.filter(|text| !text.is_empty());
        let policy = policy.map(PolicyText::parse).transpose().map_err(Error::from)?;
        let hash = match args.text("hashtype")? {
            None | Some("") => Change::Keep,
            Some("NONE") => Change::Clear,
            Some(name) => Change::Set(HashType::of_mogile(name).ok_or(Code::InvalidHashtype)?),
        };
        Ok(Wanted {
            domain,
            name,
            mindevcount,
            policy,
            hash,
        })
    }

    /// The name, if a class can have it.
    fn name(&self) -> Result<ClassName, Refusal> {
        let reason = || format!("A class has a name of 1 to {} characters", ClassName::CHARS_MAX);
        ClassName::parse(self.name).ok_or_else(|| Refusal::with(Code::Failure, reason()))
    }

    /// The number of copies, if a class can have so many (`class.mindevcount` is a TINYINT).
    fn mindevcount(&self) -> Result<u8, Refusal> {
        let reason = || format!("The mindevcount must be at most {}", u8::MAX);
        u8::try_from(self.mindevcount).map_err(|_| Refusal::with(Code::Failure, reason()))
    }

    fn answer(&self) -> Answer {
        Answer::new()
            .pair("class", self.name)
            .pair("mindevcount", self.mindevcount)
            .pair("domain", self.domain)
    }
}
