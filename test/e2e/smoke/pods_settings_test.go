package smoke

import (
	"encoding/base64"
	"strings"
)

// podSettings are what the pods of TestPodsInDetail read.
const podSettings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: one, extra.conf: "a = 1"}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {word: sesame}
---
apiVersion: v1
kind: Service
metadata: {name: nearby}
spec: {clusterIP: 10.96.200.7, ports: [{port: 80}]}
`

// prints runs the script in a pod of its own, with more of the pod's spec and of its container's, and compares.
func (s space) prints(name, pod, container, script string, want []string) {
	s.t.Helper()
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `, labels: {role: tester}, annotations: {note: "line one\nline two"}}
spec:
  restartPolicy: Never
` + pod + `
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c]
    args:
    - |
      ` + strings.ReplaceAll(strings.TrimSpace(script), "\n", "\n      ") + `
` + container)
	s.until(name+" to end", func() (string, bool) {
		out := s.field(name, ".status.phase")
		return out, out == "Succeeded" || out == "Failed"
	})
	got := strings.Split(s.must("logs", name), "\n")
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			s.t.Errorf("missing: %q", want[i])
		case i >= len(want):
			s.t.Errorf("too much: %q", got[i])
		case got[i] != want[i]:
			s.t.Errorf("line %d: %q, want %q", i+1, got[i], want[i])
		}
	}
}

func environment(s space) {
	s.prints("environment", `
  serviceAccountName: default
  nodeName: worker-1`, `
    envFrom:
    - {prefix: CM_, configMapRef: {name: settings}}
    - {secretRef: {name: absent, optional: true}}
    resources: {limits: {cpu: 1500m, memory: 64Mi}, requests: {cpu: 100m}}
    env:
    - {name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: mode}}}
    - {name: WORD, valueFrom: {secretKeyRef: {name: hidden, key: word}}}
    - {name: NONE, valueFrom: {secretKeyRef: {name: hidden, key: absent, optional: true}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: ROLE, valueFrom: {fieldRef: {fieldPath: "metadata.labels['role']"}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: ACCOUNT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
    - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MILLI, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: BOTH, value: "$(MODE)-$(WORD)-$$(MODE)-$(UNKNOWN)"}
`, `
echo "$MODE $CM_mode $WORD [$NONE]"
echo "$POD $NAMESPACE $ROLE $NODE $ACCOUNT"
echo "$CPUS $MILLI $MEMORY"
echo "$BOTH"
echo "$NEARBY_SERVICE_HOST $NEARBY_SERVICE_PORT $NEARBY_PORT $KUBERNETES_SERVICE_PORT_HTTPS"
ip=$(hostname -i); [ "$IP" = "$ip" ] && echo same address
[ -n "$HOST" ] && [ "$HOST" != "$IP" ] && echo another host`,
		[]string{"one one sesame []", "environment " + s.name + " tester worker-1 default", "2 100 64", "one-sesame-$(MODE)-$(UNKNOWN)",
			"10.96.200.7 80 tcp://10.96.200.7:80 443", "same address", "another host"})
}

// projectedVolumes holds every source of a projected volume that is stable in v1.37, and the volumes of one source each.
func projectedVolumes(s space) {
	s.prints("projected", `
  securityContext: {fsGroup: 2000}
  volumes:
  - name: all
    projected:
      defaultMode: 0440
      sources:
      - configMap: {name: settings, items: [{key: mode, path: sub/mode, mode: 0400}]}
      - secret: {name: hidden}
      - configMap: {name: absent, optional: true}
      - downwardAPI:
          items:
          - {path: labels, fieldRef: {fieldPath: metadata.labels}}
          - {path: note, fieldRef: {fieldPath: "metadata.annotations['note']"}}
          - {path: memory, resourceFieldRef: {containerName: c, resource: limits.memory, divisor: 1Mi}}
      - serviceAccountToken: {path: token, audience: vault, expirationSeconds: 3600}
  - {name: settings, configMap: {name: settings, defaultMode: 0444}}
  - {name: hidden, secret: {secretName: hidden, items: [{key: word, path: password}]}}
  - {name: about, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}`, `
    resources: {limits: {memory: 32Mi}}
    volumeMounts:
    - {name: all, mountPath: /all, readOnly: true}
    - {name: settings, mountPath: /settings}
    - {name: hidden, mountPath: /hidden}
    - {name: about, mountPath: /about}
`, `
cat /all/sub/mode; echo; cat /all/word; echo; cat /all/labels; echo; cat /all/note; echo; cat /all/memory; echo
cat /settings/extra.conf /hidden/password /about/name; echo
ls -lL /all/word | sed 's/ .*//'; ls -lnL /all/word | sed 's/  */ /g' | sed 's/^[^ ]* [^ ]* [^ ]* \([^ ]*\) .*/\1/'
grep -c tmpfs /proc/mounts > /dev/null && grep ' /hidden ' /proc/mounts | sed 's/ .*//'
touch /all/x 2>/dev/null || echo read only`,
		[]string{"one", "sesame", `role="tester"`, "line one", "line two", "32", "a = 1sesameprojected", "-r--r-----", "2000", "tmpfs", "read only"})
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: token}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [cat, /t/token], volumeMounts: [{name: t, mountPath: /t}]}]
  volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}}]
`)
	s.must("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/token", "--timeout=90s")
	parts := strings.Split(s.must("logs", "token"), ".")
	if len(parts) != 3 {
		s.t.Fatalf("the token has %d parts", len(parts))
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(claims), `"aud":["vault"]`) || !strings.Contains(string(claims), `"pod":{"name":"token"`) {
		s.t.Errorf("claims %s %v", claims, err)
	}
}

func memoryVolume(s space) {
	s.prints("memory", `
  volumes: [{name: m, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]`, `
    volumeMounts: [{name: m, mountPath: /m}]
`, `
grep ' /m ' /proc/mounts | sed 's/ .*//'
grep ' /m ' /proc/mounts | grep -o 'size=[0-9]*k'
head -c 500000 /dev/zero > /m/fits && echo fits
head -c 5000000 /dev/zero > /m/large 2>/dev/null || echo too large`, []string{"tmpfs", "size=1024k", "fits", "too large"})
}

func subPaths(s space) {
	s.prints("subpath", `
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: work, emptyDir: {}}`, `
    env: [{name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    volumeMounts:
    - {name: settings, mountPath: /etc/one.conf, subPath: extra.conf}
    - {name: work, mountPath: /whole}
    - {name: work, mountPath: /part, subPath: a/b}
    - {name: work, mountPath: /mine, subPathExpr: "$(WHO)"}
`, `
cat /etc/one.conf; echo
touch /part/x /mine/y
ls /whole/a/b /whole/subpath`, []string{"a = 1", "/whole/a/b:", "x", "", "/whole/subpath:", "y"})
	_, err := s.tryWith(strings.ReplaceAll(`
apiVersion: v1
kind: Pod
metadata: {name: outside}
spec:
  containers: [{name: c, image: IMAGE, volumeMounts: [{name: w, mountPath: /w, subPath: ../../etc}]}]
  volumes: [{name: w, emptyDir: {}}]
`, "IMAGE", image), "create", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "spec.containers[0].volumeMounts[0].subPath: Invalid value") {
		s.t.Errorf("a path out of the volume: %v", err)
	}
}

func securityContext(s space) {
	s.prints("confined", `
  securityContext: {runAsUser: 1000, runAsGroup: 1001, fsGroup: 2000, supplementalGroups: [3000], seccompProfile: {type: RuntimeDefault}}
  volumes: [{name: work, emptyDir: {}}]`, `
    securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: work, mountPath: /work}]
`, `
echo $(id -u) $(id -g) $(id -G)
touch /work/x && ls -ln /work/x | sed 's/  */ /g' | sed 's/^[^ ]* [^ ]* \([^ ]* [^ ]*\) .*/\1/'
touch /tmp/x 2>/dev/null || echo read only
grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | sed 's/[[:space:]]/ /g'`,
		[]string{"1000 1001 1001 2000 3000", "1000 2000", "read only", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"})
	s.prints("capable", "", `
    securityContext: {seccompProfile: {type: Unconfined}, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}
`, `grep -E 'CapEff|Seccomp:' /proc/self/status | sed 's/[[:space:]]/ /g'`, []string{"CapEff: 0000000000000400", "Seccomp: 0"})
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: root}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"], securityContext: {runAsNonRoot: true}}]
`)
	s.eventually("CreateContainerConfigError", "get", "pod", "root", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
	if out := s.field("root", ".status.containerStatuses[0].state.waiting.message"); !strings.Contains(out, "container has runAsNonRoot and image will run as root") {
		s.t.Errorf("why it waits: %q", out)
	}
}

// resourceLimits reads the container's own cgroup, of version 2 or 1.
func resourceLimits(s space) {
	s.prints("limited", "", `
    resources: {limits: {cpu: 250m, memory: 32Mi}, requests: {cpu: 100m, memory: 16Mi}}
`, `
cd /sys/fs/cgroup
if [ -e memory.max ]; then cat memory.max cpu.max; else cat memory/memory.limit_in_bytes; echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us); fi`,
		[]string{"33554432", "25000 100000"})
	if out := s.field("limited", ".status['qosClass']"); out != "Burstable" {
		s.t.Errorf("QoS class %s", out)
	}
}

func outOfMemory(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  restartPolicy: Never
  containers: [{name: c, image: IMAGE, command: [tail, /dev/zero], resources: {limits: {memory: 16Mi}}}]
`)
	s.eventually("Failed OOMKilled 137", "get", "pod", "greedy", "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}")
}

func hostAliases(s space) {
	s.prints("aliases", `
  hostname: chosen
  subdomain: nearby
  hostAliases: [{ip: 192.0.2.7, hostnames: [far.example, far]}]`, "", `
grep 192.0.2.7 /etc/hosts
hostname
grep -c "chosen.nearby.$(sed -n 's/^search \([^ ]*\) .*/\1/p' /etc/resolv.conf)" /etc/hosts`, []string{"192.0.2.7\tfar.example\tfar", "chosen", "1"})
}

func sharedProcesses(s space) {
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: family}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: a, image: IMAGE, command: [sleep, "4242"]}
  - {name: b, image: IMAGE, command: [sleep, "100000"]}
`)
	s.must("wait", "--for=condition=Ready", "pod/family", "--timeout=90s")
	if out := s.must("exec", "family", "-c", "b", "--", "ps"); !strings.Contains(out, "sleep 4242") || !strings.Contains(out, "pause") {
		s.t.Errorf("processes seen by the neighbour:\n%s", out)
	}
}
