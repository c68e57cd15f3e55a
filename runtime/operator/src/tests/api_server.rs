//! A small API server: keeps objects, lists and watches them, and knows as much of server-side apply as the operator relies on.
//! Notes what it was asked, in the words of RBAC.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use kube::Client;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

/// Which object: API group, resource, namespace, name.
type Id = (String, String, String, String);

/// What a request does, as a rule of RBAC would allow it: verb, API group, resource.
pub(crate) type Access = (String, String, String);

#[derive(Clone)]
pub(crate) struct ApiServer {
    state: Arc<Mutex<Store>>,
    changes: broadcast::Sender<Change>,
}

/// An object as it was before and after, and the version that it was changed with.
#[derive(Clone)]
struct Change {
    version: u64,
    id: Id,
    before: Option<Value>,
    after: Option<Value>,
}

#[derive(Default)]
struct Store {
    version: u64,
    objects: BTreeMap<Id, Value>,
    log: Vec<Change>,
    /// Everything that was asked but lists, watches and leases.
    requests: Vec<String>,
    accesses: BTreeSet<Access>,
    /// Objects of these resources are refused.
    refused: BTreeSet<String>,
    /// API groups that are not installed.
    unknown: BTreeSet<String>,
}

impl ApiServer {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            changes: broadcast::channel(1024).0,
        }
    }

    pub(crate) fn client(&self) -> Client {
        let router = Router::new().fallback(answer).with_state(self.clone());
        Client::new(router.into_service::<kube::client::Body>(), "default")
    }

    /// What was asked since the last time, but for lists and watches.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// All that was ever asked, as rules.
    pub(crate) fn accesses(&self) -> BTreeSet<Access> {
        self.state.lock().unwrap().accesses.clone()
    }

    pub(crate) fn refuse(&self, resource: &str) {
        self.state
            .lock()
            .unwrap()
            .refused
            .insert(resource.to_owned());
    }

    pub(crate) fn does_not_know(&self, group: &str) {
        self.state.lock().unwrap().unknown.insert(group.to_owned());
    }

    pub(crate) fn get(&self, group: &str, resource: &str, name: &str) -> Option<Value> {
        let id = id(group, resource, name);
        self.state.lock().unwrap().objects.get(&id).cloned()
    }

    /// Puts an object there, as somebody else does; what was there is changed.
    pub(crate) fn put(&self, group: &str, resource: &str, mut object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let mut state = self.state.lock().unwrap();
        let namespace = if resource == "nodes" { "" } else { "shop" };
        object["metadata"]["namespace"] = json!(namespace);
        let id = (
            group.to_owned(),
            resource.to_owned(),
            namespace.to_owned(),
            name,
        );
        self.write(&mut state, id, object);
    }

    /// Changes an object, as somebody else does.
    pub(crate) fn edit(
        &self,
        group: &str,
        resource: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) {
        let mut object = self.get(group, resource, name).unwrap();
        edit(&mut object);
        self.put(group, resource, object);
    }

    pub(crate) fn delete(&self, group: &str, resource: &str, name: &str) {
        let mut state = self.state.lock().unwrap();
        self.remove(&mut state, &id(group, resource, name));
    }

    fn write(&self, state: &mut Store, id: Id, mut object: Value) -> Value {
        let before = state.objects.get(&id).cloned();
        let metadata = &mut object["metadata"];
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", state.version));
        }
        let generation = before.as_ref().map_or(0, |before| {
            before["metadata"]["generation"].as_i64().unwrap()
        });
        let is_same = before
            .as_ref()
            .is_some_and(|before| before["spec"] == object["spec"]);
        object["metadata"]["generation"] = json!(generation + i64::from(!is_same));
        object["metadata"]["resourceVersion"] = json!((state.version + 2).to_string());
        state.objects.insert(id.clone(), object.clone());
        self.tell(state, id, before, Some(object.clone()));
        object
    }

    fn remove(&self, state: &mut Store, id: &Id) {
        let before = state.objects.remove(id);
        self.tell(state, id.clone(), before, None);
    }

    fn tell(&self, state: &mut Store, id: Id, before: Option<Value>, after: Option<Value>) {
        state.version += 1;
        let change = Change {
            // No object has the version 1.
            version: state.version + 1,
            id,
            before,
            after,
        };
        state.log.push(change.clone());
        let _ = self.changes.send(change);
    }

    /// What children there are, with an owner: group, resource, name.
    pub(crate) fn children(&self) -> Vec<(String, String, String)> {
        let state = self.state.lock().unwrap();
        let objects = state.objects.iter();
        objects
            .filter(|(_, object)| !object["metadata"]["ownerReferences"].is_null())
            .map(|((group, resource, _, name), _)| (group.clone(), resource.clone(), name.clone()))
            .collect()
    }
}

fn id(group: &str, resource: &str, name: &str) -> Id {
    let namespace = if resource == "leases" {
        "niphas-system"
    } else {
        "shop"
    };
    (
        group.to_owned(),
        resource.to_owned(),
        namespace.to_owned(),
        name.to_owned(),
    )
}

/// What a URL names.
struct Target {
    group: String,
    resource: String,
    namespace: String,
    name: Option<String>,
    subresource: Option<String>,
    query: String,
}

impl Target {
    fn of(uri: &Uri) -> Option<Self> {
        let mut parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let group = if parts.first() == Some(&"api") {
            parts.drain(..2);
            ""
        } else {
            parts.drain(..1);
            let group = parts.remove(0);
            parts.remove(0);
            group
        };
        let namespace = if parts.first() == Some(&"namespaces") && parts.len() > 2 {
            parts.drain(..2).nth(1)?
        } else {
            ""
        };
        let mut parts = parts.into_iter().map(str::to_owned);
        Some(Self {
            group: group.to_owned(),
            namespace: namespace.to_owned(),
            resource: parts.next()?,
            name: parts.next(),
            subresource: parts.next(),
            query: uri.query().unwrap_or_default().to_owned(),
        })
    }

    fn id(&self) -> Id {
        (
            self.group.clone(),
            self.resource.clone(),
            self.namespace.clone(),
            self.name.clone().unwrap_or_default(),
        )
    }

    /// Whether a list that was asked for with this URL has the object.
    fn has(&self, id: &Id, object: &Value) -> bool {
        let labelled = !self.query.contains("labelSelector=")
            || !object["metadata"]["labels"]["niphas.io/workload"].is_null();
        let pending =
            !self.query.contains("status.phase") || object["status"]["phase"] == "Pending";
        let here = self.namespace.is_empty() || id.2 == self.namespace;
        id.0 == self.group && id.1 == self.resource && here && labelled && pending
    }

    /// What a watch with this URL tells of a change.
    fn event(&self, change: &Change) -> Option<Value> {
        let has = |object: &Option<Value>| {
            let object = object.as_ref();
            object
                .filter(|object| self.has(&change.id, object))
                .cloned()
        };
        let (kind, mut object) = match (has(&change.before), has(&change.after)) {
            (None, Some(after)) => ("ADDED", after),
            (Some(_), Some(after)) => ("MODIFIED", after),
            (Some(before), None) => ("DELETED", before),
            (None, None) => return None,
        };
        object["metadata"]["resourceVersion"] = json!(change.version.to_string());
        Some(json!({ "type": kind, "object": object }))
    }

    /// The version that a watch starts from.
    fn version(&self) -> u64 {
        let mut pairs = self.query.split('&');
        let version = pairs.find_map(|pair| pair.strip_prefix("resourceVersion="));
        version
            .and_then(|version| version.parse().ok())
            .unwrap_or(0)
    }
}

fn failure(code: StatusCode, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": reason, "reason": reason, "code": code.as_u16(),
    });
    (code, status.to_string()).into_response()
}

fn success(object: &Value) -> Response {
    (StatusCode::OK, object.to_string()).into_response()
}

async fn answer(State(server): State<ApiServer>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let Some(target) = Target::of(&parts.uri) else {
        return failure(StatusCode::NOT_FOUND, "NotFound");
    };
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let state = &mut *server.state.lock().unwrap();
    if state.unknown.contains(&target.group) {
        // In these words, and not as a status.
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    let is_watch = target.query.contains("watch=true");
    let is_list = parts.method == Method::GET && target.name.is_none();
    let verb = match parts.method {
        Method::GET if is_watch => "watch",
        Method::GET if is_list => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        _ => "delete",
    };
    let resource = match &target.subresource {
        Some(subresource) => format!("{}/{subresource}", target.resource),
        None => target.resource.clone(),
    };
    let access = |verb: &str| (verb.to_owned(), target.group.clone(), resource.clone());
    state.accesses.insert(access(verb));
    if !is_watch && !is_list && target.resource != "leases" {
        let name = target.name.as_deref().unwrap_or_default();
        state
            .requests
            .push(format!("{verb} {resource} {name}").trim_end().to_owned());
    }
    let mut id = target.id();
    let there = state.objects.get(&id).cloned();
    match verb {
        "watch" => watch(&server, state, target),
        "list" => list(state, &target),
        "get" => match there {
            Some(object) => success(&object),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        },
        "create" => {
            id.3 = sent["metadata"]["name"].as_str().unwrap().to_owned();
            if state.objects.contains_key(&id) {
                return failure(StatusCode::CONFLICT, "AlreadyExists");
            }
            success(&server.write(state, id, sent))
        }
        "update" => match there {
            Some(there)
                if there["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"] =>
            {
                success(&server.write(state, id, sent))
            }
            Some(_) => failure(StatusCode::CONFLICT, "Conflict"),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        },
        "patch" => {
            if there.is_none() {
                state.accesses.insert(access("create"));
            }
            patch(&server, state, &target, there, sent)
        }
        _ => match there {
            Some(there) if sent["preconditions"]["uid"] == there["metadata"]["uid"] => {
                server.remove(state, &id);
                success(&there)
            }
            Some(_) => failure(StatusCode::CONFLICT, "Conflict"),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        },
    }
}

/// What changed since a version, and all that changes from now on.
fn watch(server: &ApiServer, state: &Store, target: Target) -> Response {
    let since = target.version();
    let missed: Vec<Change> = state
        .log
        .iter()
        .filter(|change| change.version > since)
        .cloned()
        .collect();
    let changes = server.changes.subscribe();
    let next = stream::unfold(changes, |mut changes| async move {
        changes.recv().await.ok().map(|change| (change, changes))
    });
    let lines = stream::iter(missed).chain(next).filter_map(move |change| {
        let line = target.event(&change).map(|event| format!("{event}\n"));
        std::future::ready(line.map(Ok::<_, std::io::Error>))
    });
    Response::new(Body::from_stream(lines))
}

fn list(state: &Store, target: &Target) -> Response {
    let objects = state.objects.iter();
    let items: Vec<&Value> = objects
        .filter(|(id, object)| target.has(id, object))
        .map(|(_, object)| object)
        .collect();
    let version = (state.version + 1).to_string();
    success(&json!({
        "apiVersion": "v1", "kind": "List",
        "metadata": { "resourceVersion": version }, "items": items,
    }))
}

fn patch(
    server: &ApiServer,
    state: &mut Store,
    target: &Target,
    there: Option<Value>,
    sent: Value,
) -> Response {
    if state.refused.contains(&target.resource) {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid");
    }
    let fits = |field: &str| match &there {
        Some(there) => {
            sent["metadata"][field].is_null() || there["metadata"][field] == sent["metadata"][field]
        }
        None => field != "uid" || sent["metadata"][field].is_null(),
    };
    if !fits("uid") || !fits("resourceVersion") {
        return failure(StatusCode::CONFLICT, "Conflict");
    }
    let object = applied(there, sent, target.subresource.is_some(), target);
    success(&server.write(state, target.id(), object))
}

/// What comes of an apply. All managers' fields but the ones of the one that applies stay.
fn applied(there: Option<Value>, mut sent: Value, is_status: bool, target: &Target) -> Value {
    let mut object = there.unwrap_or_else(|| json!({ "metadata": {} }));
    if is_status {
        object["status"] = sent["status"].take();
        return object;
    }
    let manager = target
        .query
        .split('&')
        .find_map(|pair| pair.strip_prefix("fieldManager="))
        .unwrap()
        .to_owned();
    let metadata = sent["metadata"].as_object_mut().unwrap();
    metadata.remove("resourceVersion");
    metadata.remove("uid");
    metadata.insert("namespace".to_owned(), json!(target.namespace));
    let entry = json!({
        "manager": manager, "operation": "Apply", "apiVersion": "v1",
        "fieldsType": "FieldsV1", "fieldsV1": fields(&sent),
    });
    let managed = object["metadata"]["managedFields"].take();
    let mut managed = managed.as_array().cloned().unwrap_or_default();
    managed.retain(|entry| entry["manager"] != json!(manager));
    managed.push(entry);
    merge(&mut object, sent);
    object["metadata"]["managedFields"] = json!(managed);
    object
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn fields(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (format!("f:{key}"), fields(value)))
            .collect::<Map<_, _>>()
            .into(),
        _ => json!({}),
    }
}
