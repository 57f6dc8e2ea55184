package validation

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// hasLooseSelector tells whether an old pod selects by label values that no label can have.
func hasLooseSelector(s *corev1.PodSpec) bool {
	loose := metav1validation.LabelSelectorHasInvalidLabelValue
	for i := range s.TopologySpreadConstraints {
		if loose(s.TopologySpreadConstraints[i].LabelSelector) {
			return true
		}
	}
	terms := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) bool {
		for i := range required {
			if loose(required[i].LabelSelector) {
				return true
			}
		}
		for i := range preferred {
			if loose(preferred[i].PodAffinityTerm.LabelSelector) {
				return true
			}
		}
		return false
	}
	a := s.Affinity
	if a == nil {
		return false
	}
	return a.PodAffinity != nil && terms(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution) ||
		a.PodAntiAffinity != nil && terms(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
}

func affinity(f *faults, a *corev1.Affinity, tol *tolerated, p *field.Path) {
	if a == nil {
		return
	}
	p = p.Child("affinity")
	const required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
	if n := a.NodeAffinity; n != nil {
		at := p.Child("nodeAffinity")
		if n.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			nodeSelector(f, n.RequiredDuringSchedulingIgnoredDuringExecution, tol.update, at.Child(required))
		}
		for i := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			term := &n.PreferredDuringSchedulingIgnoredDuringExecution[i]
			weight(f, term.Weight, at.Child(preferred).Index(i))
			nodeSelectorTerm(f, &term.Preference, true, at.Child(preferred).Index(i).Child("preference"))
		}
	}
	if n := a.PodAffinity; n != nil {
		podAffinity(f, n.RequiredDuringSchedulingIgnoredDuringExecution, n.PreferredDuringSchedulingIgnoredDuringExecution, tol, p.Child("podAffinity"))
	}
	if n := a.PodAntiAffinity; n != nil {
		podAffinity(f, n.RequiredDuringSchedulingIgnoredDuringExecution, n.PreferredDuringSchedulingIgnoredDuringExecution, tol, p.Child("podAntiAffinity"))
	}
}

func weight(f *faults, w int32, p *field.Path) {
	if w < 1 || w > 100 {
		f.invalid(p, "weight", w, "must be in the range 1-100")
	}
}

// nodeSelector checks an expression over the labels and fields of nodes. loose accepts values that no label can have.
func nodeSelector(f *faults, s *corev1.NodeSelector, loose bool, p *field.Path) {
	if len(s.NodeSelectorTerms) == 0 {
		f.required(p, "nodeSelectorTerms", "must have at least one node selector term")
	}
	for i := range s.NodeSelectorTerms {
		nodeSelectorTerm(f, &s.NodeSelectorTerms[i], loose, p.Child("nodeSelectorTerms").Index(i))
	}
}

func nodeSelectorTerm(f *faults, t *corev1.NodeSelectorTerm, loose bool, p *field.Path) {
	for i := range t.MatchExpressions {
		r := &t.MatchExpressions[i]
		at := p.Child("matchExpressions").Index(i)
		switch r.Operator {
		case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
			if len(r.Values) == 0 {
				f.required(at, "values", "must be specified when `operator` is 'In' or 'NotIn'")
			}
		case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
			if len(r.Values) > 0 {
				f.forbidden(at, "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
			}
		case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
			if len(r.Values) != 1 {
				f.required(at, "values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
			}
		default:
			f.invalid(at, "operator", r.Operator, "not a valid selector operator")
		}
		labelKey(f, r.Key, at.Child("key"))
		if loose {
			continue
		}
		for j, v := range r.Values {
			f.messages(at.Child("values").Index(j), "", v, validation.IsValidLabelValue(v))
		}
	}
	for i := range t.MatchFields {
		r := &t.MatchFields[i]
		at := p.Child("matchFields").Index(i)
		switch r.Operator {
		case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
			if len(r.Values) != 1 {
				f.required(at, "values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
			}
		default:
			f.invalid(at, "operator", r.Operator, "not a valid selector operator")
		}
		if r.Key != metav1.ObjectNameField {
			f.invalid(at, "key", r.Key, "not a valid field selector key")
			continue
		}
		for j, v := range r.Values {
			f.messages(at.Child("values").Index(j), "", v, validation.IsDNS1123Subdomain(v))
		}
	}
}

func podAffinity(f *faults, required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm, tol *tolerated, p *field.Path) {
	for i := range required {
		podAffinityTerm(f, &required[i], tol, p.Child("requiredDuringSchedulingIgnoredDuringExecution").Index(i))
	}
	for i := range preferred {
		at := p.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
		weight(f, preferred[i].Weight, at)
		podAffinityTerm(f, &preferred[i].PodAffinityTerm, tol, at.Child("podAffinityTerm"))
	}
}

func podAffinityTerm(f *faults, t *corev1.PodAffinityTerm, tol *tolerated, p *field.Path) {
	selector(f, t.LabelSelector, !tol.selectors, p.Child("labelSelector"))
	selector(f, t.NamespaceSelector, !tol.selectors, p.Child("namespaceSelector"))
	for _, ns := range t.Namespaces {
		f.messages(p, "namespace", ns, validation.IsDNS1123Label(ns))
	}
	labelKeys(f, t.MatchLabelKeys, t.LabelSelector, p.Child("matchLabelKeys"))
	labelKeys(f, t.MismatchLabelKeys, t.LabelSelector, p.Child("mismatchLabelKeys"))
	for i, key := range t.MatchLabelKeys {
		for _, other := range t.MismatchLabelKeys {
			if key == other {
				f.invalid(p.Child("matchLabelKeys").Index(i), "", key, "exists in both matchLabelKeys and mismatchLabelKeys")
			}
		}
	}
	if t.TopologyKey == "" {
		f.required(p, "topologyKey", "can not be empty")
	}
	labelKey(f, t.TopologyKey, p.Child("topologyKey"))
}

// labelKeys checks keys whose values the pod's own labels supply.
func labelKeys(f *faults, keys []string, s *metav1.LabelSelector, p *field.Path) {
	if len(keys) == 0 {
		return
	}
	if s == nil {
		f.forbidden(p, "", "must not be specified when labelSelector is not set")
		return
	}
	for i, key := range keys {
		labelKey(f, key, p.Index(i))
	}
}

func tolerations(f *faults, list []corev1.Toleration, p *field.Path) {
	for i := range list {
		t := &list[i]
		if t.Key != "" {
			labelKey(f, t.Key, p.Index(i).Child("key"))
		}
		if t.Key == "" && t.Operator != corev1.TolerationOpExists {
			f.invalid(p.Index(i), "operator", t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			f.invalid(p.Index(i), "effect", t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
		}
		switch t.Operator {
		case corev1.TolerationOpEqual, "":
			if msgs := validation.IsValidLabelValue(t.Value); len(msgs) > 0 {
				f.invalid(p.Index(i), "operator", t.Value, strings.Join(msgs, ";"))
			}
		case corev1.TolerationOpExists:
			if t.Value != "" {
				f.invalid(p.Index(i), "operator", *t, "value must be empty when `operator` is 'Exists'")
			}
		case corev1.TolerationOpLt, corev1.TolerationOpGt: // KEP-5471
			if n, err := strconv.ParseInt(t.Value, 10, 64); err != nil || strconv.FormatInt(n, 10) != t.Value {
				f.invalid(p.Index(i), "value", t.Value, fmt.Sprintf("must be a valid integer when `operator` is '%s'", t.Operator))
			}
		default:
			oneOf(f, p.Index(i), "operator", t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpGt, corev1.TolerationOpLt)
		}
		if t.Effect != "" {
			taintEffect(f, t.Effect, p.Index(i))
		}
	}
}

func taintEffect(f *faults, e corev1.TaintEffect, p *field.Path) {
	requireOneOf(f, p, "effect", e, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

func topologySpread(f *faults, list []corev1.TopologySpreadConstraint, tol *tolerated, p *field.Path) {
	type pair struct {
		key    string
		action corev1.UnsatisfiableConstraintAction
	}
	var pairs seen[pair]
	for i := range list {
		c := &list[i]
		at := p.Child("topologySpreadConstraints").Index(i)
		if c.MaxSkew <= 0 {
			f.invalid(at, "maxSkew", c.MaxSkew, positive)
		}
		if c.TopologyKey == "" {
			f.required(at, "topologyKey", "can not be empty")
		} else {
			labelKey(f, c.TopologyKey, at.Child("topologyKey"))
		}
		oneOf(f, at, "whenUnsatisfiable", c.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)
		if pairs.again(pair{c.TopologyKey, c.WhenUnsatisfiable}) {
			f.duplicate(at, "{topologyKey, whenUnsatisfiable}", fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable))
		}
		if c.MinDomains != nil {
			if *c.MinDomains <= 0 {
				f.invalid(at, "minDomains", *c.MinDomains, positive)
			}
			if c.WhenUnsatisfiable != corev1.DoNotSchedule {
				f.invalid(at, "minDomains", *c.MinDomains, fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, c.WhenUnsatisfiable))
			}
		}
		oneOfPtr(f, at, "nodeAffinityPolicy", c.NodeAffinityPolicy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
		oneOfPtr(f, at, "nodeTaintsPolicy", c.NodeTaintsPolicy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
		matchLabelKeys(f, c, at.Child("matchLabelKeys"))
		selector(f, c.LabelSelector, !tol.selectors, at.Child("labelSelector"))
	}
}

func matchLabelKeys(f *faults, c *corev1.TopologySpreadConstraint, p *field.Path) {
	labelKeys(f, c.MatchLabelKeys, c.LabelSelector, p)
	if c.LabelSelector == nil {
		return
	}
	for i, key := range c.MatchLabelKeys {
		_, both := c.LabelSelector.MatchLabels[key]
		for _, e := range c.LabelSelector.MatchExpressions {
			both = both || e.Key == key && e.Operator != metav1.LabelSelectorOpIn
		}
		if both {
			f.invalid(p.Index(i), "", key, "exists in both matchLabelKeys and labelSelector")
		}
	}
}
