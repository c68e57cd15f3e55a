//! Fetching one part: from a peer or the origin, and on from another where one fails.

use std::sync::Arc;
use std::time::Duration;

use niphas_mesh_policy::{Fault, Homes, Name, Need, PART_SIZE, Part, Pursuit, Role, Source};
use reqwest::Response;

use crate::arrival::{Arrival, End, Writer};
use crate::file_name::FileName;
use crate::metrics::{Fallback, From};
use crate::node::{Node, PEER_SILENCE};
use crate::origin::OriginError;
use crate::parts::Ending;
use crate::peers::{Answer, fault_of};

/// The longest that a peer may take for a part.
const PEER_TIME: Duration = Duration::from_mins(2);

/// Peers that may say nothing before the origin is asked: the readers of the part wait meanwhile.
const MOST_STALLS: u32 = 2;

/// How often the origin is asked for a part in vain, and the pause before it is asked again.
const ORIGIN_ATTEMPTS: u32 = 3;
const ORIGIN_PAUSE: Duration = Duration::from_millis(250);

impl Node {
    /// A part of a file: what is here of it, and begun to be fetched if it was not.
    pub(crate) fn part(self: &Arc<Self>, file: &FileName, index: u32, need: Need) -> Arc<Arrival> {
        let part = Part {
            file: file.id,
            index,
        };
        let (arrival, is_new) = self.parts.get_or_begin(part, file.may_change());
        if is_new {
            let (node, file) = (Arc::clone(self), file.clone());
            let fetched = Arc::clone(&arrival);
            tokio::spawn(async move {
                let _ending = Ending {
                    parts: &node.parts,
                    arrival: &fetched,
                };
                let fetch = Fetch {
                    node: &node,
                    file: &file,
                    arrival: &fetched,
                };
                let end = fetch.run(need).await;
                fetched.end(end);
            });
        }
        arrival
    }

    fn homes(&self, part: Part) -> Homes {
        let (directory, now) = (self.directory(), self.now());
        let membership = directory.membership();
        // One that does not know itself as a member is home of nothing.
        let zone = membership.get(&self.name).map(|me| Name::clone(&me.zone));
        let standing = self.standing();
        let is_well = |name: &Name| *name == self.name || standing.is_well(name, now);
        membership.homes(part, zone.as_deref().unwrap_or_default(), is_well)
    }
}

/// One part that is fetched.
struct Fetch<'a> {
    node: &'a Arc<Node>,
    file: &'a FileName,
    arrival: &'a Arc<Arrival>,
}

/// Why bytes ended before their time.
enum Broken {
    /// By the source.
    Source(Fault),
    /// By this node's disk.
    Disk(std::io::Error),
}

impl Fetch<'_> {
    async fn run(&self, need: Need) -> End {
        let mut writer = match self.arrival.create().await {
            Ok(writer) => writer,
            Err(error) => return disk(&error),
        };
        let homes = || self.node.homes(self.arrival.part);
        let mut pursuit = if self.file.is_cache_info() {
            Pursuit::origin_first(&self.node.name, &homes())
        } else {
            Pursuit::new(&self.node.name, &homes(), need)
        };
        let mut needs = self.arrival.needs();
        let (mut stalls, mut asked_peers) = (0, false);
        loop {
            let (name, role, avoiding) = match pursuit.source() {
                Source::Nowhere => return End::Failed,
                Source::Origin => {
                    if std::mem::take(&mut asked_peers) {
                        self.node.metrics.fell_back(Fallback::Origin);
                    }
                    match self.fetch_from_origin(&mut writer).await {
                        End::Failed => pursuit.failed(),
                        end => return end,
                    }
                    continue;
                }
                Source::Peer {
                    name,
                    role,
                    avoiding,
                } => (name, role, avoiding),
            };
            let asked = self.node.now();
            asked_peers = true;
            let got = {
                let got = self.fetch_from_peer(&name, (role, &avoiding), &mut writer);
                let got = tokio::time::timeout(PEER_TIME, got);
                tokio::pin!(got);
                loop {
                    tokio::select! {
                        got = &mut got => break Some(got.unwrap_or(Err(Broken::Source(Fault::Stalled)))),
                        Ok(()) = needs.changed() => {
                            let need = *needs.borrow_and_update();
                            if pursuit.promote(&homes(), need) {
                                break None;
                            }
                        }
                    }
                }
            };
            match got {
                // What was asked of the peer is asked of another, from here on.
                None => {}
                Some(Ok(None)) => {
                    self.node.standing().served(&name, self.node.now());
                    return End::Whole;
                }
                Some(Ok(Some(Answer::Elsewhere(peer)))) => pursuit.redirected(peer),
                Some(Ok(Some(Answer::Missing))) => return End::Missing,
                Some(Ok(Some(_))) => pursuit.failed(),
                Some(Err(Broken::Disk(error))) => return disk(&error),
                Some(Err(Broken::Source(fault))) => {
                    self.note(&name, fault, asked);
                    pursuit.failed();
                    stalls += u32::from(fault == Fault::Stalled);
                    if stalls >= MOST_STALLS {
                        pursuit.give_up_on_homes();
                    }
                }
            }
        }
    }

    /// Counts a failure against a peer.
    fn note(&self, peer: &Name, fault: Fault, asked: Duration) {
        let (file, part) = (&self.file.name, self.arrival.part.index);
        tracing::debug!(%peer, ?fault, file, part, "a peer failed; asking another");
        self.node.metrics.failed(fault);
        let now = self.node.now();
        self.node.standing().failed(peer, fault, asked, now);
    }

    /// None: the rest of the part came.
    async fn fetch_from_peer(
        &self,
        name: &Name,
        as_what: (Role, &[Name]),
        writer: &mut Writer,
    ) -> Result<Option<Answer>, Broken> {
        let here = self.arrival.state().here;
        let asked = (self.file, self.arrival.part);
        let answer = self.node.ask(name, as_what, asked, here);
        let answer = tokio::time::timeout(PEER_SILENCE, answer).await;
        let answer = answer.unwrap_or(Err(Fault::Stalled));
        let (file_size, bytes) = match answer.map_err(Broken::Source)? {
            Answer::Part { file_size, bytes } => (file_size, bytes),
            answer => return Ok(Some(answer)),
        };
        self.set_size(file_size)
            .ok_or(Broken::Source(Fault::Malformed))?;
        self.arrival.add_sender(name);
        self.receive(bytes, self.source_of(name), writer).await?;
        Ok(None)
    }

    fn source_of(&self, peer: &Name) -> From {
        let directory = self.node.directory();
        let zone = |name: &str| directory.membership().get(name).map(|member| &member.zone);
        if zone(peer) == zone(&self.node.name) {
            From::Zone
        } else {
            From::OtherZone
        }
    }

    /// None: an earlier source gave the file another size.
    fn set_size(&self, size: u64) -> Option<()> {
        if let Some(known) = self.arrival.state().file_size {
            return (known == size).then_some(());
        }
        self.arrival.set_file_size(size);
        Some(())
    }

    async fn fetch_from_origin(&self, writer: &mut Writer) -> End {
        // Members that have the part are asked at once then.
        if self.node.is_down(self.file.cache) {
            return End::Failed;
        }
        let Some(_turn) = self.node.turn_at_origin().await else {
            return End::Failed;
        };
        let mut attempts = 0;
        loop {
            let here = self.arrival.state().here;
            match self.try_origin(here, writer).await {
                Ok(true) => return End::Whole,
                Ok(false) => return End::Missing,
                Err(error) => {
                    attempts += 1;
                    if self.arrival.state().here > here {
                        attempts = 1;
                    }
                    let is_lasting = error.downcast_ref().is_some_and(OriginError::is_lasting);
                    let error = nix_formats::chain(&*error);
                    if is_lasting {
                        tracing::debug!(file = self.file.name, error, "a file cannot be shared");
                        return End::Missing;
                    }
                    if attempts >= ORIGIN_ATTEMPTS {
                        self.node.note_down(self.file.cache);
                        tracing::warn!(
                            file = self.file.name,
                            error,
                            "a cache does not give a file"
                        );
                        return End::Failed;
                    }
                    tracing::debug!(
                        file = self.file.name,
                        error,
                        "a cache failed; asking it again"
                    );
                    tokio::time::sleep(ORIGIN_PAUSE * attempts).await;
                }
            }
        }
    }

    /// False: there is no such file.
    async fn try_origin(
        &self,
        here: u64,
        writer: &mut Writer,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        let answer = self
            .node
            .ask_origin(self.file, self.arrival.part, here)
            .await?;
        let Some(answer) = answer else {
            return Ok(false);
        };
        if let Some(size) = answer.file_size {
            self.set_size(size).ok_or(OriginError::Range)?;
        }
        match self.receive(answer.bytes, From::Origin, writer).await {
            Ok(()) => {}
            Err(Broken::Disk(error)) => return Err(error.into()),
            Err(Broken::Source(fault)) => {
                return Err(format!("its answer broke off: {fault:?}").into());
            }
        }
        // As large as it turned out to be.
        if answer.file_size.is_none() {
            self.arrival.set_file_size(self.arrival.state().here);
        }
        Ok(true)
    }

    /// Takes bytes up to the end of the part.
    async fn receive(
        &self,
        mut bytes: Response,
        source: From,
        writer: &mut Writer,
    ) -> Result<(), Broken> {
        let size = self.arrival.size();
        let most = size.unwrap_or(PART_SIZE);
        loop {
            let piece = bytes.chunk().await;
            let piece = piece.map_err(|error| Broken::Source(fault_of(&error)))?;
            let here = self.arrival.state().here;
            let Some(piece) = piece else {
                // A server may end early what it promised.
                return match size {
                    Some(size) if here < size => Err(Broken::Source(Fault::Unreachable)),
                    _ => Ok(()),
                };
            };
            if here + piece.len() as u64 > most {
                return Err(Broken::Source(Fault::Malformed));
            }
            self.node.metrics.received(source, piece.len() as u64);
            self.arrival.add_source(source);
            writer
                .append(self.arrival, piece)
                .await
                .map_err(Broken::Disk)?;
        }
    }
}

fn disk(error: &std::io::Error) -> End {
    tracing::warn!(%error, "failed to keep a part of a file");
    End::Failed
}
