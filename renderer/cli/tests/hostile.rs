//! Programs that want to bring the evaluator down: an error that says what is wrong and where, in bounded time and memory.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What the shell lets each program have: address space, which is large since stacks are, and processor time.
const LIMITS: &str = "ulimit -v 6000000; ulimit -t 60; exec \"$@\"";
/// Even the slowest build of the slowest machine needs less for what is bounded by `--eval-timeout 5`.
const MOST: Duration = Duration::from_secs(40);

fn niphas(args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", LIMITS, "sh", env!("CARGO_BIN_EXE_niphas")]);
    command.args(args).env_clear().env("NO_COLOR", "1");
    command.env("HOME", "/nonexistent");
    command
}

fn run(command: &mut Command) -> (Output, String) {
    let start = Instant::now();
    let output = command.output().unwrap();
    assert!(
        start.elapsed() < MOST,
        "it took {:?}: {command:?}",
        start.elapsed()
    );
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, stderr)
}

/// The program fails with this message, and, if `place` is given, says that it was there.
fn fails(program: &str, message: &str, place: &str) {
    let seconds = if message == TIME { "5" } else { "30" };
    let limits = ["--eval-memory", "256", "--eval-timeout", seconds];
    let args = [&["eval", "--expr", program][..], &limits].concat();
    let (output, stderr) = run(&mut niphas(&args));
    let shown: String = program.chars().take(200).collect();
    assert_eq!(output.status.code(), Some(1), "{shown}\n{stderr}");
    assert!(
        stderr.contains(message),
        "{shown}\nwanted: {message}\ngot: {stderr}"
    );
    assert!(
        stderr.contains(place),
        "{shown}\nwanted: {place}\ngot: {stderr}"
    );
}

const INFINITE: &str = "infinite recursion encountered";
const DEPTH: &str = "stack overflow; max-call-depth exceeded";
const MEMORY: &str = "the evaluation needs more memory than 256 MiB, the most that it may have";
const TIME: &str = "the evaluation took longer than 5 s, the most that it may";

#[test]
fn recursion_without_an_end_is_told() {
    for (program, message) in [
        ("let f = x: f x; in f 1", DEPTH),
        ("let f = x: 1 + f x; in f 1", DEPTH),
        ("let f = { a }: f { inherit a; }; in f { a = 1; }", DEPTH),
        ("let x = x; in x", INFINITE),
        ("let x = y; y = x; in x", INFINITE),
        ("rec { a = b; b = a; }.a", INFINITE),
        ("let s = { a = s.a; }; in s.a", INFINITE),
        ("let x = { a = x; }; in builtins.toJSON x", DEPTH),
        ("let x = [ x ]; in builtins.toJSON x", DEPTH),
        ("let x = [ x ]; in builtins.toXML x", DEPTH),
        ("let x = [ x ]; in toString x", DEPTH),
        ("let x = { __toString = _: x; }; in toString x", DEPTH),
        ("let x = { outPath = x; }; in \"${x}\"", DEPTH),
        ("let x = { __functor = x; }; in x 1", DEPTH),
        ("let f = self: { __functor = f self; }; in f 1 1", DEPTH),
        ("let a = [ a ]; b = [ b ]; in a == b", DEPTH),
        ("let a = { x = a; }; b = { x = b; }; in a == b", DEPTH),
        ("let a = [ a ]; b = [ b ]; in a < b", DEPTH),
        (
            "let f = n: [ (f (n + 1)) ]; in builtins.deepSeq (f 0) 1",
            DEPTH,
        ),
        (
            "let f = n: { a = f (n + 1); }; in builtins.toJSON (f 0)",
            DEPTH,
        ),
        ("let f = n: [ (f (n + 1)) ]; in f 0 == f 0", DEPTH),
        (
            "builtins.foldl' (f: _: (x: f x)) (x: x) (builtins.genList (x: x) 100000) 1",
            DEPTH,
        ),
        (
            "builtins.foldl' (a: _: [ a ]) [ ] (builtins.genList (x: x) 100000)",
            DEPTH,
        ),
        (
            "(builtins.foldl' (a: _: { x = a; }) { } (builtins.genList (x: x) 100000))",
            DEPTH,
        ),
        ("let f = x: builtins.tryEval (f x); in f 1", DEPTH),
        (
            "let f = x: builtins.map f [ x ]; in builtins.deepSeq (f 1) 1",
            DEPTH,
        ),
        (
            "let f = x: builtins.addErrorContext \"${toString x}\" (f (x + 1)); in f 1",
            DEPTH,
        ),
        (
            "builtins.sort (a: b: builtins.sort (c: d: (let f = x: f x; in f 1)) [ 1 2 ] == [ ]) [ 1 2 ]",
            DEPTH,
        ),
        (
            "let x = derivation { name = \"x\"; system = \"s\"; builder = x; }; in x.drvPath",
            INFINITE,
        ),
    ] {
        fails(program, message, "");
    }
    fails(
        "let\n  f = x:\n    1 + f x;\nin f 1",
        DEPTH,
        "at «string»:3:9:",
    );
    fails("let\n  x = y; y = x; in x", INFINITE, "at «string»:2:");
}

#[test]
fn more_memory_than_there_is_is_refused() {
    for program in [
        "builtins.length (builtins.genList (x: x) 4000000000)",
        "builtins.foldl' (a: _: a + a) \"x\" (builtins.genList (x: x) 60)",
        "builtins.foldl' (a: _: \"${a}${a}\") \"x\" (builtins.genList (x: x) 60)",
        "builtins.length (builtins.foldl' (a: _: a ++ a) [ 1 ] (builtins.genList (x: x) 60))",
        "builtins.length (builtins.foldl' (a: _: builtins.concatLists [ a a ]) [ 1 ] (builtins.genList (x: x) 60))",
        "builtins.length (builtins.foldl' (a: _: builtins.concatMap (x: a) [ 1 2 3 ]) [ 1 ] (builtins.genList (x: x) 60))",
        "builtins.stringLength (builtins.foldl' (a: _: builtins.replaceStrings [ \"x\" ] [ \"xxxx\" ] a) \"x\" (builtins.genList (x: x) 60))",
        "builtins.stringLength (builtins.foldl' (a: _: builtins.concatStringsSep \"-\" [ a a a ]) \"x\" (builtins.genList (x: x) 60))",
        "builtins.stringLength (toString (builtins.foldl' (a: _: [ a a ]) \"x\" (builtins.genList (x: x) 60)))",
        "builtins.stringLength (builtins.toJSON (builtins.foldl' (a: _: [ a a ]) \"x\" (builtins.genList (x: x) 60)))",
        "builtins.stringLength (builtins.toXML (builtins.foldl' (a: _: [ a a ]) \"x\" (builtins.genList (x: x) 60)))",
        "let f = n: l: f (n + 1) ([ n ] ++ l); go = builtins.foldl' (a: n: [ n ] ++ a) [ ] (builtins.genList (x: x) 1000000); in builtins.length go",
        "builtins.length (builtins.attrNames (builtins.listToAttrs (builtins.genList (x: { name = toString x; value = x; }) 10000000)))",
        "builtins.length (builtins.genericClosure { startSet = [ { key = 0; } ]; operator = x: [ { key = x.key + 1; } ]; })",
        "builtins.foldl' (a: n: a // { ${toString n} = n; }) { } (builtins.genList (x: x) 20000000)",
    ] {
        fails(program, MEMORY, "");
    }
    let program = "let\n  double = a: a + a;\nin builtins.foldl' (a: _: double a) \"x\" (builtins.genList (x: x) 60)";
    fails(program, MEMORY, "at «string»:2:17:");
}

#[test]
fn what_does_not_end_in_time_is_ended() {
    for program in [
        // Nothing grows.
        "let f = n: if n == 0 then 0 else f (n - 1) + f (n - 1); in f 60",
        "let l = builtins.genList (x: x) 10000; in builtins.all (x: builtins.all (y: builtins.all (z: true) l) l) l",
        // A value is shared, but comparing it is not.
        "let pair = a: [ a a ]; f = n: if n == 0 then [ 1 ] else pair (f (n - 1)); g = n: if n == 0 then [ 1 ] else [ (g (n - 1)) (g (n - 1)) ]; in f 50 == f 50 && g 50 == [ ]",
        // Many patterns, a long text.
        "let l = builtins.genList (x: \"a\" + toString x) 20000; t = builtins.concatStringsSep \"\" (builtins.genList (x: \"aaaaaaaaaa\") 200000); in builtins.stringLength (builtins.replaceStrings l l t)",
        // Equal long strings in a list that is sorted.
        "let s = builtins.concatStringsSep \"\" (builtins.genList (x: \"aaaaaaaaaa\") 1000000); l = builtins.genList (x: s) 100000; in builtins.length (builtins.sort builtins.lessThan l)",
    ] {
        fails(program, TIME, "");
    }
}

#[test]
fn deep_nesting_is_refused_or_done() {
    let deep =
        |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
    let folder = TempDir::new().unwrap();
    for (name, source, message) in [
        (
            "parentheses",
            deep("(", ")", 1_000_000),
            "nested too deeply",
        ),
        ("lists", deep("[", "]", 1_000_000), "nested too deeply"),
        ("sets", deep("{a=", ";}", 1_000_000), "nested too deeply"),
        (
            "lets",
            deep("let a=", "; in a", 300_000),
            "nested too deeply",
        ),
        ("functions", deep("x: ", "", 1_000_000), "nested too deeply"),
        ("negations", deep("!", "", 1_000_000), "nested too deeply"),
        ("strings", deep("\"${", "}\"", 300_000), "nested too deeply"),
        (
            "ifs",
            deep("if true then ", " else 2", 300_000),
            "nested too deeply",
        ),
    ] {
        let file = folder.path().join(format!("{name}.nix"));
        fs::write(&file, source).unwrap();
        let (output, stderr) = run(&mut niphas(&["eval", "--file", file.to_str().unwrap()]));
        assert_eq!(output.status.code(), Some(1), "{name}: {stderr}");
        assert!(
            stderr.contains(message),
            "{name}: {}",
            &stderr[..stderr.len().min(2000)]
        );
    }
    let quoted = |text: &str| format!("''{text}''");
    for (program, message) in [
        (
            format!("builtins.fromJSON {}", quoted(&deep("[", "]", 100_000))),
            DEPTH,
        ),
        (
            format!(
                "builtins.fromJSON {}",
                quoted(&deep("{\"a\":", "}", 100_000))
            ),
            DEPTH,
        ),
        (
            format!(
                "builtins.fromTOML {}",
                quoted(&format!("a = {}", deep("[", "]", 100_000)))
            ),
            "nest",
        ),
        (
            format!("builtins.match {} \"x\"", quoted(&deep("(", ")", 100_000))),
            "regular expression",
        ),
        (
            format!(
                "builtins.match {} \"x\"",
                quoted("((((a{1,99}){1,99}){1,99}){1,99}){1,99}")
            ),
            "regular expression",
        ),
    ] {
        let file = folder.path().join("program.nix");
        fs::write(&file, &program).unwrap();
        let (output, stderr) = run(&mut niphas(&["eval", "--file", file.to_str().unwrap()]));
        let shown: String = program.chars().take(60).collect();
        assert_eq!(output.status.code(), Some(1), "{shown}: {stderr}");
        assert!(
            stderr.contains(message),
            "{shown}: {}",
            &stderr[..stderr.len().min(2000)]
        );
    }
}

/// Traps for matchers that backtrack: an answer, or an error, in time.
#[test]
fn regular_expressions_take_no_exponential_time() {
    for (pattern, text) in [
        ("(a*)*b", "a"),
        ("(a|a)*b", "a"),
        ("(a|aa)+b", "a"),
        ("(.*)*(.*)*(.*)*x", "a"),
        ("([a-z]+)*[0-9]", "a"),
        ("(a?){50}a{50}b", "a"),
    ] {
        let program = format!(
            "builtins.match \"{pattern}\" (builtins.concatStringsSep \"\" (builtins.genList (x: \"{text}\") 30000))"
        );
        let (output, stderr) = run(&mut niphas(&["eval", "--expr", &program]));
        let answered = output.status.success() && output.stdout == b"null\n";
        let refused = output.status.code() == Some(1)
            && stderr.contains("memory limit exceeded by regular expression");
        assert!(answered || refused, "{pattern}: {output:?}");
    }
}

#[test]
fn names_that_are_long_and_alike_are_compared_in_linear_time() {
    let program = "let long = c: builtins.concatStringsSep \"\" (builtins.genList (x: \"ab\") 500000) + c; in { ${long \"x\"} = 1; }.${long \"y\"}";
    fails(program, "missing", "at «string»:1:");
}

/// A flake in a folder of its own.
struct Flake {
    folder: TempDir,
}

impl Flake {
    fn new(outputs: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let flake = format!("{{ outputs = {{ self }}: {{ x = {outputs}; }}; }}");
        fs::create_dir(folder.path().join("flake")).unwrap();
        fs::write(folder.path().join("flake/flake.nix"), flake).unwrap();
        fs::write(folder.path().join("secret"), "SECRET\n").unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn eval(&self, more: &[&str]) -> (Output, String) {
        let reference = format!("path:{}#x", self.path("flake").display());
        let mut args = vec!["eval", "--json", &reference];
        args.extend(more);
        let mut command = niphas(&args);
        command
            .env("NIPHAS_CACHE_DIR", self.path("cache"))
            .env("TOKEN", "SECRET");
        run(&mut command)
    }

    fn is_refused(&self, more: &[&str], message: &str) {
        let (output, stderr) = self.eval(more);
        let all = [&output.stdout[..], &output.stderr].concat();
        assert!(
            !String::from_utf8_lossy(&all).contains("SECRET"),
            "{output:?}"
        );
        let flake = fs::read_to_string(self.path("flake/flake.nix")).unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{flake}: {output:?}");
        assert!(stderr.contains(message), "wanted: {message}\ngot: {stderr}");
    }
}

#[test]
fn a_flake_sees_nothing_outside_of_itself() {
    let forbidden = "is forbidden in pure evaluation mode";
    let outside = |name: &str, target: &Path| {
        let flake = Flake::new(&format!("builtins.readFile ./{name}"));
        symlink(target, flake.path("flake").join(name)).unwrap();
        flake
    };
    outside("link", Path::new("../secret")).is_refused(&[], "");
    outside("link", Path::new("../../../../../../../../etc/passwd")).is_refused(&[], forbidden);
    outside("link", Path::new("/etc/passwd")).is_refused(&[], forbidden);

    let flake = Flake::new("builtins.readFile ./folder/passwd");
    symlink("/etc", flake.path("flake/folder")).unwrap();
    flake.is_refused(&[], forbidden);

    let flake = Flake::new("import ./link");
    symlink(flake.path("secret"), flake.path("flake/link")).unwrap();
    flake.is_refused(&[], forbidden);

    let flake = Flake::new("builtins.readDir ./link");
    symlink("/etc", flake.path("flake/link")).unwrap();
    flake.is_refused(&[], forbidden);

    let flake = Flake::new("\"${./link/passwd}\"");
    symlink("/etc", flake.path("flake/link")).unwrap();
    flake.is_refused(&[], forbidden);

    for expression in [
        "builtins.readFile /etc/passwd",
        "builtins.readFile ../secret",
        "builtins.readFile (./. + \"/../../../etc/passwd\")",
        "import /etc/passwd",
        "builtins.path { path = /etc; }",
        "builtins.filterSource (_: _: true) /etc",
        "builtins.readDir /",
        "builtins.hashFile \"sha256\" /etc/passwd",
        "builtins.fetchTree { type = \"path\"; path = \"/etc\"; }",
        "builtins.fetchGit \"/etc\"",
        "builtins.fetchurl \"file:///etc/passwd\"",
        "builtins.fetchTarball \"file:///etc/passwd\"",
        "builtins.getFlake \"path:/etc\"",
        "builtins.storePath /etc/passwd",
        "builtins.findFile [ { prefix = \"x\"; path = \"/etc\"; } ] \"x/passwd\"",
        "builtins.readFile (import (builtins.toFile \"x\" \"/etc/passwd\"))",
    ] {
        Flake::new(expression).is_refused(&[], "");
    }
    for (expression, value) in [
        ("builtins.getEnv \"TOKEN\"", "\"\""),
        ("builtins.pathExists /etc/passwd", "false"),
        (
            "builtins ? currentSystem || builtins ? currentTime",
            "false",
        ),
        ("builtins ? exec || builtins ? importNative", "false"),
        ("builtins.nixPath", "[]"),
    ] {
        let (output, stderr) = Flake::new(expression).eval(&[]);
        assert!(output.status.success(), "{expression}: {stderr}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim_end(),
            value,
            "{expression}"
        );
    }
}

#[test]
fn the_files_of_a_flake_may_not_be_links_to_elsewhere() {
    for name in ["flake.lock", "flake.nix"] {
        let flake = Flake::new("1");
        let _ = fs::remove_file(flake.path("flake").join(name));
        symlink("../secret", flake.path("flake").join(name)).unwrap();
        flake.is_refused(&[], "outside");
    }
}

#[test]
fn fetching_goes_only_where_it_may() {
    let fetch = |url: &str| {
        let hash = "0000000000000000000000000000000000000000000000000000";
        Flake::new(&format!(
            "builtins.fetchurl {{ url = \"{url}\"; sha256 = \"{hash}\"; }}"
        ))
    };
    let allowed = ["--allow-uri", "https://allowed.example/a"];
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "https://allowed.example.evil.example/a",
        "https://allowed.example/ab",
        "file:///etc/passwd",
    ] {
        fetch(url).is_refused(&allowed, &format!("access to URI '{url}' is forbidden"));
    }
    let flake = Flake::new(
        "builtins.fetchTree { type = \"git\"; url = \"file:///etc\"; rev = \"0123456789012345678901234567890123456789\"; }",
    );
    flake.is_refused(&allowed, "is forbidden");
}
