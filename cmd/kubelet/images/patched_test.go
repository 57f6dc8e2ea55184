package images

import (
	"testing"

	"k8s.io/utils/ptr"
)

func TestPullLimits(t *testing.T) {
	l := NewPullLimits(false, ptr.To[int32](2), 0, 0)
	one, err := l.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = l.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if third, err := l.begin(t.Context()); err == nil {
			third()
		}
	}()
	one()
	<-done
	rate := NewPullLimits(true, nil, 1, 1)
	if end, err := rate.begin(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		end()
	}
	if _, err := rate.begin(t.Context()); err == nil {
		t.Error("a second pull in the same second is not held back")
	}
}
