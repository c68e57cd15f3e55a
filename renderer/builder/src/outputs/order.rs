//! The order of outputs: those first that others refer to.

use std::collections::{BTreeMap, BTreeSet};

/// An output of a cycle, and one that refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cycle<'a> {
    pub(super) output: &'a str,
    pub(super) parent: &'a str,
}

/// Sorts outputs, of which it is known to which others each refers. Which of several orders it is, and which part of a cycle is
/// named, is as with Nix.
pub(super) fn sorted(outputs: &BTreeMap<String, BTreeSet<String>>) -> Result<Vec<&str>, Cycle<'_>> {
    let mut sort = Sort {
        outputs,
        visited: BTreeSet::new(),
        open: BTreeSet::new(),
        sorted: Vec::new(),
    };
    for output in outputs.keys() {
        sort.visit(output, None)?;
    }
    Ok(sort.sorted)
}

struct Sort<'a> {
    outputs: &'a BTreeMap<String, BTreeSet<String>>,
    visited: BTreeSet<&'a str>,
    open: BTreeSet<&'a str>,
    sorted: Vec<&'a str>,
}

impl<'a> Sort<'a> {
    /// A derivation has few outputs, so that this goes as deep as they may be chained.
    fn visit(&mut self, output: &'a str, parent: Option<&'a str>) -> Result<(), Cycle<'a>> {
        if let Some(parent) = parent
            && self.open.contains(output)
        {
            return Err(Cycle { output, parent });
        }
        if !self.visited.insert(output) {
            return Ok(());
        }
        self.open.insert(output);
        for other in self.outputs.get(output).into_iter().flatten() {
            if other != output && self.outputs.contains_key(other) {
                self.visit(other, Some(output))?;
            }
        }
        self.open.remove(output);
        self.sorted.push(output);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(refers: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let refers = refers.iter().map(|(output, others)| {
            let others = others.iter().map(|&other| other.to_owned());
            ((*output).to_owned(), others.collect())
        });
        refers.collect()
    }

    #[test]
    fn those_come_first_that_others_refer_to() {
        let outputs = outputs(&[("a", &["c", "a", "elsewhere"]), ("b", &[]), ("c", &["b"])]);
        assert_eq!(sorted(&outputs), Ok(vec!["b", "c", "a"]));
    }

    #[test]
    fn of_a_cycle_its_first_output_is_named_and_the_last_that_refers_to_it() {
        let outputs = outputs(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let cycle = Cycle {
            output: "b",
            parent: "c",
        };
        assert_eq!(sorted(&outputs), Err(cycle));
    }
}
