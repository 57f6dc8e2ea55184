package objects

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func podUsing(uid string, configMap, secret string) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: uid, Namespace: "ns", UID: types.UID(uid)}, Spec: v1.PodSpec{
		Volumes:    []v1.Volume{{Name: "c", VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: configMap}}}}},
		Containers: []v1.Container{{Name: "app", EnvFrom: []v1.EnvFromSource{{SecretRef: &v1.SecretEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: secret}}}}}},
	}}
}

func configMap(name, version, value string) *v1.ConfigMap {
	return &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID(name), ResourceVersion: version}, Data: map[string]string{"k": value}}
}

func watches(client *fake.Clientset) (n int) {
	for _, a := range client.Actions() {
		if w, ok := a.(clienttesting.WatchAction); ok && w.GetVerb() == "watch" {
			n++
		}
	}
	return n
}

func TestStoreFollowsWhatPodsUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(configMap("conf", "1", "old"), &v1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sec", Namespace: "ns", ResourceVersion: "1"}})
		told := map[types.UID]int{}
		s := New(t.Context(), client, func(uid types.UID) { told[uid]++ })
		defer func() { s.Close(); synctest.Wait() }()
		if _, err := s.ConfigMap("ns", "conf"); err == nil {
			t.Error("an object that no pod uses can be read")
		}
		s.Use(podUsing("a", "conf", "sec"))
		s.Use(podUsing("b", "conf", "sec"))
		cm, err := s.ConfigMap("ns", "conf")
		if err != nil || cm.Data["k"] != "old" {
			t.Fatalf("got %v, %v", cm, err)
		}
		if _, err := s.Secret("ns", "sec"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := watches(client); n != 2 {
			t.Errorf("%d watches for two objects", n)
		}
		if _, err := client.CoreV1().ConfigMaps("ns").Update(context.Background(), configMap("conf", "2", "new"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if cm, _ := s.ConfigMap("ns", "conf"); cm.Data["k"] != "new" {
			t.Errorf("an update is not seen: %v", cm.Data)
		}
		if told["a"] != 1 || told["b"] != 1 {
			t.Errorf("told %v of one change", told)
		}
		s.Release("a")
		if _, err := s.ConfigMap("ns", "conf"); err != nil {
			t.Errorf("the watch ended with its first user: %v", err)
		}
		s.Use(podUsing("b", "other", "sec")) // the pod changed
		if _, err := s.ConfigMap("ns", "conf"); err == nil {
			t.Error("the object is read although no pod uses it any more")
		}
		s.Release("b")
		if len(s.entries) != 0 {
			t.Errorf("entries are left: %v", s.entries)
		}
	})
}

func TestMissingObjectsAreNotFoundAndThenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		told := 0
		s := New(t.Context(), client, func(types.UID) { told++ })
		defer func() { s.Close(); synctest.Wait() }()
		s.Use(podUsing("a", "conf", ""))
		if _, err := s.ConfigMap("ns", "conf"); !apierrors.IsNotFound(err) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if _, err := client.CoreV1().ConfigMaps("ns").Create(context.Background(), configMap("conf", "1", "x"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if told != 1 {
			t.Errorf("told %d times that the object came", told)
		}
	})
}

func TestImmutableObjectsAreNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cm := configMap("conf", "1", "x")
		yes := true
		cm.Immutable = &yes
		client := fake.NewClientset(cm)
		s := New(t.Context(), client, nil)
		s.Use(podUsing("a", "conf", ""))
		if _, err := s.ConfigMap("ns", "conf"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := watches(client); n > 1 {
			t.Errorf("%d watches of an immutable object", n)
		}
		if cm, err := s.ConfigMap("ns", "conf"); err != nil || cm.Data["k"] != "x" {
			t.Errorf("got %v, %v", cm, err)
		}
	})
}

func TestWithoutClientReadsSayWhy(t *testing.T) {
	s := New(t.Context(), nil, nil)
	s.Use(podUsing("a", "conf", ""))
	if _, err := s.ConfigMap("ns", "conf"); err == nil {
		t.Error("no error")
	}
	s.Release("a")
}
