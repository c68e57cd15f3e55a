mod random;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use nix_formats::derivation::InputOutputs;
use nix_formats::{
    ContentAddressMethod, Derivation, DerivationOutput, HashAlgorithm, StoreDir, StorePath,
};

use super::*;
use crate::options::Machine;

fn path(number: usize, name: &str) -> StorePath {
    let mut hash = [0; 20];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    StorePath::from_parts(hash, name).unwrap()
}

fn drv(number: usize) -> StorePath {
    path(number, "d.drv")
}

fn out(number: usize, output: &str) -> StorePath {
    path(number, &format!("d-{output}"))
}

fn machine() -> Machine {
    Machine {
        system: "x86_64-linux".to_owned(),
        extra_platforms: ["i686-linux".to_owned()].into(),
        features: ["kvm", "ca-derivations"].map(str::to_owned).into(),
    }
}

/// A small world: derivations by number, each with outputs `out` and `dev`, and what there is of paths.
#[derive(Debug, Clone, Default)]
struct World {
    derivations: BTreeMap<StorePath, Arc<Derivation>>,
    places: HashMap<StorePath, Place>,
    realisations: HashMap<OutputId, StorePath>,
}

impl World {
    fn with(mut self, number: usize, inputs: &[(usize, &str)]) -> Self {
        let outputs = ["out", "dev"].map(|output| {
            let path = out(number, output);
            (output.to_owned(), DerivationOutput::InputAddressed(path))
        });
        self.add(number, outputs.into(), inputs);
        self
    }

    fn add(
        &mut self,
        number: usize,
        outputs: BTreeMap<String, DerivationOutput>,
        inputs: &[(usize, &str)],
    ) -> &mut Derivation {
        let mut input_derivations = BTreeMap::<_, InputOutputs>::new();
        for (input, output) in inputs {
            let names = &mut input_derivations.entry(drv(*input)).or_default().names;
            names.insert((*output).to_owned());
        }
        let derivation = Derivation {
            name: "d".to_owned(),
            outputs,
            input_derivations,
            platform: b"x86_64-linux".to_vec(),
            builder: b"/bin/sh".to_vec(),
            ..Derivation::default()
        };
        let place = self.derivations.entry(drv(number)).or_default();
        *place = Arc::new(derivation);
        Arc::make_mut(place)
    }

    fn change(mut self, number: usize, change: impl FnOnce(&mut Derivation)) -> Self {
        change(Arc::make_mut(
            self.derivations.get_mut(&drv(number)).unwrap(),
        ));
        self
    }

    fn cached(mut self, path: StorePath, references: &[StorePath]) -> Self {
        let place = Place::Cached {
            download_size: 10,
            nar_size: 100,
            references: references.iter().cloned().collect(),
        };
        self.places.insert(path, place);
        self
    }

    fn here(mut self, path: StorePath, references: &[StorePath]) -> Self {
        let references = references.iter().cloned().collect();
        self.places.insert(path, Place::Here { references });
        self
    }

    fn planner(&self) -> Planner {
        let derivations = Arc::new(self.derivations.clone());
        Planner::new(derivations, StoreDir::default(), machine())
    }

    /// The plan for outputs of derivations; `pick` says which question is answered next.
    fn plan_with(
        &self,
        wanted: &[(usize, &str)],
        mut pick: impl FnMut(usize) -> usize,
    ) -> Result<Plan, PlanError> {
        let mut planner = self.planner();
        for (number, output) in wanted {
            planner.want(&Wanted::Outputs {
                derivation: drv(*number),
                outputs: WantedOutputs::Named([(*output).to_owned()].into()),
            })?;
        }
        let mut questions: Vec<Question> = Vec::new();
        let mut asked = BTreeSet::new();
        loop {
            questions.append(&mut planner.questions());
            if questions.is_empty() {
                return planner.finish();
            }
            let question = questions.swap_remove(pick(questions.len()) % questions.len());
            assert!(
                asked.insert(format!("{question:?}")),
                "asked twice: {question:?}"
            );
            match question {
                Question::Path(path) => {
                    let place = self.places.get(&path).cloned();
                    planner.answer_path(&path, place.unwrap_or(Place::Nowhere))?;
                }
                Question::Realisation { id, .. } => {
                    planner.answer_realisation(&id, self.realisations.get(&id))?;
                }
            }
        }
    }

    fn plan(&self, wanted: &[(usize, &str)]) -> Plan {
        self.plan_with(wanted, |_| 0).unwrap()
    }
}

fn built(plan: &Plan) -> Vec<StorePath> {
    plan.builds.iter().map(|build| build.path.clone()).collect()
}

fn fetched(plan: &Plan) -> Vec<StorePath> {
    plan.fetches
        .iter()
        .map(|fetch| fetch.path.clone())
        .collect()
}

#[test]
fn what_is_there_is_not_built_and_its_inputs_are_not_asked_for() {
    let world = World::default()
        .with(1, &[])
        .with(2, &[(1, "out")])
        .here(out(2, "out"), &[]);
    let plan = world.plan(&[(2, "out")]);
    assert_eq!((built(&plan), fetched(&plan)), (vec![], vec![]));
    assert_eq!(plan.outputs[&drv(2)]["out"], out(2, "out"));
    // Another output of it is not there.
    let plan = world.plan(&[(2, "dev")]);
    assert_eq!(built(&plan), [drv(1), drv(2)]);
    assert_eq!(plan.builds[1].needs, [0]);
    assert_eq!((plan.builds[0].height, plan.builds[1].height), (2, 1));
    assert_eq!(plan.builds[0].wanted, ["out".to_owned()].into());
}

#[test]
fn what_a_cache_has_is_fetched_with_what_it_refers_to() {
    let lib = path(9, "lib");
    let world = World::default()
        .with(1, &[])
        .cached(out(1, "out"), &[lib.clone(), out(1, "out")])
        .cached(lib.clone(), &[]);
    let plan = world.plan(&[(1, "out")]);
    assert_eq!(fetched(&plan), [out(1, "out"), lib.clone()]);
    assert_eq!((plan.download_size, plan.nar_size), (20, 200));
    assert!(built(&plan).is_empty());
    // What is there of it is not fetched; what it refers to is, if that is not there.
    let plan = world
        .clone()
        .here(out(1, "out"), std::slice::from_ref(&lib))
        .plan(&[(1, "out")]);
    assert_eq!(fetched(&plan), std::slice::from_ref(&lib));
    // Without all that it refers to it is of no use, even if that is known late.
    let broken = world.cached(lib.clone(), &[path(8, "gone")]);
    for pick in [0, usize::MAX] {
        let plan = broken.plan_with(&[(1, "out")], |_| pick).unwrap();
        assert_eq!((built(&plan), fetched(&plan)), (vec![drv(1)], vec![]));
        assert!(plan.unknown.is_empty());
    }
}

#[test]
fn substitutes_that_are_not_allowed_are_not_fetched() {
    let world = World::default()
        .with(1, &[])
        .with(2, &[(1, "out")])
        .cached(out(1, "out"), &[])
        .cached(out(2, "out"), &[])
        .change(2, |drv| {
            drv.env.insert(b"allowSubstitutes".to_vec(), Vec::new());
        });
    let plan = world.plan(&[(2, "out")]);
    assert_eq!(
        (built(&plan), fetched(&plan)),
        (vec![drv(2)], vec![out(1, "out")])
    );
    let structured = world.change(2, |drv| {
        drv.env.clear();
        drv.structured_attrs = Some(r#"{"allowSubstitutes":false}"#.to_owned());
    });
    assert_eq!(built(&structured.plan(&[(2, "out")])), [drv(2)]);
    let there = structured.here(out(2, "out"), &[]);
    assert!(built(&there.plan(&[(2, "out")])).is_empty());
}

#[test]
fn sources_and_derivations_that_are_nowhere_are_unknown() {
    let (there, gone) = (path(7, "there"), path(8, "gone"));
    let world = World::default()
        .with(1, &[(5, "out")])
        .here(there.clone(), &[])
        .change(1, |drv| drv.input_sources = [there, gone.clone()].into());
    let plan = world.plan(&[(1, "out"), (6, "out")]);
    assert_eq!(plan.unknown, [drv(5), drv(6), gone].into());
    let mut planner = world.planner();
    planner.want(&Wanted::Path(path(3, "nowhere"))).unwrap();
    assert_eq!(planner.questions(), [Question::Path(path(3, "nowhere"))]);
    planner
        .answer_path(&path(3, "nowhere"), Place::Nowhere)
        .unwrap();
    assert_eq!(
        planner.finish().unwrap().unknown,
        [path(3, "nowhere")].into()
    );
}

#[test]
fn the_lines_are_those_of_nix() {
    let world = World::default()
        .with(1, &[])
        .with(2, &[(1, "out"), (3, "out"), (4, "out")])
        .with(3, &[])
        .with(4, &[])
        .cached(out(4, "out"), &[path(9, "a")])
        .cached(path(9, "a"), &[])
        .cached(out(3, "out"), &[]);
    let (store, lines) = (StoreDir::default(), |plan: Plan| {
        plan.lines(&StoreDir::default())
    });
    let p = |path: &StorePath| store.print(path);
    assert_eq!(
        lines(world.plan(&[(2, "out")])),
        format!(
            "these 2 derivations will be built:\n  {}\n  {}\n\
             these 3 paths will be fetched (0.0 KiB download, 0.3 KiB unpacked):\n  {}\n  {}\n  {}\n",
            p(&drv(1)),
            p(&drv(2)),
            p(&path(9, "a")),
            p(&out(3, "out")),
            p(&out(4, "out")),
        )
    );
    assert_eq!(
        lines(world.plan(&[(1, "out"), (3, "out"), (8, "out")])),
        format!(
            "this derivation will be built:\n  {}\n\
             this path will be fetched (0.0 KiB download, 0.1 KiB unpacked):\n  {}\n\
             don't know how to build these paths:\n  {}\n",
            p(&drv(1)),
            p(&out(3, "out")),
            p(&drv(8)),
        )
    );
    assert_eq!(lines(Plan::default()), "");
}

#[test]
fn derivations_for_other_machines_are_refused() {
    let world = World::default().with(1, &[]).change(1, |drv| {
        drv.platform = b"aarch64-linux".to_vec();
        let features = b"kvm bar".to_vec();
        drv.env.insert(b"requiredSystemFeatures".to_vec(), features);
    });
    let refusal = |world: &World| world.plan(&[(1, "out")]).builds[0].refusal.clone();
    assert_eq!(
        refusal(&world).unwrap().to_string(),
        "Reason: platform mismatch\nRequired system: 'aarch64-linux'\nCurrent system: 'x86_64-linux'\n\
         Reason: missing system features\nRequired features: {bar, kvm}\n\
         Available features: {ca-derivations, kvm}"
    );
    let builtin = world.change(1, |drv| {
        drv.env.clear();
        drv.builder = b"builtin:fetchurl".to_vec();
    });
    assert_eq!(refusal(&builtin), None);
}

fn floating() -> DerivationOutput {
    DerivationOutput::Floating {
        method: ContentAddressMethod::Recursive,
        algorithm: HashAlgorithm::Sha256,
    }
}

#[test]
fn outputs_without_a_path_are_known_by_realisations() {
    let mut world = World::default();
    world.add(1, [("out".to_owned(), floating())].into(), &[]);
    let deferred = [("out".to_owned(), DerivationOutput::Deferred)];
    world.add(2, deferred.into(), &[(1, "out")]);
    assert_eq!(built(&world.plan(&[(2, "out")])), [drv(1), drv(2)]);

    let id = |number: usize| {
        let mut planner = world.planner();
        let wanted = WantedOutputs::All;
        let derivation = drv(number);
        planner
            .want(&Wanted::Outputs {
                derivation,
                outputs: wanted,
            })
            .unwrap();
        match planner.questions().as_slice() {
            [Question::Realisation { id, from_caches }] => (id.clone(), *from_caches),
            questions => panic!("{questions:?}"),
        }
    };
    let ((one, from_caches), (two, _)) = (id(1), id(2));
    assert!(from_caches);
    let mut world = world.cached(path(5, "d"), &[]);
    world.realisations.insert(one, path(5, "d"));
    let plan = world.plan(&[(2, "out")]);
    assert_eq!(
        (built(&plan), fetched(&plan)),
        (vec![drv(2)], vec![path(5, "d")])
    );
    assert_eq!(plan.outputs[&drv(1)]["out"], path(5, "d"));

    // What it became is known, but not where that is.
    world.realisations.insert(two, path(6, "d"));
    assert_eq!(built(&world.plan(&[(2, "out")])), [drv(2)]);
    let world = world.cached(path(6, "d"), &[path(5, "d")]);
    let plan = world.plan(&[(2, "out")]);
    assert_eq!(
        (built(&plan), fetched(&plan)),
        (vec![], vec![path(5, "d"), path(6, "d")])
    );
}

#[test]
fn what_is_impure_is_always_built_and_nothing_pure_is_built_from_it() {
    let mut world = World::default();
    let impure = DerivationOutput::Impure {
        method: ContentAddressMethod::Recursive,
        algorithm: HashAlgorithm::Sha256,
    };
    world.add(1, [("out".to_owned(), impure)].into(), &[]);
    assert_eq!(built(&world.plan(&[(1, "out")])), [drv(1)]);
    let world = world.with(2, &[(1, "out")]);
    let error = world.plan_with(&[(2, "out")], |_| 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "pure derivation '/nix/store/{}' depends on impure derivation '/nix/store/{}'",
            drv(2),
            drv(1)
        )
    );
}

#[test]
fn errors_name_the_derivation() {
    let told = |world: &World, output| {
        world
            .plan_with(&[(1, output)], |_| 0)
            .unwrap_err()
            .to_string()
    };
    let world = World::default().with(1, &[]);
    assert_eq!(
        told(&world, "doc"),
        format!(
            "derivation '/nix/store/{}' does not have output 'doc'",
            drv(1)
        )
    );
    let dynamic = world.change(1, |drv_1| {
        let outputs = InputOutputs {
            names: BTreeSet::new(),
            dynamic: [("out".to_owned(), InputOutputs::default())].into(),
        };
        drv_1.input_derivations.insert(drv(2), outputs);
    });
    assert!(told(&dynamic, "out").contains("dynamic derivations"));
    let cycle = World::default()
        .with(1, &[(2, "out")])
        .with(2, &[(1, "out")]);
    assert!(told(&cycle, "out").contains("depends on itself"));
    let mut floating_cycle = World::default();
    for (number, input) in [(1, 2), (2, 1)] {
        floating_cycle.add(
            number,
            [("out".to_owned(), floating())].into(),
            &[(input, "out")],
        );
    }
    assert!(told(&floating_cycle, "out").contains("is not valid"));
}

#[test]
fn deep_and_wide_graphs_are_planned() {
    let mut world = World::default();
    for number in 0..20_000_usize {
        let inputs: Vec<_> = (number.saturating_sub(3)..number)
            .map(|it| (it, "out"))
            .collect();
        world = world.with(number, &inputs);
    }
    let plan = world.plan(&[(19_999, "out")]);
    assert_eq!((plan.builds.len(), plan.builds[0].height), (20_000, 20_000));
}
