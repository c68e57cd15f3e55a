//! Whatever happens, in whatever order: the promises hold, and everything ends.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A derivation for each number: what it needs is the same in all runs.
#[derive(Debug, Clone)]
struct World {
    needs: Vec<Vec<usize>>,
    is_local: Vec<bool>,
    is_arm: Vec<bool>,
}

fn world(size: usize) -> impl Strategy<Value = World> {
    let needs = vec(vec(any::<prop::sample::Index>(), 0..4), size);
    (
        needs,
        vec(prop::bool::weighted(0.4), size),
        vec(prop::bool::weighted(0.2), size),
    )
        .prop_map(|(needs, is_local, is_arm)| World {
            needs: needs
                .into_iter()
                .enumerate()
                .map(|(place, picks)| {
                    let picks = picks.iter().filter(|_| place > 0);
                    picks.map(|pick| pick.index(place)).collect()
                })
                .collect(),
            is_local,
            is_arm,
        })
}

impl World {
    fn name(&self, number: usize) -> String {
        let kind = if self.is_local[number] {
            "local"
        } else {
            "own"
        };
        format!("{kind}-{number}")
    }

    /// What a run for some derivations builds, when all of `there` is in the cache.
    fn plan(&self, wanted: &[usize], there: &HashSet<usize>) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<usize> = wanted.to_vec();
        while let Some(number) = open.pop() {
            if !there.contains(&number) && seen.insert(number) {
                open.extend(&self.needs[number]);
            }
        }
        seen.into_iter().collect()
    }

    fn run(&self, plan: &[usize]) -> Vec<Need> {
        let place = |number: &usize| plan.iter().position(|it| it == number);
        plan.iter()
            .map(|&number| Need {
                derivation: path(&self.name(number)),
                needs: self.needs[number].iter().filter_map(place).collect(),
                system: if self.is_arm[number] {
                    "aarch64-linux"
                } else {
                    "x86_64-linux"
                }
                .into(),
                features: BTreeSet::new(),
                is_local: self.is_local[number],
            })
            .collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize, Vec<prop::sample::Index>),
    Supersede(prop::sample::Index),
    Ended(prop::sample::Index, u8),
    Delivered(prop::sample::Index),
    Forget(prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => (0..4_usize, vec(index(), 1..4)).prop_map(|(source, wanted)| Step::Push(source, wanted)),
        1 => index().prop_map(Step::Supersede),
        6 => (index(), any::<u8>()).prop_map(|(job, end)| Step::Ended(job, end)),
        1 => index().prop_map(Step::Delivered),
        1 => index().prop_map(Step::Forget),
        1 => Just(Step::Restart),
    ]
}

/// The cluster: Jobs, the cache, and what fails.
struct Cluster {
    world: World,
    schedule: Schedule,
    cache: HashSet<usize>,
    jobs: BTreeMap<StorePath, Start>,
    failed: BTreeMap<StorePath, Failure>,
    runs: BTreeMap<RunId, (usize, Vec<usize>)>,
    next: u64,
    now: Duration,
}

impl Cluster {
    fn limits() -> Limits {
        Limits {
            total: 5,
            per_namespace: 4,
            per_system: [("aarch64-linux".to_owned(), 2)].into(),
            grace: Duration::from_secs(5),
        }
    }

    fn number(path: &StorePath) -> usize {
        let name = path.name().trim_end_matches(".drv");
        name.rsplit('-').next().unwrap().parse().unwrap()
    }

    fn add(&mut self, source_number: usize, wanted: Vec<usize>) {
        let run = RunId(self.next);
        self.next += 1;
        let plan = self.world.plan(&wanted, &self.cache);
        // What broke for a passing reason is tried again by those that need it.
        self.failed
            .retain(|path, failure| failure.is_lasting() || !plan.contains(&Self::number(path)));
        let name = source(&format!("n{}/s{source_number}", source_number % 2));
        self.schedule
            .add_run(run, &name, Some(3), &self.world.run(&plan), &HashMap::new())
            .unwrap();
        self.runs.insert(run, (source_number, wanted));
    }

    /// Starts what may start, and looks whether it may.
    fn start(&mut self) {
        while let Some(start) = self.schedule.next_start() {
            let mut there: HashSet<usize> = self.cache.clone();
            for path in start.members.iter().chain([&start.derivation]) {
                let number = Self::number(path);
                for need in &self.world.needs[number] {
                    assert!(there.contains(need), "{path} starts without {need}");
                }
                assert!(there.insert(number), "{path} is there, and starts");
                assert!(!self.failed.contains_key(path), "{path} failed, and starts");
                let is_free = self
                    .jobs
                    .values()
                    .all(|job| job.derivation != *path && !job.members.contains(path));
                assert!(is_free, "{path} is in two pods");
            }
            let arm = |path: &StorePath| self.world.is_arm[Self::number(path)];
            let host = arm(&start.derivation);
            assert!(
                start
                    .members
                    .iter()
                    .all(|it| arm(it) == host && it.name().starts_with("local"))
            );
            self.jobs.insert(start.derivation.clone(), start);
            let arms = self.jobs.keys().filter(|it| arm(it)).count();
            assert!(
                arms <= 2 || self.jobs.len() <= 5,
                "{arms} of {}",
                self.jobs.len()
            );
            assert!(self.jobs.len() <= 5);
        }
        assert_eq!(self.schedule.running(), self.jobs.len());
    }

    fn job(&self, index: prop::sample::Index) -> Option<Start> {
        (!self.jobs.is_empty()).then(|| {
            index
                .get(&self.jobs.values().collect::<Vec<_>>())
                .to_owned()
                .clone()
        })
    }

    /// The first member of a Job that the cache lacks.
    fn undelivered(&self, job: &Start) -> Option<usize> {
        let mut members = job.members.iter();
        members.position(|it| !self.cache.contains(&Self::number(it)))
    }

    fn end(&mut self, job: &Start, kind: u8) {
        self.jobs.remove(&job.derivation);
        let end = match kind {
            // A member failed, after what it needs.
            0..40 if self.undelivered(job).is_some() => {
                let at = self.undelivered(job).unwrap();
                self.cache
                    .extend(job.members[..at].iter().map(Self::number));
                for path in &job.members[..at] {
                    self.schedule.built(path);
                }
                JobEnd::Failed(Failure {
                    derivation: Some(job.members[at].clone()),
                    ..failure(Cause::Build(100))
                })
            }
            0..50 => JobEnd::Failed(failure(Cause::Build(100))),
            50..70 => JobEnd::Failed(failure(Cause::Machine)),
            70..100 => JobEnd::Gone,
            _ => {
                let all = job.members.iter().chain([&job.derivation]);
                self.cache.extend(all.map(Self::number));
                JobEnd::Built
            }
        };
        if let JobEnd::Failed(failure) = &end {
            let failed = failure.derivation.as_ref().unwrap_or(&job.derivation);
            self.failed.insert(failed.clone(), failure.clone());
        }
        self.schedule.ended(&job.derivation, &end);
    }

    fn step(&mut self, step: Step) {
        self.now += Duration::from_secs(1);
        match step {
            Step::Push(source, wanted) => {
                let count = self.world.needs.len();
                self.add(source, wanted.iter().map(|it| it.index(count)).collect());
            }
            Step::Supersede(index) if !self.runs.is_empty() => {
                let run = *index.get(&self.runs.keys().copied().collect::<Vec<_>>());
                self.runs.remove(&run);
                self.schedule.remove_run(run, self.now);
            }
            Step::Ended(index, kind) => {
                if let Some(job) = self.job(index) {
                    self.end(&job, kind);
                }
            }
            Step::Delivered(index) => {
                if let Some(job) = self.job(index)
                    && let Some(first) = job.members.first()
                {
                    self.cache.insert(Self::number(first));
                    self.schedule.built(first);
                }
            }
            Step::Forget(index) => {
                let lasting = self.failed.iter().filter(|(_, it)| it.is_lasting());
                let lasting: Vec<StorePath> = lasting.map(|(path, _)| path.clone()).collect();
                if !lasting.is_empty() {
                    let path = index.get(&lasting);
                    self.failed.remove(path);
                    self.schedule.forget(path);
                }
            }
            Step::Restart => self.restart(),
            Step::Supersede(_) => {}
        }
        for path in self.schedule.unneeded(self.now) {
            if let Some(job) = self.jobs.remove(&path) {
                let needed = job.members.iter().chain([&path]).any(|it| {
                    let number = Self::number(it);
                    let mut runs = self.runs.values();
                    runs.any(|(_, wanted)| self.world.plan(wanted, &self.cache).contains(&number))
                });
                assert!(!needed, "{path} is needed, and given up");
                self.schedule.ended(&path, &JobEnd::Gone);
            }
        }
    }

    /// The service was killed: all is made again of Jobs and runs.
    fn restart(&mut self) {
        self.schedule = Schedule::new(Self::limits());
        for job in self.jobs.values() {
            let system = if self.world.is_arm[Self::number(&job.derivation)] {
                "aarch64-linux"
            } else {
                "x86_64-linux"
            };
            self.schedule
                .attach(&job.derivation, &job.members, system, self.now);
        }
        self.failed.retain(|_, failure| failure.is_lasting());
        for (path, failure) in &self.failed {
            // The Job's own name and what failed in it are one here.
            let failure = Failure {
                derivation: None,
                ..failure.clone()
            };
            self.schedule.failed(path, failure);
        }
        for (source, wanted) in std::mem::take(&mut self.runs).into_values() {
            self.add(source, wanted);
        }
    }

    /// Whether what fails and what is blocked is just what has to be.
    fn check_progress(&self) {
        for (run, (_, wanted)) in &self.runs {
            let progress = self.schedule.run_progress(*run).unwrap();
            assert!(progress.is_done(), "{progress:?}");
            for (path, by) in &progress.blocked {
                assert!(
                    self.failed.contains_key(by),
                    "{path} waits for {by}, which did not fail"
                );
                let below = self.world.plan(&[Self::number(path)], &HashSet::new());
                assert!(
                    below.contains(&Self::number(by)),
                    "{path} does not need {by}"
                );
            }
            for path in progress.failed.iter().map(|(path, _)| path) {
                assert!(self.failed.contains_key(path));
            }
            if progress.failed.is_empty() && progress.blocked.is_empty() {
                assert!(wanted.iter().all(|it| self.cache.contains(it)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn promises_hold_whatever_happens(world in world(24), steps in vec(step(), 1..60)) {
        let mut cluster = Cluster {
            world,
            schedule: Schedule::new(Cluster::limits()),
            cache: HashSet::new(),
            jobs: BTreeMap::new(),
            failed: BTreeMap::new(),
            runs: BTreeMap::new(),
            next: 0,
            now: Duration::ZERO,
        };
        for step in steps {
            cluster.step(step);
            cluster.start();
        }
        // From here on all builds end well: nothing waits for ever.
        for _ in 0..1000 {
            let Some(job) = cluster.jobs.values().next().cloned() else { break };
            cluster.end(&job, 255);
            cluster.start();
        }
        prop_assert!(cluster.jobs.is_empty());
        cluster.check_progress();
        // And nothing is kept of runs that are gone.
        for run in cluster.runs.keys().copied().collect::<Vec<_>>() {
            cluster.schedule.remove_run(run, cluster.now);
        }
        prop_assert!(cluster.schedule.graph.is_empty());
    }
}
