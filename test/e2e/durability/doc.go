// Package durability kills etcd and the API server while clients write, and proves from what the clients saw that nothing that was
// acknowledged is lost: every key's history is linearizable, and watches resume without loss or repeat.
//
// In `make test` it is short. The long form, with 100,000 writes:
//
//	make test-e2e E2E_PACKAGES=./durability E2E_ARGS=-writes=100000
package durability
