//! `niphas-store ls`

use std::process::ExitCode;

use niphas_store::{Node, TreeEvent};
use niphas_terminal::{OutputFormat, print_line, say};
use serde_json::{Value, json};

use crate::arguments::{StoreArgs, parse_path, stored};
use crate::failure::Failure;

/// List what is in a store path
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  niphas-store ls /nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0/bin
  niphas-store ls -R 0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0")]
pub(crate) struct Args {
    /// The path, or something in it
    #[arg(value_name = "PATH")]
    path: String,
    /// Directories in directories too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// How to print them; JSON has the places in packs and the hashes too
    #[arg(long, value_enum, default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    store: StoreArgs,
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let (path, name) = parse_path(&self.path)?;
        let store = self.store.open_read_only()?;
        let path = stored(&store, &path)?;
        let tree = store.tree(&path)?;
        let missing = || niphas_store::StoreError::NoSuchFile {
            path: path.path().clone(),
            name: name.clone(),
        };
        let bad = |source| niphas_store::StoreError::BadRecord {
            path: path.path().clone(),
            source,
        };
        let found = tree.find(name.as_bytes()).map_err(bad)?;
        let is_directory = found.ok_or_else(missing)? == Node::Directory;
        let mut as_json = Vec::new();
        let mut show = |name: &[u8], event: TreeEvent<'_>| {
            let (line, json) = describe(name, event);
            match self.output {
                // A path may have millions of files.
                OutputFormat::Text => print_line(line),
                OutputFormat::Json => as_json.push(json),
            }
        };
        let walked = tree.walk(|whole, event| {
            if !is_directory {
                if whole == name.as_bytes() {
                    show(whole, event);
                }
                return;
            }
            let inside = if name.is_empty() {
                Some(whole)
            } else {
                let rest = whole.strip_prefix(name.as_bytes());
                rest.and_then(|rest| rest.strip_prefix(b"/"))
            };
            if let Some(inside) = inside.filter(|inside| !inside.is_empty())
                && (self.recursive || !inside.contains(&b'/'))
            {
                show(inside, event);
            }
        });
        walked.map_err(bad)?;
        if let OutputFormat::Json = self.output {
            say!("{}", Value::from(as_json));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(name: &[u8], event: TreeEvent<'_>) -> (String, Value) {
    let name = String::from_utf8_lossy(name);
    match event {
        TreeEvent::Enter(_) | TreeEvent::Leave => (
            format!("dr-xr-xr-x {:>12} {name}/", ""),
            json!({ "name": name, "type": "directory" }),
        ),
        TreeEvent::Symlink(_, target) => {
            let target = String::from_utf8_lossy(target);
            (
                format!("lrwxrwxrwx {:>12} {name} -> {target}", ""),
                json!({ "name": name, "type": "symlink", "target": target }),
            )
        }
        TreeEvent::File(_, file) => {
            let mode = if file.executable {
                "-r-xr-xr-x"
            } else {
                "-r--r--r--"
            };
            let hash = blake3::Hash::from_bytes(file.hash).to_hex();
            let json = json!({
                "name": name,
                "type": "regular",
                "executable": file.executable,
                "size": file.size,
                "pack": file.place.pack.to_string(),
                "offset": file.place.offset(),
                "blake3": hash.as_str(),
            });
            (format!("{mode} {:>12} {name}", file.size), json)
        }
    }
}
