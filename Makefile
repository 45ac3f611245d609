# Weir: a PostgreSQL extension, built with PGXS.
#
#   make, make install      the extension; PG_CONFIG=... chooses the server
#   make producer           weir-producer and weir-broker
#   make demo               the whole path on this machine, see scripts/demo
#   make check              every test; ends with "N passed, N failed"
#   make check-long         the same, with a longer fuzz and soak and random seeds
#   make check-unit, check-sim, check-cost, check-fuzz, check-regress, check-docs, check-tap   its parts
#   make check-docker       docker/ without a container engine; not a part of check
#   make bench              how fast, beside what; ROWS="drain reads" for some, see bench/
#   make bench-peers        ... and beside Spark, Flink and Python, which it fetches
#   make lint, make format  the rules of the tree; clang-format
#   make deps               what demo and check need, Debian's packages
#   make deb                packages for Debian, in build/deb; scripts/install-deps deb first
#   make clean
#
# WEIR_DEBUG=1 compiles assertions and fault points in; the tests run with it.
# They build in build/debug, so this tree and what is installed stay a release
# build.  WERROR= lets a compiler that knows newer warnings pass.

PG_CONFIG ?= pg_config
WERROR ?= -Werror

C_FILES := $(sort $(wildcard extension/*/*.c))
CORE_FILES := $(filter extension/core/%,$(C_FILES))

MODULE_big = weir
EXTENSION = extension/weir
DATA = $(sort $(wildcard sql/weir--*.sql))
OBJS = $(C_FILES:.c=.o)

PG_CPPFLAGS = -Iextension -MMD -MP
PG_CFLAGS = -Wall -Wextra $(WERROR) -Wno-unused-parameter -Wno-sign-compare \
	-Wno-clobbered
SHLIB_LINK = -lrdkafka -ljansson -lcurl -lm
EXTRA_CLEAN = $(OBJS:.o=.d) build

ifdef WEIR_DEBUG
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING -DWEIR_FAULTS
endif

# Nothing here is inlined into queries, so no bitcode, and no clang to make it.
override with_llvm := no

# PGXS is looked up for the targets that compile with it alone: `make deps` and
# `make check-unit` work without a server.
ifneq (,$(filter-out deps deb producer demo bench bench-peers check check-% core-check lint format \
	clean-%,$(or $(MAKECMDGOALS),all)))
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq (,$(wildcard $(PGXS)))
$(error no PGXS from "$(PG_CONFIG)": run `make deps`, or set PG_CONFIG)
endif
all:
include $(PGXS)
-include $(OBJS:.o=.d)
$(OBJS): Makefile
clean: clean-programs
endif

# -- programs and tests -------------------------------------------------------

DEBUG_BUILD = build/debug
FUZZ_SECONDS ?= 10
export PG_CONFIG

deps:
	scripts/install-deps check

deb:
	scripts/make-deb

producer:
	$(MAKE) -C producer

demo:
	scripts/demo

# (PGXS has a check of its own, which only refuses.)
ifneq (,$(if $(PGXS),$(filter check,$(MAKECMDGOALS)),always))
check:
	scripts/check
endif

check-long:
	FUZZ_SECONDS=300 SIM_SEEDS=200000 WEIR_SEEDS=random WEIR_SOAK=600 WEIR_LONG=1 scripts/check

# core/ compiles with nothing but a C compiler.
core-check:
	@for f in $(CORE_FILES); do \
		$(CC) -std=c11 -Wall -Wextra $(WERROR) -Iextension -fsyntax-only $$f \
			|| exit 1; \
	done
	@echo "core-check: $(words $(CORE_FILES)) files of plain C11"

check-unit: core-check
	$(MAKE) -C regress/unit check

check-sim:
	$(MAKE) -C regress/sim check

check-cost:
	$(MAKE) -C regress/cost check

check-fuzz:
	$(MAKE) -C regress/fuzz check SECONDS_EACH=$(FUZZ_SECONDS)

check-debug-build:
	@scripts/link-sources $(DEBUG_BUILD)
	$(MAKE) -C $(DEBUG_BUILD) WEIR_DEBUG=1

check-regress: check-debug-build producer
	regress/run-regress.sh $(TESTS)

check-docs: check-debug-build producer
	regress/run-docs.sh

check-tap: check-debug-build producer
	regress/run-tap.sh $(TESTS)

check-docker:
	scripts/check-docker

bench:
	bench/run $(ROWS)

bench-peers:
	PEERS=1 bench/run $(or $(ROWS),peers_drain peers_live)

lint:
	scripts/lint

format:
	clang-format-14 -i $(shell git ls-files -co --exclude-standard '*.c' '*.h')

clean-programs:
	@for d in producer regress/unit regress/sim regress/cost regress/fuzz; do \
		[ ! -e $$d/Makefile ] || $(MAKE) -C $$d clean; \
	done

.PHONY: deps deb producer demo bench bench-peers check check-long core-check check-unit check-sim check-cost check-fuzz \
	check-debug-build check-regress check-docs check-tap check-docker lint format clean-programs
