"""Objects that the API server must refuse: a workload of ./workloads.nix, what is changed in it, the field that the message
must name, and what it must say. `None` takes a field away."""

CLOSURES = "/spec/closures"
MANY = [{"system": f"x{n}-linux", "roots": ["/nix/store/0c5bs8vm0p4x4gw9hhbc1c1zr4ybq22h-web"], "digest": "sha256:" + "0" * 64, "narSize": 1, "pathCount": 1} for n in range(17)]
ROOT = MANY[0]["roots"][0]
HTTP = {"path": "/", "port": "http"}


def spec(base, field, value, named, said):
    return base, {f"/spec/{field}": value}, f"spec.{named}", said


REFUSED = [
    # Names.
    ("small", {"/metadata/name": "a.b"}, "metadata.name", "must be an RFC 1123 label"),
    ("small", {"/metadata/name": "a" * 64}, "metadata.name", "at most 63 lower-case letters"),
    ("stateful", {"/metadata/name": "a" * 53}, "metadata.name", "at most 52 characters for this kind"),
    ("cron", {"/metadata/name": "a" * 53}, "metadata.name", "at most 52 characters for this kind"),
    ("deployment", {"/metadata/name": "9web"}, "metadata.name", "begins with a letter where there is a Service"),
    # What runs.
    spec("small", "kind", "ReplicaSet", "kind", "Unsupported value"),
    spec("small", "closures", None, "closures", "Required value"),
    spec("small", "closures", [], "closures", "should have at least 1 items"),
    spec("small", "closures", MANY, "closures", "must have at most 16 items"),
    spec("small", "closures", [MANY[0], MANY[0]], "closures[1]", "Duplicate value"),
    spec("small", "closures/0/system", None, "closures[0].system", "Required value"),
    spec("small", "closures/0/system", "linux", "closures[0].system", "should match"),
    spec("small", "closures/0/roots", [], "closures[0].roots", "should have at least 1 items"),
    spec("small", "closures/0/roots", [ROOT] * 65, "closures[0].roots", "must have at most 64 items"),
    spec("small", "closures/0/roots/0", "/bin/sh", "closures[0].roots[0]", "should match"),
    spec("small", "closures/0/roots/0", "/nix/store/0c5bs8vm-web", "closures[0].roots[0]", "should match"),
    spec("small", "closures/0/digest", None, "closures[0].digest", "Required value"),
    spec("small", "closures/0/digest", "sha256:0", "closures[0].digest", "must be sha256: and 64 lower-case hexadecimal digits"),
    spec("small", "closures/0/digest", "sha256:" + "A" * 64, "closures[0].digest", "must be sha256: and 64 lower-case"),
    spec("small", "closures/0/digest", "sha512:" + "a" * 64, "closures[0].digest", "must be sha256: and 64 lower-case"),
    spec("small", "closures/0/narSize", -1, "closures[0].narSize", "should be greater than or equal to 0"),
    spec("small", "closures/0/pathCount", 0, "closures[0].pathCount", "should be greater than or equal to 1"),
    spec("small", "command", None, "command", "Required value"),
    spec("small", "command", [], "command", "should have at least 1 items"),
    spec("small", "command", [""], "command", "the first element is the program, and cannot be empty"),
    spec("small", "command", "/nix/root/bin/hello", "command", "must be of type array"),
    spec("small", "podTemplate", "privileged", "podTemplate", "must be of type object"),
    # Environment and files.
    spec("small", "env", {"A=B": {"value": "x"}}, "env", "printable ASCII without '='"),
    spec("small", "env", {"A": {}}, "env[A]", "expected either value or valueFrom"),
    spec("small", "env", {"A": {"value": "x", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}}, "env[A]", "expected either value or valueFrom"),
    spec("small", "env", {"A": {"valueFrom": {}}}, "env[A].valueFrom", "expected one of configMapKeyRef, fieldRef"),
    spec("small", "env", {"A": {"valueFrom": {"secretKeyRef": {"name": "a"}}}}, "env.A.valueFrom.secretKeyRef.key", "Required value"),
    spec("small", "files", {"etc/a": {"text": "x"}}, "files", "paths of files are absolute"),
    spec("small", "files", {"/a/../b": {"text": "x"}}, "files", "without ':' and without empty, '.' and '..' parts"),
    spec("small", "files", {"/a:b": {"text": "x"}}, "files", "without ':'"),
    spec("small", "files", {"/nix/x": {"text": "x"}}, "files", "files cannot lie in /nix"),
    spec("small", "files", {"/nix": {"text": "x"}}, "files", "files cannot lie in /nix"),
    spec("small", "files", {"/tmp": {"text": "x"}}, "files", "nor be /tmp"),
    spec("small", "files", {"/a": {}}, "files./a.text", "Required value"),
    spec("small", "files", {"/a": {"text": "", "mode": "999"}}, "files./a.mode", "should match"),
    # Ports and probes.
    spec("small", "ports", {"Http": {"port": 80}}, "ports", "names of ports have at most 15 lower-case letters"),
    spec("small", "ports", {"80": {"port": 80}}, "ports", "at least one letter"),
    spec("small", "ports", {"more-than-fifteen": {"port": 80}}, "ports", "at most 15"),
    spec("small", "ports", {"http": {"port": 0}}, "ports.http.port", "should be greater than or equal to 1"),
    spec("small", "ports", {"http": {"port": 65536}}, "ports.http.port", "should be less than or equal to 65535"),
    spec("small", "ports", {"http": {"port": 80, "protocol": "tcp"}}, "ports.http.protocol", "Unsupported value"),
    spec("small", "ports", {"a": {"port": 80}, "b": {"port": 80}}, "ports", "two ports have the same number and protocol"),
    spec("small", "probes", {"liveness": {}}, "probes.liveness", "a probe needs one of exec, grpc, httpGet and tcpSocket"),
    spec("deployment", "probes/readiness", {"httpGet": HTTP, "tcpSocket": {"port": 1}}, "probes.readiness", "a probe needs one of"),
    spec("deployment", "probes/liveness/successThreshold", 2, "probes.liveness.successThreshold", "only a readiness probe"),
    spec("recreated", "probes", {"startup": {"httpGet": {"port": "web"}}}, "probes.startup", "the probe names a port that is not among the ports"),
    spec("small", "probes", {"liveness": {"tcpSocket": {"port": "web"}}}, "probes.liveness", "the probe names a port that is not"),
    spec("small", "probes", {"liveness": {"httpGet": {}}}, "probes.liveness.httpGet.port", "Required value"),
    spec("small", "resources", {"limits": {"memory": "1 GB"}}, "resources.limits.memory", "should match"),
    # Services and routes.
    spec("small", "service", {}, "service", "a service needs ports, and there are none"),
    spec("recreated", "service/type", "ExternalName", "service.type", "Unsupported value"),
    spec("recreated", "service/ports", {"web": 80}, "service.ports", "names a port that is not among the ports"),
    spec("recreated", "service/ports", {"http": 65536}, "service.ports.http", "should be less than or equal to 65535"),
    spec("deployment", "service/ports", {"http": 80, "metrics": 80}, "service.ports", "two ports have the same number on the service"),
    spec("deployment", "service/annotations", {"a b": "x"}, "service.annotations", "keys of annotations are names"),
    spec("small", "ingress", {"hosts": {"a.example": {}}}, "ingress", "an ingress needs a service"),
    spec("deployment", "ingress/port", None, "ingress.port", "must name one of the ports"),
    spec("deployment", "ingress/port", "web", "ingress.port", "must name one of the ports"),
    spec("deployment", "ingress/hosts", {}, "ingress.hosts", "should have at least 1 properties"),
    spec("deployment", "ingress/hosts", {"A.example": {}}, "ingress.hosts", "hosts are names of DNS, in lower case"),
    spec("deployment", "ingress/hosts", {"a.*.example": {}}, "ingress.hosts", "the first part may be '*'"),
    spec("deployment", "ingress/hosts", {"a.example": {"paths": ["b"]}}, "ingress.hosts.a.example.paths[0]", "should match"),
    spec("deployment", "ingress/hosts", {"a.example": {"tlsSecretName": "A"}}, "ingress.hosts.a.example.tlsSecretName", "should match"),
    spec("deployment", "ingress/className", "Nginx", "ingress.className", "should match"),
    spec("small", "httpRoute", {"parentRefs": [{"name": "a"}]}, "httpRoute", "an httpRoute needs a service"),
    spec("deployment", "httpRoute/port", None, "httpRoute.port", "must name one of the ports"),
    spec("deployment", "httpRoute/parentRefs", [], "httpRoute.parentRefs", "should have at least 1 items"),
    spec("deployment", "httpRoute/parentRefs/0/namespace", "A", "httpRoute.parentRefs[0].namespace", "should match"),
    spec("deployment", "httpRoute/hostnames", ["a b"], "httpRoute.hostnames[0]", "should match"),
    spec("deployment", "httpRoute/paths", ["a"], "httpRoute.paths[0]", "should match"),
    spec("deployment", "httpRoute/paths", ["/a//b"], "httpRoute.paths", "no empty, '.' and '..' parts"),
    spec("small", "networkPolicy", {}, "networkPolicy", "restricts ingress, egress or both, and this one has neither"),
    # How many run.
    spec("small", "replicas", -1, "replicas", "should be greater than or equal to 0"),
    spec("small", "replicas", "3", "replicas", "must be of type integer"),
    spec("daemon", "replicas", 2, "replicas", "replicas are for the kinds Deployment and StatefulSet"),
    spec("job", "replicas", 0, "replicas", "replicas are for the kinds Deployment and StatefulSet"),
    spec("autoscaled", "autoscaling/minReplicas", 11, "autoscaling", "minReplicas is larger than maxReplicas"),
    spec("autoscaled", "autoscaling/minReplicas", 0, "autoscaling.minReplicas", "should be greater than or equal to 1"),
    spec("autoscaled", "autoscaling/maxReplicas", None, "autoscaling.maxReplicas", "Required value"),
    spec("autoscaled", "autoscaling", {"maxReplicas": 2}, "autoscaling", "needs something to go by: cpu, memory or metrics"),
    spec("daemon", "autoscaling", {"maxReplicas": 2, "cpu": 1}, "autoscaling", "autoscaling is for the kinds Deployment and StatefulSet"),
    spec("small", "disruptionBudget", {}, "disruptionBudget", "expected either minAvailable or maxUnavailable"),
    spec("small", "disruptionBudget", {"minAvailable": 1, "maxUnavailable": 1}, "disruptionBudget", "expected either minAvailable or maxUnavailable"),
    spec("small", "disruptionBudget", {"minAvailable": "150%"}, "disruptionBudget.minAvailable", "should match"),
    spec("small", "disruptionBudget", {"minAvailable": "half"}, "disruptionBudget.minAvailable", "should match"),
    spec("small", "disruptionBudget", {"maxUnavailable": -1}, "disruptionBudget.maxUnavailable", "should be greater than or equal to 0"),
    spec("job", "disruptionBudget", {"minAvailable": 1}, "disruptionBudget", "disruptionBudget is for the kinds Deployment and StatefulSet"),
    # How they are replaced.
    spec("small", "strategy", {"type": "Rolling"}, "strategy.type", "Unsupported value"),
    spec("small", "strategy", {"type": "OnDelete"}, "strategy.type", "a Deployment has no strategy OnDelete"),
    spec("stateful", "strategy", {"type": "Recreate"}, "strategy.type", "only a Deployment has Recreate"),
    spec("job", "strategy", {}, "strategy", "strategy is for the kinds Deployment, StatefulSet and DaemonSet"),
    spec("recreated", "strategy/maxSurge", 1, "strategy", "maxSurge and maxUnavailable are for the type RollingUpdate"),
    spec("small", "strategy", {"maxSurge": "0%", "maxUnavailable": 0}, "strategy.maxUnavailable", "cannot both be 0"),
    spec("small", "strategy", {"maxSurge": "a"}, "strategy.maxSurge", "should match"),
    spec("stateful", "strategy/maxSurge", 1, "strategy.maxSurge", "a StatefulSet has no maxSurge"),
    spec("stateful", "strategy/maxUnavailable", 0, "strategy.maxUnavailable", "no pod could be replaced"),
    spec("daemon", "strategy/maxUnavailable", None, "strategy.maxUnavailable", "a DaemonSet with maxSurge needs maxUnavailable 0"),
    # Storage and accounts.
    spec("small", "volumeClaims", {"data": {"mountPath": "/data", "storage": "1Gi"}}, "volumeClaims", "volumeClaims are for the kind StatefulSet"),
    spec("stateful", "volumeClaims", {"Data": {"mountPath": "/data", "storage": "1Gi"}}, "volumeClaims", "RFC 1123 labels of at most 52 characters"),
    spec("stateful", "volumeClaims", {"closure": {"mountPath": "/data", "storage": "1Gi"}}, "volumeClaims", "cannot be named closure, files or tmp"),
    spec("stateful", "volumeClaims/data/mountPath", "data", "volumeClaims[data].mountPath", "mounted at an absolute path"),
    spec("stateful", "volumeClaims/data/mountPath", "/nix/var", "volumeClaims[data].mountPath", "not in /nix"),
    spec("stateful", "volumeClaims/data/mountPath", "/tmp", "volumeClaims", "two volume claims are mounted at the same path"),
    ("stateful", {"/spec/files": {"/var/lib/db": {"text": ""}}}, "spec.volumeClaims", "a volume claim is mounted where a file is"),
    spec("stateful", "volumeClaims/data/storage", "ten", "volumeClaims.data.storage", "should match"),
    spec("stateful", "volumeClaims/data/storage", None, "volumeClaims.data.storage", "Required value"),
    spec("stateful", "volumeClaims/data/storageClassName", "Fast", "volumeClaims.data.storageClassName", "should match"),
    spec("stateful", "volumeClaims/scratch/accessModes", ["RWX"], "volumeClaims.scratch.accessModes[0]", "Unsupported value"),
    spec("small", "serviceAccount", {"annotations": {"/a": "x"}}, "serviceAccount.annotations", "keys of annotations are names"),
    # Jobs.
    spec("small", "job", {}, "job", "job is for the kinds Job and CronJob"),
    spec("job", "job/ttlSecondsAfterFinished", 60, "job.ttlSecondsAfterFinished", "a Job that removed itself would run again"),
    spec("job", "job/completions", 0, "job.completions", "should be greater than or equal to 1"),
    spec("job", "job/backoffLimit", -1, "job.backoffLimit", "should be greater than or equal to 0"),
    spec("cron", "cronJob", None, "cronJob", "the kind CronJob needs cronJob with a schedule"),
    spec("small", "cronJob", {"schedule": "@daily"}, "cronJob", "no other kind has it"),
    spec("cron", "cronJob/schedule", "", "cronJob.schedule", "should be at least 1 chars long"),
    spec("cron", "cronJob/schedule", "0 3 * *", "cronJob.schedule", "expected five fields (minute, hour, day, month, weekday)"),
    spec("cron", "cronJob/schedule", "TZ=UTC 0 3 * * *", "cronJob.schedule", "the time zone of a schedule goes into timeZone"),
    spec("cron", "cronJob/timeZone", "Europe Vienna", "cronJob.timeZone", "should match"),
    spec("cron", "cronJob/concurrencyPolicy", "Never", "cronJob.concurrencyPolicy", "Unsupported value"),
]

# Objects with fields that there are not; as kubectl sends them, strictly.
UNKNOWN = [
    ("small", {"/spec/replica": 3}, 'unknown field "spec.replica"'),
    ("small", {"/spec/closures/0/path": "x"}, 'unknown field "spec.closures[0].path"'),
    ("deployment", {"/spec/probes/readiness/httpGet/pathh": "x"}, 'unknown field "spec.probes.readiness.httpGet.pathh"'),
]

# Changes of objects that are there.
UNCHANGEABLE = [
    ("small", {"/spec/kind": "StatefulSet"}, "spec.kind", "kind cannot be changed"),
    ("stateful", {"/spec/volumeClaims/data/storage": "20Gi"}, "spec.volumeClaims", "volumeClaims cannot be changed"),
    ("stateful", {"/spec/volumeClaims": None}, "spec.volumeClaims", "volumeClaims cannot be changed"),
    ("stateful", {"/spec/volumeClaims/more": {"mountPath": "/more", "storage": "1Gi"}}, "spec.volumeClaims", "volumeClaims cannot be changed"),
]
