# SPDX-License-Identifier: GPL-2.0-or-later
# Everything the project builds and runs; `make help` lists the targets.

ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
.DEFAULT_GOAL := all

# --- what a user may set -------------------------------------------------------------------------

CC           ?= gcc
CFLAGS       ?= -O2 -g
SAN          ?= 0
PREFIX       ?= /usr/local
DESTDIR      ?=
FUZZ_SECONDS ?= 30

# --- sources and flags ---------------------------------------------------------------------------

FOLDERS := lib cpu cpu/decode cpu/exec cpu/mmu vm boot dev dev/pci dev/virtio block net console ctl
LIBS    := -lZydis -luv -lslirp -ldl -lm

WARNINGS  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
DIALECT   := -std=gnu11 -I. -fno-strict-aliasing -fwrapv -pthread
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
ALL_FLAGS  = $(DIALECT) $(WARNINGS) -Werror $(CFLAGS) $(if $(filter 1,$(SAN)),$(SANITIZE))

# Flags for one file or one folder: FLAGS_cpu/exec/foo.c := -mgeneral-regs-only
file_flags = $(FLAGS_$(patsubst %/,%,$(dir $<))) $(FLAGS_$<)

B       ?= $(if $(filter 1,$(SAN)),build-san,build)
SOURCES := $(wildcard $(FOLDERS:%=%/*.c))
LIBRARY := $(B)/libnidus.a
PROGRAM := $(if $(wildcard main.c),$(B)/nidus)
TESTS   := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
OBJECTS := $(SOURCES:%.c=$(B)/obj/%.o)

# --- the program ---------------------------------------------------------------------------------

all: $(LIBRARY) $(PROGRAM)

$(B)/nidus: $(B)/obj/main.o $(LIBRARY)
	$(CC) $(ALL_FLAGS) -o $@ $^ $(LIBS)

$(LIBRARY): $(OBJECTS)
	rm -f $@
	ar rcs $@ $^

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_FLAGS) $(file_flags) -MMD -MP -c -o $@ $<

# --- tests ---------------------------------------------------------------------------------------

tests: $(TESTS)

$(B)/tests/%: $(B)/obj/tests/unit/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(ALL_FLAGS) -o $@ $^ -lcmocka $(LIBS)

-include $(wildcard $(shell find $(B)/obj -name '*.d' 2>/dev/null))
.SECONDARY:
.PHONY: all tests
