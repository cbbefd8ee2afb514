//! `clear_cache`, `do_monitor_round`, `replicate_now`, `httpcopy` (mogilefs.md §4.5).

use mogul_storage::{DevId, Fid};
use mogul_tracker::{
    Error,
    command::cluster::{Copied, CopyFile},
};

use super::{
    Face,
    error::{Code, Refusal},
    line::{Answer, Args},
};

/// `clear_cache` and `do_monitor_round`: reads everything anew and looks at all devices, then answers.
pub(super) async fn look_now(face: &Face, _args: &Args) -> Result<Answer, Refusal> {
    face.tracker().look_now().await?;
    Ok(Answer::new())
}

/// `replicate_now`: makes due what waits to be replicated.
pub(super) async fn replicate_now(face: &Face, _args: &Args) -> Result<Answer, Refusal> {
    let count = face.tracker().replicate_now().await?;
    Ok(Answer::new().pair("count", count))
}

/// `httpcopy`: copies a file from one device to another.
pub(super) async fn httpcopy(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let number = |name: &str| u64::try_from(args.number(name)?).ok();
    let device = |name: &str| DevId::new(u32::try_from(number(name)?).ok()?);
    let request = CopyFile {
        fid: number("fid").and_then(Fid::new).ok_or(Code::Failure)?,
        from: device("sdevid").ok_or(Code::Failure)?,
        to: device("ddevid").ok_or(Code::Failure)?,
    };
    match face.tracker().copy_file(request).await {
        Ok(Copied::Recorded) => Ok(Answer::new()),
        Ok(Copied::NoSource) => Err(Refusal::with(Code::CopyErr, "src_error")),
        Ok(Copied::TargetFailed) => Err(Refusal::with(Code::CopyErr, "dest_error")),
        Ok(Copied::FileGone) | Err(Error::UnknownKey | Error::UnknownDevice) => Err(Code::Failure.into()),
        Err(other) => Err(other.into()),
    }
}
