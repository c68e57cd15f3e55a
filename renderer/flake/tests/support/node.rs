//! Trees of any shape.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

/// What may be in a tree.
#[derive(Debug, Clone)]
pub enum Node {
    File(bool, Vec<u8>),
    Link(String),
    Folder(BTreeMap<String, Node>),
}

/// What is in a folder, in names that Git and NARs do not sort alike.
pub fn children() -> impl Strategy<Value = BTreeMap<String, Node>> {
    proptest::collection::btree_map("[a-c.+-]{1,3}x", Node::any(), 0..6)
}

impl Node {
    fn any() -> impl Strategy<Value = Self> {
        let contents = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            (0..200_000_usize).prop_map(|length| vec![0; length]),
        ];
        let leaf = prop_oneof![
            3 => (any::<bool>(), contents).prop_map(|(run, bytes)| Self::File(run, bytes)),
            1 => "[a-z./]{1,20}".prop_map(Self::Link),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            proptest::collection::btree_map("[a-c.+-]{1,3}x", inner, 0..6).prop_map(Self::Folder)
        })
    }

    pub fn to_files(&self, path: &Path) {
        match self {
            Self::File(run, bytes) => {
                fs::write(path, bytes).expect("a file");
                let mode = if *run { 0o755 } else { 0o644 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
            }
            Self::Link(target) => symlink(target, path).expect("a link"),
            Self::Folder(children) => {
                fs::create_dir(path).expect("a folder");
                for (name, child) in children {
                    child.to_files(&path.join(name));
                }
            }
        }
    }
}
