package main

import (
	"net/http"
)

const (
	group   = "weather.e2e.pilotis.dev"
	version = group + "/v1"
)

// report is the one kind of the aggregated API. Each namespace has the report "today"; nothing is stored.
type report struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Sky        string            `json:"sky"`
	AskedBy    string            `json:"askedBy"` // the user whom the front proxy vouches for
}

// weather serves discovery of the group and its reports.
func weather(mux *http.ServeMux) {
	serve := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, v) })
	}
	preferred := map[string]string{"groupVersion": version, "version": "v1"}
	about := map[string]any{"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": []any{preferred}, "preferredVersion": preferred}
	serve("/apis/{$}", map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{about}})
	serve("/apis/"+group, about)
	serve("/apis/"+version, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": []any{
		map[string]any{"name": "reports", "singularName": "report", "namespaced": true, "kind": "Report", "verbs": []string{"get", "list"}},
	}})
	mux.HandleFunc("GET /apis/"+version+"/namespaces/{namespace}/reports", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"kind": "ReportList", "apiVersion": version, "metadata": map[string]any{}, "items": []any{today(r)}})
	})
	mux.HandleFunc("GET /apis/"+version+"/namespaces/{namespace}/reports/{name}", func(w http.ResponseWriter, r *http.Request) {
		if name := r.PathValue("name"); name != "today" {
			answer(w, http.StatusNotFound, status{Kind: "Status", APIVersion: "v1", Status: "Failure", Reason: "NotFound", Code: http.StatusNotFound,
				Message: `reports.` + group + ` "` + name + `" not found`})
			return
		}
		answer(w, http.StatusOK, today(r))
	})
}

func today(r *http.Request) report {
	user := "nobody that the front proxy vouches for"
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		user = r.Header.Get("X-Remote-User")
	}
	return report{APIVersion: version, Kind: "Report", Sky: "clear", AskedBy: user,
		Metadata: map[string]string{"name": "today", "namespace": r.PathValue("namespace")}}
}
