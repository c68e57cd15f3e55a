//! Jobs on a real API server with Kubernetes' own Job controller. The nodes are made up: a fake kubelet writes what happens to pods.
//!
//! `ci/build-jobs` runs this. Without the variable `NIPHAS_TEST_CLUSTER` nothing is tested, which is said.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use niphas_api::{ClosureDigest, source};
use niphas_build_jobs::executor::{Executor, Memory, Started, memory};
use niphas_build_jobs::job::{
    Attempt, InputClosure, JobIdentity, MEMORY_ANNOTATION, RETRY_ANNOTATION, Work, job, job_name,
};
use niphas_build_jobs::policy::{Policy, Size};
use niphas_build_jobs::standing::{Patience, Standing, standing};
use niphas_build_jobs::{Cause, Failure};
use serde_json::{Value, json};

use support::{build, derivation, fetch, path};
use world::{Cluster, Fate, Site, eventually};

/// The cluster, or why there is none.
macro_rules! cluster {
    ($name:literal) => {
        match Cluster::new($name).await {
            Some(cluster) => cluster,
            None => return,
        }
    };
}

/// What a written object has that the server gives back in another way. What it adds counts for nothing.
fn differences(written: &Value, given: &Value, at: &str, found: &mut Vec<String>) {
    match (written, given) {
        (Value::Object(written), Value::Object(given)) => {
            for (name, value) in written {
                let none = Value::Null;
                let given = given.get(name).unwrap_or(&none);
                differences(value, given, &format!("{at}.{name}"), found);
            }
        }
        (Value::Array(written), Value::Array(given)) if written.len() == given.len() => {
            for (place, (written, given)) in written.iter().zip(given).enumerate() {
                differences(written, given, &format!("{at}[{place}]"), found);
            }
        }
        _ if written == given => {}
        _ => found.push(format!("{at}: written {written}, given back {given}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_takes_jobs_of_all_kinds_as_they_are_written() {
    let cluster = cluster!("kinds");
    let digest: ClosureDigest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let root = path("x-inputs");
    let member = build(fetch("source.tar.gz"));
    let policy: Policy = serde_json::from_value(json!({
        "nodeSelector": { "niphas.io/builds": "true" },
        "tolerations": [{ "key": "builds", "operator": "Exists", "effect": "NoSchedule" }],
        "features": {
            "big-parallel": {},
            "kvm": { "nodeSelector": { "features.niphas.io/kvm": "true" }, "devices": { "devices.kubevirt.io/kvm": 1 } },
        },
    }))
    .unwrap();
    let mut owned = cluster.settings();
    owned.priority_class = Some("system-cluster-critical".to_owned());
    owned.ca_config_map = None;
    owned.owner = Some(cluster.owner().await);
    let systems = [
        "x86_64-linux",
        "aarch64-linux",
        "i686-linux",
        "x86_64-v3-linux",
        "armv7l-linux",
        "riscv64-linux",
        "builtin",
    ];
    let mut taken = 0;
    for system in systems {
        for features in ["", "kvm", "big-parallel kvm"] {
            for shape in 0..16_u32 {
                let has = |bit: u32| shape & (1 << bit) != 0;
                let mut drv = derivation("x-1.0", system, &[("requiredSystemFeatures", features)]);
                if system == "builtin" {
                    drv.builder = b"builtin:fetchurl".to_vec();
                }
                let x = build(drv);
                let members = [&member];
                let work = Work {
                    build: &x,
                    members: if has(0) { &members } else { &[] },
                    inputs: has(1).then_some(InputClosure {
                        root: &root,
                        digest: &digest,
                    }),
                    attempt: Attempt {
                        number: 1 + (shape & 1),
                        memory: has(2).then_some(Size::gibibytes(7)),
                    },
                };
                let settings = if has(3) {
                    owned.clone()
                } else {
                    cluster.settings()
                };
                let made = job(&work, &policy, &settings).unwrap();
                let given = cluster.dry_run(&made).await;
                let mut found = Vec::new();
                let written = serde_json::to_value(&made).unwrap();
                differences(
                    &written,
                    &serde_json::to_value(&given).unwrap(),
                    "",
                    &mut found,
                );
                assert_eq!(found, Vec::<String>::new(), "{system} {features} {shape}");
                assert!(
                    JobIdentity::of(&given).is_ok(),
                    "{:?}",
                    JobIdentity::of(&given)
                );
                taken += 1;
            }
        }
    }
    println!("seen: {taken} Jobs are taken, and given back as they were written");
}

/// Has one Job run whose pods have these fates; gives how it ended, and how many pods there were.
async fn ends(cluster: &Cluster, name: &str, fates: &[Fate], policy: &Policy) -> (Standing, usize) {
    let x = build(derivation(name, "x86_64-linux", &[]));
    let work = Work {
        build: &x,
        members: &[],
        inputs: None,
        attempt: Attempt::FIRST,
    };
    let made = job(&work, policy, &cluster.settings()).unwrap();
    cluster.kubelet.fates(&x.path, fates);
    let executor = Executor::new(cluster.client.clone(), &cluster.namespace);
    let started = executor
        .start(&x.path, &made, async { Ok(false) })
        .await
        .unwrap();
    assert_eq!(started, Started::Created);
    let jobs = cluster.jobs();
    let ended = eventually("a Job to end", Duration::from_mins(2), async || {
        let job = jobs.get(&job_name(&x.path)).await.unwrap();
        let pods = cluster.pods_of(&job).await;
        let identity = JobIdentity::of(&job).unwrap();
        let pods: Vec<_> = pods.iter().collect();
        let now = k8s_openapi::jiff::Timestamp::now();
        let standing = standing(&job, &identity, &pods, now, Patience::of(policy));
        matches!(
            standing,
            Standing::Built | Standing::Failed(_) | Standing::Overdue(_)
        )
        .then_some(standing)
    });
    (ended.await, cluster.kubelet.pods(&x.path))
}

/// A name, what happens to the pods, the policy, how the Job ends, and after how many pods.
type Ending = (&'static str, Vec<Fate>, Policy, Standing, usize);

fn endings() -> Vec<Ending> {
    let policy = Policy {
        replacements: 1,
        ..Policy::default()
    };
    let words = json!({ "message": "hash mismatch in fixed-output derivation" }).to_string();
    let failed = |cause, message| Standing::Failed(Failure::new(cause, message));
    let exit = Fate::Exits;
    let said = Fate::Says(102, words);
    let broke = "its pod broke as often as it may; the last one ended with exit code 10";
    let brief = Policy {
        pending_timeout: source::Duration::from_secs(1),
        ..policy.clone()
    };
    vec![
        ("well", vec![exit(0)], policy.clone(), Standing::Built, 1),
        (
            "fails",
            vec![exit(100), exit(0)],
            policy.clone(),
            failed(Cause::Build(100), "the build failed"),
            1,
        ),
        (
            "says",
            vec![said, exit(0)],
            policy.clone(),
            failed(
                Cause::Build(102),
                "hash mismatch in fixed-output derivation",
            ),
            1,
        ),
        (
            "slow",
            vec![exit(101), exit(0)],
            policy.clone(),
            failed(Cause::TimedOut, "the build took longer than it may"),
            1,
        ),
        (
            "hungry",
            vec![Fate::OutOfMemory, exit(0)],
            policy.clone(),
            failed(Cause::OutOfMemory, "the build took more memory than it may"),
            1,
        ),
        // More evictions than there are replacements.
        (
            "evicted",
            vec![Fate::Evicted, Fate::Evicted, exit(0)],
            policy.clone(),
            Standing::Built,
            3,
        ),
        (
            "breaks",
            vec![exit(10), exit(10), exit(0)],
            policy.clone(),
            failed(Cause::Machine, broke),
            2,
        ),
        (
            "recovers",
            vec![exit(10), exit(0)],
            policy.clone(),
            Standing::Built,
            2,
        ),
        (
            "unpulled",
            vec![Fate::NoImage],
            brief,
            Standing::Overdue(Failure::new(
                Cause::Unstarted,
                "the build was not started in 0 minutes: the image of the agent cannot be pulled: Back-off pulling image \"x\"",
            )),
            1,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_controller_ends_jobs_as_their_policy_says() {
    let cluster = cluster!("ends");
    let cases = endings();
    let all = cases
        .iter()
        .map(|(name, fates, policy, ..)| ends(&cluster, name, fates, policy));
    let all = futures::future::join_all(all).await;
    for ((name, .., expected, pods), found) in cases.iter().zip(all) {
        assert_eq!(found, (expected.clone(), *pods), "{name}");
        println!("seen: {name}: {:?} after {pods} pods", found.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_attached_to() {
    let cluster = cluster!("locks");
    let x = build(derivation("x", "x86_64-linux", &[]));
    let work = Work {
        build: &x,
        members: &[],
        inputs: None,
        attempt: Attempt::FIRST,
    };
    let made = job(&work, &Policy::default(), &cluster.settings()).unwrap();
    cluster
        .kubelet
        .fates(&x.path, &[Fate::Hangs, Fate::Exits(0)]);
    let executor = Executor::new(cluster.client.clone(), &cluster.namespace);
    // Ten services at the same moment.
    let starts = (0..10).map(|_| executor.start(&x.path, &made, async { Ok(false) }));
    let started = futures::future::join_all(starts).await;
    let created = started
        .iter()
        .filter(|it| matches!(it, Ok(Started::Created)))
        .count();
    let attached = started
        .iter()
        .filter(|it| matches!(it, Ok(Started::Attached(_))))
        .count();
    assert_eq!((created, attached), (1, 9), "{started:?}");
    // One that sees in the cache, after it has the lock, that there is nothing to do.
    let y = build(derivation("y", "x86_64-linux", &[]));
    let of_y = job(
        &Work { build: &y, ..work },
        &Policy::default(),
        &cluster.settings(),
    )
    .unwrap();
    let started = executor.start(&y.path, &of_y, async { Ok(true) }).await;
    assert_eq!(started.unwrap(), Started::Built);
    let jobs = cluster.jobs();
    eventually(
        "the lock to be given back",
        Duration::from_secs(20),
        async || {
            jobs.get_opt(&job_name(&y.path))
                .await
                .unwrap()
                .is_none()
                .then_some(())
        },
    )
    .await;
    // While one is removed the name is not free.
    let there = jobs.get(&job_name(&x.path)).await.unwrap();
    executor.delete(&there).await.unwrap();
    executor.delete(&there).await.unwrap();
    eventually("the name to be free", Duration::from_secs(20), async || {
        let started = executor
            .start(&x.path, &made, async { Ok(false) })
            .await
            .unwrap();
        assert!(
            matches!(started, Started::Created | Started::Ending),
            "{started:?}"
        );
        (started == Started::Created).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_of_that_name_is_left_alone() {
    let cluster = cluster!("foreign");
    let z = build(derivation("z", "x86_64-linux", &[]));
    let work = Work {
        build: &z,
        members: &[],
        inputs: None,
        attempt: Attempt::FIRST,
    };
    let of_z = job(&work, &Policy::default(), &cluster.settings()).unwrap();
    let mut foreign = of_z.clone();
    foreign.metadata.annotations = None;
    let executor = Executor::new(cluster.client.clone(), &cluster.namespace);
    let jobs = cluster.jobs();
    jobs.create(&PostParams::default(), &foreign).await.unwrap();
    let error = executor
        .start(&z.path, &of_z, async { Ok(false) })
        .await
        .unwrap_err();
    let expected = format!(
        "the Job {} is not one of niphas' builds: no field of its spec is owned by niphas-eval; remove it, or keep others out of the namespace",
        job_name(&z.path)
    );
    assert_eq!(error.to_string(), expected);
}

fn counts(progress: &niphas_build_jobs::schedule::RunProgress) -> [usize; 4] {
    [
        progress.waiting + progress.running,
        progress.built,
        progress.failed.len(),
        progress.blocked.len(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_remembered_until_a_person_asks_for_another_try() {
    let cluster = cluster!("failures");
    let mut site = Site::new(&cluster, Policy::default());
    let (bad, end) = (
        site.derivation("bad", &[]),
        site.derivation("end", &["bad"]),
    );
    cluster
        .kubelet
        .fates(&bad, &[Fate::Exits(100), Fate::Exits(0)]);
    let first = site.run(&["end"]).await;
    assert_eq!(counts(&first), [0, 0, 1, 1]);
    assert_eq!(
        first.failed,
        [(
            bad.clone(),
            Failure::new(Cause::Build(100), "the build failed")
        )]
    );
    assert_eq!(first.blocked, [(end.clone(), bad.clone())]);
    let jobs = cluster.jobs();
    eventually(
        "the failure to be written",
        Duration::from_secs(20),
        async || {
            let job = jobs.get(&job_name(&bad)).await.unwrap();
            matches!(memory(&job), Memory::Failed(_)).then_some(())
        },
    )
    .await;
    let job = jobs.get(&job_name(&bad)).await.unwrap();
    let ttl = job.spec.unwrap().ttl_seconds_after_finished;
    assert_eq!(ttl, Some(7 * 24 * 3600));
    // Also by a service that starts afterwards, and without another pod.
    site.restart().await;
    assert_eq!(counts(&site.run(&["end"]).await), [0, 0, 1, 1]);
    assert_eq!(cluster.kubelet.pods(&bad), 1);
    // kubectl annotate job … niphas.io/retry=1
    let retry = json!({ "metadata": { "annotations": { RETRY_ANNOTATION: "1" } } });
    jobs.patch(
        &job_name(&bad),
        &PatchParams::default(),
        &Patch::Merge(retry),
    )
    .await
    .unwrap();
    let healed = site.wait(|progress| progress.built == 2).await;
    assert_eq!(counts(&healed), [0, 2, 0, 0]);
    assert_eq!(
        (cluster.kubelet.pods(&bad), cluster.kubelet.pods(&end)),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_is_tried_again_with_what_it_lacked() {
    let cluster = cluster!("breaks");
    let policy = Policy {
        replacements: 0,
        pending_timeout: source::Duration::from_secs(4),
        ..Policy::default()
    };
    let mut site = Site::new(&cluster, policy);
    let hungry = site.derivation("hungry", &[]);
    let broken = site.derivation("broken", &[]);
    let removed = site.derivation("removed", &[]);
    let unpulled = site.derivation("unpulled", &[]);
    let liar = site.derivation("liar", &[]);
    cluster.kubelet.fates(
        &hungry,
        &[Fate::OutOfMemory, Fate::OutOfMemory, Fate::Exits(0)],
    );
    cluster
        .kubelet
        .fates(&broken, &[Fate::Exits(10), Fate::Exits(0)]);
    cluster
        .kubelet
        .fates(&removed, &[Fate::Hangs, Fate::Exits(0)]);
    cluster
        .kubelet
        .fates(&unpulled, &[Fate::NoImage, Fate::NoImage]);
    cluster.kubelet.fates(&liar, &[Fate::Lies]);
    site.begin(&["hungry", "broken", "removed", "unpulled", "liar"])
        .await;
    let jobs = cluster.jobs();
    // A person removes a Job whose pod runs.
    eventually("a pod to run", Duration::from_secs(20), async || {
        (cluster.kubelet.pods(&removed) == 1).then_some(())
    })
    .await;
    jobs.delete(&job_name(&removed), &DeleteParams::background())
        .await
        .unwrap();
    let done = site
        .wait(niphas_build_jobs::schedule::RunProgress::is_done)
        .await;
    assert_eq!(counts(&done), [0, 3, 2, 0], "{done:?}");
    let failures: BTreeMap<_, _> = done.failed.into_iter().collect();
    assert_eq!(failures[&unpulled].cause, Cause::Unstarted);
    assert_eq!(
        failures[&liar].message,
        "its pod ended well, and did not deliver its outputs"
    );
    let job = jobs.get(&job_name(&hungry)).await.unwrap();
    assert_eq!(job.annotations()[MEMORY_ANNOTATION], "8Gi");
    let pods = [&hungry, &broken, &removed, &liar].map(|it| cluster.kubelet.pods(it));
    assert_eq!(pods, [3, 2, 2, 1]);
    println!(
        "seen: out of memory twice: 2Gi, 4Gi, 8Gi; broken machine, removed Job: tried again; no image: given up"
    );
}

/// Services that are killed at random moments, between any two requests, and every run ends as if they were not.
#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_killed_build_everything_once() {
    let cluster = cluster!("kills");
    let mut site = Site::new(&cluster, Policy::default());
    let mut names: Vec<String> = Vec::new();
    for number in 0..60_usize {
        let needs: Vec<String> = [3, 7, 11]
            .into_iter()
            .filter_map(|step| number.checked_sub(step))
            .map(|it| names[it].clone())
            .collect();
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        let kind = if number.is_multiple_of(4) {
            "local"
        } else {
            "own"
        };
        let name = format!("{kind}-{number}");
        site.derivation(&name, &needs);
        names.push(name);
    }
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    site.begin(&wanted).await;
    let mut random = world::Random(20_261_201);
    let mut kills = 0;
    let begun = std::time::Instant::now();
    while !site.progress().is_done() {
        assert!(
            begun.elapsed() < Duration::from_mins(3),
            "{:?}",
            counts(&site.progress())
        );
        tokio::time::sleep(Duration::from_millis(random.below(150))).await;
        site.restart().await;
        site.begin(&wanted).await;
        kills += 1;
        if kills >= 100 {
            site.wait(niphas_build_jobs::schedule::RunProgress::is_done)
                .await;
        }
    }
    let progress = site.progress();
    assert!(progress.failed.is_empty() && progress.blocked.is_empty());
    let twice: Vec<_> = site
        .paths()
        .filter(|it| cluster.kubelet.built(it) != 1)
        .collect();
    assert!(twice.is_empty(), "not built once: {twice:?}");
    assert_eq!(
        cluster.kubelet.most_at_once(),
        1,
        "pods of one derivation at one time"
    );
    let left = async || -> Option<usize> {
        let jobs = cluster.jobs().list(&ListParams::default()).await.unwrap();
        let is_active = |job: &Job| job.status.as_ref().is_none_or(|it| it.active > Some(0));
        (!jobs.items.iter().any(is_active)).then_some(jobs.items.len())
    };
    let jobs = eventually("all Jobs to end", Duration::from_secs(20), left).await;
    println!(
        "seen: {kills} services killed; {} derivations built once each, in {} Jobs",
        names.len(),
        jobs
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_run_needs_any_more_is_given_up() {
    let cluster = cluster!("unneeded");
    let mut site = Site::new(&cluster, Policy::default());
    let long = site.derivation("long", &[]);
    cluster.kubelet.fates(&long, &[Fate::Hangs]);
    site.begin(&["long"]).await;
    let jobs = cluster.jobs();
    eventually("a pod to run", Duration::from_secs(20), async || {
        (cluster.kubelet.pods(&long) == 1).then_some(())
    })
    .await;
    assert_eq!(site.jobs().await, std::slice::from_ref(&long));
    site.remove_run().await;
    eventually(
        "the Job to be removed",
        Duration::from_secs(30),
        async || {
            jobs.get_opt(&job_name(&long))
                .await
                .unwrap()
                .is_none()
                .then_some(())
        },
    )
    .await;
    eventually(
        "the executor to hear of it",
        Duration::from_secs(10),
        async || site.jobs().await.is_empty().then_some(()),
    )
    .await;
}

/// What a thousand trivial Jobs cost, beside the pods themselves.
#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_take_as_long_as_the_cluster_needs_for_them() {
    let cluster = cluster!("many");
    let count: usize = std::env::var("NIPHAS_TEST_JOBS")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(100);
    let mut site = Site::new(&cluster, Policy::default());
    let names: Vec<String> = (0..count).map(|it| format!("own-{it}")).collect();
    for name in &names {
        site.derivation(name, &[]);
    }
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let begun = std::time::Instant::now();
    let done = site.run(&wanted).await;
    assert_eq!(counts(&done), [0, count, 0, 0]);
    let took = begun.elapsed();
    println!(
        "seen: {count} trivial builds through Jobs in {took:?}: {:.0} a minute",
        count as f64 * 60.0 / took.as_secs_f64()
    );
}
