// Package desired is what pods a node should run: those the API binds to it, and static ones from files and a URL.
package desired

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Annotations that tell where a pod comes from; users and controllers read them.
const (
	AnnotationSource = "kubernetes.io/config.source" // api, file or http
	AnnotationHash   = "kubernetes.io/config.hash"
	AnnotationSeen   = "kubernetes.io/config.seen"
	AnnotationMirror = "kubernetes.io/config.mirror"
)

// Source names.
const (
	API  = "api"
	File = "file"
	HTTP = "http"
)

// Set is what the sources say now, merged. Listeners are told about each pod that came, changed or went.
type Set struct {
	mu       sync.Mutex
	sources  map[string]map[types.UID]*v1.Pod
	mirrors  map[types.NamespacedName]*v1.Pod
	ready    map[string]bool
	expected []string
	listener func(uid types.UID)
	complete func()
}

// NewSet waits for the sources named before AllReady.
func NewSet(expected ...string) *Set {
	return &Set{sources: map[string]map[types.UID]*v1.Pod{}, mirrors: map[types.NamespacedName]*v1.Pod{}, ready: map[string]bool{}, expected: expected}
}

// Listen sets who is told about changed pods, and that a source has told everything once, before the sources start.
func (s *Set) Listen(changed func(uid types.UID), complete func()) {
	s.listener, s.complete = changed, complete
}

// IsMirror tells the API's image of a static pod.
func IsMirror(pod *v1.Pod) bool { _, ok := pod.Annotations[AnnotationMirror]; return ok }

// IsStatic tells a pod from a file or URL.
func IsStatic(pod *v1.Pod) bool {
	source, ok := pod.Annotations[AnnotationSource]
	return ok && source != API
}

// Replace takes everything a source has now.
func (s *Set) Replace(source string, pods []*v1.Pod) {
	s.mu.Lock()
	old := s.sources[source]
	now := make(map[types.UID]*v1.Pod, len(pods))
	changed := map[types.UID]bool{}
	if source == API {
		clear(s.mirrors)
	}
	for _, p := range pods {
		if IsMirror(p) && source == API {
			s.mirrors[types.NamespacedName{Namespace: p.Namespace, Name: p.Name}] = p
			continue
		}
		now[p.UID] = p
		if old[p.UID] != p {
			changed[p.UID] = true
		}
	}
	for uid := range old {
		if now[uid] == nil {
			changed[uid] = true
		}
	}
	s.sources[source] = now
	first := !s.ready[source]
	s.ready[source] = true
	if source == API { // a mirror that came or went is its static pod's business
		for _, other := range []string{File, HTTP} {
			for uid := range s.sources[other] {
				changed[uid] = true
			}
		}
	}
	s.mu.Unlock()
	for uid := range changed {
		s.listener(uid)
	}
	if first {
		s.complete()
	}
}

// Update takes one pod of a source, Remove forgets it.
func (s *Set) Update(source string, pod *v1.Pod) {
	s.mu.Lock()
	uid := pod.UID
	if IsMirror(pod) && source == API {
		s.mirrors[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = pod
		uid = s.staticLocked(pod)
	} else {
		if s.sources[source] == nil {
			s.sources[source] = map[types.UID]*v1.Pod{}
		}
		s.sources[source][uid] = pod
	}
	s.mu.Unlock()
	if uid != "" {
		s.listener(uid)
	}
}

func (s *Set) Remove(source string, pod *v1.Pod) {
	s.mu.Lock()
	uid := pod.UID
	if IsMirror(pod) && source == API {
		name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
		if m := s.mirrors[name]; m != nil && m.UID == pod.UID {
			delete(s.mirrors, name) // not one that has taken its place
		}
		uid = s.staticLocked(pod)
	} else {
		delete(s.sources[source], uid)
	}
	s.mu.Unlock()
	if uid != "" {
		s.listener(uid)
	}
}

func (s *Set) staticLocked(mirror *v1.Pod) types.UID {
	for _, source := range []string{File, HTTP} {
		for uid, p := range s.sources[source] {
			if p.Namespace == mirror.Namespace && p.Name == mirror.Name {
				return uid
			}
		}
	}
	return ""
}

// Ready notes that a source has told everything once.
func (s *Set) Ready(source string) {
	s.mu.Lock()
	s.ready[source] = true
	s.mu.Unlock()
	s.complete()
}

// AllReady reports whether every source has told everything once: before, a pod that is missing may be still to come.
func (s *Set) AllReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.expected {
		if !s.ready[e] {
			return false
		}
	}
	return true
}

// Get finds a pod.
func (s *Set) Get(uid types.UID) *v1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pods := range s.sources {
		if p := pods[uid]; p != nil {
			return p
		}
	}
	return nil
}

// Static finds the static pod of a name.
func (s *Set) Static(namespace, name string) *v1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, source := range []string{File, HTTP} {
		for _, p := range s.sources[source] {
			if p.Namespace == namespace && p.Name == name {
				return p
			}
		}
	}
	return nil
}

// Mirror finds the API's image of a static pod.
func (s *Set) Mirror(pod *v1.Pod) *v1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mirrors[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}]
}

// OrphanMirrors are images of static pods that are gone.
func (s *Set) OrphanMirrors() []*v1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*v1.Pod
	for _, m := range s.mirrors {
		if s.staticLocked(m) == "" {
			out = append(out, m)
		}
	}
	return out
}

// Pods lists all pods.
func (s *Set) Pods() []*v1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*v1.Pod
	for _, pods := range s.sources {
		for _, p := range pods {
			out = append(out, p)
		}
	}
	return out
}

// decoder turns manifests into pods of this node.
type decoder struct {
	node    string
	scheme  *runtime.Scheme
	decoder runtime.Decoder
}

// static decodes a manifest, which may be a pod or a list of them, and gives each pod its name on this node and a UID
// that changes with the manifest.
func (d decoder) static(data []byte, source, where string) ([]*v1.Pod, error) {
	obj, _, err := d.decoder.Decode(data, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	var pods []*v1.Pod
	switch o := obj.(type) {
	case *v1.Pod:
		pods = append(pods, o)
	case *v1.PodList:
		for i := range o.Items {
			pods = append(pods, &o.Items[i])
		}
	default:
		return nil, fmt.Errorf("%s: it holds a %T: expected a Pod", where, obj)
	}
	for _, p := range pods {
		d.complete(p, source, where)
	}
	return pods, nil
}

func (d decoder) complete(p *v1.Pod, source, where string) {
	if p.UID == "" {
		sum := md5.New()
		fmt.Fprintf(sum, "host:%s%s:%s", d.node, source, where)
		content, _ := json.Marshal(p)
		sum.Write(content)
		p.UID = types.UID(hex.EncodeToString(sum.Sum(nil)))
	}
	if p.Namespace == "" {
		p.Namespace = metav1.NamespaceDefault
	}
	p.Name = strings.ToLower(p.Name) + "-" + d.node
	p.Spec.NodeName = d.node
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Annotations[AnnotationHash] = string(p.UID)
	p.Annotations[AnnotationSource] = source
	p.Annotations[AnnotationSeen] = time.Now().Format(time.RFC3339Nano)
	// A static pod is not evicted by the node's own taints.
	p.Spec.Tolerations = append(p.Spec.Tolerations, v1.Toleration{Operator: v1.TolerationOpExists, Effect: v1.TaintEffectNoExecute})
	d.scheme.Default(p)
	p.Status.Phase = v1.PodPending
}
