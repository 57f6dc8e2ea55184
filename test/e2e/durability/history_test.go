package durability

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// operation is a write or a read of one key, as the client that made it saw it.
type operation struct {
	key   int
	write bool
	value string // written; "" for a read
}

// result is what the server answered; unknown: nothing that tells whether a write took place.
type result struct {
	value   string // read
	unknown bool
}

// history gathers the operations of all clients.
type history struct {
	began time.Time
	mu    sync.Mutex
	list  []porcupine.Operation
}

func (h *history) now() int64 { return time.Since(h.began).Nanoseconds() }

// add takes an operation that was called at a time of now.
func (h *history) add(client int, o operation, called int64, r result) {
	returned := h.now()
	if r.unknown {
		returned = math.MaxInt64 // it may take place at any time from now on, or never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, porcupine.Operation{ClientId: client, Input: o, Call: called, Output: r, Return: returned})
}

// decided is the history without writes of unknown outcome whose value nobody read: of each it may be said that it never
// took place. The others did, at some time.
func (h *history) decided() []porcupine.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	read := map[operation]bool{}
	for _, o := range h.list {
		if in := o.Input.(operation); !in.write {
			read[operation{key: in.key, write: true, value: o.Output.(result).value}] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(h.list), func(o porcupine.Operation) bool {
		return o.Output.(result).unknown && !read[o.Input.(operation)]
	})
}

// register is the model of a key: a read gives what was written last.
var register = porcupine.Model{
	Partition: func(list []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, o := range list {
			key := o.Input.(operation).key
			byKey[key] = append(byKey[key], o)
		}
		var out [][]porcupine.Operation
		for _, part := range byKey {
			out = append(out, part)
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		o, r := input.(operation), output.(result)
		if o.write {
			return true, o.value
		}
		return r.value == state, state
	},
}
