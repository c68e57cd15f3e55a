//! Against a real Nix, where there is one: `NIPHAS_ORACLE` names its bin folder.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests may; clippy knows only their functions"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix_formats::SecretKey;
use nix_formats::nar::Writer;

/// Runs one of Nix's programs; `None` without an oracle.
fn oracle(program: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let Some(bin) = std::env::var_os("NIPHAS_ORACLE") else {
        eprintln!("SKIPPED: NIPHAS_ORACLE does not name the bin folder of a Nix");
        return None;
    };
    let mut child = Command::new(PathBuf::from(bin).join(program))
        .args(args)
        .env("NIX_REMOTE", "dummy://")
        .env("NIX_CONFIG", "experimental-features = nix-command")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    Some(output.stdout)
}

/// The next of a row of numbers below a bound.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// A small random tree, the same for the same seed.
fn grow(path: &Path, seed: &mut u64, depth: u32) {
    match random(seed, if depth == 0 { 3 } else { 6 }) {
        0 => symlink(format!("../target-{}", random(seed, 1000)), path).unwrap(),
        kind @ (1 | 2) => {
            let contents = "line\n".repeat(random(seed, 5000) as usize);
            fs::write(
                path,
                &contents[..contents.len().saturating_sub(kind as usize)],
            )
            .unwrap();
            let mode = if random(seed, 2) == 0 { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        _ => {
            fs::create_dir(path).unwrap();
            for _ in 0..random(seed, 7) {
                let name = format!(
                    "{}{}",
                    ["a", "B", "a.b", "ü", "-", "~"][random(seed, 6) as usize],
                    random(seed, 20)
                );
                if !path.join(&name).exists() {
                    grow(&path.join(name), seed, depth.saturating_sub(1));
                }
            }
        }
    }
}

fn dump(path: &Path, writer: &mut Writer<Vec<u8>>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_symlink() {
        writer
            .symlink(fs::read_link(path).unwrap().as_os_str().as_encoded_bytes())
            .unwrap();
    } else if metadata.is_dir() {
        writer.begin_directory().unwrap();
        let entries: BTreeMap<_, _> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().as_encoded_bytes().to_vec(), entry.path()))
            .collect();
        for (name, path) in entries {
            writer.entry(&name).unwrap();
            dump(&path, writer);
        }
        writer.end_directory().unwrap();
    } else {
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let mut file = fs::File::open(path).unwrap();
        writer
            .file_from(executable, metadata.len(), &mut file)
            .unwrap();
    }
}

#[test]
fn random_trees_have_the_nars_that_nix_gives_them() {
    for mut seed in 0..30 {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        grow(&tree, &mut seed, 4);
        let mut writer = Writer::new(Vec::new());
        dump(&tree, &mut writer);
        let ours = writer.finish().unwrap();
        let Some(theirs) = oracle("nix-store", &["--dump", tree.to_str().unwrap()], b"") else {
            return;
        };
        assert!(ours == theirs, "tree of seed {seed}");
        let restored = folder.path().join("restored");
        oracle(
            "nix-store",
            &["--restore", restored.to_str().unwrap()],
            &ours,
        )
        .unwrap();
    }
}

#[test]
fn keys_made_here_are_keys_to_nix() {
    let key = SecretKey::from_seed("here-1", [42; 32]);
    let args = ["key", "convert-secret-to-public"];
    if let Some(public) = oracle("nix", &args, key.to_secret_string().as_bytes()) {
        assert_eq!(
            String::from_utf8(public).unwrap().trim(),
            key.public_key().to_string()
        );
    }
}
