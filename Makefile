# One verb per chore. `make test` and `make demo` need nothing but Python.

PYTHON ?= python3
BIN := .venv/bin
# Most of what is installed for the tests is never imported; what is, is compiled then.
INSTALL := pip install --quiet --no-compile
# Tests of one file share a process: what some of them prepare takes long. The tables of SDKs do not.
PYTEST := pytest -n auto --dist loadfile
SDKS := pytest -n auto tests/test_sdks.py tests/test_sdks_life.py
ODD := tests/test_sdks_fuzz.py
HARM := $(ODD) tests/test_sdks_faults.py
OLDEST := openai==1.66.0 anthropic==0.51.0 google-genai==1.8.0 boto3==1.34.116 aiobotocore mistralai==1.9.3 \
	cohere==5.20.0 groq==0.13.0 together==2.0.0 huggingface_hub==0.30.0 ollama==0.5.3 \
	mcp==1.12.4 pydantic==2.11.10 pinecone==9.0.1 qdrant-client==1.10.0
OLDEST_FRAMEWORKS := langchain-core==0.3.15 langgraph==0.2.17 langchain-openai==0.2.6 openai==1.66.0 chromadb==1.0.0
EMITTERS := strands-agents agent-framework-core 'mistralai >= 3' crewai
OF_SDKS := $(wildcard tests/providers/test_*.py tests/test_stream_usage*.py) tests/test_streams.py tests/test_fuzz.py \
	tests/test_content.py $(wildcard tests/test_differential*.py)
OF_FRAMEWORKS := $(wildcard tests/providers/test_langchain*.py) tests/providers/test_chromadb.py
FRAMEWORKS := tests/test_rag.py tests/test_bridge.py tests/test_combinations.py tests/test_frameworks_faults.py \
	$(OF_FRAMEWORKS) $(wildcard tests/providers/test_mcp_native*.py)
OTHERS := $(foreach sdk,openai anthropic,opentelemetry-instrumentation-genai-$(sdk) \
	opentelemetry-instrumentation-$(sdk) openinference-instrumentation-$(sdk))
PYTHONS := 3.10 3.11 3.12 3.13

.PHONY: help demo rag test lint types format soak soak-memory soak-engine soak-sdks pythons test-others bench bench-stack stack stack-down clean

help:
	@echo "make demo [LIVE=1]   run a small program and look at its trace and metrics"
	@echo "make rag             a web service with a vector store on a stand-in; STACK=1, SERVE=1, LIVE=1"
	@echo "make test            set up, then lint, types and tests"
	@echo "make lint types      each alone; make format mends what can be mended"
	@echo "make soak            what takes longer, and every Python that is supported"
	@echo "make bench [QUICK=1] what telemetry costs, next to hand-written and official telemetry"
	@echo "make bench-stack     what the stack carries on two cores: spans and points a second, CPU, memory"
	@echo "make stack           all of the back end but Grafana, without Docker (needs Go)"
	@echo "make stack-down      stop it; with PURGE=1 delete what it stored, too"
	@echo "make clean           remove environments and what was built"

# An environment is made anew when the dependencies change.
.venv/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/$(INSTALL) --editable '.[test,sdks]'
	@touch $@

# What is tried in an environment of its own: the oldest versions, and what does not go with the newest or with the rest.
# LiteLLM's newest needs an openai that is not the newest; without mcp it has no responses.
IN_oldest := $(OLDEST)
IN_litellm := litellm mcp
IN_litellm-oldest := litellm==1.103.0 mcp
IN_frameworks-oldest := $(OLDEST_FRAMEWORKS)
IN_emitters := $(EMITTERS)
IN_others := $(OTHERS)
$(foreach name,oldest litellm litellm-oldest frameworks-oldest emitters others,.venv-$(name)/ready): .venv-%/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/pip install --quiet --upgrade pip
	.venv-$*/bin/$(INSTALL) --editable '.[test]' $(IN_$*)
	@touch $@

# Vector stores and frameworks bring much along.
.venv-frameworks/ready: pyproject.toml examples/rag/requirements.txt
	$(PYTHON) -m venv --clear .venv-frameworks
	.venv-frameworks/bin/pip install --quiet --upgrade pip
	.venv-frameworks/bin/$(INSTALL) --editable '.[test,frameworks]' --requirement examples/rag/requirements.txt
	@touch $@

# Google ADK asks for an OpenTelemetry before ours, which pip tells and then has its way: one after the other.
.venv-adk/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-adk
	.venv-adk/bin/pip install --quiet --upgrade pip
	.venv-adk/bin/$(INSTALL) google-adk
	.venv-adk/bin/$(INSTALL) --editable '.[test]'
	@touch $@

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/pip install --quiet --editable '.[demo]'
	@touch $@

demo: .venv-demo/ready
	@.venv-demo/bin/otel-genai demo --compose docker-compose.yml $(if $(LIVE),--live)

.venv-rag/ready: pyproject.toml examples/rag/requirements.txt
	$(PYTHON) -m venv --clear .venv-rag
	.venv-rag/bin/pip install --quiet --editable '.[cost,distro,view]' --requirement examples/rag/requirements.txt
	@touch $@

rag: .venv-rag/ready
	@.venv-rag/bin/python examples/rag $(if $(STACK),--stack) $(if $(SERVE),--serve) $(if $(LIVE),--live)

test: lint types .venv/ready .venv-frameworks/ready .venv-litellm/ready .venv-litellm-oldest/ready \
		.venv-oldest/ready
	$(BIN)/$(PYTEST) -m "not soak" --ignore tests/test_sdks.py --ignore tests/test_sdks_life.py $(addprefix --ignore ,$(HARM))
	$(BIN)/$(SDKS) $(HARM) -m "not soak"
	.venv-frameworks/bin/$(PYTEST) -m "not soak" $(FRAMEWORKS)
	.venv-frameworks/bin/$(SDKS) $(HARM) -m "not soak" -k "chromadb or pinecone or qdrant"
	.venv-litellm/bin/$(SDKS) $(HARM) tests/providers tests/test_stream_usage_sdks.py -m "not soak" -k litellm
	.venv-litellm-oldest/bin/$(SDKS) tests/providers -k "litellm and not odd_answers and not our_failures"
	.venv-oldest/bin/$(PYTEST) -m "not soak" $(OF_SDKS)
	.venv-oldest/bin/$(SDKS) -k "not our_failures"

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/ready
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

soak: pythons test-others soak-memory soak-engine soak-sdks

soak-memory: .venv/ready
	$(BIN)/$(PYTEST) -m soak tests/test_memory.py tests/test_install.py tests/stack

soak-engine: .venv/ready
	$(BIN)/$(PYTEST) -m soak tests/test_fuzz.py tests/test_faults.py

# What takes longest: odd data and faults of every SDK.
soak-sdks: .venv/ready .venv-frameworks/ready .venv-frameworks-oldest/ready .venv-litellm/ready .venv-emitters/ready \
		.venv-adk/ready
	$(BIN)/pytest -n auto $(HARM) -m soak
	.venv-frameworks/bin/pytest -m soak $(FRAMEWORKS)
	.venv-frameworks-oldest/bin/$(PYTEST) -m "not soak" $(OF_FRAMEWORKS)
	.venv-litellm/bin/pytest -n auto $(ODD) -m soak -k litellm
	.venv-emitters/bin/pytest tests/test_emitters.py
	.venv-adk/bin/pytest tests/test_emitters.py -k adk

# Beside the instrumentations of others, which would wake up in every other environment.
test-others: .venv-others/ready
	.venv-others/bin/pytest tests/test_others.py

# Every supported Python that is here, but for the one of `make test`; with CI=true a missing one is a failure.
# Odd answers, failures of ours, content and the stack are the same for all of them; large tables, recordings and whole
# programs are for the oldest and the newest.
SAME := $(addprefix --ignore ,tests/test_fuzz.py tests/test_faults.py tests/test_canaries.py tests/stack $(HARM))
BETWEEN := $(addprefix --ignore ,$(wildcard tests/test_differential*.py tests/providers/*_recordings.py) \
	tests/test_demo.py tests/test_docs.py tests/test_doctor.py)
pythons: .venv/ready
	@done=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	for version in $(PYTHONS); do \
		if [ "$$version" = "$$done" ]; then continue; fi; \
		python=$$(ls -d "$$(command -v python$$version)" $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python 2>/dev/null \
			| while read -r p; do "$$p" -c 'import sys' 2>/dev/null && echo "$$p" && break; done); \
		if [ -z "$$python" ]; then \
			echo "python$$version is not here: not tested"; \
			if [ "$$CI" = true ]; then exit 1; else continue; fi; \
		fi; \
		echo "python$$version: $$python"; \
		case " $(firstword $(PYTHONS)) $(lastword $(PYTHONS)) " in *" $$version "*) spared=;; *) spared="$(BETWEEN)";; esac; \
		$$python -m venv --clear .venv-$$version && \
		.venv-$$version/bin/pip install --quiet --upgrade pip && \
		.venv-$$version/bin/$(INSTALL) --editable '.[test]' 'mcp<2' && \
		.venv-$$version/bin/$(PYTEST) -m "not soak and not e2e" --quiet $(SAME) $$spared || exit 1; \
	done

# Every candidate in an environment of its own, with the versions of the first for everything they share.
.venv-bench-%/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-bench-$*
	.venv-bench-$*/bin/pip install --quiet --upgrade pip
	.venv-bench-$*/bin/pip install --quiet $(if $(filter plain,$*),,--constraint .venv-bench-plain/versions.txt) \
		openai anthropic opentelemetry-distro opentelemetry-exporter-otlp \
		$(if $(filter ours,$*),--editable .) $(if $(filter cost,$*),--editable '.[cost]') \
		$(if $(filter official,$*),opentelemetry-instrumentation-genai-openai opentelemetry-instrumentation-genai-anthropic)
	.venv-bench-$*/bin/pip freeze --exclude-editable > .venv-bench-$*/versions.txt
	@touch $@

.venv-bench-ours/ready .venv-bench-cost/ready .venv-bench-official/ready: .venv-bench-plain/ready

bench: .venv-bench-plain/ready .venv-bench-ours/ready .venv-bench-cost/ready .venv-bench-official/ready \
		.venv-frameworks/ready
	$(PYTHON) -m benchmarks.run
	.venv-frameworks/bin/python -m benchmarks.frameworks $(if $(QUICK),2)

bench-stack: .venv/ready
	$(PYTHON) collector/stack.py build
	PYTHONPATH=collector $(BIN)/python -m benchmarks.stack $(if $(QUICK),--seconds 5)

stack:
	$(PYTHON) collector/stack.py up

stack-down:
	$(PYTHON) collector/stack.py down $(if $(PURGE),--purge)

clean:
	rm -rf .venv .venv-* .stack dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
