package main

import (
	"net/http"
)

// weather is the aggregated API: a group with reports, which come from nowhere, and stations, which are stored.
type weather struct {
	group    string
	stations stations
}

// report is what each namespace has one of, "today"; nothing is stored.
type report struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Sky        string            `json:"sky"`
	AskedBy    string            `json:"askedBy"` // the user whom the front proxy vouches for
}

func (a *weather) version() string { return a.group + "/v1" }

// serve serves discovery of the group and what is in it.
func (a *weather) serve(mux *http.ServeMux) {
	serve := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, v) })
	}
	preferred := map[string]string{"groupVersion": a.version(), "version": "v1"}
	about := map[string]any{"kind": "APIGroup", "apiVersion": "v1", "name": a.group, "versions": []any{preferred}, "preferredVersion": preferred}
	serve("/apis/{$}", map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{about}})
	serve("/apis/"+a.group, about)
	serve("/apis/"+a.version(), map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": a.version(), "resources": []any{
		map[string]any{"name": "reports", "singularName": "report", "namespaced": true, "kind": "Report", "verbs": []string{"get", "list"}},
		map[string]any{"name": "stations", "singularName": "station", "namespaced": true, "kind": "Station", "verbs": []string{"create", "delete", "get", "list", "update"}},
	}})
	in := "/apis/" + a.version() + "/namespaces/{namespace}/"
	mux.HandleFunc("GET "+in+"reports", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"kind": "ReportList", "apiVersion": a.version(), "metadata": map[string]any{}, "items": []any{a.today(r)}})
	})
	mux.HandleFunc("GET "+in+"reports/{name}", func(w http.ResponseWriter, r *http.Request) {
		if name := r.PathValue("name"); name != "today" {
			a.refuse(w, http.StatusNotFound, "NotFound", "reports", name, "not found")
			return
		}
		answer(w, http.StatusOK, a.today(r))
	})
	mux.HandleFunc("GET "+in+"stations", a.listStations)
	mux.HandleFunc("POST "+in+"stations", a.createStation)
	mux.HandleFunc("GET "+in+"stations/{name}", a.getStation)
	mux.HandleFunc("PUT "+in+"stations/{name}", a.updateStation)
	mux.HandleFunc("DELETE "+in+"stations/{name}", a.deleteStation)
}

// refuse answers with a Status about one object.
func (a *weather) refuse(w http.ResponseWriter, code int, reason, resource, name, why string) {
	answer(w, code, status{Kind: "Status", APIVersion: "v1", Status: "Failure", Reason: reason, Code: code,
		Message: resource + "." + a.group + ` "` + name + `" ` + why})
}

func (a *weather) today(r *http.Request) report {
	return report{APIVersion: a.version(), Kind: "Report", Sky: "clear", AskedBy: asker(r),
		Metadata: map[string]string{"name": "today", "namespace": r.PathValue("namespace")}}
}

// asker is the user whom the front proxy names, if its certificate shows that it is one.
func asker(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return r.Header.Get("X-Remote-User")
	}
	return "nobody that the front proxy vouches for"
}
