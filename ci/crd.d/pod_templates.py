"""Pod templates that users may write, valid ones and mistakes: each is given to the API server and to `niphas render`, and both
must give the same answer. STRICTER says which only niphas refuses, and why."""


def spec(**fields):
    return {"spec": fields}


def main(**fields):
    return spec(containers=[{"name": "main", **fields}])


def other(**fields):
    return spec(containers=[{"name": "other", "image": "example.org/other:1", **fields}])


def init(**fields):
    return spec(initContainers=[{"name": "before", "image": "example.org/before:1", **fields}])


def volume(**source):
    return spec(volumes=[{"name": "data", **source}])


def mounted(*mounts, **source):
    return spec(volumes=[{"name": "data", **(source or {"emptyDir": {}})}], containers=[{"name": "main", "volumeMounts": list(mounts)}])


def projected(*sources):
    return volume(projected={"sources": list(sources)})


def security(**fields):
    return main(securityContext=fields)


def whole(**fields):
    return spec(securityContext=fields)


def probe(kind="readinessProbe", **fields):
    return main(**{kind: fields})


def resources(**fields):
    return main(resources=fields)


def claims(claims, *used):
    return spec(resourceClaims=claims, containers=[{"name": "main", "resources": {"claims": list(used)}}])


def affinity(**fields):
    return spec(affinity=fields)


def spread(**fields):
    return spec(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", **fields}])


TEMPLATE = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
TCP = {"tcpSocket": {"port": 8080}}

CASES = {
    # Volumes of each kind, whole and without what they need.
    "aws-ebs": volume(awsElasticBlockStore={"volumeID": "vol-1"}),
    "aws-ebs-nothing": volume(awsElasticBlockStore={"volumeID": ""}),
    "azure-disk": volume(azureDisk={"diskName": "a", "diskURI": "https://blob.example.org/a", "kind": "Shared"}),
    "azure-disk-nothing": volume(azureDisk={"diskName": "", "diskURI": ""}),
    "azure-disk-kind": volume(azureDisk={"diskName": "a", "diskURI": "/subscriptions/x", "kind": "Other"}),
    "azure-file-nothing": volume(azureFile={"secretName": "", "shareName": ""}),
    "cephfs": volume(cephfs={"monitors": ["a:1"]}),
    "cephfs-nothing": volume(cephfs={"monitors": []}),
    "cinder-nothing": volume(cinder={"volumeID": ""}),
    "config-map": volume(configMap={"name": "a", "items": [{"key": "k", "path": "p"}]}),
    "config-map-no-name": volume(configMap={}),
    "config-map-mode": volume(configMap={"name": "a", "defaultMode": 512}),
    "config-map-item-no-key": volume(configMap={"name": "a", "items": [{"key": "", "path": "p"}]}),
    "config-map-item-up": volume(configMap={"name": "a", "items": [{"key": "k", "path": "../p"}]}),
    "csi": volume(csi={"driver": "a.example.org"}),
    "csi-driver-form": volume(csi={"driver": "A_b"}),
    "csi-no-driver": volume(csi={"driver": ""}),
    "csi-secret-no-name": volume(csi={"driver": "a.example.org", "nodePublishSecretRef": {}}),
    "downward": volume(downwardAPI={"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}),
    "downward-path": volume(downwardAPI={"items": [{"path": "", "fieldRef": {"fieldPath": "metadata.labels"}}]}),
    "downward-both": volume(downwardAPI={"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.labels"}, "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}}]}),
    "downward-neither": volume(downwardAPI={"items": [{"path": "a"}]}),
    "downward-field": volume(downwardAPI={"items": [{"path": "a", "fieldRef": {"fieldPath": "spec.nodeName"}}]}),
    "downward-resource": volume(downwardAPI={"items": [{"path": "a", "resourceFieldRef": {"containerName": "main", "resource": "limits.gpu"}}]}),
    "downward-no-container": volume(downwardAPI={"items": [{"path": "a", "resourceFieldRef": {"resource": "limits.cpu"}}]}),
    "empty-dir": volume(emptyDir={"medium": "Memory", "sizeLimit": "1Gi"}),
    "empty-dir-negative": volume(emptyDir={"sizeLimit": "-1Gi"}),
    "ephemeral": volume(ephemeral={"volumeClaimTemplate": TEMPLATE}),
    "ephemeral-nothing": volume(ephemeral={}),
    "ephemeral-no-modes": volume(ephemeral={"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}}),
    "ephemeral-no-storage": volume(ephemeral={"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}),
    "ephemeral-mode": volume(ephemeral={"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWrite"], "resources": {"requests": {"storage": "1Gi"}}}}}),
    "ephemeral-once-pod-and-more": volume(ephemeral={"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOncePod", "ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}}}),
    "fc": volume(fc={"targetWWNs": ["500a"], "lun": 1}),
    "fc-nothing": volume(fc={}),
    "fc-no-lun": volume(fc={"targetWWNs": ["500a"]}),
    "fc-lun": volume(fc={"targetWWNs": ["500a"], "lun": 256}),
    "flex-no-driver": volume(flexVolume={"driver": ""}),
    "flocker-nothing": volume(flocker={}),
    "flocker-both": volume(flocker={"datasetName": "a", "datasetUUID": "b"}),
    "gce-nothing": volume(gcePersistentDisk={"pdName": ""}),
    "git-repo-nothing": volume(gitRepo={"repository": ""}),
    "glusterfs-nothing": volume(glusterfs={"endpoints": "", "path": ""}),
    "host-path": volume(hostPath={"path": "/var", "type": "Directory"}),
    "host-path-type": volume(hostPath={"path": "/var", "type": "Folder"}),
    "host-path-nothing": volume(hostPath={"path": ""}),
    "host-path-up": volume(hostPath={"path": "/var/../etc"}),
    "image": volume(image={"reference": "example.org/a:1"}),
    "image-policy": volume(image={"reference": "example.org/a:1", "pullPolicy": "Sometimes"}),
    "iscsi-iqn": volume(iscsi={"targetPortal": "a", "iqn": "a", "lun": 0}),
    "iscsi-nothing": volume(iscsi={"targetPortal": "", "iqn": "", "lun": 0}),
    "nfs": volume(nfs={"server": "a", "path": "/x"}),
    "nfs-relative": volume(nfs={"server": "a", "path": "x"}),
    "nfs-nothing": volume(nfs={"server": "", "path": ""}),
    "claim-no-name": volume(persistentVolumeClaim={"claimName": ""}),
    "photon-nothing": volume(photonPersistentDisk={"pdID": ""}),
    "portworx-nothing": volume(portworxVolume={"volumeID": ""}),
    "quobyte-nothing": volume(quobyte={"registry": "", "volume": ""}),
    "rbd-nothing": volume(rbd={"monitors": [], "image": ""}),
    "scale-io-nothing": volume(scaleIO={"gateway": "", "system": "", "secretRef": {}}),
    "secret": volume(secret={"secretName": "a", "optional": True}),
    "secret-no-name": volume(secret={}),
    "storageos-nothing": volume(storageos={}),
    "vsphere-nothing": volume(vsphereVolume={"volumePath": ""}),
    "projected": projected({"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}, {"configMap": {"name": "a"}}),
    "projected-nothing": projected({}),
    "projected-two-kinds": projected({"configMap": {"name": "a"}, "secret": {"name": "b"}}),
    "projected-no-name": projected({"configMap": {}}),
    "projected-token-no-path": projected({"serviceAccountToken": {"path": ""}}),
    "projected-token-short": projected({"serviceAccountToken": {"path": "token", "expirationSeconds": 10}}),
    "projected-same-path": projected({"configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}}, {"secret": {"name": "b", "items": [{"key": "k", "path": "p"}]}}),
    "projected-bundle-both": projected({"clusterTrustBundle": {"name": "a", "signerName": "b.example.org/c", "path": "p"}}),
    "projected-bundle-neither": projected({"clusterTrustBundle": {"path": "p"}}),
    "volume-nothing": volume(),
    "volume-name": spec(volumes=[{"name": "Data", "emptyDir": {}}]),
    "volume-two-kinds": volume(emptyDir={}, configMap={"name": "a"}),
    # Mounts.
    "mount": mounted({"name": "data", "mountPath": "/data", "readOnly": True, "recursiveReadOnly": "Enabled"}),
    "mount-no-volume": main(volumeMounts=[{"name": "nothing", "mountPath": "/data"}]),
    "mount-sub-path-up": mounted({"name": "data", "mountPath": "/data", "subPath": "../x"}),
    "mount-sub-path-absolute": mounted({"name": "data", "mountPath": "/data", "subPath": "/x"}),
    "mount-sub-paths": mounted({"name": "data", "mountPath": "/data", "subPath": "a", "subPathExpr": "b"}),
    "mount-nowhere": mounted({"name": "data", "mountPath": ""}),
    "mount-twice": mounted({"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/data", "subPath": "x"}),
    "mount-recursive-writable": mounted({"name": "data", "mountPath": "/data", "recursiveReadOnly": "Enabled"}),
    "mount-recursive-word": mounted({"name": "data", "mountPath": "/data", "readOnly": True, "recursiveReadOnly": "Yes"}),
    "mount-propagation": mounted({"name": "data", "mountPath": "/data", "mountPropagation": "Both"}),
    "mount-bidirectional": mounted({"name": "data", "mountPath": "/data", "mountPropagation": "Bidirectional"}),
    "device-no-claim": spec(volumes=[{"name": "data", "emptyDir": {}}], containers=[{"name": "main", "volumeDevices": [{"name": "data", "devicePath": "/dev/x"}]}]),
    # Security.
    "user": security(runAsUser=1000, runAsGroup=1000),
    "user-negative": security(runAsUser=-1),
    "group-negative": security(runAsGroup=-1),
    "privileged-no-escalation": security(privileged=True, allowPrivilegeEscalation=False),
    "sys-admin-no-escalation": security(allowPrivilegeEscalation=False, capabilities={"add": ["CAP_SYS_ADMIN"], "drop": ["ALL"]}),
    "proc-mount": security(procMount="Masked"),
    "proc-mount-unmasked": security(procMount="Unmasked"),
    "seccomp-localhost": security(seccompProfile={"type": "Localhost"}),
    "seccomp-default-with-file": security(seccompProfile={"type": "RuntimeDefault", "localhostProfile": "a"}),
    "seccomp-up": security(seccompProfile={"type": "Localhost", "localhostProfile": "../a"}),
    "seccomp-type": security(seccompProfile={"type": "Default"}),
    "apparmor-localhost": security(appArmorProfile={"type": "Localhost"}),
    "apparmor-default-with-file": security(appArmorProfile={"type": "RuntimeDefault", "localhostProfile": "a"}),
    "apparmor-type": security(appArmorProfile={"type": "Default"}),
    "windows-on-linux": security(windowsOptions={"runAsUserName": "x"}),
    "pod-apparmor-type": whole(appArmorProfile={"type": "Default"}),
    "pod-seccomp-localhost": whole(seccompProfile={"type": "Localhost"}),
    "fs-group-negative": whole(fsGroup=-1),
    "fs-group-policy": whole(fsGroupChangePolicy="Sometimes"),
    "supplemental-groups": whole(supplementalGroups=[1, -1]),
    "supplemental-policy": whole(supplementalGroupsPolicy="Some"),
    "selinux-policy": whole(seLinuxChangePolicy="Some"),
    "sysctl": whole(sysctls=[{"name": "net.ipv4.ip_local_port_range", "value": "1 2"}]),
    "sysctl-name": whole(sysctls=[{"name": "Net.*", "value": "1"}]),
    "sysctl-twice": whole(sysctls=[{"name": "kernel.shm_rmid_forced", "value": "0"}, {"name": "kernel.shm_rmid_forced", "value": "1"}]),
    "sysctl-slashes-twice": whole(sysctls=[{"name": "kernel.shm_rmid_forced", "value": "0"}, {"name": "kernel/shm_rmid_forced", "value": "1"}]),
    "sysctl-ipc-of-host": spec(hostIPC=True, securityContext={"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "0"}]}),
    "sysctl-net-of-host": spec(hostNetwork=True, securityContext={"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}),
    "host-pid-shared": spec(hostPID=True, shareProcessNamespace=True),
    "own-users": spec(hostUsers=False),
    "own-users-host-ipc": spec(hostUsers=False, hostIPC=True),
    "own-users-host-pid": spec(hostUsers=False, hostPID=True),
    # Operating systems.
    "os-linux": spec(os={"name": "linux"}),
    "os-unknown": spec(os={"name": "bsd"}),
    "os-windows": spec(os={"name": "windows"}),
    "host-process": spec(securityContext={"windowsOptions": {"hostProcess": True}}),
    "pod-windows": whole(windowsOptions={"runAsUserName": ""}),
    # The pod.
    "dns-policy": spec(dnsPolicy="Some"),
    "dns-none": spec(dnsPolicy="None"),
    "dns-none-with": spec(dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.1"]}),
    "dns-servers": spec(dnsConfig={"nameservers": [f"192.0.2.{n}" for n in range(4)]}),
    "dns-server": spec(dnsConfig={"nameservers": ["ns.example.org"]}),
    "dns-search": spec(dnsConfig={"searches": ["-a"]}),
    "dns-option": spec(dnsConfig={"options": [{"name": ""}]}),
    "alias-address": spec(hostAliases=[{"ip": "a", "hostnames": ["b"]}]),
    "alias-name": spec(hostAliases=[{"ip": "192.0.2.1", "hostnames": ["a_b"]}]),
    "hostname": spec(hostname="A"),
    "subdomain": spec(subdomain="a.b"),
    "node-name": spec(nodeName="A"),
    "service-account": spec(serviceAccountName="A"),
    "priority-class": spec(priorityClassName="A"),
    "runtime-class": spec(runtimeClassName="A"),
    "scheduler": spec(schedulerName="mine"),
    "preemption": spec(preemptionPolicy="Some"),
    "pull-secret": spec(imagePullSecrets=[{"name": "a"}]),
    "restart-never": spec(restartPolicy="Never"),
    "deadline": spec(activeDeadlineSeconds=10),
    "grace-negative": spec(terminationGracePeriodSeconds=-1),
    "readiness-gate": spec(readinessGates=[{"conditionType": "a b"}]),
    "scheduling-gates-twice": spec(schedulingGates=[{"name": "a.example.org/b"}, {"name": "a.example.org/b"}]),
    "scheduling-gate": spec(schedulingGates=[{"name": "a b"}]),
    "ephemeral-containers": spec(ephemeralContainers=[{"name": "a", "image": "b"}]),
    "node-selector": spec(nodeSelector={"a b": "c"}),
    "node-selector-value": spec(nodeSelector={"a": "c d"}),
    "label": {"metadata": {"labels": {"a b": "c"}}},
    "label-value": {"metadata": {"labels": {"a": "c d"}}},
    "annotation": {"metadata": {"annotations": {"a b": "c"}}},
    # Scheduling.
    "toleration": spec(tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]),
    "toleration-value": spec(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
    "toleration-no-key": spec(tolerations=[{"operator": "Equal", "value": "b"}]),
    "toleration-operator": spec(tolerations=[{"key": "a", "operator": "Like"}]),
    "toleration-effect": spec(tolerations=[{"key": "a", "effect": "No"}]),
    "toleration-seconds": spec(tolerations=[{"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 30}]),
    "toleration-key": spec(tolerations=[{"key": "a b", "operator": "Exists"}]),
    "affinity-operator": affinity(nodeAffinity={"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Like"}]}]}}),
    "affinity-no-values": affinity(nodeAffinity={"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}}),
    "affinity-exists-values": affinity(nodeAffinity={"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}]}}),
    "affinity-gt": affinity(nodeAffinity={"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["b"]}]}]}}),
    "affinity-gt-two": affinity(nodeAffinity={"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1", "2"]}]}]}}),
    "affinity-field": affinity(nodeAffinity={"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}),
    "affinity-weight": affinity(nodeAffinity={"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}]}),
    "pod-affinity": affinity(podAntiAffinity={"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}]}),
    "pod-affinity-no-key": affinity(podAffinity={"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "", "labelSelector": {}}]}),
    "pod-affinity-weight": affinity(podAffinity={"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 101, "podAffinityTerm": {"topologyKey": "zone"}}]}),
    "pod-affinity-operator": affinity(podAffinity={"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]}),
    "spread": spread(labelSelector={"matchLabels": {"a": "b"}}),
    "spread-skew": spread(maxSkew=0),
    "spread-key": spread(topologyKey=""),
    "spread-word": spread(whenUnsatisfiable="Maybe"),
    "spread-domains": spread(minDomains=2),
    "spread-domains-zero": spread(minDomains=0, whenUnsatisfiable="DoNotSchedule"),
    "spread-policy": spread(nodeAffinityPolicy="Maybe"),
    "spread-label-keys-both": spread(labelSelector={"matchLabels": {"a": "b"}}, matchLabelKeys=["a"]),
    "spread-label-keys-alone": spread(matchLabelKeys=["a"]),
    "spread-twice": spec(topologySpreadConstraints=[{"maxSkew": n, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"} for n in (1, 2)]),
    # Containers.
    "container": other(),
    "container-no-image": spec(containers=[{"name": "other"}]),
    "container-name": spec(containers=[{"name": "Other", "image": "a"}]),
    "container-image-blank": other(image=" a"),
    "container-pull-policy": other(imagePullPolicy="Sometimes"),
    "container-init-same-name": spec(initContainers=[{"name": "main", "image": "a"}]),
    "container-message-policy": other(terminationMessagePolicy="Some"),
    "container-restart": other(restartPolicy="Always"),
    "container-stdin": other(stdin=True, stdinOnce=True, tty=True),
    "port-zero": other(ports=[{"containerPort": 0}]),
    "port-large": other(ports=[{"containerPort": 65536}]),
    "port-protocol": other(ports=[{"containerPort": 1, "protocol": "HTTP"}]),
    "port-name": other(ports=[{"containerPort": 1, "name": "a_b"}]),
    "port-name-long": other(ports=[{"containerPort": 1, "name": "a" * 16}]),
    "port-name-twice": other(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
    "port-host-twice": other(ports=[{"containerPort": 1, "hostPort": 1}, {"containerPort": 2, "hostPort": 1}]),
    "port-host-ip": other(ports=[{"containerPort": 1, "hostPort": 1, "hostIP": "a"}]),
    "port-host-network": spec(hostNetwork=True, containers=[{"name": "other", "image": "a", "ports": [{"containerPort": 1, "hostPort": 2}]}]),
    "env-name": other(env=[{"name": "a=b", "value": "c"}]),
    "env-no-name": other(env=[{"name": "", "value": "c"}]),
    "env-both": other(env=[{"name": "a", "value": "c", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
    "env-from-nothing": other(env=[{"name": "a", "valueFrom": {}}]),
    "env-from-two": other(env=[{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}, "secretKeyRef": {"name": "a", "key": "b"}}}]),
    "env-field": other(env=[{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.nothing"}}}]),
    "env-field-label": other(env=[{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}]),
    "env-field-labels": other(env=[{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]),
    "env-resource": other(env=[{"name": "a", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]),
    "env-resource-divisor": other(env=[{"name": "a", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1Gi"}}}]),
    "env-secret-no-key": other(env=[{"name": "a", "valueFrom": {"secretKeyRef": {"name": "b", "key": ""}}}]),
    "env-secret-no-name": other(env=[{"name": "a", "valueFrom": {"secretKeyRef": {"key": "b"}}}]),
    "env-all-nothing": other(envFrom=[{}]),
    "env-all-both": other(envFrom=[{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]),
    "env-all-prefix": other(envFrom=[{"prefix": "a=", "configMapRef": {"name": "a"}}]),
    "env-all-no-name": other(envFrom=[{"configMapRef": {}}]),
    "lifecycle": other(lifecycle={"preStop": {"exec": {"command": ["a"]}}}),
    "lifecycle-two": other(lifecycle={"preStop": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}}),
    "lifecycle-nothing": other(lifecycle={"postStart": {}}),
    "lifecycle-sleep-long": other(lifecycle={"preStop": {"sleep": {"seconds": 31}}}),
    "lifecycle-sleep-negative": other(lifecycle={"preStop": {"sleep": {"seconds": -1}}}),
    "stop-signal": spec(os={"name": "linux"}, containers=[{"name": "other", "image": "a", "lifecycle": {"stopSignal": "SIGINT"}}]),
    "stop-signal-no-os": other(lifecycle={"stopSignal": "SIGINT"}),
    "init": init(),
    "init-readiness": init(readinessProbe=TCP),
    "init-liveness": init(livenessProbe=TCP),
    "init-lifecycle": init(lifecycle={"preStop": {"exec": {"command": ["a"]}}}),
    "init-sidecar": init(restartPolicy="Always", readinessProbe=TCP, livenessProbe=TCP),
    # Probes.
    "probe": probe(**TCP, periodSeconds=5),
    "probe-two": probe(**TCP, exec={"command": ["a"]}),
    "probe-nothing": probe(periodSeconds=5),
    "probe-negative": probe(**TCP, periodSeconds=-1),
    "probe-success": probe("livenessProbe", **TCP, successThreshold=2),
    "probe-startup-success": probe("startupProbe", **TCP, successThreshold=2),
    "probe-grace": probe(**TCP, terminationGracePeriodSeconds=3),
    "probe-grace-liveness": probe("livenessProbe", **TCP, terminationGracePeriodSeconds=3),
    "probe-grace-zero": probe("livenessProbe", **TCP, terminationGracePeriodSeconds=0),
    "probe-no-command": probe(exec={"command": []}),
    "probe-http-path": probe(httpGet={"path": "a", "port": 8080}),
    "probe-http-scheme": probe(httpGet={"port": 8080, "scheme": "FTP"}),
    "probe-http-header": probe(httpGet={"port": 8080, "httpHeaders": [{"name": "a b", "value": "c"}]}),
    "probe-http-port": probe(httpGet={"port": 0}),
    "probe-port-name": probe(httpGet={"port": "A_b"}),
    "probe-grpc": probe(grpc={"port": 8080}),
    "probe-grpc-port": probe(grpc={"port": 0}),
    # Resources.
    "resources": resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"}),
    "resources-above": resources(requests={"cpu": "2"}, limits={"cpu": "1"}),
    "resources-negative": resources(requests={"cpu": "-1"}),
    "resources-unknown": resources(requests={"gpu": "1"}),
    "resources-extended": resources(limits={"example.org/gpu": "1"}),
    "resources-extended-part": resources(limits={"example.org/gpu": "500m"}),
    "resources-extended-request-alone": resources(requests={"example.org/gpu": "1"}),
    "resources-extended-differ": resources(requests={"example.org/gpu": "1"}, limits={"example.org/gpu": "2"}),
    "resources-huge-pages": resources(limits={"hugepages-2Mi": "2Mi", "memory": "1Gi"}),
    "resources-huge-pages-alone": resources(limits={"hugepages-2Mi": "2Mi"}),
    "resources-huge-pages-odd": resources(limits={"hugepages-2Mi": "3Mi", "memory": "1Gi"}),
    "resources-name": resources(limits={"a b": "1"}),
    "resources-kubernetes": resources(limits={"kubernetes.io/gpu": "1"}),
    "resize": main(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "NotRequired"}]),
    "resize-resource": main(resizePolicy=[{"resourceName": "gpu", "restartPolicy": "NotRequired"}]),
    "resize-word": main(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "Some"}]),
    # Devices.
    "claim": claims([{"name": "gpu", "resourceClaimName": "gpu"}], {"name": "gpu"}),
    "claim-neither": claims([{"name": "gpu"}], {"name": "gpu"}),
    "claim-both": claims([{"name": "gpu", "resourceClaimName": "a", "resourceClaimTemplateName": "b"}], {"name": "gpu"}),
    "claim-name": claims([{"name": "Gpu", "resourceClaimName": "a"}]),
    "claim-of-name": claims([{"name": "gpu", "resourceClaimName": "A_b"}]),
    "claim-unknown": claims([{"name": "gpu", "resourceClaimName": "a"}], {"name": "cpu"}),
    "claim-twice": claims([{"name": "gpu", "resourceClaimName": "a"}], {"name": "gpu"}, {"name": "gpu"}),
    "claim-request-and-all": claims([{"name": "gpu", "resourceClaimName": "a"}], {"name": "gpu"}, {"name": "gpu", "request": "x"}),
}  # fmt: skip

# What the server takes, and why niphas does not.
STRICTER = {
    "container-restart": "Kubernetes 1.33, the oldest that is supported, refuses it",
    "grace-negative": "the server makes 1 of it, and GitOps controllers see a difference for ever",
    "mount-twice": "two elements with one key become one where objects are merged: which of them is lost is not said",
    "projected-nothing": "it does nothing: what it was to be is missing",
    "volume-nothing": "the server makes an emptyDir of it: what it was to be is missing",
    "windows-on-linux": "programs of closures run on Linux alone",
}
