# Two commands matter: `make demo` and `make test`. Each does all its own set-up, needs no sudo, and is quick the second time.
PYTHON ?= python3
HTTP ?= 127.0.0.1:8080
CLIP ?= examples/drive/highway.mp4

# TensorFlow and tflite-runtime have wheels for some Python versions only; take the first interpreter that fits.
pick = $(shell for python in $(PYTHON) $(2); do \
	$$python -c 'import sys; sys.exit(not $(1))' 2>/dev/null && { echo $$python; break; }; done)

# Compiling every module of TensorFlow ahead takes longer than the tests that use a few of them.
PIP_INSTALL = pip install --quiet --disable-pip-version-check --no-compile

# The tests start some two hundred interpreters; where bytecode may not be kept, each of them compiles what it imports anew
# (TensorFlow: 19 s instead of 6 s).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint clean help
.DELETE_ON_ERROR:

help:
	@echo "make demo   the bundled model over the bundled drive: live at http://$(HTTP), then out/demo.mp4 and out/demo.jsonl"
	@echo "make test   ruff, mypy, the import rule and every test"
	@echo "make lint   the same without the tests"
	@echo "make clean  removes what these made"

demo: .venv/.installed
	@mkdir -p out
	.venv/bin/edgeseg run $(CLIP) --save out/demo.mp4 --save out/demo.jsonl --http $(HTTP)

# One environment is installed while the other is, or while the linters run. Three workers on two cores: most tests wait for
# programs they have started.
test:
	@$(MAKE) --no-print-directory -j2 lint .venv-tflite-runtime/.installed
	.venv-test/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: .venv-test/.installed
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/lint-imports

# $(call make-venv,FOLDER,INTERPRETER): a fresh virtual environment, with one clear line where the system cannot make one.
define make-venv
@$(2) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	{ echo "edgeseg: needs Python 3.10 or newer as '$(2)'; set PYTHON=..." >&2; exit 69; }
@rm -rf $(1)
@$(2) -m venv $(1) || { rm -rf $(1); echo "edgeseg: '$(2)' cannot make a virtual environment; on Debian, Ubuntu and Raspberry \
Pi OS: sudo apt install python3-venv" >&2; exit 69; }
endef

.venv/.installed: pyproject.toml
	$(call make-venv,.venv,$(PYTHON))
	.venv/bin/$(PIP_INSTALL) --editable .
	@touch $@

.venv-test/.installed: pyproject.toml
	$(if $(TEST_PYTHON),,$(error edgeseg: TensorFlow has wheels for Python 3.10 to 3.13 only; install one and set PYTHON=...))
	$(call make-venv,.venv-test,$(TEST_PYTHON))
	.venv-test/bin/$(PIP_INSTALL) --editable '.[test]'
	@touch $@

.venv-test/.installed lint: TEST_PYTHON = $(call pick,(3, 10) <= sys.version_info < (3, 14),python3.13 python3.12 python3.11 python3.10)

# The fallback runtime of 32-bit boards, for the one test that runs it. Its wheels end at Python 3.11; where there is no such
# interpreter the folder stays empty and the test says that it was skipped.
.venv-tflite-runtime/.installed: FALLBACK_PYTHON = $(call pick,(3, 10) <= sys.version_info < (3, 12),python3.11 python3.10)
.venv-tflite-runtime/.installed: pyproject.toml
	@mkdir -p .venv-tflite-runtime
	$(if $(FALLBACK_PYTHON),$(call make-venv,.venv-tflite-runtime,$(FALLBACK_PYTHON)),)
	$(if $(FALLBACK_PYTHON),.venv-tflite-runtime/bin/$(PIP_INSTALL) \
		'tflite-runtime==2.14.0' 'numpy<2' 'opencv-python-headless<4.12' pydantic pyyaml rich,)
	@touch $@

clean:
	rm -rf .venv .venv-test .venv-tflite-runtime out build dist
