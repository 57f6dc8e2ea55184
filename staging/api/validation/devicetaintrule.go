package validation

import (
	"context"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	declared "pilotis.dev/api/validation/zz_generated/resource"
)

func deviceTaintRuleCreate(r *resourcev1.DeviceTaintRule) *faults {
	f := metadata(&r.ObjectMeta, cluster, subdomainName)
	deviceTaintRule(f, r, creating(), nil)
	return f
}

func deviceTaintRuleUpdate(r, old *resourcev1.DeviceTaintRule) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	deviceTaintRule(f, r, updating(), &old.Spec)
	return f
}

func deviceTaintRule(f *faults, r *resourcev1.DeviceTaintRule, op operation.Operation, old *resourcev1.DeviceTaintRuleSpec) {
	p := field.NewPath("spec")
	f.add(declared.Validate_DeviceTaintRuleSpec(context.Background(), op, p, &r.Spec, old)...)
	deviceTaint(f, &r.Spec.Taint, p.Child("taint"))
	s := r.Spec.DeviceSelector
	if s == nil {
		return
	}
	at := p.Child("deviceSelector")
	if s.Driver != nil {
		driverName(f, *s.Driver, at, "driver")
	}
	if s.Pool != nil {
		for part := range strings.SplitSeq(*s.Pool, "/") {
			f.messages(at, "pool", part, validation.IsDNS1123Subdomain(part))
		}
	}
	if s.Device != nil {
		f.dnsLabel(at, "device", *s.Device)
	}
}

func deviceTaintRuleStatus(r, old *resourcev1.DeviceTaintRule) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	f.tooMany(p, "conditions", len(r.Status.Conditions), resourcev1.DeviceTaintRuleStatusMaxConditions)
	conditionsOf(f, r.Status.Conditions, p.Child("conditions"))
	return f
}
