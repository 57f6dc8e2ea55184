package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func limitRangeCreate(l *corev1.LimitRange) *faults {
	f := metadata(&l.ObjectMeta, namespaced, subdomainName)
	limits(f, l)
	return f
}

func limitRangeUpdate(l, old *corev1.LimitRange) *faults {
	f := metadataUpdate(&l.ObjectMeta, &old.ObjectMeta)
	limits(f, l)
	return f
}

func limits(f *faults, l *corev1.LimitRange) {
	var kinds seen[corev1.LimitType]
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		p := field.NewPath("spec", "limits").Index(i)
		if item.Type == "" {
			f.required(p, "type", "")
		} else {
			f.messages(p, "type", string(item.Type), validation.IsQualifiedName(string(item.Type)))
			if !strings.Contains(string(item.Type), "/") {
				switch item.Type {
				case corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim:
				default:
					f.invalid(p, "type", string(item.Type), "must be a standard limit type or fully qualified")
				}
			}
		}
		if kinds.again(item.Type) {
			f.duplicate(p, "type", item.Type)
		}
		limitItem(f, item, p)
	}
}

func limitItem(f *faults, item *corev1.LimitRangeItem, p *field.Path) {
	keys := map[corev1.ResourceName]bool{}
	collect := func(name string, list corev1.ResourceList) {
		for k := range list {
			keys[k] = true
			limitResource(f, item.Type, k, p.Child(name).Key(string(k)))
		}
	}
	collect("max", item.Max)
	collect("min", item.Min)
	if item.Type == corev1.LimitTypePod {
		if len(item.Default) > 0 {
			f.forbidden(p, "default", "may not be specified when `type` is 'Pod'")
		}
		if len(item.DefaultRequest) > 0 {
			f.forbidden(p, "defaultRequest", "may not be specified when `type` is 'Pod'")
		}
	} else {
		collect("default", item.Default)
		collect("defaultRequest", item.DefaultRequest)
	}
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, least := item.Min[corev1.ResourceStorage]
		_, most := item.Max[corev1.ResourceStorage]
		if !least && !most {
			f.required(p, "limits", "either minimum or maximum storage value is required, but neither was provided")
		}
	}
	collect("maxLimitRequestRatio", item.MaxLimitRequestRatio)
	for k := range keys {
		limitValues(f, item, k, p)
	}
}

func limitResource(f *faults, kind corev1.LimitType, name corev1.ResourceName, p *field.Path) {
	if kind == corev1.LimitTypePod || kind == corev1.LimitTypeContainer {
		containerResourceName(f, name, p)
		return
	}
	resourceName(f, name, p)
}

// limitValues compares the bounds of one resource: min ≤ default request ≤ default ≤ max.
func limitValues(f *faults, item *corev1.LimitRangeItem, k corev1.ResourceName, p *field.Path) {
	type bound struct {
		name, noun string
		list       corev1.ResourceList
	}
	order := []bound{{"min", "min", item.Min}, {"defaultRequest", "default request", item.DefaultRequest}, {"default", "default", item.Default}, {"max", "max", item.Max}}
	for i, low := range order {
		for _, high := range order[i+1:] {
			a, ok1 := low.list[k]
			b, ok2 := high.list[k]
			if !ok1 || !ok2 || a.Cmp(b) <= 0 {
				continue
			}
			noun := high.noun
			if low.name == "defaultRequest" && high.name == "default" {
				noun = "default limit"
			}
			f.invalid(p.Child(low.name).Key(string(k)), "", a.String(), fmt.Sprintf("%s value %s is greater than %s value %s", low.noun, a.String(), noun, b.String()))
		}
	}
	if !overcommit(k) {
		equalDefaults(f, item, k, p)
	}
	if ratio, ok := item.MaxLimitRequestRatio[k]; ok {
		limitRatio(f, item, k, ratio, p)
	}
}

func limitRatio(f *faults, item *corev1.LimitRangeItem, k corev1.ResourceName, ratio resource.Quantity, p *field.Path) {
	at := p.Child("maxLimitRequestRatio").Key(string(k))
	if ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
		f.invalid(at, "", ratio.String(), fmt.Sprintf("ratio %s is less than 1", ratio.String()))
	}
	low, ok1 := item.Min[k]
	high, ok2 := item.Max[k]
	if !ok1 || !ok2 || low.Sign() <= 0 {
		return
	}
	if most := high.AsApproximateFloat64() / low.AsApproximateFloat64(); ratio.AsApproximateFloat64() > most {
		f.invalid(at, "", ratio.String(), fmt.Sprintf("ratio %s is greater than max/min = %f", ratio.String(), most))
	}
}

func equalDefaults(f *faults, item *corev1.LimitRangeItem, k corev1.ResourceName, p *field.Path) {
	limit, ok1 := item.Default[k]
	request, ok2 := item.DefaultRequest[k]
	if ok1 && ok2 && limit.Cmp(request) != 0 {
		f.invalid(p.Child("defaultRequest").Key(string(k)), "", request.String(), fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", limit.String(), request.String(), k))
	}
}
