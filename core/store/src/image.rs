//! Closure images: EROFS metadata of a whole closure, whose contents lie in the packs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use niphas_api::{ClosureDigest, Roots};
use niphas_erofs::{DeviceIndex, Extent, ImageBuilder};
use nix_formats::StorePath;

use crate::closures::image_name;
use crate::error::{FileError, StoreError, failed};
use crate::layout::PackId;
use crate::realise::RealisedClosure;
use crate::record::TreeEvent;
use crate::store::{Store, lock};

/// A closure image and the packs that its contents lie in. Mounted at `/nix` it shows `store/` with the paths of the closure,
/// `root`, a symlink to the first that it was asked for by, and `roots/` with a symlink for each that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosureImage {
    /// The closure.
    pub digest: ClosureDigest,
    /// The image.
    pub file: PathBuf,
    /// The packs, in the order of the image's device table, whose tags name them.
    pub devices: Vec<PathBuf>,
}

impl Store {
    /// The image of a closure as it was asked for: `root` leads to the first of its roots, and `roots/<name>` to those that have names. It is made if it is not there, in
    /// time linear in the number of files.
    pub fn image(&self, closure: &RealisedClosure) -> Result<ClosureImage, StoreError> {
        let folder = self.shared.layout.closure(&closure.digest);
        let file = folder.join(image_name(&closure.roots));
        let packs = self.packs_of(closure);
        let is_there = devices_of(&file).is_some_and(|found| {
            let wanted = packs.iter().map(|(id, _)| *id);
            found.into_iter().eq(wanted)
        });
        if !is_there {
            self.writable()?;
            self.make_image(closure, &packs, &file)?;
        }
        let index = self.shared.index();
        let devices = packs
            .iter()
            .filter_map(|(id, _)| Some(self.shared.layout.pack(&index.pack(*id)?.name)));
        Ok(ClosureImage {
            digest: closure.digest,
            devices: devices.collect(),
            file,
        })
    }

    /// The packs that files of a closure lie in, in order, and how many bytes of contents each has.
    fn packs_of(&self, closure: &RealisedClosure) -> Vec<(PackId, u64)> {
        let index = self.shared.index();
        let mut ids = BTreeSet::new();
        for id in closure.packs() {
            let Some(pack) = index.pack(id) else { continue };
            if pack.data > 0 {
                ids.insert(id);
            }
            ids.extend(pack.refers.iter().copied());
        }
        ids.into_iter()
            .filter_map(|id| Some((id, index.pack(id)?.data)))
            .collect()
    }

    fn make_image(
        &self,
        closure: &RealisedClosure,
        packs: &[(PackId, u64)],
        file: &Path,
    ) -> Result<(), StoreError> {
        let failed_to_build = |source| StoreError::Image {
            digest: closure.digest,
            source,
        };
        // Large images are made one at a time.
        let _one_at_a_time = lock(&self.shared.making_image);
        let mut image = ImageBuilder::with_scratch(self.scratch()?, self.scratch()?);
        let mut devices = HashMap::new();
        for &(id, length) in packs {
            let device = image.device(id.to_string().as_bytes(), length);
            devices.insert(id, device.map_err(failed_to_build)?);
        }
        add_links(&mut image, &closure.roots).map_err(failed_to_build)?;
        image.enter(b"store").map_err(failed_to_build)?;
        for pack in closure.packs() {
            if let Some(path) = self.shared.stored(pack) {
                let tree = self.shared.tree(&path)?;
                let base_name = path.path().base_name().as_bytes();
                let mut events = tree.events();
                let bad = |source| self.shared.bad_record(&path, source);
                while let Some(event) = events.next().map_err(bad)? {
                    add(&mut image, base_name, event, &devices).map_err(failed_to_build)?;
                }
            }
        }
        image.leave().map_err(failed_to_build)?;
        let mut image = image.finish().map_err(failed_to_build)?;

        let made = self.shared.temporary()?;
        let written = File::create_new(&made).and_then(|out| {
            let mut out = BufWriter::with_capacity(256 << 10, out);
            image.write_to(&mut out)?;
            out.flush()
        });
        let written = written.map_err(failed("write", &made));
        let placed = written.and_then(|()| self.place_image(closure, &made, file));
        placed.map_err(|error| {
            // What is left of it takes space for as long as the process lives.
            let _ = fs::remove_file(&made);
            error.into()
        })
    }
}

impl Store {
    /// A file without a name.
    fn scratch(&self) -> Result<File, FileError> {
        let path = self.shared.temporary()?;
        let options = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        let file = options.map_err(failed("create", &path))?;
        fs::remove_file(&path).map_err(failed("remove", &path))?;
        Ok(file)
    }
}

/// Adds the links to the roots, in the order of their names.
fn add_links(image: &mut ImageBuilder, roots: &Roots) -> Result<(), niphas_erofs::Error> {
    let target = |above: &str, path: &StorePath| format!("{above}store/{}", path.base_name());
    image.symlink(b"root", target("", roots.first()).as_bytes())?;
    let mut names = roots.names().peekable();
    if names.peek().is_none() {
        return Ok(());
    }
    image.enter(b"roots")?;
    for (name, path) in names {
        image.symlink(name.as_str().as_bytes(), target("../", path).as_bytes())?;
    }
    image.leave()
}

/// Adds a step of a store path to an image.
fn add(
    image: &mut ImageBuilder,
    base_name: &[u8],
    event: TreeEvent<'_>,
    devices: &HashMap<PackId, DeviceIndex>,
) -> Result<(), niphas_erofs::Error> {
    let named = |name: &[u8]| if name.is_empty() { base_name } else { name }.to_vec();
    match event {
        TreeEvent::Enter(name) => image.enter(&named(name)),
        TreeEvent::Leave => image.leave(),
        TreeEvent::Symlink(name, target) => image.symlink(&named(name), target),
        TreeEvent::File(name, file) => {
            let extent = devices
                .get(&file.place.pack)
                .filter(|_| file.size > 0)
                .map(|&device| Extent::data(file.size, device, file.place.offset()));
            image.file(&named(name), file.executable, extent.as_slice())
        }
    }
}

/// The packs that an image was made of, as its device table names them; nothing if it can't be read.
///
/// Where they stand is documented in `niphas_erofs`: a slot of 128 bytes each, which starts with the tag, from byte 1152; the
/// superblock at byte 1024 has their number at its byte 86.
fn devices_of(image: &Path) -> Option<Vec<PackId>> {
    const SLOT: usize = 128;
    let file = File::open(image).ok()?;
    let mut count = [0; 2];
    file.read_exact_at(&mut count, 1024 + 86).ok()?;
    let mut table = vec![0; usize::from(u16::from_le_bytes(count)) * SLOT];
    file.read_exact_at(&mut table, 1152).ok()?;
    let (slots, _) = table.as_chunks::<SLOT>();
    slots
        .iter()
        .map(|slot| {
            let tag = slot[..64].split(|&byte| byte == 0).next()?;
            PackId::parse(std::str::from_utf8(tag).ok()?)
        })
        .collect()
}
