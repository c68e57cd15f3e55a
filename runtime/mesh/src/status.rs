//! What a node's mesh is doing, for people and programs: a page of the running mesh, which `niphas-mesh status` reads.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use hashbrown::HashMap;
use nix_formats::size;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::metrics::From;
use crate::node::Node;
use crate::parts::Kept;

/// Bytes of the largest page that is read: more than that of as many members as there may be.
const MOST_BYTES: usize = 8 << 20;

/// How long the mesh may take to be connected to, and may say nothing.
const CONNECT_TIME: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(10);

/// The status of a running mesh cannot be read.
#[derive(Debug, Error)]
pub enum StatusError {
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] niphas_http::SetupError),
    /// No answer.
    #[error(
        "failed to read the status of the mesh at '{url}': is it running, with that address as --listen-pages?"
    )]
    Request {
        /// The page.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// An answer that is no status.
    #[error("expected the status of a mesh at '{url}', found {found}")]
    Answer {
        /// The page.
        url: Url,
        /// What it is.
        found: String,
    },
}

/// What a node's mesh is doing, and has done since its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshStatus {
    /// The node.
    pub node: String,
    /// The node's zone. None: it does not know itself as a member, so it asks caches alone.
    pub zone: Option<String>,
    /// The caches whose files are shared.
    pub caches: Vec<CacheStatus>,
    /// The members, as the node knows them.
    pub members: Vec<MemberStatus>,
    /// What peers are sent.
    pub uploads: UploadStatus,
    /// What came, by its source.
    pub received: ReceivedBytes,
    /// The share of all received bytes that came from caches. None: nothing came yet.
    pub origin_share: Option<f64>,
    /// Bytes that the node's own readers were given.
    pub read_bytes: u64,
    /// Requests that a cache was asked for as no peer served them.
    pub fallbacks: u64,
    /// Failures of peers.
    pub faults: u64,
    /// Files that did not have the hash of their narinfo.
    pub wrong_files: u64,
    /// What is kept for peers.
    pub kept: Kept,
}

/// A cache whose files are shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheStatus {
    /// Its URL.
    pub url: String,
    /// It failed a moment ago, and is not asked.
    pub down: bool,
}

/// A member of the mesh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// The node's name.
    pub name: String,
    /// The node's zone.
    pub zone: String,
    /// Where it serves.
    pub address: Option<SocketAddr>,
    /// The share of parts that it is its zone's home of, while no member fails.
    pub home_share: f64,
    /// Uploads to it that go on.
    pub uploads: usize,
    /// It failed, and is not asked for this many seconds more.
    pub avoided_seconds: Option<u64>,
}

/// What peers are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadStatus {
    /// Uploads that go on.
    pub active: usize,
    /// How many may.
    pub most: usize,
    /// Bytes that may be sent in a second. None: there is no limit.
    pub bytes_per_second: Option<u64>,
    /// Bytes that were sent.
    pub sent_bytes: u64,
}

/// What came, by its source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedBytes {
    /// From caches.
    pub origin: u64,
    /// From peers of the node's zone.
    pub zone: u64,
    /// From peers of other zones.
    pub other_zones: u64,
}

impl ReceivedBytes {
    fn all(&self) -> u64 {
        self.origin + self.zone + self.other_zones
    }

    fn share(&self, bytes: u64) -> Option<f64> {
        (self.all() > 0).then(|| bytes as f64 / self.all() as f64)
    }
}

impl MeshStatus {
    /// That of this node.
    pub(crate) fn of(node: &Node) -> Self {
        let metrics = node.metrics();
        let received = ReceivedBytes {
            origin: metrics.bytes_received(From::Origin),
            zone: metrics.bytes_received(From::Zone),
            other_zones: metrics.bytes_received(From::OtherZone),
        };
        let directory = node.directory();
        let me = directory.membership().get(&node.name);
        let caches = node.caches.iter().enumerate();
        let uploads = {
            let uploads = node.uploads();
            UploadStatus {
                active: uploads.len(),
                most: uploads.most(),
                bytes_per_second: node.upload_rate,
                sent_bytes: metrics.bytes_sent(),
            }
        };
        Self {
            node: node.name.to_string(),
            zone: me.map(|me| me.zone.to_string()),
            caches: caches
                .map(|(index, url)| CacheStatus {
                    url: url.to_string(),
                    down: node.is_down(index),
                })
                .collect(),
            members: members(node),
            uploads,
            received,
            origin_share: received.share(received.origin),
            read_bytes: metrics.bytes_read(),
            fallbacks: metrics.fallbacks(),
            faults: metrics.faults(),
            wrong_files: metrics.wrong_files(),
            kept: node.parts.kept(),
        }
    }

    /// Asks the mesh that serves its pages at `pages`.
    pub async fn fetch(pages: &Url) -> Result<Self, StatusError> {
        let mut url = pages.clone();
        url.set_path("/status");
        let limits = niphas_http::Limits {
            connect_timeout: CONNECT_TIME,
            read_timeout: SILENCE,
        };
        let client = niphas_http::client_without_redirects(&limits)?;
        let failed = |source: reqwest::Error| StatusError::Request {
            url: url.clone(),
            source: source.without_url(),
        };
        let unexpected = |found: String| StatusError::Answer {
            url: url.clone(),
            found,
        };
        let mut answer = client.get(url.clone()).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(unexpected(format!("status {}", answer.status())));
        }
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if text.len() + piece.len() > MOST_BYTES {
                return Err(unexpected(format!("more than {MOST_BYTES} bytes")));
            }
            text.extend_from_slice(&piece);
        }
        serde_json::from_slice(&text).map_err(|error| unexpected(format!("other JSON: {error}")))
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        match self.zone.as_deref() {
            None => writeln!(
                text,
                "{} is no member of the mesh as it knows it: it asks the caches alone",
                self.node
            )?,
            Some("") => writeln!(text, "{}", self.node)?,
            Some(zone) => writeln!(text, "{} in zone {zone}", self.node)?,
        }
        for cache in &self.caches {
            let state = if cache.down {
                ", which does not answer"
            } else {
                ""
            };
            writeln!(text, "cache     {}{state}", cache.url)?;
        }
        let received = &self.received;
        let of = |bytes| match received.share(bytes) {
            Some(share) => format!("{} ({:.1}%)", size(bytes), share * 100.0),
            None => size(bytes),
        };
        writeln!(
            text,
            "received  {} from caches, {} from the zone, {} from other zones",
            of(received.origin),
            of(received.zone),
            of(received.other_zones)
        )?;
        let limit = self.uploads.bytes_per_second;
        let limit = limit.map_or_else(
            || "no limit of bytes".to_owned(),
            |bytes| format!("{} per second at most", size(bytes)),
        );
        writeln!(
            text,
            "sent      {}; {} of {} uploads go on, {limit}",
            size(self.uploads.sent_bytes),
            self.uploads.active,
            self.uploads.most
        )?;
        writeln!(
            text,
            "kept      {} in {} parts, of which {} are arriving",
            size(self.kept.bytes),
            self.kept.parts,
            self.kept.arriving
        )?;
        writeln!(
            text,
            "failures  {} of peers, {} requests fell back to a cache, {} files had a wrong hash",
            self.faults, self.fallbacks, self.wrong_files
        )?;
        self.write_members(text)
    }

    fn write_members(&self, text: &mut String) -> std::fmt::Result {
        let zones: BTreeSet<&str> = self.members.iter().map(|member| &*member.zone).collect();
        writeln!(
            text,
            "members   {} in {} zones",
            self.members.len(),
            zones.len()
        )?;
        let name_width = self.members.iter().map(|member| member.name.len()).max();
        let zone_width = zones.iter().map(|zone| zone.len()).max();
        let (name_width, zone_width) = (name_width.unwrap_or(0), zone_width.unwrap_or(0));
        for member in &self.members {
            let state = match (member.avoided_seconds, member.uploads) {
                (Some(seconds), _) => format!("failed, not asked for {seconds} s"),
                (None, 0) => "well".to_owned(),
                (None, uploads) => format!("well, {uploads} uploads to it"),
            };
            writeln!(
                text,
                "  {:name_width$}  {:zone_width$}  home of {:5.1}%  {state}",
                member.name,
                member.zone,
                member.home_share * 100.0
            )?;
        }
        Ok(())
    }
}

fn members(node: &Node) -> Vec<MemberStatus> {
    let (directory, now) = (node.directory(), node.now());
    let membership = directory.membership();
    let mut weights: HashMap<&str, f64> = HashMap::new();
    for member in membership.iter() {
        *weights.entry(&*member.zone).or_default() += f64::from(member.weight);
    }
    let (standing, uploads) = (node.standing(), node.uploads());
    let of = |member: &niphas_mesh_policy::Member| {
        let all = weights.get(&*member.zone).copied().unwrap_or_default();
        let avoided = standing.avoided_for(&member.name, now);
        MemberStatus {
            name: member.name.to_string(),
            zone: member.zone.to_string(),
            address: directory.address(&member.name),
            home_share: f64::from(member.weight) / all.max(1.0),
            uploads: uploads.of(&member.name),
            avoided_seconds: avoided.map(|left| left.as_secs_f64().ceil() as u64),
        }
    };
    membership.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_members_and_where_bytes_came_from() {
        let member = |name: &str, uploads, avoided_seconds| MemberStatus {
            name: name.to_owned(),
            zone: "zone-a".to_owned(),
            address: None,
            home_share: 0.5,
            uploads,
            avoided_seconds,
        };
        let status = MeshStatus {
            node: "node-1".to_owned(),
            zone: Some("zone-a".to_owned()),
            caches: vec![CacheStatus {
                url: "https://cache/".to_owned(),
                down: true,
            }],
            members: vec![member("node-1", 0, None), member("node-10", 2, Some(7))],
            uploads: UploadStatus {
                active: 2,
                most: 128,
                bytes_per_second: Some(4 << 20),
                sent_bytes: 3 << 20,
            },
            received: ReceivedBytes {
                origin: 1 << 20,
                zone: 3 << 20,
                other_zones: 0,
            },
            origin_share: Some(0.25),
            read_bytes: 4 << 20,
            fallbacks: 5,
            faults: 6,
            wrong_files: 1,
            kept: Kept {
                parts: 9,
                bytes: 4 << 20,
                arriving: 1,
            },
        };
        let expected = "\
node-1 in zone zone-a
cache     https://cache/, which does not answer
received  1.0 MiB (25.0%) from caches, 3.0 MiB (75.0%) from the zone, 0 B (0.0%) from other zones
sent      3.0 MiB; 2 of 128 uploads go on, 4.0 MiB per second at most
kept      4.0 MiB in 9 parts, of which 1 are arriving
failures  6 of peers, 5 requests fell back to a cache, 1 files had a wrong hash
members   2 in 1 zones
  node-1   zone-a  home of  50.0%  well
  node-10  zone-a  home of  50.0%  failed, not asked for 7 s
";
        assert_eq!(status.to_text(), expected);
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<MeshStatus>(&json).unwrap(), status);
    }
}
