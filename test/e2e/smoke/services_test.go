package smoke

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// town has, on each of the two nodes, a pod that answers with its name (test/e2e/witness) and one that asks.
type town struct {
	space
	nodes            []string // names
	hosts            []string // their addresses
	servers, clients []string // addresses of the pods server-<n> and client-<n> on node n
}

const resident = `
apiVersion: v1
kind: Pod
metadata: {name: server-N, labels: {app: server, who: server-N}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 0
  containers:
  - name: server
    image: IMAGE
    command: [witness, serve, "--tcp=8080,9090", "--udp=8080"]
    ports: [{name: web, containerPort: WEB}]
    readinessProbe: {tcpSocket: {port: 9090}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: client-N, labels: {app: client}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 0
  containers: [{name: client, image: IMAGE, command: [sleep, "100000"]}]
---
`

func newTown(t *testing.T) town {
	t.Helper()
	w := town{space: newSpace(t), nodes: []string{"control-plane", "worker-1"}}
	var manifest string
	for n, node := range w.nodes {
		web := []string{"8080", "9090"}[n]
		manifest += strings.NewReplacer("server-N", fmt.Sprintf("server-%d", n), "client-N", fmt.Sprintf("client-%d", n), "NODE", node, "WEB", web).Replace(resident)
	}
	w.apply(manifest)
	w.must("wait", "--for=condition=Ready", "pods", "--all", "--timeout=90s")
	pods := func(label, field string) []string {
		return strings.Fields(w.must("get", "pods", "-l", "app="+label, "--sort-by=.metadata.name", "-o", "jsonpath={.items[*].status."+field+"}"))
	}
	w.hosts, w.servers, w.clients = pods("server", "hostIP"), pods("server", "podIP"), pods("client", "podIP")
	return w
}

// in is the town as a parallel subtest sees it.
func (w town) in(t *testing.T) town {
	w.space = w.space.in(t)
	return w
}

// service applies a Service, whose address and node ports it gives.
func (w town) service(name, spec string) (clusterIP string, nodePorts []string) {
	w.t.Helper()
	out, err := w.tryWith("apiVersion: v1\nkind: Service\nmetadata: {name: "+name+"}\nspec: "+spec+"\n",
		"apply", "-f", "-", "-o", "jsonpath={.spec.clusterIP} {.spec.ports[*].nodePort}")
	if err != nil {
		w.t.Fatal(err)
	}
	fields := strings.Fields(out)
	return fields[0], fields[1:]
}

// ask runs witness ask in a pod, or in the network of a node, and gives its lines.
func (w town) ask(from string, args ...string) []string {
	w.t.Helper()
	var out string
	var err error
	if slices.Contains(w.nodes, from) {
		command := filepath.Join(programDir, "witness") + " ask " + strings.Join(args, " ")
		out, err = run(context.Background(), "", "bin/cluster", "enter", "--name="+clusterName(), "--node="+from, "--command="+command)
	} else {
		out, err = w.try(append([]string{"exec", from, "--", "witness", "ask"}, args...)...)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// heard gives who answered, each once: names of pods, refused, timeout.
func heard(lines []string) string {
	var names []string
	for _, l := range lines {
		name, _, _ := strings.Cut(l, " ")
		if name == "error:" {
			name = l
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// hears asks until those who answer are want: rules follow a change of the API within moments.
func (w town) hears(want, from string, args ...string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%q to answer %s asking %s", want, from, strings.Join(args, " ")), func() (string, bool) {
		got := heard(w.ask(from, args...))
		return got, got == want
	})
}

const both = "server-0 server-1"

// TestServices asks through Services of every kind, on two nodes.
func TestServices(t *testing.T) {
	w := newTown(t)
	for _, tt := range []struct {
		name string
		run  func(town)
	}{
		{"UDP", udpServices},
		{"UDPFlowsMoveOn", udpFlowsMoveOn},
		{"SCTP", sctpServices},
		{"Affinity", clientsStay},
		{"Hairpin", podsReachThemselves},
		{"NoEndpoints", nobodyThereIsRefused},
		{"RequestLoop", endpointsComeAndGo},
		{"NamedPorts", portsHaveNames},
		{"TypeChanges", typesChange},
		{"ClusterIPReuse", addressesAreUsedAgain},
		{"Terminating", lastEndpointServesToTheEnd},
		{"InternalTrafficPolicy", internalPolicyLocal},
		{"ExternalTrafficPolicy", externalPolicyLocal},
		{"SourceRanges", sourceRangesGuard},
		{"ExternalIPs", externalIPsAreRefused},
		{"HostPort", hostPorts},
		{"HostNetwork", hostNetworkPods},
		{"Headless", headlessNames},
		{"ExternalName", externalNames},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(w.in(t)) })
	}
}

func udpServices(w town) {
	ip, ports := w.service("udp", "{type: NodePort, selector: {app: server}, ports: [{port: 53, protocol: UDP, targetPort: 8080}]}")
	w.hears(both, "client-0", "--count=12", "udp://"+ip+":53")
	for _, host := range w.hosts {
		w.hears(both, "client-1", "--count=12", "udp://"+host+":"+ports[0])
		w.hears(both, w.nodes[0], "--count=12", "udp://"+host+":"+ports[0])
	}
}

// udpFlowsMoveOn keeps one flow alive while its endpoint goes: the kernel's memory of it must go too.
func udpFlowsMoveOn(w town) {
	ip, ports := w.service("flow", "{type: NodePort, selector: {flow: here}, ports: [{port: 53, protocol: UDP, targetPort: 8080}]}")
	flows := [][]string{{"--from=20000", "udp://" + ip + ":53"}, {"--from=20001", "udp://" + w.hosts[0] + ":" + ports[0]}}
	everyFlow := func(want string) {
		for _, flow := range flows {
			w.hears(want, "client-1", flow...)
		}
	}
	w.must("label", "pod", "server-0", "flow=here")
	everyFlow("server-0")
	w.must("label", "pod", "server-0", "flow-")
	w.must("label", "pod", "server-1", "flow=here")
	everyFlow("server-1")
	w.must("label", "pod", "server-1", "flow-")
	everyFlow("refused")
	w.must("label", "pod", "server-0", "flow=here")
	everyFlow("server-0")

	early := []string{"--from=20002", "udp://" + w.hosts[0] + ":32099"}
	w.hears("refused", "client-1", early...)
	w.service("late", "{type: NodePort, selector: {who: server-1}, ports: [{port: 53, protocol: UDP, targetPort: 8080, nodePort: 32099}]}")
	w.hears("server-1", "client-1", early...)
}

func sctpServices(w town) {
	ip, _ := w.service("sctp", "{selector: {who: sctp}, ports: [{port: 80, protocol: SCTP, targetPort: 8080}]}")
	w.until("a rule for SCTP", func() (string, bool) {
		out, err := run(context.Background(), "", "bin/cluster", "shell", "--name="+clusterName(), "--node=worker-1", "--",
			"nft", "get", "element", "ip", "kube-proxy", "no-endpoint-services", "{ "+ip+" . sctp . 80 }")
		return fmt.Sprint(out, err), err == nil && strings.Contains(out, "goto reject-chain")
	})
	if got := w.ask("client-0", "sctp://127.0.0.1:1"); strings.Contains(got[0], "the kernel has no SCTP") {
		w.t.Skip("the rules are there, but this kernel has no SCTP sockets to ask through them")
	}
	w.apply(`
apiVersion: v1
kind: Pod
metadata: {name: sctp, labels: {who: sctp}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: server, image: IMAGE, command: [witness, serve, "--sctp=8080"]}]
`)
	w.hears("sctp", "client-0", "sctp://"+ip+":80")
}

func clientsStay(w town) {
	ip, _ := w.service("sticky", "{selector: {app: server}, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 1}}, ports: [{port: 80, targetPort: 8080}]}")
	target := "tcp://" + ip + ":80"
	for _, client := range []string{"client-0", "client-1"} {
		w.until("one server for "+client, func() (string, bool) {
			got := heard(w.ask(client, "--count=12", target))
			return got, got == "server-0" || got == "server-1"
		})
	}
	seen := map[string]bool{}
	w.until("another server after the timeout", func() (string, bool) {
		for _, l := range w.ask("client-0", "--count=4", "--every=1300ms", target) {
			seen[heard([]string{l})] = true
		}
		return fmt.Sprint(seen), seen["server-0"] && seen["server-1"]
	})
}

func podsReachThemselves(w town) {
	ip, ports := w.service("mirror", "{type: NodePort, selector: {who: server-0}, ports: [{name: t, port: 80, targetPort: 8080}, {name: u, port: 80, protocol: UDP, targetPort: 8080}]}")
	w.hears("server-0", "server-0", "--count=3", "tcp://"+ip+":80", "udp://"+ip+":80", "tcp://"+w.hosts[0]+":"+ports[0])
}

// nobodyThereIsRefused: a Service without endpoints refuses at once, as a closed port does.
func nobodyThereIsRefused(w town) {
	ip, ports := w.service("nobody", "{type: NodePort, selector: {who: nobody}, ports: [{name: t, port: 80}, {name: u, port: 80, protocol: UDP}]}")
	targets := []string{"tcp://" + ip + ":80", "udp://" + ip + ":80"}
	for _, host := range w.hosts {
		targets = append(targets, "tcp://"+host+":"+ports[0], "udp://"+host+":"+ports[1])
	}
	for _, from := range []string{"client-0", "client-1"} {
		w.hears("refused", from, targets...)
	}
	w.hears("refused", w.nodes[0], targets[0], targets[2])
	w.hears("refused", "client-0", "--count=30", targets[0]) // no limit on how often
	ip, _ = w.service("someone", "{selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}")
	w.hears(both, "client-0", "--count=12", "tcp://"+ip+":80")
	w.hears("refused", "client-0", "tcp://"+ip+":81")
}

func endpointsComeAndGo(w town) {
	ip, _ := w.service("busy", "{selector: {busy: here}, ports: [{port: 80, targetPort: 8080}]}")
	w.must("label", "pod", "server-0", "busy=here")
	w.hears("server-0", "client-1", "tcp://"+ip+":80")
	done := make(chan []string, 1)
	go func() { done <- w.ask("client-1", "--count=250", "--every=20ms", "--timeout=5s", "tcp://"+ip+":80") }()
	for range 3 {
		w.must("label", "pod", "server-1", "busy=here")
		w.must("label", "pod", "server-1", "busy-")
	}
	if lines := <-done; heard(lines) != both && heard(lines) != "server-0" {
		w.t.Errorf("some of %d requests failed: %s", len(lines), heard(lines))
	}
}

func portsHaveNames(w town) {
	ip, _ := w.service("ports", "{selector: {app: server}, ports: [{name: named, port: 80, targetPort: web}, {name: fixed, port: 81, targetPort: 9090}]}")
	for port, want := range map[string]string{"80": "server-0 8080, server-1 9090", "81": "server-0 9090, server-1 9090"} {
		w.until("port "+port+" to lead to "+want, func() (string, bool) {
			var answers []string
			for _, l := range w.ask("client-0", "--count=12", "tcp://"+ip+":"+port) {
				answers = append(answers, l[:strings.LastIndex(l, " ")+1])
			}
			slices.Sort(answers)
			got := strings.TrimSpace(strings.Join(slices.Compact(answers), ","))
			return got, strings.ReplaceAll(got, " ,", ", ") == want
		})
	}
}

func typesChange(w town) {
	ip, _ := w.service("changing", "{selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}")
	w.hears(both, "client-0", "--count=12", "tcp://"+ip+":80")
	w.must("patch", "service", "changing", "-p", `{"spec":{"type":"NodePort"}}`)
	port := w.must("get", "service", "changing", "-o", "jsonpath={.spec.ports[0].nodePort}")
	w.hears(both, "client-0", "--count=12", "tcp://"+ip+":80", "tcp://"+w.hosts[1]+":"+port)
	w.must("patch", "service", "changing", "-p", `{"spec":{"type":"ClusterIP"}}`)
	w.hears("refused", "client-0", "tcp://"+w.hosts[1]+":"+port)
	w.hears(both, "client-0", "--count=12", "tcp://"+ip+":80")
	w.must("patch", "service", "changing", "-p", `{"spec":{"type":"ExternalName","externalName":"elsewhere.example","clusterIP":"","clusterIPs":null}}`)
	w.until("nobody at the address", func() (string, bool) {
		got := heard(w.ask("client-0", "tcp://"+ip+":80"))
		return got, !strings.Contains(got, "server")
	})
}

func addressesAreUsedAgain(w town) {
	ip, _ := w.service("first", "{selector: {who: server-0}, ports: [{port: 80, targetPort: 8080}]}")
	w.hears("server-0", "client-1", "tcp://"+ip+":80")
	w.must("delete", "service", "first")
	again, _ := w.service("second", "{clusterIP: "+ip+", selector: {who: server-1}, ports: [{port: 80, targetPort: 8080}]}")
	if again != ip {
		w.t.Fatalf("asked for %s and got %s", ip, again)
	}
	w.hears("server-1", "client-1", "--count=5", "tcp://"+ip+":80")
}

// lastEndpointServesToTheEnd: a terminating endpoint serves when no ready one is left (KEP-1669).
func lastEndpointServesToTheEnd(w town) {
	w.apply(`
apiVersion: v1
kind: Pod
metadata: {name: leaver, labels: {who: leaver}}
spec:
  terminationGracePeriodSeconds: 30
  containers: [{name: server, image: IMAGE, command: [witness, serve, "--tcp=8080", "--linger=15s"]}]
`)
	ip, _ := w.service("leaving", "{selector: {who: leaver}, ports: [{port: 80, targetPort: 8080}]}")
	w.hears("leaver", "client-0", "tcp://"+ip+":80")
	w.must("delete", "pod", "leaver", "--wait=false")
	w.eventually("true", "get", "endpointslices", "-l", "kubernetes.io/service-name=leaving", "-o", "jsonpath={.items[0].endpoints[0].conditions.terminating}")
	if got := heard(w.ask("client-0", "--count=5", "tcp://"+ip+":80")); got != "leaver" {
		w.t.Errorf("asking a Service whose one endpoint terminates: %s", got)
	}
	w.hears("refused", "client-0", "tcp://"+ip+":80")
}
