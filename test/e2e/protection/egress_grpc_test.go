package protection

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	konnectivity "sigs.k8s.io/apiserver-network-proxy/konnectivity-client/proto/client"
)

// streams is a proxy that opens connections by konnectivity's GRPC protocol, one a stream, as its clients ask for.
type streams struct {
	tunnels
	konnectivity.UnimplementedProxyServiceServer
}

// Proxy implements konnectivity.ProxyServiceServer.
func (p *streams) Proxy(stream konnectivity.ProxyService_ProxyServer) error {
	const id = 1
	var behind net.Conn
	var sending sync.Mutex
	send := func(packet *konnectivity.Packet) {
		sending.Lock()
		defer sending.Unlock()
		_ = stream.Send(packet) // the client may have gone
	}
	closed := func() {
		send(&konnectivity.Packet{Type: konnectivity.PacketType_CLOSE_RSP, Payload: &konnectivity.Packet_CloseResponse{CloseResponse: &konnectivity.CloseResponse{ConnectID: id}}})
	}
	for {
		packet, err := stream.Recv()
		if err != nil {
			if behind != nil {
				behind.Close()
			}
			return nil
		}
		switch packet.Type {
		case konnectivity.PacketType_DIAL_REQ:
			ask := packet.GetDialRequest()
			answer := &konnectivity.DialResponse{ConnectID: id, Random: ask.Random}
			if behind, err = net.Dial("tcp", p.way(ask.Address)); err != nil {
				answer.Error = err.Error()
			}
			send(&konnectivity.Packet{Type: konnectivity.PacketType_DIAL_RSP, Payload: &konnectivity.Packet_DialResponse{DialResponse: answer}})
			if err != nil {
				return nil
			}
			go func() {
				buffer := make([]byte, 4096)
				for {
					n, err := behind.Read(buffer)
					if n > 0 {
						send(&konnectivity.Packet{Type: konnectivity.PacketType_DATA, Payload: &konnectivity.Packet_Data{Data: &konnectivity.Data{ConnectID: id, Data: slices.Clone(buffer[:n])}}})
					}
					if err != nil {
						closed()
						return
					}
				}
			}()
		case konnectivity.PacketType_DATA:
			if _, err := behind.Write(packet.GetData().Data); err != nil {
				closed()
			}
		case konnectivity.PacketType_CLOSE_REQ:
			behind.Close() // and its reader says so
		}
	}
}

// A proxy that speaks konnectivity's GRPC is asked for kubelets as one that speaks HTTP CONNECT is.
func TestEgressGRPC(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "egress-") // a socket's path has at most 107 characters
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "cluster")
	l, err := net.Listen("unix", path)
	must(t, err)
	proxy := &streams{tunnels: tunnels{routes: map[string]string{}}}
	served := grpc.NewServer()
	konnectivity.RegisterProxyServiceServer(served, proxy)
	go func() { _ = served.Serve(l) }() // ends with Stop
	t.Cleanup(served.Stop)

	s := serve(t, egress(t, fmt.Sprintf("- {name: cluster, connection: {proxyProtocol: GRPC, transport: {uds: {udsName: %s}}}}\n", path)))
	kubelet := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "reached "+r.URL.Path) }))
	proxy.route("203.0.113.7:10250", kubelet.url)
	node, err := s.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "far"}}, metav1.CreateOptions{})
	must(t, err)
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "203.0.113.7"}}
	_, err = s.client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{})
	must(t, err)
	if got := get(t, s.admin, "/api/v1/nodes/far/proxy/stats"); got.code != 200 || got.body != "reached /stats" {
		t.Errorf("a kubelet: %v", got)
	}
	if asked := proxy.to(); !slices.Contains(asked, "203.0.113.7:10250") {
		t.Errorf("the proxy was asked for %v", asked)
	}
}
