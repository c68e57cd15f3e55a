//! Decompression, with bounded memory whatever the input says.

use nix_formats::Compression;
use std::io::{self, BufRead, Read};

/// Memory that an xz or zstd stream may ask for: xz -9 needs 65 MiB, zstd -19
/// with Nix's settings 8 MiB.
const MAX_MEMORY: u64 = 256 << 20;
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// A reader of what `input` holds. It may read `input` at once.
pub(crate) fn reader<'a>(
    compression: &Compression,
    input: impl BufRead + Send + 'a,
) -> Box<dyn Read + Send + 'a> {
    match compression {
        Compression::None => Box::new(input),
        Compression::Xz => xz(input),
        Compression::Zstd => zstd(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Compression::Brotli => Box::new(brotli_decompressor::Decompressor::new(input, 64 * 1024)),
        Compression::Other(_) => Box::new(Broken(Some(io::ErrorKind::Unsupported.into()))),
    }
}

fn xz<'a>(input: impl BufRead + Send + 'a) -> Box<dyn Read + Send + 'a> {
    match liblzma::stream::Stream::new_stream_decoder(MAX_MEMORY, liblzma::stream::CONCATENATED) {
        Ok(stream) => Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream)),
        Err(error) => Box::new(Broken(Some(error.into()))),
    }
}

fn zstd<'a>(input: impl BufRead + Send + 'a) -> Box<dyn Read + Send + 'a> {
    let decoder = zstd::stream::read::Decoder::with_buffer(input).and_then(|mut decoder| {
        decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
        Ok(decoder)
    });
    match decoder {
        Ok(decoder) => Box::new(decoder),
        Err(error) => Box::new(Broken(Some(error))),
    }
}

/// A decoder that could not be made.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::Other.into()))
    }
}
