//! `niphas bootstrap flux`

use niphas_render::Label;
use serde_json::{Value, json};

use super::followed::Followed;
use super::set;

/// For Flux: a GitRepository, and a Kustomization for each environment
///
/// A Kustomization prunes what is gone from Git, and waits until every workload is ready: Flux understands their status
/// without further settings. The workloads' namespace must be there already.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas bootstrap flux https://git.example.org/gitops.git --environment production | \\
    kubectl apply --server-side --filename -
  niphas bootstrap flux ssh://git@github.com/example/gitops.git --environment production --secret gitops-key")]
pub(super) struct Args {
    #[command(flatten)]
    followed: Followed,
    /// The Secret with the repository's credentials, in the controller's namespace
    #[arg(long)]
    secret: Option<Label>,
    /// The namespace of Flux' objects
    #[arg(long, value_name = "NAMESPACE", default_value = "flux-system")]
    controller_namespace: Label,
}

impl Args {
    pub(super) fn objects(&self) -> Vec<Value> {
        let namespace = self.controller_namespace.to_string();
        let source = self.followed.name();
        let mut repository = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": { "name": source, "namespace": namespace },
            "spec": {
                "interval": "1m",
                // Flux takes URLs with a scheme only.
                "url": self.followed.repository.with_scheme(),
                "ref": { "branch": self.followed.branch },
            },
        });
        let secret = self.secret.as_ref();
        let secret = secret.map(|name| json!({ "name": name.to_string() }));
        set(&mut repository, "secretRef", secret);
        let mut objects = vec![repository];
        for (name, folder) in self.followed.environments() {
            let mut kustomization = json!({
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization",
                "metadata": { "name": name, "namespace": namespace },
                "spec": {
                    "interval": "10m",
                    "retryInterval": "1m",
                    "timeout": "5m",
                    "sourceRef": { "kind": "GitRepository", "name": source },
                    "path": format!("./{folder}"),
                    "prune": true,
                    "wait": true,
                },
            });
            let target = self.followed.namespace.as_ref().map(ToString::to_string);
            set(&mut kustomization, "targetNamespace", target);
            objects.push(kustomization);
        }
        objects
    }
}
