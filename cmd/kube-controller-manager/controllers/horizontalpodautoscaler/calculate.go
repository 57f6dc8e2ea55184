package horizontalpodautoscaler

import (
	"errors"
	"fmt"
	"math"
	"time"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// tolerance is the deviation from 1 of use over target that is ignored, in each direction.
type tolerance struct{ up, down float64 }

func (t tolerance) covers(ratio float64) bool { return ratio <= 1+t.up && ratio >= 1-t.down }

// timing says when CPU samples of young pods are not believed.
type timing struct {
	now               time.Time
	cpuInitialization time.Duration
	initialReadiness  time.Duration
}

// sorted are pods by what their metrics can be used for.
type sorted struct {
	ready            int
	unready, missing []string
}

// sortPods sorts the pods of a target, and takes samples out of the map that must not count: of pods that are going or failed, and
// of pods that are not ready yet.
func sortPods(list []*v1.Pod, samples map[string]sample, resource v1.ResourceName, t timing) sorted {
	var s sorted
	for _, pod := range list {
		have, ok := samples[pod.Name]
		switch {
		case pod.DeletionTimestamp != nil || pod.Status.Phase == v1.PodFailed:
			delete(samples, pod.Name)
		case pod.Status.Phase == v1.PodPending, ok && resource == v1.ResourceCPU && warmingUp(pod, have, t):
			delete(samples, pod.Name)
			s.unready = append(s.unready, pod.Name)
		case !ok:
			s.missing = append(s.missing, pod.Name)
		default:
			s.ready++
		}
	}
	return s
}

// warmingUp tells whether a pod's CPU sample is of its start and not of its work.
func warmingUp(pod *v1.Pod, have sample, t timing) bool {
	c := pods.Condition(pod, v1.PodReady)
	if c == nil || pod.Status.StartTime == nil {
		return true
	}
	if pod.Status.StartTime.Add(t.cpuInitialization).After(t.now) {
		return c.Status == v1.ConditionFalse || have.at.Before(c.LastTransitionTime.Add(have.window))
	}
	return c.Status == v1.ConditionFalse && pod.Status.StartTime.Add(t.initialReadiness).After(c.LastTransitionTime.Time)
}

// ratioFunc computes use over target.
type ratioFunc func(samples map[string]sample) (float64, error)

// replicasFor returns the number of replicas at which use meets the target. Pods without a sample are assumed to behave so that
// the change is smaller: to use all of fallback when scaling down, and nothing when scaling up.
func replicasFor(current int32, s sorted, samples map[string]sample, tol tolerance, ratio ratioFunc, fallback func(pod string) int64) (int32, error) {
	if len(samples) == 0 {
		return 0, errors.New("did not receive metrics for targeted pods (pods might be unready)")
	}
	use, err := ratio(samples)
	if err != nil {
		return 0, err
	}
	growWithUnready := len(s.unready) > 0 && use > 1
	if !growWithUnready && len(s.missing) == 0 {
		if tol.covers(use) {
			return current, nil
		}
		return int32(math.Ceil(use * float64(s.ready))), nil
	}
	for _, name := range s.missing {
		switch {
		case use < 1:
			samples[name] = sample{value: fallback(name)}
		case use > 1:
			samples[name] = sample{}
		}
	}
	if growWithUnready {
		for _, name := range s.unready {
			samples[name] = sample{}
		}
	}
	careful, err := ratio(samples)
	if err != nil {
		return 0, err
	}
	if tol.covers(careful) || (use < 1) != (careful < 1) {
		return current, nil
	}
	wanted := int32(math.Ceil(careful * float64(len(samples))))
	if careful < 1 && wanted > current || careful > 1 && wanted < current {
		return current, nil
	}
	return wanted, nil
}

// utilization returns a ratioFunc for a target in percent of requests, and where it leaves the utilization it found.
func utilization(requests map[string]int64, target int32, found *int32, average *int64) ratioFunc {
	return func(samples map[string]sample) (float64, error) {
		var used, requested, n int64
		for name, s := range samples {
			request, ok := requests[name]
			if !ok {
				continue // a pod that was deleted a moment ago
			}
			used, requested, n = used+s.value, requested+request, n+1
		}
		if requested == 0 {
			return 0, errors.New("no metrics returned matched known pods")
		}
		*found, *average = int32(used*100/requested), used/n
		return float64(*found) / float64(target), nil
	}
}

// averageValue returns a ratioFunc for a target value of each pod, and where it leaves the average that was measured: the first one,
// since later ones have assumptions in them for pods without a sample.
func averageValue(target int64, average *int64) ratioFunc {
	measured := false
	return func(samples map[string]sample) (float64, error) {
		var used int64
		for _, s := range samples {
			used += s.value
		}
		mean := used / int64(len(samples))
		if !measured {
			*average, measured = mean, true
		}
		return float64(mean) / float64(target), nil
	}
}

// requestsOf returns each pod's request of a resource, of one container only when container is not empty.
func requestsOf(list []*v1.Pod, resource v1.ResourceName, container string) (map[string]int64, error) {
	requests := make(map[string]int64, len(list))
	for _, pod := range list {
		if container == "" && pod.Spec.Resources != nil {
			if n, ok := amount(resource, pod.Spec.Resources.Requests); ok {
				requests[pod.Name] = n
				continue
			}
		}
		var sum int64
		containers := pod.Spec.Containers
		for _, c := range pod.Spec.InitContainers {
			if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
				containers = append(containers[:len(containers):len(containers)], c)
			}
		}
		for _, c := range containers {
			if container != "" && c.Name != container {
				continue
			}
			n, ok := amount(resource, c.Resources.Requests)
			if !ok {
				return nil, fmt.Errorf("missing request for %s in container %s of Pod %s", resource, c.Name, pod.Name)
			}
			sum += n
		}
		requests[pod.Name] = sum
	}
	return requests, nil
}

// ofTotal returns the replicas for a metric that is not measured by pod. With average, the target is for each replica.
func ofTotal(current int32, ready int, value, target int64, average bool, tol tolerance) int32 {
	if average {
		if current != 0 && tol.covers(float64(value)/(float64(target)*float64(current))) {
			return current
		}
		return int32(math.Ceil(float64(value) / float64(target)))
	}
	ratio := float64(value) / float64(target)
	if current == 0 {
		return int32(math.Ceil(ratio)) // scaling from zero
	}
	if tol.covers(ratio) {
		return current
	}
	return int32(math.Ceil(ratio * float64(ready)))
}
