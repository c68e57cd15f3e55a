"""Attributes of workloads at the edge of what Kubernetes takes: what `niphas render` takes of them, the API server takes, too."""


def service(**fields):
    return {"ports": {"http": 8080}, "service": fields}


def ingress(host="example.org", of_host=None, **fields):
    return {**service(), "ingress": {"hosts": {host: of_host or {}}, **fields}}


def route(**fields):
    return {**service(), "httpRoute": {"parentRefs": [{"name": "gateway"}], **fields}}


def scaled(**fields):
    return {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}, "autoscaling": {"maxReplicas": 3, **fields}}


def metric(**fields):
    return scaled(metrics=[fields])


def behaviour(**fields):
    return scaled(cpu=80, behavior={"scaleDown": fields})


def budget(**fields):
    return {"replicas": 3, "disruptionBudget": fields}


def policy(peer=None, port=None):
    rule = {**({"from": [peer]} if peer is not None else {}), **({"ports": [port]} if port is not None else {})}
    return {"ports": {"http": 8080}, "networkPolicy": {"ingress": [rule]}}


def strategy(kind="Deployment", **fields):
    return {"kind": kind, "replicas": 3, "strategy": fields}


def claim(name="data", **fields):
    return {"kind": "StatefulSet", "volumeClaims": {name: {"mountPath": "/data", "storage": "1Gi", **fields}}}


def cron(schedule="0 3 * * *", **fields):
    return {"kind": "CronJob", "cronJob": {"schedule": schedule, **fields}}


def job(**fields):
    return {"kind": "Job", "job": fields}


PODS = {"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"}}}

CASES = {
    "service": service(),
    "service-annotation": service(annotations={"a b": "c"}),
    "service-annotation-capitals": service(annotations={"Example.org/A": "c"}),
    "service-annotation-domain": service(annotations={"a_b/c": "d"}),
    "service-annotation-large": service(annotations={"a": "x" * (257 << 10)}),
    "service-node-port": service(type="NodePort"),
    "service-type": service(type="ExternalName"),
    "service-other-number": service(ports={"http": 80}),
    "service-one-number": {"ports": {"a": 8080, "b": 8081}, "service": {"ports": {"a": 80, "b": 80}}},
    "service-both-protocols": {"ports": {"a": 53, "b": {"port": 53, "protocol": "UDP"}}, "service": {}},
    "service-many-ports": {"ports": {f"p{n}": 1000 + n for n in range(120)}, "service": {}},
    "port-dashes": {"ports": {"a--b": 80}, "service": {}},
    "port-digits": {"ports": {"80": 80}, "service": {}},
    "9-begins-with-a-digit": service(),
    "n" * 63: service(),
    "s" * 53: {"kind": "StatefulSet", "ports": {"http": 80}, "service": {}},
    "s" * 52: {"kind": "StatefulSet", "ports": {"http": 80}, "service": {}},
    "c" * 53: cron(),
    "ingress": ingress(of_host={"tlsSecretName": "tls", "paths": ["/a", "/b"]}, className="nginx"),
    "ingress-capitals": ingress("Example.org"),
    "ingress-underscore": ingress("a_b.example.org"),
    "ingress-address": ingress("192.0.2.1"),
    "ingress-wildcard": ingress("*.example.org"),
    "ingress-wildcard-alone": ingress("*"),
    "ingress-wildcards": ingress("*.*.org"),
    "ingress-no-host": ingress(""),
    "ingress-relative": ingress(of_host={"paths": ["a"]}),
    "ingress-empty-part": ingress(of_host={"paths": ["/a//b"]}),
    "ingress-up": ingress(of_host={"paths": ["/a/../b"]}),
    "ingress-dot": ingress(of_host={"paths": ["/a/./b"]}),
    "ingress-escaped": ingress(of_host={"paths": ["/a%2fb"]}),
    "ingress-blank": ingress(of_host={"paths": ["/a b"]}),
    "ingress-no-path": ingress(of_host={"paths": [""]}),
    "ingress-secret": ingress(of_host={"tlsSecretName": "A_b"}),
    "ingress-class": ingress(className="A_b"),
    "ingress-annotation": ingress(annotations={"a b": "c"}),
    "route": route(hostnames=["example.org", "*.example.org"], paths=["/a"]),
    "route-capitals": route(hostnames=["Example.org"]),
    "route-address": route(hostnames=["192.0.2.1"]),
    "route-wildcard-alone": route(hostnames=["*"]),
    "route-relative": route(paths=["a"]),
    "route-up": route(paths=["/a/../b"]),
    "route-empty-part": route(paths=["/a//b"]),
    "route-blank": route(paths=["/a b"]),
    "route-escaped": route(paths=["/a%2Fb"]),
    "route-hash": route(paths=["/a#b"]),
    "route-long": route(paths=["/" + "a" * 1024]),
    "route-many-paths": route(paths=[f"/{n}" for n in range(70)]),
    "route-many-hosts": route(hostnames=[f"h{n}.example.org" for n in range(17)]),
    "route-parent-name": route(parentRefs=[{"name": ""}]),
    "route-parent-namespace": route(parentRefs=[{"name": "a", "namespace": "A_b"}]),
    "route-parent-section": route(parentRefs=[{"name": "a", "sectionName": "A_b"}]),
    "route-parents-same": route(parentRefs=[{"name": "a"}, {"name": "a"}]),
    "route-parents-sections": route(parentRefs=[{"name": "a"}, {"name": "a", "sectionName": "b"}]),
    "route-many-parents": route(parentRefs=[{"name": f"g{n}"} for n in range(33)]),
    "scaled": scaled(cpu=80, minReplicas=2),
    "scaled-backwards": scaled(cpu=80, minReplicas=4),
    "scaled-nothing": scaled(),
    "scaled-to-zero": scaled(cpu=80, minReplicas=0),
    "scaled-zero": scaled(cpu=0),
    "scaled-negative": scaled(memory=-1),
    "scaled-large": scaled(cpu=500),
    "scaled-none": scaled(cpu=80, maxReplicas=0),
    "metric": metric(**PODS),
    "metric-kind": metric(type="Other"),
    "metric-nothing": metric(type="Pods"),
    "metric-two": metric(**PODS, resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}),
    "metric-percent": metric(type="Pods", pods={"metric": {"name": "a"}, "target": {"type": "Utilization", "averageUtilization": 5}}),
    "metric-no-name": metric(type="Pods", pods={"metric": {"name": ""}, "target": {"type": "AverageValue", "averageValue": "1"}}),
    "metric-zero": metric(type="Pods", pods={"metric": {"name": "a"}, "target": {"type": "AverageValue", "averageValue": "0"}}),
    "metric-target": metric(type="External", external={"metric": {"name": "a"}, "target": {"type": "Some", "value": "1"}}),
    "metric-external": metric(type="External", external={"metric": {"name": "a"}, "target": {"type": "Value", "value": "1"}}),
    "metric-object": metric(type="Object", object={"metric": {"name": "a"}, "describedObject": {"kind": "Ingress", "name": "b"}, "target": {"type": "Value", "value": "1"}}),
    "metric-object-no-name": metric(type="Object", object={"metric": {"name": "a"}, "describedObject": {"kind": "", "name": ""}, "target": {"type": "Value", "value": "1"}}),
    "metric-resource-value": metric(type="Resource", resource={"name": "cpu", "target": {"type": "Value", "value": "1"}}),
    "metric-resource-no-name": metric(type="Resource", resource={"name": "", "target": {"type": "Utilization", "averageUtilization": 5}}),
    "metric-container": metric(type="ContainerResource", containerResource={"name": "cpu", "container": "main", "target": {"type": "Utilization", "averageUtilization": 5}}),
    "metric-container-no-name": metric(type="ContainerResource", containerResource={"name": "cpu", "container": "", "target": {"type": "Utilization", "averageUtilization": 5}}),
    "behaviour": behaviour(stabilizationWindowSeconds=60, policies=[{"type": "Pods", "value": 1, "periodSeconds": 60}]),
    "behaviour-long": behaviour(stabilizationWindowSeconds=3601),
    "behaviour-negative": behaviour(stabilizationWindowSeconds=-1),
    "behaviour-select": behaviour(selectPolicy="Some"),
    "behaviour-no-policies": behaviour(policies=[]),
    "behaviour-policy-kind": behaviour(policies=[{"type": "Some", "value": 1, "periodSeconds": 60}]),
    "behaviour-policy-value": behaviour(policies=[{"type": "Pods", "value": 0, "periodSeconds": 60}]),
    "behaviour-policy-period": behaviour(policies=[{"type": "Pods", "value": 1, "periodSeconds": 1801}]),
    "budget": budget(minAvailable="50%"),
    "budget-above": budget(minAvailable="150%"),
    "budget-negative": budget(maxUnavailable=-1),
    "budget-word": budget(minAvailable="some"),
    "budget-fraction": budget(minAvailable="1.5%"),
    "budget-text": budget(minAvailable="2"),
    "policy": policy({"podSelector": {"matchLabels": {"a": "b"}}}, {"port": 8080}),
    "policy-network": policy({"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.1/32"]}}),
    "policy-network-form": policy({"ipBlock": {"cidr": "192.0.2.0"}}),
    "policy-network-host-bits": policy({"ipBlock": {"cidr": "192.0.2.1/24"}}),
    "policy-except-outside": policy({"ipBlock": {"cidr": "192.0.2.0/24", "except": ["198.51.100.0/24"]}}),
    "policy-except-same": policy({"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/24"]}}),
    "policy-two": policy({"ipBlock": {"cidr": "192.0.2.0/24"}, "podSelector": {}}),
    "policy-no-peer": policy({}),
    "policy-port-zero": policy(port={"port": 0}),
    "policy-port-name": policy(port={"port": "A_b"}),
    "policy-port-protocol": policy(port={"port": 1, "protocol": "HTTP"}),
    "policy-port-end": policy(port={"port": 10, "endPort": 5}),
    "policy-port-end-alone": policy(port={"endPort": 5}),
    "policy-port-end-name": policy(port={"port": "http", "endPort": 5}),
    "policy-label": policy({"podSelector": {"matchLabels": {"a b": "c"}}}),
    "policy-operator": policy({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}),
    "strategy": strategy(maxSurge="25%", maxUnavailable=0),
    "strategy-nothing": strategy(maxSurge=0, maxUnavailable=0),
    "strategy-nothing-percent": strategy(maxSurge="0%", maxUnavailable="0%"),
    "strategy-word": strategy(maxSurge="some"),
    "strategy-negative": strategy(maxSurge=-1),
    "strategy-above": strategy(maxUnavailable="150%"),
    "strategy-recreate": strategy(type="Recreate"),
    "strategy-recreate-surge": strategy(type="Recreate", maxSurge=1),
    "strategy-stateful": strategy("StatefulSet", maxUnavailable=1),
    "strategy-stateful-zero": strategy("StatefulSet", maxUnavailable=0),
    "strategy-stateful-recreate": strategy("StatefulSet", type="Recreate"),
    "strategy-daemon-surge": {"kind": "DaemonSet", "strategy": {"maxSurge": 1, "maxUnavailable": 0}},
    "strategy-daemon-both": {"kind": "DaemonSet", "strategy": {"maxSurge": 1, "maxUnavailable": 1}},
    "strategy-daemon-nothing": {"kind": "DaemonSet", "strategy": {"maxSurge": 0, "maxUnavailable": 0}},
    "account": {"serviceAccount": {"annotations": {"example.org/role": "a"}, "mountToken": True}},
    "account-annotation": {"serviceAccount": {"annotations": {"a b": "c"}}},
    "claim": claim(accessModes=["ReadWriteOnce", "ReadOnlyMany"], storageClassName="fast"),
    "claim-name": claim("Data"),
    "claim-class": claim(storageClassName="A_b"),
    "claim-no-class": claim(storageClassName=""),
    "claim-no-modes": claim(accessModes=[]),
    "claim-mode": claim(accessModes=["ReadWrite"]),
    "claim-one-pod-and-more": claim(accessModes=["ReadWriteOncePod", "ReadOnlyMany"]),
    "claim-relative": claim(mountPath="data"),
    "claim-nothing": claim(storage="0"),
    "cron": cron(timeZone="Europe/Berlin", concurrencyPolicy="Forbid", startingDeadlineSeconds=60),
    "cron-daily": cron("@daily"),
    "cron-every": cron("@every 1h"),
    "cron-reboot": cron("@reboot"),
    "cron-six": cron("0 0 3 * * *"),
    "cron-zone-inside": cron("TZ=UTC 0 3 * * *"),
    "cron-names": cron("0 3 * JAN-MAR MON,WED"),
    "cron-sunday": cron("0 3 * * 7"),
    "cron-step": cron("*/15 1-5/2 ? * *"),
    "cron-step-zero": cron("*/0 * * * *"),
    "cron-backwards": cron("0 5-3 * * *"),
    "cron-minute": cron("60 * * * *"),
    "cron-never": cron("0 0 31 2 *"),
    "cron-zone": cron(timeZone="Europe/Berln"),
    "cron-zone-local": cron(timeZone="Local"),
    "cron-zone-empty": cron(timeZone=""),
    "cron-late": cron(startingDeadlineSeconds=-1),
    "cron-history": cron(successfulJobsHistoryLimit=-1),
    "cron-policy": cron(concurrencyPolicy="Some"),
    "job": job(completions=3, parallelism=2, backoffLimit=0),
    "job-nothing": job(completions=0),
    "job-negative": job(parallelism=-1),
    "job-retries": job(backoffLimit=-1),
    "job-deadline": job(activeDeadlineSeconds=0),
    "replicas-none": {"replicas": 0},
    "replicas-negative": {"replicas": -1},
    "env-name": {"env": {"a b": "c"}},
    "env-name-digit": {"env": {"1a": "c"}},
    "env-reference": {"env": {"A": "$(B) $$(C)", "B": "x"}},
    "files": {"files": {"/etc/a.conf": "text"}},
    "files-long-name": {"files": {"/etc/" + "a" * 253: "text"}},
    "files-odd-name": {"files": {"/etc/ä b": "text"}},
    "files-mode": {"files": {"/etc/a": {"text": "x", "mode": "0999"}}},
    "files-mode-large": {"files": {"/etc/a": {"text": "x", "mode": "7777"}}},
    "probes": {"ports": {"http": 80}, "probes": {"readiness": {"httpGet": {"port": "http"}}}},
    "probes-port": {"ports": {"http": 80}, "probes": {"readiness": {"httpGet": {"port": "other"}}}},
    "resources-nothing": {"resources": {"requests": {"cpu": "0"}}},
    "command-blank": {"command": ["a", ""]},
    "args-nothing": {"args": []},
}
