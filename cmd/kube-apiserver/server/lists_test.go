package server

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestListsShowEveryChange: encodings are kept between lists, and each list still shows what is there. The maps are
// large enough for the answers to be compressed.
func TestListsShowEveryChange(t *testing.T) {
	s := serve(t)
	const count = 20
	for _, form := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(form, func(t *testing.T) {
			maps := s.client.CoreV1().ConfigMaps(s.namespace(t))
			config := rest.CopyConfig(s.config)
			config.AcceptContentTypes = form
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			namespace := ""
			for i := range count {
				created, err := maps.Create(t.Context(), &corev1.ConfigMap{
					ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("m-%02d", i)}, Data: map[string]string{"text": strings.Repeat("lorem ", 2000)},
				}, metav1.CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				namespace = created.Namespace
			}
			shown := func() map[string]corev1.ConfigMap {
				list, err := client.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "!ignored"})
				if err != nil {
					t.Fatal(err)
				}
				out := map[string]corev1.ConfigMap{}
				for _, m := range list.Items {
					if m.Name != "kube-root-ca.crt" {
						out[m.Name] = m
					}
				}
				return out
			}
			for range 3 {
				if got := shown(); len(got) != count {
					t.Fatalf("%d maps are listed, expected %d", len(got), count)
				}
			}
			changed := shown()["m-07"]
			changed.Data = map[string]string{"text": "new"}
			if _, err := maps.Update(t.Context(), &changed, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := maps.Delete(t.Context(), "m-08", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				got := shown()
				if _, there := got["m-08"]; there || len(got) != count-1 || got["m-07"].Data["text"] != "new" || len(got["m-09"].Data["text"]) != 12000 {
					t.Fatalf("%d maps are listed, the changed one with %q", len(got), got["m-07"].Data["text"])
				}
			}
		})
	}
}
