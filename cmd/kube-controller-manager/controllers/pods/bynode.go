package pods

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// nodeIndex finds pods by spec.nodeName.
const nodeIndex = "node"

// ByNode gives the pods of a node, from an index that all controllers of one informer share. It must be called before
// the informer is started.
func ByNode(informer cache.SharedIndexInformer) func(node string) []*v1.Pod {
	if _, there := informer.GetIndexer().GetIndexers()[nodeIndex]; !there {
		err := informer.AddIndexers(cache.Indexers{nodeIndex: func(obj any) ([]string, error) {
			if p, ok := obj.(*v1.Pod); ok && p.Spec.NodeName != "" {
				return []string{p.Spec.NodeName}, nil
			}
			return nil, nil
		}})
		if err != nil {
			panic(err) // the informer was stopped before its controllers were made
		}
	}
	return func(node string) []*v1.Pod {
		found, err := informer.GetIndexer().ByIndex(nodeIndex, node)
		if err != nil {
			return nil
		}
		on := make([]*v1.Pod, 0, len(found))
		for _, obj := range found {
			if p, ok := obj.(*v1.Pod); ok {
				on = append(on, p)
			}
		}
		return on
	}
}
