package conformance

import (
	"os"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/jsonpath"
)

// Waits look ten times a second. They print what kubectl get -o jsonpath would, without a process for each look, which
// would take the machine's time from the pods that they wait for.

// resources knows the names of resources as kubectl does, short ones among them.
var resources = sync.OnceValues(func() (meta.RESTMapper, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(client)
	return restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil), nil
})

// resourceNamed is the client of a resource by a name that kubectl takes.
func (s *space) resourceNamed(name string) (dynamic.ResourceInterface, error) {
	mapper, err := resources()
	if err != nil {
		return nil, err
	}
	gvr, err := mapper.ResourceFor(schema.ParseGroupResource(name).WithVersion(""))
	if meta.IsNoMatchError(err) {
		meta.MaybeResetRESTMapper(mapper) // it may have been defined since
		gvr, err = mapper.ResourceFor(schema.ParseGroupResource(name).WithVersion(""))
	}
	if err != nil {
		return nil, err
	}
	gvk, err := mapper.KindFor(gvr)
	if err != nil {
		return nil, err
	}
	mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	return s.resource(mapping.Resource, mapping.Scope.Name() == meta.RESTScopeNameRoot), nil
}

// tryRead gives what a JSONPath of an object, for example pod/p, prints now.
func (s *space) tryRead(object, path string) (string, error) {
	resource, name, _ := strings.Cut(object, "/")
	client, err := s.resourceNamed(resource)
	if err != nil {
		return "", err
	}
	o, err := client.Get(s.Context(), name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return printed(o.Object, path)
}

// read is tryRead; a failure ends the test.
func (s *space) read(object, path string) string {
	s.Helper()
	return must[string](s)(s.tryRead(object, path))
}

// readAll gives what a JSONPath of a list prints now.
func (s *space) readAll(resource string, which metav1.ListOptions, path string) string {
	s.Helper()
	client := must[dynamic.ResourceInterface](s)(s.resourceNamed(resource))
	list, err := client.List(s.Context(), which)
	if err != nil {
		s.Fatal(err)
	}
	return must[string](s)(printed(list.UnstructuredContent(), path))
}

// names are those of the objects with a label, in the order of the API.
func (s *space) names(resource, label string) []string {
	s.Helper()
	return strings.Fields(s.readAll(resource, metav1.ListOptions{LabelSelector: label}, ".items[*].metadata.name"))
}

func printed(content map[string]any, path string) (string, error) {
	template := jsonpath.New("out").AllowMissingKeys(true)
	if err := template.Parse("{" + path + "}"); err != nil {
		return "", err
	}
	var out strings.Builder
	err := template.Execute(&out, content)
	return strings.TrimSpace(out.String()), err
}
