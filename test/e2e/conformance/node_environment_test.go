package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// says runs the pod to its end, which must be good, and gives what it wrote.
func (s *space) says(pod *v1.Pod) string {
	s.Helper()
	created := must[*v1.Pod](s)(s.Client.CoreV1().Pods(pod.Namespace).Create(s.Context(), pod, metav1.CreateOptions{}))
	ended := s.await(created, "ended", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodSucceeded || p.Status.Phase == v1.PodFailed })
	said := s.log(ended, ended.Spec.Containers[0].Name)
	if ended.Status.Phase != v1.PodSucceeded {
		s.Fatalf("the pod failed and said %q", said)
	}
	return said
}

// hasVariables checks that a container with these variables has each line of want in its environment.
func (s *space) hasVariables(variables []v1.EnvVar, from []v1.EnvFromSource, want ...string) {
	s.Helper()
	said := "\n" + s.says(s.pod("p", "", func(p *v1.Pod) {
		c := &p.Spec.Containers[0]
		c.Command, c.Env, c.EnvFrom = []string{"env"}, variables, from // a shell would drop names that are not its own
	}))
	for _, line := range want {
		if !strings.Contains(said, "\n"+line+"\n") {
			s.Errorf("the environment lacks %q:%s", line, said)
		}
	}
}

func TestVariableOfAKey(t *testing.T) {
	for kind, c := range map[string]struct {
		name string
		from *v1.EnvVarSource
	}{
		"ConfigMap": {"should be consumable via environment variable", &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "object"}, Key: "key"}}},
		"Secrets":   {"should be consumable from pods in env vars", &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "object"}, Key: "key"}}},
	} {
		t.Run(kind, func(t *testing.T) {
			s := behaviour(t, "[sig-node] "+kind+" "+c.name+" [NodeConformance]")
			s.keeps(kind, "object", "key", "value-1")
			s.hasVariables([]v1.EnvVar{{Name: "VALUE", ValueFrom: c.from}}, nil, "VALUE=value-1")
		})
	}
}

// allOf are all keys of an object as variables, with a prefix.
func allOf(kind, prefix string) v1.EnvFromSource {
	object := v1.LocalObjectReference{Name: "object"}
	if ofSecret(kind) {
		return v1.EnvFromSource{Prefix: prefix, SecretRef: &v1.SecretEnvSource{LocalObjectReference: object}}
	}
	return v1.EnvFromSource{Prefix: prefix, ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: object}}
}

func TestVariablesOfAnObject(t *testing.T) {
	for _, kind := range []string{"ConfigMap", "Secrets"} {
		t.Run(kind, func(t *testing.T) {
			s := behaviour(t, "[sig-node] "+kind+" should be consumable via the environment [NodeConformance]")
			s.keeps(kind, "object", "key", "value-1")
			s.hasVariables(nil, []v1.EnvFromSource{allOf(kind, ""), allOf(kind, "p-")}, "key=value-1", "p-key=value-1")
		})
	}
}

func TestPrefixesOfVariables(t *testing.T) {
	for kind, name := range map[string]string{"ConfigMap": "should be consumable as environment variable names with various prefixes", "Secrets": "should be consumable as environment variable names variable names with various prefixes"} {
		t.Run(kind, func(t *testing.T) {
			s := behaviour(t, "[sig-node] "+kind+" "+name)
			s.keeps(kind, "object", "key", "value-1")
			var from []v1.EnvFromSource
			var want []string
			for _, prefix := range []string{"1-", "$_-", "p-", "#@!", "~ ", "a.b:"} {
				from = append(from, allOf(kind, prefix))
				want = append(want, prefix+"key=value-1")
			}
			s.hasVariables(nil, from, want...)
		})
	}
}

func TestComposedVariables(t *testing.T) {
	s := behaviour(t, "[sig-node] Variable Expansion should allow composing env vars into new env vars [NodeConformance]")
	s.hasVariables([]v1.EnvVar{{Name: "FOO", Value: "foo-value"}, {Name: "BAR", Value: "bar-value"}, {Name: "FOOBAR", Value: "$(FOO);;$(BAR)"}, {Name: "LITERAL", Value: "$$(FOO) $(NONE)"}}, nil,
		"FOOBAR=foo-value;;bar-value", "LITERAL=$(FOO) $(NONE)")
}

func TestVariablesInArguments(t *testing.T) {
	s := behaviour(t, "[sig-node] Variable Expansion should allow substituting values in a container's args [NodeConformance]")
	said := s.says(s.pod("p", "", func(p *v1.Pod) {
		c := &p.Spec.Containers[0]
		c.Command, c.Args, c.Env = []string{"echo"}, []string{"$(TEST_VAR)", "$$(TEST_VAR)"}, []v1.EnvVar{{Name: "TEST_VAR", Value: "test-value"}}
	}))
	if said != "test-value $(TEST_VAR)\n" {
		t.Errorf("the container says %q", said)
	}
}

// ofPod is a variable with a field of the pod.
func ofPod(path string) []v1.EnvVar {
	return []v1.EnvVar{{Name: "VALUE", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: path}}}}
}

func TestPodInVariables(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		of   func(*v1.Pod) string
	}{
		"provide host IP as an env var": {"status.hostIP", func(p *v1.Pod) string { return p.Status.HostIP }},
		"provide hostIPs as an env var": {"status.hostIPs", func(p *v1.Pod) string {
			var ips []string
			for _, ip := range p.Status.HostIPs {
				ips = append(ips, ip.IP)
			}
			return strings.Join(ips, ",")
		}},
		"provide pod UID as env vars": {"metadata.uid", func(p *v1.Pod) string { return string(p.UID) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := behaviour(t, "[sig-node] Downward API should "+name+" [NodeConformance]")
			said := s.says(s.pod("p", "echo \"$VALUE\"", func(p *v1.Pod) { p.Spec.Containers[0].Env = ofPod(c.path) }))
			pod := must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Get(s.Context(), "p", metav1.GetOptions{}))
			if want := c.of(pod); want == "" || said != want+"\n" {
				t.Errorf("the container says %q, the pod's %s is %q", said, c.path, want)
			}
		})
	}
}

func TestNodeAsLimitInVariables(t *testing.T) {
	s := behaviour(t, "[sig-node] Downward API should provide default limits.cpu/memory from node allocatable [NodeConformance]")
	limit := func(name, of string) v1.EnvVar {
		return v1.EnvVar{Name: name, ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits." + of, Divisor: resource.MustParse("1")}}}
	}
	said := s.says(s.pod("p", "echo $CPU $MEMORY", func(p *v1.Pod) {
		p.Spec.Containers[0].Env = []v1.EnvVar{limit("CPU", "cpu"), limit("MEMORY", "memory")}
	}))
	node := must[*v1.Node](s)(s.Client.CoreV1().Nodes().Get(s.Context(), s.read("pod/p", ".spec.nodeName"), metav1.GetOptions{}))
	want := strconv.FormatInt(node.Status.Allocatable.Cpu().Value(), 10) + " " + strconv.FormatInt(node.Status.Allocatable.Memory().Value(), 10)
	if strings.TrimSpace(said) != want {
		t.Errorf("the container says %q, the node has %q", said, want)
	}
}

func TestVariablesOfServices(t *testing.T) {
	s := behaviour(t, "[sig-node] Pods should contain environment variables for services [NodeConformance]")
	s.create(s.resource(coreV1("services"), false), `
apiVersion: v1
kind: Service
metadata: {name: foo-service}
spec: {ports: [{port: 8765, targetPort: 8080}], selector: {app: none}}
`)
	ip := s.read("service/foo-service", ".spec.clusterIP")
	tcp := "tcp://" + ip + ":8765"
	s.eventually("a pod that knows of the Service", func() (any, bool) { // a kubelet hears of Services a moment later
		pod := s.pod("", "env", func(p *v1.Pod) { p.GenerateName = "p-" })
		said := "\n" + s.says(pod)
		for _, line := range []string{
			"FOO_SERVICE_SERVICE_HOST=" + ip, "FOO_SERVICE_SERVICE_PORT=8765", "FOO_SERVICE_PORT=" + tcp, "FOO_SERVICE_PORT_8765_TCP=" + tcp,
			"FOO_SERVICE_PORT_8765_TCP_PORT=8765", "FOO_SERVICE_PORT_8765_TCP_PROTO=tcp", "FOO_SERVICE_PORT_8765_TCP_ADDR=" + ip,
		} {
			if !strings.Contains(said, "\n"+line+"\n") {
				return fmt.Sprintf("no %s in %s", line, said), false
			}
		}
		return nil, true
	})
}

// inFolder is a pod that writes to a subPath of a volume, which a variable of an annotation names.
func (s *space) inFolder(expression string) *v1.Pod {
	return s.pod("p", "echo text > /sub/file; sleep 300", func(p *v1.Pod) {
		p.Annotations = map[string]string{"folder": "mine"}
		p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: emptyDir(v1.StorageMediumDefault)}}
		c := &p.Spec.Containers[0]
		c.Env = []v1.EnvVar{{Name: "FOLDER", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.annotations['folder']"}}}}
		c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/sub", SubPathExpr: expression}, {Name: "v", MountPath: "/all"}}
	})
}

func TestVariableInASubPath(t *testing.T) {
	s := behaviour(t, "[sig-node] Variable Expansion should allow substituting values in a volume subpath")
	s.shifts(s.start(s.inFolder("$(FOLDER)/deeper")), "cat /all/mine/deeper/file", "text")
}

func TestWritesToAnExpandedSubPath(t *testing.T) {
	s := behaviour(t, "[sig-node] Variable Expansion should succeed in writing subpaths in container")
	pod := s.start(s.inFolder("$(FOLDER)"))
	s.inPod(pod, "echo more > /sub/other")
	s.shifts(pod, "cat /all/mine/other", "more")
	s.kubectl("annotate", "pod", "p", "folder-", "--overwrite") // what the expression needs is gone
	s.kubectl("delete", "pod", "p", "--timeout=60s")
}

// The behaviour that speaks of backticks is about steps back: a folder may have backticks in its name.
func TestSubPathsThatFail(t *testing.T) {
	for _, c := range []struct{ name, folder string }{{"backticks", ".."}, {"absolute path", "/tmp"}} {
		t.Run(c.name, func(t *testing.T) {
			s := behaviour(t, "[sig-node] Variable Expansion should fail substituting values in a volume subpath with "+c.name)
			pod := s.inFolder("$(FOLDER)")
			pod.Annotations["folder"] = c.folder
			must[*v1.Pod](s)(s.Client.CoreV1().Pods(s.Namespace).Create(s.Context(), pod, metav1.CreateOptions{}))
			s.shows("CreateContainerConfigError", "pod/p", ".status.containerStatuses[0].state.waiting.reason")
		})
	}
}
