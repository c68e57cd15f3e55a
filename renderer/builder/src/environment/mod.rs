//! Makes the [`Process`] of a derivation: its arguments, environment and files, as Nix 2.34 makes them.

mod error;
mod graph;
mod scratch;
mod structured;

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;
use nix_formats::derivation::{DerivationKind, hash_placeholder};
use nix_formats::{Derivation, HashAlgorithm, HashFormat, StoreDir, StorePath};

pub use error::EnvironmentError;
pub use graph::{PathInfo, PathInfos};
pub use scratch::scratch_paths;

use crate::builtin::Builtin;
use crate::derivations::Derivations;
use crate::options::Options;
use crate::process::{BUILD_DIR, Process};

/// What a builder is made of.
#[derive(Clone, Copy)]
pub struct Build<'a> {
    /// The derivation, resolved: its inputs are store paths that are there.
    pub derivation: &'a Derivation,
    /// What it asks for.
    pub options: &'a Options,
    /// Where each output is built, by its name. See [`scratch_paths`].
    pub scratch: &'a BTreeMap<String, StorePath>,
    /// The input closure.
    pub inputs: &'a BTreeSet<StorePath>,
    /// Knows the paths whose references the builder gets to see.
    pub infos: &'a dyn PathInfos,
    /// Knows derivations among those.
    pub derivations: &'a dyn Derivations,
    /// The directory that store paths lie in.
    pub store_dir: &'a StoreDir,
    /// Processors that the builder may use.
    pub cores: u32,
    /// The value of a variable that a fixed-output or impure derivation takes from its caller.
    pub caller_variable: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
}

/// The variables that tell of the build folder.
const BUILD_DIR_VARIABLES: [&str; 6] = ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"];

/// Makes the process that builds a derivation.
pub fn process(build: &Build<'_>) -> Result<Process, EnvironmentError> {
    let kind = build.derivation.kind()?;
    let rewrites = rewrites(build)?;
    let mut env: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut set = |name: &str, value: &str| env.insert(name.into(), value.into());
    set("PATH", "/path-not-set");
    set("HOME", "/homeless-shelter");
    set("NIX_STORE", build.store_dir.as_str());
    set("NIX_BUILD_CORES", &build.cores.to_string());
    let mut files = own_variables(build, &mut env)?;
    let mut set = |name: &str, value: &str| env.insert(name.into(), value.into());
    for name in BUILD_DIR_VARIABLES {
        set(name, BUILD_DIR);
    }
    if kind == DerivationKind::FixedOutput {
        set("NIX_OUTPUT_CHECKED", "1");
    }
    if matches!(kind, DerivationKind::FixedOutput | DerivationKind::Impure) {
        for name in &build.options.impure_env_vars {
            let value = (build.caller_variable)(name).unwrap_or_default();
            env.insert(name.clone(), value);
        }
    }
    env.insert("NIX_LOG_FD".into(), "2".into());
    env.insert("TERM".into(), "xterm-256color".into());

    let env = env
        .into_iter()
        .map(|(name, value)| variable(&rewrites, name, value));
    for contents in files.values_mut() {
        rewrite(&rewrites, contents);
    }
    let args = build.derivation.args.iter().map(|arg| {
        let mut arg = arg.clone();
        rewrite(&rewrites, &mut arg);
        until_nul(&mut arg);
        arg
    });
    Ok(Process {
        program: build.derivation.builder.clone(),
        args: args.collect(),
        env: env.collect::<Result<_, _>>()?,
        files,
        is_32_bit: is_32_bit(&build.derivation.platform),
        builtin: Builtin::of(build),
    })
}

/// Adds the variables that the derivation itself asks for, and gives the files.
fn own_variables(
    build: &Build<'_>,
    env: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, EnvironmentError> {
    let mut files = BTreeMap::new();
    let mut file =
        |env: &mut BTreeMap<Vec<u8>, Vec<u8>>, variable: Vec<u8>, name: &str, contents| {
            env.insert(variable, format!("{BUILD_DIR}/{name}").into_bytes());
            files.insert(name.as_bytes().to_vec(), contents);
        };
    if let Some(text) = &build.derivation.structured_attrs {
        let attributes = structured::attributes(build, text)?;
        file(
            env,
            "NIX_ATTRS_SH_FILE".into(),
            ".attrs.sh",
            structured::shell(&attributes),
        );
        file(
            env,
            "NIX_ATTRS_JSON_FILE".into(),
            ".attrs.json",
            structured::json(&attributes),
        );
        return Ok(files);
    }
    for (name, value) in &build.derivation.env {
        if build.options.pass_as_file.contains(name) {
            let hash = HashAlgorithm::Sha256
                .digest(name)
                .to_string(HashFormat::Nix32, false);
            file(
                env,
                [name, &b"Path"[..]].concat(),
                &format!(".attr-{hash}"),
                value.clone(),
            );
        } else {
            env.insert(name.clone(), value.clone());
        }
    }
    for (name, roots) in &build.options.export_references_graph {
        let registration = graph::Graph::of(build, roots)?.registration(build.store_dir);
        files.insert(name.clone().into_bytes(), registration);
    }
    Ok(files)
}

/// What stands for the own outputs, and where they are built; in the order in which Nix replaces them.
fn rewrites(build: &Build<'_>) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let outputs = build.derivation.outputs.keys();
    outputs
        .map(|output| {
            let scratch = build.scratch.get(output);
            let scratch = scratch.ok_or_else(|| EnvironmentError::NoScratchPath(output.clone()))?;
            Ok((hash_placeholder(output), build.store_dir.print(scratch)))
        })
        .collect()
}

fn rewrite(rewrites: &BTreeMap<String, String>, text: &mut Vec<u8>) {
    for (placeholder, path) in rewrites {
        let finder = memmem::Finder::new(placeholder);
        let mut found = finder.find_iter(text).peekable();
        if found.peek().is_none() {
            continue;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut end = 0;
        for start in found {
            out.extend_from_slice(&text[end..start]);
            out.extend_from_slice(path.as_bytes());
            end = start + placeholder.len();
        }
        out.extend_from_slice(&text[end..]);
        *text = out;
    }
}

/// A variable as the builder gets it: placeholders are replaced in its name as well.
fn variable(
    rewrites: &BTreeMap<String, String>,
    mut name: Vec<u8>,
    mut value: Vec<u8>,
) -> Result<(Vec<u8>, Vec<u8>), EnvironmentError> {
    if name.contains(&0) {
        return Err(EnvironmentError::NulInName(
            String::from_utf8_lossy(&name).into_owned(),
        ));
    }
    rewrite(rewrites, &mut name);
    rewrite(rewrites, &mut value);
    until_nul(&mut value);
    Ok((name, value))
}

/// Ends a text where a program finds its end.
fn until_nul(text: &mut Vec<u8>) {
    if let Some(end) = memchr::memchr(0, text) {
        text.truncate(end);
    }
}

/// Whether programs of this system see a machine of 32 bits on one of 64.
fn is_32_bit(platform: &[u8]) -> bool {
    matches!(
        platform,
        b"i686-linux" | b"armv7l-linux" | b"armv6l-linux" | b"armv5tel-linux"
    )
}
