# Everything runs in .venv, which the first target that needs it sets up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/* csrc/*/*)

.PHONY: install test test-quick check page check-page reliability demo clean

install: $(INSTALLED)

$(INSTALLED): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

# The page's packages, which its tests need too; without npm those tests are skipped.
PAGE_PACKAGES := page/node_modules/.package-lock.json

$(PAGE_PACKAGES): page/package.json page/package-lock.json
	if command -v npm > /dev/null; then cd page && npm ci --no-fund --no-audit; else echo 'npm is missing'; fi

# Writes src/lightm_unet/deploy/site: WebAssembly by ziglang, the page by esbuild.
page: $(INSTALLED) $(PAGE_PACKAGES)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[page]'
	$(BIN)/python page/build_kernels.py
	node page/build.mjs

check-page: $(PAGE_PACKAGES)
	if command -v npm > /dev/null; then cd page && npm run --silent check; fi

# Side by side on all cores; a file's tests stay together, for they share what is costly to make.
SIDE_BY_SIDE := -n logical --maxprocesses 8 --dist loadfile

test: $(INSTALLED) $(PAGE_PACKAGES)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# Without the tests that take more than about two seconds each.
test-quick: $(INSTALLED) $(PAGE_PACKAGES)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow"

check: $(INSTALLED) check-page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(wildcard csrc/*.h csrc/*.cpp csrc/*/*.h csrc/*/*.cpp \
		tests/*/native/*.h tests/*/native/*.cpp examples/*.c)

# Writes docs/reliability.md from what the tests find.
reliability: $(INSTALLED)
	$(BIN)/python -m pytest tests/reliability --write-reliability

# The main job on artificial X-rays, start to end: about half a minute of training. One thread, since
# images this small gain little from two, and two threads wait for each other on a busy machine.
demo: $(INSTALLED)
	rm -rf demo
	$(BIN)/lightm-unet doctor
	$(BIN)/lightm-unet phantom xray demo/data --cases 60 --size 128
	$(BIN)/lightm-unet check-dataset demo/data
	OMP_NUM_THREADS=1 $(BIN)/lightm-unet train demo/data --output demo/run \
		--network lightm-unet-tiny --size 128x128 --epochs 10
	$(BIN)/lightm-unet predict demo/run --part test --output demo/masks
	$(BIN)/lightm-unet evaluate demo/masks demo/data --output demo/report
	@echo 'Open demo/report/report.html: it shows each test image with the true and the predicted lungs.'

clean:
	rm -rf $(VENV) build demo
