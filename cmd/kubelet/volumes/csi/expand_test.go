package csi

import (
	"testing"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolsrecord "k8s.io/client-go/tools/record"
)

func storage(size string) v1.ResourceList {
	return v1.ResourceList{v1.ResourceStorage: resource.MustParse(size)}
}

// A claim of 1Gi is mounted, and its volume made 2Gi large.
func TestAMountedVolumeIsGrown(t *testing.T) {
	const grow = "grow h1 at mount to 2147483648"
	pending := v1.PersistentVolumeClaimStatus{Capacity: storage("1Gi"),
		AllocatedResourceStatuses: map[v1.ResourceName]v1.ClaimResourceStatus{v1.ResourceStorage: v1.PersistentVolumeClaimNodeResizePending},
		Conditions:                []v1.PersistentVolumeClaimCondition{{Type: v1.PersistentVolumeClaimFileSystemResizePending, Status: v1.ConditionTrue}}}
	for name, tt := range map[string]struct {
		mode   v1.PersistentVolumeAccessMode
		status v1.PersistentVolumeClaimStatus // after the volume was made larger
		fail   error
		calls  [2]string // of two looks
		size   string    // in the claim, in the end
		state  v1.ClaimResourceStatus
		event  string
	}{
		"the node's turn": {mode: v1.ReadWriteOnce, status: pending, calls: [2]string{grow, ""}, size: "2Gi",
			event: "Normal FileSystemResizeSuccessful NodeExpandVolume succeeded for volume pv1"},
		"told by the condition alone": {mode: v1.ReadWriteOnce, status: v1.PersistentVolumeClaimStatus{Capacity: storage("1Gi"), Conditions: pending.Conditions}, calls: [2]string{grow, ""}, size: "2Gi",
			event: "Normal FileSystemResizeSuccessful NodeExpandVolume succeeded for volume pv1"},
		"not yet":                 {mode: v1.ReadWriteOnce, status: v1.PersistentVolumeClaimStatus{Capacity: storage("1Gi")}, size: "1Gi"},
		"grown by another node":   {mode: v1.ReadWriteMany, status: v1.PersistentVolumeClaimStatus{Capacity: storage("2Gi")}, calls: [2]string{grow, ""}, size: "2Gi", event: "Normal FileSystemResizeSuccessful NodeExpandVolume succeeded for volume pv1"},
		"grown without the nodes": {mode: v1.ReadWriteOnce, status: v1.PersistentVolumeClaimStatus{Capacity: storage("2Gi")}, size: "2Gi"},
		"a driver that cannot": {mode: v1.ReadWriteOnce, status: pending, fail: grpcstatus.Error(codes.OutOfRange, "too large"), calls: [2]string{grow, ""}, size: "1Gi", state: v1.PersistentVolumeClaimNodeResizeInfeasible,
			event: "Warning VolumeResizeFailed NodeExpandVolume of h1: rpc error: code = OutOfRange desc = too large"},
		"a driver that fails": {mode: v1.ReadWriteOnce, status: pending, fail: grpcstatus.Error(codes.Internal, "busy"), calls: [2]string{grow, grow}, size: "1Gi", state: v1.PersistentVolumeClaimNodeResizeInProgress,
			event: "Warning VolumeResizeFailed NodeExpandVolume of h1: rpc error: code = Internal desc = busy"},
	} {
		t.Run(name, func(t *testing.T) {
			attach := false
			m, d, client := node(t, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "disk.example"}, Spec: storagev1.CSIDriverSpec{AttachRequired: &attach}},
				&v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "key"}})
			recorder := toolsrecord.NewFakeRecorder(10)
			m.Recorder = recorder
			r := request(m, "u1")
			r.PV.Spec.Capacity, r.PV.Spec.AccessModes = storage("1Gi"), []v1.PersistentVolumeAccessMode{tt.mode}
			r.Claim = &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "data"}, Status: v1.PersistentVolumeClaimStatus{Capacity: storage("1Gi")}}
			if _, err := m.Mount(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			d.story()

			pv, claim := r.PV.DeepCopy(), r.Claim.DeepCopy()
			pv.Spec.Capacity, claim.Status = storage("2Gi"), *tt.status.DeepCopy()
			if _, err := client.CoreV1().PersistentVolumes().Create(t.Context(), pv, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.CoreV1().PersistentVolumeClaims("ns").Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			d.mu.Lock()
			d.fail = tt.fail
			d.mu.Unlock()
			for look, want := range tt.calls {
				m.growAll(t.Context())
				if s := d.story(); s != want {
					t.Errorf("look %d: %q", look, s)
				}
			}
			claim, err := client.CoreV1().PersistentVolumeClaims("ns").Get(t.Context(), "data", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := claim.Status.Capacity.Storage().String(); got != tt.size || claim.Status.AllocatedResourceStatuses[v1.ResourceStorage] != tt.state {
				t.Errorf("the claim has %s, state %q", got, claim.Status.AllocatedResourceStatuses[v1.ResourceStorage])
			}
			if tt.size == "2Gi" && len(claim.Status.Conditions) > 0 {
				t.Errorf("conditions %v", claim.Status.Conditions)
			}
			select {
			case got := <-recorder.Events:
				if got != tt.event {
					t.Errorf("event %q", got)
				}
			default:
				if tt.event != "" {
					t.Error("nobody is told")
				}
			}
		})
	}
}

func TestAVolumeIsGrownWhenItIsMounted(t *testing.T) {
	attach := false
	m, d, client := node(t, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "disk.example"}, Spec: storagev1.CSIDriverSpec{AttachRequired: &attach}},
		&v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "key"}})
	r := request(m, "u1")
	r.PV.Spec.Capacity = storage("2Gi")
	r.Claim = &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "data"}, Status: v1.PersistentVolumeClaimStatus{Capacity: storage("1Gi"),
		AllocatedResourceStatuses: map[v1.ResourceName]v1.ClaimResourceStatus{v1.ResourceStorage: v1.PersistentVolumeClaimNodeResizePending}}}
	if _, err := client.CoreV1().PersistentVolumeClaims("ns").Create(t.Context(), r.Claim.DeepCopy(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Mount(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if s := d.story(); s != "stage h1 map[], publish h1, grow h1 at mount to 2147483648" {
		t.Errorf("mounting: %s", s)
	}
	if claim, _ := client.CoreV1().PersistentVolumeClaims("ns").Get(t.Context(), "data", metav1.GetOptions{}); claim.Status.Capacity.Storage().String() != "2Gi" {
		t.Errorf("the claim has %v", claim.Status.Capacity)
	}
}
