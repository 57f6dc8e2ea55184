package table

import (
	"context"

	internalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/attachdetach"
	"pilotis.dev/cmd/kube-controller-manager/controllers/devicetaint"
	"pilotis.dev/cmd/kube-controller-manager/controllers/ephemeralvolume"
	"pilotis.dev/cmd/kube-controller-manager/controllers/protection"
	"pilotis.dev/cmd/kube-controller-manager/controllers/resourceclaim"
	"pilotis.dev/cmd/kube-controller-manager/controllers/selinuxwarning"
	"pilotis.dev/cmd/kube-controller-manager/controllers/storagemigration"
	"pilotis.dev/cmd/kube-controller-manager/controllers/storageversion"
	"pilotis.dev/cmd/kube-controller-manager/controllers/volumebinder"
	"pilotis.dev/cmd/kube-controller-manager/controllers/volumeexpand"
)

// storage are the controllers of volumes and devices.
func storage() []Row {
	return []Row{
		{
			Name: "persistentvolume-binder-controller", Aliases: []string{"persistentvolume-binder"}, ServiceAccount: "persistent-volume-binder",
			Purpose: "binds claims to volumes, releases and reclaims volumes",
			Reads:   []string{"persistentvolumes", "persistentvolumeclaims", "storageclasses.storage.k8s.io", "pods"},
			Writes:  []string{"update,delete persistentvolumes", "update persistentvolumes/status", "update persistentvolumeclaims", "update persistentvolumeclaims/status", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				c := env.Config.PersistentVolumeBinderController
				return volumebinder.New(env.Informers, env.Client, env.Recorder("persistentvolume-controller"), volumebinder.Options{
					Period: c.PVClaimBinderSyncPeriod.Duration, Provisioning: *c.VolumeConfiguration.EnableDynamicProvisioning,
				})
			},
		},
		{
			Name: "persistentvolumeclaim-protection-controller", Aliases: []string{"pvc-protection"}, ServiceAccount: "pvc-protection-controller",
			Purpose: "keeps claims that pods use from going",
			Reads:   []string{"persistentvolumeclaims", "pods"}, Writes: []string{"update persistentvolumeclaims"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return protection.NewClaims(env.Informers, env.Client, protection.Options{Workers: 4})
			},
		},
		{
			Name: "persistentvolume-protection-controller", Aliases: []string{"pv-protection"}, ServiceAccount: "pv-protection-controller",
			Purpose: "keeps bound volumes from going",
			Reads:   []string{"persistentvolumes"}, Writes: []string{"update persistentvolumes"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return protection.NewVolumes(env.Informers, env.Client, protection.Options{Workers: 4}), nil
			},
		},
		{
			Name:    "volumeattributesclass-protection-controller",
			Purpose: "keeps classes that volumes use from going",
			Reads:   []string{"volumeattributesclasses.storage.k8s.io", "persistentvolumeclaims", "persistentvolumes"}, Writes: []string{"update volumeattributesclasses.storage.k8s.io"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return protection.NewAttributesClasses(env.Informers, env.Client, protection.Options{})
			},
		},
		{
			Name: "ephemeral-volume-controller", Aliases: []string{"ephemeral-volume"},
			Purpose: "makes the claims of generic ephemeral volumes",
			Reads:   []string{"pods", "persistentvolumeclaims"}, Writes: []string{"create persistentvolumeclaims", "update pods/finalizers", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return ephemeralvolume.New(env.Informers, env.Client, env.Recorder("ephemeral_volume"), ephemeralvolume.Options{Workers: int(env.Config.EphemeralVolumeController.ConcurrentEphemeralVolumeSyncs)})
			},
		},
		{
			Name: "persistentvolume-attach-detach-controller", Aliases: []string{"attachdetach"}, ServiceAccount: "attachdetach-controller",
			Purpose: "attaches and detaches volumes of CSI drivers",
			Reads:   []string{"nodes", "pods", "persistentvolumes", "persistentvolumeclaims", "volumeattachments.storage.k8s.io", "csidrivers.storage.k8s.io"},
			Writes:  []string{"patch nodes/status", "create,delete volumeattachments.storage.k8s.io", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				c := env.Config.AttachDetachController
				o := attachdetach.Options{ForceDetach: !c.DisableForceDetachOnTimeout}
				if !c.DisableAttachDetachReconcilerSync {
					o.Resync = c.ReconcilerSyncLoopPeriod.Duration
				}
				return attachdetach.New(env.Informers, env.Client, env.Recorder("attachdetach-controller"), o)
			},
		},
		{
			Name: "persistentvolume-expander-controller", Aliases: []string{"persistentvolume-expander"}, ServiceAccount: "expand-controller",
			Purpose: "tells on a growing claim that its driver's resizer is waited for",
			Reads:   []string{"persistentvolumeclaims", "persistentvolumes"}, Writes: []string{events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				core := env.Informers.Core().V1()
				return volumeexpand.New(core.PersistentVolumeClaims(), core.PersistentVolumes(), env.Recorder("volume_expand")), nil
			},
		},
		{
			Name: "resourceclaim-controller", Aliases: []string{"resource-claim-controller"}, ServiceAccount: "resource-claim-controller",
			Purpose: "makes the claims of pods' templates and gives back what nobody uses",
			Reads:   []string{"pods", "resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io"},
			Writes:  []string{"create,update,delete resourceclaims.resource.k8s.io", "update resourceclaims.resource.k8s.io/status", "update pods/finalizers", "patch pods/status", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return resourceclaim.New(env.Informers, env.Client, env.Recorder("resource_claim"), resourceclaim.Options{Workers: int(env.Config.ResourceClaimController.ConcurrentSyncs)})
			},
		},
		{
			Name:    "device-taint-eviction-controller",
			Purpose: "evicts pods whose devices are tainted NoExecute",
			Reads:   []string{"pods", "resourceclaims.resource.k8s.io", "resourceslices.resource.k8s.io", "devicetaintrules.resource.k8s.io"},
			Writes:  []string{"delete pods", "patch pods/status", "update devicetaintrules.resource.k8s.io/status", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return devicetaint.New(env.Informers, env.Client, env.Recorder("device-taint-eviction"), devicetaint.Options{Workers: int(env.Config.DeviceTaintEvictionController.ConcurrentSyncs)})
			},
		},
		{
			Name:    "storage-version-migrator-controller",
			Purpose: "rewrites the objects of a resource in the version in which they are stored now",
			Reads:   []string{"storageversionmigrations.storagemigration.k8s.io"},
			Writes: []string{
				"update storageversionmigrations.storagemigration.k8s.io/status", "list,patch *.*",
				"get customresourcedefinitions.apiextensions.k8s.io", "patch customresourcedefinitions.apiextensions.k8s.io/status",
			},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return storagemigration.New(storagemigration.Config{
					Migrations: env.Informers.Storagemigration().V1().StorageVersionMigrations(), Client: env.Client,
					Objects: env.Metadata, Dynamic: env.Dynamic, Mapper: env.Mapper,
				}), nil
			},
		},
		{
			Name: "storageversion-garbage-collector-controller", Aliases: []string{"storage-version-gc"}, ServiceAccount: "storage-version-garbage-collector",
			Purpose: "forgets the storage versions of API servers that are gone",
			Reads:   []string{"storageversions.internal.apiserver.k8s.io", "leases.coordination.k8s.io"},
			Writes:  []string{"update storageversions.internal.apiserver.k8s.io/status", "delete storageversions.internal.apiserver.k8s.io"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				served, err := env.Serves(internalv1alpha1.SchemeGroupVersion.WithResource("storageversions"))
				if !served || err != nil {
					return nil, err
				}
				return storageversion.New(env.Informers, env.Client), nil
			},
		},
		{
			Name: "selinux-warning-controller", OffByDefault: true,
			Purpose: "tells of pods that cannot share a volume under different SELinux labels",
			Reads:   []string{"pods", "persistentvolumes", "persistentvolumeclaims", "csidrivers.storage.k8s.io"}, Writes: []string{events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return selinuxwarning.New(env.Informers, env.Recorder("selinux_warning"))
			},
		},
	}
}
