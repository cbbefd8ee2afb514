//! Moving copies from device to device by a policy (mogilefs.md §4.7).

use mogul_storage::DevId;

use super::{Face, error::Refusal, line::Answer, line::Args};

/// `rebalance_set_policy [policy]`.
pub(super) async fn set_policy(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let policy = args.text("policy")?.unwrap_or_default();
    face.tracker().rebalance_set_policy(policy).await?;
    Ok(Answer::new())
}

/// `rebalance_test`.
pub(super) async fn test(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    let found = face.tracker().rebalance_test().await?;
    Ok(Answer::new()
        .pair("sdevs", listed(&found.sources))
        .pair("ddevs", listed(&found.targets)))
}

/// `rebalance_start`.
pub(super) async fn start(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    Ok(Answer::new().pair("state", face.tracker().rebalance_start().await?))
}

/// `rebalance_status`.
pub(super) async fn status(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    Ok(Answer::new().pair("state", face.tracker().rebalance_status().await?))
}

/// `rebalance_stop`.
pub(super) async fn stop(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    face.tracker().rebalance_stop().await?;
    Ok(Answer::new())
}

/// `rebalance_reset`.
pub(super) async fn reset(face: &Face, _: &Args) -> Result<Answer, Refusal> {
    face.tracker().rebalance_reset().await?;
    Ok(Answer::new())
}

/// Numbers of devices, separated by commas.
fn listed(devices: &[DevId]) -> String {
    let numbers: Vec<String> = devices.iter().map(ToString::to_string).collect();
    numbers.join(",")
}
