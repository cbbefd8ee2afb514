//! A pass of the scrub over all devices, begun and watched through the admin port.

use std::time::Duration;

use mogul_tracker::clock::{Clock, SystemClock};
use serde_json::Value;

use super::report::Figure;
use crate::{
    bench::report::{Stopwatch, float},
    client::{Endpoint, sign::Signer},
    operate::calls::Admin,
};

/// How often the state is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How long a pass may take.
const LONGEST: Duration = Duration::from_hours(1);

/// Has all devices read, and waits for the end.
pub(super) async fn scrubbed(endpoint: Endpoint, signer: Signer) -> anyhow::Result<Figure> {
    let mut admin = Admin::connect(endpoint, signer).await?;
    let ended = |device: &Value| device["last"]["ended_ms"].as_i64().unwrap_or(0);
    let before = admin.scrub().await?.iter().map(ended).max().unwrap_or(0);
    let watch = Stopwatch::start_for(LONGEST);
    admin.scrub_now(&[]).await?;
    loop {
        let devices = admin.scrub().await?;
        if devices.iter().all(|device| ended(device) > before) {
            let bytes = devices
                .iter()
                .filter_map(|device| device["last"]["bytes"].as_u64());
            let megabytes = float(bytes.sum()) / 1e6;
            return Ok(Figure::rate(megabytes / watch.elapsed().as_secs_f64(), "MB/s"));
        }
        anyhow::ensure!(!watch.is_over(), "the pass does not come to its end");
        SystemClock.sleep(LOOK).await;
    }
}
