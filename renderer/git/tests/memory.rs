//! Packs whose objects take far more memory than they take bytes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use git2::{ErrorClass, Oid, Repository};
use sha1::{Digest as _, Sha1};

const BLOB: u8 = 3;
const OFS_DELTA: u8 = 6;
const MAX_OBJECT: u64 = 16 << 20;

/// A pack, object by object.
struct Pack {
    bytes: Vec<u8>,
    objects: u32,
    last: usize,
}

impl Pack {
    fn new() -> Self {
        Self {
            bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(),
            objects: 0,
            last: 0,
        }
    }

    fn begin(&mut self, kind: u8, mut size: usize) {
        self.last = self.bytes.len();
        self.objects += 1;
        let mut byte = kind << 4 | (size & 15) as u8;
        size >>= 4;
        while size > 0 {
            self.bytes.push(byte | 0x80);
            byte = (size & 0x7f) as u8;
            size >>= 7;
        }
        self.bytes.push(byte);
    }

    /// A blob of zeros.
    fn zeros(&mut self, size: usize) {
        self.begin(BLOB, size);
        let mut encoder = ZlibEncoder::new(&mut self.bytes, Compression::fast());
        let piece = vec![0; 1 << 20];
        for start in (0..size).step_by(piece.len()) {
            let length = piece.len().min(size - start);
            encoder
                .write_all(&piece[..length])
                .expect("memory is there");
        }
        encoder.finish().expect("memory is there");
    }

    /// The last object `times` times over, which has `size` bytes.
    fn repeat(&mut self, size: usize, times: usize, more: &[u8]) {
        const LONGEST: usize = 8 << 20;
        let mut delta = Vec::new();
        for mut number in [size, size * times + more.len()] {
            while number > 0x7f {
                delta.push((number & 0x7f) as u8 | 0x80);
                number >>= 7;
            }
            delta.push(number as u8);
        }
        for _ in 0..times {
            for start in (0..size).step_by(LONGEST) {
                let length = LONGEST.min(size - start);
                delta.push(0xff);
                delta.extend((start as u32).to_le_bytes());
                delta.extend(&(length as u32).to_le_bytes()[..3]);
            }
        }
        if !more.is_empty() {
            delta.push(more.len() as u8);
            delta.extend(more);
        }
        let base = self.last;
        self.begin(OFS_DELTA, delta.len());
        let mut distance = self.last - base;
        let mut offset = vec![(distance & 0x7f) as u8];
        while distance > 0x7f {
            distance = (distance >> 7) - 1;
            offset.push((distance & 0x7f) as u8 | 0x80);
        }
        self.bytes.extend(offset.iter().rev());
        let mut encoder = ZlibEncoder::new(&mut self.bytes, Compression::fast());
        encoder.write_all(&delta).expect("memory is there");
        encoder.finish().expect("memory is there");
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes[8..12].copy_from_slice(&self.objects.to_be_bytes());
        let sum = Sha1::digest(&self.bytes);
        self.bytes.extend(sum);
        self.bytes
    }
}

/// Takes a pack in as a fetch does.
fn take_in(repository: &Repository, pack: &[u8]) -> Result<(), git2::Error> {
    let odb = repository.odb()?;
    let mut writer = odb.packwriter()?;
    for piece in pack.chunks(64 << 10) {
        if writer.write_all(piece).is_err() {
            return Err(git2::Error::last_error(-1));
        }
    }
    writer.commit().map(|_| ())
}

/// The most memory that this process had so far, in MiB.
fn peak() -> u64 {
    niphas_testing::memory::peak("self").expect("Linux has it") >> 20
}

/// All in one, for libgit2's limit and the memory are the process's.
#[test]
fn objects_that_unpack_to_more_than_they_may_are_refused() {
    assert_eq!(niphas_git::limit_memory(MAX_OBJECT), MAX_OBJECT);
    assert_eq!(niphas_git::limit_memory(1), MAX_OBJECT);
    let folder = tempfile::tempdir().expect("a folder");
    let repository = Repository::init_bare(folder.path()).expect("a repository");

    // What a delta is of.
    let mut large = Pack::new();
    large.zeros(300 << 20);
    large.repeat(300 << 20, 0, b"small");
    // What deltas make: each twice as much as the last.
    let mut growing = Pack::new();
    growing.zeros(1 << 20);
    for doublings in 0..10 {
        growing.repeat(1 << (20 + doublings), 2, b"");
    }
    let packs = [large, growing].map(Pack::finish);
    let before = peak();
    for pack in &packs {
        let error = take_in(&repository, pack).expect_err("an object is too large");
        assert_eq!(error.class(), ErrorClass::NoMemory, "{error}");
        assert_eq!(
            niphas_git::explained(&error).message(),
            "the repository has an object of more than 16777216 bytes"
        );
    }
    let most = before + 3 * (MAX_OBJECT >> 20) + 8;
    assert!(peak() <= most, "{} MiB, {before} before", peak());

    // A long chain takes no memory: one object of it after the other.
    let mut chain = Pack::new();
    chain.zeros(1000);
    for link in 0..3000 {
        chain.repeat(1000 + link, 1, b"x");
    }
    take_in(&repository, &chain.finish()).expect("all objects are small");
    let last = [vec![0; 1000], vec![b'x'; 3000]].concat();
    let id = Oid::hash_object(git2::ObjectType::Blob, &last).expect("a hash");
    let blob = repository.find_blob(id).expect("it is there");
    assert_eq!(blob.content(), last);
    assert!(peak() <= most, "{} MiB, {before} before", peak());
}
