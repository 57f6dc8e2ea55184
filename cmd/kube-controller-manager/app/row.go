package app

import (
	"context"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
)

// Row is one controller of the table.
type Row struct {
	// Name selects the controller in --controllers; Aliases are its older names.
	Name    string
	Aliases []string
	// Purpose says in a few words what the controller does: "keeps a pod on each node that matches".
	Purpose string
	// ServiceAccount in kube-system whose credentials the controller uses with --use-service-account-credentials; Name when
	// empty. RBAC for it is system:controller:<ServiceAccount>.
	ServiceAccount string
	// AsDaemon controllers act with the daemon's own credentials even with --use-service-account-credentials.
	AsDaemon bool
	// OffByDefault controllers run only when --controllers names them.
	OffByDefault bool
	// Reads are resources the controller gets, lists and watches: "pods", "deployments.apps", "deployments.apps/scale".
	Reads []string
	// Cached are resources that it sees in the daemon's caches alone, and has no right to read by itself: Secrets.
	Cached []string
	// Writes are "verb,verb resource [name,name] [in namespace]", resources as in Reads: "create,delete pods",
	// "update configmaps cluster-info in kube-public". What is got without a cache, or asked of the server, is among them.
	Writes []string
	// New makes the controller. A nil Runner without an error means that the configuration gives it nothing to do.
	New func(ctx context.Context, env *Env) (Runner, error)
}

// Runner is a controller: Run works until ctx ends and returns when its last write is done.
type Runner interface {
	Run(ctx context.Context)
}

// RunnerFunc makes a function a Runner.
type RunnerFunc func(ctx context.Context)

// Run calls f.
func (f RunnerFunc) Run(ctx context.Context) { f(ctx) }

// Env is what a controller is made from. The clients act with the controller's own credentials; the informers are shared by
// all controllers and start after every New has returned.
type Env struct {
	// Name is the row's name.
	Name   string
	Config *Config

	REST      *rest.Config
	Client    kubernetes.Interface
	Metadata  metadata.Interface
	Dynamic   dynamic.Interface
	Discovery discovery.DiscoveryInterface

	Informers         informers.SharedInformerFactory
	MetadataInformers metadatainformer.SharedInformerFactory
	// Reader reads with the daemon's own credentials, as the shared informers do: for informers of a part of a kind (Narrow).
	Reader kubernetes.Interface
	// Kinds follows every kind of object; it starts with the shared informers, so subscribe in New.
	Kinds *kinds.Watcher
	// Mapper knows every kind the server serves, and learns new ones; see Reset.
	Mapper meta.ResettableRESTMapper
	// Started is closed when the shared informers have been started.
	Started <-chan struct{}
	// Recorder makes a recorder of core events whose source is component.
	Recorder func(component string) record.EventRecorder
}

// Account is the name of the controller's service account.
func (r Row) Account() string {
	if r.ServiceAccount != "" {
		return r.ServiceAccount
	}
	return r.Name
}

// Right is what a controller may do: in one namespace, or in all when Namespace is empty.
type Right struct {
	Namespace string
	rbacv1.PolicyRule
}

// Rights are those of the controller's service account: what Reads and Writes amount to.
func (r Row) Rights() ([]Right, error) {
	var rights []Right
	for _, resource := range r.Reads {
		rights = append(rights, rightOf("get,list,watch", resource))
	}
	for _, write := range r.Writes {
		fields := strings.Fields(write)
		var namespace string
		if n := len(fields); n > 2 && fields[n-2] == "in" {
			fields, namespace = fields[:n-2], fields[n-1]
		}
		if len(fields) != 2 && len(fields) != 3 {
			return nil, fmt.Errorf("controller %s: writes %q is not of the form \"verb,verb resource [name,name] [in namespace]\"", r.Name, write)
		}
		right := rightOf(fields[0], fields[1])
		if right.Namespace = namespace; len(fields) == 3 {
			right.ResourceNames = strings.Split(fields[2], ",")
		}
		rights = append(rights, right)
	}
	return rights, nil
}

func rightOf(verbs, resource string) Right {
	name, sub, _ := strings.Cut(resource, "/")
	name, group, _ := strings.Cut(name, ".")
	if sub != "" {
		name += "/" + sub
	}
	groups := []string{group}
	if resource == "events" {
		groups = append(groups, "events.k8s.io")
	}
	return Right{PolicyRule: rbacv1.PolicyRule{APIGroups: groups, Resources: []string{name}, Verbs: strings.Split(verbs, ",")}}
}
