//! The controller as a whole: from its start, when this replica leads, to its end.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use kube::runtime::controller::{self, Action, Config, applier};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::fetch::Fetcher;
use crate::metrics::Metrics;
use crate::observed::Observed;
use crate::reconcile::{Context, after_failure, reconcile};
use crate::turns::Turns;
use crate::watches::{SeenWorkload, Watches, metadata_only};

/// Workloads reconciled at once. Namespaces take turns, so kube's own limit, which serves in order of arrival, is not used.
const CONCURRENCY: usize = 16;

/// Several changes in so short a time are one.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Reconciles all workloads until `stop`. What was begun by then is finished.
pub(crate) async fn run(
    client: Client,
    settings: Settings,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let observed = Arc::<Observed>::default();
    let context = Arc::new(Context {
        client: client.clone(),
        metadata: metadata_only(client.clone()),
        fetcher: Fetcher::new(client.clone(), settings.base_image),
        observed: Arc::clone(&observed),
        identity: settings.identity,
        metrics: metrics.clone(),
        resync: settings.resync,
        memories: std::sync::Mutex::default(),
    });

    let (queue, mut workloads) = mpsc::channel::<ObjectRef<SeenWorkload>>(1024);
    let namespaces = settings.namespaces;
    let mut watches = Watches::new(client, namespaces, observed, queue, stop.child_token());
    let store = watches.workloads(&context);
    watches.start(&store);
    // The queue fills meanwhile: to take from it is to let the lists go on.
    let mut waiting = Vec::new();
    let all_listed = {
        let mut listed = Box::pin(watches.listed());
        loop {
            tokio::select! {
                done = &mut listed => break done,
                Some(workload) = workloads.recv() => waiting.push(workload),
            }
        }
    };
    if all_listed {
        info!(
            workloads = store.len(),
            "initial lists complete; reconciling"
        );
        metrics.synced(true);
        let queue = stream::iter(waiting)
            .chain(stream::poll_fn(move |context| workloads.poll_recv(context)))
            .take_until(stop.clone().cancelled_owned())
            .map(Ok::<_, std::convert::Infallible>);
        let config = Config::default().debounce(DEBOUNCE);
        let turns = Turns::new(CONCURRENCY);
        let current = store.clone();
        let reconciler = move |workload: Arc<SeenWorkload>, context| {
            let (turns, current) = (Arc::clone(&turns), current.clone());
            async move {
                let namespace = workload.namespace().unwrap_or_default();
                let _turn = turns.take(&namespace, 1).await;
                // It may have waited for long: what counts is how the workload is now.
                match current.get(&ObjectRef::from_obj(&workload)) {
                    // On the heap, so that those who wait are small.
                    Some(workload) => Box::pin(reconcile(workload, context)).await,
                    None => Ok(Action::await_change()),
                }
            }
            .boxed()
        };
        applier(reconciler, after_failure, context, store, queue, config)
            .for_each(|result| {
                match result {
                    // A workload that is gone, or whose failure was logged.
                    Ok(_)
                    | Err(
                        controller::Error::ObjectNotFound(_)
                        | controller::Error::ReconcilerFailed(..),
                    ) => {}
                    Err(error) => warn!(error = nix_formats::chain(&error), "reconciling"),
                }
                std::future::ready(())
            })
            .await;
        metrics.synced(false);
    }
    watches.end().await;
}

/// What flags set.
pub(crate) struct Settings {
    /// Who this replica is.
    pub(crate) identity: String,
    /// The image that pods name.
    pub(crate) base_image: String,
    /// How often a workload is looked at when nothing happens.
    pub(crate) resync: Duration,
    /// The namespaces to work for; all if there are none.
    pub(crate) namespaces: Vec<String>,
}
