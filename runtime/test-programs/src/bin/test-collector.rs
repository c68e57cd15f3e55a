//! A collector of traces for the suites in `ci/`: `test-collector ADDRESS` takes spans over OTLP and writes each as a line of JSON.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::{Request, Response, Status};

struct Collector;

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let mut out = std::io::stdout().lock();
        for span in scopes.flat_map(|scope| scope.spans) {
            let line = serde_json::json!({
                "name": span.name,
                "trace": HEXLOWER.encode(&span.trace_id),
                "span": HEXLOWER.encode(&span.span_id),
                "parent": HEXLOWER.encode(&span.parent_span_id),
                "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
            });
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args()
        .nth(1)
        .ok_or("expected an address")?
        .parse()?;
    let mut server = tonic::transport::Server::builder();
    Ok(server
        .add_service(TraceServiceServer::new(Collector))
        .serve(address)
        .await?)
}
