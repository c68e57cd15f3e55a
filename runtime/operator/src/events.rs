//! Events on workloads, for those who look at one: `kubectl describe`.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, Resource, ResourceExt};

use crate::FIELD_MANAGER;
use crate::apply::{ApplyError, timeout};
use crate::status::{State, Verdict, shorten};
use crate::watches::SeenWorkload;

/// Sends an event that tells the verdict.
pub(crate) async fn send(
    client: &Client,
    identity: &str,
    workload: &SeenWorkload,
    verdict: &Verdict,
) -> Result<(), ApplyError> {
    let event = event(identity, workload, verdict, Timestamp::now());
    let namespace = workload.namespace().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    timeout(api.create(&PostParams::default(), &event)).await?;
    Ok(())
}

fn event(identity: &str, workload: &SeenWorkload, verdict: &Verdict, now: Timestamp) -> Event {
    let kind = match verdict.state {
        State::Stalled => "Warning",
        State::Ready | State::Reconciling | State::Suspended => "Normal",
    };
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", workload.name_any(), now.as_nanosecond())),
            namespace: workload.namespace(),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(shorten(verdict.message.clone())),
        reason: Some(verdict.reason.to_owned()),
        regarding: Some(workload.object_ref(&())),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(identity.to_owned()),
        type_: Some(kind.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::seen_workload;

    #[test]
    fn an_event_is_on_the_workload() {
        let verdict = Verdict {
            state: State::Stalled,
            reason: "NoNode",
            message: "no node can run the closures".to_owned(),
        };
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let event = event("operator-1", &seen_workload(), &verdict, now);
        insta::assert_snapshot!(niphas_api::to_yaml(&event).unwrap(), @r#"
        action: Reconcile
        apiVersion: events.k8s.io/v1
        eventTime: "2023-11-14T22:13:20.000000Z"
        kind: Event
        metadata:
          name: web.17979cfe362a0000
          namespace: shop
        note: no node can run the closures
        reason: NoNode
        regarding:
          apiVersion: niphas.io/v1alpha1
          kind: NiphasWorkload
          name: web
          namespace: shop
          uid: me
        reportingController: niphas-operator
        reportingInstance: operator-1
        type: Warning
        "#);
    }
}
