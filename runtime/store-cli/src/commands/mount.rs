//! `niphas-store mount`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use niphas_store::Store;
use niphas_store::mount::{View, mount_image, probe};
use niphas_terminal::print_line;

use crate::arguments::{StoreArgs, stored_closure};
use crate::failure::Failure;

/// Mount the closure of store paths at a folder, read-only
///
/// The folder shows `store/` with the closure's paths and `root`, a symlink to the first that was given: what a pod sees at
/// /nix. Prints how it is mounted: `file` or `file-direct` (the image and its packs as files) or `loop` (through loop
/// devices).
///
/// Needs root. The mount stays until `umount`, but a garbage collection does not know of it: give the closure a root.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:
  niphas-store mount /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0 --to /mnt/web")]
pub(crate) struct Args {
    /// The paths
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// The folder
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// How to mount it, instead of the best way that works
    #[arg(long, value_name = "VIEW")]
    view: Option<MountedView>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum MountedView {
    /// The image and its packs as files: Linux 6.12 and later
    File,
    /// The same, packs read past the page cache of their file system
    FileDirect,
    /// Through loop devices
    Loop,
}

impl From<MountedView> for View {
    fn from(view: MountedView) -> Self {
        match view {
            MountedView::File => Self::FileBacked { direct_io: false },
            MountedView::FileDirect => Self::FileBacked { direct_io: true },
            MountedView::Loop => Self::Loop,
        }
    }
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let store = self.store.open_for_image()?;
        let closure = stored_closure(&store, &self.paths)?;
        let image = store.image(&closure)?;
        let view = match self.view {
            Some(view) => view.into(),
            None => best(&store)?,
        };
        // The mount table tells where an image is by the path it was mounted by.
        let file = image
            .file
            .canonicalize()
            .with_context(|| format!("cannot find '{}'", image.file.display()))?;
        mount_image(&file, &image.devices, view, &self.to)?;
        print_line(view.name());
        Ok(ExitCode::SUCCESS)
    }
}

fn best(store: &Store) -> Result<View, Failure> {
    let probed = probe(&store.dir().join("tmp"))?;
    match (probed.view, probed.refused.into_iter().next()) {
        (View::Export, Some(refusal)) => Err(Failure::with_hint(
            anyhow::Error::from(refusal.error).context(anyhow!("closures cannot be mounted here")),
            "write the files out with `niphas-store export`",
        )),
        (view, _) => Ok(view),
    }
}
