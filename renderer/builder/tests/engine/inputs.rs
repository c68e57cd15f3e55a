//! Where inputs come from.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use binary_cache::{PushOptions, push};
use niphas_api::Roots;
use nix_builder::engine::{Event, InputFolder, Request};
use nix_builder::{Sources, UnreadSource};
use nix_formats::nar::Writer;
use nix_formats::{
    ContentAddress, ContentAddressMethod, HashAlgorithm, SecretKey, StoreDir, StorePath,
};

use crate::world::{Extras, World, build, engine, engine_with, open, request, settings, wanted};
use crate::{contents, run};

/// Two derivations, the second of which refers to the first.
fn two(world: &mut World) -> (StorePath, StorePath) {
    let one = world.script("one", "echo one > $out").add();
    let two = world
        .script("two", "echo $one > $out")
        .input("one", &one, "out");
    let two = two.add();
    (one, two)
}

pub(crate) fn what_caches_have_is_fetched() {
    let mut world = World::default();
    let (one, two) = two(&mut world);
    let user = world.script(
        "user",
        "read one < $two; read text < $one; echo $text > $out",
    );
    let user = user.input("two", &two, "out").add();
    let folder = tempfile::tempdir().unwrap();
    let cache = format!("file://{}", folder.path().join("cache").display());
    let key = SecretKey::from_seed("test-1", [7; 32]);
    run(async {
        let made = folder.path().join("made");
        let done = build(&engine(&made, &world, settings()), &request(&[&two])).await;
        assert!(done.report().is_success());
        drop(done);
        let options = PushOptions {
            keys: [key.clone()].into(),
            ..PushOptions::default()
        };
        let roots = [StoreDir::default().parse(world.out(&two, "out")).unwrap()];
        let to = cache.parse().unwrap();
        let store = Arc::new(open(&made));
        push(store, &roots, &to, options, Arc::default())
            .await
            .unwrap();

        let extras = |keys| Extras {
            caches: vec![cache.parse().unwrap()],
            keys,
            ..Extras::default()
        };
        let trusting = folder.path().join("trusting");
        let fetches = engine_with(
            &trusting,
            &world,
            extras(vec![key.public_key()]),
            settings(),
        );
        let plan = fetches.plan(&request(&[&user])).await.unwrap();
        assert_eq!((plan.builds.len(), plan.fetches.len()), (1, 2));
        let done = build(&fetches, &request(&[&user, &two])).await;
        assert_eq!(
            (done.messages(), done.started()),
            (vec![], vec!["user.drv"])
        );
        assert_eq!(done.report().fetched.paths, 2);
        assert!(
            done.events
                .iter()
                .any(|event| matches!(event, Event::Fetched(_)))
        );
        assert_eq!(done.report().outputs.len(), 2);
        // What is asked for itself is fetched too.
        let asked = folder.path().join("asked");
        let fetches = engine_with(&asked, &world, extras(vec![key.public_key()]), settings());
        let done = build(&fetches, &request(&[&one])).await;
        assert_eq!((done.started().len(), done.report().fetched.paths), (0, 1));
        // Without a key that is trusted all is built.
        let strange = folder.path().join("strange");
        let builds = engine_with(&strange, &world, extras(vec![]), settings());
        let done = build(&builds, &request(&[&two])).await;
        assert_eq!((done.started().len(), done.report().fetched.paths), (2, 0));
    });
    assert_eq!(
        contents(
            &open(&folder.path().join("trusting")),
            &world.out(&user, "out")
        ),
        "one\n"
    );
}

/// As Nix 2.34.8 has it: what is gone is built; what is damaged, or cannot be fetched, only with `fallback`.
pub(crate) fn what_caches_promise_and_do_not_give_is_built() {
    let mut world = World::default();
    let (one, two) = two(&mut world);
    let user = world.script("user", "read one < $two; echo $one > $out");
    let user = user.input("two", &two, "out").add();
    let fails = world.script("fails", "exit 1").add();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let to = format!("file://{}", cache.display());
    let key = SecretKey::from_seed("test-1", [7; 32]);
    let nars = || {
        let nars = std::fs::read_dir(cache.join("nar")).unwrap();
        nars.map(|file| file.unwrap().path())
    };
    let print = |path: &StorePath| StoreDir::default().print(path);
    run(async {
        let made = folder.path().join("made");
        let done = build(&engine(&made, &world, settings()), &request(&[&two])).await;
        assert!(done.report().is_success());
        drop(done);
        let options = PushOptions {
            keys: [key.clone()].into(),
            ..PushOptions::default()
        };
        let roots = [StoreDir::default().parse(world.out(&two, "out")).unwrap()];
        let store = Arc::new(open(&made));
        let place = to.parse().unwrap();
        let pushed = push(store, &roots, &place, options, Arc::default());
        pushed.await.unwrap();
        let fetches = |name: &str, fallback| {
            let extras = Extras {
                caches: vec![to.parse().unwrap()],
                keys: vec![key.public_key()],
                ..Extras::default()
            };
            let mut settings = settings();
            settings.fallback = fallback;
            engine_with(&folder.path().join(name), &world, extras, settings)
        };
        let substitutes = format!(
            "some substitutes for the outputs of derivation '{}' failed (usually happens due to networking issues); \
             try '--fallback' to build derivation from source",
            print(&two)
        );
        for file in nars() {
            std::fs::write(file, "damaged").unwrap();
        }
        let done = build(&fetches("strict", false), &request(&[&user])).await;
        let messages = done.messages();
        assert!(messages[0].starts_with(&substitutes), "{messages:?}");
        let dependent = format!(
            "Cannot build '{}'.\nReason: 1 dependency failed.\nOutput paths:\n  {}",
            print(&user),
            world.out(&user, "out")
        );
        assert_eq!(messages[1..], [dependent]);
        assert_eq!(done.started(), Vec::<&str>::new());
        assert_eq!(done.report().status().code(), 1);
        let done = build(&fetches("asked", false), &request(&[&two])).await;
        let messages = done.messages();
        assert!(messages[0].starts_with(&substitutes), "{messages:?}");
        assert_eq!((messages.len(), done.report().failed.len()), (1, 1));
        // What fails is not tried again with what is built instead.
        let mut all = request(&[&fails, &user]);
        all.keep_going = true;
        let done = build(&fetches("fallback", true), &all).await;
        assert_eq!(done.messages().len(), 1, "{:?}", done.messages());
        let mut started = done.started();
        started.sort_unstable();
        assert_eq!(started, ["fails.drv", "one.drv", "two.drv", "user.drv"]);
        assert_eq!(done.report().outputs.len(), 1);
        let warns = |event: &&Event| matches!(event, Event::Warning(text) if text.ends_with("; it is built instead"));
        assert!(done.events.iter().any(|event| warns(&event)));
        for file in nars() {
            std::fs::remove_file(file).unwrap();
        }
        let done = build(&fetches("gone", false), &request(&[&user, &one])).await;
        assert_eq!(done.messages(), Vec::<String>::new());
        assert_eq!(done.started(), ["one.drv", "two.drv", "user.drv"]);
    });
}

/// Texts.
struct Texts(BTreeMap<StorePath, (String, BTreeSet<StorePath>)>);

impl Texts {
    fn add(&mut self, name: &str, text: &str, references: &[&StorePath]) -> StorePath {
        let references: BTreeSet<StorePath> = references.iter().map(|it| (*it).clone()).collect();
        let path = StoreDir::default().make_text_path(name, text.as_bytes(), &references);
        let path = path.unwrap();
        self.0.insert(path.clone(), (text.to_owned(), references));
        path
    }
}

impl Sources for Texts {
    fn references(&self, path: &StorePath) -> Option<BTreeSet<StorePath>> {
        Some(self.0.get(path)?.1.clone())
    }

    fn write_nar(
        &self,
        path: &StorePath,
        out: &mut dyn Write,
    ) -> Result<ContentAddress, UnreadSource> {
        let (text, _) = &self.0[path];
        let failed = |source| UnreadSource::Io {
            path: path.clone(),
            source,
        };
        let mut nar = Writer::new(out);
        let written = nar.file(false, text.as_bytes());
        written
            .and_then(|()| nar.finish().map(drop))
            .map_err(std::io::Error::other)
            .map_err(failed)?;
        Ok(ContentAddress {
            method: ContentAddressMethod::Text,
            hash: HashAlgorithm::Sha256.digest(text.as_bytes()),
        })
    }
}

pub(crate) fn sources_are_inputs_with_what_they_refer_to() {
    let mut texts = Texts(BTreeMap::new());
    let inner = texts.add("inner", "within", &[]);
    let print = |path: &StorePath| StoreDir::default().print(path);
    let outer = texts.add("outer", &print(&inner), &[&inner]);
    let mut world = World::default();
    let reads = world.script(
        "reads",
        "read inner < $outer; read text < $inner; echo $text > $out",
    );
    let reads = reads.set("outer", &print(&outer)).change(|it| {
        it.input_sources.insert(outer.clone());
    });
    let reads = reads.add();
    let folder = tempfile::tempdir().unwrap();
    let extras = Extras {
        sources: Some(Arc::new(texts)),
        ..Extras::default()
    };
    run(async {
        let engine = engine_with(folder.path(), &world, extras, settings());
        let done = build(&engine, &request(&[&reads])).await;
        assert_eq!(done.messages(), Vec::<String>::new());
    });
    let store = open(folder.path());
    assert_eq!(contents(&store, &world.out(&reads, "out")), "within\n");
    assert!(store.info(&inner).is_some());
}

pub(crate) fn paths_of_the_machine_are_used_in_place() {
    let mut world = World::default();
    let (one, two) = two(&mut world);
    // It refers to what is in the machine's store, and the next to it.
    let user = world
        .script("user", "echo $two > $out")
        .input("two", &two, "out")
        .add();
    let next = world.script(
        "next",
        "read two < $user; read one < $two; read text < $one; echo $text > $out",
    );
    let next = next.input("user", &user, "out").add();
    let folder = tempfile::tempdir().unwrap();
    let (machine, files) = (folder.path().join("machine"), folder.path().join("files"));
    run(async {
        let done = build(&engine(&machine, &world, settings()), &request(&[&two])).await;
        assert!(done.report().is_success());
        drop(done);
        let store = open(&machine);
        let roots = Roots::from(StoreDir::default().parse(world.out(&two, "out")).unwrap());
        let closure = store.stored_closure(&roots).unwrap();
        store.export(&closure, &files).unwrap();
        let store = Arc::new(store);
        let extras = || Extras {
            folder: Some(InputFolder {
                folder: files.join("store"),
                source: Arc::clone(&store) as _,
            }),
            ..Extras::default()
        };
        let built = folder.path().join("built");
        let engine = engine_with(&built, &world, extras(), settings());
        let only_built = Request {
            holds: false,
            ..request(&[&user])
        };
        let done = build(&engine, &only_built).await;
        assert_eq!(
            (done.messages(), done.started()),
            (vec![], vec!["user.drv"])
        );
        assert!(done.report().held.is_empty());
        drop((engine, done));
        // What it refers to stays where it is.
        let store = open(&built);
        let is_stored = |path: &StorePath| {
            let out = StoreDir::default().parse(world.out(path, "out"));
            store.info(&out.unwrap()).is_some()
        };
        assert_eq!((is_stored(&user), is_stored(&two)), (true, false));
        drop(store);
        let engine = engine_with(&built, &world, extras(), settings());
        let mut all = request(&[&next]);
        all.wanted.push(wanted(&one));
        let done = build(&engine, &all).await;
        assert_eq!(
            (done.messages(), done.started()),
            (vec![], vec!["next.drv"])
        );
        assert_eq!(done.report().outputs[&one].len(), 1);
    });
    let store = open(&folder.path().join("built"));
    assert_eq!(contents(&store, &world.out(&next, "out")), "one\n");
}
