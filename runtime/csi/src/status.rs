//! What the driver has mounted, told from the disk and the kernel alone: also when the driver does not run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use niphas_api::ClosureDigest;
use niphas_store::mount::MountTable;
use niphas_store::{Options, Store};
use serde::{Deserialize, Serialize};

use crate::pod::Pod;
use crate::record;

/// What the running driver tells of itself.
const DRIVER_FILE: &str = "driver.json";

/// What a driver tells of itself when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriverInfo {
    /// Its version.
    pub version: String,
    /// The node.
    pub node: String,
    /// The node's system.
    pub system: String,
    /// How closures are mounted.
    pub view: String,
    /// Why not in a better way: views that were tried, and what came of them.
    pub refused: Vec<String>,
}

impl DriverInfo {
    pub(crate) fn write(&self, state: &Path) -> std::io::Result<()> {
        let made = state.join("driver.new");
        std::fs::write(&made, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&made, state.join(DRIVER_FILE))
    }
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    /// kubelet's name of it.
    pub volume: String,
    /// Whose it is.
    pub pod: Pod,
    /// Its closure.
    pub digest: ClosureDigest,
    /// The closure's roots.
    pub roots: Vec<String>,
    /// Where it is mounted.
    pub target: PathBuf,
    /// Whether the kernel says so.
    pub mounted: bool,
}

/// A mounted closure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewStatus {
    /// Its name: the digest and the hash of the first root.
    pub view: String,
    /// Where.
    pub path: PathBuf,
    /// The file system.
    pub kind: String,
    /// The volumes that show it.
    pub volumes: Vec<String>,
}

/// What keeps store paths from being collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RootStatus {
    /// Its name.
    pub name: String,
    /// The store paths.
    pub roots: Vec<String>,
    /// The closure, if it is known.
    pub digest: Option<ClosureDigest>,
    /// Who wants it.
    pub holder: String,
    /// The volumes that do.
    pub volumes: Vec<String>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The driver, as it started last.
    pub driver: Option<DriverInfo>,
    /// The volumes.
    pub volumes: Vec<VolumeStatus>,
    /// The closures.
    pub views: Vec<ViewStatus>,
    /// The roots.
    pub roots: Vec<RootStatus>,
}

impl NodeStatus {
    /// Looks.
    pub fn read(state: &Path, store: &Path) -> anyhow::Result<Self> {
        let mounts = MountTable::read()?;
        let driver = std::fs::read(state.join(DRIVER_FILE)).ok();
        let driver = driver.and_then(|text| serde_json::from_slice(&text).ok());
        let mut volumes_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut volumes = Vec::new();
        for (_, record) in record::read(&state.join("volumes"))? {
            let Some(record) = record else { continue };
            let of_view = volumes_of.entry(record.key().to_string()).or_default();
            of_view.push(record.volume.clone());
            volumes.push(VolumeStatus {
                mounted: mounts.at(&record.target).is_some(),
                roots: record
                    .roots
                    .iter()
                    .map(|root| root.base_name().to_owned())
                    .collect(),
                volume: record.volume,
                pod: record.pod,
                digest: record.digest,
                target: record.target,
            });
        }
        volumes.sort_by(|a, b| {
            (&a.pod.namespace, &a.pod.name, &a.volume).cmp(&(
                &b.pod.namespace,
                &b.pod.name,
                &b.volume,
            ))
        });
        let folder = std::fs::canonicalize(state.join("views"))?;
        let views = mounts
            .below(&folder)
            .filter_map(|mount| {
                let view = mount.target.file_name()?.to_str()?.to_owned();
                Some(ViewStatus {
                    volumes: volumes_of.get(&view).cloned().unwrap_or_default(),
                    path: mount.target.clone(),
                    kind: mount.filesystem.clone(),
                    view,
                })
            })
            .collect();
        let roots = Store::open_read_only(store, Options::default())?
            .roots()?
            .into_iter()
            .map(|(name, hold)| {
                let name = name.to_string();
                let view = name.strip_prefix(crate::view::ROOT_PREFIX);
                RootStatus {
                    volumes: view
                        .and_then(|view| volumes_of.get(view).cloned())
                        .unwrap_or_default(),
                    roots: hold
                        .roots
                        .iter()
                        .map(|root| root.base_name().to_owned())
                        .collect(),
                    digest: hold.digest,
                    holder: hold.holder,
                    name,
                }
            })
            .collect();
        Ok(Self {
            driver,
            volumes,
            views,
            roots,
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.print(&mut text);
        text
    }

    fn print(&self, text: &mut String) -> std::fmt::Result {
        match &self.driver {
            Some(driver) => {
                writeln!(
                    text,
                    "niphas-csi {} on {} ({}), view: {}",
                    driver.version, driver.node, driver.system, driver.view
                )?;
                for refused in &driver.refused {
                    writeln!(text, "  not {refused}")?;
                }
            }
            None => writeln!(text, "no driver has started here")?,
        }
        writeln!(text, "\n{} volumes", self.volumes.len())?;
        for volume in &self.volumes {
            let state = if volume.mounted {
                "mounted"
            } else {
                "NOT MOUNTED"
            };
            writeln!(text, "  {}  {state}", volume.volume)?;
            writeln!(text, "    {}", volume.pod)?;
            writeln!(text, "    closure {}", volume.digest)?;
            writeln!(text, "    roots   {}", volume.roots.join(" "))?;
            writeln!(text, "    target  {}", volume.target.display())?;
        }
        writeln!(text, "\n{} mounted closures", self.views.len())?;
        for view in &self.views {
            writeln!(
                text,
                "  {}  {}, {} volumes",
                view.view,
                view.kind,
                view.volumes.len()
            )?;
        }
        writeln!(text, "\n{} roots of garbage collection", self.roots.len())?;
        for root in &self.roots {
            writeln!(text, "  {}", root.name)?;
            writeln!(text, "    roots    {}", root.roots.join(" "))?;
            let held_by = if root.volumes.is_empty() {
                root.holder.clone()
            } else {
                format!("volumes {}", root.volumes.join(" "))
            };
            writeln!(text, "    held by  {held_by}")?;
        }
        Ok(())
    }
}
