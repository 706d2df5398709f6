//! Which traces are exported, by OpenTelemetry's own variables.

use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::vars::{ConfigError, Vars, invalid};

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The sampler that `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` name (OpenTelemetry, SDK environment variables).
///
/// # Errors
/// A name that is none of them, or a ratio that is not from 0 to 1.
pub(super) fn from_vars(vars: &Vars) -> Result<Sampler, ConfigError> {
    let ratio = vars.parse(RATIO, 1.0_f64, "a number from 0 to 1")?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(invalid(RATIO, &ratio.to_string(), "a number from 0 to 1"));
    }
    let of_parent = |root| Sampler::ParentBased(Box::new(root));
    let name = vars.get(SAMPLER).unwrap_or("parentbased_always_on");
    Ok(match name {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio),
        "parentbased_always_on" => of_parent(Sampler::AlwaysOn),
        "parentbased_always_off" => of_parent(Sampler::AlwaysOff),
        "parentbased_traceidratio" => of_parent(Sampler::TraceIdRatioBased(ratio)),
        other => {
            let allowed =
                "always_on, always_off, traceidratio, each also with parentbased_ before it";
            return Err(invalid(SAMPLER, other, allowed));
        }
    })
}

/// The sampler for requests was asked before the span of one exists ([`crate::trace_context::sample`]), so a request's
/// span that has no parent is one that was chosen.
#[derive(Clone, Debug)]
pub(super) struct Chosen(pub(super) Sampler);

impl ShouldSample for Chosen {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_root = !parent.is_some_and(|parent| parent.span().span_context().is_valid());
        let sampler = match kind {
            SpanKind::Server if is_root => &Sampler::AlwaysOn,
            _ => &self.0,
        };
        sampler.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

/// Whether a request of that trace is exported.
pub(crate) fn is_chosen(sampler: &Sampler, parent: Option<&Context>, trace_id: TraceId) -> bool {
    let result = sampler.should_sample(parent, trace_id, "", &SpanKind::Server, &[], &[]);
    result.decision == SamplingDecision::RecordAndSample
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    fn sampler(pairs: &[(&str, &str)]) -> Result<Sampler, String> {
        from_vars(&pairs.iter().copied().collect()).map_err(|error| error.to_string())
    }

    fn parent(flags: TraceFlags) -> Context {
        let (trace, span) = (TraceId::from(7_u128), SpanId::from(7_u64));
        let parent = SpanContext::new(trace, span, flags, true, TraceState::NONE);
        Context::new().with_remote_span_context(parent)
    }

    #[test]
    fn a_parent_decides_and_a_root_goes_by_the_ratio() {
        let sampler = sampler(&[(SAMPLER, "parentbased_traceidratio"), (RATIO, "0.25")]).unwrap();
        fn chosen(sampler: &Sampler, parent: Option<&Context>, id: u128) -> bool {
            is_chosen(sampler, parent, TraceId::from(id))
        }
        let (yes, no) = (parent(TraceFlags::SAMPLED), parent(TraceFlags::NOT_SAMPLED));
        assert!(chosen(&sampler, Some(&yes), u128::MAX));
        assert!(!chosen(&sampler, Some(&no), 0));
        let ids = (0..1_000_u128).map(|n| n * (u64::MAX as u128 / 1_000));
        let roots = ids.filter(|id| chosen(&sampler, None, *id)).count();
        assert!((245..=255).contains(&roots), "{roots}");
    }

    #[test]
    fn a_request_that_was_chosen_is_not_drawn_again() {
        let off = Chosen(Sampler::AlwaysOff);
        let decided = |parent, kind| {
            let result = off.should_sample(parent, TraceId::from(1_u128), "", &kind, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        };
        assert!(decided(None, SpanKind::Server));
        assert!(!decided(None, SpanKind::Consumer));
        assert!(!decided(
            Some(&parent(TraceFlags::SAMPLED)),
            SpanKind::Server
        ));
    }

    #[test]
    fn what_is_no_sampler_is_refused_by_name() {
        let error = sampler(&[(SAMPLER, "sometimes")]).unwrap_err();
        assert!(
            error.contains(SAMPLER) && error.contains("always_on"),
            "{error}"
        );
        for ratio in ["2", "-0.1", "x"] {
            let error = sampler(&[(RATIO, ratio)]).unwrap_err();
            assert!(error.contains(RATIO), "{error}");
        }
        assert!(matches!(sampler(&[]), Ok(Sampler::ParentBased(_))));
    }
}
