//! Names of branches and tags.

/// Whether Git would take `name` as a reference, a branch or a tag.
pub(crate) fn is_legal_ref_name(name: &str) -> bool {
    if name == "@" || name.contains(['\u{7f}', '\0']) {
        return false;
    }
    git2::Reference::is_valid_name(name)
        || git2::Branch::name_is_valid(name).unwrap_or(false)
        || git2::Tag::is_valid_name(name)
}
