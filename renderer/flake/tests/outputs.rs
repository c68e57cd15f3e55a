//! What flakes output: with Nix at hand (`NIPHAS_ORACLE`) against `nix eval --json`.

#![allow(clippy::disallowed_methods, reason = "tests lay out their own files")]

mod support;

use nix_evaluator::io::LocalIo;
use nix_evaluator::{Bump, ContextBuilder, Evaluator, JsonOptions, PosIdx, Settings, Value};
use nix_flake::{FlakeIo, LockOptions, Place, install_get_flake, lock, read_flake_nix};
use nix_formats::store_path::StoreDir;

use support::{World, oracle, report};

/// Evaluates `value` of a flake to JSON.
fn eval(world: &World, reference: &str, attr: &str, pure: bool) -> Result<String, String> {
    let store_dir = StoreDir::default();
    let fetcher = world.fetcher();
    let locked = lock(
        &fetcher,
        &|place: &Place| read_flake_nix(place, &StoreDir::default()),
        &world.reference(reference),
        &LockOptions::default(),
    )
    .map_err(|error| report(&error))?
    .unwritten();
    let io = FlakeIo::new(&fetcher, LocalIo::default(), pure);
    let arena = Bump::new();
    let settings = Settings {
        pure,
        ..Settings::default()
    };
    let mut evaluator = Evaluator::new(&arena, &io, settings);
    install_get_flake(&mut evaluator, &fetcher, pure);
    let result = locked
        .evaluate(&mut evaluator, &store_dir)
        .and_then(|flake| {
            let name = evaluator.symbols().intern(attr.as_bytes());
            let Value::Attrs(attrs) = flake else {
                panic!("a flake is a set");
            };
            let value = attrs.get(name).expect("the attribute").value.share();
            let value = evaluator.force(value, PosIdx::NONE)?;
            let mut context = ContextBuilder::default();
            evaluator.to_json(value, JsonOptions::TO_JSON, &mut context)
        });
    match result {
        Ok(json) => Ok(String::from_utf8(json).expect("UTF-8")),
        Err(error) => Err(error.report(evaluator.positions(), false)),
    }
}

fn check(name: &str, world: &World, reference: &str) -> serde_json::Value {
    let ours = eval(world, reference, "x", true).unwrap_or_else(|error| panic!("{name}: {error}"));
    let ours: serde_json::Value = serde_json::from_str(&ours).expect("JSON");
    if let Some(oracle) = oracle() {
        let nix = world.nix(
            &oracle,
            &[
                "eval",
                "--no-write-lock-file",
                "--json",
                &format!("{reference}#x"),
            ],
        );
        let nix = nix.unwrap_or_else(|error| panic!("{name}: {error}"));
        let nix: serde_json::Value = serde_json::from_str(&nix).expect("JSON");
        assert_eq!(ours, nix, "{name}: ours (left) is not Nix's (right)");
    }
    ours
}

/// All that an expression can see of a flake, as JSON can show it.
const SEE: &str = "see = flake: builtins.mapAttrs (n: v: if n == \"inputs\" then builtins.attrNames v else if n == \"sourceInfo\" then builtins.mapAttrs (_: toString) v else if builtins.isAttrs v || builtins.isFunction v then null else toString v) (removeAttrs flake [ \"outPath\" ]) // { path = \"${flake}\"; names = builtins.attrNames flake; };";

#[test]
fn a_flake_sees_itself_and_its_inputs() {
    let world = World::new();
    world
        .write(
            "n/flake.nix",
            "{ outputs = { self }: { v = \"n\"; file = builtins.readFile ./data; }; }",
        )
        .write("n/data", "data")
        .settle("n");
    world.write("a/flake.nix", "{ inputs.n.url = \"path:@/n\"; outputs = { self, n }: { v = \"a\" + n.v; inherit n; }; }").commit("a");
    world.write("data/x", "x").settle("data");
    world.write(
        "top/flake.nix",
        &format!(
            "{{ inputs.a.url = \"git+file://@/a\"; inputs.n.follows = \"a/n\"; inputs.data = {{ url = \"path:@/data\"; flake = false; }}; inputs.rel.url = \"path:./rel\";
               outputs = {{ self, a, n, data, rel }}: let {SEE} in {{ x = {{
                 v = [ a.v n.v n.file rel.v (builtins.readFile (data + \"/x\")) (builtins.readFile \"${{data}}/x\") ];
                 self = see self; a = see a; n = see n; data = see data; rel = see rel;
                 type = self._type; same = n == a.n; dir = builtins.readDir ./.; copy = \"${{./rel}}\"; filtered = builtins.path {{ path = ./.; name = \"f\"; filter = p: t: baseNameOf p != \"rel\"; }};
               }}; }}; }}"
        ),
    );
    world
        .write(
            "top/rel/flake.nix",
            "{ outputs = { self }: { v = \"rel \" + self.outPath; }; }",
        )
        .commit("top");
    check("clean", &world, "git+file://@/top");
    world.write("top/untracked", "").write("top/rel/new", "");
    let ours = check("clean, with untracked files", &world, "git+file://@/top");
    assert_eq!(ours["dir"].get("untracked"), None);
    world
        .write("top/rel/new", "")
        .git("top", &["add", "rel/new"]);
    check("dirty", &world, "git+file://@/top");
    world
        .write(
            "top/sub/flake.nix",
            &format!("{{ outputs = {{ self }}: let {SEE} in {{ x = see self; }}; }}"),
        )
        .git("top", &["add", "sub"]);
    check("folder", &world, "git+file://@/top?dir=sub");
    check("path folder", &world, "path:@/top?dir=sub");
}

#[test]
fn written_locks_leave_a_commit_clean() {
    let world = World::new();
    world
        .write("n/flake.nix", "{ outputs = _: { v = 1; }; }")
        .settle("n");
    world.write("top/flake.nix", &format!("{{ inputs.n.url = \"path:@/n\"; outputs = {{ self, n }}: let {SEE} in {{ x = see self; }}; }}"));
    let fetcher = world.fetcher();
    world.commit("top");
    let read = |place: &Place| read_flake_nix(place, &StoreDir::default());
    let options = LockOptions::default();
    let locked = lock(
        &fetcher,
        &read,
        &world.reference("git+file://@/top"),
        &options,
    )
    .expect("a lock");
    let written = locked
        .write(&fetcher, &read, &options)
        .expect("a written lock");
    assert_eq!(written.written, Some(world.path("top/flake.lock")));
    assert!(!written.locked.is_changed());
    let dirty = check("written", &world, "git+file://@/top");
    assert!(dirty["dirtyRev"].is_string());
    world.commit("top");
    let clean = check("committed", &world, "git+file://@/top");
    assert!(clean["rev"].is_string());
}

#[test]
fn flakes_are_fetched_from_within_an_evaluation() {
    let world = World::new();
    world
        .write(
            "n/flake.nix",
            "{ outputs = { self }: { v = self.narHash; }; }",
        )
        .write("n/f", "f")
        .commit("n");
    let locked = world
        .lock("git+file://@/n", &support::Change::default())
        .expect("a lock");
    let rev = locked
        .flake
        .locked
        .input
        .rev()
        .expect("a commit")
        .expect("a commit");
    let hash = locked
        .flake
        .locked
        .input
        .attrs()
        .string("narHash")
        .expect("a hash")
        .expect("a hash")
        .to_owned();
    world.write("top/flake.nix", &format!("{{ outputs = _: {{ x = {{
        flake = (builtins.getFlake \"git+file://@/n?rev={rev}\").v;
        git = builtins.mapAttrs (_: toString) (removeAttrs (builtins.fetchGit {{ url = \"file://@/n\"; rev = \"{rev}\"; name = \"named\"; }}) [ \"outPath\" ]);
        gitPath = \"${{builtins.fetchGit {{ url = \"file://@/n\"; rev = \"{rev}\"; name = \"named\"; }}}}\";
        tree = builtins.readFile (builtins.fetchTree {{ type = \"git\"; url = \"file://@/n\"; rev = \"{rev}\"; narHash = \"{hash}\"; }} + \"/f\");
      }}; }}; }}"));
    check("fetch", &world, "path:@/top");
}

#[test]
fn pure_evaluation_refuses_what_is_not_locked() {
    let world = World::new();
    world.write("secret", "s");
    let error = |outputs: &str| {
        world.write(
            "top/flake.nix",
            &format!("{{ outputs = _: {{ x = {outputs}; }}; }}"),
        );
        let error = eval(&world, "path:@/top", "x", true).expect_err("an error");
        error.lines().last().unwrap_or_default().trim().to_owned()
    };
    let outside = world.path("secret").display().to_string();
    assert_eq!(
        error(&format!("builtins.readFile {outside}")),
        format!(
            "error: access to absolute path '{outside}' is forbidden in pure evaluation mode (use '--impure' to override)"
        )
    );
    let root = world.root().display().to_string();
    assert_eq!(
        error("builtins.fetchTree { type = \"path\"; path = \"@/top\"; }"),
        format!(
            "error: in pure evaluation mode, 'fetchTree' doesn't fetch unlocked input 'path:{root}/top'"
        )
    );
}

/// What Nix 2.34 says, but for the list of the store, which it refuses.
#[test]
fn pure_evaluation_sees_nothing_of_the_machine_above_the_store() {
    let world = World::new();
    let value = |expression: &str| {
        world.write(
            "top/flake.nix",
            &format!("{{ outputs = _: {{ x = {expression}; }}; }}"),
        );
        eval(&world, "path:@/top", "x", true)
    };
    for (expression, expected) in [
        ("builtins.readDir \"/\"", "{}"),
        ("builtins.readFileType \"/\"", "\"directory\""),
        ("builtins.pathExists \"/\"", "true"),
        ("builtins.pathExists \"/nix\"", "false"),
        ("builtins.pathExists \"/n\"", "false"),
        ("builtins.readDir \"/nix/store\"", "{}"),
        ("builtins.pathExists \"/nix/store\"", "true"),
    ] {
        assert_eq!(value(expression).as_deref(), Ok(expected), "{expression}");
    }
    let error = |expression: &str| value(expression).expect_err("an error");
    let absent = error("builtins.readDir \"/nix\"");
    assert!(absent.contains("'/nix'"), "{absent}");
    for path in ["/n", "/ni", "/nix/stor", "/etc"] {
        let error = error(&format!("builtins.readDir \"{path}\""));
        let expected = format!("access to absolute path '{path}' is forbidden");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_flake_that_git_does_not_know_is_not_there() {
    let world = World::new();
    world
        .write("top/README", "")
        .commit("top")
        .write("top/flake.nix", "{ outputs = _: { x = 1; }; }");
    let error = eval(&world, "git+file://@/top", "x", true).expect_err("an error");
    let root = world.path("top").display().to_string();
    assert_eq!(
        error,
        format!(
            "Path 'flake.nix' in the repository \"{root}\" is not tracked by Git.\n\nTo make it visible to Nix, run:\n\ngit -C \"{root}\" add \"flake.nix\""
        )
    );
}

#[test]
fn messages_name_files_where_the_user_has_them() {
    let world = World::new();
    world
        .write(
            "top/flake.nix",
            "{ outputs = _: { x = throw \"no\"; y = import ./extra.nix; z = import ./none.nix; }; }",
        )
        .commit("top")
        .write("top/extra.nix", "1");
    let root = world.path("top").display().to_string();
    let error = |reference: &str, attr| eval(&world, reference, attr, true).expect_err("an error");
    for reference in ["git+file://@/top", "path:@/top"] {
        let error = error(reference, "x");
        let place = format!("at {root}/flake.nix:1:22:");
        assert!(
            error.contains(&place) && !error.contains("/nix/store"),
            "{error}"
        );
    }
    let untracked = error("git+file://@/top", "y");
    let help = format!("git -C \"{root}\" add \"extra.nix\"");
    assert!(untracked.contains(&help), "{untracked}");
    let missing = error("git+file://@/top", "z");
    let expected = format!("path '{root}/none.nix' does not exist");
    assert!(missing.contains(&expected), "{missing}");
    let commit = error("git+file://@/top?ref=HEAD", "y");
    let expected = format!("path '«git+file://{root}?ref=HEAD&rev=");
    assert!(
        commit.contains(&expected) && commit.contains("»/extra.nix' does not exist"),
        "{commit}"
    );
    assert!(!commit.contains("narHash"), "{commit}");
}
