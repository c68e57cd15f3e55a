//! The nodes that a build can run on.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use k8s_openapi::api::core::v1::Toleration;
use niphas_api::{System, architecture};

use super::RefusedBuild;
use crate::policy::{FEATURE_LABEL, Policy};

/// Where a build can run.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// Labels of the nodes.
    pub(super) node_selector: BTreeMap<String, String>,
    /// Taints.
    pub(super) tolerations: Vec<Toleration>,
    /// What it needs of device plugins.
    pub(super) devices: BTreeMap<String, u32>,
    /// The systems of nodes that it may run on, as the driver there names its own.
    pub(super) node_systems: Vec<System>,
}

/// The systems whose nodes run what needs no architecture: the programs that are part of the builder.
const ANY: [&str; 2] = ["aarch64-linux", "x86_64-linux"];

/// What processors of x86-64 are named by that have more than the first of them.
const LEVELS: [&str; 4] = ["x86_64-v1", "x86_64-v2", "x86_64-v3", "x86_64-v4"];

/// The system of derivations that any machine builds.
pub const BUILTIN: &str = "builtin";

impl Placement {
    pub(super) fn of(
        system: &str,
        features: &BTreeSet<String>,
        policy: &Policy,
    ) -> Result<Self, RefusedBuild> {
        let mut placement = Self {
            node_selector: policy.node_selector.clone(),
            tolerations: policy.tolerations.clone(),
            ..Self::default()
        };
        placement.label("kubernetes.io/os", "linux")?;
        placement.on(system)?;
        for name in features {
            let unknown = || RefusedBuild::Feature(name.clone());
            let feature = policy.features.get(name).ok_or_else(unknown)?;
            for (label, value) in &feature.node_selector {
                placement.label(label, value)?;
            }
            placement
                .tolerations
                .extend(feature.tolerations.iter().cloned());
            for (device, count) in &feature.devices {
                let most = placement.devices.entry(device.clone()).or_default();
                *most = (*most).max(*count);
            }
        }
        let mut known = Vec::new();
        placement.tolerations.retain(|toleration| {
            let is_new = !known.contains(toleration);
            if is_new {
                known.push(toleration.clone());
            }
            is_new
        });
        Ok(placement)
    }

    fn on(&mut self, system: &str) -> Result<(), RefusedBuild> {
        let unknown = || RefusedBuild::System(system.to_owned());
        if system == BUILTIN {
            self.node_systems = ANY
                .map(|it| System::from_str(it).expect("it is one"))
                .into();
            return Ok(());
        }
        // Nodes that run it though their own system is another.
        let (node, level) = match system.strip_suffix("-linux") {
            Some("i686") => ("x86_64-linux", None),
            Some(level) if LEVELS.contains(&level) => ("x86_64-linux", Some(level)),
            _ => (system, None),
        };
        let node = System::from_str(node).map_err(|_| unknown())?;
        self.label(
            "kubernetes.io/arch",
            architecture(&node).ok_or_else(unknown)?,
        )?;
        if let Some(level) = level {
            self.label(&format!("{FEATURE_LABEL}{level}"), "true")?;
        }
        self.node_systems = vec![node];
        Ok(())
    }

    fn label(&mut self, name: &str, value: &str) -> Result<(), RefusedBuild> {
        match self.node_selector.insert(name.to_owned(), value.to_owned()) {
            Some(other) if other != value => Err(RefusedBuild::Contradiction {
                label: name.to_owned(),
                values: [other, value.to_owned()],
            }),
            _ => Ok(()),
        }
    }
}
