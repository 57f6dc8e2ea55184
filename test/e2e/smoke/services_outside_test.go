package smoke

import (
	"strings"
)

func internalPolicyLocal(w town) {
	ip, _ := w.service("near", "{internalTrafficPolicy: Local, selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}")
	for n, client := range []string{"client-0", "client-1"} {
		w.hears([]string{"server-0", "server-1"}[n], client, "--count=8", "tcp://"+ip+":80")
	}
	ip, _ = w.service("near-0", "{internalTrafficPolicy: Local, selector: {who: server-0}, ports: [{port: 80, targetPort: 8080}]}")
	w.hears("server-0", "client-0", "tcp://"+ip+":80")
	w.hears("timeout", "client-1", "tcp://"+ip+":80")
}

// externalPolicyLocal: traffic from outside stays on its node and keeps its sender's address, and load balancers are told
// which nodes have endpoints. One node stands in for the outside of the other.
func externalPolicyLocal(w town) {
	_, ports := w.service("open", "{type: NodePort, selector: {who: server-0}, ports: [{port: 80, targetPort: 8080}]}")
	for _, host := range w.hosts {
		w.hears("server-0", w.nodes[1], "tcp://"+host+":"+ports[0])
	}
	if answer := w.ask(w.nodes[1], "tcp://"+w.hosts[0]+":"+ports[0])[0]; strings.HasSuffix(answer, " "+w.hosts[1]) {
		w.t.Errorf("with policy Cluster the answers must come back through the node asked, but the pod saw the asker: %s", answer)
	}

	ip, ports := w.service("local", "{type: LoadBalancer, externalTrafficPolicy: Local, selector: {who: server-0}, ports: [{port: 80, targetPort: 8080}]}")
	at := func(host string) string { return "tcp://" + host + ":" + ports[0] }
	w.hears("server-0", w.nodes[1], at(w.hosts[0]))
	if answer := w.ask(w.nodes[1], at(w.hosts[0]))[0]; answer != "server-0 8080 "+w.hosts[1] {
		w.t.Errorf("the pod answered %q, not the sender's own address %s", answer, w.hosts[1])
	}
	w.hears("timeout", w.nodes[0], at(w.hosts[1]))                  // from outside, where there is no endpoint
	w.hears("server-0", w.nodes[1], at(w.hosts[1]))                 // from the node itself
	w.hears("server-0", "client-1", at(w.hosts[1]))                 // from a pod
	w.hears("server-0", "client-1", "--count=3", "tcp://"+ip+":80") // the cluster IP is not concerned

	check := w.must("get", "service", "local", "-o", "jsonpath={.spec.healthCheckNodePort}")
	out, err := w.try("exec", "client-1", "--", "wget", "-qO-", "http://"+w.hosts[0]+":"+check)
	if err != nil || !strings.Contains(out, `"localEndpoints":1`) {
		w.t.Errorf("health check of the node with the endpoint: %s %v", out, err)
	}
	if out, err = w.try("exec", "client-1", "--", "wget", "-qO-", "http://"+w.hosts[1]+":"+check); err == nil || !strings.Contains(err.Error(), "503") {
		w.t.Errorf("health check of the node without endpoint, want 503: %s %v", out, err)
	}
}

// sourceRangesGuard writes the load balancer's address as a cloud's controller would.
func sourceRangesGuard(w town) {
	const address = "192.0.2.10" // of a range for documentation: it leads nowhere
	w.service("guarded", "{type: LoadBalancer, loadBalancerSourceRanges: ["+w.clients[0]+"/32], selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}")
	w.must("patch", "service", "guarded", "--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"`+address+`"}]}}}`)
	w.hears(both, "client-0", "--count=12", "tcp://"+address+":80")
	w.hears("timeout", "client-1", "tcp://"+address+":80")
	w.must("patch", "service", "guarded", "--type=merge", "-p", `{"spec":{"loadBalancerSourceRanges":null}}`)
	w.hears(both, "client-1", "--count=12", "tcp://"+address+":80")
}

// externalIPsAreRefused unless the administrator allows them (docs/decisions/0040).
func externalIPsAreRefused(w town) {
	_, err := w.tryWith("apiVersion: v1\nkind: Service\nmetadata: {name: taken}\nspec: {externalIPs: [192.0.2.20], ports: [{port: 80}]}\n", "apply", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "spec.externalIPs: 192.0.2.20") || !strings.Contains(err.Error(), "DenyServiceExternalIPs") {
		w.t.Errorf("want a refusal that names the field and how to allow it: %v", err)
	}
}

func hostPorts(w town) {
	w.apply(`
apiVersion: v1
kind: Pod
metadata: {name: hostport}
spec:
  nodeName: ` + w.nodes[1] + `
  terminationGracePeriodSeconds: 0
  containers:
  - name: server
    image: IMAGE
    command: [witness, serve, "--tcp=8080", "--udp=8080"]
    ports: [{containerPort: 8080, hostPort: 18080}, {containerPort: 8080, hostPort: 18080, protocol: UDP}]
`)
	at := w.hosts[1] + ":18080"
	for _, from := range []string{"client-0", "client-1", w.nodes[0], w.nodes[1]} {
		w.hears("hostport", from, "tcp://"+at, "udp://"+at)
	}
	w.hears("refused", "client-0", "tcp://"+w.hosts[0]+":18080")
	w.must("delete", "pod", "hostport")
	w.hears("refused", "client-0", "tcp://"+at)
}

// hostNetworkPods have their node's address, serve behind Services, and resolve names as their dnsPolicy says.
func hostNetworkPods(w town) {
	host := func(name, more string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {who: " + name + "}}\nspec:\n  nodeName: worker-1\n  terminationGracePeriodSeconds: 0\n" + more
	}
	serve := `  containers: [{name: c, image: IMAGE, command: [witness, serve, --tcp=PORT, --name=NAME]}]` + "\n---\n"
	w.apply(host("host", "  hostNetwork: true\n  dnsPolicy: ClusterFirstWithHostNet\n"+strings.NewReplacer("PORT", "18081", "NAME", "host").Replace(serve)) +
		host("host-plain", "  hostNetwork: true\n"+strings.NewReplacer("PORT", "18082", "NAME", "host-plain").Replace(serve)) +
		host("default", "  dnsPolicy: Default\n"+strings.NewReplacer("PORT", "8080", "NAME", "default").Replace(serve)) +
		host("own", "  dnsPolicy: None\n  dnsConfig: {nameservers: [10.96.0.10], searches: [svc.cluster.local], options: [{name: ndots, value: \"3\"}]}\n"+strings.NewReplacer("PORT", "8080", "NAME", "own").Replace(serve)))
	w.must("wait", "--for=condition=Ready", "pod/host", "pod/host-plain", "pod/default", "pod/own", "--timeout=90s")
	if ip := w.must("get", "pod", "host", "-o", "jsonpath={.status.podIP} {.status.hostIP}"); ip != w.hosts[1]+" "+w.hosts[1] {
		w.t.Errorf("addresses %s, want the node's %s", ip, w.hosts[1])
	}
	ip, _ := w.service("on-host", "{selector: {who: host}, ports: [{port: 80, targetPort: 18081}]}")
	for _, from := range []string{"client-0", "client-1", "host"} {
		w.hears("host", from, "tcp://"+ip+":80")
	}
	w.hears("host", "host", "tcp://on-host:80")
	resolv := func(pod string) string { return w.must("exec", pod, "--", "cat", "/etc/resolv.conf") }
	search := "search " + w.name + ".svc.cluster.local svc.cluster.local cluster.local"
	for pod, want := range map[string][]string{"host": {search, "nameserver 10.96.0.10", "options ndots:5"}, "client-0": {search, "nameserver 10.96.0.10"},
		"own": {"search svc.cluster.local\n", "nameserver 10.96.0.10", "options ndots:3"}} {
		for _, line := range want {
			if got := resolv(pod) + "\n"; !strings.Contains(got, line) {
				w.t.Errorf("%s: %q is missing in resolv.conf:\n%s", pod, line, got)
			}
		}
	}
	for _, pod := range []string{"host-plain", "default"} {
		if got := resolv(pod); strings.Contains(got, "cluster.local") || strings.Contains(got, "10.96.0.10") {
			w.t.Errorf("%s should have the node's own name servers:\n%s", pod, got)
		}
	}
}
