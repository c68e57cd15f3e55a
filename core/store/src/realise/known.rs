//! A closure that was realised before, and is in the store as a whole: no cache is asked, and no path is walked on its own.

use hashbrown::HashMap;
use nix_formats::StorePath;

use super::{RealisedClosure, Request};
use crate::layout::PackId;
use crate::store::{Pin, Store};

impl Store {
    /// The closure that a request names by its digest, if every path of it is in the store, was found before to satisfy the
    /// request's policy, and was delivered by the request's caches if it has to be. Otherwise nothing: it has to be walked.
    pub(super) fn known_closure(&self, request: &Request) -> Option<RealisedClosure> {
        let digest = request.expected?;
        let lines = self.closure_lines(&digest)?;
        let shared = &self.shared;
        let mut chosen: Vec<Option<PackId>> = vec![None; lines.as_slice().len()];
        {
            let index = shared.index();
            let places = lines.as_slice().iter().enumerate();
            let places: HashMap<&StorePath, usize> =
                places.map(|(place, line)| (&line.path, place)).collect();
            let mut wanted: Vec<&StorePath> = request.roots.iter().collect();
            while let Some(path) = wanted.pop() {
                // What is needed and not among the lines makes it another closure.
                let place = *places.get(path)?;
                let line = lines.as_slice().get(place)?;
                let choice = chosen.get_mut(place)?;
                if choice.is_some() {
                    continue;
                }
                let mut variants = index.variants(path).iter().filter_map(|&id| {
                    let pack = index.pack(id).filter(|pack| !pack.is_suspect)?;
                    Some((id, pack.info.as_ref()?))
                });
                let (id, info) = variants.find(|(_, info)| {
                    info.nar_hash == line.nar_hash && info.nar_size == line.nar_size
                })?;
                *choice = Some(id);
                wanted.extend(&info.references);
            }
        }
        // So is what is among the lines and not needed.
        let chosen: Vec<PackId> = chosen.into_iter().collect::<Option<_>>()?;
        let policy = request.caches.policy_id();
        if !shared.verdicts.are_taken(policy, &chosen) {
            return None;
        }
        let terms = &request.terms;
        if terms.must_be_delivered && !shared.delivered.are_by(&terms.origins, &chosen) {
            return None;
        }
        let pins = chosen.into_iter().map(|id| Pin::new(shared, id));
        Some(RealisedClosure {
            digest,
            roots: request.roots.clone(),
            pins: pins.collect::<Option<_>>()?,
            lines,
        })
    }
}
