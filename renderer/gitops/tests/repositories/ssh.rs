//! A repository behind a real SSH server. Runs where `NIPHAS_SSHD` names an `sshd`.
//!
//! libgit2 reads `known_hosts` from the home folder it finds at its start, so each case runs in a
//! process of its own: this test again, with another `HOME`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use niphas_gitops::{Access, GitOpsRepository, Location};

use crate::support::{TestRepository, environment, explain, request};

struct SshServer {
    _process: Process,
    port: u16,
}

/// A process that ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ready() {
        assert!(Instant::now() < deadline, "{what} does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn make_key(path: &Path) {
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path));
}

impl SshServer {
    /// Serves who has the key `client` in `folder`.
    fn start(sshd: &str, folder: &Path) -> Self {
        make_key(&folder.join("host"));
        make_key(&folder.join("client"));
        fs::copy(folder.join("client.pub"), folder.join("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = folder.display();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nStrictModes no\n\
             AuthorizedKeysFile {folder}/authorized\nPidFile none\nPasswordAuthentication no\n"
        );
        let path = format!("{folder}/sshd_config");
        fs::write(&path, config).unwrap();
        let process = Command::new(sshd)
            .args(["-D", "-e", "-f", &path])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            _process: Process(process),
            port,
        };
        wait_for("sshd", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn host_key_line(&self, folder: &Path) -> String {
        let key = fs::read_to_string(folder.join("host.pub")).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }
}

/// The input of one case's process.
const ADDRESS: &str = "NIPHAS_TEST_SSH_ADDRESS";
const KEY: &str = "NIPHAS_TEST_SSH_KEY";

#[test]
#[ignore = "a case of the next test, in a process of its own"]
fn one_case() {
    let location = Location::Remote(std::env::var(ADDRESS).unwrap());
    let ssh_key = std::env::var(KEY).ok().map(PathBuf::from);
    let access = Access {
        login: None,
        token: None,
        ssh_key,
    };
    let repository = GitOpsRepository::open(&location, Some("main"), access).unwrap();
    let wanted = request(&[environment("production", &[("web", "a")])]);
    match repository.commit(&wanted) {
        Ok(outcome) => println!("RESULT {outcome:?}"),
        Err(error) => println!("RESULT {}", explain(&error)),
    }
}

/// An SSH agent that holds a key, and its socket.
fn agent_with(folder: &Path, key: &str) -> (Process, PathBuf) {
    let socket = folder.join("agent");
    let mut agent = Command::new("ssh-agent");
    let agent = agent
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn();
    let agent = Process(agent.unwrap());
    wait_for("ssh-agent", || UnixStream::connect(&socket).is_ok());
    let mut add = Command::new("ssh-add");
    run(add
        .arg("-q")
        .arg(folder.join(key))
        .env("SSH_AUTH_SOCK", &socket));
    (agent, socket)
}

#[test]
fn hosts_must_be_known_and_keys_accepted() {
    let Ok(sshd) = std::env::var("NIPHAS_SSHD") else {
        println!("SKIPPED: NIPHAS_SSHD names no sshd");
        return;
    };
    let test = TestRepository::bare();
    let folder = test.folder.path();
    let server = SshServer::start(&sshd, folder);
    make_key(&folder.join("stranger"));
    let home = folder.join("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    let user = run(Command::new("id").arg("-un"));
    let address = format!(
        "ssh://{}@127.0.0.1:{}{}",
        user.trim(),
        server.port,
        test.path().display()
    );
    let with = |known_hosts: &str, key: Option<&str>, agent: Option<&Path>| {
        fs::write(home.join(".ssh/known_hosts"), known_hosts).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "ssh::one_case", "--ignored", "--nocapture"])
            .env("HOME", &home)
            .env(ADDRESS, &address)
            .env_remove(KEY)
            .env_remove("SSH_AUTH_SOCK");
        if let Some(agent) = agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        if let Some(key) = key {
            command.env(KEY, folder.join(key));
        }
        let output = run(&mut command);
        let result = output.split("RESULT ").nth(1).unwrap_or(&output).to_owned();
        let result = result.split("\ntest ").next().unwrap().trim().to_owned();
        result
            .replace(&address, "ADDRESS")
            .replace(folder.to_str().unwrap(), "FOLDER")
    };
    let case = |known_hosts: &str, key| with(known_hosts, key, None);
    let known = server.host_key_line(folder);
    let stranger = fs::read_to_string(folder.join("stranger.pub")).unwrap();
    let other_key = format!("[127.0.0.1]:{} {stranger}", server.port);
    let results = [
        ("unknown host", case("", Some("client"))),
        ("host with another key", case(&other_key, Some("client"))),
        ("stranger's key", case(&known, Some("stranger"))),
        ("no agent", case(&known, None)),
        ("no such key", case(&known, Some("none"))),
    ];
    let results: Vec<_> = results
        .iter()
        .map(|(what, result)| format!("{what}: {result}"))
        .collect();
    insta::assert_snapshot!(results.join("\n"), @r#"
    unknown host: cannot reach the repository 'ADDRESS'
      because invalid or unknown remote ssh hostkey
      hint: the host's key is not in ~/.ssh/known_hosts, or another one is: compare it with the one that the host's operator publishes, and add it there
    host with another key: cannot reach the repository 'ADDRESS'
      because invalid or unknown remote ssh hostkey
      hint: the host's key is not in ~/.ssh/known_hosts, or another one is: compare it with the one that the host's operator publishes, and add it there
    stranger's key: the server of 'ADDRESS' did not accept the credentials
      hint: check that the token or key may write to this repository
    no agent: the server of 'ADDRESS' wants an SSH key: none was given, and no SSH agent runs
      hint: load a key into the SSH agent, or give one as a file
    no such key: no SSH key at 'FOLDER/none'
    "#);
    let tip = test.tip();
    let outcome = case(&known, Some("client"));
    assert!(outcome.starts_with("Committed"), "{outcome}");
    assert_ne!(test.tip(), tip);
    // The same key, held by an agent: the push that is already there needs to read only.
    let (_agent, socket) = agent_with(folder, "client");
    let outcome = with(&known, None, Some(&socket));
    assert!(outcome.starts_with("Unchanged"), "{outcome}");
}
