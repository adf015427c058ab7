/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the boot loaders put things below 1 MiB. Page 0 stays free: it holds the real-mode vectors,
 * and some kernels copy their start-up code there.
 */
#ifndef BOOT_LAYOUT_H
#define BOOT_LAYOUT_H

#define LAYOUT_GDT          0x1000ull /* one page */
#define LAYOUT_KERNEL_MIN   0x2000ull /* no kernel may lie below */
#define LAYOUT_PAGE_TABLES  0x2000ull /* identity map of 4 GiB: six pages */
#define LAYOUT_INFO         0x8000ull /* the Linux zero page */
#define LAYOUT_CMDLINE      0x20000ull
#define LAYOUT_CMDLINE_END  0x30000ull
#define LAYOUT_LOW_RAM_END  0x9fc00ull /* the last KiB below 640 KiB is the BIOS's data area */
#define LAYOUT_FIRMWARE     0xe0000ull /* tables that a guest searches for */
#define LAYOUT_ACPI         0xe0000ull
#define LAYOUT_ACPI_END     0xf0000ull
#define LAYOUT_SMBIOS       0xf0000ull
#define LAYOUT_FIRMWARE_END 0x100000ull

#endif
