//! Decompression, with bounded memory whatever the input says.

mod memory;

pub(crate) use memory::{HEAD, looks_back};

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use nix_formats::Compression;
use zstd::zstd_safe::{self, DCtx, DParameter, ResetDirective};

/// The decoder's own bounds.
const ZSTD_WINDOW_LOGS: std::ops::RangeInclusive<u32> = 10..=27;
/// What an xz decoder takes besides.
const XZ_REST: u64 = 1 << 20;

thread_local! {
    static KEPT: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}

/// The most that a thread keeps, in bytes: a zstd stream of any level that is
/// in use says to look back on up to 8 MiB, however short it is.
const MAX_KEPT: usize = 10 << 20;

/// What a decoder works with.
pub(crate) struct Context {
    zstd: Option<DCtx<'static>>,
    is_lent: bool,
}

impl Context {
    /// For this one file.
    pub(crate) fn new() -> Self {
        Self {
            zstd: None,
            is_lent: false,
        }
    }

    /// The thread's, for small files, of which there are many. Of the memory that
    /// it keeps it uses no more than the largest of them takes.
    pub(crate) fn lent() -> Self {
        Self {
            zstd: KEPT.take(),
            is_lent: true,
        }
    }

    /// As good as new, whatever went before.
    fn zstd(&mut self, looks_back: u64) -> io::Result<&mut DCtx<'static>> {
        let log = looks_back.max(1).next_power_of_two().ilog2();
        let log = log.clamp(*ZSTD_WINDOW_LOGS.start(), *ZSTD_WINDOW_LOGS.end());
        let context = self.zstd.get_or_insert_with(DCtx::create);
        context
            .reset(ResetDirective::SessionAndParameters)
            .and_then(|_| context.set_parameter(DParameter::WindowLogMax(log)))
            .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
        Ok(context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.is_lent {
            KEPT.set(self.zstd.take().filter(|zstd| zstd.sizeof() <= MAX_KEPT));
        }
    }
}

/// A reader of what `input` holds. It may read `input` at once. A stream that
/// looks back on more than `looks_back` bytes is an error: so the first bytes
/// bound the rest, too.
pub(crate) fn reader<'a>(
    compression: &Compression,
    looks_back: u64,
    context: &'a mut Context,
    input: impl BufRead + Send + 'a,
) -> Box<dyn Read + Send + 'a> {
    match compression {
        Compression::None => Box::new(input),
        Compression::Xz => xz(looks_back, input),
        Compression::Zstd => zstd(context, looks_back, input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Compression::Brotli => Box::new(brotli_decompressor::Decompressor::new(input, 64 * 1024)),
        Compression::Other(_) => Box::new(Broken(Some(io::ErrorKind::Unsupported.into()))),
    }
}

fn xz<'a>(looks_back: u64, input: impl BufRead + Send + 'a) -> Box<dyn Read + Send + 'a> {
    let memory = looks_back.saturating_add(XZ_REST);
    match liblzma::stream::Stream::new_stream_decoder(memory, liblzma::stream::CONCATENATED) {
        Ok(stream) => Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream)),
        Err(error) => Box::new(Broken(Some(error.into()))),
    }
}

fn zstd<'a>(
    context: &'a mut Context,
    looks_back: u64,
    input: impl BufRead + Send + 'a,
) -> Box<dyn Read + Send + 'a> {
    match context.zstd(looks_back) {
        Ok(context) => Box::new(zstd::stream::read::Decoder::with_context(input, context)),
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
