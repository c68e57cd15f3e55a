//! `niphas instantiate`

mod roots;

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use niphas_terminal::{print_bytes, print_line};
use nix_conf::home;
use nix_evaluator::ast_print::{self, PathContext};
use nix_evaluator::io::{LocalIo, StoreFolder};
use nix_evaluator::{
    Attrs, Coercion, ContextBuilder, ErrorKind, EvalError, Evaluator, FoundDerivation, JsonOptions,
    Origin, PosIdx, Value, XmlOptions,
};

use crate::evaluation::{absolute, here};
use crate::evaluation_args::{AutoCallArgs, EvaluationArgs};
use crate::failure::Failure;
use crate::flake::FetchArgs;
use crate::imports::ImportBuildArgs;

/// Evaluate Nix expressions to derivations or values, as nix-instantiate does
///
/// Without --eval the store paths of all derivations in the expression are printed.
#[derive(Debug, clap::Args)]
#[command(version, args_override_self = true)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of nix-instantiate"
)]
pub(crate) struct Args {
    /// Files to evaluate (a folder: its default.nix), or `-` for standard input; ./default.nix if there is none
    #[arg(value_name = "FILE", allow_hyphen_values = false)]
    files: Vec<String>,
    /// Take the arguments as Nix expressions, not as files
    #[arg(short = 'E', long = "expr")]
    expressions: bool,
    /// Print the value instead of derivations
    #[arg(long, alias = "eval-only")]
    eval: bool,
    /// Evaluate the value all the way down
    #[arg(long)]
    strict: bool,
    /// Print the expression as it was parsed, and evaluate nothing
    #[arg(long, alias = "parse-only")]
    parse: bool,
    /// Print the value as JSON
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print the value as XML
    #[arg(long, conflicts_with_all = ["json", "raw"])]
    xml: bool,
    /// Leave out of the XML where attributes and functions are defined
    #[arg(long)]
    no_location: bool,
    /// Print the string that the value is, without quotes
    #[arg(long)]
    raw: bool,
    /// Select an attribute of the expression
    #[arg(short = 'A', long = "attr", value_name = "PATH")]
    attributes: Vec<String>,
    /// Look the arguments up in the look-up path and print where they are
    #[arg(long)]
    find_file: bool,
    /// With --eval: also write what the evaluation adds to the store, into the directory of --output-dir
    #[arg(long)]
    read_write_mode: bool,
    /// Write derivations and sources into this directory, as DIR/HASH-NAME
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Write nothing, also with --output-dir
    #[arg(long, hide_short_help = true)]
    dry_run: bool,
    /// Link PATH to the derivation in --output-dir, further ones as PATH-2 and so on, and print the links
    #[arg(long, value_name = "PATH", requires = "output_dir", conflicts_with_all = ["eval", "parse", "find_file", "dry_run"], hide_short_help = true)]
    add_root: Option<PathBuf>,
    /// As nix-instantiate does with every --add-root
    #[arg(long, hide = true, requires = "add_root")]
    indirect: bool,
    /// Let expressions see this machine, also where an option says pure-eval; as they do without any
    #[arg(long, hide_short_help = true)]
    impure: bool,
    #[command(flatten)]
    auto_call: AutoCallArgs,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    fetching: FetchArgs,
    #[command(flatten)]
    imports: ImportBuildArgs,
}

/// A source text to work on.
enum Input {
    Text(Vec<u8>, Origin),
    File(Vec<u8>),
}

impl Args {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let mut evaluation = self.evaluation.evaluation(false)?;
        self.imports.equip(&mut evaluation, &self.evaluation)?;
        let settings = &mut evaluation.settings;
        settings.pure &= !self.impure;
        let writes = !self.dry_run && (!self.eval || self.read_write_mode);
        let io = match &self.output_dir {
            Some(folder) if writes => {
                LocalIo::with_store(StoreFolder::open(settings.store_dir.clone(), folder)?)
            }
            _ => LocalIo::default(),
        };
        settings.write_store = self.output_dir.is_some() && writes;
        // What is printed unforced must be what Nix leaves unforced.
        settings.delay_all = self.eval && !self.strict;
        let inputs = self.inputs()?;
        let fetcher = self.fetching.fetcher()?;
        let mut derivations = Vec::new();
        let code = evaluation.run(&fetcher, io, |evaluator| {
            let args = self.auto_call.arguments(evaluator)?;
            if self.find_file {
                return self.find_files(evaluator);
            }
            for input in inputs {
                if self.parse {
                    print_parsed(evaluator, &input)?;
                } else {
                    self.process(evaluator, input, args, &mut derivations)?;
                }
            }
            Ok(ExitCode::SUCCESS)
        })?;
        if let (Some(root), Some(folder)) = (&self.add_root, &self.output_dir) {
            roots::link(root, folder, &derivations, self.indirect)?;
        }
        Ok(code)
    }

    fn inputs(&self) -> Result<Vec<Input>, Failure> {
        if self.find_file {
            return Ok(Vec::new());
        }
        let mut inputs = Vec::new();
        let mut files: Vec<&str> = self.files.iter().map(String::as_str).collect();
        if files.is_empty() && !self.expressions {
            files.push("./default.nix");
        }
        for file in files {
            inputs.push(match file {
                "-" => {
                    let mut text = Vec::new();
                    stdin().read_to_end(&mut text)?;
                    Input::Text(text, Origin::Stdin)
                }
                text if self.expressions => Input::Text(text.as_bytes().to_vec(), Origin::String),
                file => Input::File(file.as_bytes().to_vec()),
            });
        }
        Ok(inputs)
    }

    fn find_files(&self, evaluator: &mut Evaluator<'_>) -> Result<ExitCode, Box<EvalError>> {
        for name in &self.files {
            let path = look_up(evaluator, name.as_bytes())?;
            print_line(&path);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn process<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        input: Input,
        args: &'a Attrs<'a>,
        found: &mut Vec<FoundDerivation>,
    ) -> Result<(), Box<EvalError>> {
        let root = match input {
            Input::Text(text, origin) => evaluator.eval_source(&text, origin, &here())?,
            Input::File(file) => {
                let path = file_argument(evaluator, &file)?;
                evaluator.eval_main_file(&path)?
            }
        };
        let whole = [String::new()];
        let attributes = if self.attributes.is_empty() {
            &whole[..]
        } else {
            &self.attributes
        };
        for attribute in attributes {
            let value = evaluator.select(attribute, args, root)?;
            if !self.eval {
                let derivations = evaluator.derivations(value, args)?;
                if self.add_root.is_none() {
                    print_derivations(&derivations);
                }
                found.extend(derivations);
                continue;
            }
            let value = if args.is_empty() {
                value
            } else {
                evaluator.auto_call(args, value)?
            };
            self.print(evaluator, value)?;
        }
        Ok(())
    }

    fn print<'a>(
        &self,
        evaluator: &mut Evaluator<'a>,
        value: Value<'a>,
    ) -> Result<(), Box<EvalError>> {
        let mut context = ContextBuilder::default();
        if self.raw {
            let what = "while generating the nix-instantiate output";
            let text = evaluator.coerce_to_string(
                value,
                PosIdx::NONE,
                &mut context,
                what,
                Coercion::INTERPOLATION,
            )?;
            print_bytes(text);
        } else if self.json {
            let text = evaluator.to_json(
                value,
                JsonOptions {
                    strict: self.strict,
                    copy_paths: true,
                },
                &mut context,
            )?;
            print_line(&text);
        } else if self.xml {
            let options = XmlOptions {
                strict: self.strict,
                location: !self.no_location,
            };
            let text = evaluator.to_xml(value, options, &mut context)?;
            print_bytes(&text);
        } else {
            let value = if self.strict {
                evaluator.force_deep(value)?
            } else {
                value
            };
            let text = evaluator.print_plain(value)?;
            print_line(&text);
        }
        Ok(())
    }
}

/// A file named on the command line: a path, or `<name>` on the look-up path.
fn file_argument(evaluator: &mut Evaluator<'_>, file: &[u8]) -> Result<Vec<u8>, Box<EvalError>> {
    match file
        .strip_prefix(b"<")
        .and_then(|file| file.strip_suffix(b">"))
    {
        Some(name) => look_up(evaluator, name),
        None => Ok(absolute(file)),
    }
}

/// Where `<name>` is.
fn look_up(evaluator: &mut Evaluator<'_>, name: &[u8]) -> Result<Vec<u8>, Box<EvalError>> {
    let text = [b"<", name, b">"].concat();
    if let Value::Path(path) = evaluator.eval_source(&text, Origin::String, &here())? {
        return Ok(path.bytes.to_vec());
    }
    let message = format!("'{}' is not a look-up path", String::from_utf8_lossy(name));
    Err(EvalError::new(ErrorKind::Parse, message))
}

fn print_derivations(derivations: &[FoundDerivation]) {
    for derivation in derivations {
        print_line(format!(
            "{}{}",
            derivation.drv_path,
            output_suffix(derivation)
        ));
    }
}

/// What stands behind a derivation's path where an output other than `out` is meant.
fn output_suffix(derivation: &FoundDerivation) -> String {
    match derivation.output.as_str() {
        "out" => String::new(),
        output => format!("!{output}"),
    }
}

fn print_parsed(evaluator: &mut Evaluator<'_>, input: &Input) -> Result<(), Box<EvalError>> {
    let (text, origin, base) = match input {
        Input::Text(text, origin) => (text.clone(), origin.clone(), here()),
        Input::File(file) => {
            let path = file_argument(evaluator, file)?;
            let path = evaluator.resolve_file(&path)?;
            let text = evaluator.read_source(&path)?;
            let base = nix_evaluator::parent(&path).to_vec();
            (text, Origin::File(path), base)
        }
    };
    let ast = evaluator.parse(&text, origin, &base)?;
    let home = home().unwrap_or_default();
    let paths = PathContext {
        base: &base,
        home: home.as_os_str().as_encoded_bytes(),
    };
    print_line(ast_print::print(&ast, paths));
    Ok(())
}
