use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::record::{ContentHash, Place};

fn hash(number: u64) -> ContentHash {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

/// A store's folder, and the packs in it: their contents.
struct Stored {
    folder: tempfile::TempDir,
    packs: BTreeMap<u64, Vec<u64>>,
    next: u64,
}

impl Stored {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("index")).unwrap();
        Self {
            folder,
            packs: BTreeMap::new(),
            next: 0,
        }
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("index")
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.index()).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Opens the catalog, and adds what it does not tell of, as a store does. Gives how many that were.
    fn open(&self) -> (Catalog, usize) {
        let mut left: BTreeSet<u64> = self.packs.keys().copied().collect();
        let layout = Layout::new(self.folder.path());
        let catalog = Catalog::open(&layout, true, |known| {
            if self.packs.contains_key(&known.id.0) {
                assert_eq!(known.narinfo, format!("narinfo of {}", known.id));
                left.remove(&known.id.0);
            }
        });
        for &pack in &left {
            self.learn(&catalog, pack);
        }
        (catalog, left.len())
    }

    fn learn(&self, catalog: &Catalog, pack: u64) {
        let mut contents = Places::default();
        for (block, content) in self.packs[&pack].iter().enumerate() {
            let place = Place {
                pack: PackId(pack),
                block: block as u32,
            };
            contents.insert(hash(*content), place);
        }
        catalog.add_contents(contents);
        catalog.add(Known {
            id: PackId(pack),
            seal: Seal::File(pack),
            data: 512,
            packs: Vec::new(),
            narinfo: &format!("narinfo of {}", PackId(pack)),
        });
    }

    fn add(&mut self, catalog: &Catalog, contents: Vec<u64>) {
        self.next += 1;
        self.packs.insert(self.next, contents);
        self.learn(catalog, self.next);
    }

    fn save(&self, catalog: &Catalog) {
        let stays = |pack: PackId| self.packs.contains_key(&pack.0);
        catalog.save(self.packs.len() as u64, stays).unwrap();
    }

    /// Contents of packs that are there are found in one that is there and has them.
    fn check(&self, catalog: &Catalog) {
        let places = catalog.places();
        for content in self.packs.values().flatten() {
            let found = places.find(&hash(*content)).any(|place| {
                let pack = self.packs.get(&place.pack.0);
                pack.is_some_and(|contents| contents.get(place.block as usize) == Some(content))
            });
            assert!(found, "{content}");
        }
    }
}

#[test]
fn what_was_saved_is_known_the_next_time() {
    let mut stored = Stored::new();
    let (catalog, _) = stored.open();
    for pack in 0..100 {
        stored.add(&catalog, vec![3 * pack, 3 * pack + 1, 3 * pack + 2]);
    }
    stored.save(&catalog);
    stored.add(&catalog, vec![1000]);
    drop(catalog);
    let (catalog, left) = stored.open();
    assert_eq!(left, 1);
    stored.check(&catalog);
}

#[test]
fn what_is_gone_leaves_the_catalog_in_time() {
    let mut stored = Stored::new();
    let (catalog, _) = stored.open();
    for round in 0..20 {
        for pack in 0..200 {
            stored.add(&catalog, vec![round * 200 + pack]);
        }
        let last = *stored.packs.keys().next_back().unwrap();
        stored.packs.retain(|pack, _| *pack + 100 > last);
        stored.save(&catalog);
    }
    let size = fs::metadata(stored.index().join(NAME)).unwrap().len();
    assert!(size < 200_000, "{size}");
    assert!(stored.files().len() < 8);
    drop(catalog);
    let (catalog, left) = stored.open();
    assert_eq!(left, 0);
    stored.check(&catalog);
}

/// A number that is used again must not be taken for what it was before.
#[test]
fn what_is_gone_can_be_forgotten_at_once() {
    let mut stored = Stored::new();
    let (catalog, _) = stored.open();
    stored.add(&catalog, vec![1]);
    stored.add(&catalog, vec![2]);
    stored.save(&catalog);
    stored.packs.remove(&1);
    catalog.forget_gone();
    stored.save(&catalog);
    drop(catalog);
    stored.packs.insert(1, vec![3]);
    let (catalog, left) = stored.open();
    assert_eq!(left, 1);
    stored.check(&catalog);
}

/// A store without an index does its work, and does not gather what it can't write.
#[test]
fn without_its_folder_nothing_is_kept() {
    let mut stored = Stored::new();
    fs::remove_dir(stored.index()).unwrap();
    let (catalog, _) = stored.open();
    stored.add(&catalog, vec![1]);
    stored.check(&catalog);
    stored.save(&catalog);
    assert_eq!(catalog.places().unwritten(), 0);
    assert!(lock(&catalog.waiting).is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    /// A path with this number of files.
    Add(u64),
    Collect(prop::sample::Index),
    Save,
    /// The process ends.
    Kill,
    /// It ends, and a file of the index is not what it was.
    Damage(prop::sample::Index, Harm),
}

#[derive(Debug, Clone)]
enum Harm {
    Gone,
    CutOff(prop::sample::Index),
    Changed(prop::sample::Index),
    Zeros(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let harm = prop_oneof![
        Just(Harm::Gone),
        index().prop_map(Harm::CutOff),
        index().prop_map(Harm::Changed),
        index().prop_map(Harm::Zeros),
    ];
    prop_oneof![
        8 => (0..20_u64).prop_map(Step::Add),
        2 => index().prop_map(Step::Collect),
        3 => Just(Step::Save),
        1 => Just(Step::Kill),
        2 => (index(), harm).prop_map(|(file, harm)| Step::Damage(file, harm)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever becomes of the index: once the records of the packs that it does not tell of were read, it answers as if all had been.
    #[test]
    fn a_damaged_index_answers_like_one_made_of_all_records(steps in prop::collection::vec(step(), 1..60)) {
        let mut stored = Stored::new();
        let (mut catalog, _) = stored.open();
        for step in steps {
            match step {
                Step::Add(files) => {
                    let first = stored.next * 100;
                    stored.add(&catalog, (first..first + files).collect());
                }
                Step::Collect(pack) => {
                    let packs: Vec<u64> = stored.packs.keys().copied().collect();
                    if !packs.is_empty() {
                        stored.packs.remove(&packs[pack.index(packs.len())]);
                    }
                }
                Step::Save => stored.save(&catalog),
                Step::Kill => {
                    drop(catalog);
                    catalog = stored.open().0;
                }
                Step::Damage(file, harm) => {
                    drop(catalog);
                    let files = stored.files();
                    if !files.is_empty() {
                        damage(&files[file.index(files.len())], &harm);
                    }
                    catalog = stored.open().0;
                }
            }
            stored.check(&catalog);
        }
    }
}

fn damage(path: &Path, harm: &Harm) {
    let mut bytes = fs::read(path).unwrap();
    // Entries themselves are not checked when a segment is opened, because contents are read before they are referred to; so they are left alone here.
    let is_catalog = path.ends_with(NAME);
    let start = if is_catalog {
        0
    } else {
        bytes.len().saturating_sub(128)
    };
    let at =
        |index: &prop::sample::Index, length: usize| start + index.index((length - start).max(1));
    match harm {
        Harm::Gone => return fs::remove_file(path).unwrap(),
        Harm::CutOff(index) => {
            let length = at(index, bytes.len());
            bytes.truncate(length);
        }
        Harm::Changed(index) if !bytes.is_empty() => {
            let at = at(index, bytes.len());
            bytes[at] ^= 0x10;
        }
        Harm::Zeros(index) => {
            let at = at(index, bytes.len());
            bytes[at..].fill(0);
        }
        Harm::Changed(_) => {}
    }
    fs::write(path, bytes).unwrap();
}
