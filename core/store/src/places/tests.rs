use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn hash(number: u64) -> ContentHash {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

fn place(pack: u64, block: u32) -> Place {
    Place {
        pack: PackId(pack),
        block,
    }
}

#[test]
fn every_entry_of_a_large_segment_is_found_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut places = Places::default();
    let count = 50_000;
    for number in 0..count {
        places.insert(hash(number), place(number, number as u32));
    }
    places.spill(&folder.path().join("one")).unwrap();
    assert_eq!(places.unwritten(), 0);
    // Its file has no name.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    for number in 0..count {
        let found: Vec<Place> = places.find(&hash(number)).collect();
        assert_eq!(found, [place(number, number as u32)]);
    }
    for number in count..2 * count {
        assert_eq!(places.find(&hash(number)).next(), None);
    }
}

/// Nothing but chance makes hashes different at their start.
#[test]
fn hashes_that_start_alike_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut places = Places::default();
    let alike = |number: u64| {
        let mut hash = [7; 32];
        hash[24..].copy_from_slice(&number.to_be_bytes());
        hash
    };
    for number in 0..1000 {
        places.insert(alike(number), place(number, 0));
    }
    places.insert([6; 32], place(1001, 0));
    places.insert([8; 32], place(1002, 0));
    places.spill(&folder.path().join("one")).unwrap();
    for number in 0..1000 {
        assert_eq!(places.find(&alike(number)).next(), Some(place(number, 0)));
    }
    assert_eq!(places.find(&[6; 32]).next(), Some(place(1001, 0)));
    assert_eq!(places.find(&[8; 32]).next(), Some(place(1002, 0)));
    assert_eq!(places.find(&alike(1000)).next(), None);
}

#[test]
fn segments_are_few_and_their_memory_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let mut places = Places::default();
    for round in 0..64_u64 {
        for number in 0..1000 {
            places.insert(hash(round * 1000 + number), place(round, number as u32));
        }
        places.spill(&folder.path().join("one")).unwrap();
    }
    assert!(places.segments.len() <= 6, "{}", places.segments.len());
    let memory: usize = places.segments.iter().map(|segment| segment.memory()).sum();
    assert!(memory < 4 * 64_000, "{memory}");
}

#[test]
fn what_is_no_whole_segment_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0000000001");
    let mut places = Places::default();
    for number in 0..500 {
        places.insert(hash(number), place(1, number as u32));
    }
    let merge = places.begin_save();
    merge.run(&path, |_| true).unwrap();
    let good = std::fs::read(&path).unwrap();
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Segment::open(path.clone(), PackId(1)).unwrap()
    };
    let opened = open(&good).unwrap();
    assert_eq!(opened.find(&hash(77)).unwrap(), Some(place(1, 77)));
    for length in [0, 1, 63, 64, 4096, good.len() - 4096, good.len() - 1] {
        assert!(open(&good[..length]).is_none(), "{length}");
    }
    // All but the entries is checked.
    let pages = 500_usize.div_ceil(93) * 4096;
    for at in pages..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(open(&changed).is_none(), "{at}");
    }
    // And those may say what they like.
    let mut changed = good;
    changed[..pages].fill(0xff);
    let opened = open(&changed).unwrap();
    assert_eq!(opened.find(&hash(77)).unwrap(), None);
}

#[derive(Debug, Clone)]
enum Step {
    Insert { hash: u64, pack: u64 },
    Spill,
    Save,
    Reopen,
    Collect { pack: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..200_u64, 0..20_u64).prop_map(|(hash, pack)| Step::Insert { hash, pack }),
        1 => Just(Step::Spill),
        2 => Just(Step::Save),
        1 => Just(Step::Reopen),
        1 => (0..20_u64).prop_map(|pack| Step::Collect { pack }),
    ]
}

proptest! {
    /// What was said last of contents is found if its pack is there, whatever was written, merged and opened again meanwhile; and nothing
    /// is found that was not said.
    #[test]
    fn what_was_said_last_is_found(steps in prop::collection::vec(step(), 1..400)) {
        let folder = tempfile::tempdir().unwrap();
        let mut places = Places::default();
        let mut said: HashMap<u64, Vec<Place>> = HashMap::new();
        let mut gone: Vec<u64> = Vec::new();
        let mut next = 0_u32;
        let mut number = 0;
        for step in steps {
            next += 1;
            match step {
                Step::Insert { hash: content, pack } => {
                    // A number is used for one pack only.
                    let pack = pack + 100 * gone.iter().filter(|gone| **gone % 100 == pack).count() as u64;
                    places.insert(hash(content), place(pack, next));
                    said.entry(content).or_default().push(place(pack, next));
                }
                Step::Spill => places.spill(&folder.path().join("spilled")).unwrap(),
                Step::Save | Step::Reopen => {
                    number += 1;
                    let merge = places.begin_save();
                    if !merge.is_empty() {
                        let made = folder.path().join("new");
                        let mut merged = merge.run(&made, |pack| !gone.contains(&pack.0)).unwrap();
                        let path = folder.path().join(PackId(number).to_string());
                        merged.rename(path, PackId(number)).unwrap();
                        places.end_merge(&merge, merged);
                    }
                    if let Step::Reopen = step {
                        let numbers = places.numbers().into_iter();
                        let opened = numbers.map(|number| {
                            let path = folder.path().join(number.to_string());
                            Segment::open(path, number).unwrap().unwrap()
                        });
                        places = Places::of_segments(opened.collect());
                    }
                }
                Step::Collect { pack } => {
                    let generation = gone.iter().filter(|gone| **gone % 100 == pack).count() as u64;
                    gone.push(pack + 100 * generation);
                }
            }
            for content in 0..200 {
                let known = said.get(&content).map_or(&[][..], Vec::as_slice);
                let found: Vec<Place> = places.find(&hash(content)).collect();
                prop_assert!(found.iter().all(|place| known.contains(place)));
                if let Some(last) = known.last()
                    && !gone.contains(&last.pack.0)
                {
                    prop_assert_eq!(found.first(), Some(last));
                }
            }
        }
    }
}
