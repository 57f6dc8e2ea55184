package deployment

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// Annotations that kubectl rollout and proportional scaling read.
const (
	RevisionAnnotation        = "deployment.kubernetes.io/revision"
	RevisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	DesiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	MaxReplicasAnnotation     = "deployment.kubernetes.io/max-replicas"
	rollbackAnnotation        = "deprecated.deployment.rollback.to"
	// maxHistory bounds the revision history annotation, in characters.
	maxHistory = 2000
)

func semanticEqual(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }

// notCopied are annotations of a Deployment that its ReplicaSets do not inherit.
func notCopied(key string) bool {
	switch key {
	case v1.LastAppliedConfigAnnotation, RevisionAnnotation, RevisionHistoryAnnotation, DesiredReplicasAnnotation, MaxReplicasAnnotation, rollbackAnnotation:
		return true
	}
	return false
}

func revisionOf(rs *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(rs.Annotations[RevisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// adoptRevision gives the set of the present template the highest revision, and creates it when it is missing and create is
// set. It is what makes a template that was rolled back to the newest revision again.
func (r *rollout) adoptRevision(create bool) {
	var highest int64
	for _, rs := range r.old {
		highest = max(highest, revisionOf(rs))
	}
	next := highest + 1
	if r.new != nil {
		annotations := r.annotationsFor(r.new, next)
		if !maps.Equal(annotations, r.new.Annotations) || r.new.Spec.MinReadySeconds != r.d.Spec.MinReadySeconds {
			fresh := r.edit(r.new)
			fresh.Annotations = annotations
			fresh.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
		}
		r.setRevision(annotations[RevisionAnnotation])
		if r.hasDeadline() && condition(r.status, appsv1.DeploymentProgressing) == nil {
			r.setProgress(v1.ConditionTrue, reasonFoundNew, "Found new replica set \""+r.new.Name+"\"")
		}
		return
	}
	if !create {
		return
	}
	r.create(next)
}

// create plans the set of the present template.
func (r *rollout) create(revision int64) {
	template := r.d.Spec.Template.DeepCopy()
	hash := pods.Hash(*template, r.d.Status.CollisionCount)
	template.Labels = with(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey, hash)
	selector := r.d.Spec.Selector.DeepCopy()
	selector.MatchLabels = with(selector.MatchLabels, appsv1.DefaultDeploymentUniqueLabelKey, hash)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: r.d.Name + "-" + hash, Namespace: r.d.Namespace, Labels: maps.Clone(template.Labels),
			OwnerReferences: []metav1.OwnerReference{ownership.Reference(r.d, appsv1.SchemeGroupVersion.String(), "Deployment")},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](0), MinReadySeconds: r.d.Spec.MinReadySeconds, Selector: selector, Template: *template},
	}
	rs.Annotations = r.annotationsFor(rs, revision)
	setReplicaAnnotations(rs, r.wanted(), r.wanted()+r.maxSurge())
	r.new = rs
	rs.Spec.Replicas = ptr.To(r.newSize())
	r.plan.Create = rs
	r.setRevision(rs.Annotations[RevisionAnnotation])
	if r.hasDeadline() {
		r.setProgress(v1.ConditionTrue, reasonNewCreated, "Created new replica set \""+rs.Name+"\"")
	}
}

func with(labels map[string]string, key, value string) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	return labels
}

func (r *rollout) setRevision(revision string) {
	if r.d.Annotations[RevisionAnnotation] != revision {
		r.plan.Revision = revision
	}
}

// annotationsFor returns the annotations of rs with those of the Deployment and at least this revision; the revision it had
// goes into its history.
func (r *rollout) annotationsFor(rs *appsv1.ReplicaSet, revision int64) map[string]string {
	annotations := maps.Clone(rs.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	for key, value := range r.d.Annotations {
		if !notCopied(key) {
			annotations[key] = value
		}
	}
	before := annotations[RevisionAnnotation]
	if revisionOf(rs) >= revision {
		return annotations
	}
	annotations[RevisionAnnotation] = strconv.FormatInt(revision, 10)
	if before != "" {
		history := before
		if h := annotations[RevisionHistoryAnnotation]; h != "" {
			history = h + "," + before
		}
		for len(history) > maxHistory {
			_, history, _ = strings.Cut(history, ",")
		}
		annotations[RevisionHistoryAnnotation] = history
	}
	return annotations
}

func hasReplicaAnnotations(rs *appsv1.ReplicaSet, wanted, most int32) bool {
	return rs.Annotations[DesiredReplicasAnnotation] == strconv.Itoa(int(wanted)) && rs.Annotations[MaxReplicasAnnotation] == strconv.Itoa(int(most))
}

func setReplicaAnnotations(rs *appsv1.ReplicaSet, wanted, most int32) {
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	rs.Annotations[DesiredReplicasAnnotation] = strconv.Itoa(int(wanted))
	rs.Annotations[MaxReplicasAnnotation] = strconv.Itoa(int(most))
}

func numberIn(rs *appsv1.ReplicaSet, annotation string) (int32, bool) {
	n, err := strconv.ParseInt(rs.Annotations[annotation], 10, 32)
	return int32(n), err == nil
}

// cleanUp deletes the oldest revisions beyond spec.revisionHistoryLimit that have no pods left.
func (r *rollout) cleanUp() {
	if r.d.Spec.RevisionHistoryLimit == nil {
		return
	}
	var alive []*appsv1.ReplicaSet
	for _, rs := range r.old {
		if rs.DeletionTimestamp == nil {
			alive = append(alive, rs)
		}
	}
	surplus := len(alive) - int(*r.d.Spec.RevisionHistoryLimit)
	if surplus <= 0 {
		return
	}
	slices.SortStableFunc(alive, func(a, b *appsv1.ReplicaSet) int { return int(revisionOf(a) - revisionOf(b)) })
	for _, rs := range alive[:surplus] {
		if rs.Status.Replicas == 0 && size(rs) == 0 && rs.Generation <= rs.Status.ObservedGeneration {
			r.plan.Delete = append(r.plan.Delete, rs)
		}
	}
}
