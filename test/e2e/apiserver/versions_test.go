package apiserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"pilotis.dev/test/e2e/daemons"
)

// early are the alpha and beta versions that Kubernetes 1.37 serves to who asks for all of them: the lifecycles that
// k8s.io/api declares. A star marks those that it calls deprecated.
const early = `
admissionregistration.k8s.io/v1alpha1* mutatingadmissionpolicies mutatingadmissionpolicybindings
admissionregistration.k8s.io/v1beta1* mutatingadmissionpolicies mutatingadmissionpolicybindings
certificates.k8s.io/v1beta1* clustertrustbundles podcertificaterequests podcertificaterequests/status
coordination.k8s.io/v1alpha2* leasecandidates
coordination.k8s.io/v1beta1* leasecandidates
internal.apiserver.k8s.io/v1alpha1 storageversions storageversions/status
lifecycle.k8s.io/v1alpha1 evictionrequests evictionrequests/status evictions evictions/status
resource.k8s.io/v1alpha3* devicetaintrules devicetaintrules/status
resource.k8s.io/v1alpha3 resourcepoolstatusrequests resourcepoolstatusrequests/status
resource.k8s.io/v1beta1* deviceclasses resourceclaims resourceclaims/status resourceclaimtemplates resourceslices
resource.k8s.io/v1beta2* deviceclasses resourceclaims resourceclaims/status resourceclaimtemplates resourceslices
resource.k8s.io/v1beta2 devicetaintrules devicetaintrules/status
scheduling.k8s.io/v1alpha3 compositepodgroups compositepodgroups/status podgroups podgroups/status workloads
scheduling.k8s.io/v1beta1 podgroups podgroups/status workloads
storagemigration.k8s.io/v1beta1* storageversionmigrations storageversionmigrations/status
`

// rows of early, as "group/version resource", with whether it is deprecated.
func rows() map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(early)) {
		words := strings.Fields(line)
		gv, deprecated := strings.CutSuffix(words[0], "*")
		for _, name := range words[1:] {
			out[gv+" "+name] = deprecated
		}
	}
	return out
}

// everything are the flags that switch all of them on.
var everything = []string{
	"--runtime-config=api/all=true",
	"--feature-gates=GenericWorkload=true,TopologyAwareWorkloadScheduling=true,CompositePodGroup=true,EvictionRequestAPI=true,DRAResourcePoolStatus=true",
}

// another starts a server with an own prefix in etcd, and stops it with the test.
func another(t *testing.T, prefix string, flags ...string) *server {
	t.Helper()
	s := made(startServer(t.TempDir(), prefix, flags...)).or(t)
	t.Cleanup(func() { stop(s.Daemon) })
	return s
}

// listed are the resources of built-in groups, by "group/version resource".
func (s *server) listed(t *testing.T) map[string]metav1.APIResource {
	t.Helper()
	_, lists, err := s.client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]metav1.APIResource{}
	for _, l := range lists {
		for _, r := range l.APIResources {
			out[l.GroupVersion+" "+r.Name] = r
		}
	}
	return out
}

// heard collects the warnings that a client gets.
type heard struct{ texts []string }

func (h *heard) HandleWarningHeader(_ int, _, text string) { h.texts = append(h.texts, text) }

// TestEarlyVersions: who asks for all versions finds those of this release and no others, and each can do what the others
// can: what is created in one reads in all and, written back, changes nothing.
func TestEarlyVersions(t *testing.T) {
	t.Parallel()
	s := another(t, "/early", everything...)
	found, want := s.listed(t), rows()
	for name := range found {
		gv, _, _ := strings.Cut(name, " ")
		if version := gv[strings.LastIndex(gv, "/")+1:]; !ga.MatchString(version) {
			if _, ok := want[name]; !ok {
				t.Errorf("%s is served", name)
			}
		}
	}
	namespace := s.namespace(t)
	samples := documents(t, "objects.yaml")
	maps.Copy(samples, documents(t, "betas.yaml"))
	for _, name := range slices.Sorted(maps.Keys(want)) {
		r, ok := found[name]
		if !ok {
			t.Errorf("%s is not served", name)
			continue
		}
		if strings.Contains(name, "/status") {
			continue
		}
		gv, _, _ := strings.Cut(name, " ")
		v := versioned{server: s, APIResource: r, gvr: made(schema.ParseGroupVersion(gv)).or(t).WithResource(r.Name), namespace: namespace}
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) { v.walk(t, found, v.sample(t, samples), want[name]) })
	}
}

// versioned is one version of a resource.
type versioned struct {
	*server
	metav1.APIResource
	gvr       schema.GroupVersionResource
	namespace string
}

func (v versioned) client(d dynamic.Interface, version string) dynamic.ResourceInterface {
	c := d.Resource(v.gvr.GroupResource().WithVersion(version))
	if v.Namespaced {
		return c.Namespace(v.namespace)
	}
	return c
}

// sample is an object of just this version, or of another one that is written alike.
func (v versioned) sample(t *testing.T, samples map[schema.GroupVersionKind]*unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	gvk := v.gvr.GroupVersion().WithKind(v.Kind)
	found := samples[gvk]
	for other, o := range samples {
		if found == nil && other.GroupKind() == gvk.GroupKind() && other.Version != "v1beta1" {
			found = o
		}
	}
	for other, o := range samples {
		if found == nil && other.GroupKind() == gvk.GroupKind() {
			found = o
		}
	}
	if found == nil {
		t.Fatalf("no document of testdata is a %s", gvk.GroupKind())
	}
	found = found.DeepCopy()
	found.SetAPIVersion(gvk.GroupVersion().String())
	return found
}

func (v versioned) walk(t *testing.T, found map[string]metav1.APIResource, sample *unstructured.Unstructured, deprecated bool) {
	ctx := t.Context()
	warnings := &heard{}
	config := rest.CopyConfig(v.admin)
	config.WarningHandler = warnings
	here := v.client(made(dynamic.NewForConfig(config)).or(t), v.gvr.Version)
	created, err := here.Create(ctx, sample, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if said := slices.ContainsFunc(warnings.texts, func(s string) bool {
		return strings.Contains(s, v.gvr.GroupVersion().String()+" "+v.Kind+" is deprecated in v1.")
	}); said != deprecated {
		t.Errorf("deprecated is %v, the warnings are %q", deprecated, warnings.texts)
	}
	hash := v.storageHash(t, v.gvr.GroupVersion().String())
	for name := range found {
		gv, plural, _ := strings.Cut(name, " ")
		group, version, _ := strings.Cut(gv, "/")
		if group != v.gvr.Group || plural != v.Name {
			continue
		}
		if other := v.storageHash(t, gv); hash == "" || other != hash {
			t.Errorf("storage version hashes %q and, of %s, %q", hash, version, other)
		}
		there := v.client(v.dynamic, version)
		got, err := there.Get(ctx, created.GetName(), metav1.GetOptions{})
		if err != nil {
			t.Errorf("%s: %v", version, err)
			continue
		}
		if got.GetAPIVersion() != gv || got.GetKind() != v.Kind {
			t.Errorf("%s: read a %s", version, got.GroupVersionKind())
		}
		back, err := there.Update(ctx, got, metav1.UpdateOptions{})
		if err != nil {
			t.Errorf("%s: writing back: %v", version, err)
		} else if back.GetResourceVersion() != created.GetResourceVersion() {
			t.Errorf("%s: writing back what was read changed\n%v\nto\n%v", version, got.Object["spec"], back.Object["spec"])
		}
	}
	again, err := here.Get(ctx, created.GetName(), metav1.GetOptions{})
	if err != nil || fmt.Sprint(again.Object["spec"]) != fmt.Sprint(created.Object["spec"]) {
		t.Errorf("created %v, read %v: %v", created.Object["spec"], again, err)
	}
	v.apply(t, here, sample)
	v.print(t)
	v.explain(t)
	if err := here.Delete(ctx, created.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := here.Get(ctx, created.GetName(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the deletion: %v", err)
	}
}

// storageHash tells which version is stored. The aggregated document of discovery has none.
func (v versioned) storageHash(t *testing.T, gv string) string {
	t.Helper()
	for _, r := range made(v.server.client.Discovery().ServerResourcesForGroupVersion(gv)).or(t).APIResources {
		if r.Name == v.Name {
			return r.StorageVersionHash
		}
	}
	return ""
}

// apply wants server-side apply to remember the version.
func (v versioned) apply(t *testing.T, here dynamic.ResourceInterface, sample *unstructured.Unstructured) {
	sample = sample.DeepCopy()
	sample.SetLabels(map[string]string{"applied": "yes"})
	got, err := here.Apply(t.Context(), sample.GetName(), sample, metav1.ApplyOptions{FieldManager: "walk", Force: true})
	if err != nil {
		t.Errorf("apply: %v", err)
		return
	}
	owned := slices.ContainsFunc(got.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == "walk" && m.Operation == metav1.ManagedFieldsOperationApply && m.APIVersion == v.gvr.GroupVersion().String()
	})
	if got.GetLabels()["applied"] != "yes" || !owned {
		t.Errorf("apply: labels %v, managed fields %v", got.GetLabels(), got.GetManagedFields())
	}
}

// print wants a table with the columns name and age.
func (v versioned) print(t *testing.T) {
	path := "/apis/" + v.gvr.GroupVersion().String()
	if v.Namespaced {
		path += "/namespaces/" + v.namespace
	}
	raw, err := v.server.client.Discovery().RESTClient().Get().AbsPath(path+"/"+v.Name).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	var table metav1.Table
	if err == nil {
		err = json.Unmarshal(raw, &table)
	}
	var columns []string
	for _, c := range table.ColumnDefinitions {
		columns = append(columns, c.Name)
	}
	if err != nil || len(table.Rows) == 0 || len(columns) < 2 || columns[0] != "Name" || !slices.Contains(columns, "Age") {
		t.Errorf("table: columns %q, %d rows, %v", columns, len(table.Rows), err)
	}
}

// explain wants kubectl to know the fields of the version.
func (v versioned) explain(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), daemons.Program("kubectl"), "--kubeconfig="+v.certificates.Kubeconfig("super-admin.conf"),
		"--cache-dir="+filepath.Join(v.certificates.Dir, "cache"), "explain", v.Name, "--api-version="+v.gvr.GroupVersion().String()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "spec\t<") || !strings.Contains(string(out), "VERSION:    "+v.gvr.Version) {
		t.Errorf("kubectl explain: %v\n%s", err, out)
	}
}

// TestEarlyVersionsAreOff: nobody asked the shared server for them.
func TestEarlyVersionsAreOff(t *testing.T) {
	t.Parallel()
	found := shared.listed(t)
	for name := range rows() {
		if _, ok := found[name]; ok {
			t.Errorf("%s is in discovery", name)
		}
		gv, plural, _ := strings.Cut(name, " ")
		_, err := shared.client.Discovery().RESTClient().Get().AbsPath("/apis/"+gv, plural).DoRaw(t.Context())
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRuntimeConfig: versions go on and off by stage, by version and by resource, the narrower over the wider.
func TestRuntimeConfig(t *testing.T) {
	t.Parallel()
	s := another(t, "/chosen", "--runtime-config=api/beta=true,resource.k8s.io/v1beta1=false,resource.k8s.io/v1beta2/resourceslices=false,"+
		"coordination.k8s.io/v1alpha2/leasecandidates=true,batch/v1/cronjobs=false")
	found := s.listed(t)
	for name, want := range map[string]bool{
		"coordination.k8s.io/v1beta1 leasecandidates":                     true,
		"coordination.k8s.io/v1alpha2 leasecandidates":                    true,
		"admissionregistration.k8s.io/v1beta1 mutatingadmissionpolicies":  true,
		"admissionregistration.k8s.io/v1alpha1 mutatingadmissionpolicies": false,
		"resource.k8s.io/v1beta1 deviceclasses":                           false,
		"resource.k8s.io/v1beta2 deviceclasses":                           true,
		"resource.k8s.io/v1beta2 resourceslices":                          false,
		"resource.k8s.io/v1 resourceslices":                               true,
		"scheduling.k8s.io/v1beta1 workloads":                             false, // the gate GenericWorkload is off
		"batch/v1 jobs":                                                   true,
		"batch/v1 cronjobs":                                               false,
	} {
		if _, got := found[name]; got != want {
			t.Errorf("%s is served: %v", name, got)
		}
	}
}

// TestPoliciesOfEarlyVersions: a mutating policy works that nobody ever wrote as v1.
func TestPoliciesOfEarlyVersions(t *testing.T) {
	t.Parallel()
	s := another(t, "/policies", everything...)
	ns := s.namespace(t)
	for _, version := range []string{"v1beta1", "v1alpha1"} {
		for plural, text := range map[string]string{
			"mutatingadmissionpolicies": `
kind: MutatingAdmissionPolicy
metadata: {name: LABEL}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  reinvocationPolicy: Never
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{metadata: Object.metadata{labels: {"LABEL": "seen"}}}'}}]`,
			"mutatingadmissionpolicybindings": `
kind: MutatingAdmissionPolicyBinding
metadata: {name: LABEL}
spec: {policyName: LABEL}`,
		} {
			o := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "LABEL", version)), &o.Object); err != nil {
				t.Fatal(err)
			}
			gvr := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: version, Resource: plural}
			o.SetAPIVersion(gvr.GroupVersion().String())
			made(s.dynamic.Resource(gvr).Create(t.Context(), o, metav1.CreateOptions{})).or(t)
		}
	}
	daemons.Eventually(t, "labels of both policies", func() (string, bool) {
		got, err := s.client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "c-"}}, metav1.CreateOptions{})
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprint(got.Labels), got.Labels["v1beta1"] == "seen" && got.Labels["v1alpha1"] == "seen"
	})
}

// TestAlphaFields: a field is dropped while its gate is off, kept while it is on, and an object that has it keeps it when
// the gate goes off again.
func TestAlphaFields(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"app": "a"}
	deployment := func(name string) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "c", Image: "example.org/i:1"}},
				Volumes:    []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Mode: ptr.To[int32](0o700)}}}},
			}},
		}}
	}
	mode := func(d *appsv1.Deployment) *int32 { return d.Spec.Template.Spec.Volumes[0].EmptyDir.Mode }

	on := made(startServer(t.TempDir(), "/alpha", "--feature-gates=EmptyDirVolumeMode=true")).or(t)
	apps := on.client.AppsV1().Deployments("default")
	had := made(apps.Create(t.Context(), deployment("had"), metav1.CreateOptions{})).or(t)
	if mode(had) == nil {
		t.Error("with the gate on, the field was dropped")
	}
	stop(on.Daemon)

	off := another(t, "/alpha")
	apps = off.client.AppsV1().Deployments("default")
	had = made(apps.Patch(t.Context(), "had", types.MergePatchType, []byte(`{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}`), metav1.PatchOptions{})).or(t)
	if mode(had) == nil || had.Generation != 2 {
		t.Errorf("with the gate off again, an object that has the field has %v, generation %d", mode(had), had.Generation)
	}
	fresh := made(apps.Create(t.Context(), deployment("fresh"), metav1.CreateOptions{})).or(t)
	if mode(fresh) != nil {
		t.Error("with the gate off, a new object has the field")
	}
	fresh.Spec.Template.Spec.Volumes[0].EmptyDir.Mode = ptr.To[int32](0o700)
	fresh = made(apps.Update(t.Context(), fresh, metav1.UpdateOptions{})).or(t)
	if mode(fresh) != nil || fresh.Generation != 1 {
		t.Errorf("an update brings the field in: %v, generation %d", mode(fresh), fresh.Generation)
	}
	_, err := off.client.Discovery().RESTClient().Get().AbsPath("/apis/scheduling.k8s.io/v1beta1").DoRaw(t.Context())
	if status, ok := err.(apierrors.APIStatus); !ok || status.Status().Code != http.StatusNotFound {
		t.Errorf("a version that is off: %v", err)
	}
}
