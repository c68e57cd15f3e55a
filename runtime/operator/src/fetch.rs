//! Whole workloads, one when it is needed: what they may take of memory together is bounded.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::GetParams;
use kube::core::{DynamicObject, Request};
use kube::{Client, Resource};
use niphas_api::{NiphasWorkload, NiphasWorkloadStatus, RunningClosure, WorkloadKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::apply::{ApplyError, is_unknown, timeout};
use crate::child::ChildKey;
use crate::metadata::kept;
use crate::plan::{self, fingerprint};
use crate::status::Declared;
use crate::turns::{Turn, Turns};

/// What workloads may weigh that are held at once, in KiB. To make children of one takes some times as much memory.
const BUDGET: usize = 4 * 1024;

/// What a workload may weigh, in KiB, as long as it is not known: the largest that the API server keeps, of few values.
const GUESS: usize = 2 * 1024;

/// What a value (of a list, of a map) weighs beside its text, in bytes.
const WEIGHT_OF_VALUE: usize = 300;

/// How many values a workload may have, metadata and status included. Each may be a map, which takes some 600 bytes of memory.
const MAX_VALUES: usize = 20_000;

/// A workload as it is now.
pub(crate) struct Fetched {
    pub(crate) version: Option<String>,
    pub(crate) declared: Declared,
    pub(crate) status: Option<NiphasWorkloadStatus>,
    /// Its children, or why it has none.
    pub(crate) children: Result<Vec<DynamicObject>, String>,
    /// Given back when the children are dropped.
    share: Turn,
}

impl Fetched {
    /// Its children, and what they take of the budget until it is dropped.
    pub(crate) fn into_objects(self) -> (Vec<DynamicObject>, Turn) {
        (self.children.unwrap_or_default(), self.share)
    }

    /// What its children are called, with their fingerprints.
    pub(crate) fn wanted(&self) -> Result<Vec<(ChildKey, u64)>, String> {
        let objects = self.children.as_ref().map_err(String::clone)?.iter();
        Ok(objects
            .filter_map(|object| Some((plan::key(object)?, fingerprint(object))))
            .collect())
    }
}

/// A workload, less all that makes it large.
#[derive(Deserialize)]
struct Small {
    #[serde(deserialize_with = "kept")]
    metadata: ObjectMeta,
    spec: SmallSpec,
    status: Option<NiphasWorkloadStatus>,
}

#[derive(Deserialize)]
struct SmallSpec {
    #[serde(default)]
    kind: WorkloadKind,
    closures: Vec<RunningClosure>,
}

/// Gets workloads.
pub(crate) struct Fetcher {
    client: Client,
    /// The image that pods name.
    base_image: String,
    /// In KiB.
    budget: Arc<Turns>,
}

impl Fetcher {
    pub(crate) fn new(client: Client, base_image: String) -> Self {
        Self {
            client,
            base_image,
            budget: Turns::new(BUDGET),
        }
    }

    /// A workload and its children. None if it is gone, or another one of its name.
    pub(crate) async fn fetch(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<Option<Fetched>, ApplyError> {
        let mut weight = GUESS;
        loop {
            let mut share = self.budget.take(namespace, weight).await;
            let Some(text) = self.text(namespace, name).await? else {
                return Ok(None);
            };
            let values = values(&text);
            let weighs = (text.len() + values * WEIGHT_OF_VALUE).div_ceil(1024);
            let weighs = weighs.clamp(1, BUDGET);
            if weighs > weight {
                // What it holds already it may not wait with: others might do the same.
                weight = weighs;
                continue;
            }
            share.shrink(weighs);
            let small: Small = parse(&text)?;
            if small.metadata.uid.as_deref() != Some(uid) {
                return Ok(None);
            }
            let children = if values > MAX_VALUES {
                Err(format!(
                    "the workload has {values} values, and at most {MAX_VALUES} are taken: shorten its lists and maps"
                ))
            } else {
                let workload: NiphasWorkload = parse(&text)?;
                drop(text);
                niphas_api::children(&workload, &self.base_image)
                    .map_err(|error| nix_formats::chain(&error))
            };
            return Ok(Some(Fetched {
                version: small.metadata.resource_version,
                declared: Declared {
                    name: small.metadata.name.unwrap_or_default(),
                    generation: small.metadata.generation,
                    kind: small.spec.kind,
                    closures: small.spec.closures,
                },
                status: small.status,
                children,
                share,
            }));
        }
    }

    async fn text(&self, namespace: &str, name: &str) -> Result<Option<String>, ApplyError> {
        let url = NiphasWorkload::url_path(&(), Some(namespace));
        let request = Request::new(url).get(name, &GetParams::default());
        let request =
            request.map_err(|error| ApplyError::Client(kube::Error::BuildRequest(error)))?;
        match timeout(self.client.request_text(request)).await {
            Ok(text) => Ok(Some(text)),
            Err(ApplyError::Refused(status)) if is_unknown(&status) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ApplyError> {
    serde_json::from_str(text).map_err(|error| ApplyError::Client(kube::Error::SerdeError(error)))
}

/// How many values there are in a text of JSON, at most.
fn values(text: &str) -> usize {
    let (mut number, mut is_string, mut is_escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            b',' | b'{' | b'[' if !is_string => number += 1,
            _ => {}
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        assert_eq!(values(r#"{"a": [1, 2, {"b": ",,[{\",\\"}], "c": 3}"#), 6);
    }
}
