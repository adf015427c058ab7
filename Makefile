# SPDX-License-Identifier: GPL-2.0-or-later
# Everything the project builds and runs; `make help` lists the targets.

ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
.DEFAULT_GOAL := all

# --- what a user may set -------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC           := gcc
endif
CFLAGS       ?= -O2 -g
SAN          ?= 0
PREFIX       ?= /usr/local
DESTDIR      ?=
FUZZ_SECONDS ?= 30
V            ?= 0

# --- sources and flags ---------------------------------------------------------------------------

FOLDERS := lib cpu cpu/decode cpu/exec cpu/mmu cpu/jit vmx kvm vm boot dev dev/pci dev/virtio block net console switch ctl
LIBS    := -lZydis -luv -lslirp -ljansson -ledit -ldl -lm

WARNINGS  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
DIALECT   := -std=gnu11 -I. -fno-strict-aliasing -fwrapv -pthread
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
ALL_FLAGS  = $(DIALECT) $(WARNINGS) -Werror $(CFLAGS) $(if $(filter 1,$(SAN)),$(SANITIZE))

# Flags for one file or one folder: FLAGS_cpu/exec/foo.c := -mgeneral-regs-only
# Rows of the tables of cmdlets and of options say what they need and leave the rest out.
FLAGS_ctl := -Wno-missing-field-initializers
FLAGS_vm/options.c := -Wno-missing-field-initializers
file_flags = $(FLAGS_$(patsubst %/,%,$(dir $<))) $(FLAGS_$<)

# $(call run,WHAT,COMMAND): the command itself is shown with V=1 only.
run = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' $(1) $@ &&) $(2)

B       ?= $(if $(filter 1,$(SAN)),build-san,build)
SOURCES := $(wildcard $(FOLDERS:%=%/*.c))
LIBRARY := $(B)/libnidus.a
PROGRAM := $(B)/nidus
TESTS   := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
OBJECTS := $(SOURCES:%.c=$(B)/obj/%.o)

# --- the program ---------------------------------------------------------------------------------

all: $(LIBRARY) $(PROGRAM)

$(B)/nidus: $(B)/obj/main.o $(LIBRARY)
	$(call run,LD,$(CC) $(ALL_FLAGS) -o $@ $^ $(LIBS))

$(LIBRARY): $(OBJECTS)
	$(call run,AR,rm -f $@ && ar rcs $@ $^)

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call run,CC,$(CC) $(ALL_FLAGS) $(file_flags) -MMD -MP -c -o $@ $<)

# --- tests ---------------------------------------------------------------------------------------

tests: $(TESTS)

# What the instruction tests share.
INSN_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/insn/*.c))

$(filter $(B)/tests/test_insn%,$(TESTS)): $(INSN_OBJECTS)

$(B)/tests/%: $(B)/obj/tests/unit/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(call run,LD,$(CC) $(ALL_FLAGS) -o $@ $(filter %.o,$^) $(LIBRARY) -lcmocka $(LIBS))

# The set-up comes first and may bring the very headers that the build needs, hence a make of its own.
check check-all:
	@tools/setup test
	@$(MAKE) --no-print-directory all tests
	@tests/run $(if $(filter check-all,$@),--all) $(B)

lint: all
	@tools/lint $(B)

format:
	@find . -path './build*' -prune -o -name '*.[ch]' -print | xargs clang-format -i

# --- fuzzing: each tests/fuzz/fuzz_*.c for FUZZ_SECONDS ------------------------------------------

FUZZ_B       := build-fuzz
FUZZ_FLAGS   := $(DIALECT) -Wno-gnu-variable-sized-type-not-at-end -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS      := $(FUZZ_SOURCES:tests/fuzz/%.c=$(FUZZ_B)/%)
FUZZ_OBJECTS := $(SOURCES:%.c=$(FUZZ_B)/obj/%.o)

fuzz:
	@tools/setup fuzz
	@$(MAKE) --no-print-directory fuzzers
	@tests/fuzz/run $(FUZZ_B) $(FUZZ_SECONDS)

fuzzers: $(FUZZERS)

$(FUZZERS): $(FUZZ_B)/%: tests/fuzz/%.c $(FUZZ_B)/libnidus.a
	$(call run,LD,clang $(FUZZ_FLAGS) -fsanitize=fuzzer -MMD -MP -MF $(FUZZ_B)/obj/$*.d -o $@ $(filter %.c %.a,$^) $(LIBS))

$(FUZZ_B)/libnidus.a: $(FUZZ_OBJECTS)
	$(call run,AR,rm -f $@ && ar rcs $@ $^)

$(FUZZ_B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call run,CC,clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(file_flags) -MMD -MP -c -o $@ $<)

# --- guests, demonstration, measurement ----------------------------------------------------------

demo:
	@tools/setup demo
	@$(MAKE) --no-print-directory all
	@tools/demo $(B)/nidus

bench:
	@tools/setup bench
	@$(MAKE) --no-print-directory all $(B)/switchbench
	@tests/bench/run $(B)/nidus

$(B)/switchbench: $(B)/obj/tests/bench/switchbench.o $(LIBRARY)
	$(call run,LD,$(CC) $(ALL_FLAGS) -o $@ $^ $(LIBS))

# --- the rest ------------------------------------------------------------------------------------

install: all
	install -D -m 755 $(B)/nidus $(DESTDIR)$(PREFIX)/bin/nidus
	install -D -m 644 docs/nidus.1 $(DESTDIR)$(PREFIX)/share/man/man1/nidus.1
	$(PROGRAM) --root $(B)/manual Get-Help -Manual >$(B)/nidus-cmdlets.1
	install -D -m 644 $(B)/nidus-cmdlets.1 $(DESTDIR)$(PREFIX)/share/man/man1/nidus-cmdlets.1

clean:
	rm -rf build build-san build-fuzz

define HELP
make               build build/nidus (the packages it needs: tools/setup build)
make check         set up, build, check the rules, run the tests; ends with the sum of them
make check-all     the same and the long tests
make SAN=1 check   the same with address and undefined-behaviour sanitizers (in build-san/)
make demo          set up, build, boot a stock Debian kernel to a shell, then a VM in a VM, then all in Hyper-V's commands
make bench         set up, build, measure side by side with QEMU's TCG; PAIRS=3; KEEP=1 writes docs/performance.md
make fuzz          set up, build, run each fuzz target for FUZZ_SECONDS=30
make lint          only the rules; make format brings the code into the format
make install       to PREFIX=/usr/local, below DESTDIR
make clean         remove what was built

CC, CFLAGS and B (the build folder) may be set; V=1 shows commands. `tests/run build 'test_mmu*'` runs some of the tests.
endef

help:
	$(info $(HELP))
	@:

-include $(shell find $(B)/obj $(FUZZ_B)/obj -name '*.d' 2>/dev/null)
.SECONDARY:
.PHONY: all tests check check-all lint format fuzz fuzzers demo bench install clean help
