//! What Nix wants the outputs of a flake to be.

use std::collections::{BTreeMap, BTreeSet};

use nix_evaluator::{
    AttrRef, Attrs, Bool, Coercion, ContextBuilder, ErrorKind, EvalError, Evaluator, Origin,
    PosIdx, Result, Value,
};

use crate::failure::Failure;

/// No flake has so deep a set of jobs, but one that contains itself.
const MAX_DEPTH: usize = 100;

/// The check of a flake's outputs.
pub(super) struct Checks<'c, 'a> {
    evaluator: &'c mut Evaluator<'a>,
    /// The only system whose outputs are evaluated.
    system: Option<&'c str>,
    /// Report errors and go on.
    keep_going: bool,
    pub has_failed: bool,
    /// How many derivations were evaluated.
    pub derivations: usize,
    /// The paths of those in `checks`, with their attributes.
    pub builds: BTreeMap<String, String>,
    pub omitted: BTreeSet<String>,
}

/// Outputs of old flakes, and where they belong now.
const DEPRECATED: &[(&str, &str)] = &[
    ("defaultApp", "apps.<system>.default"),
    ("defaultBundler", "bundlers.<system>.default"),
    ("defaultPackage", "packages.<system>.default"),
    ("defaultTemplate", "templates.default"),
    ("devShell", "devShells.<system>.default"),
    ("nixosModule", "nixosModules.default"),
    ("overlay", "overlays.default"),
];
/// Outputs that others than Nix know: what is in them is not looked at.
const KNOWN: &[&str] = &[
    "darwinConfigurations",
    "darwinModules",
    "flakeModule",
    "flakeModules",
    "herculesCI",
    "homeConfigurations",
    "homeModule",
    "homeModules",
    "lib",
    "nixopsConfigurations",
    "niphasConfigurations",
];

#[expect(
    clippy::unnecessary_box_returns,
    reason = "the evaluator's results hold boxed errors"
)]
fn eval_error(message: impl Into<String>) -> Box<EvalError> {
    EvalError::new(ErrorKind::Eval, message)
}

impl<'c, 'a> Checks<'c, 'a> {
    pub(super) fn new(
        evaluator: &'c mut Evaluator<'a>,
        system: Option<&'c str>,
        keep_going: bool,
    ) -> Self {
        Self {
            evaluator,
            system,
            keep_going,
            has_failed: false,
            derivations: 0,
            builds: BTreeMap::new(),
            omitted: BTreeSet::new(),
        }
    }

    /// Checks all outputs; whether environments are among them.
    pub(super) fn check(&mut self, outputs: Value<'a>) -> Result<bool> {
        let mut has_environments = false;
        for (name, attr) in self.members(outputs, PosIdx::NONE)? {
            tracing::info!("checking flake output '{name}'...");
            has_environments |= name == "niphasConfigurations";
            if let Some((_, replacement)) = DEPRECATED.iter().find(|(old, _)| *old == name) {
                tracing::warn!(
                    "flake output attribute '{name}' is deprecated; use '{replacement}' instead"
                );
            }
            self.guarded(attr, &format!("flake output '{name}'"), |checks| {
                checks.output(&name, attr)
            })?;
        }
        Ok(has_environments)
    }

    /// Does a check. What fails has its place, and is reported at once where the others go on.
    fn guarded(
        &mut self,
        attr: AttrRef<'a>,
        what: &str,
        check: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let Err(error) = check(self) else {
            return Ok(());
        };
        let error = error.trace(attr.position, format!("while checking {what}"));
        if !self.keep_going || error.kind == ErrorKind::Limit {
            return Err(error);
        }
        let report = error.report_bytes(self.evaluator.positions(), true);
        Failure::Nix(report).report();
        self.has_failed = true;
        Ok(())
    }

    fn output(&mut self, name: &str, attr: AttrRef<'a>) -> Result<()> {
        let value = self.force(attr)?;
        match name {
            "checks" | "devShells" | "packages" => {
                self.each_of_system(name, value, attr.position, Self::derivation)
            }
            "apps" => self.each_of_system(name, value, attr.position, Self::app),
            "bundlers" => self.each_of_system(name, value, attr.position, Self::bundler),
            "defaultPackage" | "devShell" | "formatter" => {
                self.each_system(name, value, attr.position, Self::derivation)
            }
            "defaultApp" => self.each_system(name, value, attr.position, Self::app),
            "defaultBundler" => self.each_system(name, value, attr.position, Self::bundler),
            "legacyPackages" => self.each_system(name, value, attr.position, |_, _, _| Ok(())),
            "overlay" => self.overlay(name, attr),
            "nixosModule" => self.module(name, attr),
            "defaultTemplate" => self.template(name, attr),
            "overlays" => self.each(name, value, attr.position, Self::overlay),
            "nixosModules" => self.each(name, value, attr.position, Self::module),
            "templates" => self.each(name, value, attr.position, Self::template),
            "nixosConfigurations" => self.each(name, value, attr.position, Self::configuration),
            "hydraJobs" => self.jobs(name, attr, 0),
            name => {
                if !KNOWN.contains(&name) {
                    tracing::warn!("unknown flake output '{name}'");
                }
                Ok(())
            }
        }
    }

    /// Checks each attribute of a set.
    fn each(
        &mut self,
        path: &str,
        value: Value<'a>,
        position: PosIdx,
        check: impl Fn(&mut Self, &str, AttrRef<'a>) -> Result<()>,
    ) -> Result<()> {
        for (name, attr) in self.members(value, position)? {
            check(self, &format!("{path}.{name}"), attr)?;
        }
        Ok(())
    }

    /// Checks the attributes of a set that are for a system which counts.
    fn each_system(
        &mut self,
        path: &str,
        value: Value<'a>,
        position: PosIdx,
        check: impl Fn(&mut Self, &str, AttrRef<'a>) -> Result<()>,
    ) -> Result<()> {
        for (system, attr) in self.members(value, position)? {
            if !system.contains('-') {
                return Err(
                    eval_error(format!("'{system}' is not a valid system type")).at(attr.position)
                );
            }
            if self.system.is_none_or(|wanted| wanted == system) {
                check(self, &format!("{path}.{system}"), attr)?;
            } else {
                self.omitted.insert(system);
            }
        }
        Ok(())
    }

    /// Checks each attribute in the sets of the systems that count.
    fn each_of_system(
        &mut self,
        path: &str,
        value: Value<'a>,
        position: PosIdx,
        check: impl Fn(&mut Self, &str, AttrRef<'a>) -> Result<()>,
    ) -> Result<()> {
        self.each_system(path, value, position, |checks, path, attr| {
            let value = checks.force(attr)?;
            checks.each(path, value, attr.position, &check)
        })
    }

    fn derivation(&mut self, path: &str, attr: AttrRef<'a>) -> Result<()> {
        tracing::info!("checking derivation {path}...");
        self.guarded(attr, &format!("the derivation '{path}'"), |checks| {
            let value = checks.force(attr)?;
            let Some(attrs) = checks.derivation_attrs(value)? else {
                return Err(eval_error(format!(
                    "flake attribute '{path}' is not a derivation"
                )));
            };
            if checks.evaluator.find_attr(attrs, "name").is_none() {
                return Err(eval_error("derivation name missing"));
            }
            if let Some(attr) = checks.evaluator.find_attr(attrs, "drvPath") {
                let what = "while evaluating the 'drvPath' attribute of a derivation";
                let derivation = checks.path(attr, what)?;
                tracing::info!("derivation evaluated to {derivation}");
                if path.starts_with("checks.") {
                    checks.builds.insert(derivation, path.to_owned());
                }
            }
            checks.derivations += 1;
            Ok(())
        })
    }

    fn app(&mut self, path: &str, attr: AttrRef<'a>) -> Result<()> {
        tracing::info!("checking app '{path}'...");
        self.guarded(attr, &format!("the app definition '{path}'"), |checks| {
            let value = checks.force(attr)?;
            let attrs = checks.evaluator.expect_attrs(value, attr.position, "")?;
            let lacks = |name: &str| format!("app '{path}' lacks attribute '{name}'");
            for name in ["type", "program"] {
                if checks.evaluator.find_attr(attrs, name).is_none() {
                    return Err(eval_error(lacks(name)));
                }
            }
            match checks.evaluator.find_attr(attrs, "meta") {
                None => tracing::warn!("{}", lacks("meta")),
                Some(meta) => {
                    let value = checks.force(meta)?;
                    let meta = checks.evaluator.expect_attrs(value, meta.position, "")?;
                    match checks.evaluator.find_attr(meta, "description") {
                        None => tracing::warn!("{}", lacks("meta.description")),
                        Some(attr) => drop(checks.string(attr)?),
                    }
                }
            }
            checks.only(attrs, "app", path, &["type", "program", "meta"])?;
            if let Some(attr) = checks.evaluator.find_attr(attrs, "program") {
                checks.string(attr)?;
            }
            Ok(())
        })
    }

    fn bundler(&mut self, path: &str, attr: AttrRef<'a>) -> Result<()> {
        tracing::info!("checking bundler '{path}'...");
        self.guarded(attr, &format!("the bundler '{path}'"), |checks| {
            let value = checks.force(attr)?;
            if checks
                .evaluator
                .expect_function(value, attr.position, "")
                .is_err()
            {
                return Err(eval_error("bundler must be a function"));
            }
            Ok(())
        })
    }

    fn overlay(&mut self, path: &str, attr: AttrRef<'a>) -> Result<()> {
        tracing::info!("checking overlay '{path}'...");
        self.guarded(attr, &format!("the overlay '{path}'"), |checks| {
            let value = checks.force(attr)?;
            if !matches!(value, Value::Lambda(_)) {
                let kind = checks.evaluator.describe_type(value);
                return Err(eval_error(format!(
                    "overlay is not a function, but {kind} instead"
                )));
            }
            if checks.evaluator.parameter_name(value).as_deref() != Some("final") {
                return Err(eval_error(
                    "overlay does not take an argument named 'final'",
                ));
            }
            Ok(())
        })
    }

    fn module(&mut self, path: &str, attr: AttrRef<'a>) -> Result<()> {
        tracing::info!("checking NixOS module '{path}'...");
        self.guarded(attr, &format!("the NixOS module '{path}'"), |checks| {
            checks.force(attr).map(drop)
        })
    }

    fn template(&mut self, path: &str, attr: AttrRef<'a>) -> Result<()> {
        tracing::info!("checking template '{path}'...");
        self.guarded(attr, &format!("the template '{path}'"), |checks| {
            let value = checks.force(attr)?;
            let attrs = checks.evaluator.expect_attrs(value, attr.position, "")?;
            for name in ["path", "description"] {
                let Some(attr) = checks.evaluator.find_attr(attrs, name) else {
                    return Err(eval_error(format!(
                        "template '{path}' lacks attribute '{name}'"
                    )));
                };
                if name == "path" {
                    checks.existing_path(path, attr)?;
                } else {
                    checks.string(attr)?;
                }
            }
            checks.only(
                attrs,
                "template",
                path,
                &["path", "description", "welcomeText"],
            )
        })
    }

    fn configuration(&mut self, path: &str, attr: AttrRef<'a>) -> Result<()> {
        const TOP_LEVEL: &str = "config.system.build.toplevel";
        tracing::info!("checking NixOS configuration '{path}'...");
        self.guarded(
            attr,
            &format!("the NixOS configuration '{path}'"),
            |checks| {
                let value = checks.force(attr)?;
                let none = Attrs::empty(checks.evaluator.arena());
                let top_level = checks.evaluator.select(TOP_LEVEL, none, value)?;
                if checks.derivation_attrs(top_level)?.is_none() {
                    return Err(eval_error(format!(
                        "attribute '{TOP_LEVEL}' is not a derivation"
                    )));
                }
                Ok(())
            },
        )
    }

    fn jobs(&mut self, path: &str, attr: AttrRef<'a>, depth: usize) -> Result<()> {
        tracing::info!("checking Hydra job '{path}'...");
        self.guarded(attr, &format!("the Hydra jobset '{path}'"), |checks| {
            if depth > MAX_DEPTH {
                return Err(eval_error(format!("'{path}' is nested too deeply")));
            }
            let value = checks.force(attr)?;
            let attrs = checks.evaluator.expect_attrs(value, attr.position, "")?;
            if checks.derivation_attrs(Value::Attrs(attrs))?.is_some() {
                return Err(eval_error("jobset should not be a derivation at top-level"));
            }
            for (name, attr) in checks.members(value, attr.position)? {
                let path = format!("{path}.{name}");
                let value = checks.force(attr)?;
                if checks.derivation_attrs(value)?.is_some() {
                    checks.derivation(&path, attr)?;
                } else {
                    checks.jobs(&path, attr, depth + 1)?;
                }
            }
            Ok(())
        })
    }

    /// Fails if a set has other attributes.
    fn only(&mut self, attrs: &'a Attrs<'a>, kind: &str, path: &str, known: &[&str]) -> Result<()> {
        for attr in self.evaluator.sorted_attrs(attrs) {
            let name = self.evaluator.symbol_text(attr.name);
            if !known.contains(&name.as_str()) {
                return Err(eval_error(format!(
                    "{kind} '{path}' has unsupported attribute '{name}'"
                )));
            }
        }
        Ok(())
    }

    /// The attributes of a derivation; none of anything else.
    fn derivation_attrs(&mut self, value: Value<'a>) -> Result<Option<&'a Attrs<'a>>> {
        let Value::Attrs(attrs) = value else {
            return Ok(None);
        };
        let Some(kind) = self.evaluator.find_attr(attrs, "type") else {
            return Ok(None);
        };
        let kind = self.force(kind)?;
        let is_derivation = matches!(kind, Value::String(text) if text.bytes == b"derivation");
        Ok(is_derivation.then_some(attrs))
    }

    fn members(
        &mut self,
        value: Value<'a>,
        position: PosIdx,
    ) -> Result<Vec<(String, AttrRef<'a>)>> {
        let attrs = self.evaluator.expect_attrs(value, position, "")?;
        let sorted = self.evaluator.sorted_attrs(attrs).into_iter();
        let members = sorted.map(|attr| {
            let name = self.evaluator.symbol_text(attr.name);
            (name, attr)
        });
        Ok(members.collect())
    }

    fn force(&mut self, attr: AttrRef<'a>) -> Result<Value<'a>> {
        self.evaluator.force(attr.value.share(), attr.position)
    }

    fn string(&mut self, attr: AttrRef<'a>) -> Result<String> {
        let value = self.force(attr)?;
        let text = self.evaluator.expect_string(value, attr.position, "")?;
        Ok(String::from_utf8_lossy(text.bytes).into_owned())
    }

    /// Fails if a template has no files.
    fn existing_path(&mut self, template: &str, attr: AttrRef<'a>) -> Result<()> {
        let path = self.path(attr, "")?;
        let value = self.force(attr)?;
        let exists = self
            .evaluator
            .eval_source(b"builtins.pathExists", Origin::String, b"/")?;
        match self.evaluator.call(exists, &[value], attr.position)? {
            Value::Bool(Bool::True) => Ok(()),
            _ => Err(eval_error(format!(
                "template '{template}' refers to a non-existent path '{path}'"
            ))),
        }
    }

    /// A path, or a string that is one.
    fn path(&mut self, attr: AttrRef<'a>, what: &'static str) -> Result<String> {
        let value = self.force(attr)?;
        let mut context = ContextBuilder::default();
        let (position, plain) = (attr.position, Coercion::PLAIN);
        let coerced = self
            .evaluator
            .coerce_to_string(value, position, &mut context, what, plain);
        Ok(String::from_utf8_lossy(coerced?).into_owned())
    }
}
