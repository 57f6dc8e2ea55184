package defaulting

import flowcontrolv1 "k8s.io/api/flowcontrol/v1"

// FlowSchema fills a flow schema.
func FlowSchema(f *flowcontrolv1.FlowSchema) { value(&f.Spec.MatchingPrecedence, 1000) }

// PriorityLevelConfiguration fills a priority level.
func PriorityLevelConfiguration(p *flowcontrolv1.PriorityLevelConfiguration) {
	if e := p.Spec.Exempt; e != nil {
		pointer(&e.NominalConcurrencyShares, 0)
		pointer(&e.LendablePercent, 0)
	}
	l := p.Spec.Limited
	if l == nil {
		return
	}
	pointer(&l.NominalConcurrencyShares, 30)
	pointer(&l.LendablePercent, 0)
	if q := l.LimitResponse.Queuing; q != nil {
		value(&q.HandSize, 8)
		value(&q.Queues, 64)
		value(&q.QueueLengthLimit, 50)
	}
}
