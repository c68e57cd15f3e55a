//! Binary caches that demand a login or signatures of several keys, and caches that fail.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

use nix_formats::{NarInfo, SecretKey, StoreDir};

use support::ExampleFolder;

const HELLO: &str = "/nix/store/pfg47v46abskcgxy7sk1rycy7573c49f-hello-1.0";

/// `ci:open-sesame`.
const BASIC: &str = "Basic Y2k6b3Blbi1zZXNhbWU=";
const BEARER: &str = "Bearer a.bearer.token";

/// Serves a folder to requests with one of these logins; `narinfos` is the status for all narinfos, if not their own.
fn serve(folder: PathBuf, logins: &'static [&'static str], narinfos: Option<u16>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut lines = std::iter::from_fn(|| lines.next()?.ok()).take_while(|l| !l.is_empty());
            let request = lines.next().unwrap_or_default();
            let login = lines.filter_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("authorization")
                    .then(|| value.to_owned())
            });
            let login = login.last().unwrap_or_default();
            let name = request.split(' ').nth(1).unwrap_or_default();
            let file = fs::read(folder.join(name.trim_start_matches('/')));
            let (status, body) = match file {
                _ if !logins.is_empty() && !logins.contains(&login.as_str()) => (401, Vec::new()),
                _ if name.ends_with(".narinfo") && narinfos.is_some() => {
                    (narinfos.unwrap(), Vec::new())
                }
                Ok(body) => (200, body),
                Err(_) => (404, Vec::new()),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} \r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            // A client that goes away is no failure of the test.
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    format!("http://{address}")
}

/// The example flake, its cache, and a home.
struct World {
    example: ExampleFolder,
}

impl World {
    fn new() -> Self {
        let world = Self {
            example: ExampleFolder::new("source"),
        };
        fs::create_dir(world.path("home")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.example.path(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn cache(&self) -> PathBuf {
        self.example.example("cache")
    }

    fn niphas(&self, args: &[&str]) -> Command {
        let mut command = self.example.niphas();
        command.args(args);
        command.env("NIX_CONF_DIR", self.path("etc/nix"));
        command
    }

    /// `niphas render` with the example's key, into a new repository.
    fn render(&self, cache: &str, args: &[&str]) -> Command {
        let flake = format!(
            "path:{}?dir=examples/hello",
            self.example.source().display()
        );
        let mut command = self.niphas(&["render", &flake, "--init", "--cache", cache]);
        command.args(["--author", "CI <ci@example.org>", "--key-file"]);
        command.arg(self.example.key());
        command.arg("--to").arg(self.path("gitops")).args(args);
        command
    }

    fn closure(&self, cache: &str, args: &[&str]) -> Command {
        let mut command = self.niphas(&["cache", "closure", HELLO, "--cache", cache]);
        command.arg("--key-file");
        command.arg(self.example.key());
        command.args(args);
        command
    }

    /// Signs all that is in the cache with a second key, which is returned.
    fn sign_again(&self, seed: u8) -> String {
        let key = SecretKey::from_seed("second-1", [seed; 32]);
        for entry in fs::read_dir(self.cache()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "narinfo") {
                let text = fs::read_to_string(&path).unwrap();
                let mut info = NarInfo::parse(&StoreDir::default(), &text).unwrap();
                info.sign(&StoreDir::default(), &key);
                fs::write(&path, info.print(&StoreDir::default())).unwrap();
            }
        }
        key.public_key().to_string()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", stderr(&output));
}

fn fails(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}");
    stderr(&output)
}

#[test]
fn render_logs_in_with_a_netrc_file_or_a_token_file() {
    let world = World::new();
    let cache = serve(world.cache(), &[BASIC, BEARER], None);
    let login = "machine 127.0.0.1 login ci password open-sesame\n";
    let netrc = world.write("netrc", login);
    let token = world.write("token", "a.bearer.token\n");
    succeeds(world.render(&cache, &["--netrc-file", &netrc]));
    succeeds(world.render(&cache, &["--refresh", "--cache-token-file", &token]));

    let mut by_variable = world.render(&cache, &["--refresh"]);
    by_variable.env("NIPHAS_NETRC_FILE", &netrc);
    succeeds(by_variable);
    let mut by_variable = world.render(&cache, &["--refresh"]);
    by_variable.env("NIPHAS_CACHE_TOKEN_FILE", &token);
    succeeds(by_variable);
}

#[test]
fn the_users_and_nixs_netrc_files_count_where_none_is_named() {
    let world = World::new();
    let cache = serve(world.cache(), &[BASIC], None);
    let login = "machine 127.0.0.1 login ci password open-sesame\n";
    let wrong = "machine 127.0.0.1 login ci password wrong\n";
    fails(world.closure(&cache, &[]));

    let own = world.write("home/.netrc", login);
    succeeds(world.render(&cache, &[]));
    succeeds(world.closure(&cache, &[]));
    // A file that is named counts alone.
    let empty = world.write("empty", "");
    fails(world.closure(&cache, &["--netrc-file", &empty]));
    // Nix's own counts before it, where it knows the host.
    world.write("etc/nix/netrc", "machine example.org login a password b\n");
    succeeds(world.closure(&cache, &[]));
    world.write("etc/nix/netrc", wrong);
    fails(world.closure(&cache, &[]));

    world.write("etc/nix/nix.conf", &format!("netrc-file = {own}\n"));
    world.write("home/.netrc", login);
    succeeds(world.closure(&cache, &[]));
    // One that is damaged is no reason to fail.
    world.write(
        "etc/nix/nix.conf",
        &format!("netrc-file = {}\n", world.write("bad", "x")),
    );
    let mut command = world.closure(&cache, &[]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    let warning = "warning: failed to read a netrc file; ignoring it (file ";
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
}

#[test]
fn a_cache_that_refuses_access_is_named_once_with_the_options_that_help() {
    let world = World::new();
    let cache = serve(world.cache(), &[BASIC], None);
    let folder = world.example.source().parent().unwrap();
    let shown = |command: Command| {
        let said = fails(command).replace(&cache, "[CACHE]");
        said.replace(folder.to_str().unwrap(), "[DIR]")
    };
    insta::assert_snapshot!(shown(world.render(&cache, &[])));
    insta::assert_snapshot!(shown(world.closure(&cache, &[])));
    for command in ["render", "cache closure"] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = world.niphas(&words).output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        for option in ["--netrc-file", "--cache-token-file"] {
            assert!(help.contains(option), "niphas {command} has no {option}");
        }
    }
}

#[test]
fn a_cache_that_fails_is_named_once_beside_one_that_lacks_paths() {
    let world = World::new();
    let empty = world.path("empty");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    let lacking = serve(empty, &[], None);
    let failing = serve(world.cache(), &[], Some(403));
    let said = fails(world.render(&lacking, &["--cache", &failing]));
    assert_eq!(said.matches(&lacking).count(), 1, "{said}");
    // And once in the hint.
    assert_eq!(said.matches(&failing).count(), 2, "{said}");
    let path = format!("'{HELLO}', for workload 'status' of environment 'production' on");
    assert!(said.contains(&path), "{said}");
}

#[test]
fn as_many_keys_as_are_required_must_have_signed() {
    let world = World::new();
    let cache = serve(world.cache(), &[BASIC], None);
    world.write(
        "home/.netrc",
        "machine 127.0.0.1 login ci password open-sesame",
    );
    let second = SecretKey::from_seed("second-1", [2; 32])
        .public_key()
        .to_string();
    let required = ["--required-signatures", "2"];
    let both = ["--trusted-public-key", &second, required[0], required[1]];

    let said = fails(world.render(&cache, &both));
    let refused = "has it, signed by niphas-example-hello-demo-1, but 2 trusted keys must have signed; \
                   not signed by second-1";
    assert!(said.contains(refused), "{said}");
    assert!(
        said.contains("hint: sign it with another trusted key (second-1)"),
        "{said}"
    );
    let said = fails(world.render(&cache, &required));
    assert!(
        said.contains("--trusted-public-key or --key-file"),
        "{said}"
    );

    // What one signature was enough for is looked at again once two are required.
    succeeds(world.render(&cache, &[]));
    succeeds(world.render(&cache, &[]));
    assert!(fails(world.render(&cache, &both)).contains(refused));
    let mut by_variable = world.render(&cache, &both[..2]);
    by_variable.env("NIPHAS_REQUIRED_SIGNATURES", "2");
    assert!(fails(by_variable).contains(refused));

    assert_eq!(world.sign_again(2), second);
    succeeds(world.render(&cache, &both));
}
