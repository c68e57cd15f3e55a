use std::path::Path;
use std::time::Duration;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// Where the cluster's API server is: of a kubeconfig file, or of the cluster that this runs in. None outside of a cluster.
pub async fn cluster(kubeconfig: Option<&Path>) -> anyhow::Result<Option<Config>> {
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
        None if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => Config::incluster()?,
        None => return Ok(None),
    };
    config.connect_timeout = Some(Duration::from_secs(10));
    Ok(Some(config))
}
