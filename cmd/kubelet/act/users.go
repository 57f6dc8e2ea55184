package act

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// users gives the pod's user namespace: the host's unless hostUsers is false. A pod that asks for one of its own never
// runs without.
func (a *Actor) users(pod *v1.Pod) (*runtimeapi.UserNamespace, error) {
	if pod.Spec.HostUsers == nil || *pod.Spec.HostUsers {
		return &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_NODE}, nil
	}
	if a.Users == nil {
		return nil, fmt.Errorf("spec.hostUsers: false: this kubelet has no user namespaces")
	}
	m, err := a.Users.Assign(pod.UID)
	if err != nil {
		return nil, fmt.Errorf("spec.hostUsers: false: %w", err)
	}
	ids := []*runtimeapi.IDMapping{{HostId: m.HostID, ContainerId: 0, Length: m.Length}}
	return &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: ids, Gids: ids}, nil
}

// mapMounts makes files look owned as in the pod's user namespace, whoever owns them on the host.
func mapMounts(mounts []*runtimeapi.Mount, users *runtimeapi.UserNamespace) {
	if users.GetMode() != runtimeapi.NamespaceMode_POD {
		return
	}
	for _, m := range mounts {
		m.UidMappings, m.GidMappings = users.Uids, users.Gids
	}
}
