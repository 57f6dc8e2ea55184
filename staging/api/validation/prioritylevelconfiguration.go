package validation

import (
	"fmt"
	"math"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func priorityLevelCreate(l *flowcontrolv1.PriorityLevelConfiguration) *faults {
	f := metadata(&l.ObjectMeta, cluster, subdomainName)
	priorityLevelSpec(f, l)
	levelConditions(f, l.Status.Conditions)
	return f
}

func priorityLevelUpdate(l, old *flowcontrolv1.PriorityLevelConfiguration) *faults {
	f := metadataUpdate(&l.ObjectMeta, &old.ObjectMeta)
	priorityLevelSpec(f, l)
	levelConditions(f, l.Status.Conditions)
	return f
}

func priorityLevelStatus(l, old *flowcontrolv1.PriorityLevelConfiguration) *faults {
	f := metadataUpdate(&l.ObjectMeta, &old.ObjectMeta)
	levelConditions(f, l.Status.Conditions)
	return f
}

func levelConditions(f *faults, list []flowcontrolv1.PriorityLevelConfigurationCondition) {
	p := field.NewPath("status", "conditions")
	var types seen[flowcontrolv1.PriorityLevelConfigurationConditionType]
	for i, c := range list {
		if types.again(c.Type) {
			f.duplicate(p.Index(i), "type", c.Type)
		}
		f.present(p.Index(i), "type", string(c.Type))
	}
}

func priorityLevelSpec(f *faults, l *flowcontrolv1.PriorityLevelConfiguration) {
	p := field.NewPath("spec")
	s := &l.Spec
	if (l.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt) != (s.Type == flowcontrolv1.PriorityLevelEnablementExempt) {
		f.invalid(p, "type", s.Type, "type must be 'Exempt' if and only if name is 'exempt'")
	}
	switch s.Type {
	case flowcontrolv1.PriorityLevelEnablementExempt:
		if s.Limited != nil {
			f.forbidden(p, "limited", "must be nil if the type is not Limited")
		}
		if e := s.Exempt; e != nil {
			at := p.Child("exempt")
			if e.NominalConcurrencyShares != nil {
				f.notNegative(at, "nominalConcurrencyShares", int64(*e.NominalConcurrencyShares))
			}
			lendable(f, e.LendablePercent, at)
		}
	case flowcontrolv1.PriorityLevelEnablementLimited:
		if s.Exempt != nil {
			f.forbidden(p, "exempt", "must be nil if the type is Limited")
		}
		if s.Limited == nil {
			f.required(p, "limited", "must not be empty when type is Limited")
		} else {
			limitedLevel(f, s.Limited, p.Child("limited"))
		}
	default:
		oneOf(f, p, "type", s.Type, flowcontrolv1.PriorityLevelEnablementExempt, flowcontrolv1.PriorityLevelEnablementLimited)
	}
}

func lendable(f *faults, n *int32, p *field.Path) {
	if n != nil && (*n < 0 || *n > 100) {
		f.invalid(p, "lendablePercent", *n, "must be between 0 and 100, inclusive")
	}
}

func limitedLevel(f *faults, l *flowcontrolv1.LimitedPriorityLevelConfiguration, p *field.Path) {
	if l.NominalConcurrencyShares != nil && *l.NominalConcurrencyShares < 0 {
		f.invalid(p, "nominalConcurrencyShares", *l.NominalConcurrencyShares, "must be a non-negative integer")
	}
	lendable(f, l.LendablePercent, p)
	if n := l.BorrowingLimitPercent; n != nil && *n < 0 {
		f.invalid(p, "borrowingLimitPercent", *n, "if specified, must be a non-negative integer")
	}
	at := p.Child("limitResponse")
	switch r := &l.LimitResponse; r.Type {
	case flowcontrolv1.LimitResponseTypeReject:
		if r.Queuing != nil {
			f.forbidden(at, "queuing", "must be nil if limited.limitResponse.type is not Limited")
		}
	case flowcontrolv1.LimitResponseTypeQueue:
		if r.Queuing == nil {
			f.required(at, "queuing", "must not be empty if limited.limitResponse.type is Limited")
		} else {
			queuing(f, r.Queuing, at.Child("queuing"))
		}
	default:
		oneOf(f, at, "type", r.Type, flowcontrolv1.LimitResponseTypeQueue, flowcontrolv1.LimitResponseTypeReject)
	}
}

const (
	maxQueues      = 10 * 1000 * 1000
	shuffleBits    = 60
	tooManyEntropy = "required entropy bits of deckSize %d and handSize %d should not be greater than %d"
)

// queuing checks that the shuffle of flows to queues fits into the hash of a flow.
func queuing(f *faults, q *flowcontrolv1.QueuingConfiguration, p *field.Path) {
	if q.QueueLengthLimit <= 0 {
		f.invalid(p, "queueLengthLimit", q.QueueLengthLimit, "must be positive")
	}
	switch {
	case q.Queues <= 0:
		f.invalid(p, "queues", q.Queues, "must be positive")
	case q.Queues > maxQueues:
		f.invalid(p, "queues", q.Queues, fmt.Sprintf("must not be greater than %d", maxQueues))
	}
	switch {
	case q.HandSize <= 0:
		f.invalid(p, "handSize", q.HandSize, "must be positive")
	case q.HandSize > q.Queues:
		f.invalid(p, "handSize", q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues))
	default:
		if bits := entropy(int(q.Queues), int(q.HandSize)); bits > shuffleBits {
			f.invalid(p, "handSize", q.HandSize, fmt.Sprintf(tooManyEntropy, q.Queues, q.HandSize, shuffleBits))
		}
	}
}

// entropy is how many bits it takes to deal a hand out of a deck.
func entropy(deck, hand int) int {
	ways := 1.0
	for i := range hand {
		ways *= float64(deck - i)
	}
	return int(math.Ceil(math.Log2(ways)))
}
