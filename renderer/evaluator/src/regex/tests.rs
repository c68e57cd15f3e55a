use super::{Regex, RegexError, Scratch};

fn matched(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
    let regex = Regex::new(pattern.as_bytes()).unwrap();
    let mut scratch = Scratch::default();
    let groups = regex.match_all(text.as_bytes(), &mut scratch).unwrap()?;
    let shown = |&(start, end): &(usize, usize)| text[start..end].to_owned();
    Some(
        groups
            .iter()
            .map(|group| group.as_ref().map(shown))
            .collect(),
    )
}

fn found(pattern: &str, text: &str) -> Vec<(usize, usize)> {
    let regex = Regex::new(pattern.as_bytes()).unwrap();
    let mut all = Vec::new();
    regex
        .for_each_match(text.as_bytes(), &mut Scratch::default(), |found| {
            all.push((found.start, found.end));
        })
        .unwrap();
    all
}

fn groups(texts: &[Option<&str>]) -> Option<Vec<Option<String>>> {
    Some(texts.iter().map(|text| text.map(str::to_owned)).collect())
}

#[test]
fn a_group_keeps_what_it_matched_in_an_earlier_round() {
    assert_eq!(matched("((a)|b)*", "ab"), groups(&[Some("b"), Some("a")]));
}

#[test]
fn a_group_that_takes_no_part_is_absent() {
    assert_eq!(matched("(a)|(b)", "b"), groups(&[None, Some("b")]));
}

#[test]
fn the_longest_alternative_is_found_but_a_repetition_does_not_give_way() {
    assert_eq!(found("a|ab", "ab"), [(0, 2)]);
    assert_eq!(found("a*(ab|)", "aab"), [(0, 2), (2, 2), (3, 3)]);
}

#[test]
fn a_repetition_of_what_is_empty_ends() {
    assert_eq!(matched("(a*)*", "aa"), groups(&[Some("")]));
    assert_eq!(matched("(a*)+", "b"), None);
    assert_eq!(matched("(|a)+", "aaa"), None);
}

#[test]
fn empty_matches_advance() {
    assert_eq!(found("", "abc"), [(0, 0), (1, 1), (2, 2), (3, 3)]);
    assert_eq!(
        found("x*", "abxc"),
        [(0, 0), (1, 1), (2, 3), (3, 3), (4, 4)]
    );
}

#[test]
fn the_start_is_the_start_of_the_text() {
    assert_eq!(found("^a", "aa"), [(0, 1)]);
    assert_eq!(found("a$", "aa"), [(1, 2)]);
}

#[test]
fn what_is_no_pattern_is_refused() {
    let bad = [
        "(",
        ")",
        "[",
        "a{2",
        "a{2,1}",
        "a{,2}",
        "*a",
        "^*",
        "\\d",
        "\\",
        "[z-a]",
        "[[:foo:]]",
        "[[.foo.]]",
        "[a-c-e]",
        "{1}",
        "(*)",
        "a{99999999999}",
    ];
    for pattern in bad {
        let error = Regex::new(pattern.as_bytes()).err();
        assert_eq!(error, Some(RegexError::Invalid), "{pattern}");
    }
    for pattern in ["a{100001}", "((a{100}){100}){100}"] {
        let error = Regex::new(pattern.as_bytes()).err();
        assert_eq!(error, Some(RegexError::TooLarge), "{pattern}");
    }
}

#[test]
fn hostile_patterns_take_no_longer_than_pattern_times_text() {
    let text = "a".repeat(20_000);
    for pattern in [
        "(a*)*b",
        "(a|a)*b",
        "(a|aa)+b",
        "a*a*a*a*a*a*b",
        "(.*)(.*)(.*)(.*)(.*)[bc]",
        "((a*)*)*b",
        "(a?){30}a{30}b",
    ] {
        assert_eq!(matched(pattern, &text), None, "{pattern}");
        assert_eq!(found(pattern, &text), [], "{pattern}");
    }
}

#[test]
fn deep_nesting_needs_no_native_stack() {
    let pattern = format!("{}a{}", "(".repeat(20_000), ")*".repeat(20_000));
    assert!(Regex::new(pattern.as_bytes()).is_ok());
    let long = "ab".repeat(100_000);
    assert!(matched("((a|b)*)", &long).is_some());
}
