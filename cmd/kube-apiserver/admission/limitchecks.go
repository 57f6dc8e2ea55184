package admission

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// podFaults are the ways in which a pod breaks one item of a LimitRange.
func podFaults(pod *corev1.Pod, item *corev1.LimitRangeItem) []error {
	switch item.Type {
	case corev1.LimitTypeContainer:
		var errs []error
		for i := range pod.Spec.Containers {
			errs = append(errs, rangeFaults(item, pod.Spec.Containers[i].Resources.Requests, pod.Spec.Containers[i].Resources.Limits)...)
		}
		for i := range pod.Spec.InitContainers {
			errs = append(errs, rangeFaults(item, pod.Spec.InitContainers[i].Resources.Requests, pod.Spec.InitContainers[i].Resources.Limits)...)
		}
		return errs
	case corev1.LimitTypePod:
		options := resourcehelper.PodResourcesOptions{ExcludeOverhead: true}
		return rangeFaults(item, resourcehelper.PodRequests(pod, options), resourcehelper.PodLimits(pod, options))
	}
	return nil
}

// claimFaults are the ways in which a claim breaks one item of a LimitRange. Claims have requests only.
func claimFaults(claim *corev1.PersistentVolumeClaim, item *corev1.LimitRangeItem) []error {
	if item.Type != corev1.LimitTypePersistentVolumeClaim {
		return nil
	}
	var errs []error
	requests := claim.Spec.Resources.Requests
	for _, name := range slices.Sorted(maps.Keys(item.Min)) {
		errs = appendFault(errs, belowMinimum(item.Type, name, item.Min[name], requests, nil))
	}
	for _, name := range slices.Sorted(maps.Keys(item.Max)) {
		enforced := item.Max[name]
		asked, ok := requests[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("maximum %s usage per %s is %s.  No request is specified", name, item.Type, enforced.String()))
		case asked.Cmp(enforced) > 0:
			errs = append(errs, fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, item.Type, enforced.String(), asked.String()))
		}
	}
	return errs
}

func rangeFaults(item *corev1.LimitRangeItem, requests, limits corev1.ResourceList) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(item.Min)) {
		errs = appendFault(errs, belowMinimum(item.Type, name, item.Min[name], requests, limits))
	}
	for _, name := range slices.Sorted(maps.Keys(item.Max)) {
		errs = appendFault(errs, aboveMaximum(item.Type, name, item.Max[name], requests, limits))
	}
	for _, name := range slices.Sorted(maps.Keys(item.MaxLimitRequestRatio)) {
		errs = appendFault(errs, aboveRatio(item.Type, name, item.MaxLimitRequestRatio[name], requests, limits))
	}
	return errs
}

func appendFault(errs []error, err error) []error {
	if err != nil {
		return append(errs, err)
	}
	return errs
}

func belowMinimum(t corev1.LimitType, name corev1.ResourceName, enforced resource.Quantity, requests, limits corev1.ResourceList) error {
	request, hasRequest := requests[name]
	limit, hasLimit := limits[name]
	switch {
	case !hasRequest:
		return fmt.Errorf("minimum %s usage per %s is %s.  No request is specified", name, t, enforced.String())
	case request.Cmp(enforced) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but request is %s", name, t, enforced.String(), request.String())
	case hasLimit && limit.Cmp(enforced) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but limit is %s", name, t, enforced.String(), limit.String())
	}
	return nil
}

func aboveMaximum(t corev1.LimitType, name corev1.ResourceName, enforced resource.Quantity, requests, limits corev1.ResourceList) error {
	request, hasRequest := requests[name]
	limit, hasLimit := limits[name]
	switch {
	case !hasLimit:
		return fmt.Errorf("maximum %s usage per %s is %s.  No limit is specified", name, t, enforced.String())
	case limit.Cmp(enforced) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but limit is %s", name, t, enforced.String(), limit.String())
	case hasRequest && request.Cmp(enforced) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, t, enforced.String(), request.String())
	}
	return nil
}

func aboveRatio(t corev1.LimitType, name corev1.ResourceName, enforced resource.Quantity, requests, limits corev1.ResourceList) error {
	request, hasRequest := requests[name]
	limit, hasLimit := limits[name]
	switch {
	case !hasRequest || request.IsZero():
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no request is specified or request is 0", name, t, enforced.String())
	case !hasLimit || limit.IsZero():
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", name, t, enforced.String())
	}
	if ratio := limit.AsApproximateFloat64() / request.AsApproximateFloat64(); ratio > enforced.AsApproximateFloat64() {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but provided ratio is %f", name, t, enforced.String(), ratio)
	}
	return nil
}
