//! The agent, against a service that takes what it delivers into a cache, with a real sandbox.
//!
//! Needs busybox-static (`/bin/busybox`) and user namespaces. Without the first nothing is tested, which is said.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests without the usual harness"
)]

mod pod;
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use niphas_build_jobs::exit::{BuildFault, Exit};
use niphas_cache_service::protocol::{FailureKind, Outcome};
use nix_formats::derivation::InputOutputs;
use nix_formats::{Derivation, StoreDir, StorePath};

use pod::{Pod, Service};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    (
        "what_is_ordered_is_built_and_delivered",
        what_is_ordered_is_built_and_delivered,
    ),
    ("a_failed_build_says_why", a_failed_build_says_why),
    (
        "inputs_that_are_not_mounted_are_no_fault_of_the_build",
        inputs_that_are_not_mounted_are_no_fault_of_the_build,
    ),
    (
        "an_agent_that_is_stopped_says_so",
        an_agent_that_is_stopped_says_so,
    ),
];

fn main() -> ExitCode {
    nix_builder::sandbox::child_main();
    if !Path::new("/bin/busybox").exists() {
        println!("skipped: /bin/busybox is not there: install busybox-static");
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    for (name, test) in TESTS {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter)) {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    { runtime }
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// A derivation that runs a script, and needs outputs of others.
fn script(name: &str, script: &str, needs: &[(&str, &StorePath, &str)]) -> Derivation {
    let mut derivation = support::derivation(name, "x86_64-linux", &[]);
    derivation.args = vec![b"-c".to_vec(), script.into()];
    for (variable, path, out) in needs {
        derivation.env.insert((*variable).into(), (*out).into());
        if path.is_derivation() {
            let outputs: InputOutputs = std::collections::BTreeSet::from(["out".to_owned()]).into();
            derivation
                .input_derivations
                .insert((*path).clone(), outputs);
        } else {
            derivation.input_sources.insert((*path).clone());
        }
    }
    derivation
}

fn what_is_ordered_is_built_and_delivered() {
    run(async {
        let service = Service::start().await;
        let mut pod = Pod::new();
        let store_dir = StoreDir::default();
        let (library, source) = (pod.input("library", &[]), pod.input("source", &[]));
        // The library's output refers to the source, as what was built elsewhere may do.
        let built_elsewhere = pod.input("built-elsewhere", &[&library]);
        let print = |path: &StorePath| store_dir.print(path);
        let trivial = script(
            "trivial",
            "read text < $source; echo trivial $text > $out; echo $elsewhere >> $out",
            &[
                ("source", &source, &print(&source)),
                ("elsewhere", &built_elsewhere, &print(&built_elsewhere)),
            ],
        );
        let trivial = pod.add(trivial, &[&source, &built_elsewhere], &BTreeMap::new());
        let out = trivial.output("out");
        let main = script(
            "main",
            "echo building; read text < $trivial; echo main $text > $out",
            &[("trivial", &trivial.path, &print(&out))],
        );
        let modulo = BTreeMap::from([(trivial.path.clone(), trivial.modulo)]);
        let main = pod.add(main, &[], &modulo);
        service.put(&pod).await;
        service.orders(&[&trivial, &main], &[&source, &built_elsewhere]);

        assert_eq!(pod.run(&service, &main).await, Exit::Built);
        for made in [&trivial, &main] {
            let info = service.narinfo(&made.output("out")).unwrap();
            assert!(!info.signatures.is_empty());
        }
        let trivial_info = service.narinfo(&out).unwrap();
        assert_eq!(trivial_info.references, [built_elsewhere].into());
        assert_eq!(service.log(&main.path), "building\n");
        assert_eq!(pod.last_words(), None);
        // What is there is delivered again, and not built again.
        assert_eq!(pod.run(&service, &main).await, Exit::Built);
    });
}

fn a_failed_build_says_why() {
    run(async {
        let service = Service::start().await;
        let mut pod = Pod::new();
        let fails = script("fails", "echo first; echo the reason >&2; exit 7", &[]);
        let fails = pod.add(fails, &[], &BTreeMap::new());
        service.orders(&[&fails], &[]);
        let exit = pod.run(&service, &fails).await;
        assert_eq!(exit, Exit::Failed(BuildFault::Nix(100)));
        assert_eq!(
            service.log(&fails.path),
            "first\nthe reason\nniphas: builder failed with exit code 7\n"
        );
        let outcome = service.outcome(&fails.path);
        let Outcome::Failed(failure) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(failure.kind, FailureKind::Builder);
        let words = pod.last_words().unwrap();
        assert!(words.message.contains("builder failed with exit code 7"));
        assert_eq!(words.derivation.as_deref(), Some(fails.path.base_name()));
        assert!(service.narinfo(&fails.output("out")).is_none());
    });
}

fn inputs_that_are_not_mounted_are_no_fault_of_the_build() {
    run(async {
        let service = Service::start().await;
        let mut pod = Pod::new();
        let source = pod.input("source", &[]);
        let text = StoreDir::default().print(&source);
        let needs = script("needs", "cp $source $out", &[("source", &source, &text)]);
        let needs = pod.add(needs, &[&source], &BTreeMap::new());
        service.put(&pod).await;
        service.orders(&[&needs], &[&source]);
        pod.unmount(&source);
        assert_eq!(pod.run(&service, &needs).await, Exit::Machine);
        let message = pod.last_words().unwrap().message;
        assert!(message.contains("is not mounted"), "{message}");

        // A volume that is none of this build's.
        let mut other = Pod::new();
        other.input("other", &[]);
        other.add(script("other", "exit 0", &[]), &[], &BTreeMap::new());
        assert_eq!(other.run(&service, &needs).await, Exit::Machine);
        let message = other.last_words().unwrap().message;
        assert!(message.contains("are not mounted"), "{message}");
    });
}

fn an_agent_that_is_stopped_says_so() {
    run(async {
        let service = Service::start().await;
        let mut pod = Pod::new();
        let sleeps = script("sleeps", "echo asleep; sleep 600", &[]);
        let sleeps = pod.add(sleeps, &[], &BTreeMap::new());
        service.orders(&[&sleeps], &[]);
        let stop = pod.stop.clone();
        let ended = pod.run(&service, &sleeps);
        let stops = async {
            service.saw(&sleeps.path, "asleep").await;
            stop.cancel();
        };
        let (exit, ()) = tokio::join!(ended, stops);
        assert_eq!(exit, Exit::Stopped);
        assert!(pod.last_words().unwrap().message.contains("was ended"));
    });
}
