package flowcontrol

import (
	"strconv"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// PriorityLevelConfigurations declares prioritylevelconfigurations.
func PriorityLevelConfigurations() *kind.Kind[*flowcontrolv1.PriorityLevelConfiguration] {
	type T = *flowcontrolv1.PriorityLevelConfiguration
	queuing := func(value func(q *flowcontrolv1.QueuingConfiguration) int32) func(T) string {
		return func(p T) string {
			if p.Spec.Limited == nil || p.Spec.Limited.LimitResponse.Queuing == nil {
				return "<none>"
			}
			return strconv.Itoa(int(value(p.Spec.Limited.LimitResponse.Queuing)))
		}
	}
	return &kind.Kind[T]{
		Group: "flowcontrol.apiserver.k8s.io", Resource: "prioritylevelconfigurations", Singular: "prioritylevelconfiguration", ClusterScoped: true,
		New:             func() T { return &flowcontrolv1.PriorityLevelConfiguration{} },
		NewList:         func() runtime.Object { return &flowcontrolv1.PriorityLevelConfigurationList{} },
		Spec:            kind.Field(func(p T) *flowcontrolv1.PriorityLevelConfigurationSpec { return &p.Spec }),
		Status:          kind.Field(func(p T) *flowcontrolv1.PriorityLevelConfigurationStatus { return &p.Status }),
		Generation:      true,
		StatusKeepsMeta: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("Type", func(p T) string { return string(p.Spec.Type) }),
			kind.Text("NominalConcurrencyShares", func(p T) string {
				if p.Spec.Limited == nil || p.Spec.Limited.NominalConcurrencyShares == nil {
					return "<none>"
				}
				return strconv.Itoa(int(*p.Spec.Limited.NominalConcurrencyShares))
			}),
			kind.Text("Queues", queuing(func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.Queues })),
			kind.Text("HandSize", queuing(func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.HandSize })),
			kind.Text("QueueLengthLimit", queuing(func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.QueueLengthLimit })),
			kind.Age[T](),
		},
	}
}
