//! The base image as a file, for those who keep it in a registry.

use std::io;

use serde_json::json;

use super::{BaseImage, Blob, header};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The image for all architectures that niphas runs on, as a tar archive in the OCI image layout: what `skopeo copy
/// oci-archive:…` and `ctr image import` take. `name` is what it is called in there.
pub fn archive(name: &str) -> io::Result<Vec<u8>> {
    let mut blobs: Vec<Blob> = Vec::new();
    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let image = BaseImage::new(architecture)?;
        let mut manifest = image.manifest.descriptor();
        manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
        manifests.push(manifest);
        blobs.extend([image.manifest, image.config, image.layer]);
    }
    let index = Blob::json(
        INDEX,
        &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }),
    );
    let mut named = index.descriptor();
    // The tag for the tools that follow the layout, the whole name for containerd.
    named["annotations"] = json!({
        "org.opencontainers.image.ref.name": name.rsplit_once(':').map_or("latest", |(_, tag)| tag),
        "io.containerd.image.name": name,
    });
    let top = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [named] });
    blobs.push(index);
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    blobs.dedup_by(|a, b| a.digest == b.digest);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blob_is_there_once() {
        let archive = archive("niphas.io/niphas-base:v1").unwrap();
        let names: Vec<String> = tar::Archive::new(&archive[..])
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        // The layout's two files; an index; for two architectures a manifest and a configuration; one layer.
        assert_eq!(names.len(), 2 + 1 + 2 + 2 + 1, "{names:?}");
    }
}
