package servicecidr

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func TestARangeGoesWhenNoAddressNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		loop := New(l.Informers, l.Client, l.Events, clock.RealClock{})
		ctx, cancel := context.WithCancel(t.Context())
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		cidrs, addresses := l.Client.NetworkingV1().ServiceCIDRs(), l.Client.NetworkingV1().IPAddresses()
		create := func(name string, ranges ...string) {
			t.Helper()
			if _, err := cidrs.Create(ctx, &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: ranges}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		ready := func(name string) string {
			t.Helper()
			synctest.Wait()
			cidr, err := cidrs.Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return "gone"
			}
			c := apimeta.FindStatusCondition(cidr.Status.Conditions, "Ready")
			if err != nil || c == nil || len(cidr.Finalizers) != 1 {
				t.Fatalf("%s: %+v, error %v", name, cidr, err)
			}
			return string(c.Status)
		}
		create("first", "10.0.0.0/24", "fd00::/112")
		create("second", "10.1.0.0/24")
		for _, a := range []string{"10.0.0.9", "10.1.0.9", "fd00::9"} {
			if _, err := addresses.Create(ctx, &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: a}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := ready("first"); got != "True" {
			t.Fatalf("a new range is ready: %s", got)
		}
		if err := cidrs.Delete(ctx, "first", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := ready("first"); got != "False" {
			t.Errorf("a range with addresses, in deletion, is ready: %s", got)
		}
		if got := strings.Join(l.Recorded(), "\n"); !strings.Contains(got, "There are still IPAddresses referencing the ServiceCIDR") {
			t.Errorf("events %q", got)
		}
		time.Sleep(time.Hour)
		if got := ready("first"); got != "False" {
			t.Errorf("after an hour with addresses: %s", got)
		}
		// One address is released, the other gets another range.
		if err := addresses.Delete(ctx, "fd00::9", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := ready("first"); got != "False" {
			t.Errorf("with one address left: %s", got)
		}
		create("wider", "10.0.0.0/16")
		if got := ready("first"); got != "gone" {
			t.Errorf("all addresses are elsewhere: %s", got)
		}
		// Allocators get their time.
		if err := cidrs.Delete(ctx, "wider", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := addresses.Delete(ctx, "10.0.0.9", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if got := ready("wider"); got == "gone" {
			t.Error("the range went before allocators could know")
		}
		time.Sleep(2 * time.Second)
		if got := ready("wider"); got != "gone" {
			t.Errorf("after the grace period: %s", got)
		}
	})
}
