//! `niphas bootstrap argocd`

use niphas_render::Label;
use serde_json::{Value, json};

use super::followed::Followed;

/// How Argo CD judges the health of a NiphasWorkload.
const HEALTH: &str = include_str!("argocd-health.lua");

/// For Argo CD: an Application for each environment, and how to judge a workload's health
///
/// The Applications sync by themselves, prune what is gone from Git, and undo what was changed by hand. The ConfigMap
/// argocd-cm gets one key, a health check in Lua: without it Argo CD calls every NiphasWorkload healthy. Server-side apply
/// leaves its other keys as they are. A repository that is not public needs a Secret, as Argo CD's documentation tells.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas bootstrap argocd https://git.example.org/gitops.git --environment production | \\
    kubectl apply --server-side --filename -
  niphas bootstrap argocd git@github.com:example/gitops.git --environment staging --environment production \\
    --namespace shop --cluster https://203.0.113.7:6443")]
pub(super) struct Args {
    #[command(flatten)]
    followed: Followed,
    /// The cluster to deliver to: its name in Argo CD, or its API server's URL [default: the one that Argo CD runs in]
    #[arg(long)]
    cluster: Option<String>,
    /// The namespace that Argo CD reads Applications and its settings from
    #[arg(long, value_name = "NAMESPACE", default_value = "argocd")]
    controller_namespace: Label,
}

impl Args {
    pub(super) fn objects(&self) -> Vec<Value> {
        let namespace = self.controller_namespace.to_string();
        let mut objects = vec![json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "argocd-cm",
                "namespace": namespace,
                // Argo CD reads no other.
                "labels": { "app.kubernetes.io/part-of": "argocd" },
            },
            "data": { "resource.customizations.health.niphas.io_NiphasWorkload": HEALTH },
        })];
        for (name, folder) in self.followed.environments() {
            objects.push(json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": { "name": name, "namespace": namespace },
                "spec": {
                    "project": "default",
                    "source": {
                        "repoURL": self.followed.repository.to_string(),
                        "targetRevision": self.followed.branch,
                        "path": folder,
                        "directory": { "recurse": true },
                    },
                    "destination": self.destination(),
                    "syncPolicy": {
                        "automated": { "prune": true, "selfHeal": true },
                        "syncOptions": self.sync_options(),
                    },
                },
            }));
        }
        objects
    }

    fn destination(&self) -> Value {
        let mut destination = match self.cluster.as_deref() {
            Some(name) if !name.contains("://") => json!({ "name": name }),
            url => json!({ "server": url.unwrap_or("https://kubernetes.default.svc") }),
        };
        if let Some(namespace) = &self.followed.namespace {
            destination["namespace"] = json!(namespace.to_string());
        }
        destination
    }

    fn sync_options(&self) -> Vec<&'static str> {
        let mut options = vec!["ServerSideApply=true"];
        if self.followed.namespace.is_some() {
            options.push("CreateNamespace=true");
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_health_check_names_the_annotation_that_suspends() {
        let read = format!("[\"{}\"]", niphas_api::SUSPEND_ANNOTATION);
        assert!(HEALTH.contains(&read), "no {read} in:\n{HEALTH}");
    }
}
