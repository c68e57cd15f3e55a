//! Jobs as they are written. ci/build-jobs has a real API server take them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use niphas_api::{ClosureDigest, VolumeAttributes, to_yaml};
use niphas_build_jobs::inputs::{InputInfo, Inputs, InputsError, direct_inputs, read_inputs};
use niphas_build_jobs::job::{
    Attempt, FAILURE_ANNOTATION, ForeignJob, InputClosure, JobIdentity, RefusedBuild, Work, job,
};
use niphas_build_jobs::policy::{Feature, Policy, Size};
use nix_builder::plan::Build;
use nix_formats::{HashAlgorithm, NarHash, StoreDir, StorePath};
use serde_json::json;

use support::{build, derivation, fetch, path, settings};

fn digest() -> ClosureDigest {
    format!("sha256:{}", "0".repeat(64)).parse().unwrap()
}

fn work<'a>(build: &'a Build, digest: &'a ClosureDigest, root: &'a StorePath) -> Work<'a> {
    Work {
        build,
        members: &[],
        inputs: Some(InputClosure { root, digest }),
        attempt: Attempt::FIRST,
    }
}

fn policy() -> Policy {
    serde_json::from_value(json!({
        "nodeSelector": { "niphas.io/builds": "true" },
        "tolerations": [{ "key": "builds", "operator": "Exists", "effect": "NoSchedule" }],
        "rules": [
            { "features": ["big-parallel"], "cpu": "8", "memory": "16Gi", "disk": "50Gi" },
            { "names": ["linux-*"], "timeout": "12h" },
        ],
        "features": {
            "big-parallel": {},
            "benchmark": { "nodeSelector": { "pool": "metal" }, "tolerations": [{ "key": "metal", "operator": "Exists" }] },
            "kvm": { "nodeSelector": { "features.niphas.io/kvm": "true" }, "devices": { "devices.kubevirt.io/kvm": 1 } },
        },
    }))
    .unwrap()
}

#[test]
fn a_job_has_all_that_a_build_needs_and_nothing_secret() {
    let hello = build(derivation("hello-2.12", "x86_64-linux", &[]));
    let (digest, root) = (digest(), path("hello-2.12-inputs"));
    let made = job(
        &work(&hello, &digest, &root),
        &Policy::default(),
        &settings(),
    )
    .unwrap();
    insta::assert_snapshot!(to_yaml(&made).unwrap());
}

#[test]
fn policy_features_and_members_show_in_the_job() {
    let variables = [("requiredSystemFeatures", "big-parallel kvm benchmark")];
    let kernel = build(derivation("linux-6.18", "x86_64-v3-linux", &variables));
    let source = build(fetch("linux-6.18.tar.xz"));
    let (digest, root) = (digest(), path("linux-6.18-inputs"));
    let members = [&source];
    let work = Work {
        members: &members,
        attempt: Attempt {
            number: 2,
            memory: Some(Size::gibibytes(32)),
        },
        ..work(&kernel, &digest, &root)
    };
    let mut settings = settings();
    settings.priority_class = Some("builds".to_owned());
    settings.owner = Some(
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "niphas-eval",
            "uid": "7d1c5b3e-4f2a-4c59-8a6b-1e0f3d2c4b5a",
        }))
        .unwrap(),
    );
    let made = job(&work, &policy(), &settings).unwrap();
    insta::assert_snapshot!(to_yaml(&made).unwrap());
}

#[test]
fn what_any_machine_builds_is_for_nodes_of_any_architecture() {
    let fetch = build(fetch("source.tar.gz"));
    let work = Work {
        inputs: None,
        members: &[],
        build: &fetch,
        attempt: Attempt::FIRST,
    };
    let made = job(&work, &Policy::default(), &settings()).unwrap();
    insta::assert_snapshot!(to_yaml(&made).unwrap());
    // With inputs, each system's driver finds the same closure.
    let (digest, root) = (digest(), path("source.tar.gz-inputs"));
    let work = Work {
        inputs: Some(InputClosure {
            root: &root,
            digest: &digest,
        }),
        ..work
    };
    let made = job(&work, &Policy::default(), &settings()).unwrap();
    let volumes = made.spec.unwrap().template.spec.unwrap().volumes.unwrap();
    let attributes = volumes[0].csi.clone().unwrap().volume_attributes.unwrap();
    let attributes = attributes.into_iter().collect();
    for system in ["x86_64-linux", "aarch64-linux"] {
        let read = VolumeAttributes::parse(&attributes, &system.parse().unwrap()).unwrap();
        assert_eq!((read.roots.first(), &read.digest), (&root, &digest));
    }
}

#[test]
fn what_no_node_can_build_as_it_asks_for_is_refused() {
    let (digest, root) = (digest(), path("x-inputs"));
    let refused = |system: &str, variables: &[(&str, &str)], policy: &Policy| {
        let build = build(derivation("x", system, variables));
        job(&work(&build, &digest, &root), policy, &settings()).unwrap_err()
    };
    let features = |names: &'static str| [("requiredSystemFeatures", names)];
    let default = Policy::default();
    for (system, variables, error) in [
        (
            "x86_64-darwin",
            &[][..],
            RefusedBuild::System("x86_64-darwin".to_owned()),
        ),
        (
            "../../etc",
            &[],
            RefusedBuild::System("../../etc".to_owned()),
        ),
        (
            "x86_64-linux",
            &features("kvm uid-range"),
            RefusedBuild::Feature("uid-range".to_owned()),
        ),
        (
            "x86_64-linux",
            &features("recursive-nix"),
            RefusedBuild::Feature("recursive-nix".to_owned()),
        ),
        (
            "x86_64-linux",
            &[("__noChroot", "1")],
            RefusedBuild::NoSandbox,
        ),
    ] {
        assert_eq!(refused(system, variables, &default), error);
    }
    let mut policy = default;
    let pool = |name: &str| Feature {
        node_selector: support::map(&[("pool", name)]),
        ..Feature::default()
    };
    policy.features.insert("a".to_owned(), pool("a"));
    policy.features.insert("b".to_owned(), pool("b"));
    let error = refused("x86_64-linux", &features("a b"), &policy).to_string();
    assert_eq!(error, "it needs nodes with the label pool=a and pool=b");
}

#[test]
fn a_job_says_what_it_is_and_others_are_not_taken_for_it() {
    let hello = build(derivation("hello-2.12", "x86_64-linux", &[]));
    let member = build(fetch("hello.tar.gz"));
    let (digest, root) = (digest(), path("hello-2.12-inputs"));
    let attempt = Attempt {
        number: 2,
        memory: Some(Size::gibibytes(4)),
    };
    let members = [&member];
    let work = Work {
        members: &members,
        attempt,
        ..work(&hello, &digest, &root)
    };
    let mut made = job(&work, &Policy::default(), &settings()).unwrap();
    assert_eq!(JobIdentity::of(&made), Err(ForeignJob::Manager));
    // As the server notes it.
    let managed =
        json!([{ "manager": "niphas-eval", "operation": "Update", "fieldsV1": { "f:spec": {} } }]);
    made.metadata.managed_fields = serde_json::from_value(managed).unwrap();
    let identity = JobIdentity {
        derivation: hello.path.clone(),
        members: vec![member.path.clone()],
        system: "x86_64-linux".to_owned(),
        attempt,
    };
    assert_eq!(JobIdentity::of(&made), Ok(identity));
    let changed = |change: &dyn Fn(&mut Job)| {
        let mut other = made.clone();
        change(&mut other);
        JobIdentity::of(&other).unwrap_err().to_string()
    };
    let messages = [
        changed(&|job| {
            job.metadata
                .labels
                .as_mut()
                .unwrap()
                .remove("app.kubernetes.io/managed-by");
        }),
        changed(&|job| job.metadata.name = Some("niphas-build-of-another".to_owned())),
        changed(&|job| {
            let annotations = job.metadata.annotations.as_mut().unwrap();
            annotations.insert(
                "niphas.io/derivation".to_owned(),
                member.path.base_name().to_owned(),
            );
        }),
        changed(&|job| {
            let annotations = job.metadata.annotations.as_mut().unwrap();
            annotations.insert(
                "niphas.io/derivation".to_owned(),
                "../../etc/passwd".to_owned(),
            );
        }),
        changed(&|job| {
            let fields = job.metadata.managed_fields.as_mut().unwrap();
            fields[0].manager = Some("kubectl".to_owned());
        }),
    ];
    insta::assert_snapshot!(messages.join("\n"));
    assert!(
        !made
            .metadata
            .annotations
            .unwrap()
            .contains_key(FAILURE_ANNOTATION)
    );
}

fn info(name: &str, references: &[&StorePath]) -> InputInfo {
    InputInfo {
        nar_hash: NarHash::of(name.as_bytes()),
        nar_size: 8 * name.len() as u64,
        references: references.iter().map(|it| (*it).clone()).collect(),
        content_address: None,
    }
}

#[test]
fn inputs_are_one_path_whose_closure_is_all_that_the_build_may_see() {
    let store_dir = StoreDir::default();
    let (libc, shell, source, other) = (path("libc"), path("shell"), path("source"), path("other"));
    let lib = build(derivation("lib", "x86_64-linux", &[]));
    let member = build(fetch("patch"));
    let mut drv = derivation("program", "x86_64-linux", &[]);
    drv.input_sources.extend([shell.clone(), source.clone()]);
    let mut program = build(drv);
    let mut drv = (*program.derivation).clone();
    let out = || std::collections::BTreeSet::from(["out".to_owned()]).into();
    drv.input_derivations = [(lib.path.clone(), out()), (member.path.clone(), out())].into();
    program.derivation = drv.into();
    let lib_out = path("lib-out");
    let outputs = [(
        lib.path.clone(),
        BTreeMap::from([("out".to_owned(), lib_out.clone())]),
    )]
    .into();
    let direct = direct_inputs(&[&member, &program], &outputs).unwrap();
    assert_eq!(direct[&member.path].len(), 0);
    assert_eq!(
        direct[&program.path],
        [shell.clone(), source.clone(), lib_out.clone()].into()
    );
    let unknown = direct_inputs(&[&program], &outputs).unwrap_err();
    assert!(
        matches!(unknown, InputsError::Unknown { derivation, .. } if derivation == member.path)
    );

    let mut infos: BTreeMap<StorePath, InputInfo> = [
        (libc.clone(), info("libc", &[&libc])),
        (shell.clone(), info("shell", &[&libc])),
        (source.clone(), info("source", &[])),
        (lib_out.clone(), info("lib", &[&libc])),
        (other.clone(), info("other", &[])),
    ]
    .into();
    infos.get_mut(&source).unwrap().content_address =
        "text:sha256:1fg1nrws9lxgwflw6dq3pxj5f0y05y8v6m9h38n0gcpanrwc0zqb"
            .parse()
            .ok();
    let inputs = Inputs::new(&program.path, &direct, &infos, &store_dir)
        .unwrap()
        .unwrap();
    assert_eq!(inputs.path.name(), "program-inputs");
    let again = store_dir
        .make_text_path("program-inputs", inputs.text.as_bytes(), &inputs.references)
        .unwrap();
    assert_eq!(inputs.path, again);
    assert_eq!(
        inputs.content_address.hash,
        HashAlgorithm::Sha256.digest(inputs.text.as_bytes())
    );
    assert_eq!(inputs.nar_hash, NarHash::of(&inputs.nar()));
    let (builds, read) = read_inputs(inputs.text.as_bytes()).unwrap();
    assert_eq!(builds, direct);
    infos.remove(&other);
    assert_eq!(read, infos);

    infos.remove(&libc);
    let missing = Inputs::new(&program.path, &direct, &infos, &store_dir).unwrap_err();
    assert_eq!(missing, InputsError::Missing(libc));
    let none = direct_inputs(&[&member], &outputs).unwrap();
    assert_eq!(
        Inputs::new(&member.path, &none, &infos, &store_dir),
        Ok(None)
    );
}

#[test]
fn the_longest_names_have_inputs_and_a_job() {
    let name = "n".repeat(207);
    let build = build(derivation(&name, "x86_64-linux", &[]));
    let source = path("source");
    let direct = [(build.path.clone(), [source.clone()].into())].into();
    let infos = [(source, info("source", &[]))].into();
    let inputs = Inputs::new(&build.path, &direct, &infos, &StoreDir::default());
    let inputs = inputs.unwrap().unwrap();
    assert_eq!(inputs.path.name().len(), 211);
    let work = work(&build, &inputs.digest, &inputs.path);
    let made = job(&work, &Policy::default(), &settings()).unwrap();
    assert!(made.metadata.name.unwrap().len() <= 63);
}

#[test]
fn texts_of_others_are_refused() {
    for text in [
        "",
        "{}",
        r#"{"builds":{},"paths":{},"more":1}"#,
        r#"{"builds":{"x":[]},"paths":{}}"#,
        r#"{"builds":{},"paths":{"0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-x":{"narHash":"md5:0","narSize":1,"references":[]}}}"#,
        r#"{"builds":{},"paths":{"0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-x":{"narHash":"x","narSize":-1,"references":[]}}}"#,
    ] {
        assert!(read_inputs(text.as_bytes()).is_err(), "{text}");
    }
}
