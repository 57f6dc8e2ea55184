package app

import (
	"context"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"pilotis.dev/cmd/kubelet/desired"
)

// The API answers a node "forbidden" when it asks for a pod that is gone: the kubelet asks no more, or such pods would
// use up its requests.
func TestNobodyAsksForAPodThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := apiPod("web", nil)
		client := fake.NewClientset(pod)
		client.PrependReactor("*", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(v1.Resource("pods"), "web", nil)
		})
		n := newWorld(t, client)
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { cancel(); synctest.Wait() }()
		n.begin(ctx)
		n.Desired.Replace(desired.API, []*v1.Pod{pod})
		settle()
		if len(client.Actions()) < 2 {
			t.Errorf("%d requests for a pod of this node, want one after the other: the API may not know yet that it is", len(client.Actions()))
		}
		n.Desired.Remove(desired.API, pod)
		settle()
		client.ClearActions()
		settle()
		if asked := len(client.Actions()); asked != 0 {
			t.Errorf("%d requests in a minute for a pod that is gone, want none", asked)
		}
	})
}
