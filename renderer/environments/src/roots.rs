//! What the closures of environments need: what has to be built, and to be in a cache before they can be rendered.

use niphas_api::System;
use nix_evaluator::BuiltBy;
use nix_formats::{StoreDir, StorePath};
use serde::{Deserialize, Serialize};

use crate::environments::EvaluatedEnvironments;

/// An output of a derivation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltOutput {
    /// The store path of the derivation's `.drv` file.
    pub drv_path: String,
    /// The output's name.
    pub output: String,
}

impl From<BuiltBy> for BuiltOutput {
    fn from(BuiltBy { drv_path, output }: BuiltBy) -> Self {
        Self { drv_path, output }
    }
}

/// A root of a workload's closure on a system: its package, or another store path that it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root<'e> {
    /// The environment's name.
    pub environment: &'e str,
    /// The workload's name.
    pub workload: &'e str,
    /// The system.
    pub system: &'e System,
    /// The store path.
    pub path: &'e StorePath,
    /// What builds it; none for what an evaluation itself adds to the store, such as sources and `builtins.toFile`.
    pub built: Option<&'e BuiltOutput>,
}

impl EvaluatedEnvironments {
    /// The roots of all closures, by environment, workload and system, each package before what else the workload refers to.
    pub fn roots(&self) -> impl Iterator<Item = Root<'_>> {
        self.environments.iter().flat_map(move |environment| {
            let closures = environment.workloads.iter().flat_map(|(name, workload)| {
                let systems = workload.roots.iter();
                systems.map(move |(system, roots)| (name, system, &roots.paths))
            });
            closures.flat_map(move |(workload, system, paths)| {
                paths.iter().map(move |path| Root {
                    environment: &environment.name,
                    workload,
                    system,
                    path,
                    built: self.built.get(&StoreDir::default().print(path)),
                })
            })
        })
    }
}

impl Root<'_> {
    /// The output of the flake that Nix builds the root by.
    pub fn attribute_path(&self) -> String {
        let path = match self.built {
            Some(built) => built.drv_path.clone(),
            None => self.path.base_name().to_owned(),
        };
        let (environment, system) = (self.environment, self.system);
        let name = attribute_name(path.rsplit('/').next().unwrap_or(&path));
        format!("niphasConfigurations.{environment}.roots.{system}.{name}")
    }
}

/// The name in `roots` of what has this name in the store, as nixlib/roots.nix makes it: one that needs no quotes.
fn attribute_name(base_name: &str) -> String {
    base_name
        .replace(".drv", "")
        .replace(['.', '?', '=', '+'], "_")
}

#[cfg(test)]
mod tests {
    use super::attribute_name;

    #[test]
    fn names_of_attributes_need_no_quotes() {
        assert_eq!(attribute_name("0c-hello-1.0.drv"), "0c-hello-1_0");
        assert_eq!(attribute_name("0c-a+b=c?d_e.tar.gz"), "0c-a_b_c_d_e_tar_gz");
        assert_eq!(attribute_name("0c-x.d.drvrv"), "0c-x_drv");
    }
}
