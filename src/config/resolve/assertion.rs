//! `[assertion]`, and its audience in `[[upstreams]]`

use std::time::Duration;

use super::super::values::Assertion;
use super::super::written::RawConfig;
use super::ConfigResolver;

const DAY: Duration = Duration::from_secs(86_400);

/// Longest audience, in bytes.
const MOST: usize = 255;

/// The settings of assertions; [`None`] if they are not enabled.
pub(super) fn resolve(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Option<Assertion> {
    let of = &written.assertion;
    let ahead = Assertion::PUBLISH_AHEAD;
    let publish_ahead = of.publish_ahead.as_ref();
    let publish_ahead =
        reader.time("assertion.publish_ahead", publish_ahead, ahead, Duration::ZERO..=DAY);
    let enabled = of.enabled == Some(true);
    let mut audiences = Vec::new();
    for (position, upstream) in written.upstreams.iter().flatten().enumerate() {
        let path = format!("upstreams[{position}].assertion_audience");
        let name = upstream.name.as_deref().unwrap_or_default();
        let written = upstream.assertion_audience.as_ref();
        if written.is_some() && !enabled {
            reader.report.warning(&path, "has no effect, because assertion.enabled is not true");
        }
        audiences.push(reader.text(&path, written, name, MOST).into());
    }
    enabled.then_some(Assertion { publish_ahead, audiences })
}
