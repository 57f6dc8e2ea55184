package config

import (
	"encoding/json"
	"fmt"
)

// DeepCopy returns a copy that shares nothing with c. The wire form is the whole of the value, so copying goes through it.
func (c *ClusterConfiguration) DeepCopy() *ClusterConfiguration {
	data, err := json.Marshal(c)
	out := &ClusterConfiguration{}
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		panic(fmt.Sprintf("a ClusterConfiguration does not survive JSON: %v", err)) // only a change of the type can cause it
	}
	return out
}
