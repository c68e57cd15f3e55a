//! `niphas bootstrap fleet`

use std::collections::BTreeMap;

use niphas_render::Label;
use serde_json::{Value, json};

use super::followed::Followed;
use super::set;

/// For Fleet: a GitRepo for each environment
///
/// Every workload becomes a bundle of its own. Without labels of clusters the GitRepo is for the cluster that Fleet runs in;
/// with them it is for all clusters that have these labels.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas bootstrap fleet https://git.example.org/gitops.git --environment production | \\
    kubectl apply --server-side --filename -
  niphas bootstrap fleet https://git.example.org/gitops.git --environment production --cluster-label env=production")]
pub(super) struct Args {
    #[command(flatten)]
    followed: Followed,
    /// A label that the clusters to deliver to have; can be given several times
    #[arg(long = "cluster-label", value_name = "KEY=VALUE", value_parser = label)]
    cluster_labels: Vec<(String, String)>,
    /// The Secret with the repository's credentials, in the namespace of the GitRepo
    #[arg(long)]
    secret: Option<Label>,
    /// The namespace of each GitRepo [default: fleet-local; with labels of clusters, fleet-default]
    #[arg(long, value_name = "NAMESPACE")]
    controller_namespace: Option<Label>,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

impl Args {
    pub(super) fn objects(&self) -> Vec<Value> {
        let labels: BTreeMap<_, _> = self.cluster_labels.iter().cloned().collect();
        let namespace = match &self.controller_namespace {
            Some(namespace) => namespace.to_string(),
            None if labels.is_empty() => "fleet-local".to_owned(),
            None => "fleet-default".to_owned(),
        };
        let targets = json!([{ "clusterSelector": { "matchLabels": labels } }]);
        let repository = |(name, folder): (String, String)| {
            let mut repository = json!({
                "apiVersion": "fleet.cattle.io/v1alpha1",
                "kind": "GitRepo",
                "metadata": { "name": name, "namespace": namespace },
                "spec": {
                    "repo": self.followed.repository.to_string(),
                    "branch": self.followed.branch,
                    // A folder for each workload, and a bundle for each folder.
                    "paths": [format!("{folder}/*")],
                    "correctDrift": { "enabled": true },
                },
            });
            let target = self.followed.namespace.as_ref().map(ToString::to_string);
            set(&mut repository, "targetNamespace", target);
            let secret = self.secret.as_ref().map(ToString::to_string);
            set(&mut repository, "clientSecretName", secret);
            set(
                &mut repository,
                "targets",
                (!labels.is_empty()).then(|| targets.clone()),
            );
            repository
        };
        self.followed.environments().map(repository).collect()
    }
}
