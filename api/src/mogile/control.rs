//! The commands that touch nothing but the tracker process itself.

use std::time::Duration;

use super::{
    Face,
    error::{Code, Refusal},
    line::{Answer, Args},
};

/// How long `sleep` sleeps if the client does not say, in seconds.
const SLEEP_SECONDS: i64 = 10;

/// Longest `sleep` in seconds: it holds a query worker.
const SLEEP_SECONDS_MAX: i64 = 3_600;

/// `noop`: nothing.
pub(super) async fn noop(_face: &Face, _args: &Args) -> Result<Answer, Refusal> {
    Ok(Answer::new())
}

/// `test`: nothing, or with `crash` the answer of a command that went wrong.
pub(super) async fn test(_face: &Face, args: &Args) -> Result<Answer, Refusal> {
    if args.is_true("crash") {
        return Err(Code::Failure.into());
    }
    Ok(Answer::new())
}

/// `sleep`: holds a query worker for `duration` seconds.
pub(super) async fn sleep(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let seconds = args.number("duration").unwrap_or(SLEEP_SECONDS);
    let seconds = u64::try_from(seconds.clamp(0, SLEEP_SECONDS_MAX)).expect("clamped to zero and above");
    face.clock().sleep(Duration::from_secs(seconds)).await;
    Ok(Answer::new())
}
