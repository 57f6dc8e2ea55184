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
	UID    string    `json:"uid"`
	Object configMap `json:"object"`
}

type configMap struct {
	Data map[string]string `json:"data"`
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

// review is the frame of a webhook: decode, decide, answer under the request's UID.
func review(decide func(configMap) *admissionResponse) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in admissionReview
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Request == nil {
			http.Error(w, "the body is no AdmissionReview with a request", http.StatusBadRequest)
			return
		}
		out := decide(in.Request.Object)
		out.UID = in.Request.UID
		answer(w, http.StatusOK, admissionReview{APIVersion: in.APIVersion, Kind: in.Kind, Response: out})
	}
}

// mutate adds data.stamped: "yes". JSON patch (RFC 6902) cannot add a member to an object that is not there.
func mutate(c configMap) *admissionResponse {
	patch := `[{"op":"add","path":"/data/stamped","value":"yes"}]`
	if c.Data == nil {
		patch = `[{"op":"add","path":"/data","value":{"stamped":"yes"}}]`
	}
	return &admissionResponse{Allowed: true, PatchType: "JSONPatch", Patch: []byte(patch)}
}

// validate refuses data.colour: "mauve" and warns of data.colour: "puce".
func validate(c configMap) *admissionResponse {
	switch c.Data["colour"] {
	case "mauve":
		return &admissionResponse{Status: &status{Code: http.StatusForbidden, Message: "data.colour: mauve is not worn here"}}
	case "puce":
		return &admissionResponse{Allowed: true, Warnings: []string{"data.colour: puce goes out of fashion"}}
	default:
		return &admissionResponse{Allowed: true}
	}
}
