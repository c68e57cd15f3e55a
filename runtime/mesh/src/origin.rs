//! Asking caches themselves.

use http::header::{CONTENT_ENCODING, CONTENT_RANGE, RANGE};
use niphas_mesh_policy::{PART_SIZE, Part};
use reqwest::Response;
use thiserror::Error;

use crate::file_name::FileName;
use crate::node::Node;

/// Bytes of the largest file that is shared.
const MOST_BYTES: u64 = 64 << 30;

/// A cache does not give a part.
#[derive(Debug, Error)]
pub(crate) enum OriginError {
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    #[error("expected status 200 or 206, found {0}")]
    Status(u16),
    #[error("expected a part of the file as it was asked for, found another")]
    Range,
    #[error("the cache gives no parts of files, and this one is larger than {PART_SIZE} bytes")]
    NoRanges,
    #[error("expected a file of at most {MOST_BYTES} bytes, found {0}")]
    TooLarge(u64),
    #[error("the file is compressed for its transfer")]
    Encoding,
}

impl OriginError {
    /// Whether the cache would answer other nodes so, too, and at other times.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::NoRanges | Self::TooLarge(_) | Self::Encoding => true,
            Self::Status(status) => {
                matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
            }
            Self::Http(_) | Self::Range => false,
        }
    }
}

/// A part of a file, as a cache gives it.
pub(crate) struct FromOrigin {
    /// Bytes of the whole file. None: as many as come.
    pub(crate) file_size: Option<u64>,
    pub(crate) bytes: Response,
}

impl Node {
    /// Asks the cache for a part, from its byte `from` on. None: there is no such file.
    pub(crate) async fn ask_origin(
        &self,
        file: &FileName,
        part: Part,
        from: u64,
    ) -> Result<Option<FromOrigin>, OriginError> {
        let base = &self.caches[file.cache];
        let inside = base
            .join(&file.name)
            .ok()
            .filter(|url| url.as_str().starts_with(base.as_str()));
        let Some(url) = inside else {
            return Ok(None);
        };
        let range = part.range();
        let start = range.start + from;
        let wanted = format!("bytes={start}-{}", range.end - 1);
        let request = self.origin.get(url).header(RANGE, wanted);
        let bytes = request
            .send()
            .await
            .map_err(|error| OriginError::Http(error.without_url()))?;
        let encoding = bytes.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(OriginError::Encoding);
        }
        match bytes.status().as_u16() {
            206 => {
                let found = bytes.headers().get(CONTENT_RANGE);
                let found = found.and_then(|range| content_range(range.to_str().ok()?));
                let (first, last, size) = found.ok_or(OriginError::Range)?;
                if size > MOST_BYTES {
                    return Err(OriginError::TooLarge(size));
                }
                let end = part.size_within(size).map(|size| range.start + size);
                if first != start || end != Some(last + 1) {
                    return Err(OriginError::Range);
                }
                let file_size = Some(size);
                Ok(Some(FromOrigin { file_size, bytes }))
            }
            // The whole file, which may be no larger than its first part.
            200 if start == 0 => match bytes.content_length() {
                Some(size) if size > PART_SIZE => Err(OriginError::NoRanges),
                file_size => Ok(Some(FromOrigin { file_size, bytes })),
            },
            200 => Err(OriginError::NoRanges),
            404 | 410 => Ok(None),
            status => Err(OriginError::Status(status)),
        }
    }
}

/// First byte, last byte and length of the whole, from `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size) = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (first <= last && last < size).then_some((first, last, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_a_file_whose_size_is_known() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 9, 10)));
        for text in [
            "bytes 5-9/*",
            "bytes */10",
            "5-9/10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes 0-18446744073709551615/1",
        ] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
