package main

import (
	"encoding/json"
	"net/http"
)

// admissionReview is the part of admission.k8s.io/v1 AdmissionReview that this webhook reads and writes.
type admissionReview struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Request    *admissionRequest  `json:"request,omitempty"`
	Response   *admissionResponse `json:"response,omitempty"`
}

type admissionRequest struct {
	UID       string  `json:"uid"`
	Operation string  `json:"operation"`
	Object    subject `json:"object"`
	OldObject subject `json:"oldObject"`
}

// subject is what the webhook knows of any object.
type subject struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Data map[string]string `json:"data"`
	Spec struct {
		InitContainers []json.RawMessage `json:"initContainers"`
		Containers     []struct {
			Image string `json:"image"`
		} `json:"containers"`
	} `json:"spec"`
}

// colour is what an object wears: data.colour, or the label of that name.
func (s subject) colour() (where, colour string) {
	if c := s.Data["colour"]; c != "" {
		return "data.colour", c
	}
	return "metadata.labels.colour", s.Metadata.Labels["colour"]
}

type admissionResponse struct {
	UID       string   `json:"uid"`
	Allowed   bool     `json:"allowed"`
	Status    *status  `json:"status,omitempty"`
	Patch     []byte   `json:"patch,omitempty"`
	PatchType string   `json:"patchType,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

type status struct {
	Kind       string `json:"kind,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
	Status     string `json:"status,omitempty"`
	Message    string `json:"message"`
	Reason     string `json:"reason,omitempty"`
	Code       int    `json:"code"`
}

// hooks are the webhooks, each at a path of its own.
func hooks(mux *http.ServeMux) {
	mux.HandleFunc("POST /mutate", review(func(_ *http.Request, in *admissionRequest) *admissionResponse { return addDatum(in.Object, "stamped") }))
	mux.HandleFunc("POST /mutate/{having}/{adding}", review(mutateHaving))
	mux.HandleFunc("POST /label", review(label))
	mux.HandleFunc("POST /initcontainer", review(addInitContainer))
	mux.HandleFunc("POST /validate", review(validate))
	mux.HandleFunc("POST /deny", review(deny))
	mux.HandleFunc("POST /hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("POST /convert", convert)
}

// review is the frame of a webhook: decode, decide, answer under the request's UID.
func review(decide func(*http.Request, *admissionRequest) *admissionResponse) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in admissionReview
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Request == nil {
			http.Error(w, "the body is no AdmissionReview with a request", http.StatusBadRequest)
			return
		}
		out := decide(r, in.Request)
		out.UID = in.Request.UID
		answer(w, http.StatusOK, admissionReview{APIVersion: in.APIVersion, Kind: in.Kind, Response: out})
	}
}

// patched allows the request with one JSON patch operation (RFC 6902) more.
func patched(path string, value any) *admissionResponse {
	patch, err := json.Marshal([]map[string]any{{"op": "add", "path": path, "value": value}})
	if err != nil {
		panic(err) // strings and maps of strings can be written
	}
	return &admissionResponse{Allowed: true, PatchType: "JSONPatch", Patch: patch}
}

// addDatum adds data.<key>: "yes". A patch cannot add a member to an object that is not there.
func addDatum(o subject, key string) *admissionResponse {
	if o.Data == nil {
		return patched("/data", map[string]string{key: "yes"})
	}
	return patched("/data/"+key, "yes")
}

// mutateHaving adds a datum to what has another one already.
func mutateHaving(r *http.Request, in *admissionRequest) *admissionResponse {
	if _, has := in.Object.Data[r.PathValue("having")]; !has {
		return &admissionResponse{Allowed: true}
	}
	return addDatum(in.Object, r.PathValue("adding"))
}

// label adds the label stamped: "yes".
func label(_ *http.Request, in *admissionRequest) *admissionResponse {
	if in.Object.Metadata.Labels == nil {
		return patched("/metadata/labels", map[string]string{"stamped": "yes"})
	}
	return patched("/metadata/labels/stamped", "yes")
}

// addInitContainer gives a pod without init containers one, with the name and the image alone.
func addInitContainer(_ *http.Request, in *admissionRequest) *admissionResponse {
	spec := in.Object.Spec
	if len(spec.InitContainers) > 0 || len(spec.Containers) == 0 {
		return &admissionResponse{Allowed: true}
	}
	return patched("/spec/initContainers", []map[string]string{{"name": "added", "image": spec.Containers[0].Image}})
}

// deny refuses everything.
func deny(_ *http.Request, in *admissionRequest) *admissionResponse {
	return &admissionResponse{Status: &status{Code: http.StatusForbidden, Message: in.Operation + " is not done here"}}
}

// validate refuses what wears mauve, or wore it when it is deleted, and warns of puce.
func validate(_ *http.Request, in *admissionRequest) *admissionResponse {
	object := in.Object
	if in.Operation == "DELETE" {
		object = in.OldObject
	}
	switch where, colour := object.colour(); colour {
	case "mauve":
		return &admissionResponse{Status: &status{Code: http.StatusForbidden, Message: where + ": mauve is not worn here"}}
	case "puce":
		return &admissionResponse{Allowed: true, Warnings: []string{where + ": puce goes out of fashion"}}
	default:
		return &admissionResponse{Allowed: true}
	}
}
