package garbagecollector

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
)

// A kind moves to another version: what was seen in the new one already does not go with the old one.
func TestAnObjectThatMovedIsNotGone(t *testing.T) {
	version := func(v string) kinds.Kind {
		return kinds.Kind{GroupVersionResource: schema.GroupVersionResource{Group: "example.org", Version: v, Resource: "widgets"}}
	}
	g := newGraph()
	for _, k := range []kinds.Kind{version("v1"), version("v2")} {
		g.set(newNode(k, &metav1.ObjectMeta{UID: "w", Name: "w"}))
	}
	if _, removed := g.remove(version("v1"), "w"); removed || g.get("w") == nil {
		t.Error("the object is forgotten, and no event will bring it back")
	}
	if _, removed := g.remove(version("v2"), "w"); !removed || g.get("w") != nil {
		t.Error("the object is still known after its deletion")
	}
}
