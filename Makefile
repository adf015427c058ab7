# SPDX-License-Identifier: GPL-2.0-or-later
# make, make check, make demo, make help

B ?= build
CC ?= gcc
FOLDERS := lib cpu cpu/decode cpu/exec cpu/mmu vm boot dev dev/pci dev/virtio block net console
PACKAGES := zydis libuv slirp
CFLAGS ?= -O2 -g
CFLAGS_ALL := -std=gnu11 -I. -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror \
	-fno-strict-aliasing -fwrapv -pthread $(CFLAGS)

SOURCES := $(wildcard $(FOLDERS:%=%/*.c))
OBJECTS := $(SOURCES:%.c=$(B)/obj/%.o)
LIBRARY := $(B)/libnidus.a

all: $(LIBRARY)

$(LIBRARY): $(OBJECTS)
	rm -f $@
	ar rcs $@ $^

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)
.PHONY: all
