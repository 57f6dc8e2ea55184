package conformance

import (
	"fmt"
	"slices"
	"testing"
)

// versions are those of the pods of statefulSet, by their names.
func (s *space) versions() string {
	s.Helper()
	return s.kubectl("get", "pods", "-l", "app=db", "--sort-by=.metadata.name", "-o", `jsonpath={.items[*].metadata.annotations.version}`)
}

func TestPartitionedUpdate(t *testing.T) {
	s := documented(t, "[sig-apps] StatefulSet should update only pods at and above the partition")
	partition := func(n int) string {
		return fmt.Sprintf("podManagementPolicy: Parallel\n  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: %d}}", n)
	}
	s.statefulSet(3, "1", partition(2))
	s.shows("3", "statefulset/db", ".status.readyReplicas")
	s.statefulSet(3, "2", partition(2))
	s.shows("1 3", "statefulset/db", ".status['updatedReplicas','readyReplicas']")
	if got := s.versions(); got != "1 1 2" {
		t.Errorf("the versions are %s", got)
	}
	s.kubectl("delete", "pod", "db-0")
	s.shows("true", "pod/db-0", ".status.containerStatuses[0].ready")
	s.shows("1 3", "statefulset/db", ".status['updatedReplicas','readyReplicas']")
	if got := s.versions(); got != "1 1 2" {
		t.Errorf("the versions are %s when a pod below the partition came again", got)
	}
	s.statefulSet(3, "2", partition(0))
	s.shows("3 3", "statefulset/db", ".status['updatedReplicas','readyReplicas']")
	if got := s.versions(); got != "2 2 2" {
		t.Errorf("the versions are %s", got)
	}
}

func TestUpdateOnDelete(t *testing.T) {
	s := documented(t, "[sig-apps] StatefulSet should update pods that are deleted with the strategy OnDelete")
	s.statefulSet(2, "1", "updateStrategy: {type: OnDelete}")
	s.shows("2", "statefulset/db", ".status.readyReplicas")
	s.statefulSet(2, "2", "updateStrategy: {type: OnDelete}")
	s.observed("statefulset/db")
	s.steady("a StatefulSet whose pods nobody deletes", func() (any, bool) {
		got := s.versions()
		return got, got == "1 1"
	})
	s.kubectl("delete", "pod", "db-0")
	s.shows("1 2", "statefulset/db", ".status['updatedReplicas','readyReplicas']")
	if got := s.versions(); got != "2 1" {
		t.Errorf("the versions are %s", got)
	}
}

// TestMaxUnavailable: a rollout to what never becomes ready stops when as many pods are down as may be.
func TestMaxUnavailable(t *testing.T) {
	s := documented(t, "[sig-apps] StatefulSet should update maxUnavailable pods at once")
	s.statefulSet(4, "1", "podManagementPolicy: Parallel\n  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 2}}")
	s.shows("4", "statefulset/db", ".status.readyReplicas")
	s.kubectl("patch", "statefulset", "db", "-p", `{"spec":{"template":{"metadata":{"annotations":{"version":"2"}},"spec":{"containers":[{"name":"c","command":["sh","-c","mkdir /tmp/www; exec httpd -f -p 8080 -h /tmp/www"]}]}}}}`)
	s.shows("2 2", "statefulset/db", ".status['updatedReplicas','readyReplicas']")
	s.steady("a rollout that waits", func() (any, bool) {
		got := s.versions()
		return got, got == "1 1 2 2"
	})
	for _, pod := range []string{"db-3", "db-2"} {
		s.shows("Running", "pod/"+pod, ".status.phase")
		s.inPodNamed(pod, "touch /tmp/www/well")
	}
	s.shows("4 2", "statefulset/db", ".status['updatedReplicas','readyReplicas']")
	if got := s.versions(); got != "2 2 2 2" {
		t.Errorf("the versions are %s", got)
	}
}

// TestFirstOrdinal is of spec.ordinals.start (KEP-3335).
func TestFirstOrdinal(t *testing.T) {
	s := documented(t, "[sig-apps] StatefulSet should number its pods from ordinals.start")
	s.statefulSet(2, "1", "ordinals: {start: 5}")
	s.shows("2", "statefulset/db", ".status.readyReplicas")
	if got := s.names("pods", "app=db"); !slices.Equal(got, []string{"db-5", "db-6"}) {
		t.Errorf("the pods are %v", got)
	}
	if got := s.read("pod/db-5", `.metadata.labels.apps\.kubernetes\.io/pod-index`); got != "5" {
		t.Errorf("the index of db-5 is %s", got)
	}
	s.statefulSet(2, "1", "ordinals: {start: 6}")
	s.eventually("the pods to move up", func() (any, bool) {
		got := s.names("pods", "app=db")
		return got, slices.Equal(got, []string{"db-6", "db-7"})
	})
}

// TestClaimsGoOrStay is of spec.persistentVolumeClaimRetentionPolicy (KEP-1847). The pods of these claims never run.
func TestClaimsGoOrStay(t *testing.T) {
	s := documented(t, "[sig-apps] StatefulSet should keep or delete claims by persistentVolumeClaimRetentionPolicy")
	apply := func(name, policy string, replicas int) {
		t.Helper()
		s.apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %s}
spec:
  serviceName: db
  replicas: %d
  podManagementPolicy: Parallel
  persistentVolumeClaimRetentionPolicy: {%s}
  selector: {matchLabels: {app: %s}}
  template: %s
  volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: "", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}]
`, name, replicas, policy, name, template(name, "sleep 1000")))
	}
	claims := func(name string, want ...string) {
		t.Helper()
		s.eventually(fmt.Sprintf("the claims of %s to be %v", name, want), func() (any, bool) {
			got := s.names("persistentvolumeclaims", "app="+name)
			return got, slices.Equal(got, want)
		})
	}
	const keep, drop = "whenDeleted: Retain, whenScaled: Retain", "whenDeleted: Delete, whenScaled: Delete"
	apply("keep", keep, 2)
	apply("drop", drop, 2)
	claims("keep", "data-keep-0", "data-keep-1")
	claims("drop", "data-drop-0", "data-drop-1")
	apply("keep", keep, 1)
	apply("drop", drop, 1)
	claims("drop", "data-drop-0")
	claims("keep", "data-keep-0", "data-keep-1")
	s.kubectl("delete", "statefulset", "keep", "drop")
	claims("drop")
	s.hasNone("pods", "app=keep")
	claims("keep", "data-keep-0", "data-keep-1")
}
