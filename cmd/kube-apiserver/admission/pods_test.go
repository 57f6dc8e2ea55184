package admission

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

func TestServiceAccountPlugin(t *testing.T) {
	account := func(name string, change func(*corev1.ServiceAccount)) *corev1.ServiceAccount {
		sa := &corev1.ServiceAccount{ObjectMeta: objectMeta(name)}
		if change != nil {
			change(sa)
		}
		return sa
	}
	p, _ := prepared(t, made(t)(newServiceAccounts(nil)), nil,
		account("default", func(sa *corev1.ServiceAccount) {
			sa.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
		}),
		account("quiet", func(sa *corev1.ServiceAccount) { sa.AutomountServiceAccountToken = ptr(false) }),
		account("strict", func(sa *corev1.ServiceAccount) {
			sa.Annotations = map[string]string{enforceMountableAnnotation: "true"}
			sa.Secrets = []corev1.ObjectReference{{Name: "listed"}}
		}),
	)
	for _, tc := range []struct {
		name    string
		pod     *corev1.Pod
		mounted bool
		want    string
	}{
		{"default account", pod(nil), true, ""},
		{"missing account", pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "nope" }), false, `error looking up service account ns/nope: serviceaccount "nope" not found`},
		{"pod says no", pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = ptr(false) }), false, ""},
		{"account says no", pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "quiet" }), false, ""},
		{"pod overrides account", pod(func(p *corev1.Pod) {
			p.Spec.ServiceAccountName = "quiet"
			p.Spec.AutomountServiceAccountToken = ptr(true)
		}), true, ""},
		{"listed secret", pod(func(p *corev1.Pod) {
			p.Spec.ServiceAccountName = "strict"
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "listed"}}}}
		}), true, ""},
		{"unlisted secret", pod(func(p *corev1.Pod) {
			p.Spec.ServiceAccountName = "strict"
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "other"}}}}
		}), false, `volume with secret.secretName="other" is not allowed because service account strict does not reference that secret`},
		{"unlisted secret by envFrom", pod(func(p *corev1.Pod) {
			p.Spec.ServiceAccountName = "strict"
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "other"}}}}
		}), false, `container c with envFrom referencing secret.secretName="other" is not allowed`},
		{"mirror pod with account", pod(func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
			p.Spec.ServiceAccountName = "default"
		}), false, "a mirror pod may not reference service accounts"},
		{"mirror pod stays as it is", pod(func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }), false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, send(t, p, req{resource: "pods", obj: tc.pod}), tc.want)
			if tc.want != "" {
				return
			}
			mounts := tc.pod.Spec.Containers[0].VolumeMounts
			if got := len(mounts) == 1 && mounts[0].MountPath == tokenMountPath && mounts[0].ReadOnly && strings.HasPrefix(mounts[0].Name, tokenVolumePrefix); got != tc.mounted {
				t.Errorf("mounts %v", mounts)
			}
		})
	}
	created := pod(nil)
	expect(t, send(t, p, req{resource: "pods", obj: created}), "")
	if created.Spec.ServiceAccountName != "default" || len(created.Spec.ImagePullSecrets) != 1 {
		t.Errorf("account %q, pull secrets %v", created.Spec.ServiceAccountName, created.Spec.ImagePullSecrets)
	}
	sources := created.Spec.Volumes[0].Projected.Sources
	if len(sources) != 3 || *sources[0].ServiceAccountToken.ExpirationSeconds != 3607 || sources[1].ConfigMap.Name != "kube-root-ca.crt" {
		t.Errorf("sources %v", sources)
	}
}

func TestPriorityPlugin(t *testing.T) {
	class := func(name string, value int32, global bool, policy *corev1.PreemptionPolicy) *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: global, PreemptionPolicy: policy}
	}
	p, _ := prepared(t, made(t)(newPriority(nil)), nil,
		class("high", 1000, false, nil), class("polite", 10, false, ptr(corev1.PreemptNever)), class("std", 5, true, nil))
	for _, tc := range []struct {
		name   string
		pod    *corev1.Pod
		value  int32
		policy corev1.PreemptionPolicy
		want   string
	}{
		{"global default", pod(nil), 5, corev1.PreemptLowerPriority, ""},
		{"by name", pod(func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" }), 1000, corev1.PreemptLowerPriority, ""},
		{"policy of the class", pod(func(p *corev1.Pod) { p.Spec.PriorityClassName = "polite" }), 10, corev1.PreemptNever, ""},
		{"unknown", pod(func(p *corev1.Pod) { p.Spec.PriorityClassName = "x" }), 0, "", "no PriorityClass with name x was found"},
		{"own value", pod(func(p *corev1.Pod) { p.Spec.Priority = ptr(int32(7)) }), 0, "", "the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 5"},
		{"own policy", pod(func(p *corev1.Pod) { p.Spec.PreemptionPolicy = ptr(corev1.PreemptNever) }), 0, "", "the string value of PreemptionPolicy (Never) must not be provided"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, send(t, p, req{resource: "pods", obj: tc.pod}), tc.want)
			if tc.want == "" && (*tc.pod.Spec.Priority != tc.value || *tc.pod.Spec.PreemptionPolicy != tc.policy) {
				t.Errorf("got %d %s", *tc.pod.Spec.Priority, *tc.pod.Spec.PreemptionPolicy)
			}
		})
	}
	expect(t, send(t, p, req{resource: "scheduling.k8s.io/priorityclasses", obj: class("second", 1, true, nil)}), "PriorityClass std is already marked as default. Only one default can exist")
	expect(t, send(t, p, req{resource: "scheduling.k8s.io/priorityclasses", op: admission.Update, obj: class("std", 5, true, nil), old: class("std", 5, true, nil)}), "")
	old, updated := pod(func(p *corev1.Pod) { p.Spec.Priority = ptr(int32(5)) }), pod(nil)
	expect(t, send(t, p, req{resource: "pods", op: admission.Update, obj: updated, old: old}), "")
	if updated.Spec.Priority == nil || *updated.Spec.Priority != 5 {
		t.Error("an update by a client that does not know the field lost the priority")
	}
}

func TestRuntimeClassPlugin(t *testing.T) {
	cpu := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}
	p, _ := prepared(t, made(t)(newRuntimeClass(nil)), nil, &nodev1.RuntimeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "kata"}, Overhead: &nodev1.Overhead{PodFixed: cpu},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"kata": "yes"}, Tolerations: []corev1.Toleration{{Key: "kata", Operator: corev1.TolerationOpExists}}},
	})
	kata := func(change func(*corev1.Pod)) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.Spec.RuntimeClassName = ptr("kata")
			if change != nil {
				change(p)
			}
		})
	}
	good := kata(nil)
	expect(t, send(t, p, req{resource: "pods", obj: good}), "")
	if good.Spec.Overhead.Cpu().String() != "250m" || good.Spec.NodeSelector["kata"] != "yes" || len(good.Spec.Tolerations) != 1 {
		t.Errorf("got %v", good.Spec)
	}
	for _, tc := range []struct {
		pod  *corev1.Pod
		want string
	}{
		{pod(func(p *corev1.Pod) { p.Spec.RuntimeClassName = ptr("x") }), `pod rejected: RuntimeClass "x" not found`},
		{kata(func(p *corev1.Pod) {
			p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
		}), "Pod's Overhead doesn't match RuntimeClass's defined Overhead"},
		{kata(func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"kata": "no"} }), "conflict: runtimeClass.scheduling.nodeSelector[kata] = yes; pod.spec.nodeSelector[kata] = no"},
		{pod(func(p *corev1.Pod) { p.Spec.Overhead = cpu }), "Pod Overhead set without corresponding RuntimeClass defined Overhead"},
		{pod(nil), ""},
	} {
		expect(t, send(t, p, req{resource: "pods", obj: tc.pod}), tc.want)
	}
}

func TestDefaultTolerations(t *testing.T) {
	p := newDefaultTolerationSeconds(300, 60)
	plain := pod(nil)
	expect(t, send(t, p, req{resource: "pods", obj: plain}), "")
	if got := plain.Spec.Tolerations; len(got) != 2 || *got[0].TolerationSeconds != 300 || *got[1].TolerationSeconds != 60 {
		t.Errorf("got %v", got)
	}
	own := pod(func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} })
	expect(t, send(t, p, req{resource: "pods", obj: own}), "")
	if len(own.Spec.Tolerations) != 1 {
		t.Errorf("a pod that tolerates everything got %v", own.Spec.Tolerations)
	}
}

func TestAlwaysPullImages(t *testing.T) {
	p := made(t)(newAlwaysPullImages(nil))
	x := pod(func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever })
	expect(t, send(t, p, req{resource: "pods", obj: x}), "")
	if x.Spec.Containers[0].ImagePullPolicy != corev1.PullAlways {
		t.Error(x.Spec.Containers[0].ImagePullPolicy)
	}
	late := pod(func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever })
	err := p.(admission.ValidationInterface).Validate(t.Context(), req{resource: "pods", obj: late}.attributes(), nil)
	expect(t, err, `spec.containers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always"`)
}

func TestExtendedResourceToleration(t *testing.T) {
	p := made(t)(newExtendedResourceToleration(nil))
	x := pod(func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"example.com/gpu": resource.MustParse("1"), "cpu": resource.MustParse("1"), "kubernetes.io/x": resource.MustParse("1")}
	})
	expect(t, send(t, p, req{resource: "pods", obj: x}), "")
	expect(t, send(t, p, req{resource: "pods", op: admission.Update, obj: x, old: x}), "")
	if got := x.Spec.Tolerations; len(got) != 1 || got[0].Key != "example.com/gpu" {
		t.Errorf("got %v", got)
	}
}

func TestLimitPodHardAntiAffinity(t *testing.T) {
	p := made(t)(newLimitPodHardAntiAffinity(nil))
	anti := func(key string) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: key}}}}
		})
	}
	expect(t, send(t, p, req{resource: "pods", obj: anti("kubernetes.io/hostname")}), "")
	expect(t, send(t, p, req{resource: "pods", obj: anti("zone")}), "has TopologyKey zone but only key kubernetes.io/hostname is allowed")
}

func namespace(annotations map[string]string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", Annotations: annotations, Labels: labels}}
}

func TestPodNodeSelector(t *testing.T) {
	config := "podNodeSelectorPluginConfig:\n  clusterDefaultNodeSelector: env=dev\n  ns: env=prod,disk=ssd\n"
	for _, tc := range []struct {
		ns   *corev1.Namespace
		own  map[string]string
		want string
		sets string
	}{
		{namespace(map[string]string{podNodeSelectorAnnotation: "env=prod"}, nil), nil, "", "prod"},
		{namespace(map[string]string{podNodeSelectorAnnotation: "env=prod"}, nil), map[string]string{"env": "test"}, "conflicts with its namespace node label selector", ""},
		{namespace(map[string]string{podNodeSelectorAnnotation: "env=prod"}, nil), map[string]string{"gpu": "a"}, "conflict with its namespace whitelist", ""},
		{namespace(nil, nil), nil, "conflict with its namespace whitelist", ""}, // the cluster's default is not on this namespace's list
	} {
		p, _ := prepared(t, made(t)(newPodNodeSelector(strings.NewReader(config))), nil, tc.ns)
		x := pod(func(p *corev1.Pod) { p.Spec.NodeSelector = tc.own })
		expect(t, send(t, p, req{resource: "pods", obj: x}), tc.want)
		if tc.want == "" && x.Spec.NodeSelector["env"] != tc.sets {
			t.Errorf("got %v", x.Spec.NodeSelector)
		}
	}
	if _, err := newPodNodeSelector(strings.NewReader("podNodeSelector: {}")); err == nil {
		t.Error("an unknown field was accepted")
	}
}

func TestPodTolerationRestriction(t *testing.T) {
	p, _ := prepared(t, made(t)(newPodTolerationRestriction(nil)), nil, namespace(map[string]string{
		defaultTolerationsAnnotation: `[{"key":"team","operator":"Equal","value":"a","effect":"NoSchedule"}]`,
		allowedTolerationsAnnotation: `[{"key":"team","operator":"Exists"},{"key":"slow","operator":"Exists"}]`,
	}, nil))
	with := func(tolerations ...corev1.Toleration) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Spec.Tolerations = tolerations })
	}
	x := with()
	expect(t, send(t, p, req{resource: "pods", obj: x}), "")
	if len(x.Spec.Tolerations) != 1 || x.Spec.Tolerations[0].Key != "team" {
		t.Errorf("got %v", x.Spec.Tolerations)
	}
	expect(t, send(t, p, req{resource: "pods", obj: with(corev1.Toleration{Key: "slow", Operator: corev1.TolerationOpExists})}), "")
	expect(t, send(t, p, req{resource: "pods", obj: with(corev1.Toleration{Key: "other", Operator: corev1.TolerationOpExists})}), "conflict with its namespace whitelist")
	expect(t, send(t, p, req{resource: "pods", obj: with(corev1.Toleration{Operator: corev1.TolerationOpExists})}), "conflict with its namespace whitelist")
}

func TestPodSecurity(t *testing.T) {
	p, _ := prepared(t, made(t)(newPodSecurity(nil)), nil, namespace(nil, map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}))
	expect(t, send(t, p, req{resource: "pods", obj: pod(nil)}), "")
	expect(t, send(t, p, req{resource: "pods", obj: pod(func(p *corev1.Pod) { p.Spec.HostNetwork = true })}),
		`pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`)
	expect(t, send(t, p, req{resource: "namespaces", obj: namespace(nil, map[string]string{"pod-security.kubernetes.io/enforce": "high"})}),
		"must be one of privileged, baseline, restricted")
	expect(t, send(t, p, req{resource: "configmaps", obj: &corev1.ConfigMap{ObjectMeta: objectMeta("x")}}), "")
}

func TestPodTopologyLabels(t *testing.T) {
	p, _ := prepared(t, made(t)(newPodTopologyLabels(nil)), nil, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{corev1.LabelTopologyZone: "z", "other": "x"}}})
	b := &corev1.Binding{ObjectMeta: objectMeta("p"), Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}
	expect(t, send(t, p, req{resource: "pods/binding", obj: b}), "")
	if len(b.Labels) != 1 || b.Labels[corev1.LabelTopologyZone] != "z" {
		t.Errorf("got %v", b.Labels)
	}
	late := &corev1.Binding{ObjectMeta: objectMeta("p"), Target: corev1.ObjectReference{Kind: "Node", Name: "later"}}
	expect(t, send(t, p, req{resource: "pods/binding", obj: late}), "")
}

func TestLimitRanger(t *testing.T) {
	q := resource.MustParse
	limits := func(items ...corev1.LimitRangeItem) *corev1.LimitRange {
		return &corev1.LimitRange{ObjectMeta: objectMeta("limits"), Spec: corev1.LimitRangeSpec{Limits: items}}
	}
	container := corev1.LimitRangeItem{
		Type: corev1.LimitTypeContainer, Default: corev1.ResourceList{"cpu": q("500m")}, DefaultRequest: corev1.ResourceList{"cpu": q("100m"), "memory": q("64Mi")},
		Max: corev1.ResourceList{"cpu": q("1")}, Min: corev1.ResourceList{"memory": q("8Mi")}, MaxLimitRequestRatio: corev1.ResourceList{"cpu": q("5")},
	}
	whole := corev1.LimitRangeItem{Type: corev1.LimitTypePod, Max: corev1.ResourceList{"cpu": q("1500m")}}
	claimed := corev1.LimitRangeItem{Type: corev1.LimitTypePersistentVolumeClaim, Min: corev1.ResourceList{"storage": q("1Gi")}, Max: corev1.ResourceList{"storage": q("10Gi")}}
	p, _ := prepared(t, made(t)(newLimitRanger(nil)), nil, limits(container, whole, claimed))
	resources := func(cpuRequest, cpuLimit, memory string) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			r := &p.Spec.Containers[0].Resources
			r.Requests, r.Limits = corev1.ResourceList{}, corev1.ResourceList{}
			if cpuRequest != "" {
				r.Requests["cpu"] = q(cpuRequest)
			}
			if cpuLimit != "" {
				r.Limits["cpu"] = q(cpuLimit)
			}
			if memory != "" {
				r.Requests["memory"] = q(memory)
			}
		})
	}
	plain := pod(nil)
	expect(t, send(t, p, req{resource: "pods", obj: plain}), "")
	if got, want := plain.Annotations[limitRangerAnnotation], "LimitRanger plugin set: cpu, memory request for container c; cpu limit for container c"; got != want {
		t.Errorf("annotation %q, want %q", got, want)
	}
	if r := plain.Spec.Containers[0].Resources; r.Requests.Cpu().String() != "100m" || r.Limits.Cpu().String() != "500m" {
		t.Errorf("got %v", r)
	}
	for _, tc := range []struct {
		pod  *corev1.Pod
		want string
	}{
		{resources("1", "1", "64Mi"), ""},
		{resources("1", "2", "64Mi"), "maximum cpu usage per Container is 1, but limit is 2"},
		{resources("", "", "4Mi"), "minimum memory usage per Container is 8Mi, but request is 4Mi"},
		{resources("100m", "1", "64Mi"), "cpu max limit to request ratio per Container is 5, but provided ratio is 10.000000"},
		{pod(func(p *corev1.Pod) {
			p.Spec.Containers = nil
			for _, n := range []string{"a", "b"} {
				c := resources("1", "1", "64Mi").Spec.Containers[0]
				c.Name = n
				p.Spec.Containers = append(p.Spec.Containers, c)
			}
		}), "maximum cpu usage per Pod is 1500m, but limit is 2"},
	} {
		expect(t, send(t, p, req{resource: "pods", obj: tc.pod}), tc.want)
	}
	claim := func(size string) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: objectMeta("c")}
		c.Spec.Resources.Requests = corev1.ResourceList{"storage": q(size)}
		return c
	}
	expect(t, send(t, p, req{resource: "persistentvolumeclaims", obj: claim("5Gi")}), "")
	expect(t, send(t, p, req{resource: "persistentvolumeclaims", obj: claim("1Mi")}), "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi")
	expect(t, send(t, p, req{resource: "persistentvolumeclaims", obj: claim("11Gi")}), "maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 11Gi")
	leaving := claim("11Gi")
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	expect(t, send(t, p, req{resource: "persistentvolumeclaims", op: admission.Update, obj: leaving, old: claim("11Gi")}), "")
}

func TestFirstLimitRangeHoldsAtOnce(t *testing.T) {
	p, client := prepared(t, made(t)(newLimitRanger(nil)), nil)
	// the cache of this plugin never sees it
	p.(*limitRanger).limits = emptyLimitRanges{}
	if _, err := client.CoreV1().LimitRanges("ns").Create(t.Context(), &corev1.LimitRange{ObjectMeta: objectMeta("l"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
		{Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{"cpu": resource.MustParse("1")}},
	}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, send(t, p, req{resource: "pods", obj: pod(nil)}), "maximum cpu usage per Container is 1.  No limit is specified")
}
