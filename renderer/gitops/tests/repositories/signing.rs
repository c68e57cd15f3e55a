//! Signed commits, as git, ssh-keygen and gpg see them. Needs `git` and `ssh-keygen`; `gpg` where there is one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use data_encoding::BASE64;
use git2::Oid;
use niphas_gitops::{KeyProblem, SigningKey};
use tempfile::TempDir;

use crate::support::{TestRepository, committed, environment, request};

fn run(command: &mut Command, input: &[u8]) -> Output {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn done(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let output = run(command, input);
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

/// A commit signed with the key.
fn sign(test: &TestRepository, key: &Path) -> Oid {
    let key = SigningKey::read(key).unwrap();
    assert!(format!("{key:?}").starts_with("SigningKey("));
    let mut request = request(&[environment("production", &[("web", "a")])]);
    request.signing_key = Some(&key);
    committed(&test.open().commit(&request).unwrap())
}

/// Whether git finds the signature of a commit good: of the commit as it is, and with another word in it.
fn verify(test: &TestRepository, commit: Oid, git: &dyn Fn() -> Command) -> (Output, Output) {
    let git = || {
        let mut git = git();
        git.arg("-C").arg(test.path());
        git
    };
    let of = |commit: &str| run(git_with(&git, &["verify-commit", "--verbose", commit]), b"");
    let commit = commit.to_string();
    let text = done(git_with(&git, &["cat-file", "commit", &commit]), b"");
    let text = String::from_utf8(text).unwrap();
    let changed = text.replace("niphas: render production", "niphas: render productioN");
    assert_ne!(text, changed);
    let write = ["hash-object", "-t", "commit", "-w", "--stdin"];
    let changed = done(git_with(&git, &write), changed.as_bytes());
    let changed = String::from_utf8(changed).unwrap();
    (of(&commit), of(changed.trim()))
}

fn git_with<'c>(git: &dyn Fn() -> Command, arguments: &[&str]) -> &'c mut Command {
    let mut command = git();
    command.args(arguments);
    Box::leak(Box::new(command))
}

/// An SSH key, and its public half in `.pub`.
fn ssh_key(folder: &Path, kind: &[&str], passphrase: &str) -> PathBuf {
    let path = folder.join(format!("key-{}{passphrase}", kind.concat()));
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", passphrase, "-C", "a comment", "-t"]);
    done(command.args(kind).arg("-f").arg(&path), b"");
    path
}

#[test]
fn git_finds_signatures_by_ssh_keys_good() {
    let folder = tempfile::tempdir().unwrap();
    let kinds: [&[&str]; 6] = [
        &["ed25519"],
        &["ecdsa", "-b", "256"],
        &["ecdsa", "-b", "384"],
        &["rsa", "-b", "2048"],
        &["rsa", "-b", "3072"],
        &["rsa", "-b", "4096"],
    ];
    for kind in kinds {
        let test = TestRepository::bare();
        let key = ssh_key(folder.path(), kind, "");
        let signers = folder.path().join("signers");
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        fs::write(&signers, format!("ci@example.org {public}")).unwrap();
        let commit = sign(&test, &key);
        let (good, bad) = verify(&test, commit, &|| {
            let mut git = Command::new("git");
            let setting = format!("gpg.ssh.allowedSignersFile={}", signers.display());
            git.args(["-c", "gpg.format=ssh", "-c", &setting]);
            git
        });
        let said = String::from_utf8_lossy(&good.stderr).into_owned();
        assert!(good.status.success(), "{kind:?}: {said}");
        assert!(
            said.contains("Good \"git\" signature for ci@example.org"),
            "{said}"
        );
        assert!(!bad.status.success(), "{kind:?}: {bad:?}");
        assert!(
            String::from_utf8_lossy(&bad.stderr).contains("incorrect signature"),
            "{bad:?}"
        );
    }
}

#[test]
fn ssh_keys_that_cannot_sign_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let problem = |path: &Path| SigningKey::read(path).unwrap_err();
    let encrypted = ssh_key(folder, &["ed25519"], "secret");
    let p521 = ssh_key(folder, &["ecdsa", "-b", "521"], "");
    let small = ssh_key(folder, &["rsa", "-b", "1024"], "");
    let large = ssh_key(folder, &["rsa", "-b", "4104"], "");
    let pem = folder.join("pem");
    let mut make = Command::new("ssh-keygen");
    make.args(["-q", "-N", "", "-m", "PEM", "-t", "rsa", "-f"]);
    done(make.arg(&pem), b"");
    let public = encrypted.with_extension("pub");
    let said: Vec<String> = [&encrypted, &p521, &small, &large, &pem, &public]
        .iter()
        .map(|path| {
            let error = niphas_gitops::Error::from(problem(path));
            crate::support::explain(&error).replace(folder.to_str().unwrap(), "FOLDER")
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    cannot sign with the key 'FOLDER/key-ed25519secret'
      because it has a passphrase
      hint: make a key without a passphrase for this, or a copy of this one: 'ssh-keygen -p -N "" -f COPY'
    cannot sign with the key 'FOLDER/key-ecdsa-b521'
      because keys of type 'ecdsa-sha2-nistp521' cannot sign here
      hint: make a key for this: ssh-keygen -t ed25519
    cannot sign with the key 'FOLDER/key-rsa-b1024'
      because it is too weak, or its parts do not belong together
      because TooSmall
      hint: make a key for this: ssh-keygen -t ed25519
    cannot sign with the key 'FOLDER/key-rsa-b4104'
      because it has more than 4096 bits
      hint: make a key for this: ssh-keygen -t ed25519
    cannot sign with the key 'FOLDER/pem'
      because it is not in the form of OpenSSH
      hint: 'ssh-keygen -p -f FILE' writes it again in the form of OpenSSH
    cannot sign with the key 'FOLDER/key-ed25519secret.pub'
      because it is a public key
      hint: give the file of a private key, as ssh-keygen writes it, or as gpg exports it in text form
    "#);
}

#[test]
fn a_damaged_ssh_key_is_refused_wherever_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let key = ssh_key(folder.path(), &["ed25519"], "");
    let text = fs::read_to_string(&key).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let bytes = BASE64
        .decode(lines[1..lines.len() - 1].concat().as_bytes())
        .unwrap();
    let read = |bytes: &[u8]| {
        let (begin, end) = (lines[0], lines[lines.len() - 1]);
        let text = format!("{begin}\n{}\n{end}\n", BASE64.encode(bytes));
        fs::write(&key, text).unwrap();
        SigningKey::read(&key).map_err(|error| error.source)
    };
    read(&bytes).unwrap();
    // What follows the secret is a comment, and padding.
    let secret = bytes.len() - 32;
    for length in 0..secret {
        assert!(
            matches!(read(&bytes[..length]), Err(KeyProblem::Damaged)),
            "{length} bytes"
        );
    }
    for place in 0..secret {
        let mut changed = bytes.clone();
        changed[place] ^= 0x80;
        // Some bytes are read past: they are said again later, or are not of the key.
        let _ = read(&changed);
    }
    for length in [[0xff; 4], [0x7f, 0xff, 0xff, 0xff]] {
        let mut changed = bytes.clone();
        changed[15..19].copy_from_slice(&length);
        assert!(matches!(read(&changed), Err(KeyProblem::Damaged)));
    }
}

/// A keyring in a folder. Its agent ends with it.
struct Keyring(TempDir);

impl Keyring {
    /// `None` without gpg.
    fn new() -> Option<Self> {
        let found = Command::new("gpg").arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut permissions = fs::metadata(folder.path()).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o700);
        fs::set_permissions(folder.path(), permissions).unwrap();
        Some(Self(folder))
    }

    fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.0.path()).args(["--batch"]);
        done(gpg.args(arguments), b"")
    }

    fn generate(&self, passphrase: &str, who: &str, algorithm: &str, usage: &str) {
        let make = ["--passphrase", passphrase, "--quick-generate-key"];
        self.gpg(&[&make[..], &[who, algorithm, usage, "never"]].concat());
    }

    /// The secret keys of these names, in a file.
    fn export(&self, passphrase: &str, names: &[&str]) -> PathBuf {
        let path = self.0.path().join("exported");
        let export = [
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            passphrase,
            "--armor",
            "--export-secret-keys",
        ];
        fs::write(&path, self.gpg(&[&export[..], names].concat())).unwrap();
        path
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let mut kill = Command::new("gpgconf");
        kill.arg("--homedir").arg(self.0.path());
        let _ = kill.args(["--kill", "all"]).output();
    }
}

#[test]
fn git_finds_signatures_by_openpgp_keys_good() {
    let Some(keyring) = Keyring::new() else {
        println!("SKIPPED: there is no gpg");
        return;
    };
    let names = ["ed@example.org", "rsa@example.org", "sub@example.org"];
    keyring.generate("", names[0], "ed25519", "sign");
    keyring.generate("", names[1], "rsa2048", "sign");
    // A key that certifies only, and a key below it that signs.
    keyring.generate("", names[2], "ed25519", "cert");
    let listed = keyring.gpg(&["--list-keys", "--with-colons", names[2]]);
    let listed = String::from_utf8(listed).unwrap();
    let fingerprint = listed
        .lines()
        .find_map(|line| line.strip_prefix("fpr:::::::::"));
    let fingerprint = fingerprint.unwrap().trim_end_matches(':');
    let add = [
        "--passphrase",
        "",
        "--quick-add-key",
        fingerprint,
        "ed25519",
        "sign",
        "never",
    ];
    keyring.gpg(&add);
    for name in names {
        let test = TestRepository::bare();
        let commit = sign(&test, &keyring.export("", &[name]));
        let (good, bad) = verify(&test, commit, &|| {
            let mut git = Command::new("git");
            git.env("GNUPGHOME", keyring.0.path());
            git
        });
        let said = String::from_utf8_lossy(&good.stderr).into_owned();
        assert!(good.status.success(), "{name}: {said}");
        assert!(
            said.contains(&format!("Good signature from \"{name}\"")),
            "{said}"
        );
        assert!(!bad.status.success(), "{bad:?}");
        assert!(
            String::from_utf8_lossy(&bad.stderr).contains("BAD signature"),
            "{bad:?}"
        );
    }
}

#[test]
fn openpgp_keys_that_cannot_sign_are_told_apart() {
    let Some(keyring) = Keyring::new() else {
        println!("SKIPPED: there is no gpg");
        return;
    };
    let problem = |path: &Path| SigningKey::read(path).unwrap_err().source;
    keyring.generate("", "one@example.org", "ed25519", "sign");
    keyring.generate("", "two@example.org", "ed25519", "sign");
    let both = keyring.export("", &["one@example.org", "two@example.org"]);
    assert!(matches!(problem(&both), KeyProblem::Several(2)));
    keyring.generate("s3cret", "locked@example.org", "ed25519", "sign");
    let locked = keyring.export("s3cret", &["locked@example.org"]);
    assert!(matches!(problem(&locked), KeyProblem::Failed { .. }));
    keyring.generate("", "cert@example.org", "ed25519", "cert");
    let certifies = keyring.export("", &["cert@example.org"]);
    assert!(matches!(problem(&certifies), KeyProblem::Failed { .. }));
    let damaged = keyring.0.path().join("damaged");
    let text =
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n";
    fs::write(&damaged, text).unwrap();
    assert!(matches!(problem(&damaged), KeyProblem::Failed { .. }));
}
