package server

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "a"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.com/image:1"}}},
	}
}

// Objects lie where a backup or another server of the same version looks for them, in protobuf.
func TestPlacesInEtcd(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	ctx := t.Context()
	steps := map[string]func() error{
		"/registry/pods/" + ns + "/p": func() error {
			_, err := s.client.CoreV1().Pods(ns).Create(ctx, pod("p"), metav1.CreateOptions{})
			return err
		},
		"/registry/services/specs/" + ns + "/s": func() error {
			_, err := s.client.CoreV1().Services(ns).Create(ctx, service("s"), metav1.CreateOptions{})
			return err
		},
		"/registry/services/endpoints/" + ns + "/e": func() error {
			_, err := s.client.CoreV1().Endpoints(ns).Create(ctx, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "e"}}, metav1.CreateOptions{})
			return err
		},
		"/registry/minions/node-places": func() error {
			_, err := s.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-places"}}, metav1.CreateOptions{})
			return err
		},
		"/registry/controllers/" + ns + "/rc": func() error {
			_, err := s.client.CoreV1().ReplicationControllers(ns).Create(ctx, &corev1.ReplicationController{
				ObjectMeta: metav1.ObjectMeta{Name: "rc"},
				Spec: corev1.ReplicationControllerSpec{Selector: map[string]string{"a": "b"}, Template: &corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}, Spec: pod("").Spec,
				}},
			}, metav1.CreateOptions{})
			return err
		},
		"/registry/ingress/" + ns + "/i": func() error {
			_, err := s.client.NetworkingV1().Ingresses(ns).Create(ctx, &networkingv1.Ingress{
				ObjectMeta: metav1.ObjectMeta{Name: "i"},
				Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: "s", Port: networkingv1.ServiceBackendPort{Number: 80}},
				}},
			}, metav1.CreateOptions{})
			return err
		},
		"/registry/events/" + ns + "/ev": func() error {
			_, err := s.client.CoreV1().Events(ns).Create(ctx, &corev1.Event{
				ObjectMeta: metav1.ObjectMeta{Name: "ev"}, InvolvedObject: corev1.ObjectReference{Namespace: ns, Kind: "Pod", Name: "p"}, Reason: "Test",
			}, metav1.CreateOptions{})
			return err
		},
		"/registry/secrets/" + ns + "/sec": func() error {
			_, err := s.client.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sec"}}, metav1.CreateOptions{})
			return err
		},
	}
	for key, create := range steps {
		if err := create(); err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		got, err := s.etcd.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Kvs) != 1 {
			t.Errorf("%s: not in etcd", key)
			continue
		}
		if !bytes.HasPrefix(got.Kvs[0].Value, []byte("k8s\x00")) {
			t.Errorf("%s: no protobuf: %q", key, got.Kvs[0].Value[:min(20, len(got.Kvs[0].Value))])
		}
	}
	if got, _ := s.etcd.Get(ctx, "/registry/ranges/servicenodeports"); len(got.Kvs) != 1 {
		t.Error("/registry/ranges/servicenodeports: not in etcd")
	}
	if got, _ := s.etcd.Get(ctx, "/registry/masterleases/192.0.2.10"); len(got.Kvs) != 1 || got.Kvs[0].Lease == 0 {
		t.Error("/registry/masterleases/192.0.2.10: not in etcd with a lease")
	}
}

// Events expire, whoever wrote them last.
func TestEventsHaveALease(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	_, err := s.client.EventsV1().Events(ns).Create(t.Context(), &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e"}, EventTime: metav1.NowMicro(), ReportingController: "example.com/c", ReportingInstance: "i",
		Action: "Do", Reason: "Did", Type: "Normal", Note: "note", Regarding: corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: "p"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.etcd.Get(t.Context(), "/registry/events/"+ns+"/e")
	if err != nil || len(got.Kvs) != 1 || got.Kvs[0].Lease == 0 {
		t.Fatalf("event without lease: %v %v", got, err)
	}
	e, err := s.client.CoreV1().Events(ns).Get(t.Context(), "e", metav1.GetOptions{})
	if err != nil || e.Message != "note" || e.InvolvedObject.Name != "p" {
		t.Errorf("the same event as core/v1: %+v %v", e, err)
	}
	list, err := s.client.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=p,reason=Did"})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("selected by fields: %d %v", len(list.Items), err)
	}
}

// The two served versions of an autoscaler are one object; nothing of v2 is lost on the way through v1.
func TestAutoscalerVersions(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	v1, err := s.client.AutoscalingV1().HorizontalPodAutoscalers(ns).Create(t.Context(), &autoscalingv1.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "h"},
		Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d"},
			MaxReplicas:    5, TargetCPUUtilizationPercentage: ptr.To[int32](70),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v1.Spec.TargetCPUUtilizationPercentage == nil || *v1.Spec.TargetCPUUtilizationPercentage != 70 {
		t.Errorf("v1: %+v", v1.Spec)
	}
	v2, err := s.client.AutoscalingV2().HorizontalPodAutoscalers(ns).Get(t.Context(), "h", metav1.GetOptions{})
	if err != nil || len(v2.Spec.Metrics) != 1 || *v2.Spec.Metrics[0].Resource.Target.AverageUtilization != 70 {
		t.Fatalf("v2: %+v %v", v2, err)
	}
}

// Inside lists and watch events objects carry no apiVersion and kind in lists, and do in single answers.
func TestTypeMetaOfAnswers(t *testing.T) {
	s := serve(t)
	ns := s.namespace(t)
	if _, err := s.client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "?resourceVersion=0"} { // from etcd and from the watch cache
		body, err := s.client.Discovery().RESTClient().Get().RequestURI("/api/v1/namespaces/" + ns + "/configmaps" + query).DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Kind  string
			Items []map[string]any
		}
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatal(err)
		}
		if list.Kind != "ConfigMapList" || len(list.Items) == 0 {
			t.Fatalf("list%s: %s", query, body)
		}
		if _, ok := list.Items[0]["kind"]; ok {
			t.Errorf("list%s: an item carries its kind", query)
		}
		single, err := s.client.Discovery().RESTClient().Get().RequestURI("/api/v1/namespaces/" + ns + "/configmaps/c" + query).DoRaw(t.Context())
		if err != nil || !strings.Contains(string(single), `"kind":"ConfigMap"`) {
			t.Errorf("get%s: %s %v", query, single, err)
		}
	}
}

func service(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "a"},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
}
