//! Paths of attributes, as users read them.

use std::fmt;

/// One step of an [`AttributePath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// An attribute of a set.
    Attribute(String),
    /// An element of a list.
    Index(usize),
}

/// Where a value stands: `workloads.web.args[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttributePath(Vec<Element>);

impl AttributePath {
    /// The path of these attributes.
    pub fn of(names: &[&str]) -> Self {
        Self(
            names
                .iter()
                .map(|&name| Element::Attribute(name.to_owned()))
                .collect(),
        )
    }

    /// This path and an attribute below it.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Self {
        self.with(Element::Attribute(name.to_owned()))
    }

    /// This path and a list element below it.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Element::Index(index))
    }

    fn with(&self, element: Element) -> Self {
        let mut elements = self.0.clone();
        elements.push(element);
        Self(elements)
    }

    /// The steps from the top.
    pub fn elements(&self) -> &[Element] {
        &self.0
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, element) in self.0.iter().enumerate() {
            match element {
                Element::Index(index) => write!(f, "[{index}]")?,
                Element::Attribute(name) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    if is_identifier(name) {
                        f.write_str(name)?;
                    } else {
                        write!(f, "{name:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_identifiers_are_quoted() {
        let path = AttributePath::of(&["files", "/etc/web.conf", "text"])
            .index(2)
            .attribute("x-y'");
        assert_eq!(path.to_string(), r#"files."/etc/web.conf".text[2].x-y'"#);
    }
}
