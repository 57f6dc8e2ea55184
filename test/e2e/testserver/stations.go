package main

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// stations are the stored objects of the aggregated API, as long as the process lives.
type stations struct {
	mu      sync.Mutex
	version int // of the last write
	objects []station
}

type station struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   stationMetadata `json:"metadata"`
	Spec       json.RawMessage `json:"spec,omitempty"`
	FoundedBy  string          `json:"foundedBy"` // the user who created it
}

type stationMetadata struct {
	Name              string            `json:"name"`
	Namespace         string            `json:"namespace"`
	UID               string            `json:"uid"`
	ResourceVersion   string            `json:"resourceVersion"`
	CreationTimestamp time.Time         `json:"creationTimestamp"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
}

// of gives the place of a station, -1 without one. The caller holds the lock.
func (s *stations) of(namespace, name string) int {
	return slices.IndexFunc(s.objects, func(o station) bool { return o.Metadata.Namespace == namespace && o.Metadata.Name == name })
}

// next is a resource version that no object had. The caller holds the lock.
func (s *stations) next() string {
	s.version++
	return strconv.Itoa(s.version)
}

// decodeStation reads a request's body; without one that is right the request is answered.
func (a *weather) decodeStation(w http.ResponseWriter, r *http.Request) (station, bool) {
	var o station
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil || o.APIVersion != a.version() || o.Kind != "Station" || o.Metadata.Name == "" {
		a.refuse(w, http.StatusBadRequest, "BadRequest", "stations", o.Metadata.Name, "is no Station with a name")
		return o, false
	}
	o.Metadata.Namespace = r.PathValue("namespace")
	return o, true
}

// listStations gives those that have the labels of labelSelector, a list of key=value.
func (a *weather) listStations(w http.ResponseWriter, r *http.Request) {
	a.stations.mu.Lock()
	defer a.stations.mu.Unlock()
	items := []station{}
	for _, o := range a.stations.objects {
		if o.Metadata.Namespace == r.PathValue("namespace") && hasLabels(o.Metadata.Labels, r.URL.Query().Get("labelSelector")) {
			items = append(items, o)
		}
	}
	answer(w, http.StatusOK, map[string]any{"kind": "StationList", "apiVersion": a.version(), "items": items,
		"metadata": map[string]string{"resourceVersion": strconv.Itoa(a.stations.version)}})
}

func hasLabels(labels map[string]string, selector string) bool {
	for part := range strings.SplitSeq(selector, ",") {
		key, value, _ := strings.Cut(part, "=")
		if part != "" && labels[key] != strings.TrimPrefix(value, "=") {
			return false
		}
	}
	return true
}

func (a *weather) createStation(w http.ResponseWriter, r *http.Request) {
	o, ok := a.decodeStation(w, r)
	if !ok {
		return
	}
	a.stations.mu.Lock()
	defer a.stations.mu.Unlock()
	if a.stations.of(o.Metadata.Namespace, o.Metadata.Name) >= 0 {
		a.refuse(w, http.StatusConflict, "AlreadyExists", "stations", o.Metadata.Name, "already exists")
		return
	}
	o.FoundedBy = asker(r)
	o.Metadata.UID, o.Metadata.CreationTimestamp, o.Metadata.ResourceVersion = rand.Text(), time.Now().UTC().Truncate(time.Second), a.stations.next()
	a.stations.objects = append(a.stations.objects, o)
	answer(w, http.StatusCreated, o)
}

// found runs act on the station that the request names, under the lock, or answers that there is none.
func (a *weather) found(w http.ResponseWriter, r *http.Request, act func(place int)) {
	a.stations.mu.Lock()
	defer a.stations.mu.Unlock()
	place := a.stations.of(r.PathValue("namespace"), r.PathValue("name"))
	if place < 0 {
		a.refuse(w, http.StatusNotFound, "NotFound", "stations", r.PathValue("name"), "not found")
		return
	}
	act(place)
}

func (a *weather) getStation(w http.ResponseWriter, r *http.Request) {
	a.found(w, r, func(place int) { answer(w, http.StatusOK, a.stations.objects[place]) })
}

// updateStation replaces labels, annotations and spec of the version that the request names.
func (a *weather) updateStation(w http.ResponseWriter, r *http.Request) {
	o, ok := a.decodeStation(w, r)
	if !ok {
		return
	}
	a.found(w, r, func(place int) {
		now := &a.stations.objects[place]
		if o.Metadata.ResourceVersion != "" && o.Metadata.ResourceVersion != now.Metadata.ResourceVersion {
			a.refuse(w, http.StatusConflict, "Conflict", "stations", o.Metadata.Name, "has changed since it was read")
			return
		}
		now.Metadata.Labels, now.Metadata.Annotations, now.Spec = o.Metadata.Labels, o.Metadata.Annotations, o.Spec
		now.Metadata.ResourceVersion = a.stations.next()
		answer(w, http.StatusOK, *now)
	})
}

func (a *weather) deleteStation(w http.ResponseWriter, r *http.Request) {
	a.found(w, r, func(place int) {
		answer(w, http.StatusOK, a.stations.objects[place])
		a.stations.objects = slices.Delete(a.stations.objects, place, place+1)
	})
}
