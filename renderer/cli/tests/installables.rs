//! Outputs of flakes in the place of store paths: `niphas cache … .#x`.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up is to fail"
)]

mod support;

use std::fs;

use support::ExampleFolder;

struct Example {
    folder: ExampleFolder,
    flake: String,
}

impl Example {
    fn new() -> Self {
        let folder = ExampleFolder::new("source");
        let outputs = r#"
      several = derivation {
        name = "several";
        system = "x86_64-linux";
        builder = "builtin:fetchurl";
        outputs = [ "out" "dev" "man" ];
      };
      installed = outputs.several // { meta.outputsToInstall = [ "dev" "man" ]; };
      chosen = outputs.several.man // { outputSpecified = true; };
      text = builtins.toFile "text" "";
      path = ./site;
      number = 3;
      set.a = 1;
    "#;
        let file = folder.example("flake.nix");
        let flake = fs::read_to_string(&file).unwrap();
        let flake = flake.replacen(
            "    {\n      packages =",
            &format!("    let outputs = {{ {outputs} }}; in outputs // {{\n      packages ="),
            1,
        );
        fs::write(&file, flake).unwrap();
        let flake = format!("path:{}?dir=examples/hello", folder.source().display());
        Self { folder, flake }
    }

    /// The exit code of `niphas cache COMMAND`, and what it printed.
    fn cache(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = self.folder.niphas();
        command.arg("cache").args(args);
        command
            .args(["--cache", &self.folder.cache(), "--key-file"])
            .arg(self.folder.key());
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn at(&self, attribute: &str) -> String {
        format!("{}#{attribute}", self.flake)
    }

    fn eval(&self, attribute: &str) -> String {
        let mut command = self.folder.niphas();
        let output = command
            .args(["eval", "--raw", &self.at(attribute)])
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn packages_strings_and_environments_stand_for_store_paths() {
    let example = Example::new();
    let hello = example.eval("packages.x86_64-linux.hello");
    let (code, said) = example.cache(&["closure", &example.at("packages.x86_64-linux.hello")]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.split(' ').next(), Some(&*hello));
    let root = format!("niphasConfigurations.staging.roots.x86_64-linux.{}", {
        let drv = example.eval("packages.x86_64-linux.hello.drvPath");
        drv["/nix/store/".len()..]
            .replace(".drv", "")
            .replace('.', "_")
    });
    for same in [
        "niphasConfigurations.staging.workloads.status.x86_64-linux.package",
        &root,
    ] {
        assert_eq!(
            example.cache(&["closure", &example.at(same)]),
            (code, said.clone()),
            "{same}"
        );
    }
    // All at once, and each closure once: of one flake, and of paths beside it.
    let (code, all) = example.cache(&["closure", &example.at("niphasConfigurations.staging")]);
    assert_eq!(code, Some(0), "{all}");
    let again = [
        &example.at("packages.x86_64-linux.hello"),
        &hello,
        &example.at("niphasConfigurations.staging"),
    ];
    assert_eq!(
        example.cache(&["closure", again[0], again[1], again[2]]).1,
        all
    );
    assert_eq!(all.lines().count(), 8, "{all}");
    let (site, hello) = (
        example.at("packages.x86_64-linux.hello-site"),
        example.at("packages.x86_64-linux.hello"),
    );
    assert_eq!(example.cache(&["why-depends", &site, &hello]).0, Some(0));
    assert_eq!(example.cache(&["why-depends", &hello, &site]).0, Some(1));
    assert_eq!(example.cache(&["diff", &hello, &hello]).0, Some(0));
    assert_eq!(example.cache(&["verify", &site]).0, Some(0));
    assert_eq!(example.cache(&["info", &site]).0, Some(0));
}

#[test]
fn outputs_are_chosen_as_nix_does() {
    let example = Example::new();
    for (attribute, expected) in [
        ("several", &["several"][..]),
        ("several^dev", &["several-dev"]),
        ("several^dev,out", &["several-dev", "several"]),
        ("several^*", &["several", "several-dev", "several-man"]),
        ("installed", &["several-dev", "several-man"]),
        ("installed^out", &["several"]),
        ("chosen", &["several-man"]),
        ("text", &["text"]),
        ("path", &["site"]),
    ] {
        // No cache has them, and that is said of each.
        let (code, said) = example.cache(&["closure", &example.at(attribute)]);
        let known = attribute == "path";
        assert_eq!(code, Some(i32::from(!known)), "{attribute}: {said}");
        for name in expected {
            assert!(
                said.contains(&format!("-{name}'")) || said.contains(&format!("-{name} ")),
                "{attribute}: {said}"
            );
        }
        let paths = said.matches("/nix/store/").count();
        assert!(paths >= expected.len(), "{attribute}: {said}");
        for other in ["several'", "several-dev'", "several-man'"] {
            let named = expected
                .iter()
                .any(|name| *name == other.trim_end_matches('\''));
            assert_eq!(
                said.contains(&format!("-{other}")),
                named,
                "{attribute}: {said}"
            );
        }
    }
    for (attribute, expected) in [
        ("several^nosuch", "has no output 'nosuch'; it has: "),
        ("text^out", "only derivations have outputs"),
        ("number", "cannot coerce an integer to a string"),
        (
            "set",
            "expected a derivation, a store path or an environment of niphas, found a set with the attributes a",
        ),
        ("nosuch", "does not provide attribute"),
    ] {
        let (code, said) = example.cache(&["closure", &example.at(attribute)]);
        assert_eq!(code, Some(1), "{attribute}");
        assert!(said.contains(expected), "{attribute}: {said}");
    }
    let (code, said) = example.cache(&["why-depends", &example.at("several^*"), "x"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("expected one store path, found 3"), "{said}");
}

#[test]
fn what_is_known_is_not_evaluated_again() {
    let example = Example::new();
    let said = |_| {
        let mut command = example.folder.niphas();
        command.args([
            "cache",
            "closure",
            &example.at("packages.x86_64-linux.hello"),
        ]);
        command
            .args(["--cache", &example.folder.cache(), "--key-file"])
            .arg(example.folder.key());
        let output = command.env("NIPHAS_LOG", "debug").output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let [first, second] = [1, 2].map(said);
    assert!(first.contains("0 answers known, 1 found"), "{first}");
    assert!(second.contains("1 answers known, 0 found"), "{second}");
}
