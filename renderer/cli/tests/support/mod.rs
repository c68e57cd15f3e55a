//! The repository's example flake, copied to where a test may change it, and the program as its users run it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A folder with the example flake and the library it uses in one of its folders.
pub(crate) struct ExampleFolder {
    folder: TempDir,
    source: PathBuf,
}

impl ExampleFolder {
    /// With the example in the folder `source`.
    pub(crate) fn new(source: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let source = folder.path().join(source);
        for name in ["flake.nix", "nixlib", "examples/hello"] {
            copy(&Path::new(REPOSITORY).join(name), &source.join(name));
        }
        Self { folder, source }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The repository that the example is in.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// A file of the example.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.source.join("examples/hello").join(name)
    }

    /// The example's cache, as a URL.
    pub(crate) fn cache(&self) -> String {
        format!("file://{}", self.example("cache").display())
    }

    /// The public key that the cache is signed with.
    pub(crate) fn key(&self) -> PathBuf {
        self.example("cache-demo-key.public")
    }

    /// `niphas` with a home of its own, and nothing of this process's environment but where programs are.
    pub(crate) fn niphas(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_niphas"));
        command
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }
}

/// Copies a file, or a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
