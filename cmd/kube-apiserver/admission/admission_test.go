package admission

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// req is a request to the plugin under test.
type req struct {
	resource  string // "pods", "pods/status", "apps/deployments"
	op        admission.Operation
	name      string
	namespace string
	obj, old  runtime.Object
	user      user.Info
	dryRun    bool
}

func (r req) attributes() admission.Attributes {
	gvr := schema.GroupVersionResource{Version: "v1"}
	parts := strings.Split(r.resource, "/")
	if strings.Contains(parts[0], ".") || parts[0] == "apps" {
		gvr.Group, parts = parts[0], parts[1:]
	}
	gvr.Resource = parts[0]
	sub := strings.Join(parts[1:], "/")
	if r.op == "" {
		r.op = admission.Create
	}
	if r.user == nil {
		r.user = &user.DefaultInfo{Name: "ann"}
	}
	for _, o := range []runtime.Object{r.obj, r.old} {
		if m, err := meta.Accessor(o); err == nil && o != nil {
			if r.name == "" {
				r.name = m.GetName()
			}
			if r.namespace == "" {
				r.namespace = m.GetNamespace()
			}
		}
	}
	return admission.NewAttributesRecord(r.obj, r.old, schema.GroupVersionKind{}, r.namespace, r.name, gvr, sub, r.op, nil, r.dryRun, r.user)
}

// prepared gives a plugin its clients over the objects and waits for its caches.
func prepared(t *testing.T, p admission.Interface, z authorizer.Authorizer, objects ...runtime.Object) (admission.Interface, *fake.Clientset) {
	t.Helper()
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	if w, ok := p.(initializer.WantsExternalKubeClientSet); ok {
		w.SetExternalKubeClientSet(client)
	}
	if w, ok := p.(initializer.WantsExternalKubeInformerFactory); ok {
		w.SetExternalKubeInformerFactory(factory)
	}
	if w, ok := p.(initializer.WantsUnconditionalAuthorizer); ok {
		w.SetUnconditionalAuthorizer(z)
	}
	if v, ok := p.(admission.InitializationValidator); ok {
		if err := v.ValidateInitialization(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	factory.StartWithContext(ctx)
	factory.WaitForCacheSyncWithContext(ctx)
	return p, client
}

// made unwraps what a constructor returns.
func made(t *testing.T) func(admission.Interface, error) admission.Interface {
	return func(p admission.Interface, err error) admission.Interface {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// send takes a request through a plugin, mutation first.
func send(t *testing.T, p admission.Interface, r req) error {
	t.Helper()
	a := r.attributes()
	if !p.Handles(a.GetOperation()) {
		return nil
	}
	if m, ok := p.(admission.MutationInterface); ok {
		if err := m.Admit(t.Context(), a, nil); err != nil {
			return err
		}
	}
	if v, ok := p.(admission.ValidationInterface); ok {
		return v.Validate(t.Context(), a, nil)
	}
	return nil
}

// expect checks that a request is admitted (want empty) or refused with a text.
func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("admitted, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("refused with %q, want %q", err, want)
	}
}

func objectMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name + "-uid")}
}

func pod(change func(p *corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: objectMeta("p"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if change != nil {
		change(p)
	}
	return p
}

func ptr[T any](v T) *T { return &v }

// grants allows requests that are listed as "verb resource/name".
func grants(all ...string) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		resource := a.GetResource()
		if a.GetSubresource() != "" {
			resource += "." + a.GetSubresource()
		}
		for _, g := range all {
			if g == a.GetVerb()+" "+resource+"/"+a.GetName() {
				return authorizer.DecisionAllow, "", nil
			}
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
}

func TestDefaultPlugins(t *testing.T) {
	o := NewOptions()
	if errs := o.Validate(); len(errs) > 0 {
		t.Fatal(errs)
	}
	got := strings.Join(o.Enabled(), ",")
	want := "NamespaceLifecycle,LimitRanger,ServiceAccount,TaintNodesByCondition,PodSecurity,Priority,DefaultTolerationSeconds," +
		"DefaultStorageClass,StorageObjectInUseProtection,PersistentVolumeClaimResize,RuntimeClass,CertificateApproval,CertificateSigning," +
		"ClusterTrustBundleAttest,CertificateSubjectRestriction,DefaultIngressClass,DenyServiceExternalIPs,PodTopologyLabels,NodeDeclaredFeatureValidator," +
		"MutatingAdmissionPolicy,MutatingAdmissionWebhook,ValidatingAdmissionPolicy,ValidatingAdmissionWebhook,ResourceQuota"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPluginFlags(t *testing.T) {
	for _, tc := range []struct{ flag, want string }{
		{"--enable-admission-plugins=NodeRestriction,AlwaysPullImages", ""},
		{"--enable-admission-plugins=NodeRestrictions", `enable-admission-plugins plugin "NodeRestrictions" is unknown, known plugins are AlwaysAdmit, AlwaysDeny,`},
		{"--disable-admission-plugins=X", `disable-admission-plugins plugin "X" is unknown`},
	} {
		o := NewOptions()
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		o.AddFlags(fs)
		if err := fs.Parse([]string{tc.flag}); err != nil {
			t.Fatal(err)
		}
		expect(t, errors.Join(o.Validate()...), tc.want)
	}
	o := NewOptions()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(fs)
	if err := fs.Parse([]string{"--enable-admission-plugins=NodeRestriction", "--disable-admission-plugins=NodeRestriction"}); err != nil {
		t.Fatal(err)
	}
	expect(t, errors.Join(o.Validate()...), "overlapped")
}

func TestEveryPluginCanBeMade(t *testing.T) {
	for _, p := range NewOptions().plugins() {
		if p.New == nil || p.Name == "EventRateLimit" || p.Name == "ImagePolicyWebhook" {
			continue // the library's, or without meaning unless configured
		}
		if _, err := p.New(nil); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}
