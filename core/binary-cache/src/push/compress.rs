//! Compressing NARs.

use std::io::{self, Write};

use nix_formats::Compression;
use thiserror::Error;
use zstd::zstd_safe::{self, CCtx, CParameter, ResetDirective};

/// How NARs are compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compressor {
    method: Compression,
    level: i32,
    threads: u32,
}

/// A compression that can't be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CompressorError {
    /// Another method.
    #[error("NARs cannot be compressed with '{0}', only with none, zstd, xz, gzip, bzip2 and br")]
    Method(String),
    /// Another level.
    #[error("{method} has the levels {least} to {most}, not {level}")]
    Level {
        /// The method.
        method: String,
        /// What was asked for.
        level: i32,
        /// The lowest.
        least: i32,
        /// The highest.
        most: i32,
    },
}

impl Default for Compressor {
    fn default() -> Self {
        Self {
            method: Compression::Zstd,
            level: 3,
            threads: 1,
        }
    }
}

impl Compressor {
    /// A method with its own default level, or the level given. `threads` are
    /// for one large NAR; only zstd uses more than one.
    pub fn new(
        method: Compression,
        level: Option<i32>,
        threads: u32,
    ) -> Result<Self, CompressorError> {
        let (least, default, most) = match &method {
            Compression::None => (0, 0, 0),
            Compression::Zstd => (1, 3, 22),
            Compression::Xz | Compression::Gzip => (0, 6, 9),
            Compression::Bzip2 => (1, 9, 9),
            // The default of its own tools, 11, takes minutes where this takes
            // seconds.
            Compression::Brotli => (0, 6, 11),
            Compression::Other(name) => return Err(CompressorError::Method(name.clone())),
        };
        let level = level.unwrap_or(default);
        if !(least..=most).contains(&level) {
            return Err(CompressorError::Level {
                method: method.name().to_owned(),
                level,
                least,
                most,
            });
        }
        Ok(Self {
            method,
            level,
            threads: threads.max(1),
        })
    }

    /// The method.
    pub fn method(&self) -> &Compression {
        &self.method
    }

    /// What the names of files end with.
    pub(crate) fn suffix(&self) -> &'static str {
        match self.method {
            Compression::None | Compression::Other(_) => "",
            Compression::Zstd => ".zst",
            Compression::Xz => ".xz",
            Compression::Gzip => ".gz",
            Compression::Bzip2 => ".bz2",
            Compression::Brotli => ".br",
        }
    }

    /// A writer that compresses what is written to it, `size` bytes, into `out`.
    pub(crate) fn start<'a, W: Write>(
        &self,
        context: &'a mut CompressorContext,
        size: u64,
        out: W,
    ) -> io::Result<Encoder<'a, W>> {
        let level = self.level.unsigned_abs();
        Ok(match self.method {
            Compression::None => Encoder::None(out),
            Compression::Zstd => {
                let context = context.0.get_or_insert_with(CCtx::create);
                // Below that there is nothing to share out.
                let shared = self.threads > 1 && size >= 4 << 20;
                let threads = if shared { self.threads } else { 0 };
                let prepared = context
                    .reset(ResetDirective::SessionOnly)
                    .and_then(|_| context.set_parameter(CParameter::CompressionLevel(self.level)))
                    .and_then(|_| context.set_parameter(CParameter::NbWorkers(threads)))
                    .and_then(|_| context.set_pledged_src_size(Some(size)));
                prepared.map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
                Encoder::Zstd(zstd::stream::write::Encoder::with_context(out, context))
            }
            Compression::Xz => Encoder::Xz(liblzma::write::XzEncoder::new(out, level)),
            Compression::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(
                out,
                flate2::Compression::new(level),
            )),
            Compression::Bzip2 => Encoder::Bzip2(bzip2::write::BzEncoder::new(
                out,
                bzip2::Compression::new(level),
            )),
            Compression::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
                out,
                64 * 1024,
                level,
                22,
            ))),
            Compression::Other(_) => return Err(io::ErrorKind::Unsupported.into()),
        })
    }
}

/// What is made once to compress one NAR after the other.
#[derive(Default)]
pub(crate) struct CompressorContext(Option<CCtx<'static>>);

pub(crate) enum Encoder<'a, W: Write> {
    None(W),
    Zstd(zstd::stream::write::Encoder<'a, W>),
    Xz(liblzma::write::XzEncoder<W>),
    Gzip(flate2::write::GzEncoder<W>),
    Bzip2(bzip2::write::BzEncoder<W>),
    Brotli(Box<brotli::CompressorWriter<W>>),
}

impl<W: Write> Encoder<'_, W> {
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Xz(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Bzip2(encoder) => encoder.finish(),
            Self::Brotli(mut encoder) => {
                // Errors of the end are reported by this only.
                encoder.flush()?;
                Ok(encoder.into_inner())
            }
        }
    }
}

impl<W: Write> Write for Encoder<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Xz(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Bzip2(encoder) => encoder.write(bytes),
            Self::Brotli(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_is_read_again_at_every_end_of_the_scale() {
        let text = "what is compressed is read again ".repeat(200_000);
        for (name, levels) in [
            ("none", &[0][..]),
            ("zstd", &[1, 19]),
            ("xz", &[0, 6]),
            ("gzip", &[0, 9]),
            ("bzip2", &[1, 9]),
            ("br", &[0, 6]),
        ] {
            let Ok(method) = name.parse::<Compression>();
            let mut context = CompressorContext::default();
            for &level in levels {
                for threads in [1, 3, 1] {
                    let compressor = Compressor::new(method.clone(), Some(level), threads).unwrap();
                    let size = text.len() as u64;
                    let mut encoder = compressor.start(&mut context, size, Vec::new()).unwrap();
                    encoder.write_all(text.as_bytes()).unwrap();
                    let bytes = encoder.finish().unwrap();
                    let mut read = String::new();
                    let mut context = crate::decompress::Context::new();
                    crate::decompress::reader(
                        &method,
                        Compression::MOST_LOOKED_BACK,
                        &mut context,
                        bytes.as_slice(),
                    )
                    .read_to_string(&mut read)
                    .unwrap();
                    assert!(read == text, "{name} {level} {threads}");
                }
            }
        }
    }

    #[test]
    fn other_methods_and_levels_are_refused() {
        let told = |name: &str, level| {
            let Ok(method) = name.parse::<Compression>();
            Compressor::new(method, level, 1).unwrap_err().to_string()
        };
        assert_eq!(
            told("lzip", None),
            "NARs cannot be compressed with 'lzip', only with none, zstd, xz, gzip, bzip2 and br"
        );
        assert_eq!(told("xz", Some(10)), "xz has the levels 0 to 9, not 10");
    }
}
