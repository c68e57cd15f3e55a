//! Flakes made on the fly, and Nix to compare with.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod node;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix_flake::{
    FetchSettings, Fetcher, FlakeRef, InputPath, LockOptions, LockedFlake, ParseOptions, Place,
    lock, read_flake_nix,
};
use nix_formats::store_path::StoreDir;
use serde_json::Value;

/// All files and commits are as old as this.
pub const TIME: u64 = 1_700_000_000;

/// A folder with flakes in it, and a cache for each of the two.
pub struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("flakes")
            .tempdir()
            .expect("a folder for the test");
        fs::create_dir(dir.path().join("w")).expect("a folder");
        Self { dir }
    }

    /// Where flakes are made.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("w").canonicalize().expect("a folder")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Text with `@` for this folder.
    pub fn fill(&self, text: &str) -> String {
        text.replace('@', self.root().to_str().expect("UTF-8"))
    }

    /// Writes a file; `@` in it is this folder.
    pub fn write(&self, name: &str, contents: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, self.fill(contents)).expect("a file");
        self
    }

    /// Writes a flake.nix with these inputs.
    pub fn flake(&self, name: &str, inputs: &str) -> &Self {
        let file = format!("{name}/flake.nix");
        self.write(
            &file,
            &format!("{{ inputs = {{ {inputs} }}; outputs = _: {{ }}; }}\n"),
        )
    }

    /// Runs Git in a folder.
    pub fn git(&self, name: &str, args: &[&str]) -> &Self {
        let date = format!("{TIME} +0000");
        let output = Command::new("git")
            .args([
                "-c",
                "init.defaultBranch=main",
                "-c",
                "protocol.file.allow=always",
            ])
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(args)
            .current_dir(self.path(name))
            .env("HOME", self.dir.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .output()
            .expect("git");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {errors}");
        self
    }

    /// Makes a repository of a folder, with all files in one commit.
    pub fn commit(&self, name: &str) -> &Self {
        if !self.path(name).join(".git").exists() {
            self.git(name, &["init", "-q"]);
        }
        self.git(name, &["add", "-A"])
            .git(name, &["commit", "-q", "-m", "c"])
    }

    /// Gives all files and folders the same age.
    pub fn settle(&self, name: &str) -> &Self {
        fn visit(path: &Path, time: SystemTime) {
            if path.is_symlink() {
                return;
            }
            if path.is_dir() {
                for entry in fs::read_dir(path).expect("a folder") {
                    visit(&entry.expect("an entry").path(), time);
                }
            }
            let file = fs::File::open(path).expect("a file");
            file.set_modified(time).expect("a time");
        }
        visit(
            &self.path(name),
            SystemTime::UNIX_EPOCH + Duration::from_secs(TIME),
        );
        self
    }

    pub fn fetcher(&self) -> Fetcher {
        let mut settings = FetchSettings::new(self.dir.path().join("cache"));
        settings.registries.global = self.path("registry.json").display().to_string();
        Fetcher::new(settings)
    }

    pub fn reference(&self, text: &str) -> FlakeRef {
        FlakeRef::parse(&self.fill(text), &ParseOptions::in_dir(self.root())).expect("a reference")
    }

    /// Our lock of a flake.
    pub fn lock(&self, reference: &str, change: &Change) -> Result<LockedFlake, String> {
        let fetcher = self.fetcher();
        lock(
            &fetcher,
            &|place: &Place| read_flake_nix(place, &StoreDir::default()),
            &self.reference(reference),
            &self.options(change),
        )
        .map_err(|error| report(&error))
    }

    pub fn options(&self, change: &Change) -> LockOptions {
        let path = |text: &str| InputPath::parse(text).expect("a path");
        LockOptions {
            updates: change.update.iter().map(|text| path(text)).collect(),
            overrides: change
                .overrides
                .iter()
                .map(|(input, to)| (path(input), self.reference(to)))
                .collect(),
            recreate: change.recreate,
            ..LockOptions::default()
        }
    }

    /// Runs `nix` of the oracle in this world.
    pub fn nix(&self, oracle: &Path, args: &[&str]) -> Result<String, String> {
        let home = self.dir.path().join("home");
        fs::create_dir_all(&home).expect("a folder");
        let output = Command::new(oracle.join("nix"))
            .args(["--extra-experimental-features", "nix-command flakes"])
            .args([
                "--store".as_ref(),
                self.dir.path().join("store").as_os_str(),
            ])
            .args([
                "--flake-registry".as_ref(),
                self.path("registry.json").as_os_str(),
            ])
            .args(args.iter().map(|arg| self.fill(arg)))
            .current_dir(self.root())
            .env("HOME", &home)
            .env_remove("XDG_CACHE_HOME")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "protocol.file.allow")
            .env("GIT_CONFIG_VALUE_0", "always")
            .output()
            .expect("nix");
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).expect("UTF-8"))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The lock file that Nix writes for a flake; none if it writes none.
    pub fn nix_lock(
        &self,
        oracle: &Path,
        reference: &str,
        change: &Change,
    ) -> Result<String, String> {
        let file = self.path("nix.lock");
        let _ = fs::remove_file(&file);
        let mut args = vec!["flake"];
        if change.is_update() {
            args.push("update");
            args.extend(change.update.iter().copied());
            args.extend(["--flake", reference]);
        } else {
            args.extend(["lock", reference]);
        }
        args.extend(["--output-lock-file", "@/nix.lock"]);
        for (input, to) in &change.overrides {
            args.extend(["--override-input", input, to]);
        }
        self.nix(oracle, &args)?;
        fs::read_to_string(file).map_err(|error| error.to_string())
    }

    /// What both make of a flake, in a form that is the same in every world: `@` for its folder,
    /// numbers for hashes and commits.
    pub fn normal(&self, lock: &str) -> String {
        let mut json: Value = serde_json::from_str(lock).expect("a lock file is JSON");
        number(&mut json, &mut BTreeMap::new());
        let text = serde_json::to_string_pretty(&json).expect("JSON");
        text.replace(self.root().to_str().expect("UTF-8"), "@") + "\n"
    }
}

/// What is asked for beside the flake itself.
#[derive(Default)]
pub struct Change {
    pub update: Vec<&'static str>,
    pub overrides: Vec<(&'static str, &'static str)>,
    pub recreate: bool,
}

impl Change {
    fn is_update(&self) -> bool {
        self.recreate || !self.update.is_empty()
    }
}

/// An error and its causes.
pub fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn number(json: &mut Value, known: &mut BTreeMap<String, usize>) {
    match json {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(text)
                        if matches!(key.as_str(), "narHash" | "rev" | "dirtyRev") =>
                    {
                        let next = known.len() + 1;
                        let number = *known.entry(text.clone()).or_insert(next);
                        *text = format!("{key} {number}");
                    }
                    other => number(other, known),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| number(item, known)),
        _ => {}
    }
}

/// The folder of the reference Nix, if there is one.
pub fn oracle() -> Option<PathBuf> {
    std::env::var_os("NIPHAS_ORACLE").map(PathBuf::from)
}
