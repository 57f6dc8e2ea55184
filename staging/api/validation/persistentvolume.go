package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func persistentVolumeCreate(v *corev1.PersistentVolume) *faults {
	f := metadata(&v.ObjectMeta, cluster, subdomainName)
	persistentVolumeSpec(f, &v.Spec, false, field.NewPath("spec"))
	return f
}

func (rules *Validator) persistentVolumeUpdate(v, old *corev1.PersistentVolume) *faults {
	f := metadataUpdate(&v.ObjectMeta, &old.ObjectMeta)
	spec := field.NewPath("spec")
	persistentVolumeSpec(f, &v.Spec, false, spec)
	if !same(v.Spec.PersistentVolumeSource, old.Spec.PersistentVolumeSource) && !onlyExpandSecrets(v, old) {
		f.forbidden(spec, "persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
	}
	f.immutable(spec, "volumeMode", v.Spec.VolumeMode, old.Spec.VolumeMode)
	if !rules.MutableVolumeAffinity && old.Spec.NodeAffinity != nil && !same(v.Spec.NodeAffinity, old.Spec.NodeAffinity) {
		nodeAffinityOfVolumeUpdate(f, v.Spec.NodeAffinity, old.Spec.NodeAffinity, spec)
	}
	if attributesClass(v.Spec.VolumeAttributesClassName) == "" && attributesClass(old.Spec.VolumeAttributesClassName) != "" {
		f.forbidden(spec, "volumeAttributesClassName", "update from non-nil value to nil is forbidden")
	}
	return f
}

func attributesClass(name *string) string {
	if name == nil {
		return ""
	}
	return *name
}

// onlyExpandSecrets: the secrets by which a CSI driver grows a volume may be added later.
func onlyExpandSecrets(v, old *corev1.PersistentVolume) bool {
	if v.Spec.CSI == nil || old.Spec.CSI == nil {
		return false
	}
	a, b := v.Spec.PersistentVolumeSource.DeepCopy(), old.Spec.PersistentVolumeSource.DeepCopy()
	a.CSI.ControllerExpandSecretRef, b.CSI.ControllerExpandSecretRef = nil, nil
	a.CSI.NodeExpandSecretRef, b.CSI.NodeExpandSecretRef = nil, nil
	return same(a, b)
}

// nodeAffinityOfVolumeUpdate allows a changed affinity only where each term stays and grows stricter labels: beta
// topology labels may be replaced by their stable names.
func nodeAffinityOfVolumeUpdate(f *faults, now, before *corev1.VolumeNodeAffinity, p *field.Path) {
	if now != nil && now.Required != nil && before.Required != nil && same(stableTopology(now), stableTopology(before)) {
		return
	}
	f.invalid(p, "nodeAffinity", now, immutable+", except for updating from beta label to GA")
}

func stableTopology(a *corev1.VolumeNodeAffinity) *corev1.VolumeNodeAffinity {
	a = a.DeepCopy()
	for i := range a.Required.NodeSelectorTerms {
		for j := range a.Required.NodeSelectorTerms[i].MatchExpressions {
			e := &a.Required.NodeSelectorTerms[i].MatchExpressions[j]
			switch e.Key {
			case corev1.LabelFailureDomainBetaZone:
				e.Key = corev1.LabelTopologyZone
			case corev1.LabelFailureDomainBetaRegion:
				e.Key = corev1.LabelTopologyRegion
			case "beta.kubernetes.io/os":
				e.Key = corev1.LabelOSStable
			case "beta.kubernetes.io/arch":
				e.Key = corev1.LabelArchStable
			case "beta.kubernetes.io/instance-type":
				e.Key = corev1.LabelInstanceTypeStable
			}
		}
	}
	return a
}

func persistentVolumeStatus(v, old *corev1.PersistentVolume) *faults {
	f := metadataUpdate(&v.ObjectMeta, &old.ObjectMeta)
	if v.ResourceVersion == "" {
		f.required(nil, "resourceVersion", "")
	}
	return f
}

func accessModes(f *faults, modes []corev1.PersistentVolumeAccessMode, p *field.Path) {
	if len(modes) == 0 {
		f.required(p, "", "")
	}
	for _, m := range modes {
		oneOf(f, p, "", m, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)
	}
	if len(modes) > 1 && slices.Contains(modes, corev1.ReadWriteOncePod) {
		f.forbidden(p, "", "may not use ReadWriteOncePod with other access modes")
	}
}

// persistentVolumeSpec checks a volume; inline tells that it stands in a VolumeAttachment.
func persistentVolumeSpec(f *faults, s *corev1.PersistentVolumeSpec, inline bool, p *field.Path) {
	if inline {
		if s.ClaimRef != nil {
			f.forbidden(p, "claimRef", "may not be specified in the context of inline volumes")
		}
		if len(s.Capacity) > 0 {
			f.forbidden(p, "capacity", "may not be specified in the context of inline volumes")
		}
		if s.CSI == nil {
			f.required(p, "csi", "has to be specified in the context of inline volumes")
		}
	}
	accessModes(f, s.AccessModes, p.Child("accessModes"))
	if !inline {
		if len(s.Capacity) == 0 {
			f.required(p, "capacity", "")
		}
		if _, ok := s.Capacity[corev1.ResourceStorage]; !ok || len(s.Capacity) > 1 {
			oneOfKeys(f, s.Capacity, p.Child("capacity"))
		}
		for name, q := range s.Capacity {
			positiveQuantity(f, q, p.Child("capacity").Key(string(name)))
		}
		if s.PersistentVolumeReclaimPolicy != "" {
			oneOf(f, p, "persistentVolumeReclaimPolicy", s.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimDelete,
				corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)
		}
	}
	affine := volumeAffinity(f, s.NodeAffinity, p.Child("nodeAffinity"))
	persistentSource(f, s, affine, p)
	if s.HostPath != nil && cleanRoot(s.HostPath.Path) && s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		f.forbidden(p, "persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
	}
	if s.StorageClassName != "" {
		if inline {
			f.forbidden(p, "storageClassName", "may not be specified in the context of inline volumes")
		} else {
			f.dnsSubdomain(p, "storageClassName", s.StorageClassName)
		}
	}
	if s.VolumeMode != nil {
		if inline && *s.VolumeMode != corev1.PersistentVolumeFilesystem {
			f.add(field.NotSupported(p.Child("volumeMode"), *s.VolumeMode, []corev1.PersistentVolumeMode{corev1.PersistentVolumeFilesystem}))
		} else {
			oneOf(f, p, "volumeMode", *s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
		}
	}
	if s.VolumeAttributesClassName != nil {
		volumeAttributesClassName(f, s, p)
	}
}

func volumeAttributesClassName(f *faults, s *corev1.PersistentVolumeSpec, p *field.Path) {
	if *s.VolumeAttributesClassName == "" {
		f.required(p, "volumeAttributesClassName", "an empty string is disallowed")
		return
	}
	f.dnsSubdomain(p, "volumeAttributesClassName", *s.VolumeAttributesClassName)
	if s.CSI == nil {
		f.required(p, "csi", "has to be specified when using volumeAttributesClassName")
	}
}

func oneOfKeys(f *faults, list corev1.ResourceList, p *field.Path) {
	if len(list) > 0 {
		names := make([]string, 0, len(list))
		for n := range list {
			names = append(names, string(n))
		}
		slices.Sort(names)
		f.add(field.NotSupported(p, strings.Join(names, ","), []string{string(corev1.ResourceStorage)}))
	}
}

func positiveQuantity(f *faults, q resource.Quantity, p *field.Path) {
	if q.Sign() <= 0 {
		f.invalid(p, "", q.String(), positive)
	}
}

func cleanRoot(path string) bool {
	return strings.Trim(path, "/.") == "" && strings.HasPrefix(path, "/")
}

// volumeAffinity tells whether the volume can be reached from some nodes only.
func volumeAffinity(f *faults, a *corev1.VolumeNodeAffinity, p *field.Path) bool {
	if a == nil {
		return false
	}
	if a.Required == nil {
		f.required(p, "required", "must specify required node constraints")
		return true
	}
	nodeSelector(f, a.Required, true, p.Child("required"))
	return true
}

func persistentSource(f *faults, s *corev1.PersistentVolumeSpec, affine bool, p *field.Path) {
	one := choice{f: f, path: p, noun: "volume type"}
	if s.HostPath != nil && one.first("hostPath") {
		hostPath(f, s.HostPath, p.Child("hostPath"))
	}
	if s.Local != nil && one.first("local") {
		if f.present(p.Child("local"), "path", s.Local.Path) {
			noBacksteps(f, s.Local.Path, p.Child("local"), "path")
		}
		if !affine {
			f.required(p, "nodeAffinity", "Local volume requires node affinity")
		}
	}
	if s.CSI != nil && one.first("csi") {
		csiVolume(f, s.CSI, p.Child("csi"))
	}
	if s.NFS != nil && one.first("nfs") {
		nfs(f, s.NFS, p.Child("nfs"))
	}
	if s.ISCSI != nil && one.first("iscsi") {
		i := s.ISCSI
		iscsi(f, i.TargetPortal, i.IQN, i.Lun, i.InitiatorName, p.Child("iscsi"))
		if (i.DiscoveryCHAPAuth || i.SessionCHAPAuth) && i.SecretRef == nil {
			f.required(p.Child("iscsi"), "secretRef", "")
		}
		if i.SecretRef != nil {
			f.present(p.Child("iscsi").Child("secretRef"), "name", i.SecretRef.Name)
		}
	}
	if s.FC != nil && one.first("fc") {
		fibreChannel(f, s.FC, p.Child("fc"))
	}
	if s.RBD != nil && one.first("rbd") {
		rbd(f, s.RBD.CephMonitors, s.RBD.RBDImage, p.Child("rbd"))
	}
	if s.CephFS != nil && one.first("cephfs") {
		monitors(f, s.CephFS.Monitors, p.Child("cephfs"))
	}
	if s.Glusterfs != nil && one.first("glusterfs") {
		at := p.Child("glusterfs")
		f.present(at, "endpoints", s.Glusterfs.EndpointsName)
		f.present(at, "path", s.Glusterfs.Path)
		if ns := s.Glusterfs.EndpointsNamespace; ns != nil && *ns == "" {
			f.invalid(at, "endpointsNamespace", *ns, "if the endpointnamespace is set, it must be a valid namespace name")
		}
	}
	if s.FlexVolume != nil && one.first("flexVolume") {
		flex(f, s.FlexVolume.Driver, s.FlexVolume.Options, p.Child("flexVolume"))
	}
	if s.Cinder != nil && one.first("cinder") {
		at := p.Child("cinder")
		f.present(at, "volumeID", s.Cinder.VolumeID)
		secretReference(f, s.Cinder.SecretRef, at, "secretRef")
	}
	if s.AzureFile != nil && one.first("azureFile") {
		at := p.Child("azureFile")
		f.present(at, "secretName", s.AzureFile.SecretName)
		f.present(at, "shareName", s.AzureFile.ShareName)
		if ns := s.AzureFile.SecretNamespace; ns != nil && *ns == "" {
			f.required(at, "secretNamespace", "")
		}
	}
	if s.ScaleIO != nil && one.first("scaleIO") {
		scaleIO(f, s.ScaleIO.Gateway, s.ScaleIO.System, s.ScaleIO.VolumeName, s.ScaleIO.SecretRef == nil, p.Child("scaleIO"))
	}
	if s.StorageOS != nil && one.first("storageos") {
		f.present(p.Child("storageos"), "volumeName", s.StorageOS.VolumeName)
	}
	sharedVolume(f, cloudVolumes{
		gce: s.GCEPersistentDisk, aws: s.AWSElasticBlockStore, azure: s.AzureDisk, vsphere: s.VsphereVolume, photon: s.PhotonPersistentDisk,
		portworx: s.PortworxVolume, quobyte: s.Quobyte, flocker: s.Flocker,
	}, &one, p)
	one.done()
}

func csiVolume(f *faults, c *corev1.CSIPersistentVolumeSource, p *field.Path) {
	driverName(f, c.Driver, p, "driver")
	f.present(p, "volumeHandle", c.VolumeHandle)
	secretReference(f, c.ControllerPublishSecretRef, p, "controllerPublishSecretRef")
	secretReference(f, c.NodeStageSecretRef, p, "nodeStageSecretRef")
	secretReference(f, c.NodePublishSecretRef, p, "nodePublishSecretRef")
	secretReference(f, c.ControllerExpandSecretRef, p, "controllerExpandSecretRef")
	secretReference(f, c.NodeExpandSecretRef, p, "nodeExpandSecretRef")
}

func secretReference(f *faults, r *corev1.SecretReference, p *field.Path, name string) {
	if r == nil {
		return
	}
	p = p.Child(name)
	if f.present(p, "name", r.Name) {
		f.dnsSubdomain(p, "name", r.Name)
	}
	if f.present(p, "namespace", r.Namespace) {
		f.dnsLabel(p, "namespace", r.Namespace)
	}
}
