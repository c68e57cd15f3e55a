//! An evaluator inside another program: with a builtin of its own, calling Nix functions, and walking through a set.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it shows what comes of it"
)]

use nix_evaluator::io::LocalIo;
use nix_evaluator::{Bump, Evaluator, Origin, PosIdx, Result, Settings, Value};

const NONE: PosIdx = PosIdx::NONE;

fn main() {
    let (arena, io) = (Bump::new(), LocalIo::default());
    let mut evaluator = Evaluator::new(&arena, &io, Settings::default());
    evaluator.define_builtin("shout", 1, |evaluator, args, position| {
        let text = evaluator
            .expect_string(args[0], position, "while shouting")?
            .bytes;
        Ok(Value::string(evaluator.arena(), &text.to_ascii_uppercase()))
    });
    if let Err(error) = run(&mut evaluator) {
        eprintln!("{}", error.report(evaluator.positions(), false));
    }
}

fn run(evaluator: &mut Evaluator<'_>) -> Result<()> {
    let source = br#"{ greet = name: "${shout "hello"}, ${name}"; names = [ "you" "me" ]; }"#;
    let value = evaluator.eval_source(source, Origin::String, b"/")?;
    let set = evaluator.expect_attrs(value, NONE, "while reading the example")?;
    for attr in evaluator.sorted_attrs(set) {
        println!("{}", evaluator.symbol_text(attr.name));
    }
    let [greet, names] = ["greet", "names"].map(|name| evaluator.find_attr(set, name));
    let (Some(greet), Some(names)) = (greet, names) else {
        return Ok(());
    };
    for name in evaluator.expect_list(names.value.share(), NONE, "")? {
        let greeting = evaluator.call(greet.value.share(), &[name.share()], NONE)?;
        let text = evaluator.expect_string(greeting, NONE, "")?.bytes;
        println!("{}", String::from_utf8_lossy(text));
    }
    Ok(())
}
