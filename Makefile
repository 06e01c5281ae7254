# Havre. On a fresh machine with Go and a C compiler: `make demo`, `make test`.
SHELL := /bin/bash
GO ?= go
BIN := bin
OUT ?= demo-out
FUZZTIME ?= 10s
PERSONS ?= 100000
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: help build demo test test-servers bench fuzz lint tools clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

tools:
	@command -v $(GO) >/dev/null || { echo "make: Go 1.26 is missing: install it from your distribution or go.dev"; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { echo "make: a C++ compiler is missing (DuckDB is linked in): apt-get install g++"; exit 1; }
	@command -v $${CXX:-c++} >/dev/null || { echo "make: a C++ compiler is missing (DuckDB is linked in): apt-get install g++"; exit 1; }

build: tools ## the two programs, in bin/
	$(GO) build -trimpath -o $(BIN)/havre ./cmd/havre
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/havre-verify ./cmd/havre-verify

demo: build ## the whole journey over 20,000 synthetic residents
	rm -rf $(OUT)
	$(BIN)/havre demo --out $(OUT)

test-servers: tools
	@command -v npm >/dev/null || { echo "make: npm is missing (the Azure Blob server of the tests comes from it): apt-get install nodejs npm"; exit 1; }
	@command -v softhsm2-util >/dev/null || { echo "make: SoftHSM2 is missing (the tests' hardware token): apt-get install softhsm2"; exit 1; }
	@command -v java >/dev/null || { echo "make: Java is missing (the Spark of the tests needs it): apt-get install openjdk-17-jre-headless"; exit 1; }
	@python3 -m pip --version >/dev/null || { echo "make: pip is missing (the Spark of the tests comes from it): apt-get install python3-pip"; exit 1; }
	$(GO) run ./internal/ground/blob/blobtest/install
	$(GO) run ./internal/hub/study/runner/spark/sparktest/install

test: test-servers ## every test; object stores are real servers on loopback
	$(GO) test -timeout 30m ./...

# One package after another, so that they do not disturb each other.
bench: test-servers ## the figures of docs/performance.md; PERSONS for the cohorts
	@command -v rclone >/dev/null || { echo "make: rclone is missing (a move is measured against it): apt-get install rclone"; exit 1; }
	$(GO) test -p 1 -run '^$$' -bench . -benchtime 1x -timeout 80m ./...
	$(GO) test -run '^$$' -bench 'Library|Single|Persons' -benchtime 1x -timeout 80m ./internal/hub/study/cohort -dense.persons $(PERSONS)

# The go command now and then reports the end of the time as a failure of its
# own ("context deadline exceeded" and no failing input): that alone is no finding.
fuzz: tools ## every fuzzer for $(FUZZTIME)
	@set -e; grep -rE --include='*_test.go' '^func Fuzz' cmd internal | sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort -u | while read -r pkg f; do \
	  echo "fuzz $$pkg $$f"; \
	  if ! out=$$($(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) ./$$pkg 2>&1 </dev/null); then \
	    case "$$out" in *"Failing input"*) echo "$$out"; exit 1;; *"context deadline exceeded"*) ;; *) echo "$$out"; exit 1;; esac; \
	  fi; \
	done

lint: tools ## gofmt, go vet, staticcheck; govulncheck where its data can be had
	@out=$$(gofmt -l cmd internal); test -z "$$out" || { echo "not gofmt'ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@out=$$($(GO) run $(GOVULNCHECK) ./... 2>&1); rc=$$?; \
	 case "$$out" in *"fetching vulnerabilities"*) echo "govulncheck: its data cannot be had from here, not run";; \
	 *) echo "$$out"; exit $$rc;; esac

clean: ## what make made
	rm -rf $(BIN) $(OUT)
