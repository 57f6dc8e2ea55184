package csi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"pilotis.dev/cmd/kubelet/volumes"
	"pilotis.dev/cmd/kubelet/volumes/plugins"
)

// fakeDriver is a CSI driver and its registrar behind real sockets. It makes folders for volumes.
type fakeDriver struct {
	spec.UnimplementedNodeServer
	registration.UnimplementedRegistrationServer
	endpoint string

	mu     sync.Mutex
	calls  []string
	last   *spec.NodePublishVolumeRequest
	fail   error
	status chan *registration.RegistrationStatus
}

func (d *fakeDriver) note(format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf(format, args...))
	return d.fail
}

func (d *fakeDriver) story() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := strings.Join(d.calls, ", ")
	d.calls = nil
	return s
}

func (d *fakeDriver) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{Type: registration.CSIPlugin, Name: "disk.example", Endpoint: d.endpoint, SupportedVersions: []string{"1.0.0"}}, nil
}

func (d *fakeDriver) NotifyRegistrationStatus(_ context.Context, s *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	d.status <- s
	return &registration.RegistrationStatusResponse{}, nil
}

func (d *fakeDriver) NodeGetInfo(context.Context, *spec.NodeGetInfoRequest) (*spec.NodeGetInfoResponse, error) {
	return &spec.NodeGetInfoResponse{NodeId: "node-in-driver", MaxVolumesPerNode: 7, AccessibleTopology: &spec.Topology{Segments: map[string]string{"disk.example/zone": "z1"}}}, nil
}

func (d *fakeDriver) NodeGetCapabilities(context.Context, *spec.NodeGetCapabilitiesRequest) (*spec.NodeGetCapabilitiesResponse, error) {
	answer := &spec.NodeGetCapabilitiesResponse{}
	for _, kind := range []spec.NodeServiceCapability_RPC_Type{spec.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME, spec.NodeServiceCapability_RPC_EXPAND_VOLUME} {
		answer.Capabilities = append(answer.Capabilities, &spec.NodeServiceCapability{Type: &spec.NodeServiceCapability_Rpc{Rpc: &spec.NodeServiceCapability_RPC{Type: kind}}})
	}
	return answer, nil
}

func (d *fakeDriver) NodeStageVolume(_ context.Context, r *spec.NodeStageVolumeRequest) (*spec.NodeStageVolumeResponse, error) {
	return &spec.NodeStageVolumeResponse{}, d.note("stage %s %v", r.VolumeId, r.PublishContext)
}

func (d *fakeDriver) NodeUnstageVolume(_ context.Context, r *spec.NodeUnstageVolumeRequest) (*spec.NodeUnstageVolumeResponse, error) {
	return &spec.NodeUnstageVolumeResponse{}, d.note("unstage %s", r.VolumeId)
}

func (d *fakeDriver) NodePublishVolume(_ context.Context, r *spec.NodePublishVolumeRequest) (*spec.NodePublishVolumeResponse, error) {
	d.mu.Lock()
	d.last = r
	d.mu.Unlock()
	if err := os.MkdirAll(r.TargetPath, 0o755); err != nil {
		return nil, err
	}
	return &spec.NodePublishVolumeResponse{}, d.note("publish %s", r.VolumeId)
}

func (d *fakeDriver) NodeExpandVolume(_ context.Context, r *spec.NodeExpandVolumeRequest) (*spec.NodeExpandVolumeResponse, error) {
	return &spec.NodeExpandVolumeResponse{}, d.note("grow %s at %s to %d", r.VolumeId, filepath.Base(r.VolumePath), r.CapacityRange.RequiredBytes)
}

func (d *fakeDriver) NodeUnpublishVolume(_ context.Context, r *spec.NodeUnpublishVolumeRequest) (*spec.NodeUnpublishVolumeResponse, error) {
	return &spec.NodeUnpublishVolumeResponse{}, d.note("unpublish %s", r.VolumeId)
}

func listen(t *testing.T, path string, register func(*grpc.Server)) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	go server.Serve(l) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
}

// node is a manager with a driver that registered itself through the plugins folder.
func node(t *testing.T, objects ...any) (*Manager, *fakeDriver, *fake.Clientset) {
	t.Helper()
	root, err := os.MkdirTemp("", "csi") // short: sockets have little room for paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	client := fake.NewClientset(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "node-uid"}})
	for _, o := range objects {
		switch o := o.(type) {
		case *storagev1.CSIDriver:
			client.StorageV1().CSIDrivers().Create(t.Context(), o, metav1.CreateOptions{}) //nolint:errcheck // in memory
		case *v1.Secret:
			client.CoreV1().Secrets(o.Namespace).Create(t.Context(), o, metav1.CreateOptions{}) //nolint:errcheck // in memory
		}
	}
	d := &fakeDriver{endpoint: filepath.Join(root, "csi.sock"), status: make(chan *registration.RegistrationStatus, 1)}
	listen(t, d.endpoint, func(s *grpc.Server) { spec.RegisterNodeServer(s, d) })
	m := New(Config{RootDir: root, NodeName: "n1", Client: client})
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx) })
	watcher := plugins.New(filepath.Join(root, "plugins_registry"), map[string]plugins.Handler{registration.CSIPlugin: m})
	wg.Go(func() {
		if err := watcher.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
	if err := os.MkdirAll(filepath.Join(root, "plugins_registry"), 0o755); err != nil {
		t.Fatal(err)
	}
	listen(t, filepath.Join(root, "plugins_registry", "disk.example-reg.sock"), func(s *grpc.Server) { registration.RegisterRegistrationServer(s, d) })
	if s := <-d.status; !s.PluginRegistered {
		t.Fatalf("not registered: %s", s.Error)
	}
	return m, d, client
}

// eventually waits for other goroutines and real sockets.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestRegistrationPublishesTheCSINode(t *testing.T) {
	m, _, client := node(t)
	var csiNode *storagev1.CSINode
	eventually(t, "the CSINode lists the driver", func() bool {
		var err error
		csiNode, err = client.StorageV1().CSINodes().Get(t.Context(), "n1", metav1.GetOptions{})
		return err == nil && len(csiNode.Spec.Drivers) == 1
	})
	d := csiNode.Spec.Drivers[0]
	if d.Name != "disk.example" || d.NodeID != "node-in-driver" || *d.Allocatable.Count != 7 || d.TopologyKeys[0] != "disk.example/zone" || csiNode.OwnerReferences[0].UID != "node-uid" {
		t.Errorf("%+v %+v", d, csiNode.OwnerReferences)
	}
	if n, _ := client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{}); n.Labels["disk.example/zone"] != "z1" {
		t.Errorf("labels %v", n.Labels)
	}
	if err := os.Remove(filepath.Join(m.RootDir, "plugins_registry", "disk.example-reg.sock")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the CSINode lists no driver", func() bool {
		n, err := client.StorageV1().CSINodes().Get(t.Context(), "n1", metav1.GetOptions{})
		return err == nil && len(n.Spec.Drivers) == 0
	})
}

func persistentVolume() *v1.PersistentVolume {
	return &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv1"}, Spec: v1.PersistentVolumeSpec{AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
		PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: "disk.example", VolumeHandle: "h1", FSType: "ext4", VolumeAttributes: map[string]string{"a": "b"},
			NodePublishSecretRef: &v1.SecretReference{Namespace: "kube-system", Name: "key"}}}}}
}

func request(m *Manager, uid string) volumes.CSIRequest {
	group := int64(os.Getgid())
	return volumes.CSIRequest{Pod: &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns"}, Spec: v1.PodSpec{ServiceAccountName: "robot"}}, Name: "pv1", PV: persistentVolume(),
		Dir: filepath.Join(m.RootDir, "pods", uid, "volumes", "kubernetes.io~csi", "pv1"), FSGroup: &group}
}

func TestMountAndUnmount(t *testing.T) {
	yes := true
	m, d, client := node(t,
		&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "disk.example"}, Spec: storagev1.CSIDriverSpec{PodInfoOnMount: &yes}},
		&v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "key"}, Data: map[string][]byte{"k": []byte("v")}})
	first, second := request(m, "u1"), request(m, "u2")
	var announced []v1.UniqueVolumeName
	m.Announce = func(_ context.Context, volume v1.UniqueVolumeName) error {
		if s := d.story(); s != "" && len(announced) == 0 {
			t.Errorf("before the API knows the volume to be in use: %s", s)
		}
		announced = append(announced, volume)
		return nil
	}
	mounted := make(chan error, 1)
	go func() { _, err := m.Mount(t.Context(), first); mounted <- err }()
	eventually(t, "the volume is in use while it waits to be attached", func() bool {
		in := m.InUse()
		return len(in) == 1 && in[0] == "kubernetes.io/csi/disk.example^h1"
	})
	if s := d.story(); s != "" {
		t.Errorf("before it is attached: %s", s)
	}
	attachment := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: attachmentName("h1", "disk.example", "n1")}, Status: storagev1.VolumeAttachmentStatus{Attached: true, AttachmentMetadata: map[string]string{"dev": "sdb"}}}
	if _, err := client.StorageV1().VolumeAttachments().Create(t.Context(), attachment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-mounted; err != nil {
		t.Fatal(err)
	}
	if s := d.story(); s != "stage h1 map[dev:sdb], publish h1" {
		t.Errorf("mounting: %s", s)
	}
	if len(announced) != 1 || announced[0] != "kubernetes.io/csi/disk.example^h1" {
		t.Errorf("told of the use of %v", announced)
	}
	if c := d.last.VolumeContext; c["a"] != "b" || c["csi.storage.k8s.io/pod.name"] != "web" || c["csi.storage.k8s.io/ephemeral"] != "false" || d.last.Secrets["k"] != "v" {
		t.Errorf("published with %v %v", c, d.last.Secrets)
	}
	if d.last.VolumeCapability.GetMount().FsType != "ext4" || d.last.VolumeCapability.AccessMode.Mode != spec.VolumeCapability_AccessMode_SINGLE_NODE_WRITER {
		t.Errorf("capability %v", d.last.VolumeCapability)
	}
	if info, err := os.Stat(filepath.Join(first.Dir, "mount")); err != nil || info.Mode()&os.ModeSetgid == 0 {
		t.Errorf("the group does not own the volume: %v, %v", info, err)
	}
	if _, err := m.Mount(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	d.story()

	// A kubelet that starts anew undoes what the old one did, as soon as the driver is back.
	next := New(m.Config)
	if err := next.Unmount(t.Context(), first.Dir); err == nil || !strings.Contains(err.Error(), "not found in the list of registered CSI drivers") {
		t.Errorf("without the driver: %v", err)
	}
	if err := next.Register(t.Context(), "disk.example", d.endpoint, []string{"1.0.0"}); err != nil {
		t.Fatal(err)
	}
	if err := next.Unmount(t.Context(), first.Dir); err != nil {
		t.Fatal(err)
	}
	if s := d.story(); s != "unpublish h1" {
		t.Errorf("while another pod uses it: %s", s)
	}
	d.mu.Lock()
	d.fail = errors.New("busy")
	d.mu.Unlock()
	if err := next.Unmount(t.Context(), second.Dir); err == nil || len(next.InUse()) != 1 {
		t.Errorf("a volume that cannot be unmounted is not in use any more: %v", err)
	}
	d.mu.Lock()
	d.fail = nil
	d.mu.Unlock()
	d.story()
	for range 2 {
		if err := next.Unmount(t.Context(), second.Dir); err != nil {
			t.Fatal(err)
		}
	}
	if s := d.story(); s != "unpublish h1, unstage h1" || len(next.InUse()) != 0 {
		t.Errorf("the last pod: %s, in use %v", s, next.InUse())
	}
}

func TestInlineVolumes(t *testing.T) {
	m, d, _ := node(t, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "disk.example"}, Spec: storagev1.CSIDriverSpec{VolumeLifecycleModes: []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecycleEphemeral}}})
	r := request(m, "u1")
	r.PV, r.Name, r.FSGroup = nil, "scratch", nil
	r.Inline = &v1.CSIVolumeSource{Driver: "disk.example", VolumeAttributes: map[string]string{"size": "1"}}
	if _, err := m.Mount(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if s := d.story(); !strings.HasPrefix(s, "publish csi-") || strings.Contains(s, "stage ") {
		t.Errorf("inline: %s", s)
	}
	if len(m.InUse()) != 0 {
		t.Error("an inline volume is never attached")
	}
	persistent := request(m, "u2")
	if _, err := m.Mount(t.Context(), persistent); err == nil || !strings.Contains(err.Error(), "does not support volume lifecycle mode Persistent") {
		t.Errorf("got %v", err)
	}
}

func TestAVolumeOfADriverWithoutObjectIsAttached(t *testing.T) {
	m, d, client := node(t, &v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "key"}})
	attachment := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: attachmentName("h1", "disk.example", "n1")}, Status: storagev1.VolumeAttachmentStatus{Attached: true, AttachmentMetadata: map[string]string{"dev": "sdb"}}}
	if _, err := client.StorageV1().VolumeAttachments().Create(t.Context(), attachment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Mount(t.Context(), request(m, "u1")); err != nil {
		t.Fatal(err)
	}
	if s := d.story(); s != "stage h1 map[dev:sdb], publish h1" {
		t.Errorf("mounting: %s", s)
	}
}

func TestTheGroupOfARootThatMatchesIsLeftAlone(t *testing.T) {
	policy, attach, onMismatch := storagev1.FileFSGroupPolicy, false, v1.FSGroupChangeOnRootMismatch
	m, _, _ := node(t, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "disk.example"}, Spec: storagev1.CSIDriverSpec{FSGroupPolicy: &policy, AttachRequired: &attach}},
		&v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "key"}})
	for _, tt := range []struct {
		policy *v1.PodFSGroupChangePolicy
		want   os.FileMode
	}{{&onMismatch, 0o600}, {nil, 0o660}} {
		r := request(m, "u1")
		r.Pod.Spec.SecurityContext = &v1.PodSecurityContext{FSGroupChangePolicy: tt.policy}
		if _, err := m.Mount(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(r.Dir, "mount", "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Mount(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != tt.want {
			t.Errorf("a file of the volume: %v, error %v, want %v", info.Mode(), err, tt.want)
		}
	}
}

// counted tokens are each another one.
type counted struct{ given int }

func (c *counted) Token(context.Context, string, string, *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	c.given++
	return &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{Token: fmt.Sprintf("token-%d", c.given)}}, nil
}

func TestVolumesArePublishedAgainWithNewTokens(t *testing.T) {
	const key = "csi.storage.k8s.io/serviceAccount.tokens"
	yes, no := true, false
	for _, tt := range []struct {
		name                 string
		inSecrets, republish *bool
	}{{"in the context", nil, &yes}, {"in secrets", &yes, &yes}, {"once", &no, nil}} {
		t.Run(tt.name, func(t *testing.T) {
			m, d, _ := node(t, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "disk.example"}, Spec: storagev1.CSIDriverSpec{TokenRequests: []storagev1.TokenRequest{{Audience: "vault"}},
				RequiresRepublish: tt.republish, ServiceAccountTokenInSecrets: tt.inSecrets, VolumeLifecycleModes: []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecycleEphemeral}}})
			m.Tokens = &counted{}
			r := request(m, "u1")
			r.PV, r.Name, r.FSGroup, r.Inline = nil, "scratch", nil, &v1.CSIVolumeSource{Driver: "disk.example"}
			if _, err := m.Mount(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			carrier, other := d.last.VolumeContext, d.last.Secrets
			if tt.inSecrets == &yes {
				carrier, other = other, carrier
			}
			if !strings.Contains(carrier[key], "token-1") || other[key] != "" {
				t.Errorf("context %v, secrets %v", d.last.VolumeContext, d.last.Secrets)
			}
			d.story()
			m.republish(t.Context())
			if s := d.story(); strings.HasPrefix(s, "publish csi-") != (tt.republish == &yes) {
				t.Errorf("a minute later: %q", s)
			}
			if got := d.last.VolumeContext[key] + d.last.Secrets[key]; strings.Contains(got, "token-2") != (tt.republish == &yes) {
				t.Errorf("a minute later it has %s", got)
			}
			if err := m.Unmount(t.Context(), r.Dir); err != nil {
				t.Fatal(err)
			}
			d.story()
			m.republish(t.Context())
			if s := d.story(); s != "" {
				t.Errorf("after it was unmounted: %s", s)
			}
		})
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"driverName":"d","volumeHandle":"h"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseRecord(data); err == nil && (r.Driver == "" || r.Handle == "") {
			t.Errorf("%s names no volume", data)
		}
	})
}
