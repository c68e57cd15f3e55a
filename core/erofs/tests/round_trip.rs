//! Any tree reads back as it was given.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use niphas_erofs::{DeviceIndex, Extent, ImageBuilder};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use support::{Node, Reader, Run};

const DEVICE_BLOCKS: u64 = 1 << 24;
const DEVICES: u16 = 5;

#[derive(Debug, Clone)]
enum Tree {
    Directory(BTreeMap<Vec<u8>, Tree>),
    Symlink(Vec<u8>),
    /// Whole blocks of each extent and where it lies, then how many bytes the file's last block has.
    File(bool, Vec<(u64, Option<(u16, u64)>)>, u64),
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no byte of a name", |byte| !matches!(byte, 0 | b'/'));
    let lengths = prop_oneof![8 => 1_usize..12, 1 => 12_usize..=255];
    lengths
        .prop_flat_map(move |length| vec(byte.clone(), length))
        .prop_filter("means something else", |name| name != b"." && name != b"..")
}

fn files() -> impl Strategy<Value = Tree> {
    let place = prop_oneof![
        4 => (0..DEVICES, 0..DEVICE_BLOCKS / 2).prop_map(Some),
        1 => Just(None),
    ];
    let blocks = prop_oneof![1_u64..9, (0_u32..15).prop_map(|bits| 1 << bits)];
    (any::<bool>(), vec((blocks, place), 0..5), 1..=512_u64)
        .prop_map(|(executable, extents, last)| Tree::File(executable, extents, last))
}

fn trees() -> impl Strategy<Value = BTreeMap<Vec<u8>, Tree>> {
    let target = prop_oneof![8 => vec(1..=255_u8, 1..100), 1 => vec(1..=255_u8, 1..=4095)];
    let leaf = prop_oneof![3 => files(), 1 => target.prop_map(Tree::Symlink)];
    let tree = leaf.prop_recursive(4, 300, 60, |inner| {
        btree_map(names(), inner, 0..60).prop_map(Tree::Directory)
    });
    btree_map(names(), tree, 0..40)
}

fn add(image: &mut ImageBuilder, devices: &[DeviceIndex], entries: &BTreeMap<Vec<u8>, Tree>) {
    for (name, tree) in entries {
        match tree {
            Tree::Directory(entries) => {
                image.enter(name).unwrap();
                add(image, devices, entries);
                image.leave().unwrap();
            }
            Tree::Symlink(target) => image.symlink(name, target).unwrap(),
            Tree::File(executable, ..) => {
                let extents: Vec<_> = runs(tree)
                    .iter()
                    .map(|run| match run.place {
                        Some((device, offset)) => {
                            Extent::data(run.length, devices[usize::from(device)], offset)
                        }
                        None => Extent::hole(run.length),
                    })
                    .collect();
                image.file(name, *executable, &extents).unwrap();
            }
        }
    }
}

/// The runs of a file, those that happen to continue one another joined.
fn runs(file: &Tree) -> Vec<Run> {
    let Tree::File(_, extents, last) = file else {
        panic!("no file")
    };
    let mut runs: Vec<Run> = Vec::new();
    for (number, (blocks, place)) in extents.iter().enumerate() {
        let missing = if number + 1 == extents.len() {
            512 - last
        } else {
            0
        };
        let length = blocks * 512 - missing;
        let place = place.map(|(device, block)| (device, block * 512));
        match runs.last_mut() {
            Some(Run {
                length: before,
                place: Some((device, offset)),
            }) if place == Some((*device, *offset + *before)) => {
                *before += length;
            }
            Some(Run {
                length: before,
                place: None,
            }) if place.is_none() => *before += length,
            _ => runs.push(Run { length, place }),
        }
    }
    runs
}

fn flatten(path: &[u8], entries: &BTreeMap<Vec<u8>, Tree>, nodes: &mut BTreeMap<Vec<u8>, Node>) {
    nodes.insert(path.to_vec(), Node::Directory);
    for (name, tree) in entries {
        let path = [path, b"/", name].concat();
        let node = match tree {
            Tree::Directory(entries) => {
                flatten(&path, entries, nodes);
                continue;
            }
            Tree::Symlink(target) => Node::Symlink(target.clone()),
            Tree::File(executable, ..) => {
                let runs = runs(tree);
                Node::File {
                    executable: *executable,
                    size: runs.iter().map(|run| run.length).sum(),
                    runs,
                }
            }
        };
        nodes.insert(path, node);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_reads_back(entries in trees()) {
        let mut image = ImageBuilder::new();
        let devices: Vec<_> = (0..DEVICES)
            .map(|number| image.device(format!("pack-{number}").as_bytes(), DEVICE_BLOCKS * 512).unwrap())
            .collect();
        add(&mut image, &devices, &entries);
        let mut bytes = Vec::new();
        image.finish().unwrap().write_to(&mut bytes).unwrap();

        let mut expected = BTreeMap::new();
        flatten(b"", &entries, &mut expected);
        let reader = Reader::new(&bytes);
        prop_assert_eq!(reader.devices().len(), devices.len());
        prop_assert_eq!(reader.tree(), expected);
    }
}
