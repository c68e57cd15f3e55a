use super::*;

fn problems(attributes: &Value) -> String {
    let locate = |_: &AttributePath| None;
    let mut checker = Checker::new(&locate);
    checker.check(
        &AttributePath::default(),
        &workload_schema(object_schema()),
        attributes,
    );
    let lines: Vec<_> = checker.problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn expanded(attributes: &Value) -> Value {
    let locate = |_: &AttributePath| None;
    let mut checker = Checker::new(&locate);
    let checked = checker.check(
        &AttributePath::default(),
        &workload_schema(object_schema()),
        attributes,
    );
    assert_eq!(checker.problems, []);
    checked
}

#[test]
fn short_forms_are_expanded_and_nulls_dropped() {
    let attributes = json!({
        "command": "/nix/root/bin/web",
        "env": { "A": "1", "B": { "value": "2" }, "C": null },
        "files": { "/etc/a": "text", "/etc/b": { "text": "b", "mode": "0400" } },
        "ports": { "http": 80, "dns": { "port": 53, "protocol": "UDP" } },
        "resources": null,
        "podTemplate": { "spec": { "hostname": null } },
    });
    let expected = json!({
        "command": ["/nix/root/bin/web"],
        "env": { "A": { "value": "1" }, "B": { "value": "2" } },
        "files": { "/etc/a": { "text": "text" }, "/etc/b": { "text": "b", "mode": "0400" } },
        "ports": { "http": { "port": 80 }, "dns": { "port": 53, "protocol": "UDP" } },
        "podTemplate": { "spec": {} },
    });
    assert_eq!(expanded(&attributes), expected);
}

#[test]
fn wrong_types_say_what_is_wanted_and_how_to_write_it() {
    insta::assert_snapshot!(problems(&json!({
        "args": "--verbose",
        "command": 1,
        "env": { "PORT": 8080, "ON": true, "SET": [] },
        "files": { "/a": 1.5 },
        "podTemplate": "x",
        "ports": { "http": "8080", "https": {} },
        "probes": { "liveness": { "httpGet": { "port": 1.5 }, "periodSeconds": "a" } },
        "replicas": "3",
        "resources": { "limits": { "cpu": 0.5, "memory": [ ] } },
        "service": true,
    })), @r#"
    args: expected a list, found the string "--verbose"
      hint: write it as a list: [ "--verbose" ]
    command: expected a string or a list, found the integer 1
    env.ON: expected a string or a set, found the Boolean true
      hint: write it as a string: "true"
    env.PORT: expected a string or a set, found the integer 8080
      hint: write it as a string: "8080"
    env.SET: expected a string or a set, found an empty list
    files."/a": expected a string or a set, found the float 1.5
      hint: write it as a string: "1.5"
    podTemplate: expected a set, found the string "x"
    ports.http: expected an integer or a set, found the string "8080"
      hint: write it without quotes: 8080
    ports.https: attribute 'port' is missing
      hint: write its port
    probes.liveness.httpGet.port: expected an integer or a string, found the float 1.5
      hint: write it as a string: "1.5"
    probes.liveness.periodSeconds: expected an integer, found the string "a"
    replicas: expected an integer, found the string "3"
      hint: write it without quotes: 3
    resources.limits.cpu: expected an integer or a string, found the float 0.5
      hint: write it as a string: "0.5"
    resources.limits.memory: expected an integer or a string, found an empty list
    service: expected a set, found the Boolean true
    "#);
}

#[test]
fn unknown_attributes_name_the_nearest_or_all_known_ones() {
    insta::assert_snapshot!(problems(&json!({
        "replica": 1,
        "image": "nginx",
        "closures": [],
        "probes": { "rediness": {}, "liveness": { "httpGet": { "pth": "/", "port": 80 } } },
        "env": { "A": { "valu": "x" } },
        "service": { "kind": "x" },
    })), @r"
    closures: unknown attribute
      hint: known here: annotations, args, autoscaling, command, containers, cronJob, daemonSet, deployment, disruptionBudget, env, files, grpcRoute, grpcRoutes, highAvailability, httpRoute, httpRoutes, ingress, ingresses, initContainers, job, kind, labels, namespace, networkPolicy, package, podTemplate, ports, probes, replicas, resources, role, roots, service, serviceAccount, services, statefulSet, strategy, volumeClaims
    env.A.valu: unknown attribute
      hint: did you mean 'value'?
    image: unknown attribute
      hint: known here: annotations, args, autoscaling, command, containers, cronJob, daemonSet, deployment, disruptionBudget, env, files, grpcRoute, grpcRoutes, highAvailability, httpRoute, httpRoutes, ingress, ingresses, initContainers, job, kind, labels, namespace, networkPolicy, package, podTemplate, ports, probes, replicas, resources, role, roots, service, serviceAccount, services, statefulSet, strategy, volumeClaims
    probes.liveness.httpGet.pth: unknown attribute
      hint: did you mean 'path'?
    probes.rediness: unknown attribute
      hint: did you mean 'readiness'?
    replica: unknown attribute
      hint: did you mean 'replicas'?
    service.kind: unknown attribute
      hint: known here: allocateLoadBalancerNodePorts, annotations, clusterIP, externalTrafficPolicy, internalTrafficPolicy, ipFamilies, ipFamilyPolicy, labels, loadBalancerClass, loadBalancerSourceRanges, name, nodePorts, portNames, ports, publishNotReadyAddresses, sessionAffinity, sessionAffinityConfig, trafficDistribution, type
    ");
}

#[test]
fn values_out_of_range_are_refused() {
    insta::assert_snapshot!(problems(&json!({
        "command": [],
        "replicas": -1,
        "ports": { "a": 0, "b": 65536, "c": { "port": 1, "protocol": "tcp" } },
        "files": { "/a": { "text": "", "mode": "rw" } },
        "service": { "type": "Loadbalancer", "ports": { "http": 70000 } },
        "probes": { "startup": { "failureThreshold": 3_000_000_000_u64 } },
        "resources": { "limits": { "cpu": "half", "memory": "64Mi", "other": "1.5e3" } },
    })), @r#"
    command: nothing in it: expected at least 1
    files."/a".mode: the string "rw": expected three octal digits, like "0444"
    ports.a: the integer 0: expected 1 to 65535
    ports.b: the integer 65536: expected 1 to 65535
    ports.c.protocol: the string "tcp": expected one of TCP, UDP, SCTP
      hint: did you mean 'TCP'?
    probes.startup.failureThreshold: the integer 3000000000: expected an integer of 32 bits
    replicas: the integer -1: expected 0 or more
    resources.limits.cpu: the string "half": expected a quantity like 500m or 64Mi
    service.ports.http: the integer 70000: expected 1 to 65535
    service.type: the string "Loadbalancer": expected one of ClusterIP, NodePort, LoadBalancer
      hint: did you mean 'LoadBalancer'?
    "#);
}

#[test]
fn nesting_ends_where_the_types_end() {
    let mut value = json!({});
    for _ in 0..80 {
        value = json!({ "a": value });
    }
    let message = problems(&json!({ "podTemplate": value }));
    assert_eq!(
        message,
        "podTemplate.a: unknown attribute\n  hint: known here: metadata, spec"
    );
}

#[test]
fn pod_templates_are_checked_against_the_types_of_kubernetes() {
    insta::assert_snapshot!(problems(&json!({
        "podTemplate": {
            "metadata": { "label": {} },
            "spec": {
                "tolerration": [],
                "affinty": {},
                "hostNetwork": "yes",
                "containers": [{ "image": "x", "ports": [{ "containerPort": "80" }], "env": { "A": "1" } }],
                "volumes": [{ "name": "a", "configMap": { "nam": "b" } }],
                "nodeSelector": { "ssd": true },
            },
        },
    })), @r#"
    podTemplate.metadata.label: unknown attribute
      hint: did you mean 'labels'?
    podTemplate.spec.affinty: unknown attribute
      hint: did you mean 'affinity'?
    podTemplate.spec.containers[0].env: expected a list, found a set
    podTemplate.spec.containers[0].ports[0].containerPort: expected an integer, found the string "80"
      hint: write it without quotes: 80
    podTemplate.spec.containers[0]: attribute 'name' is missing
      hint: write its name
    podTemplate.spec.hostNetwork: expected a Boolean, found the string "yes"
    podTemplate.spec.nodeSelector.ssd: expected a string, found the Boolean true
      hint: write it as a string: "true"
    podTemplate.spec.tolerration: unknown attribute
      hint: did you mean 'tolerations'?
    podTemplate.spec.volumes[0].configMap.nam: unknown attribute
      hint: did you mean 'name'?
    podTemplate.spec.volumes[0].configMap: attribute 'name' is missing
      hint: write its name
    "#);
}

#[test]
fn every_pattern_of_the_schema_compiles() {
    fn visit(schema: &Value) {
        if let Some(pattern) = schema["pattern"].as_str() {
            Regex::new(pattern).unwrap();
        }
        match schema {
            Value::Object(fields) => fields.values().for_each(visit),
            Value::Array(items) => items.iter().for_each(visit),
            _ => {}
        }
    }
    visit(&workload_schema(object_schema()));
}

#[test]
fn versions_in_the_tables_are_known_ones() {
    fn visit(schema: &Value, found: &mut Vec<u64>) {
        for keyword in ["x-since", "x-until"] {
            found.extend(schema[keyword].as_u64());
        }
        match schema {
            Value::Object(fields) => fields.values().for_each(|field| visit(field, found)),
            Value::Array(items) => items.iter().for_each(|item| visit(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit(&OBJECTS, &mut found);
    visit(&KUBERNETES, &mut found);
    found.sort_unstable();
    found.dedup();
    // The oldest needs no mention as the first, nor the newest as the last.
    let versions = kubernetes_schema()["properties"]["version"]["enum"].clone();
    let known = |minor: &u64| {
        versions
            .as_array()
            .unwrap()
            .contains(&json!(format!("1.{minor}")))
    };
    assert!(found.len() > 4 && found.iter().all(known), "{found:?}");
    // Pods are made with the types of the oldest that is supported.
    let of_pods = KUBERNETES.to_string();
    assert!(!of_pods.contains("\"x-since\":34") && of_pods.contains("\"x-since\":32"));
}
