package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// remoteVolume checks the volumes of a pod that some storage behind a network holds.
func remoteVolume(f *faults, s *corev1.VolumeSource, one *choice, p *field.Path) {
	if s.NFS != nil && one.first("nfs") {
		nfs(f, s.NFS, p.Child("nfs"))
	}
	if s.ISCSI != nil && one.first("iscsi") {
		i := s.ISCSI
		iscsi(f, i.TargetPortal, i.IQN, i.Lun, i.InitiatorName, p.Child("iscsi"))
		if (i.DiscoveryCHAPAuth || i.SessionCHAPAuth) && i.SecretRef == nil {
			f.required(p.Child("iscsi"), "secretRef", "")
		}
		localSecret(f, i.SecretRef, p.Child("iscsi"))
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
		f.present(p.Child("glusterfs"), "endpoints", s.Glusterfs.EndpointsName)
		f.present(p.Child("glusterfs"), "path", s.Glusterfs.Path)
	}
	if s.FlexVolume != nil && one.first("flexVolume") {
		flex(f, s.FlexVolume.Driver, s.FlexVolume.Options, p.Child("flexVolume"))
	}
	if s.Cinder != nil && one.first("cinder") {
		f.present(p.Child("cinder"), "volumeID", s.Cinder.VolumeID)
		localSecret(f, s.Cinder.SecretRef, p.Child("cinder"))
	}
	if s.AzureFile != nil && one.first("azureFile") {
		f.present(p.Child("azureFile"), "secretName", s.AzureFile.SecretName)
		f.present(p.Child("azureFile"), "shareName", s.AzureFile.ShareName)
	}
	if s.ScaleIO != nil && one.first("scaleIO") {
		scaleIO(f, s.ScaleIO.Gateway, s.ScaleIO.System, s.ScaleIO.VolumeName, s.ScaleIO.SecretRef == nil, p.Child("scaleIO"))
		localSecret(f, s.ScaleIO.SecretRef, p.Child("scaleIO"))
	}
	if s.StorageOS != nil && one.first("storageos") {
		f.present(p.Child("storageos"), "volumeName", s.StorageOS.VolumeName)
		localSecret(f, s.StorageOS.SecretRef, p.Child("storageos"))
	}
	sharedVolume(f, cloudVolumes{
		gce: s.GCEPersistentDisk, aws: s.AWSElasticBlockStore, azure: s.AzureDisk, vsphere: s.VsphereVolume, photon: s.PhotonPersistentDisk,
		portworx: s.PortworxVolume, quobyte: s.Quobyte, flocker: s.Flocker,
	}, one, p)
}

// cloudVolumes are the volumes that pods and persistent volumes spell alike.
type cloudVolumes struct {
	gce      *corev1.GCEPersistentDiskVolumeSource
	aws      *corev1.AWSElasticBlockStoreVolumeSource
	azure    *corev1.AzureDiskVolumeSource
	vsphere  *corev1.VsphereVirtualDiskVolumeSource
	photon   *corev1.PhotonPersistentDiskVolumeSource
	portworx *corev1.PortworxVolumeSource
	quobyte  *corev1.QuobyteVolumeSource
	flocker  *corev1.FlockerVolumeSource
}

func sharedVolume(f *faults, v cloudVolumes, one *choice, p *field.Path) {
	if v.gce != nil && one.first("gcePersistentDisk") {
		f.present(p.Child("gcePersistentDisk"), "pdName", v.gce.PDName)
		partition(f, v.gce.Partition, p.Child("gcePersistentDisk"))
	}
	if v.aws != nil && one.first("awsElasticBlockStore") {
		f.present(p.Child("awsElasticBlockStore"), "volumeID", v.aws.VolumeID)
		partition(f, v.aws.Partition, p.Child("awsElasticBlockStore"))
	}
	if v.azure != nil && one.first("azureDisk") {
		azureDisk(f, v.azure, p.Child("azureDisk"))
	}
	if v.vsphere != nil && one.first("vsphereVolume") {
		f.present(p.Child("vsphereVolume"), "volumePath", v.vsphere.VolumePath)
	}
	if v.photon != nil && one.first("photonPersistentDisk") {
		f.present(p.Child("photonPersistentDisk"), "pdID", v.photon.PdID)
	}
	if v.portworx != nil && one.first("portworxVolume") {
		f.present(p.Child("portworxVolume"), "volumeID", v.portworx.VolumeID)
	}
	if v.quobyte != nil && one.first("quobyte") {
		quobyte(f, v.quobyte, p.Child("quobyte"))
	}
	if v.flocker != nil && one.first("flocker") {
		flocker(f, v.flocker, p.Child("flocker"))
	}
}

func localSecret(f *faults, ref *corev1.LocalObjectReference, p *field.Path) {
	if ref != nil {
		f.present(p.Child("secretRef"), "name", ref.Name)
	}
}

func nfs(f *faults, n *corev1.NFSVolumeSource, p *field.Path) {
	f.present(p, "server", n.Server)
	if f.present(p, "path", n.Path) && !strings.HasPrefix(n.Path, "/") {
		f.invalid(p, "path", n.Path, "must be an absolute path")
	}
}

func partition(f *faults, n int32, p *field.Path) {
	if n < 0 || n > 255 {
		f.invalid(p, "partition", n, validation.InclusiveRangeError(0, 255))
	}
}

const maxISCSIName = 223

func iscsi(f *faults, portal, iqn string, lun int32, initiator *string, p *field.Path) {
	f.present(p, "targetPortal", portal)
	if f.present(p, "iqn", iqn) && !iscsiName(iqn) {
		f.invalid(p, "iqn", iqn, "must be valid format")
	}
	if lun < 0 || lun > 255 {
		f.invalid(p, "lun", lun, validation.InclusiveRangeError(0, 255))
	}
	if initiator != nil && !iscsiName(*initiator) {
		f.invalid(p, "initiatorname", *initiator, "must be valid format")
	}
}

// iscsiName accepts the three kinds of names of RFC 3720: iqn.yyyy-mm.domain[:name], eui.16 digits, naa.16 or 32 digits.
func iscsiName(name string) bool {
	if len(name) > maxISCSIName {
		return false
	}
	kind, rest, _ := strings.Cut(name, ".")
	hexadecimal := strings.Trim(strings.ToUpper(rest), "0123456789ABCDEF") == ""
	switch kind {
	case "iqn":
		date, domain, ok := strings.Cut(rest, ".")
		authority, _, _ := strings.Cut(domain, ":")
		return ok && len(date) == len("2001-04") && date[4] == '-' && authority != "" &&
			len(validation.IsDNS1123Subdomain(strings.ToLower(authority))) == 0
	case "eui":
		return hexadecimal && len(rest) == 16
	case "naa":
		return hexadecimal && (len(rest) == 16 || len(rest) == 32)
	}
	return false
}

func fibreChannel(f *faults, c *corev1.FCVolumeSource, p *field.Path) {
	switch {
	case len(c.TargetWWNs) < 1 && len(c.WWIDs) < 1:
		f.required(p, "targetWWNs", "must specify either targetWWNs or wwids, but not both")
	case len(c.TargetWWNs) != 0 && len(c.WWIDs) != 0:
		f.invalid(p, "targetWWNs", c.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously")
	case len(c.TargetWWNs) != 0 && c.Lun == nil:
		f.required(p, "lun", "lun is required if targetWWNs is specified")
	case len(c.TargetWWNs) != 0 && (*c.Lun < 0 || *c.Lun > 255):
		f.invalid(p, "lun", *c.Lun, validation.InclusiveRangeError(0, 255))
	}
}

func monitors(f *faults, list []string, p *field.Path) {
	if len(list) == 0 {
		f.required(p, "monitors", "")
	}
}

func rbd(f *faults, list []string, image string, p *field.Path) {
	monitors(f, list, p)
	f.present(p, "image", image)
}

func flex(f *faults, driver string, options map[string]string, p *field.Path) {
	if f.present(p, "driver", driver) {
		f.messages(p, "driver", driver, validation.IsQualifiedName(driver))
	}
	for key := range options {
		domain, _, ok := strings.Cut(key, "/")
		domain = "." + strings.ToLower(domain)
		if ok && (strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io")) {
			f.invalid(p.Child("options").Key(key), "", key, "kubernetes.io and k8s.io namespaces are reserved")
		}
	}
}

func scaleIO(f *faults, gateway, system, volume string, noSecret bool, p *field.Path) {
	f.present(p, "gateway", gateway)
	f.present(p, "system", system)
	f.present(p, "volumeName", volume)
	if noSecret {
		f.required(p, "secretRef", "")
	}
}

func azureDisk(f *faults, d *corev1.AzureDiskVolumeSource, p *field.Path) {
	f.present(p, "diskName", d.DiskName)
	oneOfPtr(f, p, "cachingMode", d.CachingMode, corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)
	oneOfPtr(f, p, "kind", d.Kind, corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)
	if !f.present(p, "diskURI", d.DataDiskURI) || d.Kind == nil {
		return
	}
	managed := strings.HasPrefix(d.DataDiskURI, "/subscriptions/")
	if *d.Kind == corev1.AzureManagedDisk && !managed {
		f.add(field.NotSupported(p.Child("diskURI"), d.DataDiskURI, []string{"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"}))
	}
	if *d.Kind != corev1.AzureManagedDisk && !strings.HasPrefix(d.DataDiskURI, "https://") {
		f.add(field.NotSupported(p.Child("diskURI"), d.DataDiskURI, []string{"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"}))
	}
}

func quobyte(f *faults, q *corev1.QuobyteVolumeSource, p *field.Path) {
	if q.Registry == "" {
		f.required(p, "registry", "must be a host:port pair or multiple pairs separated by commas")
	} else {
		for pair := range strings.SplitSeq(q.Registry, ",") {
			if host, port, ok := strings.Cut(pair, ":"); !ok || host == "" || port == "" {
				f.invalid(p, "registry", q.Registry, "must be a host:port pair or multiple pairs separated by commas")
				break
			}
		}
	}
	if len(q.Tenant) >= 65 {
		f.invalid(p, "tenant", q.Tenant, "must be a UUID and may not exceed a length of 64 characters")
	}
	f.present(p, "volume", q.Volume)
}

func flocker(f *faults, v *corev1.FlockerVolumeSource, p *field.Path) {
	switch {
	case v.DatasetName == "" && v.DatasetUUID == "":
		f.required(p, "", "one of datasetName and datasetUUID is required")
	case v.DatasetName != "" && v.DatasetUUID != "":
		f.invalid(p, "", "resource", "datasetName and datasetUUID can not be specified simultaneously")
	case strings.Contains(v.DatasetName, "/"):
		f.invalid(p, "datasetName", v.DatasetName, "must not contain '/'")
	}
}
