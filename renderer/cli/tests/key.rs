//! `niphas key`, and what real Nix makes of the keys.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix_formats::{PublicKey, SecretKey};
use tempfile::TempDir;

fn niphas(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_niphas"));
    command.args(args).current_dir(folder).env_clear();
    command.env("NO_COLOR", "1").output().unwrap()
}

fn generate(folder: &Path, args: &[&str]) -> String {
    let output = niphas(folder, &[&["key", "generate"], args].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_key_is_two_halves_and_only_the_public_one_is_printed() {
    let folder = TempDir::new().unwrap();
    let public = generate(folder.path(), &["shop-1", "--output", "key"]);
    let file = folder.path().join("key");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let secret = fs::read_to_string(&file).unwrap();
    let key: SecretKey = secret.parse().unwrap();
    assert_eq!(secret, key.to_secret_string(), "as Nix writes it");
    assert_eq!(public, format!("{}\n", key.public_key()));
    assert!(public.starts_with("shop-1:"));
    let again = niphas(folder.path(), &["key", "public", "key"]);
    assert_eq!(again.stdout, public.as_bytes());

    let other = generate(folder.path(), &["shop-1"]);
    assert_ne!(other, public);
    let of_name = niphas(folder.path(), &["key", "public", "shop-1.secret"]);
    assert_eq!(of_name.stdout, other.as_bytes());
}

#[test]
fn nothing_is_overwritten_and_no_link_is_followed() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("key"), "mine").unwrap();
    symlink("elsewhere", path("link")).unwrap();
    for name in ["key", "link"] {
        let output = niphas(folder.path(), &["key", "generate", "a-1", "--output", name]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(output.stdout, b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let expected = format!("error: '{name}' exists, and keys are not overwritten\nhint: ");
        assert!(stderr.starts_with(&expected), "{stderr}");
    }
    assert_eq!(fs::read(path("key")).unwrap(), b"mine");
    assert!(!path("elsewhere").exists());
    for name in ["", "a:b", "a b", "a/b", "-a", "ä"] {
        let output = niphas(folder.path(), &["key", "generate", "--", name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
}

#[test]
fn the_wrong_half_is_named_as_such_and_never_repeated() {
    let folder = TempDir::new().unwrap();
    let public = generate(folder.path(), &["shop-1", "--output", "secret"]);
    fs::write(folder.path().join("public"), &public).unwrap();
    let secret = fs::read_to_string(folder.path().join("secret")).unwrap();
    let look = ["cache", "info", "--cache", "file:///nowhere"];
    for (args, expected) in [
        (
            &["key", "public", "public"][..],
            "expected the secret half of key 'shop-1', found its public half",
        ),
        (
            &[
                "cache",
                "push",
                "--to",
                "file:///nowhere",
                "--sign-key",
                "public",
                "x",
            ],
            "expected the secret half of key 'shop-1', found its public half",
        ),
        (
            &[&look[..], &["--key-file", "secret"]].concat(),
            "expected the public half of key 'shop-1', found its secret half",
        ),
        (
            &[&look[..], &["--trusted-public-key", &secret]].concat(),
            "hint: keep the secret half where paths are pushed; its public half is printed by: niphas key public <file>",
        ),
    ] {
        let output = niphas(folder.path(), args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
        assert!(!stderr.contains(&secret[10..30]), "{args:?}: {stderr}");
    }
}

/// A program of real Nix, if there is one.
fn nix(program: &str) -> Option<Command> {
    let folder = PathBuf::from(std::env::var_os("NIPHAS_ORACLE")?);
    let mut command = Command::new(folder.join(program));
    command.env(
        "NIX_CONFIG",
        "build-users-group =\nsandbox = false\nsandbox-paths =\nsubstituters =\nexperimental-features = nix-command",
    );
    Some(command)
}

fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// What Nix builds by itself.
const DERIVATION: &str = r#"
  derivation {
    name = "empty";
    system = "builtin";
    builder = "builtin:buildenv";
    derivations = [ ];
    manifest = builtins.toFile "manifest.nix" "[ ]";
  }
"#;

#[test]
fn nix_signs_with_such_a_key_and_we_take_keys_of_nix() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let public = generate(folder.path(), &["shop-1", "--output", "secret"]);
    if nix("nix").is_none() {
        return;
    }
    // Not what was added by its contents, which needs no signature.
    let store = path("store");
    let build = ["build", "--store", &store, "--no-link", "--print-out-paths"];
    let built = stdout(nix("nix").unwrap().args(build).args(["--expr", DERIVATION]));
    let built = built.trim();
    let sign = [
        "store",
        "sign",
        "--store",
        &store,
        "--key-file",
        &path("secret"),
    ];
    stdout(nix("nix").unwrap().args(sign).arg(built));
    let verify = ["store", "verify", "--store", &store, "--sigs-needed", "1"];
    let trusted = ["--trusted-public-keys", public.trim(), built];
    stdout(nix("nix").unwrap().args(verify).args(trusted));
    generate(folder.path(), &["shop-1", "--output", "other"]);
    let other = niphas(folder.path(), &["key", "public", "other"]).stdout;
    let other = String::from_utf8(other).unwrap();
    let untrusted = ["--trusted-public-keys", other.trim(), built];
    let refused = nix("nix").unwrap().args(verify).args(untrusted).output();
    assert!(
        !refused.unwrap().status.success(),
        "of another key of the same name"
    );

    // Both of Nix's ways to make one.
    let (secret, file) = (path("nix.secret"), path("nix.public"));
    stdout(nix("nix-store").unwrap().args([
        "--generate-binary-cache-key",
        "nix-1",
        &secret,
        &file,
    ]));
    let ours = niphas(folder.path(), &["key", "public", "nix.secret"]).stdout;
    let ours = String::from_utf8(ours).unwrap();
    assert_eq!(ours.trim(), fs::read_to_string(file).unwrap().trim());
    let made = stdout(
        nix("nix")
            .unwrap()
            .args(["key", "generate-secret", "--key-name", "nix-2"]),
    );
    fs::write(path("made"), &made).unwrap();
    let ours = niphas(folder.path(), &["key", "public", "made"]).stdout;
    let ours: PublicKey = String::from_utf8(ours).unwrap().parse().unwrap();
    assert_eq!(ours.name(), "nix-2");
    let ours = fs::read_to_string(path("secret")).unwrap();
    let data_length = |key: &str| key.split_once(':').unwrap().1.len();
    assert_eq!(data_length(made.trim()), data_length(&ours));
}
