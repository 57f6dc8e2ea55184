package status

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// Writer keeps the API's pod statuses current. Every pod has at most one write under way; what changes meanwhile is
// written afterwards, whole. Writes of different pods run in parallel.
type Writer struct {
	Client kubernetes.Interface
	// Target names the API's pod for a pod: itself, or the mirror of a static one; false: it has none now, and nothing is
	// written until Set comes again.
	Target func(pod *v1.Pod) (types.NamespacedName, types.UID, bool)

	mu   sync.Mutex
	pods map[types.UID]*record
}

type record struct {
	pod     *v1.Pod
	status  v1.PodStatus
	written *v1.PodStatus
	target  types.UID // of the API's object that was written; a static pod's mirror may be replaced
	// final: every container is gone for good; the API's object is deleted after the status is written.
	final    bool
	deleting bool
	busy     bool
}

// retryPause follows a write that failed; it doubles while writes fail. The first is short: the Node authorizer knows
// a pod some milliseconds after the kubelet does.
const (
	retryPause    = 50 * time.Millisecond
	maxRetryPause = 5 * time.Second
)

// Get is the newest status of the pod.
func (w *Writer) Get(uid types.UID) (v1.PodStatus, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.pods[uid]; r != nil {
		return r.status, true
	}
	return v1.PodStatus{}, false
}

// Set takes the pod's new status. final says that nothing of the pod runs any more and nothing will.
func (w *Writer) Set(ctx context.Context, pod *v1.Pod, s v1.PodStatus, final bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pods == nil {
		w.pods = map[types.UID]*record{}
	}
	r := w.pods[pod.UID]
	if r == nil {
		r = &record{}
		w.pods[pod.UID] = r
	}
	r.pod, r.status = pod, s
	r.final = r.final || final
	r.deleting = pod.DeletionTimestamp != nil
	if _, target, exists := w.Target(pod); exists && target != r.target {
		r.written = nil
	}
	w.kick(ctx, r)
}

// Forget drops a pod.
func (w *Writer) Forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pods, uid)
}

// kick starts a write when there is something to write and none is under way.
func (w *Writer) kick(ctx context.Context, r *record) {
	if r.busy || w.Client == nil || !r.pending() {
		return
	}
	r.busy = true
	go w.write(ctx, r)
}

func (r *record) pending() bool {
	return r.written == nil || !equality.Semantic.DeepEqual(*r.written, r.status) || (r.final && r.deleting)
}

func (w *Writer) write(ctx context.Context, r *record) {
	pause := retryPause
	for {
		w.mu.Lock()
		if !r.pending() || ctx.Err() != nil {
			r.busy = false
			w.mu.Unlock()
			return
		}
		pod, status, remove := r.pod, r.status, r.final && r.deleting
		w.mu.Unlock()
		name, uid, exists := w.Target(pod)
		if !exists {
			w.mu.Lock()
			r.busy = false // Set comes when it appears: its static pod is woken
			w.mu.Unlock()
			return
		}
		gone, err := w.put(ctx, name, uid, pod, status, remove)
		w.mu.Lock()
		if err == nil {
			r.written, r.target = &status, uid
			if gone {
				r.deleting = false
			}
		}
		w.mu.Unlock()
		if err != nil {
			klog.FromContext(ctx).V(level(pause)).Info("Writing a pod's status failed, trying again", "pod", klog.KObj(pod), "after", pause, "reason", err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, maxRetryPause)
		} else {
			pause = retryPause
		}
	}
}

// level keeps first failures, which are ordinary, out of the log.
func level(pause time.Duration) int {
	if pause == retryPause {
		return 2
	}
	return 0
}

// put patches the API's status to what it should be, and deletes a pod that has ended and may go.
func (w *Writer) put(ctx context.Context, name types.NamespacedName, uid types.UID, pod *v1.Pod, status v1.PodStatus, remove bool) (gone bool, err error) {
	now, err := w.Client.CoreV1().Pods(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || (err == nil && now.UID != uid) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	merged := merge(now.Status, status)
	if !equality.Semantic.DeepEqual(now.Status, merged) {
		if err := w.store(ctx, now, merged); err != nil {
			return apierrors.IsNotFound(err), ignoreNotFound(err)
		}
	}
	if !remove || now.DeletionTimestamp == nil {
		return false, nil
	}
	err = w.Client.CoreV1().Pods(name.Namespace).Delete(ctx, name.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(uid))})
	return true, ignoreNotFound(err)
}

// store patches the status, which leaves alone what others write meanwhile. But a patch of conditions that has to tell two of one
// type apart would delete both: then the status is written whole, or not at all if somebody else was faster.
func (w *Writer) store(ctx context.Context, now *v1.Pod, status v1.PodStatus) error {
	pods := w.Client.CoreV1().Pods(now.Namespace)
	if repeats(now.Status.Conditions) {
		whole := now.DeepCopy()
		whole.Status = status
		_, err := pods.UpdateStatus(ctx, whole, metav1.UpdateOptions{})
		return err
	}
	patch, err := patchOf(now, status)
	if err != nil {
		return err
	}
	_, err = pods.Patch(ctx, now.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// repeats reports whether two conditions are of one type.
func repeats(conditions []v1.PodCondition) bool {
	for i, c := range conditions {
		if has(conditions[:i], c.Type) {
			return true
		}
	}
	return false
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// merge keeps of the API's status the conditions that others write.
func merge(now, mine v1.PodStatus) v1.PodStatus {
	owned := map[v1.PodConditionType]bool{v1.PodReady: true, v1.ContainersReady: true, v1.PodInitialized: true, v1.PodReadyToStartContainers: true, v1.PodScheduled: true, v1.DisruptionTarget: true, v1.PodResizeInProgress: true, v1.PodResizePending: true, v1.AllContainersRestarting: true}
	out := *mine.DeepCopy()
	var conditions []v1.PodCondition
	for _, c := range out.Conditions {
		if owned[c.Type] {
			conditions = append(conditions, c)
		}
	}
	for _, c := range now.Conditions {
		if (!owned[c.Type] || c.Type == v1.DisruptionTarget) && !has(conditions, c.Type) {
			conditions = append(conditions, c)
		}
	}
	out.Conditions = conditions
	out.NominatedNodeName = now.NominatedNodeName
	return out
}

func has(conditions []v1.PodCondition, kind v1.PodConditionType) bool {
	for _, c := range conditions {
		if c.Type == kind {
			return true
		}
	}
	return false
}

func patchOf(now *v1.Pod, status v1.PodStatus) ([]byte, error) {
	before, err := json.Marshal(v1.Pod{Status: now.Status})
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: now.UID}, Status: status})
	if err != nil {
		return nil, err
	}
	return strategicpatch.CreateTwoWayMergePatch(before, after, v1.Pod{})
}
