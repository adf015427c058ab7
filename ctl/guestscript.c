/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Script blocks for a Linux guest: see ctl/guestscript.h. */
#define _GNU_SOURCE /* strcasestr */
#include "ctl/guestscript.h"

#include "ctl/text.h"

#include <stdlib.h>
#include <strings.h>

/* What loads the hypervisor when the guest starts. */
#define MODULES_FILE "/etc/modules-load.d/hypervisor.conf"

/*
 * The commands as functions of the guest's shell. The hypervisor is KVM's module of the vendor that
 * the processor shows, and QEMU where there is a package manager that has it.
 */
static const char prelude[] =
	"nidus_packages() {\n"
	"  command -v qemu-system-x86_64 >/dev/null 2>&1 && return 0\n"
	"  if command -v apt-get >/dev/null 2>&1; then\n"
	"    DEBIAN_FRONTEND=noninteractive apt-get -qq update &&\n"
	"      DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "
	"qemu-system-x86\n"
	"  elif command -v dnf >/dev/null 2>&1; then dnf -q install -y qemu-kvm\n"
	"  elif command -v zypper >/dev/null 2>&1; then zypper -q install -y qemu-x86\n"
	"  elif command -v apk >/dev/null 2>&1; then apk add -q qemu-system-x86_64\n"
	"  fi >/dev/null 2>&1 || echo \"$1: no packages could be installed; KVM alone is there\" "
	">&2\n"
	"}\n"
	"nidus_feature() {\n"
	"  name=$1 feature= restart=\n"
	"  shift\n"
	"  for word; do\n"
	"    case $(printf %s \"$word\" | tr A-Z a-z) in\n"
	"    -restart) restart=y ;;\n"
	"    -*name:*) feature=${word#*:} ;;\n"
	"    -*) ;;\n"
	"    *) feature=${feature:-$word} ;;\n"
	"    esac\n"
	"  done\n"
	"  case $(printf %s \"$feature\" | tr A-Z a-z) in\n"
	"  microsoft-hyper-v*|hyper-v*) ;;\n"
	"  *) echo \"$name: Feature name '$feature' is unknown. (0x800f080c)\" >&2; return 1 ;;\n"
	"  esac\n"
	"  module=\n"
	"  if grep -qw vmx /proc/cpuinfo; then module=kvm_intel\n"
	"  elif grep -qw svm /proc/cpuinfo; then module=kvm_amd\n"
	"  fi\n"
	"}\n"
	"nidus_get() {\n"
	"  nidus_feature \"$@\" || return 1\n"
	"  state=Disabled\n"
	"  if [ -n \"$module\" ] && { grep -qw \"^$module\" /proc/modules ||\n"
	"    [ -d \"/sys/module/$module\" ]; }; then state=Enabled; fi\n"
	"  printf 'FeatureName   : %s\\nState         : %s\\n' \"$feature\" $state\n"
	"}\n"
	"nidus_disable() {\n"
	"  nidus_feature \"$@\" || return 1\n"
	"  rm -f " MODULES_FILE "\n"
	"  if [ -n \"$module\" ] && grep -qw \"^$module\" /proc/modules; then modprobe -r "
	"\"$module\" || return 1; fi\n"
	"  printf 'Path          :\\nOnline        : True\\nRestartNeeded : True\\n'\n"
	"  [ -z \"$restart\" ] || nidus_power reboot\n"
	"}\n"
	"nidus_enable() {\n"
	"  nidus_feature \"$@\" || return 1\n"
	"  if [ -z \"$module\" ]; then\n"
	"    echo \"$name: Hyper-V cannot be installed: the processor has no virtualization "
	"extensions. Set-VMProcessor -ExposeVirtualizationExtensions shows them.\" >&2\n"
	"    return 1\n"
	"  fi\n"
	/* A /dev/kvm says nothing: stock systems have the node before the module is there. */
	"  if ! grep -qw \"^$module\" /proc/modules && ! modprobe \"$module\"; then\n"
	"    echo \"$name: the module $module could not be loaded\" >&2\n"
	"    return 1\n"
	"  fi\n"
	"  mkdir -p /etc/modules-load.d && echo \"$module\" >" MODULES_FILE "\n"
	"  nidus_packages \"$name\"\n"
	"  printf 'Path          :\\nOnline        : True\\nRestartNeeded : True\\n'\n"
	"  [ -z \"$restart\" ] || nidus_power reboot\n"
	"}\n"
	"nidus_power() {\n"
	"  (sleep 1; systemctl \"$1\" || \"$1\" || \"$1\" -f) >/dev/null 2>&1 </dev/null &\n"
	"}\n";

/* The commands that have a meaning, and the function of the prelude that has it. */
static const struct {
	const char *name, *call;
} commands[] = {
	{ "Enable-WindowsOptionalFeature", "nidus_enable Enable-WindowsOptionalFeature" },
	{ "Install-WindowsFeature", "nidus_enable Install-WindowsFeature" },
	{ "Disable-WindowsOptionalFeature", "nidus_disable Disable-WindowsOptionalFeature" },
	{ "Uninstall-WindowsFeature", "nidus_disable Uninstall-WindowsFeature" },
	{ "Get-WindowsOptionalFeature", "nidus_get Get-WindowsOptionalFeature" },
	{ "Restart-Computer", "nidus_power reboot #" },
	{ "Stop-Computer", "nidus_power poweroff #" },
};

static const char *meaning_of(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strlen(commands[i].name) == len && !strncasecmp(commands[i].name, word, len))
			return commands[i].call;
	}
	return NULL;
}

static bool is_used(const char *block)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcasestr(block, commands[i].name))
			return true;
	}
	return false;
}

/* The end of the statement at p: a ; or a line's end outside quotes. */
static const char *statement_end(const char *p)
{
	char quote = 0;

	for (; *p; p++) {
		if (quote)
			quote = *p == quote ? 0 : quote;
		else if (*p == '\'' || *p == '"')
			quote = *p;
		else if (*p == ';' || *p == '\n')
			break;
	}
	return p;
}

/* Each statement on a line of its own: what Restart-Computer's parameters say is commented out. */
static void add_statement(struct text *out, const char *p, const char *end)
{
	const char *word, *call;
	size_t len;

	p += strspn(p, " \t\r");
	word = p;
	len = strcspn(word, " \t\r\n;");
	if (word + len > end)
		len = (size_t)(end - word);
	call = meaning_of(word, len);
	if (call) {
		text_add(out, call);
		p = word + len;
	}
	if (p < end)
		text_add_n(out, p, (size_t)(end - p));
	text_add(out, "\n");
}

char *guestscript_translate(const char *block)
{
	struct text out = { 0 };

	if (!is_used(block))
		return text_copy(block);
	text_add(&out, prelude);
	while (*block) {
		const char *end = statement_end(block);

		add_statement(&out, block, end);
		block = *end ? end + 1 : end;
	}
	return text_take(&out);
}
