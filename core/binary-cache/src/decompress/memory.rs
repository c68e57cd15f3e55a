//! What a compressed file asks for before it is decompressed: how far its decoder looks back, from the file's first bytes.
//!
//! Formats: zstd in RFC 8878 3.1.1.1, xz in "The .xz File Format" 2.1 and 3.1, brotli in RFC 7932 9.1.

use nix_formats::Compression;

/// First bytes of a file that are enough to know.
pub(crate) const HEAD: usize = 64;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Bytes that the decoder of a file with these first bytes looks back on. `None` if these bytes do not tell.
pub(crate) fn looks_back(compression: &Compression, head: &[u8]) -> Option<u64> {
    match compression {
        Compression::None | Compression::Other(_) => Some(0),
        Compression::Gzip => Some(32 * KIB),
        // Blocks of 900 kB, with four bytes for each.
        Compression::Bzip2 => Some(4 * MIB),
        // Of several frames the first may be small: the others may look back on as much as is usual.
        Compression::Zstd => zstd(head).map(|window| window.max(4 * MIB)),
        Compression::Xz => xz(head),
        Compression::Brotli => brotli(head),
    }
}

fn zstd(head: &[u8]) -> Option<u64> {
    let head = head.strip_prefix(&0xfd2f_b528_u32.to_le_bytes())?;
    let descriptor = *head.first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = *head.get(1)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // The window is the content, whose size follows the identifier of a dictionary.
    let content = head.get(1 + [0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
    let size = |length: usize| {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(content.get(..length)?);
        Some(u64::from_le_bytes(bytes))
    };
    match descriptor >> 6 {
        0 => size(1),
        1 => Some(size(2)? + 256),
        2 => size(4),
        _ => size(8),
    }
}

fn xz(head: &[u8]) -> Option<u64> {
    let head = head.strip_prefix(b"\xfd7zXZ\0")?;
    // Behind the flags of the stream and their checksum.
    let block = head.get(6..)?;
    let (&size, &flags) = (block.first()?, block.get(1)?);
    if size == 0 {
        // There is no block: nothing is compressed.
        return Some(0);
    }
    let mut rest = block.get(2..)?;
    for has_size in [flags & 0x40, flags & 0x80] {
        if has_size != 0 {
            number(&mut rest)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (id, length) = (number(&mut rest)?, number(&mut rest)?);
        let properties = rest.get(..usize::try_from(length).ok()?)?;
        rest = &rest[properties.len()..];
        if id == 0x21 {
            let bits = u64::from(*properties.first()? & 0x3f);
            return Some(match bits {
                0..40 => (2 | bits & 1) << (bits / 2 + 11),
                _ => u64::from(u32::MAX),
            });
        }
    }
    None
}

/// A number of the xz format, in groups of seven bits.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn brotli(head: &[u8]) -> Option<u64> {
    let first = *head.first()?;
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, _, _) => 16,
        (_, 0, 0) => 17,
        // Windows beyond the standard's, which the decoder refuses.
        (_, 0, 1) => return None,
        (_, 0, more) => 8 + more,
        (_, more, _) => 17 + more,
    };
    Some(1 << bits)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const TEXT: &[u8] = b"some text that is compressed";

    fn head(file: &[u8]) -> &[u8] {
        &file[..file.len().min(HEAD)]
    }

    #[test]
    fn an_xz_file_says_how_far_it_looks_back() {
        for (level, expected) in [(0, 256 * KIB), (1, MIB), (6, 8 * MIB), (9, 64 * MIB)] {
            let stream =
                liblzma::stream::Stream::new_easy_encoder(level, liblzma::stream::Check::Crc64);
            let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.unwrap());
            encoder.write_all(TEXT).unwrap();
            let file = encoder.finish().unwrap();
            assert_eq!(
                looks_back(&Compression::Xz, head(&file)),
                Some(expected),
                "{level}"
            );
        }
    }

    #[test]
    fn a_zstd_file_says_how_far_it_looks_back() {
        for log in [10, 17, 21, 23, 27] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(TEXT).unwrap();
            let file = encoder.finish().unwrap();
            assert_eq!(zstd(head(&file)), Some(1 << log), "{log}");
        }
        // Its size is known, so it is its own window.
        for size in [100, 1000, 100_000] {
            let text = vec![b'x'; size];
            let file = zstd::bulk::compress(&text, 3).unwrap();
            assert_eq!(zstd(head(&file)), Some(size as u64));
            assert_eq!(looks_back(&Compression::Zstd, head(&file)), Some(4 * MIB));
        }
    }

    #[test]
    fn a_brotli_file_says_how_far_it_looks_back() {
        for bits in 10..=24 {
            let mut file = Vec::new();
            brotli::CompressorWriter::new(&mut file, 4096, 5, bits)
                .write_all(&vec![b'x'; 1 << 20])
                .unwrap();
            assert_eq!(
                looks_back(&Compression::Brotli, head(&file)),
                Some(1 << bits),
                "{bits}"
            );
        }
    }

    #[test]
    fn too_few_bytes_tell_nothing() {
        let file = zstd::bulk::compress(TEXT, 3).unwrap();
        for length in 0..6 {
            assert_eq!(looks_back(&Compression::Zstd, &file[..length]), None);
        }
        let stream = liblzma::stream::Stream::new_easy_encoder(9, liblzma::stream::Check::Crc64);
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.unwrap());
        encoder.write_all(TEXT).unwrap();
        let file = encoder.finish().unwrap();
        for length in 0..17 {
            assert_eq!(
                looks_back(&Compression::Xz, &file[..length]),
                None,
                "{length}"
            );
        }
        for compression in [Compression::Xz, Compression::Zstd] {
            assert_eq!(looks_back(&compression, &[0xff; HEAD]), None);
        }
    }
}
