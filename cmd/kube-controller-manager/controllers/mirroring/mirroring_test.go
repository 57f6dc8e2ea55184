package mirroring

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

func addresses(ips ...string) []v1.EndpointAddress {
	var out []v1.EndpointAddress
	for _, ip := range ips {
		out = append(out, v1.EndpointAddress{IP: ip})
	}
	return out
}

func byHand(subsets ...v1.EndpointSubset) *v1.Endpoints {
	return &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "db", UID: "uid", Labels: map[string]string{"team": "blue"},
		Annotations: map[string]string{"note": "n", v1.LastAppliedConfigAnnotation: "{}", v1.EndpointsLastChangeTriggerTime: "now"},
	}, Subsets: subsets}
}

func http(port int32) []v1.EndpointPort { return []v1.EndpointPort{{Name: "http", Port: port}} }

// shown says a slice in a line.
func shown(list []*discoveryv1.EndpointSlice) string {
	var lines []string
	for _, s := range list {
		var ends []string
		for _, e := range s.Endpoints {
			end := e.Addresses[0]
			if !*e.Conditions.Ready {
				end += "!"
			}
			ends = append(ends, end)
		}
		slices.Sort(ends)
		port := "none"
		if len(s.Ports) > 0 {
			port = fmt.Sprint(*s.Ports[0].Port)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", s.AddressType, port, strings.Join(ends, ",")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func TestSlicesOfSubsets(t *testing.T) {
	for name, c := range map[string]struct {
		subsets         []v1.EndpointSubset
		want            string
		invalid, excess int
	}{
		"nothing":             {nil, "", 0, 0},
		"ready and not":       {[]v1.EndpointSubset{{Addresses: addresses("10.0.0.1"), NotReadyAddresses: addresses("10.0.0.2"), Ports: http(80)}}, "IPv4 80 10.0.0.1,10.0.0.2!", 0, 0},
		"families":            {[]v1.EndpointSubset{{Addresses: addresses("10.0.0.1", "fd00::1"), Ports: http(80)}}, "IPv4 80 10.0.0.1; IPv6 80 fd00::1", 0, 0},
		"ports of two kinds":  {[]v1.EndpointSubset{{Addresses: addresses("10.0.0.1"), Ports: http(80)}, {Addresses: addresses("10.0.0.1"), Ports: http(81)}}, "IPv4 80 10.0.0.1; IPv4 81 10.0.0.1", 0, 0},
		"subsets to be one":   {[]v1.EndpointSubset{{NotReadyAddresses: addresses("10.0.0.1"), Ports: http(80)}, {Addresses: addresses("10.0.0.1", "10.0.0.2"), Ports: http(80)}}, "IPv4 80 10.0.0.1,10.0.0.2", 0, 0},
		"no ports":            {[]v1.EndpointSubset{{Addresses: addresses("10.0.0.1")}}, "IPv4 none 10.0.0.1", 0, 0},
		"too many and no IPs": {[]v1.EndpointSubset{{Addresses: addresses("x", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"), Ports: http(80)}}, "IPv4 80 10.0.0.1,10.0.0.2,10.0.0.3", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			plan := PlanSlices(byHand(c.subsets...), nil, 3)
			if got := shown(plan.Create); got != c.want || plan.Invalid != c.invalid || plan.Excess != c.excess {
				t.Errorf("%s: %q, want %q", plan, got, c.want)
			}
			if len(plan.Create) > 0 {
				s := plan.Create[0]
				if fmt.Sprint(s.Labels) != "map[endpointslice.kubernetes.io/managed-by:endpointslicemirroring-controller.k8s.io kubernetes.io/service-name:db team:blue]" || fmt.Sprint(s.Annotations) != "map[note:n]" || s.GenerateName != "db-" || s.OwnerReferences[0].Kind != "Endpoints" {
					t.Errorf("metadata %+v", s.ObjectMeta)
				}
			}
			again := PlanSlices(byHand(c.subsets...), plan.Create, 3)
			if len(again.Create)+len(again.Update)+len(again.Delete) > 0 {
				t.Errorf("a second look: %s", again)
			}
		})
	}
}

func TestASliceIsUsedAgain(t *testing.T) {
	first := PlanSlices(byHand(v1.EndpointSubset{Addresses: addresses("10.0.0.1", "fd00::1"), Ports: http(80)}), nil, 10)
	then := PlanSlices(byHand(v1.EndpointSubset{Addresses: addresses("10.0.0.1"), Ports: http(81)}), first.Create, 10)
	if len(then.Create) != 0 || shown(then.Update) != "IPv4 81 10.0.0.1" || shown(then.Delete) != "IPv6 80 fd00::1" {
		t.Errorf("%s: update %q, delete %q", then, shown(then.Update), shown(then.Delete))
	}
}

func TestEndpointsByHandAreMirrored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		loop := New(l.Informers, l.Client, l.Events, Options{Workers: 2, Limit: 2, Batch: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		l.Informers.StartWithContext(ctx)
		var group sync.WaitGroup
		group.Go(func() { loop.Run(ctx) })
		defer func() { cancel(); group.Wait(); l.Informers.Shutdown() }()
		services, endpoints := l.Client.CoreV1().Services("ns"), l.Client.CoreV1().Endpoints("ns")
		is := func(what, want string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			list, err := l.Client.DiscoveryV1().EndpointSlices("ns").List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var found []*discoveryv1.EndpointSlice
			for i := range list.Items {
				found = append(found, &list.Items[i])
			}
			if got := shown(found); got != want {
				t.Errorf("%s: slices %q, want %q", what, got, want)
			}
		}
		change := func(edit func(*v1.Endpoints)) {
			t.Helper()
			e, err := endpoints.Get(ctx, "db", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			edit(e)
			if _, err := endpoints.Update(ctx, e, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		e := byHand(v1.EndpointSubset{Addresses: addresses("10.0.0.1"), Ports: http(80)})
		e.UID = ""
		if _, err := endpoints.Create(ctx, e, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		is("without a Service", "")
		service, err := services.Create(ctx, &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		is("with a Service", "IPv4 80 10.0.0.1")
		writes := l.Count("update endpointslices")
		for i := range 5 { // in one batch
			change(func(e *v1.Endpoints) { e.Subsets[0].Addresses = addresses(fmt.Sprint("10.0.1.", i)) })
		}
		is("after changes", "IPv4 80 10.0.1.4")
		if n := l.Count("update endpointslices") - writes; n != 1 {
			t.Errorf("five changes led to %d updates", n)
		}
		change(func(e *v1.Endpoints) { e.Subsets[0].Addresses = addresses("10.0.0.1", "10.0.0.2", "10.0.0.3") })
		is("with too many", "IPv4 80 10.0.0.1,10.0.0.2")
		if got := strings.Join(l.Recorded(), "\n"); !strings.Contains(got, "TooManyAddressesToMirror A max of 2 addresses can be mirrored to EndpointSlices per Endpoints subset. 1 addresses were skipped") {
			t.Errorf("events %q", got)
		}
		change(func(e *v1.Endpoints) { e.Labels[discoveryv1.LabelSkipMirror] = "true" })
		is("told to skip", "")
		change(func(e *v1.Endpoints) { delete(e.Labels, discoveryv1.LabelSkipMirror) })
		is("told to mirror", "IPv4 80 10.0.0.1,10.0.0.2")
		service.Spec.Selector = map[string]string{"app": "db"}
		if _, err := services.Update(ctx, service, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		is("with a selector", "")
	})
}

// A create without an answer is not done again by a cache that has not seen it.
func TestASliceIsMadeOnceThoughTheAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.New(t)
		l.Seed(&v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db"}}, byHand(v1.EndpointSubset{Addresses: addresses("10.0.0.1"), Ports: http(80)}))
		l.MadeOnce(t, "endpointslices", func() { l.Run(t, New(l.Informers, l.Client, l.Events, Options{Workers: 2, Limit: 2})) })
	})
}

func TestElectionsAreNotMirrored(t *testing.T) {
	e := byHand()
	e.Annotations["control-plane.alpha.kubernetes.io/leader"] = "{}"
	if Mirrored(&v1.Service{}, e) || !Mirrored(&v1.Service{}, byHand()) || Mirrored(nil, byHand()) {
		t.Error("a lock is mirrored, or ordinary Endpoints are not")
	}
	if got := prefix(strings.Repeat("a", 63)); len(got) != 58 {
		t.Errorf("prefix %q", got)
	}
}
