package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// The metrics APIs, as an autoscaler reads them. What a metric shows is said by who asks, so that a test decides it:
// "queue-30" reads 30, be it external or of an object. What pods use stands in their annotations cpu.tests.pilotis.dev
// and requests.tests.pilotis.dev; a pod without one has no sample. cpu.tests.pilotis.dev is of the container c, with
// /NAME behind it of another one.
const (
	resourceMetrics = "metrics.k8s.io/v1beta1"
	customMetrics   = "custom.metrics.k8s.io/v1beta2"
	externalMetrics = "external.metrics.k8s.io/v1beta1"
)

// metrics serves metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
func metrics(mux *http.ServeMux) {
	for _, version := range []string{resourceMetrics, customMetrics, externalMetrics} {
		var resources []any
		if version == resourceMetrics {
			resources = []any{map[string]any{"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": []string{"get", "list"}}}
		}
		mux.HandleFunc("GET /apis/"+version, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusOK, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": append([]any{}, resources...)})
		})
	}
	mux.HandleFunc("GET /apis/"+resourceMetrics+"/namespaces/{namespace}/pods", usageOfPods)
	mux.HandleFunc("GET /apis/"+externalMetrics+"/namespaces/{namespace}/{metric}", func(w http.ResponseWriter, r *http.Request) {
		items := []any{}
		if value := reading(r.PathValue("metric")); value != "" {
			items = append(items, map[string]any{"metricName": r.PathValue("metric"), "timestamp": now(), "value": value, "metricLabels": map[string]string{}})
		}
		answer(w, http.StatusOK, list("ExternalMetricValueList", externalMetrics, items))
	})
	mux.HandleFunc("GET /apis/"+customMetrics+"/namespaces/{namespace}/{resource}/{object}/{metric}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("object") == "*" {
			metricOfPods(w, r)
			return
		}
		answer(w, http.StatusOK, list("MetricValueList", customMetrics, []any{customValue(r, r.PathValue("object"), reading(r.PathValue("metric")))}))
	})
}

// reading is what the name of a metric says.
func reading(metric string) string {
	_, value, _ := strings.Cut(metric, "-")
	return value
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

func list(kind, version string, items []any) map[string]any {
	return map[string]any{"kind": kind, "apiVersion": version, "metadata": map[string]any{}, "items": items}
}

func customValue(r *http.Request, object, value string) any {
	return map[string]any{"describedObject": map[string]string{"kind": "Pod", "namespace": r.PathValue("namespace"), "name": object},
		"metric": map[string]string{"name": r.PathValue("metric")}, "timestamp": now(), "value": value}
}

func usageOfPods(w http.ResponseWriter, r *http.Request) {
	pods, err := podsOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	items := []any{}
	for _, p := range pods {
		if containers := p.usage(); len(containers) > 0 {
			items = append(items, map[string]any{"metadata": map[string]string{"name": p.Metadata.Name, "namespace": r.PathValue("namespace")}, "timestamp": now(), "window": "1s", "containers": containers})
		}
	}
	answer(w, http.StatusOK, list("PodMetricsList", resourceMetrics, items))
}

func metricOfPods(w http.ResponseWriter, r *http.Request) {
	pods, err := podsOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	items := []any{}
	for _, p := range pods {
		if value := p.Metadata.Annotations[r.PathValue("metric")+".tests.pilotis.dev"]; value != "" {
			items = append(items, customValue(r, p.Metadata.Name, value))
		}
	}
	answer(w, http.StatusOK, list("MetricValueList", customMetrics, items))
}

type pod struct {
	Metadata struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// usage is what the pod's annotations say of its containers.
func (p pod) usage() (containers []any) {
	for key, cpu := range p.Metadata.Annotations {
		of, container, named := strings.Cut(key, "/")
		if !named {
			container = "c"
		}
		if of == "cpu.tests.pilotis.dev" {
			containers = append(containers, map[string]any{"name": container, "usage": map[string]string{"cpu": cpu, "memory": "1Mi"}})
		}
	}
	return containers
}

// podsOf reads the pods of the request's namespace and selector with this pod's own service account.
func podsOf(r *http.Request) ([]pod, error) {
	const account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("the service account's ca.crt holds no certificate")
	}
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	address := "https://" + os.Getenv("KUBERNETES_SERVICE_HOST") + "/api/v1/namespaces/" + r.PathValue("namespace") + "/pods?labelSelector=" + url.QueryEscape(r.URL.Query().Get("labelSelector"))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API answers %s", response.Status)
	}
	var found struct {
		Items []pod `json:"items"`
	}
	return found.Items, json.NewDecoder(response.Body).Decode(&found)
}
