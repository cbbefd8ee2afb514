//! `create_domain`, `delete_domain`, `get_domains` (mogilefs.md §4.3).

use mogul_tracker::{Error, model::DomainName, view::DomainView};

use super::{
    Face, classes,
    error::{Code, Refusal},
    line::{Answer, Args},
};

/// `create_domain`: makes a domain.
pub(super) async fn create_domain(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let text = args.required("domain", Code::NoDomain)?;
    let reason = || format!("A domain has a name of 1 to {} characters", DomainName::CHARS_MAX);
    let name = DomainName::parse(text).ok_or_else(|| Refusal::with(Code::Failure, reason()))?;
    face.tracker().create_domain(&name).await?;
    Ok(Answer::new().pair("domain", name))
}

/// `delete_domain`: removes a domain without files and classes.
pub(super) async fn delete_domain(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let name = args.required("domain", Code::NoDomain)?;
    face.tracker().delete_domain(name).await.map_err(in_domain)?;
    Ok(Answer::new().pair("domain", name))
}

/// `get_domains`: all domains with their classes.
pub(super) async fn get_domains(face: &Face, _args: &Args) -> Result<Answer, Refusal> {
    let domains = face.tracker().domains().await;
    let mut answer = Answer::new().pair("domains", domains.len());
    for (number, domain) in (1..).zip(&domains) {
        answer = listed(answer, number, domain);
    }
    Ok(answer)
}

fn listed(answer: Answer, number: usize, domain: &DomainView) -> Answer {
    let prefix = format!("domain{number}");
    let mut answer = answer
        .pair(prefix.clone(), &domain.bucket.domain.name)
        .pair(format!("{prefix}classes"), domain.classes.len());
    for (number, class) in (1..).zip(domain.classes.values()) {
        answer = classes::listed(answer, &format!("{prefix}class{number}"), class);
    }
    answer
}

/// What commands that change domains and classes answer where those that store files answer otherwise.
pub(super) fn in_domain(error: Error) -> Refusal {
    if matches!(error, Error::UnknownDomain) {
        return Code::DomainNotFound.into();
    }
    error.into()
}
