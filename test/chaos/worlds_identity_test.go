package chaos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/cmd/kube-controller-manager/app"
	"pilotis.dev/test/chaos/memapi"
)

func identityWorlds() map[string]func() World {
	return map[string]func() World{
		"serviceaccount-controller":                      defaultAccounts,
		"root-ca-certificate-publisher-controller":       publishedCA,
		"serviceaccount-token-controller":                tokenSecrets,
		"legacy-serviceaccount-token-cleaner-controller": unusedTokens,
		"certificatesigningrequest-approving-controller": approvals,
		"certificatesigningrequest-signing-controller":   signatures,
		"certificatesigningrequest-cleaner-controller":   oldRequests,
		"bootstrap-signer-controller":                    signedInfo,
		"token-cleaner-controller":                       expiredTokens,
		"podcertificaterequest-cleaner-controller":       oldPodRequests,

		"kube-apiserver-serving-clustertrustbundle-publisher-controller": publishedBundle,
	}
}

func makeNamespace(name string) func(c *Case) {
	return func(c *Case) {
		_, _ = c.Server.Create("user", toObject(&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})) // it may be there
	}
}

// dropNamespace takes a namespace away at once, with what is in it.
func dropNamespace(name string) func(c *Case) {
	return func(c *Case) {
		remove[v1.Namespace](c, "", name, "")
		remove[v1.ServiceAccount](c, name, "default", "")
		remove[v1.ConfigMap](c, name, "kube-root-ca.crt", "")
		k, _ := c.Server.Kind("", "namespaces")
		if have, err := c.Server.Get(k, "", name); err == nil {
			fresh := have.DeepCopy()
			fresh.Object["spec"] = map[string]any{}
			_, _ = c.Server.Update("user", fresh, "finalize")
		}
	}
}

func defaultAccounts() World {
	return World{
		Begin: func(c *Case) { makeNamespace("a")(c); makeNamespace("b")(c) },
		Steps: []func(c *Case){makeNamespace("c"), func(c *Case) { remove[v1.ServiceAccount](c, "a", "default", "") }, dropNamespace("b"), makeNamespace("b"), makeNamespace("d"), dropNamespace("d")},
		Done: func(c *Case) error {
			for _, n := range all[v1.Namespace](c) {
				if one[v1.ServiceAccount](c, n.Name, "default") == nil {
					return fmt.Errorf("namespace %s has no service account default", n.Name)
				}
			}
			return missing("namespaces", len(all[v1.Namespace](c)), 5)
		},
	}
}

func publishedCA() World {
	return World{
		Begin: func(c *Case) { makeNamespace("a")(c); makeNamespace("b")(c) },
		Steps: []func(c *Case){
			makeNamespace("c"), func(c *Case) { remove[v1.ConfigMap](c, "a", "kube-root-ca.crt", "") }, dropNamespace("b"), makeNamespace("b"),
			func(c *Case) {
				edit[v1.ConfigMap](c, "user", "c", "kube-root-ca.crt", func(m *v1.ConfigMap) { m.Data["ca.crt"] = "forged" })
			},
		},
		Done: func(c *Case) error {
			for _, n := range all[v1.Namespace](c) {
				if m := one[v1.ConfigMap](c, n.Name, "kube-root-ca.crt"); m == nil || !strings.Contains(m.Data["ca.crt"], "BEGIN CERTIFICATE") {
					return fmt.Errorf("namespace %s has no certificate", n.Name)
				}
			}
			return nil
		},
	}
}

func accountOf(name string) *v1.ServiceAccount { return &v1.ServiceAccount{ObjectMeta: meta(name)} }

func tokenSecret(name, account string) *v1.Secret {
	return &v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Annotations: map[string]string{v1.ServiceAccountNameKey: account}}, Type: v1.SecretTypeServiceAccountToken}
}

func tokenSecrets() World {
	return World{
		Begin: func(c *Case) {
			c.Make(accountOf("robot"), tokenSecret("one", "robot"), accountOf("brief"), tokenSecret("two", "brief"), &v1.Secret{ObjectMeta: meta("mine"), Type: v1.SecretTypeOpaque})
		},
		Steps: []func(c *Case){
			func(c *Case) { c.Make(tokenSecret("three", "robot")) },
			func(c *Case) { remove[v1.ServiceAccount](c, ns, "brief", "") },
			func(c *Case) { edit[v1.Secret](c, "user", ns, "one", func(s *v1.Secret) { delete(s.Data, "token") }) },
			func(c *Case) { remove[v1.Secret](c, ns, "three", "") },
			func(c *Case) { c.Make(tokenSecret("four", "robot")) },
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource == "secrets" && e.Type == "DELETED" && e.Actor != "user" && e.Object.GetName() != "two" {
				c.Wrong("Secret %s is deleted", e.Object.GetName())
			}
		},
		Done: func(c *Case) error {
			for _, name := range []string{"one", "four"} {
				if s := one[v1.Secret](c, ns, name); s == nil || len(s.Data["token"]) == 0 || len(s.Data["ca.crt"]) == 0 || string(s.Data["namespace"]) != ns {
					return fmt.Errorf("Secret %s has no token", name)
				}
			}
			return missing("Secrets", len(all[v1.Secret](c)), 3)
		},
	}
}

func unusedTokens() World {
	legacy := func(c *Case, name string, change func(*v1.Secret)) {
		account := accountOf(name)
		account.Secrets = []v1.ObjectReference{{Name: name}}
		c.Make(account)
		var uid string
		c.Server.Locked(func() { uid = string(one[v1.ServiceAccount](c, ns, name).UID) })
		s := tokenSecret(name, name)
		s.Annotations[v1.ServiceAccountUIDKey] = uid
		s.Labels = map[string]string{"kubernetes.io/legacy-token-last-used": "1999-10-01"}
		change(s)
		c.Make(s)
	}
	return World{
		// The Secrets have to be older than the period, which is an hour; the controller looks once a day, and when it starts.
		Configure: func(o *app.Config) { o.LegacySATokenCleaner.CleanUpPeriod = metav1.Duration{Duration: time.Hour} },
		Begin: func(c *Case) {
			legacy(c, "invalid", func(s *v1.Secret) { s.Labels["kubernetes.io/legacy-token-invalid-since"] = "1999-12-01" })
			legacy(c, "used", func(s *v1.Secret) {
				s.Labels["kubernetes.io/legacy-token-invalid-since"] = "1999-12-01"
			})
			pod := &v1.Pod{ObjectMeta: meta("user"), Spec: template("x").Spec}
			pod.Spec.Volumes = []v1.Volume{{Name: "t", VolumeSource: v1.VolumeSource{Secret: &v1.SecretVolumeSource{SecretName: "used"}}}}
			c.Make(pod, tokenSecret("by-hand", "invalid"), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"}, Data: map[string]string{"since": "1999-01-01"}})
			time.Sleep(2 * time.Hour)
			c.Plan.Start, c.Plan.Until = time.Now(), time.Now().Add(faultsLast)
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource == "secrets" && e.Actor == "legacy-service-account-token-cleaner" && e.Object.GetName() != "invalid" {
				c.Wrong("Secret %s is written", e.Object.GetName())
			}
		},
		Done: func(c *Case) error {
			var left []string
			for _, s := range all[v1.Secret](c) {
				left = append(left, s.Name)
			}
			return missing("Secrets", left, []string{"by-hand", "used"})
		},
	}
}

var requestKey = func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}()

func request(name string) *certificatesv1.CertificateSigningRequest {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n", Organization: []string{"system:nodes"}}}, requestKey)
	if err != nil {
		panic(err)
	}
	return &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.CertificateSigningRequestSpec{
		Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName, Username: "system:bootstrap:abcdef", Groups: []string{"system:bootstrappers"},
		Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth},
	}}
}

func approved(r *certificatesv1.CertificateSigningRequest) bool {
	return slices.ContainsFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
		return c.Type == certificatesv1.CertificateApproved
	})
}

func approve(r *certificatesv1.CertificateSigningRequest) *certificatesv1.CertificateSigningRequest {
	r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: v1.ConditionTrue, LastUpdateTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
	return r
}

func approvals() World {
	other := func(name string) *certificatesv1.CertificateSigningRequest {
		r := request(name)
		r.Spec.SignerName = "example.com/other"
		return r
	}
	return World{
		Begin: func(c *Case) { c.Make(request("a"), other("foreign")) },
		Steps: []func(c *Case){func(c *Case) { c.Make(request("b")) }, func(c *Case) { remove[certificatesv1.CertificateSigningRequest](c, "", "a", ""); c.Make(request("a")) }, func(c *Case) { c.Make(request("c")) }},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource == "certificatesigningrequests" && e.Actor == "certificate-controller" {
				if r := typed[certificatesv1.CertificateSigningRequest](e.Object); r.Name == "foreign" || len(r.Status.Conditions) > 1 {
					c.Wrong("request %s is decided: %v", r.Name, r.Status.Conditions)
				}
			}
		},
		Done: func(c *Case) error {
			for _, r := range all[certificatesv1.CertificateSigningRequest](c) {
				if err := missing("approved: "+r.Name, approved(r), r.Name != "foreign"); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func signatures() World {
	return World{
		Begin: func(c *Case) { c.Make(approve(request("a")), request("pending")) },
		Steps: []func(c *Case){func(c *Case) { c.Make(approve(request("b"))) }, func(c *Case) {
			edit[certificatesv1.CertificateSigningRequest](c, "user", "", "pending", func(r *certificatesv1.CertificateSigningRequest) { approve(r) })
		}, func(c *Case) { c.Make(request("never")) }},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource != "certificatesigningrequests" || e.Actor != "certificate-controller" {
				return
			}
			before, after := typed[certificatesv1.CertificateSigningRequest](e.Old), typed[certificatesv1.CertificateSigningRequest](e.Object)
			if !approved(before) {
				c.Wrong("request %s is signed, which nobody approved", before.Name)
			}
			if len(before.Status.Certificate) > 0 && string(before.Status.Certificate) != string(after.Status.Certificate) {
				c.Wrong("request %s is signed twice", before.Name)
			}
		},
		Done: func(c *Case) error {
			for _, r := range all[certificatesv1.CertificateSigningRequest](c) {
				if err := missing("signed: "+r.Name, len(r.Status.Certificate) > 0, r.Name != "never"); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func oldRequests() World {
	return World{
		Begin: func(c *Case) {
			c.Make(approve(request("old")))
			time.Sleep(70 * time.Minute)
			c.Make(request("young"))
			c.Plan.Start, c.Plan.Until = time.Now(), time.Now().Add(faultsLast)
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Type == "DELETED" && e.Object.GetName() != "old" && e.Kind.Resource == "certificatesigningrequests" {
				c.Wrong("request %s is deleted", e.Object.GetName())
			}
		},
		Done: func(c *Case) error {
			return missing("requests", len(all[certificatesv1.CertificateSigningRequest](c)), 1)
		},
	}
}

func bootstrapToken(id string, life time.Duration) *v1.Secret {
	return &v1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-" + id}, Type: "bootstrap.kubernetes.io/token", Data: map[string][]byte{
		"token-id": []byte(id), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-signing": []byte("true"), "expiration": []byte(time.Now().Add(life).UTC().Format(time.RFC3339)),
	}}
}

func signedInfo() World {
	return World{
		Begin: func(c *Case) {
			makeNamespace("kube-public")(c)
			c.Make(bootstrapToken("abcdef", 100*time.Hour), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"}, Data: map[string]string{"kubeconfig": "a"}})
		},
		Steps: []func(c *Case){
			func(c *Case) { c.Make(bootstrapToken("second", 100*time.Hour)) },
			func(c *Case) {
				edit[v1.ConfigMap](c, "user", "kube-public", "cluster-info", func(m *v1.ConfigMap) { m.Data["kubeconfig"] = "b" })
			},
			func(c *Case) { remove[v1.Secret](c, "kube-system", "bootstrap-token-abcdef", "") },
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor == "bootstrap-signer" && typed[v1.ConfigMap](e.Old).Data["kubeconfig"] != typed[v1.ConfigMap](e.Object).Data["kubeconfig"] {
				c.Wrong("the kubeconfig is changed")
			}
		},
		Done: func(c *Case) error {
			m := one[v1.ConfigMap](c, "kube-public", "cluster-info")
			return inOrder(missing("entries", len(m.Data), 2), missing("signed", m.Data["jws-kubeconfig-second"] != "", true), missing("kubeconfig", m.Data["kubeconfig"], "b"))
		},
	}
}

func expiredTokens() World {
	return World{
		Begin: func(c *Case) { c.Make(bootstrapToken("brief0", time.Minute), bootstrapToken("long00", 100*time.Hour)) },
		Steps: []func(c *Case){func(c *Case) { c.Make(bootstrapToken("brief1", 30*time.Second)) }, func(c *Case) {
			edit[v1.Secret](c, "user", "kube-system", "bootstrap-token-brief1", func(s *v1.Secret) {
				s.Data["expiration"] = []byte(time.Now().Add(2 * time.Minute).UTC().Format(time.RFC3339))
			})
		}},
		Check: func(c *Case, e memapi.Event) {
			if e.Type != "DELETED" || e.Kind.Resource != "secrets" {
				return
			}
			if end, err := time.Parse(time.RFC3339, string(typed[v1.Secret](e.Old).Data["expiration"])); err != nil || time.Now().Before(end) {
				c.Wrong("token %s is deleted before its end", e.Object.GetName())
			}
		},
		Done: func(c *Case) error { return missing("tokens", len(all[v1.Secret](c)), 1) },
	}
}

func oldPodRequests() World {
	request := func(name string) *certificatesv1.PodCertificateRequest {
		return &certificatesv1.PodCertificateRequest{ObjectMeta: meta(name)}
	}
	made := 0
	return World{
		Begin: func(c *Case) { c.Make(request("a"), request("b")) },
		Steps: []func(c *Case){
			func(c *Case) { c.Make(request("c")) },
			func(c *Case) { // another one of the same name has a time of its own
				remove[certificatesv1.PodCertificateRequest](c, ns, "a", "")
				c.Make(request("a"))
				made++
			},
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind != "PodCertificateRequest" || e.Type != "DELETED" || e.Actor == "user" {
				return
			}
			if age := time.Since(e.Object.GetCreationTimestamp().Time); age < 15*time.Minute {
				c.Wrong("request %s is deleted at the age of %v", e.Object.GetName(), age)
			}
		},
		Done: func(c *Case) error {
			return inOrder(missing("second a", made, 1), missing("requests", len(all[certificatesv1.PodCertificateRequest](c)), 0))
		},
	}
}

func publishedBundle() World {
	const signer = "kubernetes.io/kube-apiserver-serving"
	bundle := func(name, signer string) *certificatesv1.ClusterTrustBundle {
		return &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: "former"}}
	}
	ours := func(c *Case) (list []*certificatesv1.ClusterTrustBundle) {
		for _, b := range all[certificatesv1.ClusterTrustBundle](c) {
			if b.Spec.SignerName == signer {
				list = append(list, b)
			}
		}
		return list
	}
	each := func(change func(c *Case, name string)) func(c *Case) {
		return func(c *Case) {
			var there []*certificatesv1.ClusterTrustBundle
			c.Server.Locked(func() { there = ours(c) })
			for _, b := range there {
				change(c, b.Name)
			}
		}
	}
	return World{
		Begin: func(c *Case) {
			c.Make(bundle("kubernetes.io:kube-apiserver-serving:former", signer), bundle("example.com:x:1", "example.com/x"))
		},
		Steps: []func(c *Case){
			each(func(c *Case, name string) {
				edit[certificatesv1.ClusterTrustBundle](c, "user", "", name, func(b *certificatesv1.ClusterTrustBundle) { b.Spec.TrustBundle = "forged" })
			}),
			each(func(c *Case, name string) { remove[certificatesv1.ClusterTrustBundle](c, "", name, "") }),
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Kind != "ClusterTrustBundle" || e.Type != "DELETED" || e.Actor == "user" {
				return
			}
			if typed[certificatesv1.ClusterTrustBundle](e.Old).Spec.SignerName != signer {
				c.Wrong("bundle %s is deleted, which is another signer's", e.Object.GetName())
			}
			if len(ours(c)) == 0 {
				c.Wrong("bundle %s is deleted before its successor is there", e.Object.GetName())
			}
		},
		Done: func(c *Case) error {
			have := ours(c)
			if err := inOrder(missing("bundles", len(have), 1), missing("all bundles", len(all[certificatesv1.ClusterTrustBundle](c)), 2)); err != nil {
				return err
			}
			return missing("it is the authority", strings.Contains(have[0].Spec.TrustBundle, "BEGIN CERTIFICATE"), true)
		},
	}
}
