//! Compressed files that are small and have no end.

use niphas_testing::nar::{archive, tokens};
use nix_formats::{Compression, NarInfo};

use crate::compressed::{METHODS, compressed, zeros};
use crate::support::{Cache, Fault, directory, file, key, noise, open, realise, store_path};
use crate::{assert_empty, assert_memory_is_bounded, told};

/// A path whose narinfo a trusted key signed, compressed so, whose body is another.
fn add(cache: &Cache, name: &str, nar: &[u8], method: &Compression, body: Vec<u8>) -> NarInfo {
    let mut info = cache.add_nar(&store_path("bomb", name), nar, &[], &[&key("test")]);
    info.compression = method.clone();
    cache.add_info(&info);
    cache.fault(&info.url, Fault::Replace(body));
    info
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_end_where_the_narinfo_says() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let mut endless_file = archive(&tokens(&[b"(", b"type", b"regular", b"contents"]));
    endless_file.extend((1_u64 << 38).to_le_bytes());
    for method in &METHODS[1..] {
        // 512 MiB of zeros in a few KiB, said to be 1 MiB.
        for (name, start, why) in [
            ("zeros", &[][..], "at least 1"),
            ("a-file", &endless_file, "at least 1"),
        ] {
            let what = format!("{name}-{method}");
            let body = zeros(method, start, 32);
            assert!(body.len() < 8 << 20, "{what}: {} bytes", body.len());
            let info = add(&cache, &what, &vec![0; 1 << 20], method, body);
            let error = realise(&store, &[info.path], &cache.client())
                .await
                .unwrap_err();
            let text = told(&error, &what);
            assert!(text.contains(why), "{what}: {text}");
            assert_empty(dir.path(), &what);
        }
    }
    assert_memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_unpack_to_nothing_end_too() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let nar = file("small").nar();
    for method in &METHODS[1..] {
        let mut body = compressed(method, &[]);
        if *method != Compression::Brotli {
            body = body.repeat((4 << 20) / body.len());
        }
        let info = add(&cache, &format!("nothing-{method}"), &nar, method, body);
        let error = realise(&store, &[info.path], &cache.client())
            .await
            .unwrap_err();
        let text = told(&error, method.name());
        let why = match method {
            Compression::Brotli => "has 0 bytes instead of",
            _ => "is larger than 1048",
        };
        assert!(text.contains(why), "{method}: {text}");
        assert_empty(dir.path(), method.name());
    }
    // A frame of zstd that is to be skipped, as long as its length can say.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18][..], &[0xff; 4], &vec![0; 4 << 20]].concat();
    let info = add(&cache, "skipped", &nar, &Compression::Zstd, skipped);
    let error = realise(&store, &[info.path], &cache.client())
        .await
        .unwrap_err();
    let text = told(&error, "skipped");
    assert!(text.contains("is larger than 1048"), "{text}");
    assert_memory_is_bounded();
}

/// An xz stream whose header asks for a dictionary of almost 4 GiB.
fn greedy_xz(nar: &[u8]) -> Vec<u8> {
    let mut xz = compressed(&Compression::Xz, nar);
    // The stream's header has 12 bytes. The block's: its size in words less one, flags, LZMA2's number, the size of its
    // properties, the dictionary, padding, and the CRC-32 of all that.
    let length = usize::from(xz[12]) * 4;
    let (block, crc) = xz[12..12 + length + 4].split_at_mut(length);
    assert_eq!(block[2..4], [0x21, 1]);
    block[4] = 40;
    let mut sum = flate2::Crc::new();
    sum.update(block);
    crc.copy_from_slice(&sum.sum().to_le_bytes());
    xz
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stream_gets_the_memory_that_it_asks_for() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let nar = file("small").nar();
    // A window of 2 GiB; one raw block of one byte.
    let greedy_zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 9, 0, 0, 0];
    // The "large window" of later encoders, 2 GiB too.
    let greedy_brotli = vec![0x11, 0x1f, 3];
    let too_far = "bytes, more than the 268435456 that it may";
    for (method, body, why) in [
        (Compression::Zstd, greedy_zstd, too_far),
        (Compression::Xz, greedy_xz(&nar), too_far),
        (Compression::Brotli, greedy_brotli, "cannot read the NAR"),
    ] {
        let info = add(&cache, &format!("greedy-{method}"), &nar, &method, body);
        let error = realise(&store, &[info.path], &cache.client())
            .await
            .unwrap_err();
        let text = told(&error, method.name());
        assert!(text.contains(why), "{method}: {text}");
        assert_empty(dir.path(), method.name());
    }
    assert_memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_compressed_files_is_found_whatever_the_compression() {
    let (cache, dir) = (Cache::start().await, tempfile::tempdir().unwrap());
    let store = open(dir.path());
    let nar = directory([("a", file(noise(1, 300))), ("b", file("b".repeat(4000)))]).nar();
    let mut count = 0;
    for method in &METHODS {
        let good = compressed(method, &nar);
        let info = add(
            &cache,
            &format!("damage-{method}"),
            &nar,
            method,
            good.clone(),
        );
        let mut cases = Vec::new();
        for length in (0..good.len()).step_by(good.len() / 12) {
            cases.push((format!("cut at {length}"), good[..length].to_vec()));
        }
        for at in (0..good.len()).step_by(good.len() / 40) {
            let mut changed = good.clone();
            changed[at] ^= 0x10;
            cases.push((format!("byte {at} changed"), changed));
        }
        cases.push(("another NAR after it".to_owned(), good.repeat(2)));
        cases.push(("noise".to_owned(), noise(9, 5000)));
        for (what, body) in cases {
            let what = format!("{method}, {what}");
            cache.fault(&info.url, Fault::Replace(body));
            let path = std::slice::from_ref(&info.path);
            match realise(&store, path, &cache.client()).await {
                Err(error) => {
                    let text = told(&error, &what);
                    let whys = [
                        "cannot read the NAR",
                        "bytes instead of",
                        "has the hash",
                        "is larger than",
                    ];
                    assert!(whys.iter().any(|why| text.contains(why)), "{what}: {text}");
                    assert_empty(dir.path(), &what);
                    count += 1;
                }
                // Not every bit of a compressed file says something about its contents.
                Ok(closure) => {
                    let line = &closure.lines.as_slice()[0];
                    assert_eq!(line.nar_hash, info.nar_hash, "{what}");
                    drop(closure);
                    assert_eq!(crate::support::rebuilt(&store, &info.path), info.nar_hash);
                    let report = store.collect_garbage(&niphas_store::GcOptions::default());
                    report.unwrap();
                    assert_empty(dir.path(), &what);
                }
            }
        }
    }
    assert!(count >= 250, "{count} cases");
}
