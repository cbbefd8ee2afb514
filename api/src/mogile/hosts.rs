//! `create_host`, `update_host`, `delete_host`, `get_hosts` (mogilefs.md §4.4).

use mogul_tracker::{
    Error,
    command::{
        Change,
        hosts::{CreateHost, UpdateHost},
    },
    model::{Host, HostId, HostStatus},
};

use super::{
    Face,
    error::{Code, Refusal},
    line::{Answer, Args},
};

/// `create_host`: makes a host, down if its state is not given.
pub(super) async fn create_host(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let name = args.required("host", Code::NoHost)?;
    if face.tracker().hosts().await.iter().any(|host| host.name == name) {
        return Err(Code::HostExists.into());
    }
    let request = CreateHost {
        name: name.to_owned(),
        ip: args.required("ip", Code::NoIp)?.to_owned(),
        port: port(args, "port")?.ok_or(Code::NoPort)?,
        status: status(args)?.unwrap_or(HostStatus::Down),
        get_port: port(args, "getport")?,
        alt_ip: filled(args, "altip")?,
        alt_mask: filled(args, "altmask")?,
    };
    Ok(answer(face.tracker().create_host(request).await?, name))
}

/// `update_host`: changes what is given; what is given empty is taken away.
pub(super) async fn update_host(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let name = args.required("host", Code::NoHost)?;
    if face.tracker().hosts().await.iter().all(|host| host.name != name) {
        return Err(Code::HostNotFound.into());
    }
    let request = UpdateHost {
        name: name.to_owned(),
        status: status(args)?,
        ip: filled(args, "ip")?,
        port: port(args, "port")?,
        get_port: change(args, "getport", port(args, "getport")?),
        alt_ip: change(args, "altip", filled(args, "altip")?),
        alt_mask: change(args, "altmask", filled(args, "altmask")?),
    };
    match face.tracker().update_host(request).await {
        Ok(id) => Ok(answer(id, name)),
        Err(Error::UnknownHost) => Err(Code::HostNotFound.into()),
        Err(other) => Err(other.into()),
    }
}

/// `delete_host`: removes a host that has no devices.
pub(super) async fn delete_host(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let name = args.required("host", Code::UnknownHost)?;
    face.tracker().delete_host(name).await?;
    Ok(Answer::new())
}

/// `get_hosts`: all hosts, or the one of a number.
pub(super) async fn get_hosts(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let mut hosts = face.tracker().hosts().await;
    if args.is_true("hostid") {
        let wanted = args.number("hostid");
        hosts.retain(|host| Some(i64::from(host.id.0)) == wanted);
    }
    let mut answer = Answer::new().pair("hosts", hosts.len());
    for (number, host) in (1..).zip(&hosts) {
        answer = listed(answer, number, host);
    }
    Ok(answer)
}

fn listed(answer: Answer, number: usize, host: &Host) -> Answer {
    let name = |field: &str| format!("host{number}_{field}");
    let get_port = host.get_port.map(|port| port.to_string());
    answer
        .pair(name("hostid"), host.id.0)
        .pair(name("status"), host.status.as_str())
        .pair(name("hostname"), &host.name)
        .pair(name("hostip"), &host.ip)
        .pair(name("http_port"), host.port)
        .pair(name("http_get_port"), get_port.unwrap_or_default())
        .pair(name("altip"), host.alt_ip.as_deref().unwrap_or_default())
        .pair(name("altmask"), host.alt_mask.as_deref().unwrap_or_default())
}

fn answer(id: HostId, name: &str) -> Answer {
    Answer::new().pair("hostid", id.0).pair("hostname", name)
}

fn status(args: &Args) -> Result<Option<HostStatus>, Refusal> {
    match args.text("status")? {
        None | Some("") => Ok(None),
        Some(name) => Ok(Some(HostStatus::parse(name).ok_or(Code::UnknownState)?)),
    }
}

/// A port; `None` if it is not given, empty or `0`.
fn port(args: &Args, name: &str) -> Result<Option<u16>, Refusal> {
    let number = args.number(name).filter(|_| args.is_true(name));
    let refuse = |_| Refusal::with(Code::BadParams, format!("Invalid {name}: it must be 1 to 65535"));
    match number.map(u16::try_from).transpose().map_err(refuse)? {
        Some(0) => Err(Refusal::with(
            Code::BadParams,
            format!("Invalid {name}: it must be 1 to 65535"),
        )),
        port => Ok(port),
    }
}

/// A text; `None` if it is not given or empty.
fn filled(args: &Args, name: &str) -> Result<Option<String>, Refusal> {
    let text = args.text(name)?.filter(|text| !text.is_empty());
    Ok(text.map(str::to_owned))
}

/// What an argument makes of a value that a host may lack.
fn change<T>(args: &Args, name: &str, value: Option<T>) -> Change<T> {
    match (args.bytes(name), value) {
        (None, _) => Change::Keep,
        (Some(_), None) => Change::Clear,
        (Some(_), Some(value)) => Change::Set(value),
    }
}
