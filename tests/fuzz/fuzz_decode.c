/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arbitrary bytes through the decoder, in the mode and for the vendor that the first byte says.
 */
#include <stdlib.h>

#include "cpu/decode/decode.h"
#include "cpu/exec/host.h"
#include "cpu/soft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
	struct soft soft;
	struct decoder *decoder;
};

static struct decoder *decoder_of(struct fixture *f, enum cpu_vendor vendor)
{
	if (!f->decoder) {
		memset(f->soft.features, 0xff, sizeof(f->soft.features));
		f->soft.config.vendor = vendor;
		f->soft.host_code = host_code_create();
		f->decoder = decoder_create(&f->soft);
	}
	return f->decoder;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture fixtures[2];
	struct insn insn;

	if (size < 2)
		return -1;
	unsigned vendor = data[0] >> 7, mode = data[0] % 3;
	unsigned avail = (unsigned)MIN(size - 1, INSN_MAX_BYTES);
	uint8_t *bytes = malloc(avail); /* of just this size, so that reading past it is found */

	if (!bytes)
		return -1;
	memcpy(bytes, data + 1, avail);
	unsigned length =
		decode_insn(decoder_of(&fixtures[vendor], vendor), mode, bytes, avail, 0, &insn);

	free(bytes);
	if (length > avail || (length == 0 && avail == INSN_MAX_BYTES) || (length && !insn.exec))
		abort();
	return 0;
}
