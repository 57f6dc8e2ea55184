package podcertificates

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"
)

// world is a manager against an API without a signer: the test answers. Time is virtual.
type world struct {
	*testing.T
	*Manager
	ctx   context.Context
	api   *fake.Clientset
	pod   *v1.Pod
	woken int
	made  int
}

func story(t *testing.T, tell func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		w := &world{T: t, ctx: ctx, pod: &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns", UID: "pod-uid"}, Spec: v1.PodSpec{ServiceAccountName: "robot"}}}
		w.api = fake.NewClientset(&v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot", Namespace: "ns", UID: "account-uid"}})
		w.api.PrependReactor("create", "podcertificaterequests", func(a clienttesting.Action) (bool, runtime.Object, error) {
			w.made++
			a.(clienttesting.CreateAction).GetObject().(*certificatesv1.PodCertificateRequest).Name = fmt.Sprintf("req-web-%d", w.made)
			return false, nil, nil
		})
		w.Manager = New(ctx, Config{Client: w.api, Clock: clock.RealClock{}, Changed: func(types.UID) { w.woken++ },
			Node: func() *v1.Node { return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "node-uid"}} }})
		tell(w)
		stop()
		synctest.Wait()
	})
}

// asks is what a volume does.
func (w *world) asks(kind string) (key, chain []byte, renew time.Time, err error) {
	seconds := int32(3600)
	return w.Certificate(w.ctx, w.pod, "v", 0, &v1.PodCertificateProjection{SignerName: "example.com/s", KeyType: kind, MaxExpirationSeconds: &seconds, UserAnnotations: map[string]string{"example.com/a": "b"}})
}

// holds asks and checks that the certificate is of the key.
func (w *world) holds(kind string) (chain []byte, renew time.Time) {
	w.Helper()
	key, chain, renew, err := w.asks(kind)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := tls.X509KeyPair(chain, key); err != nil {
		w.Fatal(err)
	}
	return chain, renew
}

// request is the newest request.
func (w *world) request() *certificatesv1.PodCertificateRequest {
	w.Helper()
	r, err := w.api.CertificatesV1().PodCertificateRequests("ns").Get(w.ctx, fmt.Sprintf("req-web-%d", w.made), metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// answers ends the newest request; it and the one before do not lie side by side, as the fake ignores field selectors.
func (w *world) answers(condition string, change func(*certificatesv1.PodCertificateRequestStatus)) {
	w.Helper()
	time.Sleep(time.Second) // the watch begins
	r := w.request()
	r.Status.Conditions = []metav1.Condition{{Type: condition, Status: "True", Reason: "Because", Message: "so it is"}}
	if change != nil {
		change(&r.Status)
	}
	requests := w.api.CertificatesV1().PodCertificateRequests("ns")
	if _, err := requests.UpdateStatus(w.ctx, r, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := requests.Delete(w.ctx, r.Name, metav1.DeleteOptions{}); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// issues answers with an hour's certificate of the public key that the request proves, or of another.
func (w *world) issues(public any) {
	w.Helper()
	stub, err := x509.ParseCertificateRequest(w.request().Spec.StubPKCS10Request)
	if err != nil || stub.CheckSignature() != nil {
		w.Fatalf("the stub request: %v, %v", err, stub.CheckSignature())
	}
	if public == nil {
		public = stub.PublicKey
	}
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	end := time.Now().Add(time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now(), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, authority)
	if err != nil {
		w.Fatal(err)
	}
	w.answers("Issued", func(s *certificatesv1.PodCertificateRequestStatus) {
		s.CertificateChain = "text between\n" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"a": "b"}, Bytes: der}))
		begin := metav1.NewTime(time.Now().Add(30 * time.Minute))
		notAfter := metav1.NewTime(end)
		s.NotBefore, s.BeginRefreshAt, s.NotAfter = &metav1.Time{Time: time.Now()}, &begin, &notAfter
	})
}

func (w *world) fails(want string) {
	w.Helper()
	if _, _, _, err := w.asks("ECDSAP256"); err == nil || !strings.Contains(err.Error(), want) {
		w.Fatalf("got %v, want an error with %q", err, want)
	}
}

func TestCertificatesOfEveryKeyType(t *testing.T) {
	for _, kind := range []string{"RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"} {
		t.Run(kind, func(t *testing.T) {
			story(t, func(w *world) {
				if _, _, _, err := w.asks(kind); err == nil || !strings.Contains(err.Error(), `waits for signer "example.com/s"`) {
					w.Fatalf("before the signer answers: %v", err)
				}
				spec := w.request().Spec
				if spec.PodUID != "pod-uid" || spec.ServiceAccountUID != "account-uid" || spec.NodeUID != "node-uid" || *spec.MaxExpirationSeconds != 3600 || spec.UnverifiedUserAnnotations["example.com/a"] != "b" {
					w.Errorf("the request says %+v", spec)
				}
				w.issues(nil)
				if w.woken != 1 {
					w.Errorf("the answer woke the pod %d times", w.woken)
				}
				chain, renew := w.holds(kind)
				if strings.Contains(string(chain), "text") || strings.Contains(string(chain), "a: b") {
					w.Errorf("the chain holds more than certificates:\n%s", chain)
				}
				if early := time.Now().Add(30 * time.Minute); renew.Before(early) || renew.After(early.Add(renewalSpread)) {
					w.Errorf("renewed at %v, want soon after %v", renew, early)
				}
				w.holds(kind)
				if w.made != 1 {
					w.Errorf("%d requests for one certificate", w.made)
				}
			})
		})
	}
}

func TestFirstAnswerIsFinal(t *testing.T) {
	for _, condition := range []string{"Denied", "Failed"} {
		t.Run(condition, func(t *testing.T) {
			story(t, func(w *world) {
				w.fails("waits for signer")
				w.answers(condition, nil)
				w.fails(condition + ": Because: so it is")
				w.fails(condition)
				if w.made != 1 {
					w.Errorf("%d requests after a refusal", w.made)
				}
			})
		})
	}
}

func TestRenewal(t *testing.T) {
	story(t, func(w *world) {
		w.fails("waits for signer")
		w.issues(nil)
		first, renew := w.holds("ECDSAP256")
		time.Sleep(time.Until(renew))
		if now, again := w.holds("ECDSAP256"); string(now) != string(first) || !again.After(time.Now()) {
			w.Error("the old certificate does not serve on while the new one is under way")
		}
		w.answers("Failed", nil)
		if now, _ := w.holds("ECDSAP256"); string(now) != string(first) || w.made != 2 {
			w.Errorf("a failed renewal: %d requests", w.made)
		}
		time.Sleep(renewalPause)
		w.holds("ECDSAP256")
		w.issues(nil)
		second, _ := w.holds("ECDSAP256")
		if string(second) == string(first) {
			w.Error("the certificate was not renewed")
		}
		time.Sleep(time.Hour)
		w.fails("waits for signer") // better no certificate than one that has expired
		w.Release("pod-uid")
		synctest.Wait()
		if len(w.held) != 0 {
			w.Error("keys of a released pod are kept")
		}
	})
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	story(t, func(w *world) {
		w.fails("waits for signer")
		if err := w.api.CertificatesV1().PodCertificateRequests("ns").Delete(w.ctx, w.request().Name, metav1.DeleteOptions{}); err != nil {
			w.Fatal(err)
		}
		synctest.Wait()
		w.fails("deleted before the signer answered")
		w.fails("waits for signer") // it is asked again
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			w.Fatal(err)
		}
		w.issues(&other.PublicKey)
		w.fails("of another key than the pod's")
	})
	story(t, func(w *world) {
		w.pod.Spec.ServiceAccountName = ""
		w.fails("static pods")
		w.Node = func() *v1.Node { return nil }
		w.fails("does not know this node yet")
	})
}
