package validation_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	coordinationv1beta1 "k8s.io/api/coordination/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	lifecyclev1alpha1 "k8s.io/api/lifecycle/v1alpha1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1alpha3 "k8s.io/api/resource/v1alpha3"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1alpha3 "k8s.io/api/scheduling/v1alpha3"
	storagev1 "k8s.io/api/storage/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"pilotis.dev/api/defaulting"
	"pilotis.dev/api/quantities"
	"pilotis.dev/api/validation"
	"pilotis.dev/api/validation/expressions"
)

var rewrite = flag.Bool("rewrite", false, "write what was found into testdata")

func newScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme,
		networkingv1.AddToScheme, discoveryv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme, storagev1.AddToScheme,
		storagemigrationv1.AddToScheme, schedulingv1.AddToScheme, nodev1.AddToScheme, coordinationv1.AddToScheme,
		certificatesv1.AddToScheme, admissionregistrationv1.AddToScheme, flowcontrolv1.AddToScheme, resourcev1.AddToScheme,
		authenticationv1.AddToScheme, authorizationv1.AddToScheme,
		apiserverinternalv1alpha1.AddToScheme, coordinationv1beta1.AddToScheme, lifecyclev1alpha1.AddToScheme, resourcev1alpha3.AddToScheme, schedulingv1alpha3.AddToScheme,
		defaulting.Register,
	} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// story is one case of a file in testdata. A file begins with a valid object; each story changes it by a merge patch
// and tells what is wrong then:
//
//	<object>
//	== create: what the case shows
//	<patch>
//	--
//	<a fault a line, none if the object is good>
//
// Instead of create it may be update, status or the name of a subresource: then the object of the file is the old one.
type story struct {
	action, title, patch, want string
}

func parse(text string) (base string, stories []story) {
	parts := strings.Split("\n"+text, "\n== ")
	for _, part := range parts[1:] {
		head, body, _ := strings.Cut(part, "\n")
		action, title, _ := strings.Cut(head, ": ")
		patch, want, _ := strings.Cut(body, "--\n")
		stories = append(stories, story{action, title, patch, strings.TrimSpace(want)})
	}
	return strings.TrimPrefix(parts[0], "\n"), stories
}

func render(base string, stories []story) string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(base) + "\n")
	for _, s := range stories {
		fmt.Fprintf(&b, "\n== %s: %s\n%s\n--\n", s.action, s.title, strings.TrimSpace(s.patch))
		if s.want != "" {
			b.WriteString(s.want + "\n")
		}
	}
	return b.String()
}

type narrator struct {
	scheme  *runtime.Scheme
	decoder runtime.Decoder
	rules   *validation.Validator
}

func newNarrator(t testing.TB) *narrator {
	s := newScheme(t)
	rules, err := expressions.New()
	if err != nil {
		t.Fatal(err)
	}
	decoder := kubejson.NewSerializerWithOptions(kubejson.DefaultMetaFactory, s, s, kubejson.SerializerOptions{Yaml: true, Strict: true})
	return &narrator{s, quantities.GuardSerializer(runtime.ContentTypeYAML, decoder), &validation.Validator{Expressions: rules}}
}

// object reads a manifest as a server would receive it, with defaults.
func (n *narrator) object(t *testing.T, raw []byte) runtime.Object {
	t.Helper()
	obj, _, err := n.decoder.Decode(raw, nil, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	n.scheme.Default(obj)
	return obj
}

func (n *narrator) patched(t *testing.T, base []byte, patch string) runtime.Object {
	t.Helper()
	p, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatalf("%v in\n%s", err, patch)
	}
	if string(p) == "null" {
		p = []byte("{}")
	}
	out, err := jsonpatch.MergePatch(base, p)
	if err != nil {
		t.Fatal(err)
	}
	return n.object(t, out)
}

func (n *narrator) tell(t *testing.T, base []byte, s story) string {
	t.Helper()
	old := n.object(t, base)
	var errs field.ErrorList
	switch s.action {
	case "create":
		errs = n.rules.Create(n.patched(t, base, s.patch))
	default:
		old.(metav1.Object).SetResourceVersion("1")
		raw, err := json.Marshal(old)
		if err != nil {
			t.Fatal(err)
		}
		obj := n.patched(t, raw, s.patch)
		switch s.action {
		case "update":
			errs = n.rules.Update(obj, old)
		case "status":
			errs = n.rules.StatusUpdate(obj, old)
		default:
			errs = n.rules.Subresource(s.action, obj, old)
		}
	}
	lines := make([]string, len(errs))
	for i, e := range errs {
		lines[i], _, _ = strings.Cut(e.Error(), "\n") // the rest is a diff or points into an expression
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	n := newNarrator(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			base, stories := parse(string(text))
			raw, err := yaml.YAMLToJSONStrict([]byte(base))
			if err != nil {
				t.Fatalf("%v in\n%s", err, base)
			}
			for i := range stories {
				s := &stories[i]
				t.Run(s.action+" "+s.title, func(t *testing.T) {
					got := n.tell(t, raw, *s)
					if *rewrite {
						s.want = got
					} else if got != s.want {
						t.Errorf("got\n%s\nwant\n%s", got, s.want)
					}
				})
			}
			t.Run("good as it is", func(t *testing.T) {
				if got := n.tell(t, raw, story{action: "create"}); got != "" {
					t.Errorf("the object of the file has faults:\n%s", got)
				}
				obj := n.object(t, raw)
				if m, ok := obj.(metav1.Object); ok && validation.Namespaced(obj) != (m.GetNamespace() != "") && !transient(obj) {
					t.Errorf("Namespaced is %t", validation.Namespaced(obj))
				}
				if got := n.tell(t, raw, story{action: "update"}); got != "" && !transient(obj) {
					t.Errorf("an update that changes nothing has faults:\n%s", got)
				}
			})
			if *rewrite {
				if err := os.WriteFile(file, []byte(render(base, stories)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// transient tells whether objects of a kind are answered and not kept.
func transient(obj runtime.Object) bool {
	switch obj.(type) {
	case *authorizationv1.SubjectAccessReview, *authorizationv1.SelfSubjectAccessReview, *authorizationv1.LocalSubjectAccessReview,
		*authenticationv1.TokenReview, *authenticationv1.TokenRequest, *corev1.Binding, *autoscalingv1.Scale:
		return true
	}
	return false
}

// TestEveryKindHasAStory keeps kinds from being forgotten.
func TestEveryKindHasAStory(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := newNarrator(t)
	told := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		base, _ := parse(string(text))
		raw, err := yaml.YAMLToJSON([]byte(base))
		if err != nil {
			t.Fatal(err)
		}
		told[fmt.Sprintf("%T", n.object(t, raw))] = true
	}
	for gvk := range n.scheme.AllKnownTypes() {
		obj, err := n.scheme.New(gvk)
		if err != nil || !validation.Knows(obj) {
			continue
		}
		if name := fmt.Sprintf("%T", obj); !told[name] && name != "*v1.Status" {
			t.Errorf("%s of %s has rules but no story in testdata", gvk.Kind, gvk.GroupVersion())
		}
	}
}
