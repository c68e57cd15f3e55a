//! What was found and done, as text and as JSON: the same from every program that works on a store.

use nix_formats::{StoreDir, size};
use serde_json::{Value, json};

use crate::gc::GcReport;
use crate::usage::DiskUsage;

impl GcReport {
    /// A line that sums up what was done, or would be.
    pub fn summary(&self, dry_run: bool) -> String {
        let verb = if dry_run { "would free" } else { "freed" };
        format!(
            "{} paths, {verb} {}; {} stay because of roots, {} for other reasons",
            self.collected.len(),
            size(self.freed),
            self.rooted,
            self.spared,
        )
    }

    /// The same as JSON, with the paths.
    pub fn to_json(&self, store_dir: &StoreDir) -> Value {
        let collected = self.collected.iter().map(|path| store_dir.print(path));
        json!({
            "collected": collected.collect::<Vec<_>>(),
            "freedBytes": self.freed,
            "rooted": self.rooted,
            "spared": self.spared,
        })
    }
}

impl DiskUsage {
    /// Lines for people; `names` are those of the closures.
    pub fn lines(&self, names: &[String]) -> String {
        let line = |what: &str, bytes: u64| format!("{:>12}  {what}\n", size(bytes));
        let mut out = [
            line(&format!("files of {} paths", self.paths), self.file_bytes),
            line("contents, each once", self.stored_bytes),
            line("packs on disk", self.pack_bytes),
            line("closure images on disk", self.image_bytes),
        ]
        .concat();
        for (name, closure) in names.iter().zip(&self.closures) {
            let files = format!("{name}: files of {} paths", closure.paths);
            out.push('\n');
            out += &line(&files, closure.file_bytes);
            out += &line("contents, each once", closure.stored_bytes);
            out += &line("of them shared with the others", closure.shared_bytes);
        }
        out
    }

    /// The same as JSON.
    pub fn to_json(&self, names: &[String]) -> Value {
        let closures = names.iter().zip(&self.closures).map(|(name, closure)| {
            json!({
                "name": name,
                "paths": closure.paths,
                "fileBytes": closure.file_bytes,
                "storedBytes": closure.stored_bytes,
                "sharedBytes": closure.shared_bytes,
            })
        });
        json!({
            "paths": self.paths,
            "fileBytes": self.file_bytes,
            "storedBytes": self.stored_bytes,
            "packBytes": self.pack_bytes,
            "imageBytes": self.image_bytes,
            "closures": closures.collect::<Vec<_>>(),
        })
    }
}
