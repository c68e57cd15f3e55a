//! Runs one builder in the sandbox, for `ci/build-sandbox`: a request as JSON on standard input, the builder's log on standard
//! output, how it ended on standard error.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nix_builder::Process;
use nix_builder::sandbox::{
    Cancel, FlowPolicy, Folder, Inputs, Limits, Network, Request, Scratch, child_main, run,
};
use nix_formats::StorePath;
use serde::Deserialize;

#[derive(Deserialize)]
struct Asked {
    program: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    /// A folder with store paths, and the names of those that the builder gets.
    store: PathBuf,
    inputs: Vec<String>,
    network: bool,
    kvm: bool,
    /// Where scratch folders are made.
    scratch: PathBuf,
    memory: Option<u64>,
    processes: Option<u64>,
    timeout: Option<u64>,
    /// How often it is run.
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

fn main() -> ExitCode {
    child_main();
    match all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", text(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Asked = serde_json::from_reader(io::stdin())?;
    for _ in 0..asked.times {
        let scratch = Scratch::new(&asked.scratch)?;
        let outcome = run(
            &request(&asked, &scratch)?,
            &mut |piece| drop(io::stdout().write_all(piece)),
            &Cancel::new()?,
        );
        scratch.remove()?;
        let outcome = outcome?;
        writeln!(io::stderr(), "{:?} {:?}", outcome.end, outcome.duration)?;
    }
    Ok(())
}

fn request(asked: &Asked, scratch: &Scratch) -> Result<Request, Box<dyn std::error::Error>> {
    let bytes = |text: &String| text.clone().into_bytes();
    let paths = asked
        .inputs
        .iter()
        .map(StorePath::from_base_name)
        .collect::<Result<_, _>>()?;
    Ok(Request {
        process: Process {
            program: bytes(&asked.program),
            args: asked.args.iter().map(bytes).collect(),
            env: asked
                .env
                .iter()
                .map(|(name, value)| (bytes(name), bytes(value)))
                .collect(),
            ..Process::default()
        },
        inputs: Inputs {
            image: None,
            folders: vec![Folder {
                folder: asked.store.clone(),
                paths,
            }],
        },
        shell: Some(PathBuf::from("/bin/busybox")),
        network: asked.network.then(|| Network {
            policy: FlowPolicy::default(),
            certificates: Some(PathBuf::from("/etc/ssl/certs/ca-certificates.crt"))
                .filter(|file| file.exists()),
        }),
        kvm: asked.kvm,
        limits: Limits {
            timeout: asked.timeout.map(Duration::from_secs),
            memory: asked.memory,
            processes: asked.processes,
            ..Limits::default()
        },
        scratch: scratch.path().to_owned(),
    })
}

fn text(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(
        || error.to_string(),
        |source| format!("{error}: {}", text(source)),
    )
}
