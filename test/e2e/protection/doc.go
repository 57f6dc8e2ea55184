// Package protection proves on the built kube-apiserver, before an etcd, what protects a cluster: encryption at rest, audit,
// TLS, authentication, authorization, priority and fairness, shutdown, egress and tracing. Each test starts a server with the
// flags of its feature, all on loopback; what the server talks to besides (issuers, webhooks, key services, proxies) is real and
// part of the test.
package protection
