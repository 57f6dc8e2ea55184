# Pilotis. `make help` lists what there is.
NODES          ?= 2
CONTROL_PLANES ?= 1
CLUSTER        ?= pilotis
API_PORT       ?= 0
NODE           ?=
PART           ?=
IMAGE          ?=
BENCH          ?=
AGAINST        ?=
ROUNDS         ?= 1
FUZZTIME       ?= 30m
RUNS           ?= 30
SEED           ?= 1
CMD            ?=

export CMD
export CGO_ENABLED := 0
export GOTOOLCHAIN := local
export GOFLAGS     := -trimpath -buildvcs=false
RUN_CLUSTER := bin/cluster --name=$(CLUSTER)
BUILD       := cd build && GOWORK=off go run ./cmd/build
MODULES     := $(shell sed -n 's/^\t\.\///p' go.work)
TEST_MODULES := $(filter-out test/e2e,$(MODULES))

.DEFAULT_GOAL := help
.PHONY: help deps build images up down status kubeconfig kubectl load enter shell logs generate lint test test-unit test-e2e conformance test-vm fuzz chaos bench clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

deps: ## install the Debian packages that builds and nodes need
	@build/deps.sh

build: ## static binaries of every part under bin/
	@build/deps.sh
	@echo "Building programs that changed"
	@$(BUILD) binaries

images: build ## an OCI archive a component under out/images/
	@$(BUILD) images

up: images ## bring a cluster up: NODES=2 CONTROL_PLANES=1 CLUSTER=pilotis API_PORT=0
	@$(RUN_CLUSTER) up --nodes=$(NODES) --control-planes=$(CONTROL_PLANES) --api-port=$(API_PORT)

down: ## remove the cluster and everything of it
	@if [ -x bin/cluster ]; then $(RUN_CLUSTER) down; else echo "Nothing was ever brought up from here."; fi

status: ## what of the cluster runs
	@$(RUN_CLUSTER) status

kubeconfig: ## print the path of the admin kubeconfig
	@$(RUN_CLUSTER) kubeconfig

kubectl: ## build kubectl to bin/
	@$(BUILD) binaries kubectl

load: ## import an image archive into every node: IMAGE=archive.tar
	@$(RUN_CLUSTER) load --image=$(IMAGE)

enter: ## run a command in the cluster's network: CMD="curl …" NODE=worker-1; without CMD a shell
	@$(RUN_CLUSTER) enter --node=$(NODE) --command="$$CMD"

shell: ## a shell inside a node: NODE=worker-1
	@$(RUN_CLUSTER) shell --node=$(NODE)

logs: ## a part's log: PART=kubelet|containerd|kubeadm|kube-apiserver|… NODE=…
	@$(RUN_CLUSTER) logs --part=$(PART) --node=$(NODE)

generate: ## regenerate generated code
	@cd cmd/kube-apiserver/generated && ./generate.sh
	@cd cmd/kube-controller-manager && GOWORK=off go test -count=1 -run=OfTheTable ./table -update

lint: ## gofmt, golangci-lint, and that nothing generated is behind
	@build/lint.sh $(MODULES)

test: test-unit test-e2e ## every test: units, then a real cluster

test-unit: ## unit tests of every module
	@build/deps.sh
	@build/test-unit.sh $(TEST_MODULES)

test-e2e: images ## the behaviour suite on a real two-node cluster
	@build/test-e2e.sh

conformance: images ## docs/conformance.md anew: each behaviour, its test, and whether it holds
	@E2E_PACKAGES=./conformance E2E_ARGS=-update build/test-e2e.sh

test-vm: images ## kubeadm under systemd, and make up, on a machine with cgroup v2 alone (emulated, slow)
	@test/vm/run.sh host cluster

fuzz: ## run every fuzz target, the time shared out among them: FUZZTIME=30m
	@build/deps.sh
	@FUZZTIME="$(FUZZTIME)" build/fuzz.sh $(TEST_MODULES)

chaos: ## controllers under faults, for longer than make test: RUNS=30 SEED=1
	@build/deps.sh
	@cd test/chaos && GOWORK=off go test -count=1 -timeout=12h . -seed=$(SEED) -runs=$(RUNS)

bench: images ## the figures of docs/performance.md: BENCH="cluster apiserver controllers scheduler units" AGAINST=commit ROUNDS=3
	@BENCH="$(BENCH)" AGAINST="$(AGAINST)" ROUNDS="$(ROUNDS)" build/bench.sh

clean: ## remove what was built
	rm -rf bin out
