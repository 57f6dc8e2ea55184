package server

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/emicklei/go-restful/v3"
)

// router selects the route that restful.CurlyRouter would, which compares a path with each of the hundreds of routes of an
// API group: it looks the path up in a tree. What needs more than a look, such as a request that no route takes, it leaves
// to CurlyRouter, which knows how to refuse it.
type router struct {
	restful.CurlyRouter
	known atomic.Pointer[routeIndex]
}

// routeIndex has the trees of services, by their root paths without slashes around them.
type routeIndex struct {
	services []*restful.WebService
	trees    map[string]*routeTree
	depth    int // segments of the longest root path
}

type routeTree struct {
	service *restful.WebService
	size    int // routes of the service when the tree was built
	root    *routeNode
}

// routeNode is a segment of a path, with the routes that end there and those that take all that follows, each by method.
type routeNode struct {
	literals   map[string]*routeNode
	parameter  *routeNode
	ends, rest map[string]*restful.Route
}

// SelectRoute is that of restful.RouteSelector.
func (r *router) SelectRoute(services []*restful.WebService, request *http.Request) (*restful.WebService, *restful.Route, error) {
	if service, route := r.index(services).find(request); route != nil {
		return service, route, nil
	}
	return r.CurlyRouter.SelectRoute(services, request)
}

// index is built anew when services were added, which happens while a server starts.
func (r *router) index(services []*restful.WebService) *routeIndex {
	if known := r.known.Load(); known != nil && slices.Equal(known.services, services) {
		return known
	}
	index := &routeIndex{services: slices.Clone(services), trees: map[string]*routeTree{}}
	for _, service := range services {
		path := strings.Trim(service.RootPath(), "/")
		if tree := newRouteTree(service); tree != nil && index.trees[path] == nil {
			index.trees[path] = tree
			index.depth = max(index.depth, 1+strings.Count(path, "/"))
			continue
		}
		// A root that is not understood may be the one for any path.
		index.trees, index.depth = nil, 0
		break
	}
	r.known.Store(index)
	return index
}

// find gives nil when there is not exactly one route of the request's method, or its media types do not plainly fit.
func (x *routeIndex) find(request *http.Request) (*restful.WebService, *restful.Route) {
	path := strings.Trim(request.URL.Path, "/")
	tree, rest := x.serviceOf(path)
	if tree == nil || tree.root == nil || tree.size != len(tree.service.Routes()) {
		return nil, nil
	}
	route, matches := tree.root.find(rest, request.Method)
	if matches != 1 || !plainlyFits(route.Consumes, request.Header.Get(restful.HEADER_ContentType)) {
		return nil, nil
	}
	accept := request.Header.Get(restful.HEADER_Accept)
	if accept != "" && accept != "*/*" && !plainlyFits(route.Produces, accept) {
		return nil, nil
	}
	return tree.service, route
}

// serviceOf is the service with the longest root path that path begins with, and what follows that.
func (x *routeIndex) serviceOf(path string) (*routeTree, string) {
	end := 0
	for range x.depth {
		next := strings.IndexByte(path[end:], '/')
		if next < 0 {
			end = len(path)
			break
		}
		end += next + 1
	}
	for end > 0 {
		root := strings.TrimSuffix(path[:end], "/")
		if tree := x.trees[root]; tree != nil {
			return tree, strings.TrimPrefix(path[len(root):], "/")
		}
		end = strings.LastIndexByte(root, '/') + 1
	}
	return nil, ""
}

// newRouteTree is nil for a root path with parameters, and has no root if a route has what the tree does not know:
// conditions, verbs after a colon, expressions.
func newRouteTree(service *restful.WebService) *routeTree {
	root := strings.Trim(service.RootPath(), "/")
	if root == "" || strings.Contains(root, "{") {
		return nil
	}
	tree := &routeTree{service: service, size: len(service.Routes()), root: &routeNode{}}
	for i := range service.Routes() {
		route := &service.Routes()[i]
		below, ok := strings.CutPrefix(strings.Trim(route.Path, "/"), root)
		if !ok || len(route.If) > 0 || !tree.root.add(strings.TrimPrefix(below, "/"), route) {
			tree.root = nil
			break
		}
	}
	return tree
}

func (n *routeNode) add(path string, route *restful.Route) bool {
	for path != "" {
		var segment string
		segment, path, _ = strings.Cut(path, "/")
		switch {
		case strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, ":*}") && path == "":
			return put(&n.rest, route)
		case strings.Contains(segment, ":"), strings.Contains(segment, "{") && (segment[0] != '{' || segment[len(segment)-1] != '}'):
			return false
		case segment[0] == '{':
			if n.parameter == nil {
				n.parameter = &routeNode{}
			}
			n = n.parameter
		default:
			if n.literals == nil {
				n.literals = map[string]*routeNode{}
			}
			if n.literals[segment] == nil {
				n.literals[segment] = &routeNode{}
			}
			n = n.literals[segment]
		}
	}
	return put(&n.ends, route)
}

func put(routes *map[string]*restful.Route, route *restful.Route) bool {
	if *routes == nil {
		*routes = map[string]*restful.Route{}
	}
	if (*routes)[route.Method] != nil {
		return false
	}
	(*routes)[route.Method] = route
	return true
}

// find is a route for the path and the method, and how many there are.
func (n *routeNode) find(path, method string) (*restful.Route, int) {
	if path == "" {
		return oneOrNone(n.ends[method])
	}
	route, matches := oneOrNone(n.rest[method])
	segment, path, _ := strings.Cut(path, "/")
	for _, next := range [...]*routeNode{n.literals[segment], n.parameter} {
		if next == nil {
			continue
		}
		if r, count := next.find(path, method); count > 0 {
			route, matches = r, matches+count
		}
	}
	return route, matches
}

func oneOrNone(route *restful.Route) (*restful.Route, int) {
	if route == nil {
		return nil, 0
	}
	return route, 1
}

// plainlyFits tells whether the first media type of a header is among those of a route, or any will do.
func plainlyFits(types []string, header string) bool {
	if end := strings.IndexAny(header, ",; "); end >= 0 {
		header = header[:end]
	}
	return len(types) == 0 || slices.Contains(types, header) || slices.Contains(types, "*/*")
}
