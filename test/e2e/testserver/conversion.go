package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// conversionReview is the part of apiextensions.k8s.io/v1 ConversionReview that this webhook reads and writes.
type conversionReview struct {
	APIVersion string              `json:"apiVersion"`
	Kind       string              `json:"kind"`
	Request    *conversionRequest  `json:"request,omitempty"`
	Response   *conversionResponse `json:"response,omitempty"`
}

type conversionRequest struct {
	UID               string           `json:"uid"`
	DesiredAPIVersion string           `json:"desiredAPIVersion"`
	Objects           []map[string]any `json:"objects"`
}

type conversionResponse struct {
	UID              string           `json:"uid"`
	Result           status           `json:"result"`
	ConvertedObjects []map[string]any `json:"convertedObjects"`
}

// convert brings objects of any group to another version. A v1 has address: "host:port", a v2 has host and port.
func convert(w http.ResponseWriter, r *http.Request) {
	var in conversionReview
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Request == nil {
		http.Error(w, "the body is no ConversionReview with a request", http.StatusBadRequest)
		return
	}
	out := &conversionResponse{UID: in.Request.UID, Result: status{Status: "Success", Code: http.StatusOK}}
	for _, o := range in.Request.Objects {
		if err := toVersion(o, in.Request.DesiredAPIVersion); err != nil {
			out.Result = status{Status: "Failure", Message: err.Error(), Code: http.StatusUnprocessableEntity}
			out.ConvertedObjects = nil
			break
		}
		out.ConvertedObjects = append(out.ConvertedObjects, o)
	}
	answer(w, http.StatusOK, conversionReview{APIVersion: in.APIVersion, Kind: in.Kind, Response: out})
}

// toVersion changes the object in place.
func toVersion(o map[string]any, apiVersion string) error {
	from, _ := o["apiVersion"].(string)
	switch from[strings.LastIndex(from, "/")+1:] + " to " + apiVersion[strings.LastIndex(apiVersion, "/")+1:] {
	case "v1 to v2":
		address, _ := o["address"].(string)
		host, port, found := strings.Cut(address, ":")
		if !found {
			return fmt.Errorf("address: %q is not host:port", address)
		}
		o["host"], o["port"] = host, port
		delete(o, "address")
	case "v2 to v1":
		o["address"] = fmt.Sprint(o["host"], ":", o["port"])
		delete(o, "host")
		delete(o, "port")
	default:
		return fmt.Errorf("no way from %s to %s", from, apiVersion)
	}
	o["apiVersion"] = apiVersion
	return nil
}
