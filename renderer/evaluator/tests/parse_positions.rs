//! Where nodes say they stand: the places that C++ Nix attaches to its expressions.

use nix_evaluator::ast::{Ast, BindingValue, Node, NodeId};
use nix_evaluator::parser::parse;

/// Column (from one) of the position and of the start of the root or of what `child` picks below it.
fn place(source: &str, pick: impl Fn(&Ast, NodeId) -> NodeId) -> (u32, u32) {
    let ast = parse(source.as_bytes()).expect(source);
    let node = pick(&ast, ast.root.expect("a root"));
    (ast.position(node) + 1, ast.start(node) + 1)
}

fn root(source: &str) -> (u32, u32) {
    place(source, |_, root| root)
}

#[test]
fn an_operation_stands_at_its_operator_and_starts_with_its_left_operand() {
    for operator in ["+", "-", "*", "++", "//", "==", "<", ">=", "&&", "->"] {
        assert_eq!(root(&format!("(1) {operator} 2")), (5, 1), "of {operator}");
    }
}

#[test]
fn a_call_stands_where_its_function_starts() {
    assert_eq!(root(" f 1"), (2, 2));
    assert_eq!(root("((f)) 1"), (1, 1));
    // Calls that are one in C++ Nix stand where the first one does.
    assert_eq!(root(" (f 1) 2"), (3, 2));
    assert_eq!(root("(a - b) c"), (4, 1));
    assert_eq!(root("(-a) c"), (2, 1));
    assert_eq!(root("f or"), (1, 1));
}

#[test]
fn selections_and_questions_stand_where_the_set_does() {
    assert_eq!(root(" (a).b"), (2, 2));
    assert_eq!(root(" (a) ? b"), (3, 2));
    assert_eq!(root("!(a)"), (3, 1));
    assert_eq!(root("- a"), (1, 1));
}

#[test]
fn a_list_stands_where_its_first_element_does() {
    assert_eq!(root("[ a ]"), (3, 1));
    assert_eq!(root(" [ ]"), (2, 2));
}

#[test]
fn a_string_with_parts_stands_at_the_first_and_an_indented_one_at_its_quotes() {
    assert_eq!(root("\"a${b}\""), (2, 1));
    assert_eq!(root("\"${b}\""), (2, 1));
    assert_eq!(root(" ''a${b}''"), (2, 2));
    assert_eq!(root(" ./a/${b}"), (2, 2));
}

#[test]
fn parts_of_a_string_start_at_their_interpolation() {
    let second = |ast: &Ast, root: NodeId| match ast.node(root) {
        Node::Interpolation(parts) | Node::PathInterpolation(parts) => ast.children(parts)[1],
        other => panic!("{other:?}"),
    };
    assert_eq!(place("\"a${ b }\"", second), (6, 3));
    assert_eq!(place("''a${ b }''", second), (7, 4));
    assert_eq!(place("./a/${ b }", second), (8, 5));
    assert_eq!(place("''${b} c''", second), (7, 7));
}

#[test]
fn operands_start_with_their_parentheses() {
    let right = |ast: &Ast, root: NodeId| match ast.node(root) {
        Node::Binary { right, .. } => right,
        other => panic!("{other:?}"),
    };
    assert_eq!(place("a + ( b c)", right), (7, 5));
}

#[test]
fn an_attribute_stands_where_its_path_starts() {
    let ast = parse(b"{ a.b = 1; inherit c; inherit (d) \"e\"; }").expect("Nix");
    let Some(Node::Attrs(set)) = ast.root.map(|root| ast.node(root)) else {
        panic!("{ast:?}");
    };
    let entries = &ast.bindings(set).entries;
    let columns: Vec<_> = entries.iter().map(|entry| entry.position + 1).collect();
    assert_eq!(columns, [3, 20, 35]);
    let BindingValue::Plain(nested) = entries[0].value else {
        panic!("{entries:?}");
    };
    let Node::Attrs(nested) = ast.node(nested) else {
        panic!("{ast:?}");
    };
    assert_eq!(ast.bindings(nested).entries[0].position + 1, 3);
}
