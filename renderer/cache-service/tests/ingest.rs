//! Outputs and logs on their way from pods to the cache: of honest pods, over connections that break, and of hostile ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use binary_cache::DerivationOutput as TraceOutput;
use futures::stream;
use niphas_cache_service::ingest::Limits;
use niphas_cache_service::protocol::{BuildFailure, BuildName, BuildResult, FailureKind, Outcome};
use nix_formats::nar::Writer;
use nix_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, FixedOutput, HashAlgorithm,
    NarHash, StorePath,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use support::{
    Nars, Service, claim, derivation, info, nar, path, put, small_limits, spec, store_dir,
};

/// A pod with a derivation of an input, and its output.
struct Case {
    service: Service,
    build: BuildName,
    derivation: Derivation,
    input: StorePath,
    out: StorePath,
}

fn out_of(derivation: &Derivation) -> StorePath {
    let output = &derivation.outputs["out"];
    let path = output.path(&store_dir(), &derivation.name, "out").unwrap();
    path.unwrap()
}

async fn case_with(env: &[(&str, &str)]) -> Case {
    let service = Service::start(small_limits()).await;
    let input = path("input");
    put(&service.cache(), &input, nar(b"input"), &[]).await;
    let derivation = derivation("x", &[&input], &[("out", DerivationOutput::Deferred)], env);
    let out = out_of(&derivation);
    let build = service.world.add("pod", spec(&derivation));
    Case {
        service,
        build,
        derivation,
        input,
        out,
    }
}

async fn case() -> Case {
    case_with(&[]).await
}

impl Case {
    fn page(&self, rest: &str) -> String {
        format!("/builds/{}{rest}", self.build)
    }

    /// Sends bytes as an output, in one request.
    async fn patch(&self, offset: u64, bytes: Vec<u8>) -> (u16, Value) {
        self.patch_as(offset, bytes, None).await
    }

    async fn patch_as(&self, offset: u64, bytes: Vec<u8>, encoding: Option<&str>) -> (u16, Value) {
        let page = self.page("/outputs/out");
        let mut request = self.service.send("pod", "PATCH", &page);
        request = request.header("upload-offset", offset);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        answer(request.body(bytes)).await
    }

    /// Says that the output is what these bytes are.
    async fn finish(&self, nar: &[u8]) -> (u16, Value) {
        let outputs = json!({ "out": claim(&self.out, nar) });
        self.finish_with(&json!({ "result": "built", "outputs": outputs }))
            .await
    }

    async fn finish_with(&self, result: &Value) -> (u16, Value) {
        let request = self.service.send("pod", "POST", &self.page("/finish"));
        answer(request.body(result.to_string())).await
    }

    /// Uploads and finishes; the message of what comes of it.
    async fn refused(&self, nar: Vec<u8>) -> String {
        assert_eq!(self.patch(0, nar.clone()).await.0, 204);
        let (status, answer) = self.finish(&nar).await;
        assert_eq!(
            (status, &answer["outcome"]),
            (200, &json!("failed")),
            "{answer}"
        );
        assert!(self.service.narinfo(&self.out).is_none());
        answer["message"].as_str().unwrap().to_owned()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let offset = response.headers().get("upload-offset").cloned();
    let text = response.bytes().await.unwrap();
    let mut body: Value = serde_json::from_slice(&text).unwrap_or(Value::Null);
    if let (Some(offset), Some(body)) = (offset, body.as_object_mut()) {
        body.insert("offset".to_owned(), json!(offset.to_str().unwrap()));
    }
    (status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pod_builds_is_in_the_cache_signed_with_its_log() {
    let case = case().await;
    let client = case.service.client("pod");
    let request = client.request(&case.build).await.unwrap();
    let name = request.derivation.name().strip_suffix(".drv").unwrap();
    let read = Derivation::parse_aterm(&store_dir(), name, &request.aterm).unwrap();
    assert_eq!(read, case.derivation);

    let log = case.service.folder.path().join("log");
    let done = CancellationToken::new();
    let following = {
        let (client, build) = (client.clone(), case.build.clone());
        let (log, done) = (log.clone(), done.clone());
        tokio::spawn(async move { client.follow_log(&build, &log, done).await })
    };
    let mut file = fs::File::create(&log).unwrap();
    file.write_all(b"one\n").unwrap();
    let mut length = loop {
        if let Some(length) = case.service.ingest.log_length(&case.build) {
            break length;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    length.wait_for(|length| *length == 4).await.unwrap();
    let piece = case.service.ingest.log(&case.build, 2, 100).await.unwrap();
    assert_eq!(&piece.unwrap().bytes[..], b"e\n");
    file.write_all(b"two\n").unwrap();
    done.cancel();
    following.await.unwrap().unwrap();

    let contents = nar(format!("{} {}", store_dir().print(&case.input), case.out).as_bytes());
    let source = Arc::new(Nars(BTreeMap::from([(case.out.clone(), contents.clone())])));
    let own = info(&case.out, &contents, &[]);
    client
        .upload(&case.build, "out", source, &own)
        .await
        .unwrap();
    let outputs = BTreeMap::from([("out".to_owned(), claim(&case.out, &contents))]);
    let result = BuildResult::Built {
        outputs: outputs.clone(),
    };
    for _ in 0..2 {
        let outcome = client.finish(&case.build, &result).await.unwrap();
        assert_eq!(
            outcome,
            Outcome::Stored {
                outputs: outputs.clone()
            }
        );
    }
    let source = Arc::new(Nars(BTreeMap::from([(case.out.clone(), contents.clone())])));
    let infos = BTreeMap::from([("out".to_owned(), own)]);
    let again = client.deliver(&case.build, source, &infos).await.unwrap();
    assert_eq!(again, Outcome::Stored { outputs });
    let narinfo = case.service.narinfo(&case.out).unwrap();
    assert_eq!(
        narinfo.references,
        [case.input.clone(), case.out.clone()].into()
    );
    assert_eq!(narinfo.nar_hash, NarHash::of(&contents));
    let keys = nix_formats::PublicKeys::from_iter([support::key().public_key()]);
    assert_eq!(narinfo.signers(&store_dir(), &keys), ["test-1"]);
    assert_eq!(narinfo.deriver.as_ref(), Some(&request.derivation));
    let cached_log = case
        .service
        .cache()
        .join(format!("log/{}", request.derivation));
    assert_eq!(fs::read(cached_log).unwrap(), b"one\ntwo\n");
    assert_eq!(case.service.uploads(), ["log", "outcome.json"]);
    assert_eq!(case.service.world.0.outcomes.lock().unwrap().len(), 1);
    case.service.ingest.forget(&case.build).await;
    assert_eq!(case.service.uploads(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_anywhere_goes_on_there() {
    let case = case().await;
    let contents = nar(&[7; 3000]);
    let page = case.page("/outputs/out");
    let mut sent = 0;
    // Bodies that end before their length is reached.
    for cut in [0, 1, 7, 8, 100, 1999, 2000, 3000] {
        let body = stream::iter([
            Ok(contents[sent..sent.max(cut)].to_vec()),
            Err(std::io::Error::other("cut")),
        ]);
        let request = case.service.send("pod", "PATCH", &page);
        let request = request.header("upload-offset", sent);
        let failed = request.body(reqwest::Body::wrap_stream(body)).send().await;
        assert!(failed.is_err());
        // The service may still write what came.
        for _ in 0..100 {
            let head = case
                .service
                .send("pod", "HEAD", &page)
                .send()
                .await
                .unwrap();
            let offset: usize = head.headers()["upload-offset"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!(offset >= sent && offset <= sent.max(cut));
            sent = offset;
            if sent == cut {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(
        case.patch(sent as u64, contents[sent..].to_vec()).await.0,
        204
    );
    assert_eq!(case.finish(&contents).await.1["outcome"], "stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_takes_the_place_of_one_that_hangs() {
    let case = case().await;
    let contents = nar(b"contents");
    let first = contents[..10].to_vec();
    let body = futures::StreamExt::chain(
        stream::iter([Ok::<_, std::io::Error>(first)]),
        stream::pending(),
    );
    let page = case.page("/outputs/out");
    let request = case
        .service
        .send("pod", "PATCH", &page)
        .header("upload-offset", 0);
    let hanging = tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    // What was gathered and not yet written is sent again.
    let (status, body) = case.patch(0, contents.clone()).await;
    assert_eq!(status, 204, "{body}");
    assert_eq!(hanging.await.unwrap().unwrap().status(), 409);
    assert_eq!(case.finish(&contents).await.1["outcome"], "stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_goes_on_after_a_restart() {
    let case = case().await;
    let contents = nar(&[1; 500]);
    assert_eq!(case.patch(0, contents[..300].to_vec()).await.0, 204);
    case.service.stop.cancel();
    let Case {
        service,
        build,
        derivation,
        input,
        out,
    } = case;
    let Service { folder, world, .. } = service;
    let service = Service::start_in(folder, world, small_limits()).await;
    let case = Case {
        service,
        build,
        derivation,
        input,
        out,
    };
    let (status, answer) = case.patch(0, contents.clone()).await;
    assert_eq!((status, &answer["offset"]), (409, &json!("300")));
    assert_eq!(case.patch(300, contents[300..].to_vec()).await.0, 204);
    assert_eq!(case.finish(&contents).await.1["outcome"], "stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_addressed_outputs_have_the_paths_that_they_make() {
    let service = Service::start(small_limits()).await;
    let floating = DerivationOutput::Floating {
        method: ContentAddressMethod::Recursive,
        algorithm: HashAlgorithm::Sha256,
    };
    let derivation = derivation("ca", &[], &[("out", floating)], &[("out", "/placeholder")]);
    let mut spec = spec(&derivation);
    let id: TraceOutput = format!("sha256:{}!out", "4a".repeat(32)).parse().unwrap();
    spec.traces = [("out".to_owned(), vec![id.clone()])].into();
    let build = service.world.add("pod", spec);
    // It names itself: the hash is that of its contents with zeros in the place of its own hash part.
    let with = |hash_part: &str| nar(format!("I am {hash_part}-ca").as_bytes());
    let zeros = with("\0".repeat(32).as_str());
    let own = store_dir()
        .make_fixed_output_path(
            &FixedOutput {
                method: ContentAddressMethod::Recursive,
                hash: HashAlgorithm::Sha256.digest(&zeros),
                references: [].into(),
                self_reference: true,
            },
            "ca",
        )
        .unwrap();
    let client = service.client("pod");
    let other = path("ca");
    for (path, is_right) in [(&other, false), (&own, true)] {
        if is_right {
            // The first outcome stays; another pod tries again.
            service.ingest.forget(&build).await;
        }
        let contents = with(path.hash_part());
        let source = Arc::new(Nars(BTreeMap::from([(path.clone(), contents.clone())])));
        let own_info = info(path, &contents, &[]);
        client
            .upload(&build, "out", source, &own_info)
            .await
            .unwrap();
        let outputs = BTreeMap::from([("out".to_owned(), claim(path, &contents))]);
        let outcome = client
            .finish(&build, &BuildResult::Built { outputs })
            .await
            .unwrap();
        match outcome {
            Outcome::Stored { .. } => assert!(is_right),
            Outcome::Failed(failure) => {
                assert!(!is_right, "{failure:?}");
                assert!(
                    failure
                        .message
                        .starts_with("output 'out' has the path '/nix/store/")
                );
            }
        }
    }
    let narinfo = service.narinfo(&own).unwrap();
    assert_eq!(narinfo.references, [own.clone()].into());
    assert!(narinfo.is_content_addressed(&store_dir()));
    let trace = fs::read_to_string(service.cache().join(format!("realisations/{id}.doi"))).unwrap();
    let trace: Value = serde_json::from_str(&trace).unwrap();
    assert_eq!(trace["outPath"], own.base_name());
    assert_eq!(trace["signatures"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fixed_outputs_have_the_hash_that_they_must() {
    let service = Service::start(small_limits()).await;
    let (good, bad) = (b"what was asked for", b"something else");
    for (number, method) in [ContentAddressMethod::Flat, ContentAddressMethod::Recursive]
        .into_iter()
        .enumerate()
    {
        let bytes = if number == 0 {
            good.to_vec()
        } else {
            nar(good)
        };
        let hash = HashAlgorithm::Sha256.digest(&bytes);
        let output = DerivationOutput::FixedOutput(ContentAddress { method, hash });
        let derivation = derivation("fixed", &[], &[("out", output)], &[]);
        let out = out_of(&derivation);
        let build = service.world.add("pod", spec(&derivation));
        let client = service.client(if number == 0 { "pod" } else { "pod2" });
        {
            let mut pods = service.world.0.pods.lock().unwrap();
            pods.insert("pod2".to_owned(), vec![build.clone()]);
        }
        for contents in [nar(bad), nar(good)] {
            let source = Arc::new(Nars(BTreeMap::from([(out.clone(), contents.clone())])));
            let own = info(&out, &contents, &[]);
            client.upload(&build, "out", source, &own).await.unwrap();
            let outputs = BTreeMap::from([("out".to_owned(), claim(&out, &contents))]);
            let finished = client
                .finish(&build, &BuildResult::Built { outputs })
                .await
                .unwrap();
            if contents == nar(good) {
                assert!(matches!(finished, Outcome::Stored { .. }), "{finished:?}");
                continue;
            }
            let Outcome::Failed(BuildFailure { kind, message }) = finished else {
                panic!("it is stored");
            };
            assert_eq!(kind, FailureKind::HashMismatch);
            assert!(
                message.starts_with("hash mismatch in fixed-output derivation"),
                "{message}"
            );
            service.ingest.forget(&build).await;
        }
        assert!(service.narinfo(&out).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_failed_keeps_its_log_and_makes_nothing() {
    let case = case().await;
    let log = case.service.folder.path().join("log");
    fs::write(&log, "error: no\n").unwrap();
    let (client, done) = (case.service.client("pod"), CancellationToken::new());
    done.cancel();
    client.follow_log(&case.build, &log, done).await.unwrap();
    let failure = BuildFailure {
        kind: FailureKind::Builder,
        message: "builder failed with exit code 1".to_owned(),
    };
    let outcome = client
        .finish(&case.build, &BuildResult::Failed(failure.clone()))
        .await;
    assert_eq!(outcome.unwrap(), Outcome::Failed(failure));
    assert_eq!(
        fs::read_dir(case.service.cache().join("log"))
            .unwrap()
            .count(),
        1
    );
    assert!(case.service.narinfo(&case.out).is_none());
}

/// More builds than are kept at a time come one after the other: what has an outcome makes room, what has none does not.
#[tokio::test(flavor = "multi_thread")]
async fn finished_builds_make_room_for_others() {
    let limits = Limits {
        builds: 2,
        ..small_limits()
    };
    let service = Service::start(limits).await;
    let failure = json!({ "result": "failed", "kind": "builder", "message": "no" });
    let builds: Vec<BuildName> = (0..5)
        .map(|number| {
            let derivation = derivation(
                &format!("x-{number}"),
                &[],
                &[("out", DerivationOutput::Deferred)],
                &[],
            );
            service.world.add("pod", spec(&derivation))
        })
        .collect();
    let log = |build: &BuildName| {
        let request = service.send("pod", "PATCH", &format!("/builds/{build}/log"));
        answer(request.header("upload-offset", 0).body("said\n"))
    };
    let finish = |build: &BuildName| {
        let request = service.send("pod", "POST", &format!("/builds/{build}/finish"));
        answer(request.body(failure.to_string()))
    };
    for build in &builds[..3] {
        assert_eq!(log(build).await.0, 204);
        assert_eq!(finish(build).await.1["outcome"], "failed");
    }
    assert_eq!(service.uploads().len(), 4, "{:?}", service.uploads());
    // These have no outcome.
    assert_eq!(log(&builds[3]).await.0, 204);
    assert_eq!(log(&builds[4]).await.0, 204);
    assert_eq!(service.uploads(), ["log", "log"]);
    assert_eq!(log(&builds[0]).await.0, 503);
    // No pod speaks for one of them any more.
    let kept = [builds[4].clone()].into();
    let ingest = &service.ingest;
    assert_eq!(ingest.keep_only(kept, Duration::from_mins(1)).await, 0);
    let kept = [builds[4].clone()].into();
    assert_eq!(ingest.keep_only(kept, Duration::ZERO).await, 1);
    assert_eq!(log(&builds[0]).await.0, 204);
    assert_eq!(ingest.keep_only([].into(), Duration::ZERO).await, 2);
    assert!(service.ingest.is_empty());
}

/// NARs that no store path has, or that the derivation does not allow.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_outputs_are_refused() {
    let deep = {
        let mut nar = Vec::new();
        let token = |text: &[u8], nar: &mut Vec<u8>| {
            nar.extend((text.len() as u64).to_le_bytes());
            nar.extend(text);
            nar.resize(nar.len().next_multiple_of(8), 0);
        };
        token(b"nix-archive-1", &mut nar);
        for _ in 0..100 {
            for text in ["(", "type", "directory", "entry", "(", "name", "a", "node"] {
                token(text.as_bytes(), &mut nar);
            }
        }
        nar
    };
    let good = nar(b"contents");
    let mut padded = nar(b"abc");
    let place = padded.windows(3).position(|bytes| bytes == b"abc");
    padded[place.unwrap() + 3] = 1;
    let unsorted = {
        let mut writer = Writer::new(Vec::new());
        writer.begin_directory().unwrap();
        for name in ["a", "b"] {
            writer.entry(name.as_bytes()).unwrap();
            writer.file(false, b"").unwrap();
        }
        writer.end_directory().unwrap();
        let mut nar = writer.finish().unwrap();
        let names: Vec<usize> = (0..nar.len() - 9)
            .filter(|&at| nar[at..at + 8] == 1_u64.to_le_bytes() && nar[at + 8] == b'a')
            .collect();
        nar[names[0] + 8] = b'c';
        nar
    };
    let trailing = [good.clone(), vec![0; 8]].concat();
    for (contents, why) in [
        (deep, "NAR directory nesting exceeds maximum depth"),
        (b"hello".to_vec(), "doesn't look like a Nix archive"),
        (good[..good.len() - 1].to_vec(), "before its end"),
        (trailing, "data after the end"),
        (unsorted, "is not sorted"),
        (padded, "non-zero padding"),
        (Vec::from([0_u8; 64]), "doesn't look like a Nix archive"),
    ] {
        let message = case().await.refused(contents).await;
        assert!(message.contains(why), "{message}");
    }
    let input = store_dir().print(&path("input"));
    for (env, contents, why) in [
        (
            ("allowedReferences", ""),
            input.as_str(),
            "is not allowed to refer to the following paths",
        ),
        (
            ("disallowedReferences", input.as_str()),
            &input,
            "is not allowed to refer",
        ),
        (("allowedRequisites", ""), &input, "is not allowed to refer"),
    ] {
        let case = case_with(&[env]).await;
        let message = case.refused(nar(contents.as_bytes())).await;
        assert!(message.contains(why), "{env:?}: {message}");
    }
    // A path that is no input is no reference, whatever names it.
    let case = case().await;
    let stranger = path("stranger");
    put(&case.service.cache(), &stranger, nar(b"s"), &[]).await;
    let contents = nar(stranger.base_name().as_bytes());
    assert_eq!(case.patch(0, contents.clone()).await.0, 204);
    assert_eq!(case.finish(&contents).await.1["outcome"], "stored");
    assert!(
        case.service
            .narinfo(&case.out)
            .unwrap()
            .references
            .is_empty()
    );
}

/// Requests that a pod may not make.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table of requests")]
async fn hostile_requests_are_refused() {
    let case = case().await;
    let mut other = derivation("other", &[], &[("out", DerivationOutput::Deferred)], &[]);
    other.env.clear();
    let other = derivation("other", &[], &[("out", DerivationOutput::Deferred)], &[]);
    let other_out = out_of(&other);
    let other_build = case.service.world.add("other-pod", spec(&other));
    let contents = nar(b"contents");
    let service = &case.service;
    let page = case.page("");
    let theirs = format!("/builds/{other_build}");
    let send = |pod, method, page: &str| service.send(pod, method, page);
    for (request, status, why) in [
        (
            send("stranger", "GET", &page),
            401,
            "expected a bearer token",
        ),
        (send("", "GET", &page), 401, "expected a bearer token"),
        (send("pod", "GET", &theirs), 403, "does not build"),
        (
            send("pod", "PATCH", &format!("{theirs}/outputs/out")).header("upload-offset", 0),
            403,
            "does not build",
        ),
        (
            send("pod", "POST", &format!("{theirs}/finish")),
            403,
            "does not build",
        ),
        (
            send("pod", "PATCH", &format!("{theirs}/log")),
            403,
            "does not build",
        ),
        (
            send("pod", "GET", "/builds/..%2F..%2Fetc"),
            404,
            "one of the protocol's requests",
        ),
        (
            send("pod", "PUT", &format!("{page}/log")),
            404,
            "one of the protocol's requests",
        ),
        (
            send("pod", "DELETE", &format!("{page}/log")),
            404,
            "one of the protocol's requests",
        ),
        (
            send("pod", "HEAD", &format!("{page}/outputs/..%2Fx")),
            404,
            "",
        ),
        (
            send("pod", "PATCH", &format!("{page}/outputs/dev")),
            404,
            "has no output 'dev'",
        ),
        (
            send("pod", "PATCH", &format!("{page}/outputs/out")),
            400,
            "expected a number in upload-offset",
        ),
        (
            send("pod", "PATCH", &format!("{page}/outputs/out")).header("upload-offset", "-1"),
            400,
            "expected a number",
        ),
        (
            send("pod", "PATCH", &format!("{page}/outputs/out")).header("upload-offset", "5"),
            409,
            "ends at byte 0",
        ),
        (
            send("pod", "PATCH", &format!("{page}/outputs/out")).header("upload-offset", u64::MAX),
            409,
            "ends at byte 0",
        ),
        (
            send("pod", "PATCH", &format!("{page}/outputs/out"))
                .header("upload-offset", 0)
                .header("content-encoding", "br"),
            415,
            "expected the Content-Encoding",
        ),
        (
            send("pod", "PATCH", &format!("{page}/log"))
                .header("upload-offset", 0)
                .body(vec![b'x'; 2 << 20]),
            413,
            "the log may have 1048576 bytes",
        ),
        (
            send("pod", "POST", &format!("{page}/finish")).body("{}"),
            400,
            "expected the result of a build",
        ),
        (
            send("pod", "POST", &format!("{page}/finish")).body(vec![b' '; 2 << 20]),
            413,
            "the result of a build may have",
        ),
    ] {
        let (found, body) = answer(request).await;
        assert_eq!(found, status, "{why}: {body}");
        let message = body["message"].as_str().unwrap_or_default();
        assert!(message.contains(why), "{why}: {message}");
    }
    let built = |outputs: Value| json!({ "result": "built", "outputs": outputs });
    let ours = json!(claim(&case.out, &contents));
    for (result, status, why) in [
        (built(json!({})), 400, "'out' is missing"),
        (
            built(json!({ "out": ours, "dev": ours })),
            404,
            "has no output 'dev'",
        ),
        (
            built(json!({ "out": ours })),
            409,
            "output 'out' did not arrive",
        ),
        (
            json!({ "result": "built", "outputs": { "out": { "path": "../x", "narHash": "sha256:x", "narSize": 1 } } }),
            400,
            "expected the result of a build",
        ),
    ] {
        let (found, body) = case.finish_with(&result).await;
        assert_eq!(found, status, "{body}");
        assert!(body["message"].as_str().unwrap().contains(why), "{body}");
    }
    // What arrived is something else than the pod says: it goes, and the pod may try again.
    assert_eq!(case.patch(0, contents.clone()).await.0, 204);
    let (status, body) = case.finish(&nar(b"other")).await;
    assert_eq!(status, 409, "{body}");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .ends_with("upload it again")
    );
    assert_eq!(case.patch(0, contents.clone()).await.0, 204);
    // Another derivation's output.
    let (_, body) = case
        .finish_with(&built(json!({ "out": claim(&other_out, &contents) })))
        .await;
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains("has the path") && message.contains(other_out.base_name()),
        "{message}"
    );
    assert!(service.narinfo(&other_out).is_none() && service.narinfo(&case.out).is_none());
    // Whatever comes after an outcome changes nothing.
    assert_eq!(case.patch(0, contents.clone()).await.0, 410);
    assert_eq!(case.finish(&contents).await.1["outcome"], "failed");
    assert_eq!(case.service.uploads(), ["log", "outcome.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_and_slow_streams_end() {
    let case = case().await;
    let page = case.page("/outputs/out");
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 64 << 10]));
    let request = case
        .service
        .send("pod", "PATCH", &page)
        .header("upload-offset", 0);
    let sent = request
        .body(reqwest::Body::wrap_stream(endless))
        .send()
        .await;
    // The answer may be lost in what is still being sent.
    if let Ok(response) = sent {
        assert_eq!(response.status(), 413);
    }
    let file = fs::metadata(case.service.folder.path().join("uploads"));
    assert!(file.is_ok());
    let head = case
        .service
        .send("pod", "HEAD", &page)
        .send()
        .await
        .unwrap();
    let length: u64 = head.headers()["upload-offset"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(length <= 8 << 20, "{length}");
    assert_eq!(
        case.service
            .send("pod", "DELETE", &page)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(case.service.uploads(), [""; 0]);

    let silent = stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = case
        .service
        .send("pod", "PATCH", &page)
        .header("upload-offset", 0);
    let (status, body) = answer(request.body(reqwest::Body::wrap_stream(silent))).await;
    assert_eq!(status, 408, "{body}");

    // A few bytes that become more than an output may have.
    let bomb = zstd::encode_all(std::io::repeat(0).take_to(64 << 20), 3).unwrap();
    assert!(bomb.len() < 100_000);
    assert_eq!(case.patch_as(0, bomb, Some("zstd")).await.0, 204);
    let plain = case.patch(0, vec![0; 8]).await;
    assert_eq!(plain.0, 409, "{plain:?}");
    let (_, body) = case.finish(&nar(b"x")).await;
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains("more than 8388608 bytes") || message.contains("look like"),
        "{message}"
    );
}

/// As [`std::io::Read::take`], by a name that reads well.
trait TakeTo: std::io::Read + Sized {
    fn take_to(self, bytes: u64) -> std::io::Take<Self> {
        std::io::Read::take(self, bytes)
    }
}

impl TakeTo for std::io::Repeat {}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever requests come, in whatever order, an upload is a beginning of what was sent.
    #[test]
    fn an_upload_holds_what_was_sent_in_order(
        requests in prop::collection::vec((prop::bool::weighted(0.7), 0_usize..3000, 0_usize..700), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let case = case().await;
            let contents: Vec<u8> = (0..20_000_u32).map(|number| (number / 7) as u8).collect();
            let mut length = 0;
            for (is_right, offset, count) in requests {
                let offset = if is_right { length } else { offset };
                let bytes = contents[offset..offset + count].to_vec();
                let (status, answer) = case.patch(offset as u64, bytes).await;
                if offset == length {
                    assert_eq!(status, 204);
                    length += count;
                } else {
                    assert_eq!((status, &answer["offset"]), (409, &json!(length.to_string())));
                }
            }
            let folder = fs::read_dir(case.service.folder.path().join("uploads")).unwrap();
            let folders = folder.map(|entry| entry.unwrap().path());
            // There is no file until the first request that is right.
            let files: Vec<_> = folders.map(|path| path.join("output-out.nar")).filter(|path| path.exists()).collect();
            let written: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
            assert!(written.concat() == contents[..length]);
            assert!(files.len() == 1 || length == 0);
        });
    }
}
