//! Bytes in every compression that caches use.

use std::io::Write;

use nix_formats::Compression;

pub(crate) const METHODS: [Compression; 6] = [
    Compression::None,
    Compression::Zstd,
    Compression::Xz,
    Compression::Gzip,
    Compression::Bzip2,
    Compression::Brotli,
];

pub(crate) fn compressed(method: &Compression, bytes: &[u8]) -> Vec<u8> {
    match method {
        Compression::None => bytes.to_vec(),
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        Compression::Xz => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        Compression::Brotli => {
            let mut out = brotli::CompressorWriter::new(Vec::new(), 64 << 10, 1, 22);
            out.write_all(bytes).unwrap();
            out.into_inner()
        }
        Compression::Other(name) => panic!("nobody knows {name}"),
    }
}

/// `count` times 16 MiB of zeros after `start`.
pub(crate) fn zeros(method: &Compression, start: &[u8], count: usize) -> Vec<u8> {
    let zeros = vec![0; 16 << 20];
    if *method == Compression::Brotli {
        // Its streams can't be put one after the other.
        let mut out = brotli::CompressorWriter::new(Vec::new(), 64 << 10, 1, 22);
        out.write_all(start).unwrap();
        for _ in 0..count {
            out.write_all(&zeros).unwrap();
        }
        return out.into_inner();
    }
    let mut all = compressed(method, start);
    all.extend(compressed(method, &zeros).repeat(count));
    all
}
