package csi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/volumes"
)

// volume is one to mount, gathered from the pod or the PersistentVolume.
type volume struct {
	volumes.CSIRequest
	record
	driver     *driver
	object     *storagev1.CSIDriver // never nil
	fsType     string
	options    []string
	attributes map[string]string
	modes      []v1.PersistentVolumeAccessMode
	stageRef   *v1.SecretReference
	publishRef *v1.SecretReference
}

// Mount stages and publishes a volume; see volumes.CSI.
func (m *Manager) Mount(ctx context.Context, r volumes.CSIRequest) (device string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	v, err := m.gather(ctx, r)
	if err != nil {
		return "", err
	}
	defer m.lock(v.Driver, v.Handle)()
	published := map[string]string{}
	if v.needsAttach() {
		v.Attachment = attachmentName(v.Handle, v.Driver, m.NodeName)
	}
	// Written first: from here on the volume is in use, and what is begun can be undone.
	if err := v.record.write(r.Dir); err != nil {
		return "", err
	}
	if v.Attachment != "" {
		if published, err = m.awaitAttached(ctx, v.Attachment); err != nil {
			return "", err
		}
		// Whoever detaches looks at the node's status: even if the pod is deleted from the API now, the volume stays attached.
		if m.Announce != nil {
			if err := m.Announce(ctx, v.uniqueName()); err != nil {
				return "", err
			}
		}
	}
	if err := m.stage(ctx, v, published); err != nil {
		return "", err
	}
	device, err = m.publish(ctx, v, published)
	if err == nil {
		m.remember(v, published)
		m.growAtMount(ctx, v)
	}
	return device, err
}

func (m *Manager) gather(ctx context.Context, r volumes.CSIRequest) (*volume, error) {
	v := &volume{CSIRequest: r}
	v.record = record{VolumeName: r.Name, Node: m.NodeName, Lifecycle: string(storagev1.VolumeLifecyclePersistent)}
	if in := r.Inline; in != nil {
		v.Driver, v.Handle, v.Lifecycle = in.Driver, inlineHandle(string(r.Pod.UID), r.Name), string(storagev1.VolumeLifecycleEphemeral)
		v.attributes, v.modes = in.VolumeAttributes, []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}
		if in.FSType != nil {
			v.fsType = *in.FSType
		}
		if ref := in.NodePublishSecretRef; ref != nil {
			v.publishRef = &v1.SecretReference{Namespace: r.Pod.Namespace, Name: ref.Name}
		}
	} else {
		source := r.PV.Spec.CSI
		v.Driver, v.Handle, v.fsType, v.attributes = source.Driver, source.VolumeHandle, source.FSType, source.VolumeAttributes
		v.options, v.modes = r.PV.Spec.MountOptions, r.PV.Spec.AccessModes
		v.stageRef, v.publishRef = source.NodeStageSecretRef, source.NodePublishSecretRef
		v.Block = r.PV.Spec.VolumeMode != nil && *r.PV.Spec.VolumeMode == v1.PersistentVolumeBlock
	}
	var err error
	if v.object, err = m.driverObject(ctx, v.Driver); err != nil {
		return nil, err
	}
	if v.driver, err = m.drivers.get(v.Driver); err != nil {
		return nil, err
	}
	if mode := storagev1.VolumeLifecycleMode(v.Lifecycle); len(v.object.Spec.VolumeLifecycleModes) > 0 && !slices.Contains(v.object.Spec.VolumeLifecycleModes, mode) {
		return nil, fmt.Errorf("driver %s does not support volume lifecycle mode %s", v.Driver, mode)
	}
	if v.driver.stages && v.Inline == nil {
		v.Staging = m.stagingDir(v.Driver, v.Handle)
	}
	return v, nil
}

// driverObject reads the CSIDriver. A driver without one is taken as the API's defaults say, but for inline volumes,
// which it must announce.
func (m *Manager) driverObject(ctx context.Context, name string) (*storagev1.CSIDriver, error) {
	if m.Client == nil { // and nobody to attach volumes
		return &storagev1.CSIDriver{Spec: storagev1.CSIDriverSpec{AttachRequired: new(bool)}}, nil
	}
	object, err := m.Client.StorageV1().CSIDrivers().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &storagev1.CSIDriver{}, nil
	}
	return object, err
}

// needsAttach: the API's default is that volumes are attached; inline ones never are.
func (v *volume) needsAttach() bool {
	return v.Inline == nil && ptr.Deref(v.object.Spec.AttachRequired, true)
}

func (m *Manager) stage(ctx context.Context, v *volume, published map[string]string) error {
	if v.Staging == "" {
		return nil
	}
	secrets, err := m.secrets(ctx, v.stageRef)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(v.Staging, 0o750); err != nil {
		return err
	}
	_, err = v.driver.node.NodeStageVolume(ctx, &spec.NodeStageVolumeRequest{
		VolumeId: v.Handle, PublishContext: published, StagingTargetPath: v.Staging, VolumeCapability: v.capability(), Secrets: secrets, VolumeContext: v.attributes})
	if err != nil {
		return fmt.Errorf("NodeStageVolume of %s: %w", v.Handle, err)
	}
	return nil
}

func (m *Manager) publish(ctx context.Context, v *volume, published map[string]string) (device string, err error) {
	if err := m.nodePublish(ctx, v, published); err != nil {
		return "", err
	}
	target := targetOf(v.Dir)
	if v.Block {
		return target, nil
	}
	if v.FSGroup != nil && v.givesGroup() && !volumes.GroupSettled(target, v.Pod, *v.FSGroup) {
		if err := volumes.GiveToGroup(target, *v.FSGroup, v.ReadOnly); err != nil {
			return "", err
		}
	}
	return "", nil
}

// nodePublish has the driver show the volume to the pod.
func (m *Manager) nodePublish(ctx context.Context, v *volume, published map[string]string) error {
	secrets, err := m.secrets(ctx, v.publishRef)
	if err != nil {
		return err
	}
	tokens, err := m.tokens(ctx, v)
	if err != nil {
		return err
	}
	attributes := v.podAttributes()
	if ptr.Deref(v.object.Spec.ServiceAccountTokenInSecrets, false) {
		maps.Copy(secrets, tokens)
	} else {
		maps.Copy(attributes, tokens)
	}
	_, err = v.driver.node.NodePublishVolume(ctx, &spec.NodePublishVolumeRequest{
		VolumeId: v.Handle, PublishContext: published, StagingTargetPath: v.Staging, TargetPath: targetOf(v.Dir), VolumeCapability: v.capability(),
		Readonly: v.ReadOnly, Secrets: secrets, VolumeContext: attributes})
	if err != nil {
		return fmt.Errorf("NodePublishVolume of %s: %w", v.Handle, err)
	}
	return nil
}

// targetOf is where the driver puts the volume.
func targetOf(dir string) string { return filepath.Join(dir, "mount") }

// givesGroup decides by the driver's fsGroupPolicy (KEP-1682).
func (v *volume) givesGroup() bool {
	if v.driver.takesGroup || v.ReadOnly {
		return false
	}
	policy := storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy
	if v.object.Spec.FSGroupPolicy != nil {
		policy = *v.object.Spec.FSGroupPolicy
	}
	switch policy {
	case storagev1.NoneFSGroupPolicy:
		return false
	case storagev1.FileFSGroupPolicy:
		return true
	}
	return v.fsType != "" && slices.ContainsFunc(v.modes, func(m v1.PersistentVolumeAccessMode) bool {
		return m == v1.ReadWriteOnce || m == v1.ReadWriteOncePod
	})
}

func (v *volume) capability() *spec.VolumeCapability {
	c := &spec.VolumeCapability{AccessMode: &spec.VolumeCapability_AccessMode{Mode: v.accessMode()}}
	if v.Block {
		c.AccessType = &spec.VolumeCapability_Block{Block: &spec.VolumeCapability_BlockVolume{}}
		return c
	}
	mount := &spec.VolumeCapability_MountVolume{FsType: v.fsType, MountFlags: v.options}
	if v.FSGroup != nil && v.driver.takesGroup {
		mount.VolumeMountGroup = strconv.FormatInt(*v.FSGroup, 10)
	}
	c.AccessType = &spec.VolumeCapability_Mount{Mount: mount}
	return c
}

// accessMode is the widest that the volume allows.
func (v *volume) accessMode() spec.VolumeCapability_AccessMode_Mode {
	has := func(m v1.PersistentVolumeAccessMode) bool { return slices.Contains(v.modes, m) }
	switch {
	case has(v1.ReadWriteMany):
		return spec.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER
	case has(v1.ReadOnlyMany) && has(v1.ReadWriteOnce):
		return spec.VolumeCapability_AccessMode_SINGLE_NODE_WRITER
	case has(v1.ReadOnlyMany):
		return spec.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY
	case has(v1.ReadWriteOncePod) && v.driver.singleMulti:
		return spec.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
	case v.driver.singleMulti:
		return spec.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
	}
	return spec.VolumeCapability_AccessMode_SINGLE_NODE_WRITER
}

// podAttributes are the volume's, with what the driver wants to know of the pod.
func (v *volume) podAttributes() map[string]string {
	out := map[string]string{}
	maps.Copy(out, v.attributes)
	if ptr.Deref(v.object.Spec.PodInfoOnMount, false) {
		out["csi.storage.k8s.io/pod.name"] = v.Pod.Name
		out["csi.storage.k8s.io/pod.namespace"] = v.Pod.Namespace
		out["csi.storage.k8s.io/pod.uid"] = string(v.Pod.UID)
		out["csi.storage.k8s.io/serviceAccount.name"] = v.Pod.Spec.ServiceAccountName
		out["csi.storage.k8s.io/ephemeral"] = strconv.FormatBool(v.Inline != nil)
	}
	return out
}

// tokens are those of the pod's service account that the driver asks for, under the key by which it finds them; none: it asks for none.
func (m *Manager) tokens(ctx context.Context, v *volume) (map[string]string, error) {
	if len(v.object.Spec.TokenRequests) == 0 {
		return nil, nil
	}
	if m.Tokens == nil {
		return nil, errors.New("the driver asks for service account tokens, which this kubelet cannot get")
	}
	tokens := map[string]authenticationv1.TokenRequestStatus{}
	for _, want := range v.object.Spec.TokenRequests {
		var audiences []string
		if want.Audience != "" {
			audiences = []string{want.Audience}
		}
		tr, err := m.Tokens.Token(ctx, v.Pod.Namespace, v.Pod.Spec.ServiceAccountName, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			Audiences: audiences, ExpirationSeconds: want.ExpirationSeconds,
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: v.Pod.Name, UID: v.Pod.UID}}})
		if err != nil {
			return nil, err
		}
		tokens[want.Audience] = tr.Status
	}
	data, err := json.Marshal(tokens)
	return map[string]string{"csi.storage.k8s.io/serviceAccount.tokens": string(data)}, err
}

// secrets are those of the driver's own for a volume; none without a reference.
func (m *Manager) secrets(ctx context.Context, ref *v1.SecretReference) (map[string]string, error) {
	if ref == nil {
		return map[string]string{}, nil
	}
	if m.Client == nil {
		return nil, fmt.Errorf("secret %s/%s cannot be read: this kubelet has no --kubeconfig", ref.Namespace, ref.Name)
	}
	secret, err := m.Client.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s of the driver: %w", ref.Namespace, ref.Name, err)
	}
	out := make(map[string]string, len(secret.Data))
	for k, value := range secret.Data {
		out[k] = string(value)
	}
	return out, nil
}
