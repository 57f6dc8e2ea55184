package faults

import "encoding/json"

// generatedFrom is the name of an object that is to be created, or what it is to be made from.
func generatedFrom(body []byte) string {
	var o struct {
		Metadata struct {
			Name         string `json:"name"`
			GenerateName string `json:"generateName"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(body, &o) // what is no object has no name
	if o.Metadata.Name != "" {
		return o.Metadata.Name
	}
	return o.Metadata.GenerateName + "*"
}
