# Everything a person or CI does here is a target; workflows and .ci/run hold no logic of their own.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCKS := uv dev pipeline api
# dvc.yaml says `python`: stages run with this environment's.
export PATH := $(abspath $(BIN)):$(PATH)
export MPLBACKEND := Agg

.DEFAULT_GOAL := help
.PHONY: help setup repro params crossval sweep test lint format serve bench lock check-lock check-torch \
  gate promote rollback champion checkout-model trace experiment-pr

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

format: $(READY) ## Formats and mends what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

serve: $(READY) ## Serves models/bundle on 127.0.0.1:8000, with a first account; PORT=8001 for another
	$(BIN)/python -m api.serve --port $(or $(PORT),8000)

bench: $(READY) ## Measures the service, batches, epochs, and the pipeline at 2,000 and 20,000 products
	$(BIN)/python -m tests.bench.service
	$(BIN)/python -m tests.bench.batch
	$(BIN)/python -m tests.bench.epochs
	$(BIN)/python -m tests.bench.scale $(ARGS)

check-lock: $(READY) ## Says which stages gave something else than the committed dvc.lock
	$(BIN)/python -m stages.lock

check-torch: $(READY) ## Compares EfficientNet-Lite0 with the original in a throwaway environment
	$(BIN)/python tests/model/check_efficientnet_torch.py

lock: $(READY) ## Resolves requirements/*.in again into hash locks
	for name in $(LOCKS); do \
	  $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-emit-index-url \
	    --python-version 3.11 $$(test $$name = dev || test $$name = uv || echo "-c requirements/dev.txt") \
	    $$(test $$name = api && echo "--excludes requirements/api.excludes") \
	    requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

gate: $(READY) ## May REV=branch, commit or experiment replace the champion? CHAMPION=other OUTPUT=verdict.json
	$(BIN)/python -m stages.promote check $(or $(REV),HEAD) $(if $(CHAMPION),--champion $(CHAMPION)) $(if $(OUTPUT),--output $(OUTPUT))

promote: $(READY) ## Judges REV and makes it the champion; PUSH=origin BUMP=major DESPITE="reason"
	$(BIN)/python -m stages.promote promote $(or $(REV),HEAD) $(if $(BUMP),--bump $(BUMP)) \
	  $(if $(DESPITE),--despite "$(DESPITE)") $(if $(PUSH),--push $(PUSH)) $(ARGS)

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
