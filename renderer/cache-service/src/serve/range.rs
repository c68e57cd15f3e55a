//! Ranges and conditions of requests, as RFC 9110 has them.

use axum::extract::Request;
use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method};

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// Bytes from `start` on, `length` of them, which is not 0.
    Some {
        start: u64,
        length: u64,
    },
    /// Nothing that the file has.
    None,
}

/// Whether the reader has the file already.
pub(super) fn is_unchanged(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter();
    let mut tags = lists.flat_map(|list| list.as_bytes().split(|&byte| byte == b','));
    tags.any(|tag| {
        let tag = tag.trim_ascii();
        let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
        tag == b"*" || tag == etag.as_bytes()
    })
}

/// What of a file of this size a request asks for. Of several ranges at once, and of what is no range, the whole file is the answer.
pub(super) fn part(request: &Request, etag: &HeaderValue, size: u64) -> Part {
    let headers = request.headers();
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return Part::Whole;
    };
    // Another version of the file than the reader has the start of.
    let is_other = headers.get(IF_RANGE).is_some_and(|known| known != etag);
    if request.method() != Method::GET || is_other {
        return Part::Whole;
    }
    let range = range.to_str().ok().and_then(parse);
    match range {
        None => Part::Whole,
        Some(Range::From { first, last }) if first < size && last >= first => Part::Some {
            start: first,
            length: last.min(size - 1) - first + 1,
        },
        Some(Range::Last(count)) if count > 0 && size > 0 => {
            let length = count.min(size);
            Part::Some {
                start: size - length,
                length,
            }
        }
        Some(_) => Part::None,
    }
}

enum Range {
    /// Both ends included.
    From {
        first: u64,
        last: u64,
    },
    Last(u64),
}

fn parse(text: &str) -> Option<Range> {
    let (unit, range) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // No file has as many bytes.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", last) => number(last).map(Range::Last),
        (first, "") => Some(Range::From {
            first: number(first)?,
            last: u64::MAX,
        }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // RFC 9110: such a range is no range.
            (first <= last).then_some(Range::From { first, last })
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn part_of(range: &str, size: u64) -> Part {
        let request = Request::builder().header(RANGE, range);
        let request = request.body(Body::empty()).unwrap();
        part(&request, &HeaderValue::from_static("\"x\""), size)
    }

    #[test]
    fn ranges_are_exact() {
        let some = |start, length| Part::Some { start, length };
        for (range, size, expected) in [
            ("bytes=0-0", 10, some(0, 1)),
            ("bytes=0-9", 10, some(0, 10)),
            ("bytes=0-10", 10, some(0, 10)),
            ("bytes=9-", 10, some(9, 1)),
            ("bytes=10-", 10, Part::None),
            ("bytes=10-20", 10, Part::None),
            ("bytes=-1", 10, some(9, 1)),
            ("bytes=-10", 10, some(0, 10)),
            ("bytes=-11", 10, some(0, 10)),
            ("bytes=-0", 10, Part::None),
            ("bytes=-1", 0, Part::None),
            ("bytes=0-", 0, Part::None),
            ("bytes=5-4", 10, Part::Whole),
            ("bytes=0-1,3-4", 10, Part::Whole),
            ("bytes=x-", 10, Part::Whole),
            ("bytes=+1-", 10, Part::Whole),
            ("bytes=-", 10, Part::Whole),
            ("lines=0-1", 10, Part::Whole),
            ("bytes=99999999999999999999999-", 10, Part::None),
            ("bytes=1-99999999999999999999999", 10, some(1, 9)),
        ] {
            assert_eq!(part_of(range, size), expected, "{range} of {size}");
        }
    }

    #[test]
    fn conditions_compare_tags() {
        let etag = HeaderValue::from_static("\"x\"");
        for (list, expected) in [
            ("\"x\"", true),
            ("W/\"x\"", true),
            ("\"y\", \"x\"", true),
            ("*", true),
            ("\"y\"", false),
            ("x", false),
        ] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(list))]);
            assert_eq!(is_unchanged(&headers, &etag), expected, "{list}");
        }
        for (known, expected) in [
            (
                "\"x\"",
                Part::Some {
                    start: 2,
                    length: 8,
                },
            ),
            ("\"y\"", Part::Whole),
            ("W/\"x\"", Part::Whole),
        ] {
            let request = Request::builder()
                .header(RANGE, "bytes=2-")
                .header(IF_RANGE, known);
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(part(&request, &etag, 10), expected, "{known}");
        }
    }
}
