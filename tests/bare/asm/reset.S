/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Resets: by the keyboard controller with seed 0, by port CF9h with seed 1, by port 92h with seed 2. */
#include "bare.inc"

main:
	cmp $1, %ebp
	je 1f
	ja 2f
	mov $0xfe, %al
	out %al, $0x64
	ret
1:	mov $0xcf9, %dx
	mov $0x06, %al
	out %al, %dx
	ret
2:	mov $1, %al
	out %al, $0x92
	ret
