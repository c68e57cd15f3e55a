//! What hostile and generated files do to the parser: nothing.

use nix_evaluator::ast_print::{PathContext, print};
use nix_evaluator::parser::{ParseErrorKind, parse};
use proptest::prelude::*;

const PATHS: PathContext<'static> = PathContext {
    base: b"/",
    home: b"/",
};

#[test]
fn a_million_opening_tokens_are_refused() {
    let openers = [
        "(",
        "[",
        "{a=",
        "rec{a=",
        "let a=",
        "let{a=",
        "x: ",
        "{}:",
        "x@{}:",
        "!",
        "-",
        "1->",
        "a++",
        "a//",
        "\"${",
        "''${",
        "./${",
        "{${",
        "a.${",
        "a?${",
        "a.b or ",
        "if ",
        "if 1 then ",
        "assert ",
        "assert 1;",
        "with ",
        "with 1;",
        "{inherit(",
        "{a?",
        "f (",
        "{a.b.c=",
    ];
    for opener in openers {
        let source = opener.repeat(1_000_000);
        let error = parse(source.as_bytes()).map(|_| ()).expect_err(opener);
        assert_eq!(error.kind, ParseErrorKind::Limit, "of {opener:?}: {error}");
    }
}

#[test]
fn long_chains_that_do_not_nest_are_taken_and_printed() {
    let chains = [
        ("1", "+1"),
        ("f", " 1"),
        ("f", " (f 1)"),
        ("a", ".a"),
        ("a", "?a"),
        ("a", "&&a"),
        ("''", "''$"),
        ("\"", "${a}"),
    ];
    for (first, more) in chains {
        let mut source = format!("{first}{}", more.repeat(100_000));
        match first {
            "''" => source.push_str("''"),
            "\"" => source.push('"'),
            _ => {}
        }
        let ast = parse(source.as_bytes()).expect(more);
        assert!(print(&ast, PATHS).len() >= 100_000);
    }
}

#[test]
fn deep_paths_of_two_sets_that_merge_are_refused_not_followed_forever() {
    let path = "a.".repeat(200_000);
    let source = format!("{{ x = {{ {path}b = 1; }}; x = {{ {path}c = 1; }}; }}");
    let error = parse(source.as_bytes()).map(|_| ()).expect_err("deep");
    assert_eq!(error.kind, ParseErrorKind::Limit);
}

#[test]
fn a_large_set_that_is_merged_into_often_takes_linear_time() {
    let entries: Vec<String> = (0..50_000).map(|index| format!("a{index} = 1;")).collect();
    let merges: Vec<String> = (0..50_000)
        .map(|index| format!("x = {{ b{index} = 1; }};"))
        .collect();
    let (entries, merges) = (entries.concat(), merges.concat());
    let source = format!("{{ x = {{ {entries} }}; {merges} x.b7 = 1; }}");
    let error = parse(source.as_bytes()).map(|_| ()).expect_err("twice");
    assert_eq!(error.message, "attribute 'x.b7' already defined");
}

#[test]
fn a_call_of_a_call_is_one_call_however_it_is_written() {
    let ast = parse(b"f: ((f 1) [ 2 ]) 3").expect("Nix");
    assert_eq!(print(&ast, PATHS), b"(f: (f 1 [ (2) ] 3))");
    let many = format!("f: {}f{}", "(".repeat(30), " 1)".repeat(30));
    let ast = parse(many.as_bytes()).expect("Nix");
    let flat = format!("(f: (f{}))", " 1".repeat(30));
    assert_eq!(String::from_utf8_lossy(&print(&ast, PATHS)), flat);
}

/// Any bytes, and such as are likely to mean something.
fn sources() -> impl Strategy<Value = Vec<u8>> {
    let tokens = prop::sample::select(vec![
        "a",
        "b",
        "or",
        "x",
        "if",
        "then",
        "else",
        "assert",
        "with",
        "let",
        "in",
        "rec",
        "inherit",
        "...",
        "==",
        "<",
        ">=",
        "&&",
        "->",
        "//",
        "++",
        "+",
        "-",
        "*",
        "/",
        "?",
        "!",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ";",
        ":",
        "@",
        ",",
        ".",
        "=",
        "${",
        "\"",
        "''",
        "'",
        "$",
        "1",
        "2.5",
        "~/a",
        "./b",
        "./a/",
        "d/e",
        "<n>",
        "x:y",
        "#c\n",
        "/*",
        "*/",
        "\\",
        "|>",
        "\r",
        "\n  ",
        " ",
        "\0",
        "é",
        "a.b = 1;",
        "a = { };",
        "inherit (a) b;",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(tokens, 0..40).prop_map(|tokens| tokens.concat().into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_give_a_whole_tree_or_an_error_within_the_file(source in sources()) {
        match parse(&source) {
            Ok(ast) => {
                let nodes = ast.nodes.len();
                prop_assert!(ast.root.is_some_and(|root| (root.0 as usize) < nodes));
                prop_assert_eq!((ast.positions.len(), ast.starts.len()), (nodes, nodes));
                prop_assert!(ast.positions.iter().chain(&ast.starts).all(|&at| (at as usize) < source.len()));
                print(&ast, PATHS);
            }
            Err(error) => {
                prop_assert!(error.start <= error.end);
                prop_assert!(error.end as usize <= source.len());
            }
        }
    }
}
