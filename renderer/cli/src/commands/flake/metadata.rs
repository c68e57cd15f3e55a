//! `niphas flake metadata`

use std::collections::BTreeSet;
use std::process::ExitCode;

use niphas_terminal::{print_line, say};
use nix_flake::{Date, Edge, FlakeError, FlakeRef, LockFile, LockedFlake, NodeId};
use nix_formats::StoreDir;
use serde_json::{Map, Value as Json};

use crate::failure::Failure;
use crate::flake::{FlakeArgs, LockFileArgs};
use crate::json::JsonArgs;

/// Show where a flake comes from and what its inputs are locked to, as nix flake metadata does
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The flake: a folder or a flake reference
    #[arg(value_name = "FLAKE", default_value = ".")]
    flake: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    layout: JsonArgs,
    #[command(flatten)]
    flakes: FlakeArgs,
    #[command(flatten)]
    lock_file: LockFileArgs,
}

/// What there is to say of a flake.
struct Metadata<'f> {
    locked: &'f LockedFlake,
    path: String,
    revision: Option<String>,
    dirty_revision: Option<String>,
    revisions: Option<u64>,
    last_modified: Option<u64>,
    fingerprint: Option<String>,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let flake = self.flakes.open_whole(&self.flake, self.lock_file)?;
        let store_dir = &flake.fetcher.settings().store_dir;
        let metadata = Metadata::of(&flake.locked, store_dir)?;
        if self.json {
            let json = Json::Object(metadata.to_json()?).to_string();
            print_line(self.layout.lay_out(json.as_bytes()));
        } else {
            metadata.print()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl<'f> Metadata<'f> {
    fn of(locked: &'f LockedFlake, store_dir: &StoreDir) -> Result<Self, FlakeError> {
        let flake = &locked.flake;
        let input = &flake.locked.input;
        let dirty_revision = input.attrs().string("dirtyRev")?;
        Ok(Self {
            path: store_dir.print(&flake.place.fetched.store_path),
            revision: input.rev()?,
            dirty_revision: dirty_revision.map(str::to_owned),
            revisions: input.rev_count()?,
            last_modified: input.last_modified()?,
            fingerprint: locked.fingerprint()?,
            locked,
        })
    }

    fn to_json(&self) -> Result<Map<String, Json>, Failure> {
        let flake = &self.locked.flake;
        let mut json = Map::new();
        let mut set = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                json.insert(name.to_owned(), value);
            }
        };
        set(
            "description",
            flake.decl.description.clone().map(Json::from),
        );
        for (reference, name, url) in [
            (&flake.original, "original", "originalUrl"),
            (&flake.resolved, "resolved", "resolvedUrl"),
            (&flake.locked, "locked", "url"),
        ] {
            set(name, Some(attrs(reference)?));
            set(url, Some(reference.to_string().into()));
        }
        set("revision", self.revision.clone().map(Json::from));
        set("dirtyRevision", self.dirty_revision.clone().map(Json::from));
        set("revCount", self.revisions.map(Json::from));
        set("lastModified", self.last_modified.map(Json::from));
        set("path", Some(self.path.clone().into()));
        let locks = serde_json::from_str(&self.locked.lock_file.to_shown_json())?;
        set("locks", Some(locks));
        set("fingerprint", self.fingerprint.clone().map(Json::from));
        Ok(json)
    }

    fn print(&self) -> Result<(), Failure> {
        let flake = &self.locked.flake;
        say!("Resolved URL:  {}", flake.resolved);
        if flake.locked.input.is_locked().map_err(FlakeError::from)? {
            say!("Locked URL:    {}", flake.locked);
        }
        if let Some(description) = &flake.decl.description {
            say!("Description:   {description}");
        }
        say!("Path:          {}", self.path);
        if let Some(revision) = self.revision.as_ref().or(self.dirty_revision.as_ref()) {
            say!("Revision:      {revision}");
        }
        if let Some(count) = self.revisions {
            say!("Revisions:     {count}");
        }
        if let Some(seconds) = self.last_modified {
            say!("Last modified: {}", Date::from_unix(seconds).with_time());
        }
        if let Some(fingerprint) = &self.fingerprint {
            say!("Fingerprint:   {fingerprint}");
        }
        let lock_file = &self.locked.lock_file;
        if !lock_file.node(LockFile::ROOT).inputs.is_empty() {
            say!("Inputs:");
        }
        print_inputs(lock_file, LockFile::ROOT, "", &mut BTreeSet::new())
    }
}

/// A line for each input, and below it those of its own, the first time that it is come by.
fn print_inputs(
    lock_file: &LockFile,
    node: NodeId,
    indent: &str,
    seen: &mut BTreeSet<NodeId>,
) -> Result<(), Failure> {
    if !seen.insert(node) {
        return Ok(());
    }
    let inputs = &lock_file.node(node).inputs;
    let last = inputs.len().saturating_sub(1);
    for (index, (name, edge)) in inputs.iter().enumerate() {
        let (branch, below) = if index == last {
            ("└───", "    ")
        } else {
            ("├───", "│   ")
        };
        match edge {
            Edge::Follows(path) => say!("{indent}{branch}{name} follows input '{path}'"),
            Edge::Node(child) => {
                let lock = lock_file.node(*child).lock.as_ref();
                let locked = lock.map(|lock| &lock.locked);
                let seconds = match locked {
                    Some(locked) => locked.input.last_modified().map_err(FlakeError::from)?,
                    None => None,
                };
                let date = seconds.map_or(String::new(), |seconds| {
                    format!(" ({})", Date::from_unix(seconds).with_time())
                });
                let shown = locked.map(ToString::to_string).unwrap_or_default();
                say!("{indent}{branch}{name}: {shown}{date}");
                print_inputs(lock_file, *child, &format!("{indent}{below}"), seen)?;
            }
        }
    }
    Ok(())
}

fn attrs(reference: &FlakeRef) -> Result<Json, Failure> {
    Ok(serde_json::from_str(&reference.to_attrs().to_json())?)
}
