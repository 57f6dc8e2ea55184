package phases

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/pkg/certs"
)

const (
	advertiseAnnotation = "kubeadm.kubernetes.io/etcd.advertise-client-urls"
	etcdCallTimeout     = 10 * time.Second
)

// etcdEndpoints finds the client URLs of the cluster's etcd members: each writes it on its pod.
func (n *Node) etcdEndpoints(ctx context.Context, client kubernetes.Interface) (endpoints []string, err error) {
	err = cluster.Retry(ctx, n.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error {
		pods, err := client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "component=" + Etcd + ",tier=control-plane"})
		if err != nil {
			return err
		}
		endpoints = nil
		for _, pod := range pods.Items {
			if url := pod.Annotations[advertiseAnnotation]; url != "" {
				endpoints = append(endpoints, url)
			}
		}
		return nil
	})
	if err == nil && len(endpoints) == 0 {
		err = fmt.Errorf("no pod of etcd in %s carries the annotation %s", metav1.NamespaceSystem, advertiseAnnotation)
	}
	return endpoints, err
}

// dialEtcd connects to etcd with the health check client's certificate.
func (n *Node) dialEtcd(endpoints []string) (*clientv3.Client, error) {
	ca, err := certs.ReadCert(certs.CertPath(n.PKI(), EtcdCA))
	if err != nil {
		return nil, err
	}
	pair, err := certs.ReadPair(n.PKI(), "etcd/healthcheck-client")
	if err != nil {
		return nil, err
	}
	if pair.Key == nil {
		return nil, errors.New("etcd/healthcheck-client has no key")
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, DialTimeout: etcdCallTimeout,
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{{Certificate: [][]byte{pair.Cert.Raw}, PrivateKey: pair.Key}}},
	})
}

// JoinEtcd adds this node's member to the cluster: first as a learner, which does not vote and so cannot cost the quorum, then,
// once it has caught up, as a voter.
func (n *Node) JoinEtcd(ctx context.Context, client kubernetes.Interface) error {
	peer := etcdURL(n.Endpoint.AdvertiseAddress, fmt.Sprint(etcdPeerPort))
	if n.DryRun {
		n.say("dryrun", "Would add an etcd member with the peer URL %s and write its manifest", peer)
		return nil
	}
	endpoints, err := n.etcdEndpoints(ctx, client)
	if err != nil {
		return err
	}
	etcd, err := n.dialEtcd(endpoints)
	if err != nil {
		return err
	}
	defer etcd.Close()
	n.say("etcd", "Announcing new etcd member joining to the existing etcd cluster")
	id, err := n.addLearner(ctx, etcd, peer)
	if err != nil {
		return fmt.Errorf("adding etcd member %s: %w", peer, err)
	}
	if err := n.ControlPlanePod(ctx, Etcd); err != nil {
		return err
	}
	n.say("etcd", "Waiting for the new etcd member to join the cluster. This can take up to %v", n.Timeouts.EtcdAPICall.Duration)
	var last error
	err = wait.PollUntilContextTimeout(ctx, time.Second, n.Timeouts.EtcdAPICall.Duration, true, func(ctx context.Context) (bool, error) {
		call, cancel := context.WithTimeout(ctx, etcdCallTimeout)
		defer cancel()
		list, err := etcd.MemberList(call)
		if last = err; err != nil {
			return false, nil
		}
		for _, member := range list.Members {
			if member.ID == id && !member.IsLearner {
				return true, nil
			}
		}
		_, last = etcd.MemberPromote(call, id)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("etcd member %s was added but did not become a voter: %w%s", peer, last, n.logOf(ctx, Etcd))
	}
	return nil
}

// addLearner announces the member, unless an earlier try has, and notes who the members are.
func (n *Node) addLearner(ctx context.Context, etcd *clientv3.Client, peer string) (id uint64, err error) {
	err = wait.PollUntilContextTimeout(ctx, time.Second, n.Timeouts.EtcdAPICall.Duration, true, func(ctx context.Context) (bool, error) {
		call, cancel := context.WithTimeout(ctx, etcdCallTimeout)
		defer cancel()
		list, listErr := etcd.MemberList(call)
		if listErr != nil {
			err = listErr
			return false, nil
		}
		n.EtcdMembers = map[string]string{n.Registration.Name: peer}
		for _, member := range list.Members {
			if slices.Contains(member.PeerURLs, peer) {
				id = member.ID
			} else if len(member.PeerURLs) > 0 {
				n.EtcdMembers[member.Name] = member.PeerURLs[0]
			}
		}
		if id != 0 {
			return true, nil
		}
		added, addErr := etcd.MemberAddAsLearner(call, []string{peer})
		if addErr != nil {
			err = addErr
			return false, nil
		}
		id = added.Member.ID
		return true, nil
	})
	return id, err
}

// LeaveEtcd takes this node's member out of the cluster. The member itself is asked, so no API server is needed. The last member
// stays: without it there is no cluster to leave.
func (n *Node) LeaveEtcd(ctx context.Context) error {
	pod, err := readPod(n.Manifest(Etcd))
	if err != nil {
		return err
	}
	name, err := n.EtcdName()
	if err != nil {
		return err
	}
	etcd, err := n.dialEtcd(strings.Split(pod.Annotations[advertiseAnnotation], ","))
	if err != nil {
		return err
	}
	defer etcd.Close()
	call, cancel := context.WithTimeout(ctx, etcdCallTimeout)
	defer cancel()
	list, err := etcd.MemberList(call)
	if err != nil {
		return fmt.Errorf("listing etcd members: %w", err)
	}
	if len(list.Members) < 2 {
		n.say("reset", "This is the only remaining etcd member in the etcd cluster, skip removing it")
		return nil
	}
	for _, member := range list.Members {
		if member.Name != name {
			continue
		}
		if _, err := etcd.MemberRemove(call, member.ID); err != nil && !strings.Contains(err.Error(), "member not found") {
			return fmt.Errorf("removing etcd member %s: %w", member.Name, err)
		}
		n.say("reset", "Removed etcd member %s", member.Name)
	}
	return nil
}
