//! What is built for something of a flake: a derivation, a string, an environment.

use niphas_render::ENVIRONMENT;
use nix_evaluator::{Coercion, ContextBuilder, EvalError, Evaluator, PosIdx, Value};

use crate::attributes::{attribute, members};
use crate::installable::{Outputs, error, nothing_to_build, text, usual_outputs};

/// Something that is built or fetched. Paths are in full.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Buildable {
    /// Outputs of a derivation.
    Outputs {
        /// The path of its `.drv` file.
        drv_path: String,
        /// The names of the outputs; all if none.
        outputs: Option<Vec<String>>,
    },
    /// A store path that the evaluation itself put into the store, such as a source.
    Path(String),
}

/// What is built for a value: all outputs of a derivation if none are named, what a string or path refers to, or all roots of an
/// environment; of these those of one system if `system` is given.
pub fn buildables_of<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    outputs: &Outputs,
    system: Option<&str>,
) -> Result<Vec<Buildable>, Box<EvalError>> {
    let value = evaluator.force(value, PosIdx::NONE)?;
    if text(evaluator, value, "type")?.as_deref() == Some("derivation") {
        return Ok(vec![of_derivation(evaluator, value, outputs)?]);
    }
    if *outputs != Outputs::Usual {
        return Err(error("only derivations have outputs".to_owned()));
    }
    if text(evaluator, value, "_type")?.as_deref() == Some(ENVIRONMENT) {
        return of_environment(evaluator, value, system);
    }
    if let Value::Attrs(_) | Value::List(_) | Value::Lambda(_) = value {
        return Err(nothing_to_build(evaluator, value)?);
    }
    of_text(evaluator, value)
}

fn of_derivation<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    outputs: &Outputs,
) -> Result<Buildable, Box<EvalError>> {
    let Some(drv_path) = text(evaluator, value, "drvPath")? else {
        let message = "the derivation has no attribute 'drvPath'";
        return Err(error(message.to_owned()));
    };
    let is_specified = attribute(evaluator, value, "outputSpecified")?;
    let is_specified = matches!(is_specified, Some(Value::Bool(is)) if bool::from(is));
    let outputs = match outputs {
        Outputs::Named(names) => Some(names.clone()),
        Outputs::Usual if is_specified => Some(usual_outputs(evaluator, value)?),
        Outputs::All | Outputs::Usual => None,
    };
    Ok(Buildable::Outputs { drv_path, outputs })
}

/// The roots of the closures of all workloads: see nixlib/roots.nix.
fn of_environment<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
    system: Option<&str>,
) -> Result<Vec<Buildable>, Box<EvalError>> {
    let Some(roots) = attribute(evaluator, value, "roots")? else {
        let message = "the environment has no attribute 'roots': it was made by an older niphas.lib.mkEnvironment";
        return Err(error(message.to_owned()));
    };
    let systems = members(evaluator, roots)?;
    if let Some(system) = system
        && !systems.iter().any(|(name, _)| name == system)
    {
        let known: Vec<&str> = systems.iter().map(|(name, _)| name.as_str()).collect();
        let known = known.join(", ");
        let message =
            format!("the environment is not for the system '{system}'; it is for: {known}");
        return Err(error(message));
    }
    let mut found = Vec::new();
    for (name, roots) in systems {
        if system.is_some_and(|system| system != name) {
            continue;
        }
        for (_, root) in members(evaluator, roots)? {
            let root = evaluator.force(root, PosIdx::NONE)?;
            match text(evaluator, root, "drvPath")? {
                Some(drv_path) => found.push(Buildable::Outputs {
                    drv_path,
                    // Those that workloads refer to.
                    outputs: Some(usual_outputs(evaluator, root)?),
                }),
                None => found.extend(of_text(evaluator, root)?),
            }
        }
    }
    Ok(found)
}

/// What a string or a path refers to.
fn of_text<'a>(
    evaluator: &mut Evaluator<'a>,
    value: Value<'a>,
) -> Result<Vec<Buildable>, Box<EvalError>> {
    let (mut context, what) = (ContextBuilder::default(), "while evaluating a store path");
    let coercion = Coercion::INTERPOLATION;
    evaluator.coerce_to_string(value, PosIdx::NONE, &mut context, what, coercion)?;
    let referred = evaluator.referred_paths(&context)?;
    if referred.is_empty() {
        return Err(error("the value refers to no store path".to_owned()));
    }
    let buildable = |referred: nix_evaluator::ReferredPath| match referred.built_by {
        Some(built) => Buildable::Outputs {
            drv_path: built.drv_path,
            outputs: Some(vec![built.output]),
        },
        None => Buildable::Path(referred.path),
    };
    Ok(referred.into_iter().map(buildable).collect())
}

#[cfg(test)]
mod tests {
    use nix_evaluator::io::LocalIo;
    use nix_evaluator::{Bump, Origin, Settings};

    use super::*;

    const LET: &str = r#"let
      mk = name: derivation { inherit name; system = "s"; builder = "/b"; outputs = [ "out" "dev" ]; };
      a = mk "a";
      b = mk "b";
      roots = {
        x86_64-linux = { a = a // { meta.outputsToInstall = [ "dev" ]; }; f = builtins.toFile "f" ""; };
        aarch64-linux.b = b;
      };
      environment = { _type = "niphas-environment"; inherit roots; };
    in "#;

    /// What an expression stands for, without hashes: `name^outputs` or `name`; or the error.
    fn found(expression: &str, outputs: &Outputs, system: Option<&str>) -> Vec<String> {
        let (arena, io) = (Bump::new(), LocalIo::default());
        let mut evaluator = Evaluator::new(&arena, &io, Settings::default());
        let source = format!("{LET}{expression}");
        let value = evaluator.eval_source(source.as_bytes(), Origin::String, b"/");
        let found = value.and_then(|value| buildables_of(&mut evaluator, value, outputs, system));
        let found = match found {
            Ok(found) => found,
            Err(error) => return vec![error.to_string()],
        };
        let name = |path: &str| path.split_once('-').unwrap().1.to_owned();
        let found = found.iter().map(|buildable| match buildable {
            Buildable::Path(path) => name(path),
            Buildable::Outputs { drv_path, outputs } => {
                let outputs = outputs
                    .as_ref()
                    .map_or("*".to_owned(), |names| names.join(","));
                format!("{}^{outputs}", name(drv_path))
            }
        });
        found.collect()
    }

    #[test]
    fn all_outputs_are_built_unless_some_are_named() {
        let usual = |expression| found(expression, &Outputs::Usual, None);
        assert_eq!(usual("a"), ["a.drv^*"]);
        assert_eq!(usual("a.dev // { outputSpecified = true; }"), ["a.drv^dev"]);
        assert_eq!(usual(r#""${a.dev}/bin/x""#), ["a.drv^dev"]);
        assert_eq!(usual(r#"builtins.toFile "f" """#), ["f"]);
        let named = Outputs::Named(vec!["out".to_owned()]);
        assert_eq!(found("a", &named, None), ["a.drv^out"]);
        assert_eq!(found("a", &Outputs::All, None), ["a.drv^*"]);
        assert_eq!(
            usual("{ inherit a; }"),
            [
                "expected a derivation, a store path or an environment of niphas, found a set with the attributes a"
            ]
        );
        assert_eq!(
            found(r#""x""#, &named, None),
            ["only derivations have outputs"]
        );
    }

    #[test]
    fn an_environment_stands_for_the_roots_of_its_systems() {
        let of = |system| found("environment", &Outputs::Usual, system);
        assert_eq!(of(None), ["b.drv^out", "a.drv^dev", "f"]);
        assert_eq!(of(Some("x86_64-linux")), ["a.drv^dev", "f"]);
        assert_eq!(
            of(Some("riscv64-linux")),
            [
                "the environment is not for the system 'riscv64-linux'; it is for: aarch64-linux, x86_64-linux"
            ]
        );
    }
}
