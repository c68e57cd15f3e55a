//! The image that pods name: users, groups and mount points, and no program. Commands are store paths.
//!
//! It is an image as the Open Container Initiative specifies them, a few KB large, the same bytes every time, so pods name it
//! by its digest. The driver puts it into the node's containerd, so that no registry is needed.

mod archive;
mod containerd;

pub use archive::archive;
pub(crate) use containerd::keep_present;

use nix_formats::hash::{HashAlgorithm, HashFormat};
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Folders: name, mode, owner. Those that a container runtime or a volume covers are only mount points.
const FOLDERS: [(&str, u32, u64); 10] = [
    ("dev", 0o755, 0),
    ("etc", 0o755, 0),
    ("home", 0o755, 0),
    ("home/nonroot", 0o700, 65532),
    ("nix", 0o755, 0),
    ("proc", 0o555, 0),
    ("root", 0o700, 0),
    ("run", 0o755, 0),
    ("sys", 0o555, 0),
    ("tmp", 0o1777, 0),
];

/// Files, as far as the container runtime does not make them.
const FILES: [(&str, &str); 6] = [
    ("etc/group", GROUP),
    ("etc/hostname", ""),
    ("etc/hosts", ""),
    ("etc/nsswitch.conf", NSSWITCH),
    ("etc/passwd", PASSWD),
    ("etc/resolv.conf", ""),
];

/// Bytes that are named by their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) media_type: &'static str,
    /// `sha256:` and 64 hexadecimal digits.
    pub(crate) digest: String,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let hash = HashAlgorithm::Sha256.digest(&bytes);
        Self {
            media_type,
            digest: format!("sha256:{}", hash.to_string(HashFormat::Base16, false)),
            bytes,
        }
    }

    fn json(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// Architectures that niphas runs on, as Go and so images name them.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// The image for all architectures: its digest is the same on every node, so pods can name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseImage {
    pub(crate) index: Blob,
    pub(crate) images: Vec<PlatformImage>,
    pub(crate) layer: Blob,
}

/// What is of one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlatformImage {
    pub(crate) manifest: Blob,
    pub(crate) config: Blob,
}

impl BaseImage {
    pub(crate) fn new() -> std::io::Result<Self> {
        let layer = Blob::new(LAYER, layer()?);
        let images = ARCHITECTURES.map(|architecture| PlatformImage::new(architecture, &layer));
        let manifests = ARCHITECTURES.iter().zip(&images);
        let manifests: Vec<Value> = manifests
            .map(|(architecture, image)| {
                let mut manifest = image.manifest.descriptor();
                manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
                manifest
            })
            .collect();
        let index = Blob::json(
            INDEX,
            &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }),
        );
        Ok(Self {
            index,
            images: images.into(),
            layer,
        })
    }
}

impl PlatformImage {
    /// Nothing but the architecture's name differs.
    fn new(architecture: &str, layer: &Blob) -> Self {
        let config = Blob::json(
            CONFIG,
            &json!({
                "architecture": architecture,
                "os": "linux",
                "config": { "Env": ["PATH=/nix/root/bin"], "WorkingDir": "/" },
                "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
            }),
        );
        let manifest = Blob::json(
            MANIFEST,
            &json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config.descriptor(),
                "layers": [layer.descriptor()],
            }),
        );
        Self { manifest, config }
    }
}

fn layer() -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, mode, owner) in FOLDERS {
        let mut header = header(tar::EntryType::Directory, mode, owner, 0);
        tar.append_data(&mut header, format!("{name}/"), std::io::empty())?;
    }
    for (name, text) in FILES {
        let mut header = header(tar::EntryType::Regular, 0o644, 0, text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes())?;
    }
    tar.into_inner()
}

fn header(kind: tar::EntryType, mode: u32, owner: u64, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_size(size);
    header.set_mtime(1);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_image_is_the_same_every_time() {
        let image = BaseImage::new().unwrap();
        assert_eq!(image, BaseImage::new().unwrap());
        // A change of these bytes is another image on every node, and pods name it by this digest.
        let (_, digest) = niphas_api::BASE_IMAGE.split_once('@').unwrap();
        assert_eq!(image.index.digest, digest);
    }

    #[test]
    fn the_layer_has_users_and_mount_points_and_no_program() {
        let image = BaseImage::new().unwrap();
        let mut shown = String::new();
        for entry in tar::Archive::new(&image.layer.bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header();
            let (mode, owner) = (header.mode().unwrap(), header.uid().unwrap());
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let line = format!("{mode:04o} {owner} {name} {}\n", text.len());
            shown.push_str(&line);
        }
        insta::assert_snapshot!(shown, @r"
        0755 0 dev/ 0
        0755 0 etc/ 0
        0755 0 home/ 0
        0700 65532 home/nonroot/ 0
        0755 0 nix/ 0
        0555 0 proc/ 0
        0700 0 root/ 0
        0755 0 run/ 0
        0555 0 sys/ 0
        1777 0 tmp/ 0
        0644 0 etc/group 44
        0644 0 etc/hostname 0
        0644 0 etc/hosts 0
        0644 0 etc/nsswitch.conf 44
        0644 0 etc/passwd 138
        0644 0 etc/resolv.conf 0
        ");
    }
}
