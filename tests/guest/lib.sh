# SPDX-License-Identifier: GPL-2.0-or-later
# What the full-system tests share: TAP lines and running nidus. A test sources it after setting `plan`; its first argument
# is the build folder, whose nidus it runs.
#
#   run ARG...            runs `nidus run --engine soft ARG...`, whatever this host's KVM can; leaves its exit status in
#                         $status, its output in $out and $err (files); ended after $limit seconds (default 120)
#   engines               the engines that bare images run on; ENGINES="interp soft" in the environment chooses others
#   use_store             makes $store, for management; its VMs end with the script
#   manage ARG...         one cmdlet of that store; as run, and returns the status, too
#   vm_processes          the pids of the VMs of that store, whose folders are below it
#   expect_status N NAME  one test: the last run ended so       expect_output REGEX NAME   its output has such a line
# Tests run without root's right to change this host's network: what an internal switch does with it is tested in a guest, where
# nothing is lost.
set -uo pipefail
if [[ $EUID == 0 && -z ${NETWORK_RIGHT_GONE:-} ]] && command -v setpriv >/dev/null; then
	NETWORK_RIGHT_GONE=1 exec setpriv --bounding-set -net_admin,-net_raw -- "$0" "$@"
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The engines that every bare image runs on.
read -ra engines <<<"${ENGINES:-soft interp check}"

build=${1:?usage: $0 BUILD}
nidus=$build/nidus
guest=build/guest
scratch=$(mktemp -d)
out=$scratch/out err=$scratch/err
trap 'rm -rf "$scratch"' EXIT
number=0 bad=0 status=0
slower=1
[[ ${SAN:-0} == 1 ]] && slower=6
echo "1..$plan"

pass() { number=$((number + 1)); echo "ok $number - $1"; }
skip() { number=$((number + 1)); echo "ok $number - $1 # SKIP $2"; }
fail() {
	number=$((number + 1)) bad=$((bad + 1))
	echo "# status $status; the end of its output:"
	tail -n 15 "$out" "$err" 2>/dev/null | tr -d '\r' | sed 's/^/#   /'
	echo "not ok $number - $1"
}
verdict() { if "$@"; then pass "$name"; else fail "$name"; fi; }

run() {
	timeout -k 5 $((${limit:-120} * slower)) "$nidus" run --engine soft "$@" >"$out" 2>"$err" </dev/null
	status=$?
}

use_store() {
	nidus=$(realpath "$nidus")
	store=$scratch/store
	trap '"$nidus" --root "$store" Stop-VM "*" -TurnOff >"$out" 2>&1; rm -rf "$scratch"' EXIT
}
manage() {
	timeout -k 5 $((${limit:-120} * slower)) "$nidus" --root "$store" "$@" >"$out" 2>"$err" </dev/null
	status=$?
	return $status
}
vm_processes() {
	local process
	for process in /proc/[0-9]*; do
		[[ $(readlink "$process/cwd" 2>/dev/null) == "$store"/run/* ]] && echo "${process#/proc/}"
	done
}

expect_status() { local name=$2; verdict [ "$status" = "$1" ]; }
expect_output() { local name=$2; verdict grep -q -a -E "$1" "$out"; }

# For a guest that does its worst: no fault of ours (125), no signal (128 and more).
is_orderly() { [[ $status == 0 || $status == 3 || $status == 124 ]]; }

# expect_garbage_survived CPU SEED: one test, random bytes for code.
expect_garbage_survived() {
	run --cpu "$1" --kernel "$(bare garbage)" --append "seed $2" --no-reboot --timeout 3
	name="hostile: garbage, $1, seed $2: ends in order"
	verdict is_orderly
}

# bare NAME: assembles tests/bare/asm/NAME.S and prints the path of the image.
bare() {
	local source=tests/bare/asm/$1.S image=$scratch/$1.elf
	if [[ ! -f $image ]]; then
		gcc -m32 -c -o "$scratch/$1.o" "$source" &&
			ld -m elf_i386 -nostdlib -z noexecstack --section-start=.init=0x100000 -Ttext=0x101000 \
				-o "$image" "$scratch/$1.o" || return 1
	fi
	echo "$image"
}

# bare_c SOURCE: builds the image of one C file of tests/bare, those of vmx/ with their hypervisor, as $scratch/image.elf.
bare_flags=(-O1 -g0 -std=gnu11 -I. -Wall -Wextra -Wshadow -Wmissing-prototypes -Werror -ffreestanding -nostdlib -static -no-pie
	-fno-pic -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables
	-fno-omit-frame-pointer)
bare_link_flags=(-Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -T tests/bare/bare.lds)
bare_c() {
	local shared=(tests/bare/start.S tests/bare/bare.c) file objects=()
	[[ $1 == tests/bare/vmx/* ]] && shared+=(tests/bare/vmx/vmx.c)
	for file in "${shared[@]}"; do
		objects+=("$scratch/${file##*/}.o")
		[[ -f ${objects[-1]} ]] || gcc "${bare_flags[@]}" -c -o "${objects[-1]}" "$file" || return 1
	done
	# Multiboot wants 32-bit ELF around the 64-bit code.
	gcc "${bare_flags[@]}" "${bare_link_flags[@]}" -o "$scratch/image.64" "$1" "${objects[@]}" &&
		objcopy -O elf32-i386 "$scratch/image.64" "$scratch/image.elf"
}

# show_checks WHAT: the last run's own lines of TAP, each named after WHAT; a failure where it did not come to its end.
show_checks() {
	tr -d '\r' <"$out" | sed -n -E "s!^((not )?ok ([0-9]+ )?- )!\1$1: !p; /^1\.\./p; /^#/p"
	local want=1 # 2V+1 for the image's V
	if grep -q -a '^not ok' "$out"; then bad=$((bad + 1)) want=3; fi
	if ! grep -q -a '^1\.\.' "$out"; then
		fail "$1: ends with its plan"
	elif [[ $status != "$want" ]]; then
		fail "$1: ends with status $want"
	fi
}

finish() { exit $((bad > 0)); }
