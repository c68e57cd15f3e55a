//! Traces: what was done for a volume, from kubelet's call to the requests to caches.
//!
//! A volume has one trace, whose id follows from the volume's. Its ids are there in any case: in the log, and in the header
//! `traceparent` of requests to caches. Spans are sent to a collector only if one is given.

use niphas_daemon::LogFormat;
use nix_formats::hash::{HashAlgorithm, HashFormat};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Span, Subscriber, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::registry::LookupSpan;

/// Where spans go.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// To an OTLP collector over gRPC at `endpoint`, like `http://collector:4317`; to nowhere without one. Must be called
    /// within a tokio runtime, which has to live as long as this.
    pub fn open(endpoint: Option<&str>, node: &str) -> Result<Self, ExporterBuildError> {
        binary_cache::set_traceparent(traceparent);
        let about = [
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("k8s.node.name", node.to_owned()),
        ];
        let resource = Resource::builder_empty()
            .with_service_name("niphas-csi")
            .with_attributes(about)
            .build();
        let mut provider = SdkTracerProvider::builder().with_resource(resource);
        if let Some(endpoint) = endpoint {
            let exporter = SpanExporter::builder().with_tonic();
            provider = provider.with_batch_exporter(exporter.with_endpoint(endpoint).build()?);
        }
        Ok(Self(provider.build()))
    }

    /// Starts logging to standard error, and tracing. `filter` is as for [`niphas_daemon::start_logging`].
    pub fn start_logging(&self, format: LogFormat, filter: &str) -> Result<(), ParseError> {
        let spans = Targets::new().with_default(Level::INFO);
        niphas_daemon::start_logging_with(format, filter, self.layer().with_filter(spans))
    }

    /// Makes spans of the program those of traces.
    fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("niphas-csi"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
    }

    /// Sends what was not sent yet.
    pub fn close(self) {
        if let Err(error) = self.0.shutdown() {
            warn!(%error, "the last spans were not sent");
        }
    }
}

/// The trace of a volume: the same for each call about it, so that all that was done for it is found by one search.
pub(crate) fn trace_id(volume: &str) -> String {
    let mut hex = hash(volume);
    hex.truncate(32);
    hex
}

/// Puts a span into the trace of a volume.
pub(crate) fn follow(span: &Span, volume: &str) {
    let hex = hash(volume);
    let (Ok(trace), Ok(root)) = (
        TraceId::from_hex(&hex[..32]),
        SpanId::from_hex(&hex[32..48]),
    ) else {
        return;
    };
    // Calls have nothing above them but the volume itself, which has no span.
    let volume = SpanContext::new(
        trace,
        root,
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    // It fails only for a span that is disabled, or has begun.
    let _ = span.set_parent(Context::new().with_remote_span_context(volume));
}

fn hash(volume: &str) -> String {
    let hash = HashAlgorithm::Sha256.digest(volume.as_bytes());
    hash.to_string(HashFormat::Base16, false)
}

/// The W3C's header for what is done in the current span.
fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let at = span.span_context();
    at.is_valid().then(|| {
        let (trace, span, flags) = (at.trace_id(), at.span_id(), at.trace_flags().to_u8());
        format!("00-{trace}-{span}-{flags:02x}")
    })
}

#[cfg(test)]
mod tests {
    use tracing::info_span;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_volume_has_one_trace() {
        assert_eq!(trace_id("csi-1"), trace_id("csi-1"));
        assert_eq!(trace_id("csi-1").len(), 32);
        assert_ne!(trace_id("csi-1"), trace_id("csi-2"));
    }

    #[test]
    fn what_is_done_for_a_volume_is_in_its_trace() {
        let traces = Traces::open(None, "node").unwrap();
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(traceparent(), None);
            let call = info_span!("publish");
            follow(&call, "csi-1");
            let inner = call
                .in_scope(|| info_span!("realise").in_scope(traceparent))
                .unwrap();
            let outer = call.in_scope(traceparent).unwrap();
            for parent in [&inner, &outer] {
                assert!(
                    parent.starts_with(&format!("00-{}-", trace_id("csi-1"))),
                    "{parent}"
                );
                assert!(parent.ends_with("-01"), "{parent}");
            }
            assert_ne!(inner, outer);
        });
    }
}
