//! The base image as a file, for those who keep it in a registry.

use std::io;

use serde_json::json;

use super::{BaseImage, Blob, INDEX, header};

/// The image as a tar archive in the OCI image layout: what `skopeo copy oci-archive:…` and `ctr image import` take. `name`
/// is what it is called in there.
pub fn archive(name: &str) -> io::Result<Vec<u8>> {
    let BaseImage {
        index,
        images,
        layer,
    } = BaseImage::new()?;
    let mut named = index.descriptor();
    // The tag for the tools that follow the layout, the whole name for containerd.
    named["annotations"] = json!({
        "org.opencontainers.image.ref.name": tag(name),
        "io.containerd.image.name": name,
    });
    let top = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [named] });
    let of_platforms = images
        .into_iter()
        .flat_map(|image| [image.manifest, image.config]);
    let mut blobs: Vec<Blob> = of_platforms.chain([index, layer]).collect();
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));

    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = header(tar::EntryType::Regular, 0o644, 0, bytes.len() as u64);
        tar.append_data(&mut header, name, bytes)
    };
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add("index.json", top.to_string().as_bytes())?;
    for blob in &blobs {
        add(
            &format!("blobs/{}", blob.digest.replace(':', "/")),
            &blob.bytes,
        )?;
    }
    tar.into_inner()
}

/// The tag in an image's name, if it has one: a colon before the last slash belongs to a port.
fn tag(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split_once(':').map_or("latest", |(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_what_stands_behind_the_last_colon_of_the_last_part() {
        for (name, expected) in [
            ("registry.example.org:5000/niphas-base:v1", "v1"),
            ("registry.example.org:5000/niphas-base", "latest"),
            ("niphas.invalid/niphas-base@sha256:00", "latest"),
            ("niphas.invalid/niphas-base:v2@sha256:00", "v2"),
        ] {
            assert_eq!(tag(name), expected, "{name}");
        }
    }

    #[test]
    fn every_blob_is_there_once() {
        let archive = archive("registry.example.org/niphas-base:v1").unwrap();
        let names: Vec<String> = tar::Archive::new(&archive[..])
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        // The layout's two files; an index; for two architectures a manifest and a configuration; one layer.
        assert_eq!(names.len(), 2 + 1 + 2 + 2 + 1, "{names:?}");
    }
}
