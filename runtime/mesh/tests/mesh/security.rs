//! Who gets an answer, and what can be asked for.

use niphas_mesh::PART;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cluster::{Cluster, PEER, READER, Signer, bytes, client};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_readers_get_files_and_only_peers_get_parts() {
    let cluster = Cluster::start(2, 1).await;
    cluster.origin.add("nar/x.nar", bytes(1, 10));
    let cache = utf8_percent_encode(&cluster.origin.url, NON_ALPHANUMERIC);
    let file = cluster.url(0, "nar/x.nar");
    let part = format!(
        "http://{}/part/{cache}/0/nar/x.nar",
        cluster.peers[0].address
    );
    let client = client();
    let status = async |url: &str, token: Option<String>| {
        let mut request = client.get(url).header("niphas-mesh-node", "node-1");
        request = request
            .header("niphas-mesh-role", "home")
            .header("niphas-mesh-from", "0");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let token = |subject, audience, seconds| Some(cluster.signer.token(subject, audience, seconds));
    let mesh = "niphas-mesh";
    for url in [&file, &part] {
        assert_eq!(status(url, None).await, 401);
        assert_eq!(status(url, Some("a.b.c".to_owned())).await, 401);
        assert_eq!(
            status(url, Some(Signer::new().token(READER, mesh, 60))).await,
            401
        );
        assert_eq!(
            status(url, Some(Signer::new().token(PEER, mesh, 60))).await,
            401
        );
        assert_eq!(
            status(
                url,
                token("system:serviceaccount:shop:niphas-mesh", mesh, 60)
            )
            .await,
            403
        );
        for account in [READER, PEER] {
            assert_eq!(status(url, token(account, mesh, -120)).await, 401);
            assert_eq!(
                status(url, token(account, "https://kubernetes.default.svc", 60)).await,
                403
            );
        }
    }
    assert_eq!(cluster.origin.sent(), 0, "what was refused was not fetched");
    assert_eq!(status(&file, token(PEER, mesh, 60)).await, 403);
    assert_eq!(status(&part, token(READER, mesh, 60)).await, 403);
    assert_eq!(status(&file, token(READER, mesh, 60)).await, 200);
    assert_eq!(status(&part, token(PEER, mesh, 60)).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_configured_caches_are_asked_and_only_for_files_below_them() {
    let cluster = Cluster::start(1, 1).await;
    let other = Cluster::start(1, 1).await;
    other.origin.add("nar/x.nar", bytes(1, 10));
    let encoded = |url: &str| utf8_percent_encode(url, NON_ALPHANUMERIC).to_string();
    let token = cluster.signer.token(READER, "niphas-mesh", 60);
    let address = cluster.peers[0].address;
    let of_other = format!("{}/nar/x.nar", encoded(&other.origin.url));
    let outside = format!("{}/..%2f..%2fetc/passwd", encoded(&cluster.origin.url));
    let encoded_twice = format!("{}/nar/%252e%252e/x", encoded(&cluster.origin.url));
    let written_otherwise = encoded(&cluster.origin.url.to_uppercase().replace("HTTP", "hTTp"));
    cluster.origin.add("nar/y.nar", bytes(2, 0));
    let request = client().get(format!(
        "http://{address}/cache/{written_otherwise}/nar/y.nar"
    ));
    let answer = request.bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let absolute = format!("{}/http%3A%2F%2F{address}/x", encoded(&cluster.origin.url));
    for path in [&of_other, &outside, &encoded_twice, &absolute] {
        let request = client().get(format!("http://{address}/cache/{path}"));
        let answer = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    assert_eq!(other.origin.sent() + cluster.origin.sent(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_that_are_none_are_not_given() {
    let cluster = Cluster::start(1, 1).await;
    cluster.origin.add("nar/x.nar", bytes(1, PART + 10));
    let cache = utf8_percent_encode(&cluster.origin.url, NON_ALPHANUMERIC);
    let token = cluster.signer.token(PEER, "niphas-mesh", 60);
    let ask = async |index: &str, role: &str, from: &str| {
        let url = format!(
            "http://{}/part/{cache}/{index}/nar/x.nar",
            cluster.peers[0].address
        );
        let request = client().get(url).bearer_auth(&token);
        let request = request
            .header("niphas-mesh-node", "node-1")
            .header("niphas-mesh-role", role);
        request
            .header("niphas-mesh-from", from)
            .send()
            .await
            .unwrap()
    };
    // A holder fetches nothing.
    assert_eq!(ask("0", "holder", "0").await.status(), 409);
    assert_eq!(cluster.origin.sent(), 0);
    let part = ask("1", "home", "3").await;
    assert_eq!(
        part.headers()["niphas-mesh-file-size"],
        *(PART + 10).to_string()
    );
    assert_eq!(part.bytes().await.unwrap(), bytes(1, PART + 10)[PART + 3..]);
    assert_eq!(ask("1", "holder", "0").await.status(), 200);
    assert_eq!(ask("1", "home", "11").await.status(), 409);
    assert_eq!(ask("2", "home", "0").await.status(), 404);
    assert_eq!(ask("4294967295", "home", "0").await.status(), 404);
    assert_eq!(ask("4294967296", "home", "0").await.status(), 400);
    assert_eq!(ask("0", "king", "0").await.status(), 400);
    assert_eq!(ask("0", "home", "-1").await.status(), 400);
}
