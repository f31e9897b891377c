# The front door. Each target makes what it needs: Node (from npm when the system's is too old), the npm
# packages, the real servers in .tools/.

TEST_FOLDERS := {agent,bench,cli,controlplane,lib,test,tools,webhook}
# Which samples of the big matrices a run tries. They follow from what is committed, so that a commit's run can be
# repeated and other commits try others: `make test TEST_SEED=…` takes any.
ifndef TEST_SEED
TEST_SEED := $(shell git rev-parse --short=12 'HEAD^{tree}' 2>/dev/null || echo 1)
endif
# Real servers mostly wait, so that more test files than cores run at once.
TEST_CONCURRENCY ?= 3

WITH_NODE := node_bin=$$(tools/node.sh) && PATH="$$node_bin:$$PATH"
# Hundreds of processes load the same modules, and servers of Go end before their garbage matters: a fifth of the CPU time.
THRIFTY := NODE_COMPILE_CACHE="$(CURDIR)/.tools/compiled" GOGC=400
NODE_TEST := node --test --test-timeout=900000 --test-concurrency=$(TEST_CONCURRENCY)
# c8 also counts files that no test loads, and survives the half-written figures of killed processes.
COVERAGE := npx c8 --all --src lib --include 'lib/**' --exclude '**/*.test.ts' --exclude '**/*conformance*.ts' --exclude 'lib/kubernetes/api/**' \
	--check-coverage --lines 80 --reporter text-summary --reporter html
# npm writes this file last whenever it installs.
PACKAGES := node_modules/.package-lock.json

export TEST_SEED
.PHONY: help demo demo-cluster test test-quick test-matrix lint generate types imports format bench image tools packages

help: ## this list (default)
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

demo: packages ## capture a real etcd, undo a mistake, lose it all, get it back: under a minute
	@$(WITH_NODE) node tools/install.ts etcd-3.6.16
	@$(WITH_NODE) node test/demo/demo.ts

demo-cluster: packages ## the product in a cluster, with kubectl: a real API server, our three processes: about a minute
	@$(WITH_NODE) node tools/install.ts etcd-3.6.16 kubernetes-1.36.3 versitygw
	@$(WITH_NODE) node test/demo/demo-cluster.ts

test: packages tools ## all tests, with real servers, and the coverage of lib/ (at least 80 % of lines)
	@echo "TEST_SEED=$(TEST_SEED) repeats this run's samples"
	@$(WITH_NODE) $(THRIFTY) $(COVERAGE) $(NODE_TEST) '$(TEST_FOLDERS)/**/*.test.ts'

test-quick: packages ## the tests that start no servers: under a minute
	@$(WITH_NODE) $(THRIFTY) $(NODE_TEST) '$(TEST_FOLDERS)/**/!(*.server).test.ts'

# Three nodes, killed at every step on every version, are an hour in one file.
test-matrix: packages tools ## all tests with no sampling: every version, every offset
	@$(WITH_NODE) $(THRIFTY) TEST_MATRIX=1 $(NODE_TEST) --test-timeout=14400000 '$(TEST_FOLDERS)/**/*.test.ts'

lint: packages ## eslint and prettier, no warnings; generated files as `make generate` writes them
	@$(WITH_NODE) npx eslint --max-warnings 0 .
	@$(WITH_NODE) npx prettier --check --log-level warn .
	@$(WITH_NODE) node tools/generate-api.ts --check

generate: packages ## what follows from manifests/crds (schemas, types) and from the chart (its README, manifests/install.yaml)
	@$(WITH_NODE) node tools/generate-api.ts
	@$(WITH_NODE) node tools/install.ts helm
	@$(WITH_NODE) node tools/generate-chart.ts

types: packages ## the TypeScript compiler's judgement
	@$(WITH_NODE) npx tsc --noEmit

imports: packages ## who imports whom: the rules are imports.cjs
	@$(WITH_NODE) npx depcruise --config imports.cjs .

format: packages ## let prettier write
	@$(WITH_NODE) npx prettier --write --log-level warn .

bench: packages tools ## benchmarks, each with its ratio to a peer in the same run
	@$(WITH_NODE) node bench/main.ts

image: packages ## the container image as a file, without a container engine: .tools/image/etcdguardian-VERSION.tar
	@$(WITH_NODE) node tools/install.ts glibc
	@$(WITH_NODE) node tools/image/main.ts

tools: ## etcd 3.4 to 3.7, a Kubernetes node's programs, an S3 server, toxiproxy into .tools/ (15 to 25 minutes, once)
	@$(WITH_NODE) node tools/install.ts

packages: $(PACKAGES)

$(PACKAGES): package-lock.json
	@$(WITH_NODE) npm ci
	@touch $@
