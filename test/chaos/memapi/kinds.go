package memapi

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind is one kind of object that the server has, in the one version it is served in.
type Kind struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
	// Subresources besides "status", which StatusApart stands for.
	Subresources []string
	// StatusApart kinds have a status that only the subresource changes.
	StatusApart bool
}

// GVK is the kind with its group and version.
func (k Kind) GVK() schema.GroupVersionKind { return k.GroupVersion().WithKind(k.Kind) }

// table has a line a kind: group/version, resource, kind, "ns" for namespaced, "status", other subresources.
const table = `
v1 pods Pod ns status eviction binding ephemeralcontainers
v1 nodes Node status
v1 namespaces Namespace status finalize
v1 services Service ns status
v1 endpoints Endpoints ns
v1 configmaps ConfigMap ns
v1 secrets Secret ns
v1 serviceaccounts ServiceAccount ns token
v1 events Event ns
v1 replicationcontrollers ReplicationController ns status scale
v1 persistentvolumes PersistentVolume status
v1 persistentvolumeclaims PersistentVolumeClaim ns status
v1 resourcequotas ResourceQuota ns status
v1 limitranges LimitRange ns
v1 podtemplates PodTemplate ns
apps/v1 deployments Deployment ns status scale
apps/v1 replicasets ReplicaSet ns status scale
apps/v1 statefulsets StatefulSet ns status scale
apps/v1 daemonsets DaemonSet ns status
apps/v1 controllerrevisions ControllerRevision ns
batch/v1 jobs Job ns status
batch/v1 cronjobs CronJob ns status
policy/v1 poddisruptionbudgets PodDisruptionBudget ns status
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler ns status
rbac.authorization.k8s.io/v1 clusterroles ClusterRole
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding
coordination.k8s.io/v1 leases Lease ns
discovery.k8s.io/v1 endpointslices EndpointSlice ns
certificates.k8s.io/v1 certificatesigningrequests CertificateSigningRequest status approval
certificates.k8s.io/v1 podcertificaterequests PodCertificateRequest ns status
certificates.k8s.io/v1 clustertrustbundles ClusterTrustBundle
scheduling.k8s.io/v1beta1 podgroups PodGroup ns status
storagemigration.k8s.io/v1 storageversionmigrations StorageVersionMigration status
internal.apiserver.k8s.io/v1alpha1 storageversions StorageVersion status
storage.k8s.io/v1 storageclasses StorageClass
storage.k8s.io/v1 volumeattachments VolumeAttachment status
storage.k8s.io/v1 csidrivers CSIDriver
storage.k8s.io/v1 csinodes CSINode
storage.k8s.io/v1 volumeattributesclasses VolumeAttributesClass
resource.k8s.io/v1 resourceclaims ResourceClaim ns status
resource.k8s.io/v1 resourceclaimtemplates ResourceClaimTemplate ns
resource.k8s.io/v1 resourceslices ResourceSlice
resource.k8s.io/v1 deviceclasses DeviceClass
resource.k8s.io/v1 devicetaintrules DeviceTaintRule status
networking.k8s.io/v1 servicecidrs ServiceCIDR status
networking.k8s.io/v1 ipaddresses IPAddress
admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy status
`

func parseKinds() []Kind {
	var kinds []Kind
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		gv, err := schema.ParseGroupVersion(words[0])
		if err != nil {
			panic(err)
		}
		k := Kind{GroupVersionResource: gv.WithResource(words[1]), Kind: words[2]}
		for _, w := range words[3:] {
			switch w {
			case "ns":
				k.Namespaced = true
			case "status":
				k.StatusApart = true
			default:
				k.Subresources = append(k.Subresources, w)
			}
		}
		kinds = append(kinds, k)
	}
	return kinds
}

// Kinds returns what the server serves.
func (s *Server) Kinds() []Kind { return s.kinds }

// Kind returns the kind of a resource of any version of its group, and whether there is one.
func (s *Server) Kind(group, resource string) (Kind, bool) {
	i := slices.IndexFunc(s.kinds, func(k Kind) bool { return k.Group == group && k.Resource == resource })
	if i < 0 {
		return Kind{}, false
	}
	return s.kinds[i], true
}

var verbs = metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// groups is the answer to /apis.
func (s *Server) groups() *metav1.APIGroupList {
	list := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}}
	for _, k := range s.kinds {
		if k.Group == "" {
			continue
		}
		v := metav1.GroupVersionForDiscovery{GroupVersion: k.GroupVersion().String(), Version: k.Version}
		i := slices.IndexFunc(list.Groups, func(g metav1.APIGroup) bool { return g.Name == k.Group })
		if i < 0 {
			list.Groups = append(list.Groups, metav1.APIGroup{Name: k.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		} else if !slices.Contains(list.Groups[i].Versions, v) {
			list.Groups[i].Versions = append(list.Groups[i].Versions, v)
		}
	}
	return list
}

// resources is the answer to /apis/group/version.
func (s *Server) resources(gv schema.GroupVersion) *metav1.APIResourceList {
	list := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: gv.String()}
	for _, k := range s.kinds {
		if k.GroupVersion() != gv {
			continue
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: k.Resource, SingularName: strings.ToLower(k.Kind), Namespaced: k.Namespaced, Kind: k.Kind, Verbs: verbs})
		subs := k.Subresources
		if k.StatusApart {
			subs = append([]string{"status"}, subs...)
		}
		for _, sub := range subs {
			r := metav1.APIResource{Name: k.Resource + "/" + sub, Namespaced: k.Namespaced, Kind: k.Kind, Verbs: metav1.Verbs{"get", "patch", "update"}}
			if sub == "scale" {
				r.Group, r.Version, r.Kind = "autoscaling", "v1", "Scale"
			}
			list.APIResources = append(list.APIResources, r)
		}
	}
	return list
}
