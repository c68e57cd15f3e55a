//! The objects that workloads consist of, against the rules of the API server that types do not say: so that what cannot
//! run is reported where it is written, before anything is committed.
//!
//! The rules are those of `pkg/apis/*/validation` of Kubernetes, and of kubelet where a pod could never start. They are
//! asked of the pod template as it is made, of what niphas makes and of what the user wrote over it.

mod autoscaling;
mod collisions;
mod container;
mod downward;
mod duplicates;
mod grammar;
mod network;
mod place;
mod pod;
mod program;
mod resources;
mod routes;
mod schedule;
mod scheduling;
mod types;
mod volumes;

use niphas_api::{
    Amount, BASE_IMAGE, ChildrenError, ClosureLine, ClosureLines, NiphasWorkload,
    NiphasWorkloadSpec, System, children,
};
use nix_formats::StorePath;
use serde_json::{Map, Value, json};

use crate::attribute_path::AttributePath;
use crate::environment::WorkloadRoots;
use crate::problem::ProblemKind;
use crate::schema::Checker;
pub(crate) use collisions::Names;
use place::Place;

/// A workload whose attributes fit the schema.
pub(crate) struct Workload<'a> {
    pub(crate) name: &'a str,
    /// Its spec, less `closures`.
    pub(crate) spec: &'a Map<String, Value>,
    pub(crate) roots: &'a [(&'a System, &'a WorkloadRoots)],
    /// Where its attributes are.
    pub(crate) path: &'a AttributePath,
    /// Nothing is known to be wrong with its types.
    pub(crate) is_sound: bool,
}

/// Checks what a workload consists of.
pub(crate) fn check(checker: &mut Checker<'_>, workload: &Workload<'_>) {
    let attributes = Value::Object(workload.spec.clone());
    let all = Place::new(&attributes, Some(&attributes), workload.path.clone());
    program::check(checker, &all);
    schedule::check(checker, &all.field("cronJob"));
    network::check(checker, &all.field("networkPolicy"));
    // A rule of the definition asks for those in `service.ports`.
    let fields = ["nodePorts", "portNames", "ports"];
    network::service(checker, &all.field("service"), &attributes, &fields[..2]);
    let services = all.field("services");
    for (name, _) in services.value.as_object().into_iter().flatten() {
        network::service(checker, &services.field(name), &attributes, &fields);
    }
    for ingress in one_or_several(&all, "ingress", "ingresses") {
        routes::ingress(checker, &ingress);
    }
    for route in one_or_several(&all, "httpRoute", "httpRoutes") {
        routes::http_route(checker, &route);
    }
    for route in one_or_several(&all, "grpcRoute", "grpcRoutes") {
        routes::parents(checker, &route);
    }
    storage(checker, &all.field("volumeClaims"));
    let given = &attributes["podTemplate"];
    duplicates::check(checker, &workload.path.attribute("podTemplate"), given);
    let template = match pod_template(workload) {
        Ok(template) => template,
        // What has wrong types, which were reported, can be no object.
        Err(_) if !workload.is_sound => return,
        Err((None, kind)) => return checker.report(workload.path, kind),
        Err((Some(attribute), kind)) => {
            return checker.report(&workload.path.attribute(attribute), kind);
        }
    };
    let place = match given {
        Value::Null => Place::new(&template, None, workload.path.clone()),
        given => Place::new(
            &template,
            Some(given),
            workload.path.attribute("podTemplate"),
        ),
    };
    let kind = workload.spec.get("kind").and_then(Value::as_str);
    pod::metadata(checker, &place, workload.name, given);
    let pod = place.field("spec");
    types::check(checker, &place, "podTemplate", "PodTemplateSpec");
    pod::spec(checker, &pod, kind.unwrap_or("Deployment"));
    scheduling::check(checker, &pod);
    let volumes = volumes::check(checker, &pod, volumes::claims(workload.spec));
    container::check(checker, &pod, &all, &volumes);
    autoscaling::check(checker, &all.field("autoscaling"), &pod);
}

/// The objects of a kind that a workload has one or several of.
fn one_or_several<'a>(all: &Place<'a>, one: &str, further: &str) -> Vec<Place<'a>> {
    let several = all.field(further);
    let names = several.value.as_object().into_iter().flatten();
    let several = names.map(|(name, _)| several.field(name));
    all.present(one).into_iter().chain(several).collect()
}

/// Storage that is asked for by accident.
fn storage(checker: &mut Checker<'_>, claims: &Place<'_>) {
    for name in claims
        .value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
    {
        let claim = claims.field(name);
        volumes::access_modes(checker, &claim);
        let storage = claim.field("storage");
        let text = storage.written();
        match text.parse::<Amount>() {
            Ok(amount) if amount.is_zero() || amount.is_negative() => {
                storage.report(
                    checker,
                    format!("storage is {text}"),
                    "write how much, like 1Gi",
                );
            }
            Ok(amount) => resources::of_bytes(checker, &storage, "storage", &amount),
            // The schema's to refuse.
            Err(_) => {}
        }
    }
}

/// Why there are no objects of a workload, and which of its attributes is to blame, if it is one.
type NoObjects = (Option<&'static str>, ProblemKind);

fn no_objects(error: &ChildrenError) -> NoObjects {
    let (attribute, remedy) = match error {
        ChildrenError::CircularEnvironment(_) => {
            (Some("env"), "write what one of them stands for into it")
        }
        ChildrenError::FilesTooLarge(_) => (
            Some("files"),
            "put large files into the package, or into one of roots",
        ),
        _ => return (None, ProblemKind::Children(error.to_string())),
    };
    let kind = ProblemKind::Refused {
        problem: error.to_string(),
        remedy: Some(remedy.to_owned()),
    };
    (attribute, kind)
}

/// The template that is made of the workload. What its closures hold changes nothing in it that has rules.
fn pod_template(workload: &Workload<'_>) -> Result<Value, NoObjects> {
    let api = |error: serde_json::Error| (None, ProblemKind::Api(error.to_string()));
    let lines = |roots: &[StorePath]| {
        let line = roots.first().map(|path| ClosureLine {
            path: path.clone(),
            nar_hash: [0; 32].into(),
            nar_size: 0,
        });
        ClosureLines::new(line.into_iter().collect())
            .map_err(|error| (None, ProblemKind::Children(error.to_string())))
    };
    let closures = workload
        .roots
        .iter()
        .map(|(system, roots)| Ok(crate::output::declare(system, roots, &lines(&roots.paths)?)))
        .collect::<Result<Vec<_>, NoObjects>>()?;
    let mut spec = Value::Object(workload.spec.clone());
    spec["closures"] = serde_json::to_value(closures).map_err(api)?;
    let spec: NiphasWorkloadSpec = serde_json::from_value(spec).map_err(api)?;
    let object = NiphasWorkload::new(workload.name, spec);
    let children = children(&object, BASE_IMAGE).map_err(|error| no_objects(&error))?;
    let mut templates = children.into_iter().filter_map(|child| {
        let spec = &child.data["spec"];
        [&spec["template"], &spec["jobTemplate"]["spec"]["template"]]
            .into_iter()
            .find(|template| template.is_object())
            .cloned()
    });
    Ok(templates.next_back().unwrap_or(json!({})))
}
