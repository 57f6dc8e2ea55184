package smoke

import (
	"strings"
	"testing"
)

const diskOnWorker = `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: SPACE}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: SPACE}
spec:
  capacity: {storage: 2Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: SPACE
  hostPath: {path: /srv/SPACE, type: DirectoryOrCreate}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [NODE]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: SPACE
  resources: {requests: {storage: 1Gi}}
`

const claimant = `
apiVersion: v1
kind: Pod
metadata: {name: POD}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sh, -c, "COMMAND; sleep 100000"], volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`

// TestVolumeOutlivesItsPod: a claim that waits for its first consumer is bound on the volume's node, the data is there for the next
// pod, a claim in use cannot be lost, and a retained volume stays when the claim goes.
func TestVolumeOutlivesItsPod(t *testing.T) {
	s := newSpace(t)
	const node = "worker-1"
	fill := strings.NewReplacer("SPACE", s.name, "NODE", node)
	s.apply(fill.Replace(diskOnWorker))
	t.Cleanup(func() { _, _ = s.try("delete", "pv/"+s.name, "storageclass/"+s.name, "--wait=false") })
	s.until("the claim to say what it waits for", func() (string, bool) {
		out, err := s.try("describe", "pvc", "data")
		return out, err == nil && strings.Contains(out, "WaitForFirstConsumer") && strings.Contains(out, "waiting for first consumer to be created before binding")
	})

	s.apply(strings.NewReplacer("POD", "writer", "COMMAND", "echo kept > /data/file").Replace(claimant))
	s.must("wait", "--for=condition=Ready", "pod/writer", "--timeout=90s")
	if got := s.must("get", "pvc", "data", "-o", "jsonpath={.status.phase} {.spec.volumeName} {.status.capacity.storage}"); got != "Bound "+s.name+" 2Gi" {
		t.Errorf("the claim is %q", got)
	}
	if got := s.must("get", "pod", "writer", "-o", "jsonpath={.spec.nodeName}"); got != node {
		t.Errorf("the pod is on %s, its volume on %s", got, node)
	}
	s.eventually("kept", "exec", "writer", "--", "cat", "/data/file")

	s.must("delete", "pvc", "data", "--wait=false")
	s.must("delete", "pv", s.name, "--wait=false")
	if out := s.must("get", "pvc", "data"); !strings.Contains(out, "Terminating") {
		t.Errorf("a claim in use: %s", out)
	}
	s.must("delete", "pod", "writer")
	s.must("wait", "--for=delete", "pvc/data", "pv/"+s.name, "--timeout=60s")

	// The administrator gives the same directory out again.
	s.apply(fill.Replace(diskOnWorker))
	s.apply(strings.NewReplacer("POD", "reader", "COMMAND", "cat /data/file").Replace(claimant))
	s.must("wait", "--for=condition=Ready", "pod/reader", "--timeout=90s")
	s.eventually("kept", "logs", "reader")
	s.must("delete", "pod", "reader")
	s.must("delete", "pvc", "data")
	s.eventually("Released data", "get", "pv", s.name, "-o", "jsonpath={.status.phase} {.spec.claimRef.name}")
}

const pool = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: SPACE-SIZE}
spec:
  capacity: {storage: SIZEGi}
  accessModes: [ReadWriteOnce]
  storageClassName: SPACE
  persistentVolumeReclaimPolicy: Delete
  hostPath: {path: /tmp/SPACE-SIZE, type: DirectoryOrCreate}
`

const scratch = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sh, -c, "hostname > /data/name; sleep 100000"], volumeMounts: [{name: data, mountPath: /data}, {name: scratch, mountPath: /scratch}]}]
      volumes:
      - name: scratch
        ephemeral:
          volumeClaimTemplate:
            spec: {accessModes: [ReadWriteOnce], storageClassName: SPACE, resources: {requests: {storage: 3Gi}}}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: SPACE, resources: {requests: {storage: 1Gi}}}
`

// TestClaimsOfTemplates: a StatefulSet's claims and those of generic ephemeral volumes are bound at once, to the smallest volumes
// that fit; the ephemeral ones go with their pods, and what is marked Delete goes with its claim.
func TestClaimsOfTemplates(t *testing.T) {
	s := newSpace(t)
	fill := func(size string) string { return strings.NewReplacer("SPACE", s.name, "SIZE", size).Replace(pool) }
	for _, size := range []string{"1", "2", "3", "4"} {
		s.apply(fill(size))
		t.Cleanup(func() { _, _ = s.try("delete", "pv/"+s.name+"-"+size, "--wait=false") })
	}
	s.apply(strings.ReplaceAll(scratch, "SPACE", s.name))
	s.must("rollout", "status", "statefulset/db", "--timeout=90s")
	if out := s.must("get", "pvc", "--no-headers", "-o", "custom-columns=N:.metadata.name,P:.status.phase"); strings.Count(out, "Bound") != 4 {
		t.Errorf("claims: %s", out)
	}
	s.must("delete", "statefulset", "db")
	s.must("wait", "--for=delete", "pvc/db-0-scratch", "pvc/db-1-scratch", "pv/"+s.name+"-3", "pv/"+s.name+"-4", "--timeout=60s")
	if out := s.must("get", "pvc", "-o", "name"); strings.Count(out, "data-db-") != 2 {
		t.Errorf("the claims of the set should stay: %s", out)
	}
}

const remote = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: SPACE}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: SPACE
  claimRef: {namespace: SPACE, name: data}
  csi: {driver: disks.example.com, volumeHandle: SPACE}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: SPACE
  resources: {requests: {storage: 1Gi}}
`

// TestVolumeIsAttachedAndDetached: with the test as the driver's attacher.
func TestVolumeIsAttachedAndDetached(t *testing.T) {
	s := newSpace(t)
	s.apply(strings.ReplaceAll(remote, "SPACE", s.name))
	t.Cleanup(func() { _, _ = s.try("delete", "pv/"+s.name, "--wait=false") })
	s.apply(strings.NewReplacer("POD", "user", "COMMAND", "true").Replace(claimant))
	attachment := ""
	s.until("an attachment of the volume to the pod's node", func() (string, bool) {
		node, _ := s.try("get", "pod", "user", "-o", "jsonpath={.spec.nodeName}")
		out, err := s.try("get", "volumeattachments", "-o", `jsonpath={range .items[*]}{.metadata.name} {.spec.attacher} {.spec.nodeName} {.spec.source.persistentVolumeName}{end}`)
		fields := strings.Fields(out)
		if err != nil || len(fields) != 4 || fields[1] != "disks.example.com" || fields[2] != node || fields[3] != s.name {
			return out, false
		}
		attachment = fields[0]
		return out, true
	})
	s.must("patch", "volumeattachment", attachment, "--subresource=status", "--type=merge", "-p", `{"status":{"attached":true}}`)
	s.eventually("kubernetes.io/csi/disks.example.com^"+s.name, "get", "nodes", "-o", "jsonpath={.items[*].status.volumesAttached[*].name}")
	s.until("the pod to be told", func() (string, bool) {
		out, err := s.try("get", "events", "--field-selector=reason=SuccessfulAttachVolume")
		return out, err == nil && strings.Contains(out, "AttachVolume.Attach succeeded for volume")
	})
	s.must("delete", "pod", "user")
	s.must("wait", "--for=delete", "volumeattachment/"+attachment, "--timeout=60s")
	s.eventually("", "get", "nodes", "-o", "jsonpath={.items[*].status.volumesAttached[*].name}")
}
