//! What Kubernetes would refuse is refused, where it is written and with what to write instead.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use niphas_render::{Evaluated, check};
use serde_json::{Map, Value, json};

const PACKAGE: &str = "/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web-1.0";

/// What is wrong with workloads that have these attributes; nothing if they are as they must be.
fn problems_of(workloads: &Value) -> String {
    let workloads: Map<String, Value> = workloads
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, attributes)| {
            let workload =
                json!({ "package": PACKAGE, "mainProgram": "web", "attributes": attributes });
            (name.clone(), json!({ "x86_64-linux": workload }))
        })
        .collect();
    let value = json!({
        "_type": "niphas-environment",
        "version": 1,
        "namespace": "shop",
        "systems": ["x86_64-linux"],
        "workloads": workloads,
    });
    let checked = check(&Evaluated {
        keeps_rules: &|_| false,
        name: "production",
        value: &value,
        references: &|_, _| Vec::new(),
        position: &|_| None,
    });
    checked
        .err()
        .map_or_else(String::new, |problems| problems.to_string())
}

/// Of several workloads `web`, each alone.
fn problems(attributes: &[Value]) -> String {
    let of = |attributes: &Value| match problems_of(&json!({ "web": attributes })) {
        nothing if nothing.is_empty() => format!("nothing is wrong with {attributes}"),
        problems => problems,
    };
    attributes.iter().map(of).collect::<Vec<_>>().join("\n")
}

#[expect(clippy::needless_pass_by_value, reason = "each is made for this")]
fn pod(spec: Value) -> Value {
    json!({ "podTemplate": { "spec": spec } })
}

fn main_container(fields: Value) -> Value {
    let mut container = fields;
    container["name"] = json!("main");
    pod(json!({ "containers": [container] }))
}

#[test]
fn elements_with_one_key_are_refused() {
    insta::assert_snapshot!(problems(&[
        main_container(json!({ "env": [{ "name": "A", "value": "1" }, { "name": "B" }, { "name": "A" }] })),
        main_container(json!({ "ports": [{ "containerPort": 1 }, { "containerPort": 1, "protocol": "TCP" }] })),
        main_container(json!({ "ports": [{ "containerPort": 1, "name": "a" }, { "containerPort": 2, "name": "a" }] })),
        main_container(json!({ "volumeMounts": [{ "name": "tmp", "mountPath": "/a" }, { "name": "closure", "mountPath": "/a" }] })),
        pod(json!({ "volumes": [{ "name": "a", "emptyDir": {} }, { "name": "a", "emptyDir": {} }] })),
        pod(json!({ "containers": [{ "name": "a", "image": "x" }, { "name": "a", "image": "y" }] })),
        pod(json!({ "initContainers": [{ "name": "main", "image": "x" }] })),
        pod(json!({ "hostAliases": [{ "ip": "10.0.0.1" }, { "ip": "10.0.0.1" }] })),
    ]), @r#"
    workloads.web.podTemplate.spec.containers[0].env[2]: two elements have name "A": 0 and 2
      hint: make one element of the two
    workloads.web.podTemplate.spec.containers[0].ports[1]: two elements have containerPort 1 and protocol "TCP": 0 and 1
      hint: make one element of the two
    workloads.web.podTemplate.spec.containers[0].ports[1]: two ports are named "a"
      hint: give one of the two another name
    workloads.web.podTemplate.spec.containers[0].volumeMounts[1]: two elements have mountPath "/a": 0 and 1
      hint: make one element of the two
    workloads.web.podTemplate.spec.volumes[1]: two elements have name "a": 0 and 1
      hint: make one element of the two
    workloads.web.podTemplate.spec.containers[1]: two elements have name "a": 0 and 1
      hint: make one element of the two
    workloads.web.podTemplate.spec.initContainers[0]: two containers are named "main"
      hint: give one of the two another name
    workloads.web.podTemplate.spec.hostAliases[1]: two elements have ip "10.0.0.1": 0 and 1
      hint: make one element of the two
    "#);
}

#[test]
fn containers_have_what_they_need() {
    insta::assert_snapshot!(problems(&[
        pod(json!({ "containers": [{ "name": "mian", "args": ["x"] }] })),
        pod(json!({ "containers": [{ "name": "sidecar" }] })),
        pod(json!({ "containers": [{ "name": "Side_Car", "image": "x" }] })),
        pod(json!({ "containers": [{ "name": "a", "image": "x", "restartPolicy": "Always" }] })),
        pod(json!({ "initContainers": [{ "name": "a", "image": "x", "livenessProbe": { "exec": { "command": ["x"] } } }] })),
        main_container(json!({ "imagePullPolicy": "IfAbsent" })),
        main_container(json!({ "ports": [{ "containerPort": 70000, "name": "HTTP", "protocol": "tcp" }] })),
        main_container(json!({ "env": [{ "name": "A=B" }, { "name": "C", "value": "1", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }] })),
        main_container(json!({ "env": [{ "name": "C", "valueFrom": {} }, { "name": "D", "valueFrom": { "secretKeyRef": { "key": "a" } } }] })),
        main_container(json!({ "envFrom": [{ "prefix": "A" }] })),
        json!({ "env": { "A": "1" }, "podTemplate": { "spec": { "containers": [
            { "name": "main", "env": [{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }] },
        ] } } }),
        pod(json!({ "hostNetwork": true, "containers": [{ "name": "main", "ports": [{ "containerPort": 1, "hostPort": 2 }] }] })),
        pod(json!({ "containers": [
            { "name": "main", "ports": [{ "containerPort": 1, "hostPort": 9 }] },
            { "name": "a", "image": "x", "ports": [{ "containerPort": 1, "hostPort": 9 }] },
        ] })),
    ]), @r#"
    workloads.web.podTemplate.spec.containers[0]: the container "mian" has no image
      hint: did you mean 'main', the container of the program?
    workloads.web.podTemplate.spec.containers[0]: the container "sidecar" has no image
      hint: name its image; the container of the program is 'main'
    workloads.web.podTemplate.spec.containers[0].name: name cannot be "Side_Car"
      hint: write at most 63 lower-case letters, digits and '-', the latter not at its ends
    workloads.web.podTemplate.spec.containers[0].restartPolicy: the container "a" has a restartPolicy, which is for initContainers
      hint: move the container there, or take the restartPolicy away
    workloads.web.podTemplate.spec.initContainers[0].livenessProbe: the init container "a" ends before a livenessProbe could count
      hint: take it away, or write restartPolicy = "Always"
    workloads.web.podTemplate.spec.containers[0].imagePullPolicy: "IfAbsent" is no imagePullPolicy that Kubernetes knows here
      hint: write one of Always, IfNotPresent, Never
    workloads.web.podTemplate.spec.containers[0].ports[0].containerPort: containerPort is 70000
      hint: write 1 to 65535
    workloads.web.podTemplate.spec.containers[0].ports[0].name: name cannot be "HTTP"
      hint: write at most 15 lower-case letters, digits and single '-' between them, and at least one letter
    workloads.web.podTemplate.spec.containers[0].ports[0].protocol: "tcp" is no protocol that Kubernetes knows here
      hint: did you mean 'TCP'?
    workloads.web.podTemplate.spec.containers[0].env[0]: "A=B" cannot be the name of a variable
      hint: write printable ASCII without '='
    workloads.web.podTemplate.spec.containers[0].env[1]: the variable "C" has both value and valueFrom
      hint: write one of the two; env and podTemplate are merged
    workloads.web.podTemplate.spec.containers[0].env[0].valueFrom: the value of "C" comes from nowhere
      hint: write one of configMapKeyRef, fieldRef, resourceFieldRef, secretKeyRef
    workloads.web.podTemplate.spec.containers[0].env[1].valueFrom.secretKeyRef: attribute 'name' is missing
      hint: write its name
    workloads.web.podTemplate.spec.containers[0].envFrom[0]: variables come from either configMapRef or secretRef
      hint: write one of the two
    workloads.web.podTemplate.spec.containers[0].env[0]: the variable "A" has both value and valueFrom
      hint: write one of the two; env and podTemplate are merged
    workloads.web.podTemplate.spec.containers[0].ports[0]: with hostNetwork, hostPort 2 is the containerPort
      hint: write the same number for both
    workloads.web.podTemplate.spec.containers[1].ports[0]: two ports want the node's port 9
      hint: give one of the two another hostPort
    "#);
}

#[test]
fn handlers_do_one_thing_within_the_time_that_pods_have() {
    let service = |spec: Value| json!({ "ports": { "http": 80 }, "service": {}, "podTemplate": { "spec": spec } });
    let exec = json!({ "exec": { "command": ["x"] } });
    insta::assert_snapshot!(problems(&[
        main_container(json!({ "lifecycle": { "preStop": { "sleep": { "seconds": 40 } } } })),
        main_container(json!({ "lifecycle": { "postStart": {} } })),
        main_container(json!({ "lifecycle": { "preStop": { "sleep": { "seconds": 1 }, "exec": {} } } })),
        json!({ "ports": { "http": 80 }, "probes": { "liveness": { "httpGet": { "port": "http" } } }, "podTemplate": { "spec": { "containers": [
            { "name": "main", "livenessProbe": { "tcpSocket": { "port": 80 } } },
        ] } } }),
        main_container(json!({ "readinessProbe": { "exec": {} } })),
        json!({ "probes": { "liveness": { "exec": { "command": ["x"] }, "timeoutSeconds": -1, "terminationGracePeriodSeconds": 0 } } }),
    ]), @r"
    workloads.web.podTemplate.spec.containers[0].lifecycle.preStop.sleep: preStop sleeps for 40 seconds, and the pod has 30 to end
      hint: write 1 to 30 seconds, or a longer terminationGracePeriodSeconds
    workloads.web.podTemplate.spec.containers[0].lifecycle.postStart: postStart does nothing
      hint: write one of exec, grpc, httpGet and tcpSocket; what niphas makes of the workload's own attributes is merged with it
    workloads.web.podTemplate.spec.containers[0].lifecycle.preStop: preStop does exec and sleep at once
      hint: write one of exec, grpc, httpGet and tcpSocket; what niphas makes of the workload's own attributes is merged with it
    workloads.web.podTemplate.spec.containers[0].livenessProbe: livenessProbe does httpGet and tcpSocket at once
      hint: write one of exec, grpc, httpGet and tcpSocket; what niphas makes of the workload's own attributes is merged with it
    workloads.web.podTemplate.spec.containers[0].readinessProbe: readinessProbe runs no command
      hint: write exec.command
    workloads.web.probes.liveness.terminationGracePeriodSeconds: terminationGracePeriodSeconds is 0
      hint: write 1 or more
    workloads.web.probes.liveness.timeoutSeconds: timeoutSeconds is -1
      hint: write 0 to 2147483647
    ");
    for fine in [
        service(json!({ "containers": [{ "name": "main", "lifecycle": { "preStop": exec } }] })),
        service(json!({ "terminationGracePeriodSeconds": 2 })),
        service(json!({ "terminationGracePeriodSeconds": 0 })),
    ] {
        assert_eq!(problems_of(&json!({ "web": fine })), "");
    }
}

#[test]
fn volumes_are_one_thing_and_mounts_are_of_volumes() {
    insta::assert_snapshot!(problems(&[
        pod(json!({ "volumes": [{ "name": "closure", "emptyDir": {} }] })),
        pod(json!({ "volumes": [{ "name": "a", "emptyDir": {}, "hostPath": { "path": "/a" } }] })),
        pod(json!({ "volumes": [{ "name": "a" }, { "name": "B", "secret": {} }] })),
        pod(json!({ "volumes": [{ "name": "a", "hostPath": { "path": "/a/../b" } }, { "name": "b", "emptyDir": { "sizeLimit": "500m" } }] })),
        pod(json!({ "volumes": [{ "name": "a", "configMap": { "name": "a", "defaultMode": 888, "items": [{ "key": "a", "path": "/b" }] } }] })),
        pod(json!({ "volumes": [{ "name": "a", "projected": { "sources": [{ "secret": {}, "configMap": {} }] } }] })),
        main_container(json!({ "volumeMounts": [{ "name": "tpm", "mountPath": "/a" }, { "name": "other", "mountPath": "/b" }] })),
        main_container(json!({ "volumeMounts": [{ "name": "tmp", "mountPath": "/nix/store" }, { "name": "tmp", "mountPath": "" }] })),
        main_container(json!({ "volumeMounts": [{ "name": "tmp", "mountPath": "/a", "subPath": "../b", "subPathExpr": "c" }] })),
        main_container(json!({ "volumeMounts": [{ "name": "tmp", "mountPath": "/a", "mountPropagation": "Bidirectional" }] })),
        json!({ "files": { "/a": "x", "/a/b": "y", "/ab": "z" } }),
        json!({ "kind": "StatefulSet", "files": { "/a": "x" }, "volumeClaims": { "data": { "mountPath": "/a/b", "storage": "1Gi" } } }),
        json!({ "kind": "StatefulSet", "volumeClaims": { "data": { "mountPath": "/a", "storage": 10 }, "more": { "mountPath": "/b", "storage": "10m" } } }),
        json!({ "kind": "StatefulSet", "volumeClaims": { "data": { "mountPath": "/a", "storage": "1Gi" } }, "podTemplate": { "spec": {
            "volumes": [{ "name": "data", "emptyDir": {} }],
        } } }),
    ]), @r#"
    workloads.web.podTemplate.spec.volumes[0]: the volume "closure" is csi and emptyDir at once
      hint: give the volume another name: niphas has volumes named closure, files and tmp
    workloads.web.podTemplate.spec.volumes[0]: the volume "a" is emptyDir and hostPath at once
      hint: make two volumes of it
    workloads.web.podTemplate.spec.volumes[0]: the volume "a" has nothing in it
      hint: say what it is, like emptyDir = { } or configMap.name = "…"
    workloads.web.podTemplate.spec.volumes[1].name: name cannot be "B"
      hint: write at most 63 lower-case letters, digits and '-', the latter not at its ends
    workloads.web.podTemplate.spec.volumes[1].secret: secret has no secretName
      hint: write secret.secretName
    workloads.web.podTemplate.spec.volumes[0].hostPath.path: the path of a hostPath has a part '..'
      hint: write the path without it
    workloads.web.podTemplate.spec.volumes[1].emptyDir.sizeLimit: 500m of sizeLimit is less than whole bytes
      hint: 'm' is a thousandth: write 500Mi or 500M
    workloads.web.podTemplate.spec.volumes[0].configMap.defaultMode: defaultMode is 888
      hint: write 0 to 511
    workloads.web.podTemplate.spec.volumes[0].configMap.items[0].path: path cannot be "/b"
      hint: write a path that does not begin with '/', and has no part '..'
    workloads.web.podTemplate.spec.volumes[0].projected.sources[0]: one of the sources of a projected volume is 2 at once
      hint: write one kind for each element
    workloads.web.podTemplate.spec.volumes[0].projected.sources[0].configMap: attribute 'name' is missing
      hint: write its name
    workloads.web.podTemplate.spec.volumes[0].projected.sources[0].secret: attribute 'name' is missing
      hint: write its name
    workloads.web.podTemplate.spec.containers[0].volumeMounts[0].name: no volume is named "tpm"
      hint: did you mean 'tmp'?
    workloads.web.podTemplate.spec.containers[0].volumeMounts[1].name: no volume is named "other"
      hint: add it to podTemplate.spec.volumes
    workloads.web.podTemplate.spec.containers[0].volumeMounts[0].mountPath: the volume "tmp" is mounted at /nix/store, where the closure is
      hint: mount it elsewhere
    workloads.web.podTemplate.spec.containers[0].volumeMounts[1]: the volume "tmp" is mounted nowhere
      hint: write its mountPath
    workloads.web.podTemplate.spec.containers[0].volumeMounts[0]: subPath and subPathExpr exclude each other
      hint: write one of the two
    workloads.web.podTemplate.spec.containers[0].volumeMounts[0].subPath: subPath cannot be "../b"
      hint: write a path that does not begin with '/', and has no part '..'
    workloads.web.podTemplate.spec.containers[0].volumeMounts[0].mountPropagation: only privileged containers mount with Bidirectional propagation
      hint: write HostToContainer, or securityContext.privileged = true
    workloads.web.files."/a/b": /a/b is below /a, which is a file
      hint: give one of the two another path
    workloads.web.volumeClaims.data: /a/b is below /a, which is a file
      hint: give one of the two another path
    workloads.web.volumeClaims.data.storage: storage is 10, which is counted in bytes
      hint: write a unit, like 10Mi
    workloads.web.volumeClaims.more.storage: 10m of storage is less than whole bytes
      hint: 'm' is a thousandth: write 10Mi or 10M
    workloads.web.podTemplate.spec.volumes[0]: the volume "data" is a volume claim, too
      hint: give one of the two another name
    "#);
}

#[test]
fn containers_of_other_images_have_a_nix_of_their_own() {
    let builder = json!({ "name": "builder", "image": "nix", "volumeMounts": [{ "name": "tmp", "mountPath": "/nix" }] });
    let fine = pod(json!({ "containers": [builder] }));
    assert_eq!(problems_of(&json!({ "web": fine })), "");
    let main = problems_of(
        &json!({ "web": main_container(json!({ "volumeMounts": [{ "name": "tmp", "mountPath": "/nix" }] })) }),
    );
    assert!(
        main.contains("is mounted at /nix, where the closure is"),
        "{main}"
    );
}

#[test]
fn amounts_mean_what_is_meant() {
    let resources = |resources: Value| json!({ "resources": resources });
    insta::assert_snapshot!(problems(&[
        resources(json!({ "requests": { "memory": 128 } })),
        resources(json!({ "limits": { "memory": "512m" }, "requests": { "ephemeral-storage": "1000" } })),
        resources(json!({ "requests": { "cpu": "2" }, "limits": { "cpu": "1500m" } })),
        resources(json!({ "requests": { "memory": "1.5Gi" }, "limits": { "memory": "1024Mi" } })),
        resources(json!({ "requests": { "example.org/gpu": 1 } })),
        resources(json!({ "requests": { "example.org/gpu": 1 }, "limits": { "example.org/gpu": "1500m" } })),
        resources(json!({ "limits": { "cpu": "-1", "memory": "1000E" } })),
        main_container(json!({ "resources": { "limits": { "memory": "64m" } } })),
    ]), @r#"
    workloads.web.resources.requests.memory: memory is 128, which is counted in bytes
      hint: write a unit, like 128Mi
    workloads.web.resources.limits.memory: 512m of memory is less than whole bytes
      hint: 'm' is a thousandth: write 512Mi or 512M
    workloads.web.resources.requests.ephemeral-storage: ephemeral-storage is 1000, which is counted in bytes
      hint: write a unit, like 1000Mi
    workloads.web.resources.requests.cpu: the request for cpu, 2, is above its limit, 1500m
      hint: write a request of at most 1500m, or a limit of at least 2
    workloads.web.resources.requests.memory: the request for memory, 1.5Gi, is above its limit, 1024Mi
      hint: write a request of at most 1024Mi, or a limit of at least 1.5Gi
    workloads.web.resources.requests."example.org/gpu": example.org/gpu is requested without a limit
      hint: write limits."example.org/gpu" = "1", too
    workloads.web.resources.limits."example.org/gpu": 1500m of example.org/gpu is a part of one
      hint: write a whole number
    workloads.web.resources.requests."example.org/gpu": the request for example.org/gpu, 1, is not its limit, 1500m
      hint: write the same amount for both
    workloads.web.resources.limits.cpu: cpu is -1
      hint: write 0 or more
    workloads.web.resources.limits.memory: memory is 1000E: expected less than 1000E
    workloads.web.podTemplate.spec.containers[0].resources.limits.memory: 64m of memory is less than whole bytes
      hint: 'm' is a thousandth: write 64Mi or 64M
    "#);
    let fine = resources(
        json!({ "requests": { "cpu": "100m", "memory": "0" }, "limits": { "cpu": "0.1", "memory": "64Mi", "example.org/gpu": 1 } }),
    );
    assert_eq!(problems_of(&json!({ "web": fine })), "");
}

#[test]
fn pods_are_what_their_kind_can_have() {
    insta::assert_snapshot!(problems(&[
        pod(json!({ "restartPolicy": "Never", "dnsPolicy": "Cluster", "activeDeadlineSeconds": 5 })),
        json!({ "kind": "Job", "podTemplate": { "spec": { "restartPolicy": "Always" } } }),
        pod(json!({ "terminationGracePeriodSeconds": -1, "hostname": "A", "serviceAccountName": "a_b", "priorityClassName": "X" })),
        pod(json!({ "ephemeralContainers": [{ "name": "a", "image": "x" }] })),
        pod(json!({ "dnsPolicy": "None", "imagePullSecrets": [{ "name": "" }], "hostAliases": [{ "ip": "a", "hostnames": ["B"] }] })),
        pod(json!({ "dnsConfig": { "nameservers": ["1.1.1.1", "8.8.8.8", "9.9.9.9", "x"] } })),
        pod(json!({ "hostUsers": false, "hostNetwork": true, "hostPID": true, "shareProcessNamespace": true })),
        json!({ "podTemplate": { "metadata": { "labels": { "niphas.io/workload": "other", "a b": "c", "d": "e f" }, "annotations": { "/": "" } } } }),
        pod(json!({ "securityContext": { "runAsUser": 0, "fsGroup": -1, "seccompProfile": { "type": "Localhost" } } })),
        main_container(json!({ "securityContext": { "privileged": true, "runAsUser": 0 } })),
        main_container(json!({ "securityContext": { "capabilities": { "add": ["CAP_SYS_ADMIN"] } } })),
        main_container(json!({ "securityContext": { "seccompProfile": { "type": "Default", "localhostProfile": "x" } } })),
    ]), @r#"
    workloads.web.podTemplate.spec.activeDeadlineSeconds: pods of a Deployment run on: they have no activeDeadlineSeconds
      hint: take it away
    workloads.web.podTemplate.spec.dnsPolicy: "Cluster" is no dnsPolicy that Kubernetes knows here
      hint: write one of ClusterFirst, ClusterFirstWithHostNet, Default, None
    workloads.web.podTemplate.spec.restartPolicy: "Never" is no restartPolicy that Kubernetes knows here
      hint: write 'Always'
    workloads.web.podTemplate.spec.restartPolicy: "Always" is no restartPolicy that Kubernetes knows here
      hint: write one of Never, OnFailure
    workloads.web.podTemplate.spec.hostname: hostname cannot be "A"
      hint: write at most 63 lower-case letters, digits and '-', the latter not at its ends
    workloads.web.podTemplate.spec.priorityClassName: priorityClassName cannot be "X"
      hint: write lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit
    workloads.web.podTemplate.spec.serviceAccountName: serviceAccountName cannot be "a_b"
      hint: write lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit
    workloads.web.podTemplate.spec.terminationGracePeriodSeconds: terminationGracePeriodSeconds is -1
      hint: write 0 or more
    workloads.web.podTemplate.spec.ephemeralContainers: ephemeralContainers are for pods that run
      hint: write containers or initContainers
    workloads.web.podTemplate.spec.dnsPolicy: with dnsPolicy None the pod has no nameserver
      hint: write dnsConfig.nameservers, too
    workloads.web.podTemplate.spec.hostAliases[0].hostnames: "B" cannot be the name of a host
      hint: write lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit
    workloads.web.podTemplate.spec.hostAliases[0].ip: ip cannot be "a"
      hint: write an IP address, like 10.0.0.1 or 2001:db8::1
    workloads.web.podTemplate.spec.imagePullSecrets[0]: one of the imagePullSecrets has no name
      hint: write the Secret's name
    workloads.web.podTemplate.spec.dnsConfig.nameservers: "x" cannot be the address of a nameserver
      hint: write an IP address, like 10.0.0.1 or 2001:db8::1
    workloads.web.podTemplate.spec.dnsConfig.nameservers: there are 4 nameservers
      hint: write at most 3
    workloads.web.podTemplate.spec.hostNetwork: hostNetwork is true and hostUsers is false
      hint: write one of the two
    workloads.web.podTemplate.spec.hostPID: hostPID is true and hostUsers is false
      hint: write one of the two
    workloads.web.podTemplate.spec.hostPID: shareProcessNamespace and hostPID exclude each other
      hint: write one of the two
    workloads.web.podTemplate.metadata.annotations."/": "/" cannot be a key
      hint: write at most 63 letters, digits, '-', '_' and '.', with a domain and '/' before them or not
    workloads.web.podTemplate.metadata.labels."a b": "a b" cannot be a key
      hint: write at most 63 letters, digits, '-', '_' and '.', with a domain and '/' before them or not
    workloads.web.podTemplate.metadata.labels.d: "e f" cannot be a label's value
      hint: write at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit
    workloads.web.podTemplate.metadata.labels."niphas.io/workload": the label niphas.io/workload is "web": the workload finds its pods by it
      hint: write a label of another name
    workloads.web.podTemplate.spec.securityContext.fsGroup: fsGroup is -1
      hint: write 0 to 2147483647
    workloads.web.podTemplate.spec.securityContext.runAsUser: the container "main" runs as root, and runAsNonRoot is true
      hint: write securityContext.runAsNonRoot = false, too, or another runAsUser
    workloads.web.podTemplate.spec.securityContext.seccompProfile: seccompProfile of the type Localhost names no profile
      hint: write its localhostProfile
    workloads.web.podTemplate.spec.containers[0].securityContext: the container "main" is privileged, and allowPrivilegeEscalation is false
      hint: write securityContext.allowPrivilegeEscalation = true, too
    workloads.web.podTemplate.spec.containers[0].securityContext.runAsUser: the container "main" runs as root, and runAsNonRoot is true
      hint: write securityContext.runAsNonRoot = false, too, or another runAsUser
    workloads.web.podTemplate.spec.containers[0].securityContext: the container "main" gets CAP_SYS_ADMIN, and allowPrivilegeEscalation is false
      hint: write securityContext.allowPrivilegeEscalation = true, too
    workloads.web.podTemplate.spec.containers[0].securityContext.seccompProfile: seccompProfile has a localhostProfile and another type
      hint: write type = "Localhost"
    workloads.web.podTemplate.spec.containers[0].securityContext.seccompProfile.type: "Default" is no type that Kubernetes knows here
      hint: write one of Localhost, RuntimeDefault, Unconfined
    "#);
    let root = pod(json!({ "securityContext": { "runAsUser": 0, "runAsNonRoot": false } }));
    assert_eq!(problems_of(&json!({ "web": root })), "");
}

#[test]
fn nodes_are_asked_for_what_they_can_have() {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let node = |expression: Value| {
        pod(
            json!({ "affinity": { "nodeAffinity": { required: { "nodeSelectorTerms": [{ "matchExpressions": [expression] }] } } } }),
        )
    };
    insta::assert_snapshot!(problems(&[
        pod(json!({ "nodeSelector": { "a b": "c", "d": "e f" } })),
        pod(json!({ "tolerations": [
            {}, { "operator": "Exist" }, { "key": "a", "operator": "Exists", "value": "b" }, { "key": "a", "effect": "NoRun" },
            { "key": "a", "effect": "NoSchedule", "tolerationSeconds": 1 },
        ] })),
        pod(json!({ "topologySpreadConstraints": [
            { "maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "Never" },
            { "maxSkew": 1, "topologyKey": "b", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "a": "b c" } } },
        ] })),
        node(json!({ "key": "a", "operator": "In" })),
        node(json!({ "key": "a", "operator": "Exists", "values": ["b"] })),
        node(json!({ "key": "a", "operator": "in", "values": ["b"] })),
        pod(json!({ "affinity": { "podAntiAffinity": { required: [{ "topologyKey": "" }], preferred: [{ "weight": 0, "podAffinityTerm": { "topologyKey": "a" } }] } } })),
    ]), @r#"
    workloads.web.podTemplate.spec.nodeSelector."a b": "a b" cannot be a key
      hint: write at most 63 letters, digits, '-', '_' and '.', with a domain and '/' before them or not
    workloads.web.podTemplate.spec.nodeSelector.d: "e f" cannot be a label's value
      hint: write at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit
    workloads.web.podTemplate.spec.tolerations[0]: the toleration names no key
      hint: write its key, or operator = "Exists" for every taint
    workloads.web.podTemplate.spec.tolerations[1]: the toleration names no key
      hint: write its key, or operator = "Exists" for every taint
    workloads.web.podTemplate.spec.tolerations[1].operator: "Exist" is no operator that Kubernetes knows here
      hint: did you mean 'Exists'?
    workloads.web.podTemplate.spec.tolerations[2]: the toleration has a value, and the operator Exists
      hint: write operator = "Equal", or no value
    workloads.web.podTemplate.spec.tolerations[3].effect: "NoRun" is no effect that Kubernetes knows here
      hint: write one of NoExecute, NoSchedule, PreferNoSchedule
    workloads.web.podTemplate.spec.tolerations[4]: tolerationSeconds are for the effect NoExecute
      hint: write effect = "NoExecute", or no tolerationSeconds
    workloads.web.podTemplate.spec.topologySpreadConstraints[0].maxSkew: maxSkew is 0
      hint: write 1 to 2147483647
    workloads.web.podTemplate.spec.topologySpreadConstraints[0].whenUnsatisfiable: "Never" is no whenUnsatisfiable that Kubernetes knows here
      hint: write one of DoNotSchedule, ScheduleAnyway
    workloads.web.podTemplate.spec.topologySpreadConstraints[1].labelSelector.matchLabels.a: "b c" cannot be a label's value
      hint: write at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit
    workloads.web.podTemplate.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]: the operator In has 0 values
      hint: write its values
    workloads.web.podTemplate.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]: the operator Exists has 1 values
      hint: take the values away, or write In or NotIn
    workloads.web.podTemplate.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator: "in" is no operator that Kubernetes knows here
      hint: did you mean 'In'?
    workloads.web.podTemplate.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: weight is 0
      hint: write 1 to 100
    workloads.web.podTemplate.spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]: the term names no topologyKey
      hint: write one, like "kubernetes.io/hostname"
    "#);
}

#[test]
fn schedules_come_and_time_zones_are_there() {
    let cron = |fields: Value| json!({ "kind": "CronJob", "cronJob": fields });
    insta::assert_snapshot!(problems(&[
        cron(json!({ "schedule": "61 * * * *", "timeZone": "Europe/Berln" })),
        cron(json!({ "schedule": "0 0 31 2 *" })),
        cron(json!({ "schedule": "@every day", "timeZone": "Local" })),
    ]), @r#"
    workloads.web.cronJob.schedule: "61" is no minute: it is out of range
      hint: write 0 to 59, ranges, lists or '*'
    workloads.web.cronJob.timeZone: there is no time zone "Europe/Berln"
      hint: did you mean 'Europe/Berlin'?
    workloads.web.cronJob.schedule: the schedule "0 0 31 2 *" never comes
      hint: name a day that one of the months has
    workloads.web.cronJob.schedule: "day" is no duration
      hint: write one like '@every 1h30m'
    workloads.web.cronJob.timeZone: there is no time zone "Local"
      hint: write a name of the IANA database, like 'Europe/Vienna' or 'UTC'
    "#);
    let fine = cron(json!({ "schedule": "0 3 * * MON-FRI", "timeZone": "Europe/Vienna" }));
    assert_eq!(problems_of(&json!({ "night": fine })), "");
}

#[test]
fn autoscalers_go_by_what_there_is() {
    let by = |autoscaling: Value| {
        let mut autoscaling = autoscaling;
        autoscaling["maxReplicas"] = json!(3);
        json!({ "autoscaling": autoscaling })
    };
    let resource = json!({ "type": "Resource", "resource": { "name": "memory", "target": { "type": "Utilization", "averageUtilization": 50 } } });
    insta::assert_snapshot!(problems(&[
        by(json!({ "cpu": 80 })),
        by(json!({ "metrics": [resource] })),
        by(json!({ "metrics": [{ "type": "Pod" }, { "type": "Pods" }, { "type": "Object", "pods": { "metric": { "name": "a" }, "target": { "type": "Value" } } }] })),
        by(json!({ "metrics": [{ "type": "Pods", "pods": { "metric": { "name": "a" }, "target": { "type": "AverageValue" } } }], "behavior": { "scaleUp": { "selectPolicy": "Most", "policies": [{ "type": "Pods", "value": 0, "periodSeconds": 9999 }] } } })),
    ]), @r#"
    workloads.web.autoscaling.cpu: the container "main" requests no cpu: there is nothing to take a percentage of
      hint: write resources.requests.cpu
    workloads.web.autoscaling.metrics[0].resource: the container "main" requests no memory: there is nothing to take a percentage of
      hint: write resources.requests.memory
    workloads.web.autoscaling.metrics[0].type: "Pod" is no type that Kubernetes knows here
      hint: did you mean 'Pods'?
    workloads.web.autoscaling.metrics[1]: a metric of the type Pods has no pods
      hint: write pods
    workloads.web.autoscaling.metrics[2]: a metric of the type Object has no object
      hint: write object
    workloads.web.autoscaling.metrics[2].pods: a metric of the type Object has object alone
      hint: take the other away, or write another type
    workloads.web.autoscaling.behavior.scaleUp.policies[0].periodSeconds: periodSeconds is 9999
      hint: write 1 to 1800
    workloads.web.autoscaling.behavior.scaleUp.policies[0].value: value is 0
      hint: write 1 to 2147483647
    workloads.web.autoscaling.behavior.scaleUp.selectPolicy: "Most" is no selectPolicy that Kubernetes knows here
      hint: write one of Disabled, Max, Min
    workloads.web.autoscaling.metrics[0].pods.target: the target has no averageValue
      hint: write averageValue
    "#);
    let mut limited = by(json!({ "cpu": 80 }));
    limited["resources"] = json!({ "limits": { "cpu": "1" } });
    assert_eq!(problems_of(&json!({ "web": limited })), "");
    limited["podTemplate"] =
        json!({ "spec": { "containers": [{ "name": "proxy", "image": "x" }] } });
    assert_eq!(
        problems_of(&json!({ "web": limited })),
        "workloads.web.autoscaling.cpu: the container \"proxy\" requests no cpu: there is nothing to take a percentage of\n  \
         hint: write resources.requests.cpu of the container in podTemplate"
    );
}

#[test]
fn network_policies_name_networks_and_ports() {
    let ingress = |rule: Value| json!({ "networkPolicy": { "ingress": [rule] } });
    insta::assert_snapshot!(problems(&[
        ingress(json!({ "from": [{ "ipBlock": { "cidr": "10.0.0.0", "except": ["10.0.0.0/33"] } }, {}] })),
        ingress(json!({ "from": [{ "ipBlock": { "cidr": "10.0.0.0/8" }, "podSelector": {} }] })),
        ingress(json!({ "ports": [{ "port": 0 }, { "port": 10, "endPort": 5 }, { "port": "http", "endPort": 5 }, { "port": 1, "protocol": "ICMP" }] })),
    ]), @r#"
    workloads.web.networkPolicy.ingress[0].from[0].ipBlock: "10.0.0.0" is no network
      hint: write an address and its length, like 10.0.0.0/8
    workloads.web.networkPolicy.ingress[0].from[0].ipBlock: "10.0.0.0/33" is no network
      hint: write an address and its length, like 10.0.0.0/8
    workloads.web.networkPolicy.ingress[0].from[1]: a peer is either an ipBlock or what its selectors find
      hint: write ipBlock, or podSelector and namespaceSelector
    workloads.web.networkPolicy.ingress[0].from[0]: a peer is either an ipBlock or what its selectors find
      hint: write ipBlock, or podSelector and namespaceSelector
    workloads.web.networkPolicy.ingress[0].ports[0].port: port is 0
      hint: write 1 to 65535
    workloads.web.networkPolicy.ingress[0].ports[1]: the ports from 10 to 5 are none
      hint: write an endPort that is not below port
    workloads.web.networkPolicy.ingress[0].ports[2]: endPort is the last of a range, and port is no number
      hint: write the first one as port
    workloads.web.networkPolicy.ingress[0].ports[3].protocol: "ICMP" is no protocol that Kubernetes knows here
      hint: write one of SCTP, TCP, UDP
    "#);
}

#[test]
fn no_two_workloads_have_one_service() {
    let problems = problems_of(&json!({
        "db": { "kind": "StatefulSet" },
        "db-pods": { "ports": { "a": 1 }, "service": {} },
        "web": { "ports": { "a": 1 }, "service": {} },
    }));
    assert_eq!(
        problems,
        "workloads.db-pods: the Service \"db-pods\" is the workload \"db\"'s, too\n  hint: give one of the two workloads another name"
    );
}

#[test]
fn all_problems_are_reported_in_order_and_many_are_counted() {
    let workloads: Map<String, Value> = (0..120)
        .map(|number| {
            (
                format!("w{number:03}"),
                json!({ "resources": { "requests": { "memory": 1, "cpu": "x" } } }),
            )
        })
        .collect();
    let problems = problems_of(&Value::Object(workloads));
    let lines: Vec<&str> = problems
        .lines()
        .filter(|line| line.starts_with("workloads."))
        .collect();
    assert_eq!(lines.len(), 100);
    assert!(lines.is_sorted(), "{problems}");
    assert!(problems.ends_with("\nand 140 more"), "{problems}");
}

/// `ci/crd` asks a real API server about these and many more.
#[test]
fn rules_of_single_types_are_kept_wherever_a_value_of_them_is() {
    let projected = |source: Value| {
        pod(json!({ "volumes": [{ "name": "a", "projected": { "sources": [source] } }] }))
    };
    let claims = |used: Value| {
        pod(json!({
            "resourceClaims": [{ "name": "gpu", "resourceClaimName": "gpu" }],
            "containers": [{ "name": "main", "resources": { "claims": used } }],
        }))
    };
    let from =
        |source: Value| main_container(json!({ "env": [{ "name": "A", "valueFrom": source }] }));
    let policy = |block: Value| json!({ "networkPolicy": { "ingress": [{ "from": [{ "ipBlock": block }] }] } });
    insta::assert_snapshot!(problems(&[
        pod(json!({ "volumes": [{ "name": "a", "rbd": { "monitors": [], "image": "" } }] })),
        projected(json!({ "serviceAccountToken": { "path": "", "expirationSeconds": 10 } })),
        projected(json!({ "clusterTrustBundle": { "path": "a", "name": "b", "signerName": "c" } })),
        projected(
            json!({ "downwardAPI": { "items": [{ "path": "a", "fieldRef": { "fieldPath": "spec.nodeName" } }] } })
        ),
        from(json!({ "fieldRef": { "fieldPath": "metadata.labels" } })),
        from(json!({ "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1Gi" } })),
        claims(json!([{ "name": "gpu" }, { "name": "gpu", "request": "x" }])),
        claims(json!([{ "name": "gpus" }])),
        main_container(
            json!({ "resources": { "limits": { "gpu": "1", "hugepages-2Mi": "3Mi" } } })
        ),
        main_container(
            json!({ "securityContext": { "procMount": "Unmasked", "windowsOptions": {} } })
        ),
        pod(
            json!({ "hostNetwork": true, "securityContext": { "sysctls": [{ "name": "net/core/somaxconn", "value": "1" }] } })
        ),
        policy(
            json!({ "cidr": "10.1.2.3/8", "except": ["10.0.0.0/8", "10.5.0.0/16", "192.0.2.0/24"] })
        ),
        json!({ "ports": { "http": 80 }, "service": {}, "ingress": { "hosts": { "192.0.2.1": { "paths": ["/a//b", "/.."] } } } }),
    ]));
}
