//! What the fuzz targets call, compiled for them and for tests alone. No part of the interface.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use nix_formats::hash::HashAlgorithm;
use nix_formats::{NarInfo, StoreDir};

use crate::layout::PackId;
use crate::pack::{PackWriter, read_record, trailer};
use crate::record::{FileNode, Record, RecordWriter, TreeEvent};
use crate::{Options, Store, StoredPath, common};

const OWN: PackId = PackId(7);

/// Reads a record. One that is read is read the same after it was written again.
pub fn record(data: u64, bytes: &[u8]) {
    let store_dir = StoreDir::default();
    let Ok(record) = Record::decode(&store_dir, OWN, data, bytes.to_vec()) else {
        return;
    };
    let mut writer = RecordWriter::default();
    let steps = |record: &Record| {
        let (mut events, mut steps) = (record.tree.events(), Vec::new());
        while let Some(event) = events.next().expect("it was checked") {
            steps.push(format!("{event:?}"));
        }
        steps
    };
    let mut events = record.tree.events();
    while let Some(event) = events.next().expect("it was checked") {
        match event {
            TreeEvent::Enter(name) => writer.enter(name),
            TreeEvent::Leave => writer.leave(),
            TreeEvent::Symlink(name, target) => writer.symlink(name, target),
            TreeEvent::File(name, file) => writer.file(name, OWN, file),
        }
    }
    let written = writer.finish(&store_dir, &record.info);
    let again = Record::decode(&store_dir, OWN, data, written).expect("it was good before");
    assert_eq!(again.info, record.info);
    let all = steps(&record);
    assert_eq!(steps(&again), all);
    let mut entries = 0;
    let walked = record.tree.walk(|_, _| entries += 1);
    walked.expect("it was checked");
    let leave = format!("{:?}", TreeEvent::Leave);
    assert_eq!(entries, all.iter().filter(|step| **step != leave).count());
}

/// Reads a file as a pack of one path and of many, and as the record of one whose checksum is right, which no fuzzer finds.
pub fn pack(bytes: &[u8]) {
    read(bytes);
    read_common(bytes);
    read_common(&common::of_record(OWN, bytes));
    for data in [0, 4096] {
        let contents = vec![0; data as usize];
        let mut hasher = blake3::Hasher::new();
        hasher.update(bytes);
        let trailer = trailer(data, bytes.len() as u64, hasher);
        read(&[&contents, bytes, &trailer].concat());
    }
}

fn read(bytes: &[u8]) {
    let file = in_memory(bytes);
    let read = read_record(&file, Path::new("pack"), &StoreDir::default(), OWN);
    if let Ok((record, data)) = read {
        assert!(data <= bytes.len() as u64);
        for file in record.tree.extents() {
            let FileNode { place, size, .. } = file.expect("it was checked");
            assert!(place.pack != OWN || place.offset() + size <= data);
        }
    }
}

fn read_common(bytes: &[u8]) {
    let file = in_memory(bytes);
    let (path, store_dir) = (Path::new("pack"), StoreDir::default());
    for slot in common::slots(&file, path).unwrap_or_default() {
        let (start, end) = slot.record();
        if let Ok(record) = slot.read(&file, path, &store_dir) {
            assert!(start < end && end <= bytes.len() as u64);
            let mut files = record.tree.extents();
            assert!(files.all(|file| file.expect("it was checked").place.pack != slot.id));
        }
    }
}

fn in_memory(bytes: &[u8]) -> Arc<File> {
    let file = rustix::fs::memfd_create("pack", rustix::fs::MemfdFlags::CLOEXEC);
    let mut file = File::from(file.expect("memory is there"));
    file.write_all(bytes).expect("memory is there");
    Arc::new(file)
}

/// Takes a NAR into a store, and out again: it is the same.
pub fn nar(bytes: &[u8]) {
    static STORE: OnceLock<Store> = OnceLock::new();
    let store = STORE.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("niphas-store-fuzz-{}", std::process::id()));
        Store::open(&folder, Options::default()).expect("the folder is writable")
    });
    let text = format!(
        "StorePath: /nix/store/{}-x\nURL: x\nNarHash: {}\nNarSize: {}\n",
        "0".repeat(32),
        HashAlgorithm::Sha256
            .digest(bytes)
            .to_string(nix_formats::HashFormat::Nix32, true),
        bytes.len().max(1),
    );
    let store_dir = StoreDir::default();
    let info = Arc::new(NarInfo::parse(&store_dir, &text).expect("it is well formed"));
    let id = store.shared.next_pack().expect("there is space");
    let path = store.shared.layout.tmp().join(id.to_string());
    let read = PackWriter::new(id, path, None).read(bytes, info.nar_size);
    let Ok(draft) = read.and_then(|read| read.finish(&store_dir, &info)) else {
        let left = std::fs::read_dir(store.shared.layout.tmp()).expect("it is there");
        assert_eq!(left.count(), 0);
        return;
    };
    let pin = store.publish(draft, &info).expect("there is space");
    let stored = StoredPath {
        pack: pin.pack,
        info,
    };
    let mut rebuilt = Vec::new();
    let written = store.write_nar(&stored, &mut rebuilt);
    written.expect("it has the hash that it had");
    assert_eq!(rebuilt, bytes);
    let gone = store.discard(&stored, true);
    assert!(gone.expect("it can be removed"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Place;

    const OTHER: PackId = PackId(3);

    /// The record of a directory of files in these packs.
    fn record_of(files: &[(&[u8], PackId)]) -> Vec<u8> {
        let store_dir = StoreDir::default();
        let text = format!(
            "StorePath: /nix/store/{0}-x\nURL: x\nNarHash: sha256:{1}\nNarSize: 1\n",
            "0".repeat(32),
            "0".repeat(52),
        );
        let info = NarInfo::parse(&store_dir, &text).expect("it is well formed");
        let mut writer = RecordWriter::default();
        writer.enter(b"");
        for &(name, pack) in files {
            let file = FileNode {
                executable: pack == OWN,
                size: 5,
                place: Place { pack, block: 0 },
                hash: [1; 32],
            };
            writer.file(name, OWN, file);
        }
        writer.symlink(b"c", b"a");
        writer.leave();
        writer.finish(&store_dir, &info)
    }

    #[test]
    fn every_change_of_a_record_is_read_or_refused() {
        let good = record_of(&[(b"a", OWN), (b"b", OTHER)]);
        record(512, &good);
        for at in 0..good.len() {
            record(512, &good[..at]);
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = good.clone();
                changed[at] = byte;
                record(512, &changed);
            }
        }
    }

    #[test]
    fn every_change_of_a_common_pack_is_read_or_refused() {
        let good = common::of_record(OWN, &record_of(&[(b"b", OTHER)]));
        let (file, path) = (in_memory(&good), Path::new("pack"));
        let slots = common::slots(&file, path).unwrap();
        let read = slots[0].read(&file, path, &StoreDir::default()).unwrap();
        assert_eq!(read.tree.packs(), [OTHER]);
        for at in (0..192).chain(4096..good.len()) {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = good.clone();
                changed[at] = byte;
                pack(&changed);
            }
            pack(&good[..at]);
        }
    }

    #[test]
    fn what_is_no_pack_is_refused() {
        let mut bytes = vec![0; 4096];
        pack(&bytes);
        pack(&[]);
        bytes[4096 - 64..4096 - 56].copy_from_slice(b"niphaspk");
        bytes[4096 - 56] = 1;
        for at in 4096 - 64..4096 {
            for byte in [0, 1, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                pack(&changed);
            }
        }
    }
}
