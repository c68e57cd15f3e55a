//! Objects of one name that two workloads of an environment consist of.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The names that are taken, with the workloads that have them.
#[derive(Default)]
pub(crate) struct Names<'a>(BTreeMap<String, &'a str>);

impl<'a> Names<'a> {
    /// Takes the names of a workload's objects. Those of different kinds that could be the same are of Services alone: every
    /// other object has the workload's own name, or an ending that no other kind of object has.
    ///
    /// Gives a Service that another workload has, and which.
    pub(crate) fn take(
        &mut self,
        name: &'a str,
        spec: &Map<String, Value>,
    ) -> Option<(String, &'a str)> {
        let mut services = Vec::new();
        if spec.contains_key("service") {
            services.push(name.to_owned());
        }
        if spec.get("kind").is_some_and(|kind| kind == "StatefulSet") {
            services.push(niphas_api::headless_service(name));
        }
        let mut taken = None;
        for service in services {
            match self.0.get(&service) {
                Some(other) => taken = Some((service, *other)),
                None => {
                    self.0.insert(service, name);
                }
            }
        }
        taken
    }
}
