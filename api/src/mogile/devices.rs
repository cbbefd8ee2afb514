//! `create_device`, `get_devices`, `set_state`, `set_weight` (mogilefs.md §4.4).

use mogul_storage::{DevId, utilization::Utilization};
use mogul_tracker::{
    Error,
    command::devices::{CreateDevice, DeviceChanges, DeviceRef, HostRef},
    model::{DeviceStatus, HostId},
    view::{DeviceView, Observed},
};

use super::{
    Face,
    error::{Code, Refusal},
    line::{Answer, Args},
};

/// `create_device`: makes a device on a host, alive if its state is not given.
pub(super) async fn create_device(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let status = match args.text("state")? {
        None | Some("") => DeviceStatus::Alive,
        Some(name) => DeviceStatus::parse(name).ok_or(Code::InvalidState)?,
    };
    let device = args.text("devid")?.and_then(devid).ok_or(Code::InvalidDevid)?;
    let (host, unknown) = match (args.number("hostid"), args.text("hostname")?) {
        (Some(id), _) if args.is_true("hostid") => {
            let id = u32::try_from(id).map_err(|_| Code::UnknownHostid)?;
            (HostRef::Id(HostId(id)), Code::UnknownHostid)
        }
        (_, Some(name)) if !name.is_empty() => (HostRef::Name(name.to_owned()), Code::UnknownHost),
        _ => return Err(Code::BadArgs.into()),
    };
    let request = CreateDevice { device, host, status };
    match face.tracker().create_device(request).await {
        Ok(()) => Ok(Answer::new()),
        Err(Error::UnknownHost) => Err(unknown.into()),
        Err(other) => Err(other.into()),
    }
}

/// `set_state`: gives a device of a host a state.
pub(super) async fn set_state(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let at = device_of(args)?;
    let name = args.required("state", Code::BadParams)?;
    let status = DeviceStatus::parse(name).ok_or(Code::BadParams)?;
    let changes = DeviceChanges::status(status);
    face.tracker().change_device(at, changes).await?;
    Ok(Answer::new())
}

/// `set_weight`: gives a device of a host a weight.
pub(super) async fn set_weight(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let at = device_of(args)?;
    let weight = args.text("weight")?.and_then(|text| text.parse().ok());
    let weight = weight.ok_or(Code::BadParams)?;
    let changes = DeviceChanges::weight(weight);
    face.tracker().change_device(at, changes).await?;
    Ok(Answer::new())
}

/// `get_devices`: all devices, or the one of a number.
pub(super) async fn get_devices(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let mut devices = face.tracker().devices().await;
    if args.is_true("devid") {
        let wanted = args.number("devid");
        devices.retain(|view| Some(i64::from(view.device.id.get())) == wanted);
    }
    let mut answer = Answer::new().pair("devices", devices.len());
    for (number, device) in (1..).zip(&devices) {
        answer = listed(
            answer,
            number,
            device,
            face.tracker().utilization(device.device.id),
        );
    }
    Ok(answer)
}

fn listed(answer: Answer, number: usize, view: &DeviceView, utilization: Option<Utilization>) -> Answer {
    let row = &view.device;
    let name = |field: &str| format!("dev{number}_{field}");
    let text = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let free = row.mb_total.zip(row.mb_used);
    let free = free.map(|(total, used)| total.saturating_sub(used));
    // Ours, and only where there is something to tell.
    let answer = match &view.refused {
        Some(refusal) => answer.pair(name("refused"), refusal.to_string()),
        None => answer,
    };
    let answer = match view.absent {
        Some(seen) => answer.pair(name("absent_since"), seen.secs()),
        None => answer,
    };
    answer
        .pair(name("devid"), row.id)
        .pair(name("hostid"), row.host.0)
        .pair(name("status"), row.status.as_str())
        .pair(name("weight"), row.weight)
        .pair(name("mb_total"), text(row.mb_total))
        .pair(name("mb_used"), text(row.mb_used))
        // Always empty in the original, whose cache drops it; tools do without.
        .pair(name("mb_asof"), "")
        .pair(name("mb_free"), text(free))
        .pair(name("observed_state"), observed(view.observed))
        .pair(
            name("utilization"),
            utilization.map_or_else(String::new, |utilization| utilization.to_string()),
        )
        .pair(name("reject_bad_md5"), text(view.rejects_bad_md5.map(u64::from)))
}

fn observed(state: Observed) -> &'static str {
    match state {
        Observed::Unknown => "",
        Observed::Unreachable => "unreachable",
        Observed::Readable => "readable",
        Observed::Writable => "writeable",
    }
}

/// The device that is to be changed, and the host it must be in.
pub(super) fn device_of(args: &Args) -> Result<DeviceRef, Refusal> {
    let host = args.required("host", Code::BadParams)?.to_owned();
    let device = args.required("device", Code::BadParams)?;
    Ok(DeviceRef {
        device: devid(device).ok_or(Code::NoDevice)?,
        host: Some(host),
    })
}

fn devid(text: &str) -> Option<DevId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    DevId::new(text.parse().ok().filter(|_| digits)?)
}
