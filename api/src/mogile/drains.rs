//! Moving everything off a device or a host. The original has no such commands: there, `drain` only keeps new files away.

use mogul_tracker::command::drain::DrainTarget;

use super::{
    Face,
    devices::device_of,
    error::{Code, Refusal},
    line::{Answer, Args},
};

/// `drain_start host [device]`: all devices of the host if none is named.
pub(super) async fn start(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    face.tracker().drain(target(args)?).await?;
    Ok(Answer::new())
}

/// `drain_stop host [device]`.
pub(super) async fn stop(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    face.tracker().drain_cancel(target(args)?).await?;
    Ok(Answer::new())
}

/// `drain_status`: the devices that are being drained, or have been and are empty.
pub(super) async fn status(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    let drains = face.tracker().drains().await?;
    let mut answer = Answer::new().pair("drains", drains.len());
    for (number, report) in (1_usize..).zip(drains) {
        let name = |field: &str| format!("drain_{number}_{field}");
        let drain = &report.drain;
        answer = answer
            .pair(name("devid"), report.device)
            .pair(name("host"), &report.host)
            .pair(name("started"), drain.started)
            .pair(name("ended"), drain.ended)
            .pair(name("moved"), drain.moved)
            .pair(name("bytes"), drain.bytes)
            .pair(name("left"), drain.left())
            .pair(name("stuck"), report.stuck)
            .pair(name("refusal"), drain.refusal.as_deref().unwrap_or_default())
            .pair(
                name("seconds_left"),
                report
                    .left
                    .map(|left| left.as_secs().to_string())
                    .unwrap_or_default(),
            );
    }
    Ok(answer)
}

fn target(args: &Args) -> Result<DrainTarget, Refusal> {
    // A device that is given wrongly must not mean the whole host.
    if args.text("device")?.is_some() {
        return Ok(DrainTarget::Device(device_of(args)?));
    }
    let host = args.required("host", Code::BadParams)?;
    Ok(DrainTarget::Host(host.to_owned()))
}
