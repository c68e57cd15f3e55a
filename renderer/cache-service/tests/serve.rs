//! A cache in a folder, as it is served.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::{HeaderMap, StatusCode};
use niphas_cache_service::serve::{ReadTokens, ServedCache, router};
use niphas_http::Secret;
use nix_formats::StoreDir;
use tower::ServiceExt;

const HASH: &str = "0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h";

fn cache(folder: &Path) -> ServedCache {
    ServedCache {
        folder: folder.to_owned(),
        store_dir: StoreDir::default(),
        priority: 30,
        tokens: None,
    }
}

async fn ask(
    cache: &ServedCache,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router(cache.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    (parts.status, parts.headers, body.to_vec())
}

#[tokio::test]
async fn files_are_served_as_a_whole_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path());
    let (status, _, body) = ask(&cache, "GET", "/nix-cache-info", &[]).await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"
    );

    fs::create_dir(folder.path().join("nar")).unwrap();
    let contents: Vec<u8> = (0..700_000_u32).map(|byte| byte as u8).collect();
    fs::write(folder.path().join("nar/x.nar"), &contents).unwrap();
    let (status, headers, body) = ask(&cache, "GET", "/nar/x.nar", &[]).await;
    assert_eq!(
        (status, headers["content-length"].to_str().unwrap()),
        (StatusCode::OK, "700000")
    );
    assert!(body == contents);
    let etag = headers["etag"].to_str().unwrap().to_owned();

    let (status, headers, body) = ask(&cache, "HEAD", "/nar/x.nar", &[]).await;
    assert_eq!(
        (status, headers["content-length"].to_str().unwrap()),
        (StatusCode::OK, "700000")
    );
    assert!(body.is_empty());

    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=262143-262145", 262_143, 262_146),
        ("bytes=699999-", 699_999, 700_000),
        ("bytes=-10", 699_990, 700_000),
        ("bytes=1-9999999", 1, 700_000),
    ] {
        let (status, headers, body) = ask(&cache, "GET", "/nar/x.nar", &[("range", range)]).await;
        assert_eq!(status, 206, "{range}");
        assert!(body == contents[start..end], "{range}");
        let expected = format!("bytes {start}-{}/700000", end - 1);
        assert_eq!(headers["content-range"], expected, "{range}");
        assert_eq!(
            headers["content-length"],
            (end - start).to_string(),
            "{range}"
        );
    }
    let beyond = [("range", "bytes=700000-")];
    let (status, headers, body) = ask(&cache, "GET", "/nar/x.nar", &beyond).await;
    assert_eq!((status, body.len()), (StatusCode::RANGE_NOT_SATISFIABLE, 0));
    assert_eq!(headers["content-range"], "bytes */700000");

    let known = [("if-none-match", etag.as_str())];
    let (status, _, body) = ask(&cache, "GET", "/nar/x.nar", &known).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    let resumed = [("range", "bytes=5-"), ("if-range", etag.as_str())];
    assert_eq!(ask(&cache, "GET", "/nar/x.nar", &resumed).await.0, 206);

    // Another file in its place is another version.
    fs::write(folder.path().join("nar/new"), "other").unwrap();
    fs::rename(
        folder.path().join("nar/new"),
        folder.path().join("nar/x.nar"),
    )
    .unwrap();
    let (status, _, body) = ask(&cache, "GET", "/nar/x.nar", &resumed).await;
    assert_eq!((status, body), (StatusCode::OK, b"other".to_vec()));
}

#[tokio::test]
async fn what_is_not_of_a_cache_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder.path().join("cache"));
    fs::create_dir_all(cache.folder.join("nar")).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::write(cache.folder.join("other"), "secret").unwrap();
    fs::write(cache.folder.join("nar/.hidden"), "secret").unwrap();
    symlink("../secret", cache.folder.join(format!("{HASH}.narinfo"))).unwrap();
    symlink(
        folder.path().join("secret"),
        cache.folder.join("nar/link.nar"),
    )
    .unwrap();
    symlink(folder.path(), cache.folder.join("log")).unwrap();
    fs::create_dir(cache.folder.join("nar/folder")).unwrap();
    let pipe = cache.folder.join("nar/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    for path in [
        "/",
        "/other",
        "/nar",
        "/nar/",
        "/nar/.hidden",
        "/nar/../other",
        "/nar/..%2Fother",
        "/nar/%2e%2e/other",
        "/../secret",
        "/%2e%2e/secret",
        "//etc/passwd",
        "/nar//etc/passwd",
        "/nar/folder",
        "/nar/pipe",
        "/nar/link.nar",
        "/log/secret",
        &format!("/{HASH}.narinfo"),
        "/nar/x%00",
        "/realisations/x.doi",
    ] {
        let (status, _, body) = ask(&cache, "GET", path, &[]).await;
        assert_eq!(status, 404, "{path}");
        assert!(!String::from_utf8_lossy(&body).contains("secret"), "{path}");
    }
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let (status, headers, _) = ask(&cache, method, "/nar/x.nar", &[]).await;
        assert_eq!(
            (status, headers["allow"].to_str().unwrap()),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD")
        );
    }
}

#[tokio::test]
async fn nothing_is_served_without_a_token_where_one_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let tokens: ReadTokens = [Secret::from("a token")].into_iter().collect();
    let cache = ServedCache {
        tokens: Some(tokens),
        ..cache(folder.path())
    };
    // base64 of "nix:a token".
    let basic = "Basic bml4OmEgdG9rZW4=";
    for (header, expected) in [
        (None, 401),
        (Some("Bearer a token"), 200),
        (Some(basic), 200),
        (Some("Bearer another"), 401),
    ] {
        let headers: Vec<_> = header
            .map(|value| ("authorization", value))
            .into_iter()
            .collect();
        let (status, headers, _) = ask(&cache, "GET", "/nix-cache-info", &headers).await;
        assert_eq!(status, expected, "{header:?}");
        assert_eq!(headers.contains_key("www-authenticate"), expected == 401);
        let headers: Vec<_> = header
            .map(|value| ("authorization", value))
            .into_iter()
            .collect();
        let (status, ..) = ask(&cache, "GET", "/../etc/passwd", &headers).await;
        assert_eq!(status, if expected == 401 { 401 } else { 404 });
    }
}
