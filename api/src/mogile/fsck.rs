//! Checking all files (mogilefs.md §4.6).

use mogul_tracker::{
    command::fsck::FsckReset,
    model::{FsckScope, Logged},
};

use super::{
    Face,
    error::{Refusal, of_database},
    line::Answer,
    line::Args,
};

/// `fsck_start`.
pub(super) async fn start(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    face.tracker().fsck_start().await?;
    Ok(Answer::new())
}

/// `fsck_stop`.
pub(super) async fn stop(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    face.tracker().fsck_stop().await?;
    Ok(Answer::new())
}

/// `fsck_reset [policy_only] [startpos]`.
pub(super) async fn reset(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let after = args.number("startpos").unwrap_or(0);
    let reset = FsckReset {
        scope: if args.is_true("policy_only") {
            FsckScope::PolicyOnly
        } else {
            FsckScope::Files
        },
        after: u64::try_from(after).unwrap_or(0),
    };
    face.tracker().fsck_reset(reset).await.map_err(of_database)?;
    Ok(Answer::new())
}

/// `fsck_clearlog`.
pub(super) async fn clear_log(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    face.tracker().fsck_clear_log().await?;
    Ok(Answer::new())
}

/// `fsck_getlog [after_logid]`.
pub(super) async fn log(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let after = args.number("after_logid").unwrap_or(0);
    let lines = face.tracker().fsck_log(u64::try_from(after).unwrap_or(0)).await?;
    let answer = Answer::new().pair("row_count", lines.len());
    Ok((1..)
        .zip(&lines)
        .fold(answer, |answer, (row, line)| logged(answer, row, line)))
}

/// Adds a line of the log; what it does not have is left out.
fn logged(answer: Answer, row: usize, line: &Logged) -> Answer {
    let mut answer = answer
        .pair(format!("row_{row}_logid"), line.number)
        .pair(format!("row_{row}_utime"), line.at.secs());
    if let Some(fid) = line.fid {
        answer = answer.pair(format!("row_{row}_fid"), fid);
    }
    if let Some(code) = &line.code {
        answer = answer.pair(format!("row_{row}_evcode"), code);
    }
    if let Some(device) = line.device {
        answer = answer.pair(format!("row_{row}_devid"), device);
    }
    answer
}

/// `fsck_status`.
pub(super) async fn status(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    let status = face.tracker().fsck_status().await?;
    let answer = Answer::new()
        .pair("running", u8::from(status.host.is_some()))
        .pair("host", status.host.unwrap_or_default())
        .pair("max_fid_checked", status.checked)
        .pair("policy_only", u8::from(status.scope == FsckScope::PolicyOnly))
        .pair("end_fid", status.end)
        .pair("start_time", status.started)
        .pair("stop_time", status.stopped)
        .pair("current_time", status.now)
        .pair("max_logid", status.last_logged);
    let counters = status.counters.into_iter();
    Ok(counters.fold(answer, |answer, (code, count)| {
        answer.pair(format!("num_{code}"), count)
    }))
}
