package admission

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// emptyLimitRanges is a cache that has not caught up.
type emptyLimitRanges struct {
	corelisters.LimitRangeNamespaceLister
}

func (e emptyLimitRanges) LimitRanges(string) corelisters.LimitRangeNamespaceLister { return e }
func (emptyLimitRanges) List(labels.Selector) ([]*corev1.LimitRange, error)         { return nil, nil }
